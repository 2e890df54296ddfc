"""A client, a server, the switch between them, and what the switch mirrors: as an OCI VTAP does, or a SPAN port.

client 10.0.0.5 ── switch ── 10.0.1.2 server
                      │
                      ├── 10.0.1.3 target   VXLAN frames, taken by a VXLAN device
                      ├── 10.0.1.4 deaf     VXLAN frames that nobody takes: answered by ICMP port unreachable
                      └── probe             plain copies, as from a SPAN port
"""

from __future__ import annotations

import os
import secrets
import subprocess
from collections.abc import Generator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from spanline.lab.network import (
    MIRROR_SOURCE,
    SERVER,
    TARGET,
    VXLAN_PORT,
    Direction,
    cable,
    connect,
    copy,
    missing,
    reach,
    stop_copying,
    wrap,
)
from tests.lab.hosts import Host, wait_for

TARGETS = {"target": TARGET, "deaf": "10.0.1.4"}
FIRST_VNI = 4096

Target = Literal["target", "deaf", "probe"]


@dataclass(frozen=True)
class Recording:
    """A capture file, and the VXLAN network identifier of the mirror; None of a plain one."""

    path: Path
    vni: int | None


class Lab:
    """The machines of the lab, as a context. Needs root, and the programs that `why_not` names.

    Nothing of it is outside its own namespaces. They end with the context, or with the process that made it.
    """

    def __init__(self) -> None:
        self._stack = ExitStack()
        self._mirrors = 0

    def __enter__(self) -> Lab:
        with ExitStack() as stack:
            self.switch = stack.enter_context(_closing("switch"))
            self.client = stack.enter_context(_closing("client"))
            self.server = stack.enter_context(_closing("server"))
            self.target = stack.enter_context(_closing("target"))
            self.deaf = stack.enter_context(_closing("deaf"))
            self._connect()
            self._stack = stack.pop_all()
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    def _connect(self) -> None:
        connect(self.switch, self.client, self.server)
        for host in (self.target, self.deaf):
            port = f"to-{host.name}"
            cable(self.switch, port, host, "eth0")
            reach(self.switch, port, TARGETS[host.name])
            host.ip("address", "add", TARGETS[host.name], "peer", MIRROR_SOURCE, "dev", "eth0")
        cable(self.switch, "to-probe", self.target, "probe")
        self.target.ip("link", "add", "listener", "type", "vxlan", "id", "1", "dstport", str(VXLAN_PORT))
        self.target.ip("link", "set", "listener", "up")
        # Every frame without a listener is to be answered, not one in a second.
        self.deaf.run("bash", "-c", "echo 0 >/proc/sys/net/ipv4/icmp_ratelimit")

    @contextmanager
    def mirror(self, direction: Direction = "both", to: Target = "target") -> Generator[int | None, None, None]:
        """Copies the server's frames, while the context lasts: by VXLAN, or plain to the probe.

        Gives the VXLAN network identifier; None to the probe.
        """
        self._mirrors += 1
        priority = self._mirrors
        vni = None if to == "probe" else FIRST_VNI + priority - 1
        device = f"to-{to}" if vni is None else f"vxlan{vni}"
        if vni is not None:
            wrap(self.switch, device, vni, TARGETS[to])
        copy(self.switch, direction, device, priority)
        try:
            yield vni
        finally:
            stop_copying(self.switch, direction, priority)
            if vni is not None:
                self.switch.ip("link", "del", device)

    @contextmanager
    def record(
        self, path: Path, direction: Direction = "both", to: Target = "target"
    ) -> Generator[Recording, None, None]:
        """Mirrors, while the context lasts, and writes what comes to the target to a capture file, whole afterwards.

        What comes to `deaf` is recorded on its cable, with what it answers.
        """
        host, interface = {
            "target": (self.target, "eth0"),
            "deaf": (self.switch, "to-deaf"),
            "probe": (self.target, "probe"),
        }[to]
        with self.mirror(direction, to) as vni:
            wanted = f"icmp or (udp port {VXLAN_PORT} and udp[12:4] >> 8 = {vni})" if vni is not None else "ip"
            with dump(host, interface, path, wanted):
                yield Recording(path, vni)
                self._pass_a_marker(path)

    def _pass_a_marker(self, path: Path) -> None:
        """Sends a datagram after everything else, until the capture has it."""
        marker = secrets.token_hex(16)

        def arrived() -> bool:
            self.client.run("bash", "-c", f"printf {marker} >/dev/udp/{SERVER}/9")
            return marker.encode() in path.read_bytes()

        wait_for(f"a marker in {path.name}", arrived)


@contextmanager
def _closing(name: str) -> Generator[Host, None, None]:
    host = Host(name)
    try:
        yield host
    finally:
        host.close()


@contextmanager
def dump(host: Host, interface: str, path: Path, wanted: str) -> Generator[None, None, None]:
    """Writes what comes to an interface to a capture file, with tcpdump, which may lose nothing."""
    process = host.start(
        # The kernel keeps room for a whole frame of this length, each; so there is room for more than a thousand.
        *("tcpdump", "-i", interface, "-U", "--immediate-mode", "-B", "16384", "-s", "9216", "-Z", "root"),
        *("--time-stamp-precision=nano", "-w", path, wanted),
        stderr=subprocess.PIPE,
    )
    assert process.stderr is not None
    said = b""
    while b"listening on" not in said:
        line = process.stderr.readline()
        assert line, f"tcpdump: {said.decode(errors='replace')}"
        said += line
    try:
        yield
    finally:
        host.stop(process)
        said = process.stderr.read()
        process.stderr.close()
        assert b"0 packets dropped by kernel" in said, f"tcpdump: {said.decode(errors='replace')}"


def why_not(*programs: str) -> str:
    """Why the lab, and what needs these programs, cannot be built here; "" when it can."""
    if os.geteuid() != 0:
        return "the lab needs root, for network namespaces"
    tools = ("unshare", "nsenter", "setpriv", "hostname", "ip", "tc", "tcpdump", "bash")
    lacking = missing(*tools, *programs)
    return f"the lab needs programs that are not installed: {' '.join(lacking)}" if lacking else ""
