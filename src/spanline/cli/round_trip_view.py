"""Round-trip times on a terminal: a line for each server where that fits, else two."""

from __future__ import annotations

from collections.abc import Sequence

import pyarrow as pa
from rich.console import Console

from spanline.cli.screen import Line, aligned, column_widths, draw_lines
from spanline.cli.text import UNKNOWN, duration, plural, quantity
from spanline.stages.ends import end_text
from spanline.stages.round_trips import METRICS, PERCENTILES

_RANKS = tuple(PERCENTILES)


def print_round_trips(times: pa.Table, metric: str, limit: int | None, target: Console) -> None:
    """The Table "rtt" of stages.round_trips, its first `limit` rows, and what the numbers mean."""
    if not times.num_rows:
        draw_lines(target, [Line(f"no round-trip times ({METRICS[metric]})")])
        return
    lines = [
        Line(f"{METRICS[metric]}. Slowest p50 first.", "dim"),
        *_lines(*_rows(times.slice(0, limit)), target.width),
    ]
    if limit and times.num_rows > limit:
        lines.append(Line(f"{limit:,} of {plural(times.num_rows, 'server')}; -n 0 shows all", "dim"))
    draw_lines(target, lines)


def _rows(times: pa.Table) -> tuple[list[str], list[list[str]]]:
    """Headings and texts: the server first, then what is aligned to the right."""
    for name in _RANKS:
        at = times.schema.get_field_index(name)
        times = times.set_column(at, name, times.column(at).cast(pa.int64()))
    has_vni = times.column("vni").null_count < times.num_rows
    headings = ["Server", *(["VNI"] if has_vni else []), "Count", *_RANKS]
    rows = []
    for row in times.to_pylist():
        server = end_text(row["server"], row["port"])
        tunnel = [UNKNOWN if row["vni"] is None else str(row["vni"])] if has_vni else []
        rows.append([server, *tunnel, quantity(row["count"]), *(duration(row[name]) for name in _RANKS)])
    return headings, rows


def _lines(headings: Sequence[str], rows: Sequence[Sequence[str]], width: int) -> list[Line]:
    """One or two lines for the headings, then for each server."""
    texts = [headings, *rows]
    widths, right = column_widths(texts), [n > 0 for n in range(len(headings))]
    made = []
    for n, text in enumerate(texts):
        style = "" if n else "bold"
        if sum(widths) + len(widths) - 1 <= width:
            gap = 2 if sum(widths) + 2 * (len(widths) - 1) <= width else 1
            made.append(Line(aligned(text, widths, right, gap), style))
        else:  # the server, and below it its numbers
            made.append(Line(text[0], style))
            made.append(Line(aligned(["", *text[1:]], [2, *widths[1:]], right, 2), style))
    return made
