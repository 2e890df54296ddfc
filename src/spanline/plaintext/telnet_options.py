"""What Telnet says between the text: commands, options and suboptions.

RFC 854 (commands), 855 (suboptions), 857 (ECHO), 1073 (NAWS), 1091 (TERMINAL-TYPE), 1572 (NEW-ENVIRON), 2066 (CHARSET).
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from enum import Enum, auto
from typing import NamedTuple

from spanline.plaintext.model import Sender

IAC, DONT, DO, WONT, WILL, SB = 255, 254, 253, 252, 251, 250
EL, EC, IP, BRK, SE = 248, 247, 244, 243, 240
ABORT, SUSPEND, EOF = 238, 237, 236

ECHO, TERMINAL_TYPE, NAWS, ENCRYPT, NEW_ENVIRON, CHARSET, START_TLS = 1, 24, 31, 38, 39, 42, 46
LAST_OPTION = 49
"""Of those that the registry of IANA has in one row."""

MOST_SUBOPTION_BYTES = 1024
"""A suboption that goes on for longer is given up, and what follows is text."""

_IAC_BYTE = bytes([IAC])
_NAME = re.compile(rb"[!-~]{1,64}")
# NEW-ENVIRON: VAR 0 or USERVAR 3, a name, perhaps VALUE 1 and a value; ESC 2 before what stands for itself. RFC 1572.
_VARIABLE = re.compile(rb"[\x00\x03]((?:\x02.|[^\x00-\x03])*)(?:\x01((?:\x02.|[^\x00-\x03])*))?", re.DOTALL)


class What(Enum):
    TEXT = auto()
    COMMAND = auto()
    OPTION = auto()
    SUBOPTION = auto()


class Said(NamedTuple):
    """One thing that a side says.

    octets  TEXT: the text, doubled IACs as one; COMMAND: its code; OPTION: the verb and the option; SUBOPTION: the
            option and what is told of it, doubled IACs as one
    offset  of its first byte in the side's stream
    """

    what: What
    octets: bytes
    offset: int


class _State(Enum):
    TEXT = auto()
    IAC = auto()
    VERB = auto()
    SUBOPTION = auto()
    SUBOPTION_IAC = auto()


class Splitter:
    """Takes one side's stream apart, whatever the pieces that it comes in. Keeps at most MOST_SUBOPTION_BYTES."""

    def __init__(self) -> None:
        self._state = _State.TEXT
        self._begun = 0
        self._verb = b""
        self._suboption = bytearray()

    def gap(self) -> None:
        """Bytes are missing: what was begun is given up."""
        self._state = _State.TEXT
        self._suboption.clear()

    def feed(self, data: bytes, offset: int) -> list[Said]:
        """What `data`, which begins at `offset` of the stream, says. Text may come in several parts."""
        if self._state is _State.TEXT and _IAC_BYTE not in data:
            return [Said(What.TEXT, data, offset)] if data else []
        said: list[Said] = []
        at, end = 0, len(data)
        while at < end:
            if self._state is _State.TEXT:
                found = data.find(_IAC_BYTE, at)
                stop = found if found >= 0 else end
                if stop > at:
                    said.append(Said(What.TEXT, data[at:stop], offset + at))
                at = stop + 1
                if found >= 0:
                    self._state, self._begun = _State.IAC, offset + found
            elif self._state is _State.SUBOPTION:
                found = data.find(_IAC_BYTE, at)
                stop = min(found if found >= 0 else end, at + MOST_SUBOPTION_BYTES - len(self._suboption))
                self._suboption += data[at:stop]
                at = stop
                if len(self._suboption) >= MOST_SUBOPTION_BYTES:
                    self.gap()
                elif found >= 0:
                    at, self._state = stop + 1, _State.SUBOPTION_IAC
            else:
                self._code(data[at], said)
                at += 1
        return said

    def _code(self, code: int, said: list[Said]) -> None:
        """The byte behind an IAC, or behind a verb."""
        if self._state is _State.VERB:
            said.append(Said(What.OPTION, self._verb + bytes([code]), self._begun))
            self._state = _State.TEXT
            return
        if self._state is _State.SUBOPTION_IAC:
            if code == IAC:
                self._suboption.append(IAC)
                self._state = _State.SUBOPTION
                return
            # What is no SE here ends the suboption, too: somebody forgot it.
            said.append(Said(What.SUBOPTION, bytes(self._suboption), self._begun))
            self._suboption.clear()
            if code == SE:
                self._state = _State.TEXT
                return
        self._state = _State.TEXT
        if code == IAC:
            said.append(Said(What.TEXT, _IAC_BYTE, self._begun))
        elif code == SB:
            self._state = _State.SUBOPTION
        elif code >= WILL:
            self._state, self._verb = _State.VERB, bytes([code])
        else:
            said.append(Said(What.COMMAND, bytes([code]), self._begun))


@dataclass(slots=True)
class Options:
    """What both sides agreed upon, as far as it tells how to read the session.

    seen           there was any option: this is Telnet
    echo           the server shows what is typed, None while nobody said
    window         columns and lines of the client's window, 0 for any number
    terminal_type  as the client names it last
    user           the account that the client tells by itself
    charset        what the client agreed to
    encrypted      from here on nothing can be read
    """

    seen: bool = False
    echo: bool | None = None
    window: tuple[int, int] | None = None
    terminal_type: str = ""
    user: str = field(default="", repr=False)
    charset: str = ""
    encrypted: bool = False

    def take(self, sender: Sender, said: Said) -> None:
        self.seen |= said.what is What.OPTION and said.octets[1] <= LAST_OPTION
        if said.what is What.OPTION and said.octets[1] == ECHO:
            # The server says WILL and the client answers DO: either is enough, where only one side was captured.
            agreed, refused = (WILL, WONT) if sender is Sender.SERVER else (DO, DONT)
            if said.octets[0] in (agreed, refused):
                self.echo = said.octets[0] == agreed
        elif said.what is What.SUBOPTION and said.octets:
            self._take_suboption(sender, said.octets[0], said.octets[1:])

    def _take_suboption(self, sender: Sender, option: int, value: bytes) -> None:
        if (option == ENCRYPT and value[:1] == b"\x03") or option == START_TLS:
            self.encrypted = True
        elif sender is Sender.SERVER:
            return
        elif option == NAWS and len(value) == 4:
            self.window = int.from_bytes(value[:2], "big"), int.from_bytes(value[2:], "big")
        elif option == TERMINAL_TYPE and value[:1] == b"\0" and (match := _NAME.match(value, 1)):
            self.terminal_type = match[0].decode("ascii")
        elif option == CHARSET and value[:1] == b"\x02" and (match := _NAME.match(value, 1)):
            self.charset = match[0].decode("ascii")
        elif option == NEW_ENVIRON and value[:1] in (b"\0", b"\x02"):
            for name, told in _VARIABLE.findall(value, 1):
                if name == b"USER":
                    self.user = re.sub(rb"\x02(.)", rb"\1", told, flags=re.DOTALL).decode("utf-8", "replace")
