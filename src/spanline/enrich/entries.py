"""Rows of an inventory as they stand in a file, before it is known what they mean; and what is wrong with them."""

from __future__ import annotations

from dataclasses import dataclass, field

from spanline.cli.text import printable
from spanline.errors import UsageError

MOST_ROWS = 200_000
MOST_TOLD = 20
"""So many faults are told; of others how many there are."""


@dataclass(frozen=True, slots=True)
class Cell:
    """A text and where it begins, from 1; `wrong` says what it is instead of one."""

    text: str
    line: int
    column: int
    wrong: str = ""


@dataclass(frozen=True, slots=True)
class Entry:
    """A row: `cells` by what the file calls them; a field that is a list has several."""

    section: str
    line: int
    cells: dict[str, tuple[Cell, ...]]


@dataclass(slots=True)
class Faults:
    """What is wrong, in the order in which it was found: the first lines, and how many there are."""

    lines: list[str] = field(default_factory=list)
    count: int = 0

    def add(self, path: str, line: int, column: int, what: str, hint: str) -> None:
        place = f", line {line}" * bool(line) + f", column {column}" * bool(column)
        self.add_line(f"{path}{place}: {what}; {hint}")

    def add_line(self, line: str) -> None:
        self.count += 1
        if len(self.lines) < MOST_TOLD:
            self.lines.append(line)

    def tell(self) -> None:
        """Raises InventoryError when there are some."""
        if self.count:
            more = [f"and {self.count - len(self.lines):,} more"] if self.count > len(self.lines) else []
            raise InventoryError((*self.lines, *more), self.count)


class InventoryError(UsageError):
    """What is wrong with an inventory: `lines`, one for each fault, the first MOST_TOLD of `count`."""

    def __init__(self, lines: tuple[str, ...], count: int) -> None:
        self.lines = tuple(map(printable, lines))  # names of files may have anything in them
        self.count = count
        super().__init__(self.lines[0])

    def excerpt(self) -> tuple[str, ...]:
        """What else is wrong."""
        return self.lines[1:]
