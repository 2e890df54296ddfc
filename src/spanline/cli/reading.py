"""Reading captures for a command: progress on the way, and at the end what was wrong with them."""

from __future__ import annotations

import gc
import sys
import time
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from typing import TYPE_CHECKING

import click

from spanline.cli import signals
from spanline.cli.group import FAILED, OWN_PROCESS, complain
from spanline.cli.options import Inputs
from spanline.cli.text import plural, printable, quantity, size
from spanline.errors import CaptureError, Problem

if TYPE_CHECKING:
    from rich.progress import Progress

    from spanline.batch import Batch
    from spanline.pipeline import Capture, Stage, Transform

# Seconds until the progress bar shows, and between two pictures of it.
_AFTER, _EVERY = 0.3, 0.1
# Seconds without anything from a pipe that are worth a line.
_SILENCE = 5


def open_capture(
    inputs: Inputs, paths: Sequence[str] | None = None, *, requires: Collection[str] = (), reassemble: bool = True
) -> Capture:
    """The capture that the user named, or another one to be read in the same way; fields `requires` so much.

    Live sources are open, and what they needed is given up: files that options do not name cannot be opened any more.
    """
    capture = name_capture(inputs, paths, requires=requires, reassemble=reassemble)
    begin(capture, inputs)
    return capture


def name_capture(
    inputs: Inputs, paths: Sequence[str] | None = None, *, requires: Collection[str] = (), reassemble: bool = True
) -> Capture:
    """The same, before its live sources are open: begin() follows."""
    import spanline

    if "-" in inputs.paths and sys.stdin.isatty():
        raise click.UsageError("standard input is a terminal; give it a capture: spanline … - < capture.pcap")
    return spanline.open(
        list(paths or inputs.paths),
        vxlan_port=inputs.vxlan_ports,
        geneve_port=inputs.geneve_ports,
        verify_checksums=inputs.verify_checksums,
        reassemble=reassemble,
        capture_filter=inputs.capture_filter,
        inner_filter=inputs.inner_filter,
        display_filter=inputs.display_filter,
        requires=requires,
        threads=inputs.threads,
        **inputs.live,
    )


def begin(capture: Capture, inputs: Inputs) -> None:
    """Opens live sources: frames come from now on, and the first signal ends them."""
    is_own = click.get_current_context().obj is OWN_PROCESS
    if is_own:
        gc.freeze()  # what modules define stays: it is not looked at again and again
    if capture.listening is not None:
        from spanline.cli.confining import confine, refuse_root
        from spanline.level_memory import keep_memory_level

        refuse_root(inputs)
        if is_own:
            keep_memory_level()
        signals.stop_first(capture.stop)
        capture.open()
        confine(inputs)
    elif inputs.user is not None or inputs.allow_root:
        raise click.UsageError("--user and --allow-root are about live captures; these are files")


def watch(
    capture: Capture, *stages: Stage, transforms: Sequence[Transform] = (), quiet: bool = False
) -> Iterator[Batch]:
    """Takes all of `capture` through `transforms` and `stages`, and shows progress where somebody can see it."""
    batches = capture.run(*stages, transforms=transforms)
    if capture.listening is not None:
        from spanline.cli.listening import listen

        return listen(capture, stages, batches, not quiet and sys.stderr.isatty())
    if quiet:
        return batches
    if sys.stderr.isatty():
        return _with_progress(capture, batches)
    capture.on_wait = _say_once()
    return batches


def follow(
    capture: Capture, *stages: Stage, transforms: Sequence[Transform] = (), quiet: bool = False
) -> Iterator[Batch]:
    """watch() for the only capture of a command, which ends when there is nothing to read in it."""
    try:
        yield from watch(capture, *stages, transforms=transforms, quiet=quiet)
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


def account_for(capture: Capture, inputs: Inputs) -> None:
    """Tells what became of every frame of a live capture, unless nobody wants to know. To be called after results."""
    if capture.listening is None or inputs.quiet:
        return
    from spanline.cli.listening import account_text

    sys.stdout.flush()
    complain(account_text(capture))


def warn_of_evicted(evicted: int) -> None:
    """Flows that ended early are no fault of the capture, but make the numbers mean something else."""
    if evicted:
        complain(f"{plural(evicted, 'flow')} ended early to stay within --memory, and may be in several records")


def _say_once() -> Callable[[str, float], None]:
    """Tells of each pipe that it has been silent for long, when nobody sees a progress bar."""
    told = set()

    def on_wait(name: str, seconds: float) -> None:
        if seconds >= _SILENCE and name not in told:
            told.add(name)
            complain(f"{name}: nothing came for {_SILENCE} s, still waiting (Ctrl-C ends it)")

    return on_wait


class _Screen:
    """The progress bar, which shows after a moment."""

    def __init__(self, capture: Capture) -> None:
        self._capture = capture
        self._progress: Progress | None = None
        self._started = time.monotonic()
        self._due = self._started + _AFTER

    def update(self, waits_for: str = "") -> None:
        """Draws, if that is due; `waits_for` says what does not go on."""
        now = time.monotonic()
        if now < self._due:
            return
        self._due = now + _EVERY
        if self._progress is None:
            self._progress = _progress_bar()
            self._progress.add_task("", total=self._capture.bytes_total, rates="")
        done, seconds = self._capture.bytes_read, now - self._started
        rates = f"{size(done / seconds)}/s  {quantity(round(self._capture.counters.read / seconds))} frames/s"
        self._progress.update(self._progress.task_ids[0], completed=done, rates=waits_for or rates)
        signals.last_words = signals.CLEAR_LINE
        self._progress.start()
        self._progress.refresh()

    def on_wait(self, name: str, seconds: float) -> None:
        self.update(f"waiting for {printable(name)}, {seconds:.0f} s" if seconds >= 1 else "")

    def close(self) -> None:
        if self._progress is not None:
            self._progress.stop()
            signals.last_words = b""


def _with_progress(capture: Capture, batches: Iterator[Batch]) -> Iterator[Batch]:
    """Draws from the loop itself: a thread of its own would take the interpreter away from the analysis."""
    screen = _Screen(capture)
    capture.on_wait = screen.on_wait
    try:
        for batch in batches:
            yield batch
            screen.update()
    finally:
        screen.close()


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
