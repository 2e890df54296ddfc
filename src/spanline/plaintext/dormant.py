"""Conversations in messages, as HTTP's are, whose client has not sent anything yet that may tell something.

Nearly all that is in the clear is web pages. Until one of its triggers comes, what a conversation says is not parsed;
then it is parsed from the message on that has it.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, field

import hyperscan

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
        flags = hyperscan.HS_FLAG_CASELESS | hyperscan.HS_FLAG_SINGLEMATCH
        self._database = compiled(triggers, [flags] * len(triggers)) if triggers else None
        self._scratch = hyperscan.Scratch(self._database) if self._database else None
        self._found: list[int] = []

        def note(number: int, *_: object) -> None:
            self._found.append(number)

        self._note = note
        self.messages: dict[int, _Message] = {}

    def passes(self, slot: int, sent: memoryview) -> bool:
        """Whether `sent`, which comes next from the client, is a whole message that tells nothing: most are."""
        return (
            slot not in self.messages
            and sent[:4] == _WITHOUT_BODY
            and sent[-4:] == _EMPTY_LINE
            and not self._has_trigger(sent)
        )

    def feed(self, slot: int, piece: Piece) -> list[Piece]:
        """Takes what does not pass. Gives what has to be parsed from now on: the message with a trigger, as far as it
        has come; else nothing."""
        message = self.messages.get(slot)
        begins = _BEGINS.match(piece.data) is not None
        if message is None or begins:
            message = self.messages[slot] = _Message()
        has_trigger = self._has_trigger(message.tail + piece.data)
        message.tail = (message.tail + piece.data)[-_LONGEST_TRIGGER:]
        if message.size < _MOST_BYTES:
            message.pieces.append(piece)
            message.size += len(piece.data)
            if has_trigger:
                return self.messages.pop(slot).pieces
        if begins and piece.data.startswith(_WITHOUT_BODY) and piece.data.endswith(_EMPTY_LINE):
            del self.messages[slot]
        return []

    def forget(self, slot: int) -> None:
        self.messages.pop(slot, None)

    def _has_trigger(self, sent: bytes | memoryview) -> bool:
        assert self._database is not None
        self._database.scan(sent, self._note, 0, None, self._scratch)  # type: ignore[type-var]
        if not self._found:
            return False
        self._found.clear()
        return True
