"""Conversations that are followed: each has a parser, which is fed what both sides sent."""

from __future__ import annotations

import pickle
from collections import Counter, OrderedDict, deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from spanline.errors import Problem
from spanline.plaintext.dormant import Dormant
from spanline.plaintext.findings import Found
from spanline.plaintext.model import Conversation, Finding, Parser, Piece, Plaintext, Sender
from spanline.plaintext.scanning import Scanner
from spanline.plaintext.watching import Watch
from spanline.schema import PAYLOAD_PIECE_FLAGS

BYTES_PER_PARSER = 8192
"""What a conversation may take here: a parser keeps a line or a message at most, and most keep nothing."""

_MOST_FAULTS = 100
_SENDERS = tuple(Sender)
_COLUMNS = ("slot", "sender", "start", "length", "offset", "time", "frame", "gap", "flags")
_ENDED, _LIMIT = (1 << PAYLOAD_PIECE_FLAGS.index(name) for name in ("ended", "limit"))

# Of a slot: who reads it. A dormant one's client is the end of that number, behind _DORMANT.
_NOBODYS, _AWAKE, _DORMANT = 0, 1, 2


@dataclass(slots=True)
class Followed:
    """A conversation and who reads it.

    serial          its number in Payloads, which no other one gets
    client, server  addresses, 16 bytes, IPv4 mapped
    client_end      which of the two ends that Payloads knows is the client: 0 or 1
    protocol        "" when only rules are looked for
    reader          the parser that it gets when there is something to read; None then, or when there is no protocol
    is_dormant      it gets it when one of the protocol's triggers comes
    parser, watch   None when there is nothing for it to read, or nothing more
    """

    serial: int
    conversation: Conversation
    client: bytes
    server: bytes
    client_end: int
    protocol: str
    foreign_port: bool
    reader: type[Parser] | None
    is_dormant: bool
    watch: Watch | None
    parser: Parser | None = None

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

    protocols  those that may be followed
    limit      conversations at a time

    `over` are slots and serials of those of which nothing more is wanted; who takes them clears it.
    """

    def __init__(self, protocols: Sequence[Plaintext], scanner: Scanner, limit: int) -> None:
        self.scanner = scanner
        self.followed = 0
        self.evicted = 0
        self.cut = 0
        self.over: deque[tuple[int, int]] = deque()
        self._limit = limit
        self._by_slot: OrderedDict[int, Followed] = OrderedDict()
        self._dormant = Dormant(protocols)
        self._modes = np.zeros(1024, np.uint8)
        self._faults: Counter[_Fault] = Counter()

    def begin(self, slot: int, followed: Followed) -> None:
        self._by_slot[slot] = followed
        self._set_mode(slot, _DORMANT + followed.client_end if followed.is_dormant else _AWAKE)
        self.followed += 1

    def let_go(self) -> list[Found]:
        """Gives what those still had that go, as there are too many."""
        found = []
        while len(self._by_slot) > self._limit:
            oldest = next(iter(self._by_slot))
            found += self._end(oldest, self._by_slot[oldest])
            self.evicted += 1
        return found

    def _set_mode(self, slot: int, mode: int) -> None:
        if slot >= len(self._modes):
            self._modes = np.concatenate([self._modes, np.zeros(slot + 1, np.uint8)])
        self._modes[slot] = mode

    def feed(self, pieces: npt.NDArray[np.void], octets: npt.NDArray[np.uint8]) -> list[Found]:
        """Gives each piece (schema.PAYLOAD_PIECE, of `octets`) to the parser of its conversation."""
        found: list[Found] = []
        if not len(pieces):
            return found
        if pieces["slot"].max() >= len(self._modes):  # of one that was let go already
            self._set_mode(int(pieces["slot"].max()), _NOBODYS)
        modes = self._modes[pieces["slot"]]
        woken = self._wake(pieces, octets, modes, found) if (modes >= _DORMANT).any() else {}
        if woken:
            modes = self._modes[pieces["slot"]]
        rows = np.flatnonzero((modes == _AWAKE) | ((modes != _NOBODYS) & (pieces["flags"] & _ENDED != 0)))
        sent = octets.data
        for row, slot, end, start, length, offset, time, frame, gap, flags in _columns(pieces, rows):
            followed = self._by_slot.get(slot)
            if followed is None:
                continue
            if length and row > woken.get(slot, -1):
                sender = _SENDERS[end ^ followed.client_end]
                piece = Piece(sender, bytes(sent[start : start + length]), offset, time, frame, gap)
                self._by_slot.move_to_end(slot)
                self._read(followed, piece, found)
            if flags & _ENDED:
                self.cut += bool(flags & _LIMIT)
            if flags & _ENDED or followed.is_over:
                found += self._end(slot, followed)
        return found

    def _wake(
        self,
        pieces: npt.NDArray[np.void],
        octets: npt.NDArray[np.uint8],
        modes: npt.NDArray[np.uint8],
        found: list[Found],
    ) -> dict[int, int]:
        """Looks for triggers in what dormant conversations say. For those that have one, the last piece that their
        parser was given."""
        woken: dict[int, int] = {}
        sent = octets.data
        from_clients = (pieces["sender"] == modes.astype(np.int16) - _DORMANT) & (pieces["length"] > 0)
        rows = np.flatnonzero(from_clients)
        slots, starts = pieces["slot"][rows], pieces["start"][rows].astype(np.int64)
        ends = starts + pieces["length"][rows]
        for slot in dict.fromkeys(slots.tolist()):
            self._by_slot.move_to_end(slot)
        parts = [sent[start:end] for start, end in zip(starts.tolist(), ends.tolist(), strict=True)]
        for n in self._dormant.telling(parts, octets, slots, starts, ends):
            slot, part = int(slots[n]), parts[n]
            if slot in woken:
                continue
            row = int(rows[n])
            offset, time, frame, gap = (int(pieces[name][row]) for name in ("offset", "time", "frame", "gap"))
            message = self._dormant.feed(slot, Piece(Sender.CLIENT, bytes(part), offset, time, frame, gap))
            if message:
                woken[slot] = row
                self._modes[slot] = _AWAKE
                for piece in message:
                    self._read(self._by_slot[slot], piece, found)
        return woken

    def _read(self, followed: Followed, piece: Piece, found: list[Found]) -> None:
        if followed.reader is not None:
            followed.parser, followed.reader = followed.reader(followed.conversation), None
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
        self._modes[slot] = _NOBODYS
        self._dormant.forget(slot)
        self.over.append((slot, followed.serial))
        return self._finished(followed)

    def finish(self) -> list[Found]:
        """Ends all conversations; gives what their parsers still have."""
        found = [one for followed in self._by_slot.values() for one in self._finished(followed)]
        self._by_slot.clear()
        self._modes[:] = _NOBODYS
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
        counts = self.followed, self.evicted, self.cut
        return pickle.dumps((self._by_slot, self._modes, self._dormant.messages, self._faults, counts, self.over))

    def restore(self, state: bytes) -> None:
        self._by_slot, self._modes, self._dormant.messages, self._faults, counts, self.over = pickle.loads(state)
        self.followed, self.evicted, self.cut = counts


def _found(followed: Followed, findings: Iterable[Finding]) -> list[Found]:
    facts = followed.conversation, followed.client, followed.server, followed.protocol, followed.foreign_port
    return [Found(finding, *facts) for finding in findings]


def _columns(pieces: npt.NDArray[np.void], rows: npt.NDArray[np.int64]) -> Iterator[tuple[int, ...]]:
    """The number and the _COLUMNS of each of some rows."""
    return zip(rows.tolist(), *(pieces[name][rows].tolist() for name in _COLUMNS), strict=True)
