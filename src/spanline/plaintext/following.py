"""Conversations that are followed: each has a parser, which is fed what both sides sent."""

from __future__ import annotations

import pickle
from collections import Counter, OrderedDict, deque
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from spanline.errors import Problem
from spanline.plaintext.findings import Found
from spanline.plaintext.model import Conversation, Finding, Parser, Piece, Sender
from spanline.plaintext.scanning import Scanner
from spanline.plaintext.watching import Watch
from spanline.schema import PAYLOAD_PIECE_FLAGS

BYTES_PER_PARSER = 8192
"""What a conversation may take here: a parser keeps a line or a message at most, and most keep nothing."""

_MOST_FAULTS = 100
_SENDERS = tuple(Sender)
_COLUMNS = ["slot", "sender", "start", "length", "offset", "time", "frame", "gap", "flags"]
_ENDED, _LIMIT = (1 << PAYLOAD_PIECE_FLAGS.index(name) for name in ("ended", "limit"))


@dataclass(slots=True)
class Followed:
    """A conversation and who reads it.

    serial          its number in Payloads, which no other one gets
    client, server  addresses, 16 bytes, IPv4 mapped
    client_end      which of the two ends that Payloads knows is the client: 0 or 1
    protocol        "" when only rules are looked for
    parser, watch   None when there is nothing for it to read, or nothing more
    """

    serial: int
    conversation: Conversation
    client: bytes
    server: bytes
    client_end: int
    protocol: str
    foreign_port: bool
    parser: Parser | None
    watch: Watch | None


@dataclass(frozen=True, slots=True)
class _Fault:
    """Where a parser raised. What it raised may quote what it read, and is not kept."""

    protocol: str
    error: str
    file: str
    line: int


class Following:
    """All conversations that are followed, by their slots in Payloads; `limit` at most, then those go that were silent
    for longest.

    `over` are slots and serials of those of which nothing more is wanted; who takes them clears it.
    """

    def __init__(self, scanner: Scanner, limit: int) -> None:
        self.scanner = scanner
        self.followed = 0
        self.evicted = 0
        self.cut = 0
        self.over: deque[tuple[int, int]] = deque()
        self._limit = limit
        self._by_slot: OrderedDict[int, Followed] = OrderedDict()
        self._faults: Counter[_Fault] = Counter()

    def begin(self, slot: int, followed: Followed) -> list[Found]:
        """Gives what those still had that go."""
        self._by_slot[slot] = followed
        self.followed += 1
        found = []
        while len(self._by_slot) > self._limit:
            oldest, silent = self._by_slot.popitem(last=False)
            found += self._finished(silent)
            self.over.append((oldest, silent.serial))
            self.evicted += 1
        return found

    def feed(self, pieces: npt.NDArray[np.void], octets: npt.NDArray[np.uint8]) -> list[Found]:
        """Gives each piece (schema.PAYLOAD_PIECE, of `octets`) to the parser of its conversation."""
        found: list[Found] = []
        sent = octets.tobytes()
        for slot, end, start, length, offset, time, frame, gap, flags in pieces[_COLUMNS].tolist():
            followed = self._by_slot.get(slot)
            if followed is None:
                continue
            if length:
                self._by_slot.move_to_end(slot)
                sender = _SENDERS[end ^ followed.client_end]
                piece = Piece(sender, sent[start : start + length], offset, time, frame, gap)
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
            if flags & _ENDED:
                self.cut += bool(flags & _LIMIT)
                found += self._finished(followed)
            if flags & _ENDED or (followed.parser is None and followed.watch is None):
                del self._by_slot[slot]
                self.over.append((slot, followed.serial))
        return found

    def finish(self) -> list[Found]:
        """Ends all conversations; gives what their parsers still have."""
        found = [one for followed in self._by_slot.values() for one in self._finished(followed)]
        self._by_slot.clear()
        return found

    def _finished(self, followed: Followed) -> list[Found]:
        findings = [] if followed.parser is None else self._told(followed, followed.parser.finish)
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
        return pickle.dumps((self._by_slot, self._faults, self.followed, self.evicted, self.cut, self.over))

    def restore(self, state: bytes) -> None:
        self._by_slot, self._faults, self.followed, self.evicted, self.cut, self.over = pickle.loads(state)


def _found(followed: Followed, findings: Iterable[Finding]) -> list[Found]:
    facts = followed.conversation, followed.client, followed.server, followed.protocol, followed.foreign_port
    return [Found(finding, *facts) for finding in findings]
