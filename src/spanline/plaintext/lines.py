"""Lines of what one side of a conversation sends, with where they stand in its stream; a few KiB are kept."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterable
from dataclasses import dataclass, field

from spanline.plaintext.model import Conversation, Finding, Parser, Piece, Sender, Span

LONGEST = 8192
"""Bytes of a line that are kept. RFC 5321 section 4.5.3.1.6 allows 1000; tokens of SASL are longer."""

TLS_HANDSHAKE = b"\x16\x03"
"""A record of TLS begins so (RFC 8446 section 5.1), and no line of text."""


@dataclass(frozen=True, slots=True)
class Line:
    """A line without its end, or so many bytes as were asked for.

    offset  of its first byte in what its sender sent
    time    when its last byte came, ns since the epoch
    frame   the one that brought its last byte
    whole   nothing of it is missing or was left out
    """

    sender: Sender
    data: bytes = field(repr=False)
    offset: int
    time: int
    frame: int
    whole: bool = True

    def span(self, start: int = 0, end: int | None = None) -> Span:
        """Where its bytes from `start` up to `end` stand in the stream."""
        return Span(self.sender, self.offset + start, self.offset + (len(self.data) if end is None else end))


class Lines:
    """Cuts pieces of one side into lines, which end with LF or CR LF.

    A gap ends a line, and a line begins after it: what is missing is mostly whole packets, and those end with lines.
    """

    def __init__(self, sender: Sender) -> None:
        self._sender = sender
        self._bytes = b""
        self._at = 0
        self._searched = 0
        self._offset = 0
        self._time = 0
        self._frame = 0
        self._cut: Line | None = None
        self._skip = 0
        self._until = b""
        self._too_long = False

    def feed(self, piece: Piece) -> None:
        """All lines of the pieces before have to be taken first."""
        kept = self._bytes[self._at :]
        if piece.gap:
            self._skip = max(0, self._skip - piece.gap)
            if kept and not self._until:
                self._cut = self._cut or self._line(self._at, len(self._bytes), whole=False)
            kept = b""
            self._too_long = False
        self._searched = max(0, self._searched - self._at) if kept else 0
        self._bytes = kept + piece.data
        self._at = 0
        self._offset = piece.offset - len(kept)
        self._time, self._frame = piece.time, piece.frame

    def line(self) -> Line | None:
        """The next one; None when the rest of it has not come yet."""
        while True:
            if self._cut:
                cut, self._cut = self._cut, None
                return cut
            if not self._skipped():
                return None
            end = self._bytes.find(b"\n", max(self._at, self._searched))
            if end < 0:
                self._searched = len(self._bytes)
                self._cap()
                if self._cut:
                    continue
                return None
            start, self._at = self._at, end + 1
            if self._too_long:
                self._too_long = False
                continue
            end -= end > start and self._bytes[end - 1] == 13
            return self._line(start, min(end, start + LONGEST), whole=end - start <= LONGEST)

    def block(self, count: int) -> Line | None:
        """The next `count` bytes, at most LONGEST, whatever they are; None when some have not come yet."""
        if self._cut:
            cut, self._cut = self._cut, None
            return cut
        self._searched = self._at
        if not self._skipped() or len(self._bytes) - self._at < count:
            return None
        self._at += count
        return self._line(self._at - count, self._at, whole=True)

    def rest(self) -> Line | None:
        """What came after the last line's end, when nothing more will."""
        if self._cut or self._too_long or self._skip or self._until or self._at == len(self._bytes):
            return self._cut
        start, self._at = self._at, len(self._bytes)
        return self._line(start, self._at, whole=False)

    def skip(self, count: int) -> None:
        """The next `count` bytes are no lines."""
        self._skip += count

    def skip_until(self, end: bytes) -> None:
        """What comes is no lines until `end` has come, whose own bytes may begin with those that ended this line."""
        self._until = end
        self._at = max(0, self._at - (len(end) - 1))

    @property
    def skipping(self) -> bool:
        return bool(self._until or self._skip)

    def stop_skipping(self) -> None:
        """The other side says that it is over. What came until now is dropped."""
        self._until, self._skip, self._at = b"", 0, len(self._bytes)

    def drop(self) -> None:
        """Nobody wants the lines that have come: only the beginning of the last one is kept."""
        if self._skipped():
            end = self._bytes.rfind(b"\n") + 1
            if end > self._at:
                self._at, self._too_long = end, False
            self._searched = len(self._bytes)
            self._cap()
        self._cut = None

    def _skipped(self) -> bool:
        if self._skip:
            count = min(self._skip, len(self._bytes) - self._at)
            self._at += count
            self._skip -= count
            if self._skip:
                return False
        if self._until:
            found = self._bytes.find(self._until, self._at)
            if found < 0:
                self._at = max(self._at, len(self._bytes) - len(self._until) + 1)
                return False
            self._at = found + len(self._until)
            self._until = b""
        return True

    def _cap(self) -> None:
        if len(self._bytes) - self._at > LONGEST + 1:
            if not self._too_long:
                self._cut = self._line(self._at, self._at + LONGEST, whole=False)
            self._too_long = True
        if self._too_long:
            self._at = len(self._bytes)

    def _line(self, start: int, end: int, *, whole: bool) -> Line:
        return Line(self._sender, self._bytes[start:end], self._offset + start, self._time, self._frame, whole)


class LineParser(Parser):
    """A parser of a protocol whose both sides send lines.

    A finding is marked as inferred when nothing of the server was seen. TLS ends the parser's work.
    """

    def __init__(self, conversation: Conversation) -> None:
        super().__init__(conversation)
        self.lines = (Lines(Sender.CLIENT), Lines(Sender.SERVER))
        self.heard = False
        self._given: list[Finding] = []

    @abstractmethod
    def client(self, line: Line) -> None:
        """Takes the next line of the client."""

    @abstractmethod
    def server(self, line: Line) -> None:
        """Takes the next line of the server."""

    @abstractmethod
    def end(self) -> None:
        """Gives the attempts that nobody has answered."""

    def awaits(self) -> bool:
        """Whether what the server says now matters; when not, its lines are not even looked for."""
        return True

    def next(self, lines: Lines) -> Line | None:
        return lines.line()

    def give(self, finding: Finding) -> None:
        finding.inferred = finding.inferred or not self.heard
        self._given.append(finding)

    def feed(self, piece: Piece) -> Iterable[Finding]:
        if self.done:
            return ()
        lines = self.lines[piece.sender]
        lines.feed(piece)
        self.heard = self.heard or piece.sender == Sender.SERVER
        while not self.done:
            if piece.sender == Sender.SERVER and not self.awaits():
                lines.drop()
                break
            line = self.next(lines)
            if line is None:
                break
            self._take(line)
        return self._taken()

    def finish(self) -> Iterable[Finding]:
        if not self.done:
            for lines in self.lines:
                rest = lines.rest()
                if rest is not None and not self.done and (lines is self.lines[Sender.CLIENT] or self.awaits()):
                    self._take(rest)
            self.end()
            self.done = True
        return self._taken()

    def _take(self, line: Line) -> None:
        if line.data.startswith(TLS_HANDSHAKE):
            self.end()
            self.done = True
        elif line.sender == Sender.CLIENT:
            self.client(line)
        else:
            self.server(line)

    def _taken(self) -> list[Finding]:
        given, self._given = self._given, []
        return given


def text(octets: bytes, longest: int = 256) -> str:
    """An account as text: UTF-8 where it is, else Latin-1; not all of a very long one."""
    try:
        return octets[:longest].decode()
    except UnicodeDecodeError:
        return octets[:longest].decode("latin-1")


def add_frame(finding: Finding, frame: int) -> None:
    """A frame that shows the finding, once."""
    if frame not in finding.frames:
        finding.frames += (frame,)
