"""Machines made of Linux namespaces: nothing of them stands on this machine's disk or in its network."""

from __future__ import annotations

import os
import signal
import subprocess
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

PATIENCE = 30.0
"""Seconds after which what was waited for will not come, on the slowest machine."""

# Folders are laid over with memory, so that users, keys and logs of a host are its own. The first process ends when its
# input does, whatever ended the tests, and with it every process, mount and interface of the host.
_FIRST_PROCESS = """
set -e
hostname "$1"
mount -t tmpfs none /mnt
for folder in /etc /var /home /root; do
    mkdir -p /mnt$folder/upper /mnt$folder/work
    mount -t overlay none -o lowerdir=$folder,upperdir=/mnt$folder/upper,workdir=/mnt$folder/work $folder
done
mount -t tmpfs none /run
sed -i 's/^hosts:.*/hosts: files/' /etc/nsswitch.conf
for scope in all default; do echo 1 >/proc/sys/net/ipv6/conf/$scope/disable_ipv6; done
ip link set lo up
echo ready
read -r || true
"""


def wait_for(what: str, is_so: Callable[[], bool]) -> None:
    """Asks again and again. Raises TimeoutError."""
    end = time.monotonic() + PATIENCE
    while not is_so():
        if time.monotonic() > end:
            raise TimeoutError(f"waited {PATIENCE:.0f} s for {what}")
        time.sleep(0.02)


def takes_frames(process: int) -> bool:
    """Whether a socket of a process takes frames of an interface, or datagrams. Definition: packet(7), proc_net(5)."""
    folder = Path(f"/proc/{process}")
    try:
        sockets = {str(file.readlink()) for file in (folder / "fd").iterdir()}
        tables = {name: (folder / "net" / name).read_text().splitlines()[1:] for name in ("packet", "udp", "udp6")}
    except OSError:  # it has ended, or an open file is open no more
        return False
    rows = [line.split() for line in tables["packet"]]
    # Of one that takes no frames yet, the protocol is 0.
    taking = {row[8] for row in rows if row[3] != "0000"}
    taking.update(line.split()[9] for line in tables["udp"] + tables["udp6"])
    return any(f"socket:[{inode}]" in sockets for inode in taking)


class Host:
    """A machine with interfaces, processes, users and files of its own. It needs root.

    process  number of the process that holds its namespaces
    """

    def __init__(self, name: str) -> None:
        self.name = name
        self._started: list[subprocess.Popen[bytes]] = []
        self._keeper = subprocess.Popen(
            ["unshare", "--net", "--mount", "--uts", "--pid", "--fork", "--kill-child", "--mount-proc"]
            + ["bash", "-c", _FIRST_PROCESS, "first", name],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
        assert self._keeper.stdout is not None
        said = [self._keeper.stdout.readline()]
        if said[0] != b"ready\n":
            said += self._keeper.stdout.readlines()
            self.close()
            raise OSError(f"cannot make the namespaces of {name}: {b' '.join(said).decode(errors='replace').strip()}")
        self.process = self._keeper.pid

    def close(self) -> None:
        """Ends every process of the host; what it was made of goes with the last of them."""
        assert self._keeper.stdin is not None
        assert self._keeper.stdout is not None
        self._keeper.stdin.close()
        self._keeper.wait(PATIENCE)
        self._keeper.stdout.close()
        for process in self._started:
            process.wait(PATIENCE)

    def command(self, *command: str | Path, namespaces: str = "net mount uts pid") -> list[str]:
        """The command line that runs `command` on this host."""
        own = f"/proc/{self.process}/ns"
        files = {"net": "net", "mount": "mnt", "uts": "uts", "pid": "pid_for_children"}
        return [
            *("nsenter", *(f"--{one}={own}/{files[one]}" for one in namespaces.split()), "--"),
            *(str(one) for one in command),
        ]

    def run(
        self, *command: str | Path, feed: str | None = None, codes: tuple[int, ...] = (0,)
    ) -> subprocess.CompletedProcess[str]:
        """Runs a command to its end, with `feed` as its input.

        Raises AssertionError at any other exit code, or TimeoutError; without the arguments, some of which are secrets.
        """
        try:
            done = subprocess.run(
                self.command(*command),
                input=feed or "",
                capture_output=True,
                text=True,
                errors="replace",
                timeout=2 * PATIENCE,
                cwd="/",
                start_new_session=True,
            )
        except subprocess.TimeoutExpired:
            raise TimeoutError(f"{command[0]} on {self.name} does not end") from None
        assert done.returncode in codes, f"{command[0]} on {self.name}: {done.returncode}: {done.stderr}{done.stdout}"
        return done

    def ip(self, *arguments: str) -> None:
        """Configures interfaces. `ip` stays among the processes of this machine, so that it finds other hosts'."""
        subprocess.run(self.command("ip", *arguments, namespaces="net"), check=True, timeout=PATIENCE, cwd="/")

    def tc(self, *arguments: str) -> None:
        self.run("tc", *arguments)

    def start(self, *command: str | Path, **others: Any) -> subprocess.Popen[bytes]:
        """Starts a command that goes on until it is stopped, or the host is closed. Without output, unless told."""
        streams = {"stdin": subprocess.DEVNULL, "stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
        process = subprocess.Popen(self.command(*command), cwd="/", start_new_session=True, **{**streams, **others})
        self._started.append(process)
        return process

    def stop(self, process: subprocess.Popen[bytes]) -> None:
        """Asks what was started to end. nsenter passes no signal on: its child is asked."""
        for child in Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split():
            os.kill(int(child), signal.SIGTERM)
        process.wait(PATIENCE)
        self._started.remove(process)

    def path(self, path: str) -> Path:
        """A file of this host, for processes of this machine."""
        return Path(f"/proc/{self.process}/root{path}")

    def write(self, path: str, text: str, mode: int = 0o644) -> None:
        file = self.path(path)
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)
        file.chmod(mode)

    def listens(self, transport: str, port: int) -> bool:
        """Whether a server waits there; found without sending anything."""
        state = {"tcp": "0A", "udp": "07"}[transport]
        for family in (transport, f"{transport}6"):
            table = Path(f"/proc/{self.process}/net/{family}")
            rows = [line.split() for line in table.read_text().splitlines()[1:]] if table.exists() else []
            if any(int(row[1].rpartition(":")[2], 16) == port and row[3] == state for row in rows):
                return True
        return False
