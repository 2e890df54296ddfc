"""The line of a terminal on which a server is printing, as its user sees it.

Control functions are those of ECMA-48 and xterm that shells and routers use to draw what is typed; colours, titles and
the rest leave no trace. Whatever goes to another line of the screen begins a new one here.
"""

from __future__ import annotations

import codecs
import re
import unicodedata
from dataclasses import dataclass, field

MOST_CELLS = 4096
"""Columns of a line that are kept."""

_TOKEN = re.compile(
    rb"(?P<text>[^\x00-\x1f\x7f]+)"
    rb"|\x1b\[(?P<values>[0-?]{0,32})[ -/]{0,4}(?P<csi>[@-~])"
    rb"|\x1b[\]PX^_][^\x07\x1b]{0,256}(?:\x07|\x1b\\)"
    rb"|\x1b[ -/]{0,4}(?P<esc>[0-OQ-WYZ\\`-~])"
    rb"|(?P<control>[\x00-\x1f\x7f])"
)
_UNFINISHED = re.compile(rb"\x1b(?:\[[0-?]{0,32}[ -/]{0,4}|[\]PX^_][^\x07\x1b]{0,256}\x1b?|[ -/]{0,4})?")
# A line of text and its end, the common case, in one step.
_WHOLE_LINE = re.compile(rb"([ -~]*)\r\n")


def _as_latin_1(error: UnicodeError) -> tuple[str, int]:
    """What is no UTF-8 is Latin-1, byte by byte."""
    assert isinstance(error, UnicodeDecodeError)
    return error.object[error.start : error.end].decode("latin-1"), error.end


codecs.register_error("spanline-latin-1", _as_latin_1)


def text_of(octets: bytes, charset: str = "") -> str:
    """Bytes as text: of the `charset` where it is a known one, else UTF-8, and what is none of it Latin-1."""
    if charset.casefold() in _CHARSETS:
        return octets.decode(charset, "replace")
    return octets.decode("utf-8", "spanline-latin-1")


_CHARSETS = {
    "big5", "cp437", "cp850", "cp866", "euc-jp", "euc-kr", "gb18030", "gb2312", "gbk", "koi8-r", "koi8-u", "shift_jis",
    "us-ascii", "utf-8", *(f"iso-8859-{n}" for n in (*range(1, 12), *range(13, 17))),
    *(f"windows-125{n}" for n in range(9)),
}  # fmt: skip


@dataclass(slots=True)
class Printed:
    """A line that was printed to its end.

    text    all of it
    fresh   what of it came behind the last mark
    stop    offset in the server's stream, behind its last byte
    number  of the line, from 0
    """

    text: str = field(repr=False)
    fresh: str = field(repr=False)
    stop: int
    number: int


class Screen:
    """Takes what a server prints, and gives the lines of it. Keeps one line of at most MOST_CELLS columns.

    number  of the line that is being printed, from 0
    offset  in the server's stream, behind the last byte that was taken
    width   columns of the terminal, 0 for any number
    """

    def __init__(self) -> None:
        self.number = 0
        self.offset = 0
        self.width = 0
        self._cells: list[str] = []
        self._cursor = 0
        self._mark = 0
        self._row_number = 0
        self._held = b""

    @property
    def text(self) -> str:
        """The line so far."""
        return "".join(self._cells)

    @property
    def fresh(self) -> str:
        """What of the line came behind the last mark."""
        return "".join(self._cells[self._mark :])

    def mark(self) -> None:
        """What comes now answers something that was typed."""
        self._mark = len(self._cells)

    def gap(self) -> None:
        """Bytes are missing: the line is another one."""
        self._held = b""
        self._next(self.offset)

    def feed(self, data: bytes, offset: int) -> list[Printed]:
        """The lines that end within `data`, which begins at `offset` of the server's stream."""
        self.offset = offset + len(data)
        data, self._held = self._held + data, b""
        offset = self.offset - len(data)
        printed: list[Printed] = []
        at, size = 0, len(data)
        while at < size:
            if not self._cursor and not self._cells and (line := _WHOLE_LINE.match(data, at)):
                whole = line[1][:MOST_CELLS].decode("ascii")
                at = line.end()
                printed.append(Printed(whole, whole, offset + at, self.number))
                self.number += 1
                self._row_number = 0
                continue
            if data[at] == 0x1B and _UNFINISHED.fullmatch(data, at):
                self._held = data[at:]
                break
            token = _TOKEN.match(data, at)
            if token is None:
                # An ESC that begins nothing.
                at += 1
                continue
            at = token.end()
            if (run := token["text"]) is not None:
                text, taken = codecs.utf_8_decode(run, "spanline-latin-1", at < size)
                self._held = run[taken:]
                self._print(text)
            elif (control := token["control"]) is not None:
                if self._control(control[0]):
                    printed.append(self._next(offset + at))
            elif (row := self._elsewhere(token)) is not None:
                column = self._cursor
                if self._cells:
                    printed.append(self._next(offset + at))
                self._row_number, self._cursor = row, column if row else 0
        return printed

    def _elsewhere(self, token: re.Match[bytes]) -> int | None:
        """The row to which an escape sequence goes, 0 where it does not say which; None where it stays on this one."""
        if (final := token["csi"]) is not None:
            row = self._sequence(final.decode("ascii"), token["values"])
            # What is printed where something was erased is fresh.
            self._mark = min(self._mark, len(self._cells))
            return row
        return 0 if token["esc"] in (b"c", b"D", b"E", b"M") else None

    def _next(self, stop: int) -> Printed:
        line = Printed(self.text, self.fresh, stop, self.number)
        self.number += 1
        self._cells, self._cursor, self._mark, self._row_number = [], 0, 0, 0
        return line

    def _print(self, run: str) -> None:
        cells = [*run] if run.isascii() else [cell for character in run for cell in _columns(character)]
        stop = self._cursor + len(cells)
        if self._cursor < MOST_CELLS:
            if self._cursor > len(self._cells):
                self._cells += [" "] * (self._cursor - len(self._cells))
            self._cells[self._cursor : stop] = cells
            del self._cells[MOST_CELLS:]
        self._cursor = stop

    def _control(self, control: int) -> bool:
        """Whether it ends the line."""
        if control == 0x0D:
            self._cursor = self._row()
        elif control == 0x08:
            self._cursor = max(0, self._cursor - 1)
        elif control == 0x09:
            self._print(" " * (8 - self._cursor % 8))
        return control in (0x0A, 0x0B, 0x0C)

    def _row(self) -> int:
        """Where the row of the screen begins on which the cursor is: a long line has more than one."""
        return self._cursor // self.width * self.width if self.width else 0

    def _sequence(self, final: str, values: bytes) -> int | None:
        """The row to which the control sequence goes, as _elsewhere(); does what it does otherwise."""
        numbers = [min(int(number), MOST_CELLS) if number.isdigit() else 0 for number in values.split(b";", 2)[:2]]
        count = numbers[0]
        steps = max(1, count)
        if final == "D":
            self._cursor = max(0, self._cursor - steps)
        elif final == "C":
            self._cursor = min(MOST_CELLS, self._cursor + steps)
        elif final == "G":
            self._cursor = self._row() + steps - 1
        elif final in ("H", "f"):
            self._cursor = max(1, numbers[-1]) - 1 if len(numbers) > 1 else 0
            return None if steps == self._row_number else steps
        elif final == "A" and self.width and self._cursor >= steps * self.width:
            self._cursor -= steps * self.width
        elif final == "B" and self.width and self._cursor + steps * self.width <= len(self._cells):
            self._cursor += steps * self.width
        elif final == "K":
            self._erase(count)
        elif final == "P":
            del self._cells[self._cursor : self._cursor + steps]
        elif final == "@":
            if self._cursor < len(self._cells):
                self._cells[self._cursor : self._cursor] = [" "] * steps
                del self._cells[MOST_CELLS:]
        elif final == "X":
            stop = min(self._cursor + steps, len(self._cells))
            self._cells[self._cursor : stop] = [" "] * (stop - self._cursor)
        elif final == "J":
            if count:
                return 0
            del self._cells[self._cursor :]
        elif final in ("A", "B", "E", "F", "d"):
            return 0
        return None

    def _erase(self, count: int) -> None:
        if count == 0:
            del self._cells[self._cursor :]
        elif count == 2:
            self._cells.clear()
        else:
            stop = min(self._cursor + 1, len(self._cells))
            self._cells[:stop] = [" "] * stop
        while self._cells and self._cells[-1] == " " and len(self._cells) > self._cursor:
            self._cells.pop()


def _columns(character: str) -> tuple[str, ...]:
    """What a character puts into columns: two for a wide one, none for what is not seen by itself."""
    if unicodedata.combining(character) or not (character.isprintable() or character == " "):
        return ()
    return (character, "") if unicodedata.east_asian_width(character) in "WF" else (character,)
