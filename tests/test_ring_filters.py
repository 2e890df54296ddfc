"""What the kernel leaves out before frames come to the ring: by filters, and behind a snaplen.

Oracles: the frames that were sent; tcpdump beside, on the same interface with the same filter.
"""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path

import pytest

from spanline.filters.bpf import kernel_program
from tests.craft import arp, ethernet, icmp, ipv4, ipv6, tcp, udp, vlan
from tests.lab.hosts import wait_for
from tests.live_frames import frames_of
from tests.own_network import Sender, impossible
from tests.ring_frames import LENGTHS, SMALL, Tcpdump, frame, of_pcap_whole, opened, read, tags

pytestmark = [
    pytest.mark.lab,
    pytest.mark.usefixtures("network"),
    pytest.mark.skipif(bool(impossible()), reason=impossible() or "-"),
]


# Filters of which the kernel's frames tell the same as the frames of a file: what is not tagged.
KERNEL_FILTERS = (
    "udp port 53", "tcp", "host 10.0.0.1", "not arp", "ip6", "icmp or arp", "len > 100",
    "ip[8] = 64", "ip broadcast", "greater 60 and udp",
)  # fmt: skip
OTHER_FILTERS = ("vlan", "vlan 7 and ip", "ether[12:2] = 0x8100", "ether[14] = 0x45", "ether proto 0x88a8",
                 "ip6 protochain 17")  # fmt: skip


def mixture() -> list[bytes]:
    inside = ipv4("10.0.0.1", "10.0.0.2")
    packets = [inside / udp(1000, 53), inside / tcp(), ipv4() / icmp(), arp(), ipv6() / tcp(), ipv6() / udp(53, 53)]
    packets.append(ipv4("10.0.0.3", "255.255.255.255") / udp(68, 67))
    frames = [bytes(ethernet() / packet).ljust(length, b".") for packet in packets for length in (60, 150)]
    return frames + [bytes(ethernet() / vlan(7) / packet) for packet in packets] + tags()


@pytest.mark.skipif(not shutil.which("tcpdump"), reason="no tcpdump")
@pytest.mark.parametrize("text", KERNEL_FILTERS)
def test_the_kernel_filters(cable: Sender, tmp_path: Path, text: str) -> None:
    """Oracle: tcpdump on the same interface, also for tagged frames; what is left out is not counted."""
    last = bytes(ethernet() / arp()).ljust(60, b"!")
    tcpdump = Tcpdump(tmp_path, f"({text}) or (arp and ether[59] = 0x21)")
    source = opened(replace(SMALL, filter=text))
    assert source.kernel_filters
    assert source._interfaces[0].filter == text
    cable.send(*mixture(), last)
    wait_for("tcpdump", lambda: last in of_pcap_whole(tmp_path / "tcpdump.pcap"))
    wanted = tcpdump.frames(1)
    found = read(source)
    assert [one for one in found if one != last] == wanted[:-1]
    assert source.arrivals.offered == len(found)
    assert 0 < len(found) < len(mixture()) + 1


@pytest.mark.parametrize("text", OTHER_FILTERS)
def test_filters_that_the_kernel_would_misread_are_left_to_others(cable: Sender, text: str) -> None:
    assert kernel_program(text, 1, 262144) is None
    source = opened(replace(SMALL, filter=text))
    assert not source.kernel_filters
    cable.send(*mixture())
    assert read(source) == mixture()


@pytest.mark.parametrize("text", [None, "udp", "vlan or udp"])
@pytest.mark.parametrize("snaplen", [1, 14, 17, 60, 96, 1500])
def test_snaplen(cable: Sender, snaplen: int, text: str | None) -> None:
    """Oracle: what was sent, cut: also tagged frames, which are as long as they were where the tag is cut off."""
    sent = [frame(n, length) for n, length in enumerate(LENGTHS)] + [tags()[n] for n in (0, 3)]
    source = opened(replace(SMALL, snaplen=snaplen, filter=text))
    cable.send(*sent)
    source.stop()
    chunks = list(source.chunks())
    assert [one for chunk in chunks for one in frames_of(chunk)] == [one[:snaplen] for one in sent]
    assert [one for chunk in chunks for one in chunk.records["wire_length"]] == [len(one) for one in sent]
    source.close()
