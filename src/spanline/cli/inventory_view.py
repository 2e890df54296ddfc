"""What `spanline inventory check` found, on a terminal."""

from __future__ import annotations

from collections.abc import Sequence

from rich.console import Console

from spanline.cli.screen import Line, aligned, cell, column_widths, draw, draw_lines, table
from spanline.cli.text import plural
from spanline.enrich.checking import Remark, holdings
from spanline.enrich.inventory import Inventory, Row

_MOST = 40
_TITLES = {"contradiction": "Contradictions: the first row counts", "open": "Left open"}
_HEADINGS = ("Holds", "Rows", "Different", "At some times")


def print_check(inventory: Inventory, remarks: Sequence[Remark], target: Console) -> None:
    rows = [_HEADINGS, *((name, *map(str, counts)) for name, *counts in holdings(inventory))]
    widths, right = column_widths(rows), (False, True, True, True)
    heading, *lines = (aligned(row, widths, right, 2) for row in rows)
    draw_lines(target, [Line(heading, "bold"), *map(Line, lines), Line("")])
    for kind, nothing in (("contradiction", "no contradictions"), ("open", "nothing is left open")):
        found = [one for one in remarks if one.kind == kind]
        if not found:
            draw_lines(target, [Line(nothing)])
            continue
        draw_lines(target, [Line(_TITLES[kind], "bold")])
        made = table((("", "left"), ("", "left")))
        made.show_header = False
        for one in found[:_MOST]:
            made.add_row(cell(one.what), cell(" and ".join(map(_place, _rows(one))), "dim"))
        draw(target, made)
        if len(found) > _MOST:
            draw_lines(target, [Line(f"and {plural(len(found) - _MOST, 'more line')}; --format csv has all")])


def _rows(remark: Remark) -> list[Row]:
    return [row for row in (remark.other, remark.row) if row is not None]


def _place(row: Row) -> str:
    return f"{row.path}:{row.line}"
