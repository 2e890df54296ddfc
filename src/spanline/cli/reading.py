"""Reading captures for a command: progress on the way, and at the end what was wrong with them."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterable, Iterator, Sequence
from typing import TYPE_CHECKING

import click

from spanline.cli.group import FAILED, complain
from spanline.cli.options import Inputs
from spanline.cli.text import plural, quantity, size
from spanline.errors import CaptureError, Problem

if TYPE_CHECKING:
    from rich.progress import Progress

    from spanline.batch import Batch
    from spanline.pipeline import Capture, Stage

# Seconds until the progress bar shows, and between two pictures of it.
_AFTER, _EVERY = 0.3, 0.1


def open_capture(inputs: Inputs, paths: Sequence[str] | None = None) -> Capture:
    """The capture that the user named, or another one to be read in the same way."""
    import spanline

    if "-" in inputs.paths and sys.stdin.isatty():
        raise click.UsageError("standard input is a terminal; give it a capture: spanline … - < capture.pcap")
    return spanline.open(
        list(paths or inputs.paths),
        vxlan_port=inputs.vxlan_port,
        verify_checksums=inputs.verify_checksums,
        threads=inputs.threads,
    )


def watch(capture: Capture, *stages: Stage, quiet: bool = False) -> Iterator[Batch]:
    """Takes all of `capture` through `stages`, and shows progress where somebody can see it."""
    batches = capture.run(*stages)
    return batches if quiet or not sys.stderr.isatty() else _with_progress(capture, batches)


def follow(capture: Capture, *stages: Stage, quiet: bool = False) -> Iterator[Batch]:
    """watch() for the only capture of a command, which ends when there is nothing to read in it."""
    try:
        yield from watch(capture, *stages, quiet=quiet)
    except CaptureError as error:
        # With a list of files that are all no captures, each gets its line.
        problems = capture.problems
        if problems and error.message == f"{problems[0].path}: {problems[0].what}":
            conclude(problems)
        raise


def conclude(problems: Iterable[Problem]) -> None:
    """Tells what was wrong, a line each, and ends the command with the exit code for it. To be called last."""
    lines = [str(problem) for problem in problems]
    if not lines:
        return
    # A reader of both streams sees the results first.
    sys.stdout.flush()
    for line in lines:
        complain(line)
    click.get_current_context().exit(FAILED)


def warn_of_evicted(evicted: int) -> None:
    """Flows that ended early are no fault of the capture, but make the numbers mean something else."""
    if evicted:
        complain(f"{plural(evicted, 'flow')} ended early to stay within --memory, and may be in several records")


def _with_progress(capture: Capture, batches: Iterator[Batch]) -> Iterator[Batch]:
    """Draws from the loop itself: a thread of its own would take the interpreter away from the analysis."""
    progress: Progress | None = None
    started = time.monotonic()
    due = started + _AFTER
    try:
        for batch in batches:
            yield batch
            now = time.monotonic()
            if now < due:
                continue
            due = now + _EVERY
            if progress is None:
                progress = _progress_bar()
                progress.add_task("", total=capture.bytes_total, rates="")
            done, seconds = capture.bytes_read, now - started
            rates = f"{size(done / seconds)}/s  {quantity(round(capture.counters.read / seconds))} frames/s"
            progress.update(progress.task_ids[0], completed=done, rates=rates)
            progress.start()
            progress.refresh()
    finally:
        if progress is not None:
            progress.stop()


def _progress_bar() -> Progress:
    from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TimeRemainingColumn

    from spanline.cli.screen import error_console

    return Progress(
        BarColumn(bar_width=None),
        DownloadColumn(),
        TextColumn("{task.fields[rates]}", markup=False),
        TimeRemainingColumn(compact=True),
        console=error_console(),
        auto_refresh=False,
        transient=True,
        expand=True,
    )
