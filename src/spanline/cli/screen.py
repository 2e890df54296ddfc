"""Where tables and progress bars are drawn. Nothing that comes from data is taken for markup."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterable, Sequence
from typing import IO, Any, NamedTuple

from rich.console import Console, RenderableType
from rich.table import Table
from rich.text import Text

from spanline.cli.text import printable

# Without a terminal nothing limits a line: what comes after in the pipe wants a row a line.
_UNLIMITED = 10_000


def console(file: IO[str] | None = None) -> Console:
    """The terminal, or `file`."""
    stream = file or sys.stdout
    free = not stream.isatty() and "COLUMNS" not in os.environ
    return Console(file=file, width=_UNLIMITED if free else None, markup=False, highlight=False, emoji=False)


def error_console() -> Console:
    return Console(stderr=True, markup=False, highlight=False, emoji=False)


def cell(text: Any, style: str = "") -> Text:
    """What came from anywhere, as it may be shown."""
    return Text(printable(str(text)), style)


def table(columns: Sequence[tuple[str, str]], gap: int = 2) -> Table:
    """An empty table of (heading, "left" or "right") columns, `gap` blanks apart."""
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


def draw_lines(target: Console, lines: Iterable[Line]) -> None:
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
