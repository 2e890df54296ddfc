"""Frames by interval and by verdict, counted by hand."""

from __future__ import annotations

import pytest

from spanline.errors import UsageError
from spanline.stages.io_statistics import IoStatistics
from spanline.stages.verdicts import Verdicts
from tests.craft import Frame, arp, ethernet, extension, ipv4, ipv6, llc, null, raw, snap, tcp, udp, vlan
from tests.craft_files import START, Record
from tests.craft_tunnels import erspan2, erspan3, geneve, gre, vxlan
from tests.rows import decode_all

FRAME = ethernet() / ipv4() / udp()
MS = 10**6


def statistics(times: list[int], interval: int = 10**9, parts: int = 1, **options: int) -> IoStatistics:
    """Of frames of 100 bytes, at `times` in ms after the first, in as many batches."""
    stage = IoStatistics(interval, **options)
    records = [Record(START + time * MS, FRAME, 100) for time in times]
    size = -(-len(records) // parts)
    for at in range(0, len(records), size):
        stage.update(decode_all(records[at : at + size]))
    return stage


@pytest.mark.parametrize("parts", [1, 2, 7])
def test_intervals_with_frames(parts: int) -> None:
    """A frame that is late counts in the latest interval, one before the first frame in the first; none is empty."""
    stage = statistics([0, 999, 1000, 5500, 5400, 900, -500, 6000], parts=parts)
    assert stage.entries().tolist() == [(0, 2, 200), (1, 1, 100), (5, 4, 400), (6, 1, 100)]
    assert stage.duration == 6000 * MS
    table = stage.tables()["io"]
    assert table.column("relative_start").cast("int64").to_pylist() == [0, 10**9, 5 * 10**9, 6 * 10**9]
    assert table.column("start").cast("int64").to_pylist()[1] == START + 10**9
    assert stage.drain() == {}


def test_decades_of_microseconds_take_no_memory() -> None:
    stage = statistics([0, 10**12], 1000)
    assert stage.entries().tolist() == [(0, 1, 100), (10**15, 1, 100)]


def test_intervals_beyond_memory_are_counted_together() -> None:
    stage = statistics([0, 1000, 2000, 3000], memory=48)
    assert stage.entries().tolist() == [(0, 1, 100), (1, 1, 100)]
    assert stage.others == (2, 200)


def test_clocks_further_apart_than_int64() -> None:
    stage = IoStatistics()
    stage.update(decode_all([Record(-(2**63), FRAME), Record(2**63 - 1, FRAME)]))
    assert [frames for _, frames, _ in stage.entries().tolist()] == [1, 1]


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: IoStatistics(999), "makes no sense"),
        (lambda: IoStatistics(1500), "whole number of microseconds"),
        (lambda: IoStatistics(shard=(1, 1)), "shard 1 of 1"),
        (lambda: IoStatistics(1000).merge(IoStatistics(2000)), "other intervals"),
        (lambda: IoStatistics(1000).restore(IoStatistics(2000).state()), "another interval"),
    ],
)
def test_wrong_requests(make: object, message: str) -> None:
    with pytest.raises(UsageError, match=message):
        make()  # type: ignore[operator]


def deep(tunnel: Frame) -> Frame:
    frame = Frame()
    for _ in range(9):
        frame = frame / ethernet() / ipv4() / tunnel
    return frame / FRAME


TOO_DEEP = "more tunnels inside one another than are followed"
NOT_READ = "a version of ERSPAN, or a frame type in it, that is not read"


STOPS = [
    (FRAME, 1, "ok", "", ""),
    (ethernet(ether_type=0x88CC) / b"lldp", 1, "unsupported", "eth", "EtherType 0x88cc"),
    (ethernet() / vlan(5, ether_type=0x8847) / b"mpls", 1, "unsupported", "vlan", "EtherType 0x8847"),
    (ethernet() / snap() / arp(), 1, "ok", "", ""),
    (ethernet() / llc() / b"stp", 1, "unsupported", "llc", "an 802.2 service that is not IP"),
    (ethernet() / vlan(5) / llc() / b"stp", 1, "unsupported", "llc", "an 802.2 service that is not IP"),
    (ethernet() / ipv4(protocol=89) / b"ospf", 1, "unsupported", "ip", "IP protocol 89"),
    (ethernet() / ipv6() / extension(0) / raw(b"x", protocol=253), 1, "unsupported", "ipv6.hopopts", "IP protocol 253"),
    (ethernet() / ipv4() / gre(protocol=0x880B) / b"ppp", 1, "unsupported", "gre", "EtherType 0x880b"),
    (ethernet() / ipv4() / udp(1, 6081) / geneve(1) / raw(b"", ether_type=0x894F), 1, "unsupported", "geneve",
     "EtherType 0x894f"),
    (ethernet() / ipv4() / gre(sequence=1) / erspan3(1, frame_type=7) / FRAME, 1, "unsupported", "erspan", NOT_READ),
    (deep(udp(50000, 4789) / vxlan(1)), 1, "unsupported", "vxlan", TOO_DEEP),
    (deep(udp(50000, 6081) / geneve(1)), 1, "unsupported", "geneve", TOO_DEEP),
    (deep(gre(sequence=1) / erspan2(1)), 1, "unsupported", "erspan", TOO_DEEP),
    (FRAME, 147, "unsupported", "frame", "link type 147 (USER0)"),
    (null(family=99) / b"1234", 0, "unsupported", "null", "an address family that is not IP"),
    (
        ethernet() / ipv4() / udp(length=5),
        1,
        "malformed",
        "udp",
        "its length is less than 8 bytes, or more than the IP packet's",
    ),
]  # fmt: skip


@pytest.mark.parametrize(("frame", "link_type", "verdict", "layer", "reason"), STOPS)
def test_reasons(frame: Frame, link_type: int, verdict: str, layer: str, reason: str) -> None:
    stage = Verdicts()
    stage.update(decode_all([frame], link_type=link_type))
    (row,) = stage.tables()["verdicts"].to_pylist()
    assert (row["verdict"], row["layer"], row["frames"], row["bytes"]) == (verdict, layer, 1, len(frame))
    assert row["reason"] == reason


def test_counts_first_frames_and_order() -> None:
    cut = Record(START, bytes(ethernet() / ipv4() / tcp())[:40], 60)
    stages = Verdicts(), Verdicts()
    batch = decode_all([ethernet(ether_type=0x88CC) / b"1", FRAME, cut, FRAME, ethernet(ether_type=0x88CC) / b"1"])
    stages[0].update(batch)
    stages[1].restore(stages[0].state())
    stages[1].merge(stages[0])
    assert [
        tuple(row.values())[:2] + tuple(row.values())[3:] for row in stages[0].tables()["verdicts"].to_pylist()
    ] == [
        ("ok", "", 2, 2 * len(FRAME), 2),
        ("truncated", "tcp", 1, 60, 3),
        ("unsupported", "eth", 2, 30, 1),
    ]
    assert [row["frames"] for row in stages[1].tables()["verdicts"].to_pylist()] == [4, 2, 4]
    assert Verdicts().tables()["verdicts"].num_rows == 0
