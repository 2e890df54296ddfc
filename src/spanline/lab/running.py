"""Traffic in the lab, and a command at the target that sees it."""

from __future__ import annotations

import contextlib
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Generator, Sequence

from spanline.errors import SpanlineError, UsageError
from spanline.lab.making import CLIENT_NAME, SERVER_NAME, TARGET_NAME, require_made
from spanline.lab.namespaces import inside

_PATIENCE = 15.0
_REST = 1.0
"""Seconds between the last frame and the end of the command that watches."""

# They end when we do, whatever ended us.
_WITH_US = ("setpriv", "--pdeathsig", "TERM")

# What is written down of logins, in files of this machine, goes into memory that is gone with the servers.
_UNRECORDED = ("sh", "-c", 'mount -t tmpfs none /var/log && mount -t tmpfs none /run && exec "$@"', "sh")

_TABLES = ("/proc/net/packet", "/proc/net/udp", "/proc/net/udp6")

Tell = Callable[[str], None]


def run(command: Sequence[str], tell: Tell) -> int:
    """Makes the client visit the server, and tells what it does. Gives the exit code of the command.

    command  runs at the target meanwhile, if it is not empty. Traffic begins when it captures, or _PATIENCE has
             passed; once it is over the command is asked to end, as by Ctrl-C.

    Raises UsageError without a lab, SpanlineError when the traffic fails.
    """
    require_made()
    if command and shutil.which(command[0]) is None:
        raise UsageError(f"no program {command[0]} is installed", hint="it is run as: spanline lab run COMMAND...")
    with _serving():
        if not command:
            _visit(tell)
            return 0
        with _watching(command) as watcher:
            if watcher.poll() is None:
                _visit(tell)
                time.sleep(_REST)
                if watcher.poll() is None:
                    watcher.send_signal(signal.SIGINT)
        return watcher.returncode if watcher.returncode >= 0 else 128 - watcher.returncode


def _program(module: str) -> list[str]:
    return [sys.executable, "-P", "-m", f"spanline.lab.{module}"]


@contextlib.contextmanager
def _serving() -> Generator[None, None, None]:
    servers = subprocess.Popen(
        inside(SERVER_NAME, *_UNRECORDED, *_program("servers")),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        start_new_session=True,
    )
    with servers:
        assert servers.stdin is not None
        assert servers.stdout is not None
        assert servers.stderr is not None
        if servers.stdout.readline() != b"ready\n":
            raise SpanlineError(f"the lab's servers do not start: {_last_line(servers.stderr.read())}")
        try:
            yield
        finally:
            servers.stdin.close()


def _visit(tell: Tell) -> None:
    visits = subprocess.Popen(
        [*_WITH_US, *inside(CLIENT_NAME, *_program("visits"))], stdout=subprocess.PIPE, stderr=subprocess.PIPE
    )
    with visits:
        assert visits.stdout is not None
        assert visits.stderr is not None
        for line in visits.stdout:
            tell(line.decode(errors="replace").strip())
        said = visits.stderr.read()
    if visits.returncode:
        raise SpanlineError(f"the lab's client could not do everything: {_last_line(said)}")


def _last_line(said: bytes) -> str:
    return (said.decode(errors="replace").strip().splitlines() or ["without a word"])[-1]


@contextlib.contextmanager
def _watching(command: Sequence[str]) -> Generator[subprocess.Popen[bytes], None, None]:
    """The command at the target, from when it captures until it has ended."""
    before = _sockets()
    watcher = subprocess.Popen([*_WITH_US, *inside(TARGET_NAME, *command)])
    try:
        end = time.monotonic() + _PATIENCE
        while watcher.poll() is None and _sockets() <= before and time.monotonic() < end:
            time.sleep(0.05)
        yield watcher
        watcher.wait()
    finally:
        if watcher.poll() is None:
            watcher.terminate()
            watcher.wait()


def _sockets() -> int:
    """How many sockets of the target take frames, or datagrams. Definition: packet(7) and the kernel's /proc/net."""
    found = subprocess.run(inside(TARGET_NAME, "cat", *_TABLES), capture_output=True, text=True, errors="replace")
    rows = [line.split() for line in found.stdout.splitlines()]
    # Of one for frames that takes none yet, the protocol is 0. Rows of datagrams have a colon in the second column.
    return sum(":" in row[1] or (len(row) == 9 and row[3] != "0000") for row in rows if row[0] not in ("sk", "sl"))
