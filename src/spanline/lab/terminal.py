"""A program on a terminal, and somebody at its keyboard."""

from __future__ import annotations

import fcntl
import os
import pty
import select
import struct
import subprocess
import termios
import time
from collections.abc import Sequence
from typing import Self

DELETE = "\x7f"
ENTER = "\r"
ERASE_LINE = "\x15"
ERASE_WORD = "\x17"
LEFT = "\x1b[D"

PATIENCE = 30.0
"""Seconds after which what was waited for will not come, on the slowest machine."""

# Somebody types fast. Keys that come sooner than the answer to the last may share a packet.
_PACE = 0.06


class Terminal:
    """Runs a command on a terminal of 80 columns and 24 lines, as a context; it ends with the context.

    shown  what the program wrote, all of it
    """

    def __init__(self, command: Sequence[str]) -> None:
        self.shown = b""
        self._seen = 0
        self._keyboard, screen = pty.openpty()
        fcntl.ioctl(screen, termios.TIOCSWINSZ, struct.pack("4H", 24, 80, 0, 0))
        # The screen is the controlling terminal, too: ssh asks for passwords there.
        self._process = subprocess.Popen(
            ["env", "TERM=xterm", "LC_ALL=C.UTF-8", "setsid", "--ctty", "--wait", *command],
            cwd="/",
            start_new_session=True,
            stdin=screen,
            stdout=screen,
            stderr=screen,
        )
        os.close(screen)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        # A program without its terminal is told by SIGHUP.
        os.close(self._keyboard)
        self._process.wait(PATIENCE)

    def expect(self, text: str) -> None:
        """Waits until the program has written `text` after what was expected before. Raises TimeoutError."""
        wanted = text.encode()
        end = time.monotonic() + PATIENCE
        while wanted not in self.shown[self._seen :]:
            if not self._look(end - time.monotonic()):
                raise TimeoutError(f"no {text!r} on the terminal, but {self.shown[self._seen :]!r}")
        self._seen = self.shown.index(wanted, self._seen) + len(wanted)

    def type(self, keys: str, echo: bool = True) -> None:
        """Presses one key after the other; the next when the program has answered, or soon where it does not."""
        while keys:
            key = LEFT if keys.startswith(LEFT) else keys[0]
            keys = keys[len(key) :]
            length = len(self.shown)
            os.write(self._keyboard, key.encode())
            if echo:
                end = time.monotonic() + PATIENCE
                while len(self.shown) == length:
                    if not self._look(end - time.monotonic()):
                        raise TimeoutError(f"no answer to the key {key!r}")
            else:
                time.sleep(_PACE)

    def end(self) -> int:
        """Waits until the program has ended. Its exit code."""
        end = time.monotonic() + PATIENCE
        while self._look(end - time.monotonic()):
            pass
        return self._process.wait(PATIENCE)

    def _look(self, patience: float) -> bool:
        """Reads what the program writes next; not, if it ended or nothing came."""
        ready, _, _ = select.select([self._keyboard], [], [], max(patience, 0))
        if not ready:
            return False
        try:
            new = os.read(self._keyboard, 65536)
        except OSError:  # EIO: nobody has the terminal any more.
            return False
        self.shown += new
        return bool(new)
