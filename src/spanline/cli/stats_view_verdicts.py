"""The view `verdicts`: how far frames could be read, and why not further."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pyarrow as pa

from spanline.cli.stats_view import Stages, View, ViewOptions
from spanline.cli.text import size
from spanline.stages.verdicts import Verdicts

if TYPE_CHECKING:
    from rich.console import Console


class VerdictsView(View):
    name = "verdicts"
    title = "How far frames could be read"

    def __init__(self, options: ViewOptions, stages: Stages) -> None:
        self._limit = options.limit
        self._stage = stages.take(Verdicts, Verdicts)

    def table(self) -> pa.Table:
        return self._stage.tables()["verdicts"].slice(0, self._limit)

    def draw(self, target: Console) -> None:
        from spanline.cli.screen import cell, draw, table

        whole = self._stage.tables()["verdicts"]
        rows = whole.slice(0, self._limit).to_pylist()
        frames = sum(whole.column("frames").to_pylist())
        if not frames:
            draw(target, cell("no frames"))
            return
        made = table(
            [("Verdict", "left"), ("Layer", "left"), ("Frames", "right"), ("", "right"), ("Bytes", "right"),
             ("First", "right"), ("Reason", "left")]
        )  # fmt: skip
        for row in rows:
            share = f"{100 * row['frames'] / frames:.1f} %"
            made.add_row(
                cell(row["verdict"]), cell(row["layer"]), cell(f"{row['frames']:,}"), cell(share),
                cell(size(row["bytes"])), cell(str(row["first_frame"])), cell(row["reason"]),
            )  # fmt: skip
        draw(target, made)
        if whole.num_rows > len(rows):
            draw(target, cell(f"{len(rows):,} of {whole.num_rows:,} rows; -n 0 shows all", "dim"))
