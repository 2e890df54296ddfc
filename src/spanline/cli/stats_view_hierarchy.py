"""The protocol hierarchy, as tshark -z io,phs."""

from __future__ import annotations

import textwrap
from collections.abc import Iterator
from typing import TYPE_CHECKING

import pyarrow as pa

from spanline.cli.screen import Line, aligned, column_widths, draw_lines
from spanline.cli.stats_view import Stages, View, ViewOptions
from spanline.cli.text import plural, printable, size
from spanline.stages.hierarchy import Hierarchy

if TYPE_CHECKING:
    from rich.console import Console

_HEADINGS = ("Protocol", "Frames", "%", "Bytes", "%", "Ends here")
_RIGHT = (False, True, True, True, True, True)
_GAP, _INDENT = 2, 2
# Columns that a policy's reason has at least.
_NARROWEST = 16
_RULE = "=" * 67
# tshark's buffer for a name and what is before it: 80 bytes, and points from this depth on.
_DEEPEST, _NAME_WIDTH = 16, 79


class HierarchyView(View):
    """What is inside what."""

    name = "hierarchy"
    title = "Protocol hierarchy"

    def __init__(self, options: ViewOptions, stages: Stages) -> None:
        self._limit = options.limit
        stages.requires.add("application")
        self._policy = None
        if options.policy is not None:
            from spanline.policy import read_policy  # with all protocols' names, which few want

            self._policy = read_policy(options.policy)
        self._stage = stages.take(Hierarchy, lambda: Hierarchy(self._policy))

    def table(self) -> pa.Table:
        return self._stage.tables()["hierarchy"]

    @property
    def objection(self) -> bool:
        return any(reason is not None for reason in self.table()["unwanted"].to_pylist())

    def as_tshark(self) -> Iterator[str]:
        yield from ("", _RULE, "Protocol Hierarchy Statistics", "Filter: ", "")
        for way, node in self._stage.nodes().items():
            depth = len(way) - 1
            before = "  " * min(depth, _DEEPEST) + "..." * (depth > _DEEPEST)
            yield f"{(before + way[-1])[:_NAME_WIDTH]:<40} frames:{node.frames} bytes:{node.octets}"
        yield _RULE

    def draw(self, target: Console) -> None:
        rows = self.table().to_pylist()
        frames, octets = (sum(row[name] for row in rows if not row["level"]) for name in ("frames", "bytes"))
        marked = any(row["unwanted"] is not None for row in rows)
        shown = rows[: self._limit]
        texts: list[tuple[str, ...]] = [_HEADINGS]
        for row in shown:
            name = " " * _INDENT * row["level"] + printable(row["protocol"])
            counts = (
                f"{row['frames']:,}",
                _share(row["frames"], frames),
                size(row["bytes"]),
                _share(row["bytes"], octets),
            )
            texts.append((name, *counts, f"{row['frames_here']:,}"))
        widths = column_widths(texts)
        heading, *lines = (aligned(text, widths, _RIGHT, _GAP) for text in texts)
        drawn = [Line(heading + " " * _GAP + "Unwanted" if marked else heading, "bold")]
        for row, line in zip(shown, lines, strict=True):
            if row["unwanted"] is None:
                drawn.append(Line(line))
                continue
            room = max(target.width - len(line) - _GAP, _NARROWEST)
            first, *others = textwrap.wrap(printable(row["unwanted"]), room) or ["unwanted"]
            drawn.append(Line(line + " " * _GAP + first, "bold red"))
            drawn += [Line(" " * (len(line) + _GAP) + other, "bold red") for other in others]
        if len(shown) < len(rows):
            drawn.append(Line(f"{len(shown):,} of {plural(len(rows), 'row')}; -n 0 shows all", "dim"))
        draw_lines(target, drawn)


def _share(part: int, whole: int) -> str:
    return f"{100 * part / whole:.1f}" if whole else ""
