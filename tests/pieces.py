"""What parsers of plaintext protocols are fed: pieces of a dialogue, in any cut.

findings(FtpParser, [(SERVER, b"220 …\\r\\n"), (CLIENT, b"USER …\\r\\n")], lengths=[1])
"""

from __future__ import annotations

import pickle
from collections.abc import Iterable, Iterator, Sequence
from itertools import cycle
from pathlib import Path

from hypothesis import settings
from hypothesis import strategies as st

from spanline.plaintext.model import Conversation, Finding, Parser, Piece, Sender, Span

CLIENT, SERVER = Sender.CLIENT, Sender.SERVER
START = 1_600_000_000_000_000_000
TCP = Conversation("tcp", "10.0.0.5", 50000, "10.0.1.2", 1234, START)
UDP = Conversation("udp", "10.0.0.5", 50000, "10.0.1.2", 1234, START)

Dialogue = Sequence[tuple[Sender, bytes]]

QUICKLY = settings(deadline=None, max_examples=15)
"""For hypothesis: examples enough for a table of them beside."""

CUTS = st.lists(st.integers(1, 40), min_size=1, max_size=8)
"""For hypothesis: the lengths of pieces, over and over."""

NOISE = st.lists(st.tuples(st.sampled_from([CLIENT, SERVER]), st.binary(max_size=300)), max_size=20)
"""For hypothesis: a dialogue of random bytes."""


def pieces(dialogue: Dialogue, lengths: Iterable[int] = ()) -> Iterator[Piece]:
    """The messages of both sides; those of more bytes than the next of `lengths`, which go round, are cut.

    A message has its own frame number, from 1, and 1 ms later than the one before it; so have all pieces of it.
    """
    sizes = cycle(lengths) if (lengths := list(lengths)) else cycle([1 << 30])
    offsets = {CLIENT: 0, SERVER: 0}
    for frame, (sender, message) in enumerate(dialogue, 1):
        at = 0
        while at < len(message):
            data = message[at : at + next(sizes)]
            yield Piece(sender, data, offsets[sender], START + frame * 1_000_000, frame)
            offsets[sender] += len(data)
            at += len(data)


def fed(parser: Parser, parts: Iterable[Piece]) -> list[Finding]:
    """Everything that a parser gives for the pieces, until it is done or the conversation over."""
    given: list[Finding] = []
    for piece in parts:
        if parser.done:
            break
        given += parser.feed(piece)
    return given + list(parser.finish())


def findings(parser: type[Parser], dialogue: Dialogue, lengths: Iterable[int] = ()) -> list[Finding]:
    return fed(parser(TCP), pieces(dialogue, lengths))


def one_side(dialogue: Dialogue, sender: Sender) -> Dialogue:
    """The dialogue of which only one direction was mirrored."""
    return [(who, message) for who, message in dialogue if who == sender]


def at(dialogue: Dialogue, span: Span) -> bytes:
    """The bytes that a span is of."""
    return b"".join(message for who, message in dialogue if who == span.sender)[span.start : span.end]


def told(finding: Finding) -> tuple[str, str, bytes | None, str]:
    """Scheme, account, secret and outcome: what most tests are about."""
    secret = finding.secret.reveal() if finding.secret is not None else None
    return finding.scheme, finding.account, secret, finding.outcome.value


def tells(
    parser: type[Parser], dialogue: Dialogue, lengths: Iterable[int] = ()
) -> list[tuple[str, str, bytes | None, str]]:
    return [told(finding) for finding in findings(parser, dialogue, lengths)]


def secrets_of(finding: Finding, dialogue: Dialogue) -> list[bytes]:
    """The bytes that the finding's spans are of."""
    return [at(dialogue, span) for span in finding.spans]


def assert_same_in_any_cut(parser: type[Parser], dialogue: Dialogue, lengths: Iterable[int]) -> None:
    """Cutting messages changes neither findings nor the frames, times and places that they tell; nor does it change
    them to put the parser aside after each message."""
    expected = findings(parser, dialogue)
    assert findings(parser, dialogue, lengths) == expected
    one = parser(TCP)
    given: list[Finding] = []
    for piece in pieces(dialogue):
        if not one.done:
            given += one.feed(piece)
            one = pickle.loads(pickle.dumps(one))
    assert given + list(one.finish()) == expected


def assert_harmless(parser: type[Parser], noise: Dialogue, begins: Sequence[bytes], lengths: Iterable[int]) -> None:
    """Random bytes, and beginnings of messages among them, raise nothing."""
    mixed = [(who, begins[n % len(begins)] + octets) for n, (who, octets) in enumerate(noise)]
    for dialogue in (noise, mixed, [(who, octets + b"\r\n") for who, octets in mixed]):
        findings(parser, dialogue, lengths)


def assert_bounded(parser: type[Parser], begins: Sequence[bytes], *, most: int = 200_000) -> None:
    """What a parser keeps of endless input of one kind is less than `most` bytes, pickled: here of 30 messages."""
    for begin in begins:
        for block in (begin * (2048 // len(begin) or 1), begin + b"a" * 8192):
            for senders in ((CLIENT,), (CLIENT, SERVER)):
                one = parser(TCP)
                for piece in pieces([(senders[n % len(senders)], block) for n in range(30)]):
                    one.feed(piece)
                assert len(pickle.dumps(one)) < most


def expected_credentials(captures: Path, protocol: str) -> dict[str, list[tuple[int, str]]]:
    """Frame and account of what `tshark -q -z credentials` finds, by capture; frames are those that it lists."""
    found: dict[str, list[tuple[int, str]]] = {}
    for row in (captures / "EXPECTED_tshark_credentials.tsv").read_text().splitlines()[1:]:
        _, capture, frame, name, account = (row + "\t").split("\t")[:5]
        if name == protocol:
            found.setdefault(capture, []).append((int(frame), account.split(" Username in packet")[0].strip()))
    return found
