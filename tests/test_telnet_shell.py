"""What is typed into a real shell, with every key of its line editor, is what the shell remembers.

Oracle: the history that bash writes when it ends.
"""

from __future__ import annotations

import fcntl
import os
import select
import shutil
import struct
import subprocess
import termios
import time
from collections.abc import Sequence
from pathlib import Path

import pytest

from tests.craft_telnet import CLIENT, SERVER, Said, pieces, tell

WINDOW = b"\xff\xfa\x1f\x00\x50\x00\x18\xff\xf0"
READY, PROMPT = b"\x1b]0;ready\x07", b"$ "
PATIENCE = 20.0

# Lines of keys for bash in its emacs mode; a file "motd" and a folder "pub" stand where it runs.
LINES = [
    b"echo one",
    b"ecoh\x7f\x7fho two",
    b"echo wrong\x15echo three",
    b"echo four fice\x17five",
    b"cho six\x01e\x05 seven",
    b"echo egiht\x1b[D\x1b[D\x1b[D\x7f\x1b[Cg\x05!",
    b"echo eight nine\x1b[D\x1b[D\x1b[D\x1b[D\x0bten\x19",
    b"\x12thr",
    b"\x1b[A",
    b"\x1b[A\x1b[A\x1b[Aq",
    b"echo a very long line that goes on and on until the terminal has no more room for it on this row, and some\x7f!",
    b"\x1b[A\x01\x1b[C\x1b[C\x1b[C\x1b[C\x1b[C\x1b[3~\x1b[3~",
    b"cat mo\t",
    b"ls pu\t-a",
    "echo grün".encode() + b"\x7f\x7f" + "ön".encode(),
    b"echo ba\x14",
    b"echo x y\x1bb\x1bd z",
    b"\x10\x10",
]  # fmt: skip


class Shell:
    """bash on a terminal of its own, recorded as a Telnet session would be."""

    def __init__(self, folder: Path) -> None:
        self.said: list[Said] = [(CLIENT, WINDOW)]
        self._master, slave = os.openpty()
        fcntl.ioctl(slave, termios.TIOCSWINSZ, struct.pack("HHHH", 24, 80, 0, 0))
        environment = {
            "PATH": os.environ["PATH"], "HOME": str(folder), "TERM": "xterm", "PS1": "$ ", "LC_ALL": "C.UTF-8",
            "HISTFILE": str(folder / "history"), "INPUTRC": "/dev/null",
            "PROMPT_COMMAND": r"printf '\e]0;ready\a'",
        }  # fmt: skip
        command = ["setsid", "--ctty", "bash", "--norc", "--noprofile", "+H", "-i"]
        self.process = subprocess.Popen(
            command, stdin=slave, stdout=slave, stderr=slave, cwd=folder, env=environment, close_fds=True
        )
        os.close(slave)
        self.wait()

    def hear(self, seconds: float) -> bytes:
        """What is printed within a time; nothing when it is over or the shell has ended."""
        if not select.select([self._master], [], [], seconds)[0]:
            return b""
        try:
            data = os.read(self._master, 4096)
        except OSError:  # the shell has ended
            return b""
        if data:
            self.said.append((SERVER, data))
        return data

    def wait(self) -> None:
        """Until there is a new prompt: what stands before it tells it from one that is drawn again."""
        heard, until = b"", time.monotonic() + PATIENCE
        while READY not in heard or not heard.endswith(PROMPT):
            heard += self.hear(until - time.monotonic()) or pytest.fail("the shell says nothing")

    def press(self, key: bytes) -> None:
        self.said.append((CLIENT, key))
        os.write(self._master, key)

    def close(self) -> None:
        self.press(b"exit\r")
        while self.hear(PATIENCE):
            pass
        assert self.process.wait(PATIENCE) == 0
        os.close(self._master)


def keys_of(line: bytes) -> Sequence[bytes]:
    """A line as the terminal of its user sends it: an arrow at once, all else byte by byte."""
    keys, at = [], 0
    while at < len(line):
        size = 1
        if line[at : at + 2] == b"\x1b[":
            size = 4 if line[at + 2 : at + 3].isdigit() else 3
        elif line[at : at + 1] == b"\x1b":
            size = 2
        keys.append(line[at : at + size])
        at += size
    return keys


@pytest.mark.parametrize("patient", [True, False])
def test_commands_are_those_of_the_shells_history(tmp_path: Path, patient: bool) -> None:
    if not (shutil.which("bash") and shutil.which("setsid")):
        pytest.skip("no bash or no setsid")
    (tmp_path / "motd").write_text("hello\n")
    (tmp_path / "pub").mkdir()
    shell = Shell(tmp_path)
    for line in LINES:
        for key in keys_of(line):
            shell.press(key)
            if patient:
                # Whoever types looks at what comes; how long is no matter, as the other run shows.
                shell.hear(0.02)
        shell.press(b"\r")
        shell.wait()
    shell.close()
    remembered = (tmp_path / "history").read_text().splitlines()
    assert len(remembered) == len(LINES) + 1
    # The space behind a completed word cannot be seen.
    assert tell(pieces(shell.said)).commands == [line.rstrip() for line in remembered]
