"""Where tables and progress bars are drawn. Nothing that comes from data is taken for markup."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterable, Sequence
from typing import IO, TYPE_CHECKING, Any, NamedTuple, Protocol

from spanline.cli.text import printable

if TYPE_CHECKING:  # rich takes a tenth of a short run, and who writes lines into a pipe needs nothing of it
    from rich.console import Console, RenderableType
    from rich.table import Table
    from rich.text import Text

# Without a terminal nothing limits a line: what comes after in the pipe wants a row a line.
_UNLIMITED = 10_000


class Target(Protocol):
    """What lines are drawn on: what draw_lines() needs of rich's Console."""

    @property
    def file(self) -> IO[str]: ...

    @property
    def width(self) -> int: ...

    @property
    def is_terminal(self) -> bool: ...

    def print(self, *objects: Any) -> None: ...


class Sheet:
    """A file or a pipe, where a line is a line. A Target."""

    is_terminal = False

    def __init__(self, file: IO[str]) -> None:
        self.file = file
        columns = os.environ.get("COLUMNS", "")
        self.width = int(columns) if columns.isdigit() else _UNLIMITED

    def print(self, *objects: Any) -> None:
        self.file.writelines(f"{one}\n" for one in objects)


def lines_target(file: IO[str] | None = None) -> Target:
    """As console(), for lines."""
    stream = file or sys.stdout
    return console(file) if stream.isatty() or "FORCE_COLOR" in os.environ else Sheet(stream)


def console(file: IO[str] | None = None) -> Console:
    """The terminal, or `file`."""
    from rich.console import Console

    stream = file or sys.stdout
    free = not stream.isatty() and "COLUMNS" not in os.environ
    return Console(file=file, width=_UNLIMITED if free else None, markup=False, highlight=False, emoji=False)


def error_console() -> Console:
    from rich.console import Console

    return Console(stderr=True, markup=False, highlight=False, emoji=False)


def cell(text: Any, style: str = "") -> Text:
    """What came from anywhere, as it may be shown."""
    from rich.text import Text

    return Text(printable(str(text)), style)


def table(columns: Sequence[tuple[str, str]], gap: int = 2) -> Table:
    """An empty table of (heading, "left" or "right") columns, `gap` blanks apart."""
    from rich.table import Table
    from rich.text import Text

    made = Table(box=None, padding=(0, gap, 0, 0), pad_edge=False, header_style="bold")
    for heading, justify in columns:
        made.add_column(Text(heading), justify="right" if justify == "right" else "left", overflow="fold")
    return made


class Line(NamedTuple):
    """A line of text in one style."""

    text: str
    style: str = ""


def column_widths(rows: Iterable[Sequence[str]]) -> list[int]:
    """What each column of `rows` needs."""
    return [max(len(text) for text in column) for column in zip(*rows, strict=True)]


def aligned(texts: Sequence[str], widths: Sequence[int], right: Sequence[bool], gap: int) -> str:
    """`texts` in columns, `gap` blanks apart; each is aligned to the left, or to the right."""
    columns = zip(texts, widths, right, strict=True)
    return (" " * gap).join(text.rjust(width) if to_right else text.ljust(width) for text, width, to_right in columns)


def draw_lines(target: Target, lines: Iterable[Line]) -> None:
    """Prints what needs no layout: rich would take a millisecond for each row of a table."""
    for text, style in lines:
        if style and target.is_terminal:
            target.print(cell(text.rstrip(), style))
        else:
            target.file.write(f"{printable(text.rstrip())}\n")


def draw(target: Console, *things: RenderableType) -> None:
    """Prints; without a terminal, also without the blanks that rich puts behind each line."""
    if target.is_terminal:
        target.print(*things, sep="\n")
        return
    with target.capture() as captured:
        target.print(*things, sep="\n")
    target.file.writelines(f"{line.rstrip()}\n" for line in captured.get().splitlines())
