"""The protocol hierarchy.

Oracles: frames of our own whose layers are known, and tshark 4.0.17 with -z io,phs on every shared capture whose
encapsulations spanline decodes.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from spanline.batch import Batch
from spanline.stages.hierarchy import Count, Hierarchy
from tests.craft import arp, ethernet, ipv4, ipv6, tcp, udp, vlan
from tests.craft_files import START, Record, pcap
from tests.craft_tunnels import vxlan
from tests.hierarchy import EXCEPTED, EXCEPTED_APPLICATIONS, LISTED, compare, our_lines
from tests.rows import decode, decode_all
from tests.test_dividing import cut

FRAMES = [ethernet() / arp(), ethernet() / ipv4() / udp() / b"12", ethernet() / vlan(5) / ipv6() / tcp(), b"\x02" * 3]


def hierarchy_of(*batches: Batch) -> Hierarchy:
    stage = Hierarchy()
    for batch in batches:
        stage.update(batch)
    return stage


def lines(stage: Hierarchy) -> list[tuple[str, int, int, int]]:
    rows = stage.tables()["hierarchy"].to_pylist()
    return [(row["path"], row["frames"], row["bytes"], row["frames_here"]) for row in rows]


def test_each_frame_counts_at_each_of_its_layers() -> None:
    """By hand; siblings stand in the order of their first frames, whatever the stacks' numbers are."""
    sizes = [len(bytes(frame)) for frame in FRAMES]
    batch = decode(*FRAMES, FRAMES[1])
    assert lines(hierarchy_of(batch)) == [
        ("eth", 4, sum(sizes[:3]) + sizes[1], 0),
        ("eth:arp", 1, sizes[0], 1),
        ("eth:ip", 2, 2 * sizes[1], 0),
        ("eth:ip:udp", 2, 2 * sizes[1], 2),
        ("eth:vlan", 1, sizes[2], 0),
        ("eth:vlan:ipv6", 1, sizes[2], 0),
        ("eth:vlan:ipv6:tcp", 1, sizes[2], 1),
        ("_ws.malformed", 1, 3, 1),
    ]


INNER = ethernet() / ipv4() / tcp() / b"x"


@pytest.mark.parametrize(
    ("frame", "captured", "way"),
    [
        (ethernet() / ipv4() / udp(5, 4789) / vxlan(7) / INNER, None, "eth:ip:udp:vxlan:eth:ip:tcp"),
        (ethernet() / ipv4() / udp() / b"12345678", 42, "eth:ip:udp:_ws.short"),
        (ethernet() / ipv4() / tcp() / b"12345678", 54, "eth:ip:tcp"),
        (ethernet() / ipv4() / tcp() / b"12345678", 44, "eth:ip:tcp:_ws.short"),
        (ethernet() / ipv4() / tcp() / b"12345678", 36, "eth:ip:_ws.short"),
        (ethernet() / ipv4() / tcp() / b"12345678", 30, "eth:ip:_ws.short"),
        (ethernet() / ipv4() / tcp() / b"12345678", 10, "_ws.short"),
        (bytes(ethernet() / ipv4() / b"")[:24], None, "eth:ip:_ws.malformed"),
    ],
)
def test_where_reading_ends(frame: bytes, captured: int | None, way: str) -> None:
    """By tshark's rules: short is what was not captured, malformed what was never there."""
    octets = bytes(frame)
    batch = decode_all([Record(START, octets[:captured], len(octets))])
    assert list(hierarchy_of(batch).counts) == [tuple(way.split(":"))]


def test_applications_are_nodes_below_the_transport() -> None:
    batch = decode(*FRAMES[1:2] * 3)
    batch.applications = ((), ("dns",), ("tcp.segments", "tls"))
    batch.packets["application"] = [1, 2, 1]
    assert {":".join(way): count.frames for way, count in hierarchy_of(batch).counts.items()} == {
        "eth:ip:udp:dns": 2,
        "eth:ip:udp:tcp.segments:tls": 1,
    }


def test_dividing_changes_nothing() -> None:
    """Any batches, merged in any order, or saved and restored."""
    whole = decode(*FRAMES * 3)
    expected = lines(hierarchy_of(whole))
    for at in range(len(whole) + 1):
        first, second = cut(whole, at)
        assert lines(hierarchy_of(first, second)) == expected
        for one, other in ((first, second), (second, first)):
            merged = hierarchy_of(one)
            merged.merge(hierarchy_of(other))
            assert lines(merged) == expected
        restored = Hierarchy()
        restored.restore(hierarchy_of(first).state())
        restored.update(second)
        assert lines(restored) == expected
    assert hierarchy_of(whole).drain() == {}


def test_text_is_as_wide_as_tsharks(tmp_path: Path) -> None:
    """A name in 40 places, behind two blanks a level; beyond the sixteenth, points."""
    path = tmp_path / "a.pcap"
    deep = ethernet()
    for _ in range(20):
        deep = deep / vlan(5)
    path.write_bytes(pcap([Record(START, deep / ipv4() / udp() / b"1")]))
    own, frames = our_lines(path)
    assert frames == 1
    assert own[1] == f"  {'vlan':<38} frames:1 bytes:{14 + 80 + 29}"
    assert own[17] == f"{' ' * 32}...vlan  frames:1 bytes:{14 + 80 + 29}"


def test_through_the_transport_layer_it_is_tsharks(captures: Path, oracle: Path) -> None:
    compared = compare(captures, oracle)
    assert compared.captures > 900
    assert compared.lines["transport"] > 3400
    assert set(compared.differing["transport"]) == set(EXCEPTED)


def test_listed_protocols_are_tsharks_on_nearly_all_lines(captures: Path, oracle: Path) -> None:
    compared = compare(captures, oracle)
    lines, equal, extra = compared.applications()
    assert lines > 1350
    assert equal >= 0.95 * lines
    assert extra < 0.025 * lines
    assert {capture for name in LISTED for capture in compared.differing[name]} == set(EXCEPTED_APPLICATIONS)


def test_counts_add_up() -> None:
    count = Count(1, 100, 7)
    count.add(Count(2, 50, 3))
    assert (count.frames, count.octets, count.first) == (3, 150, 3)
