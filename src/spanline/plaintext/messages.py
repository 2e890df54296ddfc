"""Messages of a head and a body, as HTTP/1, RTSP and SIP write them: RFC 9112 section 2.

Heads are given whole. Bodies are counted down, and the beginning of one is kept only where somebody asks for it.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from enum import Enum, auto

from spanline.plaintext.model import Piece, Sender, Span

LONGEST_HEAD = 32768
LONGEST_BODY = 16384
"""Bytes that are kept of a body."""

_LONGEST_CHUNK_LINE = 4096
_MOST_PARTS = 256

_BEGINS = re.compile(rb"[A-Z][A-Z0-9_-]{1,19}(?: \S|/\d\.\d )")


@dataclass(slots=True)
class Head:
    """A first line and headers, up to the empty line.

    offset  of its first byte in what its sender sent
    time    when its last byte came, ns since the epoch
    frame   the one that brought its last byte
    """

    sender: Sender
    data: bytes = field(repr=False)
    offset: int
    time: int
    frame: int

    def span(self, start: int, end: int) -> Span:
        return Span(self.sender, self.offset + start, self.offset + end)

    def where(self, start: int, end: int) -> tuple[tuple[Span, ...], int]:
        """Where the bytes from `start` up to `end` stand, and the frame that brought them."""
        return (self.span(start, end),), self.frame


@dataclass(slots=True)
class Body:
    """The beginning of a body, without what chunks add to it.

    parts  where it stands: (place in the body, offset in the stream, frame), by place
    """

    sender: Sender
    data: bytes = field(repr=False, default=b"")
    time: int = 0
    whole: bool = True
    parts: list[tuple[int, int, int]] = field(default_factory=list)

    def add(self, octets: bytes, offset: int, time: int, frame: int) -> None:
        kept = octets[: LONGEST_BODY - len(self.data)]
        joined = bool(self.parts) and offset - self.parts[-1][1] == len(self.data) - self.parts[-1][0]
        if not (joined and (frame == self.parts[-1][2] or len(self.parts) >= _MOST_PARTS)):
            if len(self.parts) >= _MOST_PARTS:
                kept = b""
            else:
                self.parts.append((len(self.data), offset, frame))
        self.whole = self.whole and len(kept) == len(octets)
        self.data += kept
        self.time = time

    def where(self, start: int, end: int) -> tuple[tuple[Span, ...], int]:
        """Where the bytes from `start` up to `end` stand, and the frame that brought the last of them."""
        spans: list[Span] = []
        frame = 0
        ends = [place for place, _, _ in self.parts[1:]] + [len(self.data)]
        for (place, offset, which), stop in zip(self.parts, ends, strict=True):
            first, last = max(start, place), min(end, stop)
            if first < last:
                begin, frame = offset + first - place, which
                if spans and spans[-1].end == begin:
                    begin = spans.pop().start
                spans.append(Span(self.sender, begin, offset + last - place))
        return tuple(spans), frame


class _State(Enum):
    HEAD = auto()
    BODY = auto()
    CHUNK_SIZE = auto()
    CHUNK = auto()
    TRAILERS = auto()
    REST = auto()
    LOST = auto()


class Messages:
    """Reads one side's messages, one after another.

    After each head its body has to be announced, before the next step. After a gap in a head, and where something is no
    head, what comes is passed over until a piece begins like one.

    interleaved  frames that begin with $ stand between messages (RFC 7826 section 14)
    resumed      something was passed over before the last head; set to False by who has taken note
    """

    def __init__(self, sender: Sender, *, interleaved: bool = False) -> None:
        self._sender = sender
        self._interleaved = interleaved
        self.resumed = False
        self._state = _State.HEAD
        self._bytes = b""
        self._offset = 0
        self._searched = 0
        self._time = 0
        self._frame = 0
        self._left = 0
        self._body: Body | None = None

    def passes(self, piece: Piece) -> bool:
        """Counts a piece down that is nothing but body which nobody wants; False when it has to be fed."""
        if self._state is _State.REST:
            return True
        size = piece.gap + len(piece.data)
        if self._body is None and self._state in (_State.BODY, _State.CHUNK) and size < self._left:
            self._left -= size
            return True
        return False

    def feed(self, piece: Piece) -> None:
        """All of the pieces before has to be taken first."""
        if piece.gap:
            self._miss(piece.gap)
        self._bytes += piece.data
        self._offset = piece.offset + len(piece.data) - len(self._bytes)
        self._time, self._frame = piece.time, piece.frame

    def next(self) -> Head | Body | None:
        """The next head, or the body that was asked for; None when the rest of it has not come yet."""
        while True:
            if self._state is _State.HEAD:
                if not self._begins():
                    return None
                if self._state is _State.HEAD:
                    return self._head()
            elif self._state in (_State.BODY, _State.CHUNK):
                self._count_down()
                if self._left:
                    return None
                if self._state is _State.BODY:
                    self._state = _State.HEAD
                    if self._body:
                        return self._kept()
                else:
                    self._state = _State.CHUNK_SIZE
            elif self._state in (_State.CHUNK_SIZE, _State.TRAILERS):
                if not self._chunk_line():
                    return None
                if self._body and self._is_over():
                    return self._kept()
            elif self._state is _State.REST or not _BEGINS.match(self._bytes):
                self._use(len(self._bytes))
                return None
            else:
                self._state = _State.HEAD
                self.resumed = True

    def body(self, length: int | None, *, chunked: bool = False, keep: bool = False) -> None:
        """Announces the body of the head before: its length, chunks, or None for all that comes."""
        self._body = Body(self._sender) if keep else None
        self._left = length or 0
        if chunked:
            self._state = _State.CHUNK_SIZE
        elif length is None:
            self._state = _State.REST
        else:
            self._state = _State.BODY

    def lose(self) -> None:
        """The head before was none."""
        self._state = _State.LOST

    def rest(self) -> Body | None:
        """A kept body that has begun, when nothing more of it will come."""
        if self._body is None or not self._body.data:
            return None
        self._body.whole = False
        return self._kept()

    def _kept(self) -> Body | None:
        body, self._body = self._body, None
        return body

    def _is_over(self) -> bool:
        return self._state is _State.HEAD

    def _use(self, count: int) -> None:
        self._bytes = self._bytes[count:]
        self._offset += count
        self._searched = 0

    def _miss(self, gap: int) -> None:
        if self._body:
            self._body.whole = False
        if self._state in (_State.BODY, _State.CHUNK) and gap <= self._left:
            self._left -= gap
        elif self._state is not _State.REST:
            self._state = _State.LOST
            self._body = None
        self._bytes = b""
        self._searched = 0

    def _begins(self) -> bool:
        """Passes over what may stand before a head; False when more has to come."""
        start = 0
        while self._bytes[start : start + 1] in (b"\r", b"\n"):
            start += 1
        if start:
            self._use(start)
        if not self._bytes:
            return False
        if self._interleaved and self._bytes[0] == 36:
            if len(self._bytes) < 4:
                return False
            self.body(4 + int.from_bytes(self._bytes[2:4]))
        elif not 65 <= self._bytes[0] <= 90:
            self._state = _State.LOST
        return True

    def _head(self) -> Head | None:
        start = max(0, self._searched - 3)
        end, size = self._bytes.find(b"\n\r\n", start), 3
        bare = self._bytes.find(b"\n\n", start, end if end >= 0 else len(self._bytes))
        if bare >= 0:
            end, size = bare, 2
        if end < 0:
            self._searched = len(self._bytes)
            if self._searched > LONGEST_HEAD:
                self._state = _State.LOST
                self._use(self._searched)
            return None
        head = Head(self._sender, self._bytes[: end + 1], self._offset, self._time, self._frame)
        self._use(end + size)
        return head

    def _count_down(self) -> None:
        count = min(self._left, len(self._bytes))
        if self._body is not None and count:
            self._body.add(self._bytes[:count], self._offset, self._time, self._frame)
        self._left -= count
        self._use(count)

    def _chunk_line(self) -> bool:
        """RFC 9112 section 7.1: a size in hexadecimal digits; after the last chunk, headers and an empty line."""
        end = self._bytes.find(b"\n")
        if end < 0:
            if len(self._bytes) > _LONGEST_CHUNK_LINE:
                self._state = _State.LOST
                return True
            return False
        line = self._bytes[:end].strip()
        self._use(end + 1)
        if self._state is _State.TRAILERS:
            if not line:
                self._state = _State.HEAD
        elif line:
            size = line.split(b";")[0].strip()
            try:
                self._left = int(size[:16], 16)
            except ValueError:
                self._state = _State.LOST
                return True
            self._state = _State.CHUNK if self._left else _State.TRAILERS
        return True


_CONTENT_LENGTH = re.compile(rb"\n(?:content-length|l)[ \t]*:[ \t]*(\d{1,15})")
_CHUNKED = re.compile(rb"\ntransfer-encoding[ \t]*:[^\n]*\bchunked")


def content_length(lower: bytes) -> int | None:
    """What a head in lower case says, in SIP perhaps in the short form (RFC 3261 section 7.3.3); None when nothing."""
    found = _CONTENT_LENGTH.search(lower) if b"\ncontent-length" in lower or b"\nl" in lower else None
    return int(found[1]) if found else None


def is_chunked(lower: bytes) -> bool:
    return b"\ntransfer-encoding" in lower and _CHUNKED.search(lower) is not None
