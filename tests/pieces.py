"""What parsers of plaintext protocols are fed: pieces of a dialogue, in any cut.

findings(FtpParser, [(SERVER, b"220 …\\r\\n"), (CLIENT, b"USER …\\r\\n")], lengths=[1])
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from itertools import cycle

from hypothesis import strategies as st

from spanline.plaintext.model import Conversation, Finding, Parser, Piece, Sender, Span

CLIENT, SERVER = Sender.CLIENT, Sender.SERVER
START = 1_600_000_000_000_000_000
TCP = Conversation("tcp", "10.0.0.5", 50000, "10.0.1.2", 1234, START)
UDP = Conversation("udp", "10.0.0.5", 50000, "10.0.1.2", 1234, START)

Dialogue = Sequence[tuple[Sender, bytes]]

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
