"""Ctrl-C, SIGTERM and SIGHUP end the process at once, and nothing unfinished is left behind.

Of a live capture the first of them is the usual end: what came until then is analysed. A second one ends the process.
Where somebody asks queries, Ctrl-C ends the query and not the process.

An exception would not do: Python drops those that come up in the callback of a weak reference, as during every import,
and the program goes on as if nobody had asked it to end. And it would have to wait for whatever compiled code is doing.
"""

from __future__ import annotations

import _thread
import os
import signal
import sys
import time

TYPE_CHECKING = False  # until signals are caught, every import is a moment in which Python prints a traceback

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from types import FrameType
    from typing import NoReturn

NAMES = ("SIGINT", "SIGTERM", "SIGHUP")

CLEAR_LINE = b"\r\x1b[2K\x1b[?25h"
"""Clears the line of a progress bar, and shows the cursor, which was hidden."""

last_words = b""
"""What a terminal needs to be as it was."""

_SECOND_AFTER = 0.5
"""Seconds. timeout(1) sends its signal twice, to the process and to its group, and means one."""

last_act: Callable[[], None] | None = None
"""What else has to be done for that."""

_stop: Callable[[], None] | None = None
_first: float | None = None
_is_watched = False
_interrupt: Callable[[], None] | None = None
_writer = -1


def end_on_signals() -> None:
    """To be called first of all, in the main thread. What is ignored, as after nohup, stays so."""
    numbers = [getattr(signal, name) for name in NAMES if hasattr(signal, name)]
    usual = (signal.SIG_DFL, signal.default_int_handler)
    caught = [number for number in numbers if signal.getsignal(number) in usual]
    if not caught:
        return
    global _is_watched, _writer
    if os.name == "posix":
        _is_watched = True
        # The main thread sees a signal when it comes back from compiled code; this one while it is there.
        reader, _writer = os.pipe()
        os.set_blocking(_writer, False)
        signal.set_wakeup_fd(_writer, warn_on_full_buffer=False)
        _thread.start_new_thread(_watch, (reader, caught))
    for number in caught:
        signal.signal(number, _come)


def stop_first(stop: Callable[[], None]) -> None:
    """From now on the first signal calls `stop`, from any thread, and only a later one ends the process."""
    global _stop
    _stop = stop


def interrupt_first(interrupt: Callable[[], None]) -> None:
    """From now on Ctrl-C calls `interrupt`, in another thread, and raises KeyboardInterrupt in the main thread; only the
    other signals end the process.

    To be called again where somebody else has asked to be woken by signals.
    """
    global _interrupt
    _interrupt = interrupt
    if _is_watched:
        signal.set_wakeup_fd(_writer, warn_on_full_buffer=False)


def _watch(reader: int, caught: Iterable[int]) -> None:
    while True:
        (number,) = os.read(reader, 1)
        if _interrupt is not None and number == signal.SIGINT:
            _interrupt()
        elif number in caught:
            _count(number)


def _come(number: int, frame: FrameType | None) -> None:
    """In the main thread. Where the first signal ends no process, one of two that were told of it would be a second."""
    if _interrupt is not None and number == signal.SIGINT:
        raise KeyboardInterrupt
    if _stop is None:
        _end(number)
    elif not _is_watched:
        _count(number)


def _count(number: int) -> None:
    global _first
    if _stop is None:
        _end(number)
    now = time.monotonic()
    if _first is None:
        _first = now
        _stop()
    elif now - _first >= _SECOND_AFTER:
        _end(number)


def _end(number: int) -> NoReturn:
    try:
        discard = getattr(sys.modules.get("spanline.output"), "discard_unfinished", None)
        if discard:  # else nothing was begun yet
            discard()
        if last_act is not None:
            last_act()
        if last_words:
            os.write(sys.__stderr__.fileno() if sys.__stderr__ else 2, last_words)
    finally:
        os._exit(128 + number)
