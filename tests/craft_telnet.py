"""Telnet sessions as pieces of their streams: what a server prints, what somebody types, and its echo."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from spanline.plaintext.model import Conversation, Finding, Piece, Sender
from spanline.plaintext.parsers.telnet import TelnetParser

CONVERSATION = Conversation("tcp", "10.0.0.5", 40000, "10.0.1.2", 23)
START = 1_700_000_000_000_000_000
GAP = 10**8
"""ns from one piece to the next."""

CLIENT, SERVER = Sender.CLIENT, Sender.SERVER
Said = tuple[Sender, bytes]


def prints(text: str | bytes) -> list[Said]:
    """The server prints."""
    return [(SERVER, text.encode() if isinstance(text, str) else text)]


def types(text: str | bytes, *, enter: bytes = b"\r\0", answer: bytes = b"\r\n") -> list[Said]:
    """Somebody types a line, key by key, and the server echoes each key."""
    keys = text.encode() if isinstance(text, str) else text
    said: list[Said] = []
    for n in range(len(keys)):
        key = keys[n : n + 1]
        said += [(CLIENT, key), (SERVER, b"\b \b" if key == b"\x7f" else key)]
    return [*said, (CLIENT, enter), (SERVER, answer)]


def hides(text: str | bytes, *, shown: bytes = b"", enter: bytes = b"\r\0", answer: bytes = b"\r\n") -> list[Said]:
    """Somebody types a line, key by key, and the server shows nothing, or `shown` for each key."""
    keys = text.encode() if isinstance(text, str) else text
    said: list[Said] = []
    for n in range(len(keys)):
        said += [(CLIENT, keys[n : n + 1])] + ([(SERVER, shown)] if shown else [])
    return [*said, (CLIENT, enter), (SERVER, answer)]


def sends(text: str | bytes, enter: bytes = b"\r\n") -> list[Said]:
    """The client sends a whole line, which it showed by itself."""
    return [(CLIENT, (text.encode() if isinstance(text, str) else text) + enter)]


def pieces(said: Iterable[Said], cuts: Sequence[int] = ()) -> Iterator[Piece]:
    """Pieces, each a frame, from 1. `cuts` are places in all that was said where a piece is cut in two of one frame."""
    offsets, at = {CLIENT: 0, SERVER: 0}, 0
    for frame, (sender, data) in enumerate(said, 1):
        inside = sorted({cut - at for cut in cuts if at < cut < at + len(data)})
        for begin, end in zip([0, *inside], [*inside, len(data)], strict=True):
            yield Piece(sender, data[begin:end], offsets[sender], START + frame * GAP, frame)
            offsets[sender] += end - begin
        at += len(data)


@dataclass
class Told:
    """What the parser tells of a session."""

    findings: list[Finding]
    parser: TelnetParser

    @property
    def logins(self) -> list[tuple[str, str | None, str]]:
        """Account, secret, outcome."""
        return [
            (f.account, None if f.secret is None else f.secret.reveal().decode("utf-8", "replace"), str(f.outcome))
            for f in self.findings
        ]

    @property
    def commands(self) -> list[str]:
        assert self.parser.session is not None
        return [command.text for command in self.parser.session.commands]

    @property
    def text(self) -> str:
        assert self.parser.session is not None
        return self.parser.session.text()


def tell(parts: Iterable[Piece]) -> Told:
    parser = TelnetParser(CONVERSATION, transcript=True)
    findings: list[Finding] = []
    for piece in parts:
        findings += parser.feed(piece)
    findings += parser.finish()
    return Told(findings, parser)


def tell_of(*said: list[Said], only: Sender | None = None) -> Told:
    """What is told of a session, of one side of it where only that was captured."""
    return tell(piece for piece in pieces(part for parts in said for part in parts) if only in (None, piece.sender))


# A whole session: its options, a login that fails, one that does not, a command.
OPTIONS = b"\xff\xfd\x18\xff\xfd\x1f\xff\xfb\x01\xff\xfb\x03"
ANSWERS = b"\xff\xfb\x18\xff\xfb\x1f\xff\xfd\x01\xff\xfd\x03\xff\xfa\x1f\x00\x50\x00\x18\xff\xf0"
TERMINAL = b"\xff\xfa\x18\x00xterm-256color\xff\xf0"

LOGIN: list[list[Said]] = [
    prints(OPTIONS), [(CLIENT, ANSWERS + TERMINAL)], prints("Debian 12\r\nhost login: "), types("alice"),
    prints("Password: "), hides("wr\x7fong"), prints("\r\nLogin incorrect\r\nhost login: "), types("alice"),
    prints("Password: "), hides("opensesame"), prints("Last login: today\r\nalice@host:~$ "), types("ls /"),
    prints("bin  \x1b[01;34metc\x1b[0m\r\nalice@host:~$ "), types("exit"), prints("logout\r\n"),
]  # fmt: skip


def flat(*said: list[Said]) -> list[Said]:
    return [part for parts in said for part in parts]
