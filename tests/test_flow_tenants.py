"""Which flow a packet belongs to where tunnels, false clocks and bad checksums make it a question; hand-made truth."""

from __future__ import annotations

from typing import Any

import pytest

from spanline.stages.flows import Flows
from tests.craft import Frame, arp, ethernet, ipv4, ipv6, tcp, udp
from tests.craft_files import START, Record
from tests.craft_tunnels import gre, vxlan
from tests.rows import decode_all
from tests.test_flows import flows_of, only

SECOND = 1_000_000_000


def mirrored(vni: int, inside: Frame) -> Frame:
    return ethernet() / ipv4("172.16.0.1", "172.16.0.2") / udp(5000, 4789) / vxlan(vni) / inside


@pytest.mark.parametrize("between", [ipv4(), ipv6(), ipv4() / gre()], ids=["ip-in-ip", "4-in-6", "keyless-gre"])
def test_a_tunnel_without_an_id_keeps_its_tenant(between: Frame) -> None:
    """A mirror's VXLAN around an overlay: the same addresses behind two VNIs are two conversations."""
    talk = between / ipv4("10.0.0.1", "10.0.0.2") / tcp(1000, 80, flags="S")
    frames = [Record(START + n, mirrored(vni, ethernet() / talk)) for n, vni in enumerate((100, 200, 100))]
    assert only(flows_of(frames), "vni", "source", "source_packets") == [(100, "10.0.0.1", 2), (200, "10.0.0.1", 1)]


def test_a_frame_without_ip_belongs_to_the_tunnel_itself() -> None:
    """The innermost IP layer is then the outer one, and the tenant's number says nothing about that."""
    frames = [Record(START + n, mirrored(n, ethernet() / arp())) for n in (1, 2)]
    names = ("source", "destination_port", "vni", "source_packets", "source_bytes")
    assert only(flows_of(frames), *names) == [("172.16.0.1", 4789, None, 2, 2 * len(bytes(frames[0].frame)))]


def test_a_segment_with_a_bad_checksum_opens_no_connection() -> None:
    def segment(at: int, frame: Frame) -> Record:
        return Record(START + at, ethernet() / ipv4("10.0.0.1", "10.0.0.2") / frame)

    good = segment(0, tcp(1000, 80, flags="S", seq=1))
    bad = bytes(segment(1, tcp(1000, 80, flags="S", seq=999)).frame)
    bad = bad[:-4] + bytes([bad[-4] ^ 1]) + bad[-3:]
    frames = [good, Record(START + 1, bad), segment(2, tcp(1000, 80, flags="A", seq=2, ack=5))]
    assert only(flows_of(frames, verify_checksums=True), "source_packets", "history") == [(3, "SCA")]
    assert len(flows_of(frames)) == 2


def live_after(frames: list[Record], **options: Any) -> int:
    stage = Flows(**options)
    stage.update(decode_all(frames))
    return stage.live


def test_idle_flows_end_also_after_the_clock_was_set_back() -> None:
    """Ten minutes of one new flow a second, 120 s idle timeout: some 150 live at most, whatever came before."""
    frames = [Record(START + n * SECOND, ethernet() / ipv4() / udp(n + 1, 53)) for n in range(600)]
    future = [frame._replace(time=START + 10**9 * SECOND) for frame in frames[:2]]
    assert live_after(frames) <= 152
    assert live_after(future + frames) <= 154
