"""Ctrl-C, SIGTERM and SIGHUP end the process at once, and nothing unfinished is left behind.

An exception would not do: Python drops those that come up in the callback of a weak reference, as during every import,
and the program goes on as if nobody had asked it to end. And it would have to wait for whatever compiled code is doing.
"""

from __future__ import annotations

import _thread
import os
import signal
import sys

TYPE_CHECKING = False  # until signals are caught, every import is a moment in which Python prints a traceback

if TYPE_CHECKING:
    from collections.abc import Iterable
    from types import FrameType
    from typing import NoReturn

NAMES = ("SIGINT", "SIGTERM", "SIGHUP")

last_words = b""
"""What a terminal needs to be as it was."""


def end_on_signals() -> None:
    """To be called first of all, in the main thread. What is ignored, as after nohup, stays so."""
    numbers = [getattr(signal, name) for name in NAMES if hasattr(signal, name)]
    usual = (signal.SIG_DFL, signal.default_int_handler)
    caught = [number for number in numbers if signal.getsignal(number) in usual]
    if not caught:
        return
    if os.name == "posix":
        # The main thread sees a signal when it comes back from compiled code; this one while it is there.
        reader, writer = os.pipe()
        os.set_blocking(writer, False)
        signal.set_wakeup_fd(writer, warn_on_full_buffer=False)
        _thread.start_new_thread(_watch, (reader, caught))
    for number in caught:
        signal.signal(number, _end)


def _watch(reader: int, caught: Iterable[int]) -> None:
    while True:
        (number,) = os.read(reader, 1)
        if number in caught:
            _end(number)


def _end(number: int, frame: FrameType | None = None) -> NoReturn:
    try:
        discard = getattr(sys.modules.get("spanline.output"), "discard_unfinished", None)
        if discard:  # else nothing was begun yet
            discard()
        if last_words:
            os.write(sys.__stderr__.fileno() if sys.__stderr__ else 2, last_words)
    finally:
        os._exit(128 + number)
