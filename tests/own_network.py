"""A network of the test's own: a namespace with two interfaces that are the ends of one cable. Linux and root."""

from __future__ import annotations

import ctypes
import os
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from spanline.lab.network import missing

_CLONE_NEWNET = 0x40000000
_SOL_PACKET, _PACKET_QDISC_BYPASS = 263, 20

MTU = 9000
NEAR, FAR = "near0", "far0"


def impossible() -> str:
    """Why there can be no such network here; "" when there can."""
    if sys.platform != "linux":
        return "network namespaces are Linux'"
    if os.geteuid() != 0:
        return "network namespaces are made by root"
    absent = missing("ip")
    return f"not installed: {', '.join(absent)}" if absent else ""


@contextmanager
def own_network() -> Iterator[None]:
    """This thread, and the processes that it starts, are in a network namespace of their own meanwhile."""
    libc = ctypes.CDLL(None, use_errno=True)
    before = os.open("/proc/thread-self/ns/net", os.O_RDONLY)
    if libc.unshare(_CLONE_NEWNET):
        os.close(before)
        raise OSError(ctypes.get_errno(), "cannot make a network namespace")
    try:
        # Frames of its own would be counted.
        Path("/proc/sys/net/ipv6/conf/default/disable_ipv6").write_text("1")
        lay_cable()
        yield
    finally:
        libc.setns(before, _CLONE_NEWNET)
        os.close(before)


def ip(*commands: str) -> None:
    subprocess.run(["ip", "-batch", "-"], input="\n".join(commands), text=True, check=True, timeout=30)


def lay_cable() -> None:
    """Makes both interfaces and switches them on."""
    ip(
        f"link add name {NEAR} mtu {MTU} type veth peer name {FAR} mtu {MTU}",
        f"link set {NEAR} up",
        f"link set {FAR} up",
    )


def open_descriptors() -> int:
    """How many this process has."""
    return sum(1 for _ in Path("/proc/self/fd").iterdir())


class Sender:
    """Puts frames on an end of the cable, as they are."""

    def __init__(self, end: str = FAR) -> None:
        self._socket = socket.socket(socket.AF_PACKET, socket.SOCK_RAW)
        # The queue of an interface throws frames away for up to a second after its carrier came back.
        self._socket.setsockopt(_SOL_PACKET, _PACKET_QDISC_BYPASS, 1)
        self._socket.bind((end, 0))

    def __enter__(self) -> Sender:
        return self

    def __exit__(self, *_: object) -> None:
        self._socket.close()

    def send(self, *frames: bytes) -> None:
        for frame in frames:
            self._socket.send(frame)
