"""Records that say how long they are, put together from any cut of a stream; and attempts that wait for an answer."""

from __future__ import annotations

from abc import abstractmethod
from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import ClassVar

from spanline.plaintext.lines import Line
from spanline.plaintext.model import Conversation, Finding, Kind, Outcome, Parser, Piece, Sender, Span

Octets = bytes | bytearray
Length = Callable[[Octets], int]
"""How long the record is that some bytes, one at least, begin; UNDECIDED while more of its own bytes are needed;
WRONG when no record begins like this."""

UNDECIDED = 0
WRONG = -1
MOST_KEPT = 16 << 10
"""Bytes that are kept of a record. What follows in it is counted, and left out."""
MOST_FRAMES = 8
MOST_WAITING = 64
_MOST_TO_DECIDE = 1 << 10
_STEP = 64
_LONGEST_NAME = 512


@dataclass(frozen=True, slots=True)
class Record:
    """What one side sent at once, in the words of its protocol.

    data    its bytes, MOST_KEPT of them at most
    size    how long it is, with what was not kept
    start   of its first byte, counted as Piece.offset
    time    when its last byte was captured, ns since the epoch
    frames  numbers of the frames that brought it, some in the middle left out when they are more than MOST_FRAMES
    """

    sender: Sender
    data: bytes = field(repr=False)
    size: int
    start: int
    time: int
    frames: tuple[int, ...]

    def span(self, start: int, end: int) -> tuple[Span, ...]:
        """The bytes from `start` up to `end` of the record, as a place in the stream; nothing of nothing."""
        return (Span(self.sender, self.start + start, self.start + end),) if end > start else ()

    def line(self) -> Line:
        """The same for what reads lines."""
        return Line(self.sender, self.data, self.start, self.time, self.frames[-1], len(self.data) == self.size)


def with_frames(frames: tuple[int, ...], more: tuple[int, ...]) -> tuple[int, ...]:
    """Both, each number once; in the middle some are left out when they are many."""
    together = tuple(sorted({*frames, *more}))
    return together if len(together) <= MOST_FRAMES else (*together[: MOST_FRAMES - 1], together[-1])


def utf16_text(raw: Octets) -> str:
    """What little-endian UTF-16 says; no more than can be a name."""
    raw = raw[:_LONGEST_NAME]
    return raw[: len(raw) & ~1].decode("utf-16-le", "replace")


class Records:
    """Cuts what one side sends into records. Keeps MOST_KEPT bytes, whatever comes.

    broken  a byte came that no record begins with; nothing more is told
    """

    def __init__(self, length: Length) -> None:
        self._length = length
        self.broken = False
        self._forget()

    def _forget(self) -> None:
        self._kept = bytearray()
        self._size = UNDECIDED
        self._passed = 0
        self._holed = False
        self._start = 0
        self._frames: tuple[int, ...] = ()

    def feed(self, piece: Piece) -> Iterator[Record]:
        """The records that are complete with this piece. How long the next one is, is asked when it is wanted."""
        if piece.gap and not self.broken:
            yield from self._miss(piece)
        at = 0
        while at < len(piece.data) and not self.broken:
            if self._size == UNDECIDED:
                at = self._decide(piece, at)
                if self._size == UNDECIDED:
                    return
            at = self._fill(piece, at)
            if self._passed == self._size:
                yield from self._complete(piece)

    def _decide(self, piece: Piece, at: int) -> int:
        """Looks for the length in what is kept and, step by step, in the piece; keeps what it has looked at."""
        if not self._kept:
            self._start = piece.offset + at
        self._note(piece)
        while at < len(piece.data):
            before = len(self._kept)
            self._kept += piece.data[at : at + _STEP]
            size = self._length(self._kept)
            if size == WRONG or (size == UNDECIDED and len(self._kept) >= _MOST_TO_DECIDE):
                self.broken = True
                self._kept.clear()
                return len(piece.data)
            if size != UNDECIDED:
                del self._kept[size:]
                self._size, self._passed = size, len(self._kept)
                return at + max(len(self._kept) - before, 0)
            at += len(self._kept) - before
        return at

    def _fill(self, piece: Piece, at: int) -> int:
        taken = min(self._size - self._passed, len(piece.data) - at)
        if taken:
            self._note(piece)
            if not self._holed:
                self._kept += piece.data[at : at + min(taken, MOST_KEPT - len(self._kept))]
            self._passed += taken
        return at + taken

    def _note(self, piece: Piece) -> None:
        if not self._frames or self._frames[-1] != piece.frame:
            self._frames = with_frames(self._frames, (piece.frame,))

    def _complete(self, piece: Piece) -> Iterator[Record]:
        if not self._holed:
            yield Record(piece.sender, bytes(self._kept), self._size, self._start, piece.time, self._frames)
        self._forget()

    def _miss(self, piece: Piece) -> Iterator[Record]:
        """What is missing ends inside a record, or behind it: then the piece may begin another one. It mostly does, and
        its length says when it does not."""
        if not self._size or piece.gap > self._size - self._passed:
            self._forget()
            return
        self._holed |= len(self._kept) < min(self._size, MOST_KEPT)
        self._passed += piece.gap
        if self._passed == self._size:
            yield from self._complete(piece)


class Dialogue(Parser):
    """A parser whose attempts wait for the other side's answer, the oldest first, MOST_WAITING at most.

    heard  something of the server was seen, or nobody expects it; else attempts are marked as inferred
    """

    def __init__(self, conversation: Conversation) -> None:
        super().__init__(conversation)
        self._waiting: deque[tuple[object, Finding]] = deque()
        self._told: list[Finding] = []
        self.heard = conversation.transport == "udp"

    def feed(self, piece: Piece) -> list[Finding]:
        if not self.done:
            self.heard |= piece.sender == Sender.SERVER
            self.take(piece)
        told, self._told = self._told, []
        return told

    def finish(self) -> list[Finding]:
        if not self.done:
            self.end()
        self.stop()
        told, self._told = self._told, []
        return told

    @abstractmethod
    def take(self, piece: Piece) -> None:
        """What feed() does, while not done."""

    def end(self) -> None:
        """The conversation is over: what is still to be told, besides attempts that wait."""

    def tell(self, finding: Finding) -> None:
        finding.inferred = finding.inferred or not (self.heard or finding.kind == Kind.SERVICE)
        self._told.append(finding)

    def wait(self, finding: Finding, key: object = None) -> None:
        """Until answer() with the same key."""
        if len(self._waiting) >= MOST_WAITING:
            self.tell(self._waiting.popleft()[1])
        self._waiting.append((key, finding))

    def waits(self, key: object = None) -> bool:
        return any(one == key for one, _ in self._waiting)

    @property
    def idle(self) -> bool:
        """Nothing waits: what the server says matters to no attempt."""
        return not self._waiting

    def answer(self, outcome: Outcome, frames: tuple[int, ...], key: object = None) -> None:
        """How the oldest attempt with this key ended; nothing when none waits."""
        for n, (one, finding) in enumerate(self._waiting):
            if one == key:
                del self._waiting[n]
                finding.outcome = outcome
                finding.frames = with_frames(finding.frames, frames)
                self.tell(finding)
                return

    def rename(self, key: object, new: object) -> None:
        """The oldest attempt with this key is answered under another one."""
        for n, (one, finding) in enumerate(self._waiting):
            if one == key:
                self._waiting[n] = new, finding
                return

    def withdraw(self, key: object = None) -> None:
        """What waits with this key was no attempt."""
        self._waiting = deque(one for one in self._waiting if one[0] != key)

    def stop(self) -> None:
        """Nothing more is wanted: what still waits is told without an answer."""
        while self._waiting:
            self.tell(self._waiting.popleft()[1])
        self.done = True


class RecordDialogue(Dialogue):
    """Attempts in records: both sides' bytes are cut into them. A side whose bytes are no records ends it.

    datagrams  the protocol is spoken over UDP, too, where every datagram is a record, of any length
    """

    datagrams: ClassVar[bool] = False

    def __init__(self, conversation: Conversation) -> None:
        super().__init__(conversation)
        self._sides = {
            Sender.CLIENT: Records(self.client_length),
            Sender.SERVER: Records(self.server_length),
        }
        self._by_datagram = conversation.transport == "udp"

    @abstractmethod
    def client_length(self, data: Octets) -> int:
        """As Length; it may ask what was told before."""

    def server_length(self, data: Octets) -> int:
        return self.client_length(data)

    @abstractmethod
    def from_client(self, record: Record) -> None:
        pass

    @abstractmethod
    def from_server(self, record: Record) -> None:
        pass

    def take(self, piece: Piece) -> None:
        if self._by_datagram and not self.datagrams:
            self.stop()
            return
        if not piece.data:
            return
        side = self._sides[piece.sender]
        hand = self.from_client if piece.sender == Sender.CLIENT else self.from_server
        for record in (_datagram(piece),) if self._by_datagram else side.feed(piece):
            hand(record)
            if self.done:
                return
        if side.broken:
            self.stop()


def _datagram(piece: Piece) -> Record:
    data = piece.data[:MOST_KEPT]
    return Record(piece.sender, bytes(data), len(piece.data), piece.offset, piece.time, (piece.frame,))
