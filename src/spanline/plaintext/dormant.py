"""Conversations in messages, as HTTP's are, whose client has not sent anything yet that may tell something.

Nearly all that is in the clear is web pages. Until one of its triggers comes, what a conversation says is not parsed;
then it is parsed from the message on that has it.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import hyperscan
import numpy as np
import numpy.typing as npt

from spanline.matching import compiled
from spanline.plaintext.messages import LONGEST_BODY, LONGEST_HEAD
from spanline.plaintext.model import Piece, Plaintext, Sender
from spanline.schema import PAYLOAD_PIECE_FLAGS

_BEGINS = re.compile(rb"[A-Z][A-Z0-9_-]{1,19} \S")
_WITHOUT_BODY = b"GET "
_EMPTY_LINE = b"\r\n\r\n"
_MOST_BYTES = LONGEST_HEAD + LONGEST_BODY
_LONGEST_TRIGGER = 512
_LISTENED, _ENDED = (1 << PAYLOAD_PIECE_FLAGS.index(name) for name in ("listened", "ended"))
_COLUMNS = ["slot", "sender", "start", "length", "offset", "time", "frame", "gap"]


@dataclass(slots=True)
class _Message:
    """A message that is not over yet, or may have a body; of one that is too long, only the beginning."""

    pieces: list[Piece] = field(default_factory=list)
    size: int = 0
    tail: bytes = b""


@dataclass(frozen=True, slots=True)
class Woken:
    """A conversation of which a trigger came.

    message  what its parser begins with: all of the message so far
    end      of the conversation that sends it: 0 or 1
    place    of the last piece of it, in what that sends
    """

    slot: int
    message: list[Piece]
    end: int
    place: int


def is_behind(woken: Sequence[Woken], pieces: npt.NDArray[np.void]) -> npt.NDArray[np.bool_]:
    """Which of `pieces` come after the messages that woke their conversations, a mask."""
    behind = np.zeros(len(pieces), np.bool_)
    for one in woken:
        rows = np.flatnonzero(pieces["slot"] == one.slot)
        is_last = (pieces["sender"][rows] == one.end) & (pieces["offset"][rows] == one.place)
        is_last &= pieces["length"][rows] > 0
        behind[rows[int(np.argmax(is_last)) + 1 :]] = True
    return behind


class Dormant:
    """What clients of conversations said last, by slot, as far as it may belong to what they say next."""

    def __init__(self, protocols: Sequence[Plaintext]) -> None:
        triggers = sorted({trigger for one in protocols for trigger in one.triggers})
        self._database = compiled(triggers, [hyperscan.HS_FLAG_CASELESS] * len(triggers)) if triggers else None
        self._scratch = hyperscan.Scratch(self._database) if self._database else None
        self.messages: dict[int, _Message] = {}

    def listen(self, pieces: npt.NDArray[np.void], octets: npt.NDArray[np.uint8]) -> list[Woken]:
        """Those that are woken by one of `pieces` (schema.PAYLOAD_PIECE, of `octets`), of which those that are listened
        to are dormant conversations'."""
        is_listened = pieces["flags"] & _LISTENED != 0
        if not is_listened.any():
            return []
        woken: dict[int, Woken] = {}
        rows = np.flatnonzero(is_listened & (pieces["length"] > 0))
        for row in self._telling(pieces, rows, octets):
            slot, end, start, length, offset, time, frame, gap = pieces[row][_COLUMNS].tolist()
            if slot in woken:
                continue
            piece = Piece(Sender.CLIENT, octets[start : start + length].tobytes(), offset, time, frame, gap)
            message = self._feed(slot, piece)
            if message:
                woken[slot] = Woken(slot, message, end, offset)
        if self.messages:
            ended = pieces["slot"][is_listened & (pieces["flags"] & _ENDED != 0)]
            for slot in ended.tolist():
                self.forget(slot)
        return list(woken.values())

    def _telling(
        self, pieces: npt.NDArray[np.void], rows: npt.NDArray[np.int64], octets: npt.NDArray[np.uint8]
    ) -> list[int]:
        """Which of `rows` are to be fed, in order: nearly all of them are whole messages without a trigger, and those
        of conversations of which nothing else was sent are passed over."""
        slots, starts = pieces["slot"][rows], pieces["start"][rows].astype(np.int64)
        ends = starts + pieces["length"][rows]
        is_telling = ~self._whole(octets, starts, ends)
        # One search for all: what it finds that is in two of them is in neither, which is seen when they are fed.
        found = self._triggers(octets.data)
        if found:
            behind = np.searchsorted(starts, np.array(found), "left") - 1
            is_telling[behind[behind >= 0]] = True
        if self.messages:
            is_telling |= np.isin(slots, np.fromiter(self.messages, np.uint32, len(self.messages)))
        telling: list[int] = rows[np.isin(slots, slots[is_telling])].tolist()
        return telling

    @staticmethod
    def _whole(
        octets: npt.NDArray[np.uint8], starts: npt.NDArray[np.int64], ends: npt.NDArray[np.int64]
    ) -> npt.NDArray[np.bool_]:
        """Which of them are a message without a body."""
        is_whole = ends - starts >= len(_WITHOUT_BODY) + len(_EMPTY_LINE)
        for n, letter in enumerate(_WITHOUT_BODY):
            is_whole[is_whole] = octets[starts[is_whole] + n] == letter
        for n, letter in enumerate(reversed(_EMPTY_LINE)):
            is_whole[is_whole] = octets[ends[is_whole] - 1 - n] == letter
        return is_whole

    def _feed(self, slot: int, piece: Piece) -> list[Piece]:
        """Gives what has to be parsed from now on: the message with a trigger, as far as it
        has come; else nothing."""
        message = self.messages.get(slot)
        begins = _BEGINS.match(piece.data) is not None
        if message is None or begins:
            message = self.messages[slot] = _Message()
        sent = message.tail + piece.data
        message.tail = sent[-_LONGEST_TRIGGER:]
        if message.size < _MOST_BYTES:
            message.pieces.append(piece)
            message.size += len(piece.data)
            if self._triggers(sent):
                return self.messages.pop(slot).pieces
        if begins and piece.data.startswith(_WITHOUT_BODY) and piece.data.endswith(_EMPTY_LINE):
            del self.messages[slot]
        return []

    def forget(self, slot: int) -> None:
        self.messages.pop(slot, None)

    def _triggers(self, sent: bytes | memoryview) -> list[int]:
        """Where they end."""
        ends: list[int] = []

        def note(_: int, __: int, end: int, *___: object) -> None:
            ends.append(end)

        assert self._database is not None
        scan: Callable[..., None] = self._database.scan
        scan(sent, note, 0, None, self._scratch)
        return ends
