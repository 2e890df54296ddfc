"""A command on a terminal of its own, which somebody types at."""

from __future__ import annotations

import os
import re
import select
import struct
import subprocess
import sys
import time
from pathlib import Path
from types import TracebackType

PATIENCE = 60
_SEQUENCE = re.compile(r"\x1b(?:\[[0-9;?]*[A-Za-z]|\][^\a]*\a|[()][A-Z0-9]|[=>])|\r|\a")
_PROGRAM = "from spanline.cli import main; main()"


class Terminal:
    """`heard` is all that was printed, without what moves the cursor and sets colours.

    before  Python that the process runs first
    """

    def __init__(self, arguments: list[str | Path], folder: Path, *, before: str = "", lines: int = 24) -> None:
        import fcntl
        import termios

        self._master, slave = os.openpty()
        fcntl.ioctl(slave, termios.TIOCSWINSZ, struct.pack("HHHH", lines, 100, 0, 0))
        environment = {
            **{name: value for name, value in os.environ.items() if name not in ("COLUMNS", "LINES")},
            **{f"XDG_{name}_HOME": str(folder / name.lower()) for name in ("CACHE", "STATE", "CONFIG")},
            "TERM": "xterm", "LC_ALL": "C.UTF-8", "PROMPT_TOOLKIT_NO_CPR": "1",
        }  # fmt: skip
        command = [sys.executable, "-c", f"{before}\n{_PROGRAM}", *map(str, arguments)]
        self.process = subprocess.Popen(
            ["setsid", "--ctty", *command], stdin=slave, stdout=slave, stderr=slave, cwd=folder, env=environment
        )
        os.close(slave)
        self.heard = ""
        self._read_to = 0

    def __enter__(self) -> Terminal:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.process.kill()
        self.process.wait()
        os.close(self._master)

    def wait_for(self, text: str) -> str:
        """What is printed up to `text`, which comes after what was waited for before. Raises AssertionError."""
        until = time.monotonic() + PATIENCE
        while (found := self.heard.find(text, self._read_to)) < 0:
            assert self.listen(until - time.monotonic()), f"no {text!r} in {self.heard[self._read_to :]!r}"
        said = self.heard[self._read_to : found]
        self._read_to = found + len(text)
        return said

    def listen(self, seconds: float) -> bool:
        """Whether something was printed within a time."""
        if seconds <= 0 or not select.select([self._master], [], [], seconds)[0]:
            return False
        try:
            data = os.read(self._master, 65536)
        except OSError:  # the process has ended
            return False
        self.heard += _SEQUENCE.sub("", data.decode(errors="replace"))
        return bool(data)

    def press(self, keys: str) -> None:
        os.write(self._master, keys.encode())

    def modes(self) -> list[object]:
        """How the terminal is set."""
        import termios

        return termios.tcgetattr(self._master)

    def end(self) -> int:
        """The exit code, when the process has ended."""
        while self.listen(PATIENCE):
            pass
        return self.process.wait(PATIENCE)
