"""The protocol hierarchy, as tshark -z io,phs."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import pyarrow as pa

from spanline.cli.stats_view import Stages, View, ViewOptions
from spanline.cli.text import plural, printable, size
from spanline.stages.hierarchy import Hierarchy

if TYPE_CHECKING:
    from rich.console import Console

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
        from rich.text import Text

        from spanline.cli.screen import cell, draw, table

        rows = self.table().to_pylist()
        frames, octets = (sum(row[name] for row in rows if not row["level"]) for name in ("frames", "bytes"))
        marked = any(row["unwanted"] is not None for row in rows)
        columns = [("Protocol", "left"), ("Frames", "right"), ("%", "right"), ("Bytes", "right"), ("%", "right")]
        columns.append(("Ends here", "right"))
        made = table(columns + [("Unwanted", "left")] * marked)
        for row in rows[: self._limit]:
            style = "bold red" if row["unwanted"] is not None else ""
            name = Text("  " * row["level"] + printable(row["protocol"]), style)
            cells = [f"{row['frames']:,}", _share(row["frames"], frames)]
            cells += [size(row["bytes"]), _share(row["bytes"], octets), f"{row['frames_here']:,}"]
            reason = [cell(row["unwanted"] or "unwanted", style) if style else ""] * marked
            made.add_row(name, *cells, *reason)
        draw(target, made)
        if self._limit is not None and len(rows) > self._limit:
            draw(target, cell(f"{plural(len(rows) - self._limit, 'more protocol')}; --limit 0 shows all", "dim"))


def _share(part: int, whole: int) -> str:
    return f"{100 * part / whole:.1f}" if whole else ""
