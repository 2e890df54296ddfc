"""Network namespaces: nameless until they are whole, so that nothing is left of what was never finished."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import time
from pathlib import Path

from spanline.errors import SpanlineError, UsageError

_MARK = "made by spanline lab"
_PATIENCE = 30.0

# It ends when its input does, whatever ended the process that started it, and the namespace with it, if it has no name.
# Fresh interfaces would chatter in IPv6, and what is mirrored may come from anywhere.
_KEEPER = f"""
set -e
ip link set lo alias '{_MARK}' up
for scope in all default; do
    test ! -e /proc/sys/net/ipv6/conf/$scope || echo 1 >/proc/sys/net/ipv6/conf/$scope/disable_ipv6
    echo 0 >/proc/sys/net/ipv4/conf/$scope/rp_filter
done
echo ready
read -r line || true
"""


class Namespace:
    """A network namespace. It ends with close(), or with the process that made it, unless it was given a name before.

    process  number of the process that holds it
    """

    def __init__(self) -> None:
        self._keeper = subprocess.Popen(
            ["unshare", "--net", "sh", "-c", _KEEPER],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
        self.process = self._keeper.pid
        assert self._keeper.stdout is not None
        said = self._keeper.stdout.readline()
        if said != b"ready\n":
            self.close()
            why = said.decode(errors="replace").strip()
            raise SpanlineError(f"cannot make a network namespace: {why}", hint="the lab needs all of root's rights")

    def close(self) -> None:
        assert self._keeper.stdin is not None
        assert self._keeper.stdout is not None
        self._keeper.stdin.close()
        self._keeper.wait(_PATIENCE)
        self._keeper.stdout.close()

    def ip(self, *arguments: str) -> None:
        """Configures interfaces. Raises SpanlineError."""
        self._run("ip", *arguments)

    def tc(self, *arguments: str) -> None:
        """Configures what becomes of frames at interfaces. Raises SpanlineError."""
        self._run("tc", *arguments)

    def _run(self, *command: str) -> None:
        _run("nsenter", f"--net=/proc/{self.process}/ns/net", "--", *command)

    def attach(self, name: str) -> None:
        """Gives it a name, by which `ip netns` finds it; it stays until `remove`. Raises SpanlineError."""
        _run("ip", "netns", "attach", name, str(self.process))


def _run(*command: str) -> None:
    ran = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, text=True, errors="replace")
    if ran.returncode:
        said = " ".join(ran.stderr.split()).removeprefix("Error: ").rstrip(".")
        raise SpanlineError(
            f"{' '.join(command).rpartition('-- ')[2]}: {said}",
            hint="the lab needs a kernel with veth, bridge, vxlan, sch_ingress, cls_u32 and act_mirred",
        )


def _path(name: str) -> Path:
    return Path("/run/netns", name)


def inside(name: str, *command: str) -> list[str]:
    """The command line that runs `command` in a namespace that has a name."""
    return ["ip", "netns", "exec", name, *command]


def exists(name: str) -> bool:
    return _path(name).exists()


def is_ours(name: str) -> bool:
    """Whether a namespace of that name was made here."""
    found = subprocess.run(
        inside(name, "cat", "/sys/class/net/lo/ifalias"), capture_output=True, text=True, errors="replace"
    )
    return found.stdout.strip() == _MARK


def end_processes(name: str) -> list[str]:
    """Ends what still runs in a namespace. Gives each process as NAME (NUMBER). Raises UsageError when we are one."""
    numbers = _processes(name)
    if os.getpid() in numbers:
        raise UsageError(f"this runs in {name} itself", hint="leave it first")
    told = []
    for number in numbers:
        with contextlib.suppress(OSError):
            told.append(f"{Path(f'/proc/{number}/comm').read_text().strip()} ({number})")
            os.kill(number, signal.SIGTERM)
    end = time.monotonic() + 3
    while _processes(name) and time.monotonic() < end:
        time.sleep(0.05)
    for number in _processes(name):
        with contextlib.suppress(OSError):
            os.kill(number, signal.SIGKILL)
    return told


def _processes(name: str) -> list[int]:
    found = subprocess.run(["ip", "netns", "pids", name], capture_output=True, text=True, errors="replace")
    return [int(number) for number in found.stdout.split()]


def remove(name: str) -> None:
    """Takes its name away; it ends with the last process in it. Raises SpanlineError."""
    _run("ip", "netns", "delete", name)
