"""What the ring gives, and what was sent to it: numbered frames, tagged ones, and tcpdump beside it."""

from __future__ import annotations

import struct
import subprocess
from pathlib import Path

from spanline.chunk import Interfaces
from spanline.sources.live import LiveOptions
from spanline.sources.ring import RingSource
from tests.craft import ethernet, ipv4, udp, vlan
from tests.lab.hosts import wait_for
from tests.live_frames import frames_of
from tests.own_network import MTU, NEAR
from tests.test_bpf import of_pcap

SMALL = LiveOptions(block_bytes=1 << 16, blocks=4)
TINY = LiveOptions(block_bytes=1 << 14, blocks=2)
LENGTHS = (60, 61, 64, 128, 590, 1514, 4000, MTU + 14)


def opened(options: LiveOptions = SMALL) -> RingSource:
    return RingSource(NEAR, Interfaces(), options)


def frame(number: int, length: int = 60) -> bytes:
    head = bytes(ethernet() / ipv4("10.0.0.1", "10.0.0.2") / udp(1000, 53)) + struct.pack("!I", number)
    return head + bytes((number + at) % 251 for at in range(length - len(head)))


def read(source: RingSource) -> list[bytes]:
    """Everything that came until now; the source is over then."""
    source.stop()
    found = [one for chunk in source.chunks() for one in frames_of(chunk)]
    arrivals = source.arrivals
    assert arrivals.read == len(found)
    assert arrivals.offered == arrivals.read + arrivals.lost, arrivals
    source.close()
    return found


def tags() -> list[bytes]:
    inside = ipv4("10.0.0.1", "10.0.0.2") / udp(1000, 53) / bytes(range(60))
    many = [vlan(7), vlan(0), vlan(4095, priority=7), vlan(7, tpid=0x88A8), vlan(7, tpid=0x88A8) / vlan(5)]
    many += [vlan(1) / vlan(2) / vlan(3)]
    return [bytes(ethernet() / tag / inside) for tag in many]


def promiscuity() -> str:
    said = subprocess.run(["ip", "-d", "link", "show", NEAR], capture_output=True, text=True, check=True).stdout
    return said.partition("promiscuity ")[2].split()[0]


class Tcpdump:
    """tcpdump on the near end; frames() are those that it wrote."""

    def __init__(self, folder: Path, *arguments: str) -> None:
        self._path = folder / "tcpdump.pcap"
        command = ["tcpdump", "-i", NEAR, "-n", "--nano", "--immediate-mode", "-U", "-w", str(self._path), *arguments]
        self._process = subprocess.Popen(command, stderr=subprocess.PIPE)
        assert self._process.stderr is not None
        assert b"listening" in self._process.stderr.readline()

    def frames(self, count: int) -> list[bytes]:
        wait_for(f"{count} frames", lambda: len(of_pcap_whole(self._path)) >= count)
        self._process.terminate()
        self._process.communicate(timeout=30)
        return of_pcap_whole(self._path)


def of_pcap_whole(path: Path) -> list[bytes]:
    try:
        return [octets for _, _, octets in of_pcap(path.read_bytes())]
    except (struct.error, FileNotFoundError):
        return []
