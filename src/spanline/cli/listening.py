"""Live captures for a command: how it goes, at once what is lost, and at the end the account of every frame."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from spanline.cli import signals
from spanline.cli.group import complain
from spanline.cli.text import duration, printable, quantity, rfc3339, size

if TYPE_CHECKING:
    from rich.progress import Progress

    from spanline.batch import Batch
    from spanline.pipeline import Capture, Stage
    from spanline.sources.listening import Listening
    from spanline.sources.live import Arrivals

_EVERY = 0.5
"""Seconds between two looks at what became of frames, and between two pictures."""

_CALM = 10.0
"""Seconds without losses after which new ones are worth a line."""

_WIDTH = 80 - len("x^C")
"""Columns, so that what a terminal shows of Ctrl-C is on the same line, which is cleared."""
_GAPS = {"down": "the link is down", "gone": "the interface was deleted"}


def listen(capture: Capture, stages: Sequence[Stage], batches: Iterator[Batch], draws: bool) -> Iterator[Batch]:
    """`batches` of a live capture, with a line about each gap and about losses, and where `draws` a status line."""
    assert capture.listening is not None
    for line in capture.listening.warnings:
        complain(line)  # while there is time to change it
    watching = _Watching(capture.listening, stages, draws)
    try:
        for batch in batches:
            yield batch
            watching.look()
    finally:
        watching.close()


class _Watching:
    def __init__(self, listening: Listening, stages: Sequence[Stage], draws: bool) -> None:
        self._listening = listening
        self._stages = stages
        self._draws = draws
        self._progress: Progress | None = None
        self._looked = self._started = time.monotonic()
        self._before = 0, 0
        self._gaps: list[bool] = []
        """Of each gap that was told: whether its end was, too."""
        self._accidents = 0
        self._lost = 0
        self._lost_at = -_CALM

    def look(self) -> None:
        """Tells and draws, if that is due."""
        now = time.monotonic()
        if now - self._looked < _EVERY:
            return
        self._listening.refresh()
        arrivals = self._listening.arrivals
        self._tell_gaps()
        self._tell_accidents()
        self._tell_losses(arrivals, now)
        if self._draws:
            try:
                self._draw(arrivals, now - self._looked)
            except OSError:  # the terminal is gone
                self._draws, self._progress = False, None
        self._looked = now

    def close(self) -> None:
        self._clear()
        self._tell_gaps()
        self._tell_accidents()

    def _say(self, line: str) -> None:
        self._clear()
        complain(line)

    def _tell_gaps(self) -> None:
        gaps = self._listening.gaps
        for n, gap in enumerate(gaps):
            if n == len(self._gaps):
                self._gaps.append(False)
                self._say(f"{gap.interface}: {_GAPS[gap.what]}: nothing comes since {rfc3339(gap.begin)}")
            if gap.end is not None and not self._gaps[n]:
                self._gaps[n] = True
                self._say(f"{gap.interface}: frames come again, after {duration(gap.end - gap.begin)}")

    def _tell_accidents(self) -> None:
        accidents = self._listening.accidents
        for line in accidents[self._accidents :]:
            self._say(line)
        self._accidents = len(accidents)

    def _tell_losses(self, arrivals: Arrivals, now: float) -> None:
        if arrivals.lost > self._lost:
            if now - self._lost_at >= _CALM:
                self._say(f"frames are being lost: {_causes(arrivals)} so far")
            self._lost, self._lost_at = arrivals.lost, now

    def _draw(self, arrivals: Arrivals, seconds: float) -> None:
        frames, octets = arrivals.read, self._listening.octets
        rate, bits = (frames - self._before[0]) / seconds, 8 * (octets - self._before[1]) / seconds
        self._before = frames, octets
        flows = _live_flows(self._stages)
        if flows is not None:
            flows += self._listening.live_elsewhere
        # What has no room is the end, and names may be long.
        parts = [
            f"{quantity(round(rate))} frames/s",
            f"{size(bits, 'bit')}/s",
            f"{quantity(frames)} frames",
            f"lost {_causes(arrivals)}",
            *([] if flows is None else [f"{quantity(flows)} flow{'' if flows == 1 else 's'}"]),
            ", ".join(map(printable, self._listening.names)),
        ]
        if self._progress is None:
            self._progress = _status_line()
            signals.last_words = signals.CLEAR_LINE
            self._progress.start()
        self._progress.update(self._progress.task_ids[0], description="  ".join(parts)[:_WIDTH])
        self._progress.refresh()

    def _clear(self) -> None:
        progress, self._progress = self._progress, None
        signals.last_words = b""
        if progress is not None:
            with contextlib.suppress(OSError):
                progress.stop()


def _status_line() -> Progress:
    from rich.progress import Progress, TextColumn

    from spanline.cli.screen import error_console

    line = Progress(
        TextColumn("{task.description}", markup=False), console=error_console(), auto_refresh=False, transient=True
    )
    line.add_task("")
    return line


def _live_flows(stages: Sequence[Stage]) -> int | None:
    """Flows that have not ended, of this process; None where no stage makes flows."""
    for stage in stages:
        live: int | None = getattr(getattr(stage, "flows", stage), "live", None)
        if live is not None:
            return live
    return None


def _causes(arrivals: Arrivals) -> str:
    """34 (ring 30, interface 4)"""
    causes = ", ".join(f"{cause} {count:,}" for cause, count in arrivals.dropped.items() if count)
    return f"{arrivals.lost:,}" + (f" ({causes})" if causes else "")


def offered_text(capture: Capture) -> str:
    """What became of the frames that came, up to those that were read."""
    arrivals = capture.arrivals
    return f"offered {arrivals.offered:,} = read {arrivals.read:,} + dropped {_causes(arrivals)}"


def account_text(capture: Capture) -> str:
    """What became of every frame, in one line."""
    counters = capture.counters
    left_out = f"; filtered out {counters.filtered_out:,} of decoded" if counters.filtered_out else ""
    return (
        f"{offered_text(capture)}; read {counters.read:,} = decoded {counters.decoded:,} + "
        f"undecodable {counters.undecodable:,}{left_out}{longer_text(capture)}"
    )


def longer_text(capture: Capture) -> str:
    """How many frames were not those of the network; "" where none was. To be told behind what became of all."""
    longer = capture.listening.longer if capture.listening else 0
    return f"; {longer:,} longer than the MTU, put together on the way" if longer else ""
