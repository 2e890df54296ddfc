"""Conversations in messages, as HTTP's are, whose client has not sent anything yet that may tell something.

Nearly all that is in the clear is web pages. Until one of its triggers comes, what a conversation says is not parsed;
then it is parsed from the message on that has it.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, field

import hyperscan
import numpy as np
import numpy.typing as npt

from spanline.matching import compiled
from spanline.plaintext.messages import LONGEST_BODY, LONGEST_HEAD
from spanline.plaintext.model import Piece, Plaintext

_BEGINS = re.compile(rb"[A-Z][A-Z0-9_-]{1,19} \S")
_WITHOUT_BODY = b"GET "
_EMPTY_LINE = b"\r\n\r\n"
_MOST_BYTES = LONGEST_HEAD + LONGEST_BODY
_LONGEST_TRIGGER = 512


@dataclass(slots=True)
class _Message:
    """A message that is not over yet, or may have a body; of one that is too long, only the beginning."""

    pieces: list[Piece] = field(default_factory=list)
    size: int = 0
    tail: bytes = b""


class Dormant:
    """What clients of conversations said last, by slot, as far as it may belong to what they say next."""

    def __init__(self, protocols: Sequence[Plaintext]) -> None:
        triggers = sorted({trigger for one in protocols for trigger in one.triggers})
        self._database = compiled(triggers, [hyperscan.HS_FLAG_CASELESS] * len(triggers)) if triggers else None
        self._scratch = hyperscan.Scratch(self._database) if self._database else None
        self.messages: dict[int, _Message] = {}

    def telling(
        self,
        parts: Sequence[memoryview],
        octets: npt.NDArray[np.uint8],
        slots: npt.NDArray[np.uint32],
        starts: npt.NDArray[np.int64],
        ends: npt.NDArray[np.int64],
    ) -> list[int]:
        """Which of what clients sent is to be fed, in order: nearly all of it are whole messages without a trigger, and
        those of conversations of which nothing else was sent are passed over.

        parts   what each of them is, in `octets` from one of `starts` to one of `ends`, by a conversation of `slots`
        """
        is_telling = ~self._whole(octets, starts, ends)
        # No trigger has an end of line in it: one search for all.
        found = self._triggers(b"\n".join(parts))
        if found:
            behind = np.cumsum([0, *(len(part) + 1 for part in parts)])
            is_telling[np.searchsorted(behind, np.array(found), "left") - 1] = True
        if self.messages:
            is_telling |= np.isin(slots, np.fromiter(self.messages, np.uint32, len(self.messages)))
        return np.flatnonzero(np.isin(slots, slots[is_telling])).tolist()

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

    def feed(self, slot: int, piece: Piece) -> list[Piece]:
        """Takes what does not pass. Gives what has to be parsed from now on: the message with a trigger, as far as it
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

    def _triggers(self, sent: bytes) -> list[int]:
        """Where they end."""
        ends: list[int] = []

        def note(_: int, __: int, end: int, *___: object) -> None:
            ends.append(end)

        assert self._database is not None
        self._database.scan(sent, note, 0, None, self._scratch)
        return ends
