"""Conversations that are followed: each has a parser, which is fed what both sides sent."""

from __future__ import annotations

import pickle
from collections import Counter, deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from spanline.errors import Problem
from spanline.plaintext.ends import Ends, ends_of
from spanline.plaintext.findings import Found
from spanline.plaintext.model import Conversation, Finding, Parser, Piece, Sender
from spanline.plaintext.scanning import Scanner
from spanline.plaintext.watching import Watch
from spanline.schema import PAYLOAD_CONVERSATION_DTYPE, PAYLOAD_PIECE_FLAGS

BYTES_PER_PARSER = 8192
"""What a conversation may take here: a parser keeps a line or a message at most, and most keep nothing."""

_MOST_FAULTS = 100
_SENDERS = tuple(Sender)
_COLUMNS = ("slot", "sender", "start", "length", "offset", "time", "frame", "gap", "flags")
_ENDED, _LIMIT, _LISTENED = (1 << PAYLOAD_PIECE_FLAGS.index(name) for name in ("ended", "limit", "listened"))


@dataclass(slots=True)
class Followed:
    """A conversation and who reads it.

    serial          its number in Payloads, which no other one gets
    row             what Payloads says of it: the bytes of a row of schema.PAYLOAD_CONVERSATION
    client_end      which of the two ends there is the client: 0 or 1
    protocol        "" when only rules are looked for
    reader          the parser that it gets when there is something to read; None then, or when there is no protocol
    is_dormant      it gets it when one of the protocol's triggers comes: at first, only its client is listened to
    parser, watch   None when there is nothing for it to read, or nothing more
    ends            who it is between, as known() tells; None until somebody asked
    """

    serial: int
    row: bytes
    client_end: int
    protocol: str
    foreign_port: bool
    reader: Callable[[Conversation], Parser] | None
    is_dormant: bool
    watch: Watch | None
    parser: Parser | None = None
    ends: Ends | None = None

    def known(self) -> Ends:
        if self.ends is None:
            (self.ends,) = ends_of(np.frombuffer(self.row, PAYLOAD_CONVERSATION_DTYPE), [self.client_end])
        return self.ends

    @property
    def is_over(self) -> bool:
        return self.reader is None and self.parser is None and self.watch is None


@dataclass(frozen=True, slots=True)
class _Fault:
    """Where a parser raised. What it raised may quote what it read, and is not kept."""

    protocol: str
    error: str
    file: str
    line: int


class Following:
    """All conversations that are followed, by their slots in Payloads; of too many, those go that were silent for long.

    limit  conversations at a time

    `over` are slots and serials of those of which nothing more is wanted; who takes them clears it.
    """

    def __init__(self, scanner: Scanner, limit: int) -> None:
        self.scanner = scanner
        self.followed = 0
        self.evicted = 0
        self.cut = 0
        self.over: deque[tuple[int, int]] = deque()
        self._limit = limit
        self._by_slot: dict[int, Followed] = {}
        # By slot: whether it is followed, and in which turn it said something last.
        self._is_followed = np.zeros(1024, np.bool_)
        self._heard = np.zeros(1024, np.uint32)
        self._turn = 0
        self._faults: Counter[_Fault] = Counter()

    def begin(self, slot: int, followed: Followed) -> None:
        self._by_slot[slot] = followed
        if slot >= len(self._is_followed):
            self._make_room(slot)
        self._is_followed[slot] = True
        self._heard[slot] = self._turn
        self.followed += 1

    def let_go(self) -> list[Found]:
        """Gives what those still had that go, as there are too many: those that were silent for longest."""
        found = []
        excess = len(self._by_slot) - self._limit
        if excess > 0:
            slots = np.fromiter(self._by_slot, np.int64, len(self._by_slot))
            for slot in slots[np.argsort(self._heard[slots], kind="stable")[:excess]].tolist():
                found += self._end(slot, self._by_slot[slot])
            self.evicted += excess
        return found

    def _make_room(self, slot: int) -> None:
        self._is_followed = np.concatenate([self._is_followed, np.zeros(slot + 1, np.bool_)])
        self._heard = np.concatenate([self._heard, np.zeros(slot + 1, np.uint32)])

    def feed(self, pieces: npt.NDArray[np.void], octets: npt.NDArray[np.uint8]) -> list[Found]:
        """Gives each piece (schema.PAYLOAD_PIECE, of `octets`) to the parser of its conversation, if that is awake."""
        found: list[Found] = []
        if not len(pieces):
            return found
        if pieces["slot"].max() >= len(self._is_followed):  # of one that was let go already
            self._make_room(int(pieces["slot"].max()))
        self._turn += 1
        self._heard[pieces["slot"]] = self._turn
        is_read = self._is_followed[pieces["slot"]] & (pieces["flags"] & (_LISTENED | _ENDED) != _LISTENED)
        sent = octets.data
        for slot, end, start, length, offset, time, frame, gap, flags in _columns(pieces, np.flatnonzero(is_read)):
            followed = self._by_slot.get(slot)
            if followed is None:
                continue
            if length:
                sender = _SENDERS[end ^ followed.client_end]
                piece = Piece(sender, bytes(sent[start : start + length]), offset, time, frame, gap)
                self._read(followed, piece, found)
            if flags & _ENDED:
                self.cut += bool(flags & _LIMIT)
            if flags & _ENDED or followed.is_over:
                found += self._end(slot, followed)
        return found

    def wake(self, slot: int, message: Sequence[Piece]) -> list[Found]:
        """A dormant conversation's client has said something."""
        found: list[Found] = []
        followed = self._by_slot.get(slot)
        if followed is not None:
            for piece in message:
                self._read(followed, piece, found)
        return found

    def _read(self, followed: Followed, piece: Piece, found: list[Found]) -> None:
        if followed.reader is not None:
            followed.parser, followed.reader = followed.reader(followed.known().conversation), None
        if followed.parser is not None:
            if findings := self._told(followed, followed.parser.feed, piece):
                found += _found(followed, findings)
            if followed.parser is not None and followed.parser.done:
                found += _found(followed, self._told(followed, followed.parser.finish))
                followed.parser = None
        if followed.watch is not None:
            found += _found(followed, followed.watch.feed(piece, self.scanner))
            if followed.watch.done:
                followed.watch = None

    def _end(self, slot: int, followed: Followed) -> list[Found]:
        del self._by_slot[slot]
        self._is_followed[slot] = False
        self.over.append((slot, followed.serial))
        return self._finished(followed)

    def finish(self) -> list[Found]:
        """Ends all conversations; gives what their parsers still have."""
        found = [one for followed in self._by_slot.values() for one in self._finished(followed)]
        self._by_slot.clear()
        self._is_followed[:] = False
        return found

    def _finished(self, followed: Followed) -> list[Found]:
        findings: list[Finding] = []
        if followed.parser is not None:
            findings += self._told(followed, followed.parser.finish)
        if followed.watch is not None:
            findings += followed.watch.finish(self.scanner)
        return _found(followed, findings)

    def _told(self, followed: Followed, tell: Callable[..., Iterable[Finding]], *piece: Piece) -> list[Finding]:
        """What a parser tells; one that raises, which is a fault of ours, has nothing more to tell."""
        try:
            return list(tell(*piece))
        except Exception as error:
            followed.parser = None
            trace = error.__traceback__
            while trace is not None and trace.tb_next is not None:
                trace = trace.tb_next
            file, line = ("", 0) if trace is None else (Path(trace.tb_frame.f_code.co_filename).name, trace.tb_lineno)
            fault = _Fault(followed.protocol, type(error).__name__, file, line)
            if fault in self._faults or len(self._faults) < _MOST_FAULTS:
                self._faults[fault] += 1
            return []

    @property
    def problems(self) -> list[Problem]:
        """Parsers that raised: where, what kind of exception, and how often."""
        return [
            Problem(
                fault.file,
                "parser",
                f"{fault.error} in {count:,} {fault.protocol} conversation{'' if count == 1 else 's'}, which "
                f"{'was' if count == 1 else 'were'} given up",
                f"line {fault.line}",
                "a fault of spanline's; please report it",
            )
            for fault, count in self._faults.items()
        ]

    def state(self) -> bytes:
        """Parsers are in it as Python pickles them."""
        counts = self.followed, self.evicted, self.cut, self._turn
        slots = self._by_slot, self._is_followed, self._heard
        return pickle.dumps((slots, self._faults, counts, self.over))

    def restore(self, state: bytes) -> None:
        slots, self._faults, counts, self.over = pickle.loads(state)
        self._by_slot, self._is_followed, self._heard = slots
        self.followed, self.evicted, self.cut, self._turn = counts


def _found(followed: Followed, findings: Iterable[Finding]) -> list[Found]:
    return [Found(finding, *followed.known(), followed.protocol, followed.foreign_port) for finding in findings]


def _columns(pieces: npt.NDArray[np.void], rows: npt.NDArray[np.int64]) -> Iterator[tuple[int, ...]]:
    """The _COLUMNS of some rows."""
    return zip(*(pieces[name][rows].tolist() for name in _COLUMNS), strict=True)
