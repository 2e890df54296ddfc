"""What somebody types, as it stands after all the corrections.

The keys are those of a terminal's line discipline (termios: erase, word erase, kill, interrupt, end of file, literal
next) and of line editors as shells and routers have them (arrows, Home, End, Delete, Ctrl-A, -E, -B, -F, -K, -Y, -T).
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from enum import Enum, auto

MOST_CELLS = 4096
"""Characters of a line that are kept."""

_PLAIN = re.compile(rb"[^\x00-\x1f\x7f]+")
_SEQUENCE = re.compile(rb"\x1b(?:\[[0-?]{0,16}[ -/]{0,2}[@-~]|O[ -~]|[^\x00-\x1f\[O])", re.DOTALL)
_UNFINISHED_SEQUENCE = re.compile(rb"\x1b(?:\[[0-?]{0,16}[ -/]{0,2}|O)?", re.DOTALL)
# Arrows and the like, by the end of their sequence: CSI (ECMA-48) and SS3, as VT100 and xterm send them.
_MOVES = {b"[D": "left", b"OD": "left", b"[C": "right", b"OC": "right", b"[H": "home", b"OH": "home", b"[1~": "home",
          b"[7~": "home", b"[F": "end", b"OF": "end", b"[4~": "end", b"[8~": "end", b"[3~": "delete"}  # fmt: skip


class End(Enum):
    """How a line ended: Enter, Ctrl-C and its like, or Ctrl-D behind text."""

    ENTER = auto()
    GIVEN_UP = auto()
    END_OF_FILE = auto()


@dataclass(slots=True)
class Line:
    """One line that somebody typed.

    octets   as it was when it ended
    start    offset of the first of its keys in the client's stream
    stop     behind the last of them, before Enter
    end      how it ended
    certain  the keys tell all of it: no completion, no history, nothing missing
    time     of its end, ns since the epoch
    frame    of its end
    hidden   the server had said that it echoes
    shown    it was printed, too
    """

    octets: bytes = field(repr=False)
    start: int
    stop: int
    end: End
    certain: bool
    time: int = 0
    frame: int = 0
    hidden: bool = False
    shown: bool = False


class LineEditor:
    """Takes keys and gives lines. Keeps MOST_CELLS characters of a line, and forgets what more there is."""

    def __init__(self) -> None:
        self._cells: list[bytes] = []
        self._cursor = 0
        self._start: int | None = None
        self._stop = 0
        self._certain = True
        self._killed: list[bytes] = []
        self._literal = self._behind_cr = False
        self._held = b""
        self._held_at = 0

    @property
    def begun(self) -> bool:
        """A line was begun, and has not ended."""
        return self._start is not None or bool(self._held)

    @property
    def octets(self) -> bytes:
        """The line as it is now."""
        return b"".join(self._cells)

    def uncertain(self) -> None:
        """Something was put into the line that keys do not tell."""
        self._certain = False

    def drop(self) -> None:
        """The keys so far were meant for something else."""
        self._cells, self._cursor, self._start, self._certain = [], 0, None, True

    def unfinished(self) -> Line | None:
        """The line that was begun, as if it were given up now."""
        return self._ended(End.GIVEN_UP, self._stop) if self._start is not None else None

    def gap(self) -> None:
        """Keys are missing."""
        self._held, self._literal, self._certain = b"", False, False

    def feed(self, data: bytes, offset: int) -> list[Line]:
        """The lines that end within `data`, keys that begin at `offset` of the client's stream."""
        # A sequence may have begun before a Telnet command that stands within it.
        first = self._held_at if self._held else offset
        data, offset = self._held + data, offset - len(self._held)
        self._held = b""
        lines: list[Line] = []
        at, size = 0, len(data)
        while at < size:
            if self._behind_cr:
                # Enter is CR LF or CR NUL: RFC 854.
                self._behind_cr = False
                if data[at] in (0, 10):
                    at += 1
                    continue
            if self._literal:
                self._literal = False
                self._begin(offset + at, offset + at + 1)
                self._insert(data[at : at + 1])
                at += 1
            elif match := _PLAIN.match(data, at):
                self._begin(offset + at, offset + match.end())
                self._insert(match[0])
                at = match.end()
            elif data[at] == 0x1B:
                if _UNFINISHED_SEQUENCE.fullmatch(data, at):
                    self._held, self._held_at = data[at:], offset + at if at else first
                    return lines
                match = _SEQUENCE.match(data, at)
                length = match.end() - at if match else 1
                self._begin(offset + at if at else first, offset + at + length)
                self._sequence(match[0][1:] if match else b"")
                at += length
            else:
                line = self._control(data[at], offset + at)
                if line is not None:
                    lines.append(line)
                at += 1
        return lines

    def _begin(self, start: int, stop: int) -> None:
        if self._start is None:
            self._start = start
        self._stop = stop

    def _ended(self, end: End, stop: int) -> Line:
        start = stop if self._start is None else self._start
        line = Line(self.octets, start, max(start, stop), end, self._certain)
        self.drop()
        return line

    def _insert(self, run: bytes) -> None:
        cells, cursor = self._cells, self._cursor
        if run.isascii():
            room = MOST_CELLS - len(cells)
            fresh = [run[n : n + 1] for n in range(min(len(run), room))]
            self._certain &= len(fresh) == len(run)
            cells[cursor:cursor] = fresh
            self._cursor += len(fresh)
            return
        for n in range(len(run)):
            octet = run[n : n + 1]
            if (
                self._cursor
                and 0x80 <= octet[0] < 0xC0
                and len(before := cells[self._cursor - 1]) < _utf8_length(before)
            ):
                cells[self._cursor - 1] = before + octet
            elif len(cells) < MOST_CELLS:
                cells.insert(self._cursor, octet)
                self._cursor += 1

    def _control(self, key: int, offset: int) -> Line | None:
        if key in (0x0D, 0x0A):
            self._behind_cr = key == 0x0D
            return self._ended(End.ENTER, offset)
        if key == 0x00:
            return None
        if key == 0x04:
            if self._cells:
                return self._ended(End.END_OF_FILE, offset)
            return None
        if key in (0x03, 0x1A, 0x1C):
            # Ctrl-C, Ctrl-Z and Ctrl-\ end a program, and with it the line.
            return self._ended(End.GIVEN_UP, offset) if self._start is not None else None
        self._begin(offset, offset + 1)
        edit = _KEYS.get(key)
        if edit is None:
            self._certain = False
        else:
            edit(self)
        return None

    def _sequence(self, sequence: bytes) -> None:
        move = _MOVES.get(sequence)
        if move is None:
            # The arrow upwards, above all: history.
            self._certain = False
        else:
            _EDITS[move](self)

    def _erase(self) -> None:
        if self._cursor:
            self._cursor -= 1
            del self._cells[self._cursor]

    def _delete(self) -> None:
        if self._cursor < len(self._cells):
            del self._cells[self._cursor]

    def _left(self) -> None:
        self._cursor = max(0, self._cursor - 1)

    def _right(self) -> None:
        self._cursor = min(len(self._cells), self._cursor + 1)

    def _home(self) -> None:
        self._cursor = 0

    def _end(self) -> None:
        self._cursor = len(self._cells)

    def _kill(self) -> None:
        # A terminal kills the whole line, editors what stands before the cursor: the same, but in the middle of one.
        self._killed = self._cells[: self._cursor]
        del self._cells[: self._cursor]
        self._cursor = 0

    def _kill_rest(self) -> None:
        self._killed = self._cells[self._cursor :]
        del self._cells[self._cursor :]

    def _erase_word(self) -> None:
        start = self._cursor
        while start and self._cells[start - 1].isspace():
            start -= 1
        while start and not self._cells[start - 1].isspace():
            start -= 1
        self._killed = self._cells[start : self._cursor]
        del self._cells[start : self._cursor]
        self._cursor = start

    def _yank(self) -> None:
        fresh = self._killed[: MOST_CELLS - len(self._cells)]
        self._cells[self._cursor : self._cursor] = fresh
        self._cursor += len(fresh)

    def _transpose(self) -> None:
        at = min(self._cursor, len(self._cells) - 1)
        if at > 0:
            self._cells[at - 1 : at + 1] = self._cells[at], self._cells[at - 1]
            self._cursor = at + 1

    def _quote(self) -> None:
        self._literal = True

    def _nothing(self) -> None:
        """Redraws the line, or holds back what is printed."""


_EDITS = {
    "left": LineEditor._left,
    "right": LineEditor._right,
    "home": LineEditor._home,
    "end": LineEditor._end,
    "delete": LineEditor._delete,
}
_KEYS = {
    0x01: LineEditor._home,
    0x02: LineEditor._left,
    0x05: LineEditor._end,
    0x06: LineEditor._right,
    0x08: LineEditor._erase,
    0x0B: LineEditor._kill_rest,
    0x0C: LineEditor._nothing,
    0x11: LineEditor._nothing,
    0x13: LineEditor._nothing,
    0x14: LineEditor._transpose,
    0x15: LineEditor._kill,
    0x16: LineEditor._quote,
    0x17: LineEditor._erase_word,
    0x19: LineEditor._yank,
    0x7F: LineEditor._erase,
}


def _utf8_length(character: bytes) -> int:
    """How many bytes a character has that begins like this: RFC 3629; 1 where it is none of more."""
    lead = character[0]
    return 2 if 0xC2 <= lead < 0xE0 else 3 if 0xE0 <= lead < 0xF0 else 4 if 0xF0 <= lead < 0xF5 else 1
