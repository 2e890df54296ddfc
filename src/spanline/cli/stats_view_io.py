"""The view `io`: frames and bytes by interval."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import pyarrow as pa

from spanline.cli.stats_view import Stages, View, ViewOptions
from spanline.cli.text import duration, plural, quantity, rfc3339, size
from spanline.stages.io_statistics import IoStatistics

if TYPE_CHECKING:
    from rich.console import Console

_HEADINGS = ("Start", "Time (UTC)", "Frames", "Bytes", "Frames/s", "Bit/s")


class IoView(View):
    name = "io"
    title = "Frames and bytes by interval"

    def __init__(self, options: ViewOptions, stages: Stages) -> None:
        self._limit = options.limit
        self._stage = stages.take(
            IoStatistics, lambda: IoStatistics(options.interval, memory=max(options.memory // 8, 1))
        )

    def table(self) -> pa.Table:
        return self._stage.tables()["io"].slice(0, self._limit)

    def draw(self, target: Console) -> None:
        from spanline.cli.screen import Line, aligned, column_widths, draw_lines

        entries = self._stage.entries()
        if not len(entries):
            draw_lines(target, [Line("no frames")])
            return
        interval, start = self._stage.interval, self._stage.start or 0
        rows = [list(_HEADINGS)]
        for number, frames, octets in entries[: self._limit].tolist():
            since = number * interval
            rows.append([
                _seconds(since, interval), rfc3339(start + since)[:-7] + "Z", quantity(frames), size(octets),
                size(frames * 10**9 / interval, ""), size(octets * 8 * 10**9 / interval, "bit"),
            ])  # fmt: skip
        widths, right = column_widths(rows), [True, False, True, True, True, True]
        heading, *rest = (aligned(row, widths, right, 2) for row in rows)
        lines = [Line(self._summary(), "dim"), Line(heading, "bold"), *map(Line, rest)]
        if len(rows) <= len(entries):
            lines.append(Line(f"{len(rows) - 1:,} of {plural(len(entries), 'interval')}; -n 0 shows all", "dim"))
        draw_lines(target, lines)

    def _summary(self) -> str:
        entries = self._stage.entries()
        empty = int(entries["interval"][-1]) + 1 - len(entries)
        text = f"Intervals of {duration(self._stage.interval)}: {len(entries):,} with frames"
        return f"{text}, {empty:,} empty between them left out." if empty else f"{text}."

    def as_tshark(self) -> Iterator[str]:
        from spanline.cli.stats_tshark import io_lines

        return io_lines(self._stage)

    def remarks(self) -> Iterator[str]:
        frames, octets = self._stage.others
        if frames:
            yield (
                f"{plural(frames, 'frame')} ({size(octets)}) of later intervals are left out to stay within --memory; "
                "choose a longer --interval"
            )


def _seconds(nanoseconds: int, interval: int) -> str:
    """Seconds, with as many places as the interval has."""
    places = len(f"{interval % 10**9:09d}".rstrip("0"))
    seconds, rest = divmod(nanoseconds, 10**9)
    return f"{seconds:,} s" if not places else f"{seconds:,}.{f'{rest:09d}'[:places]} s"
