"""IP fragments become datagrams: in which order they come, across batches, and what is in them."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from itertools import permutations

import numpy as np
import pyarrow.compute as pc
import pytest

import spanline
from spanline.batch import Batch, Decode
from spanline.fields import find, occurrences
from spanline.schema import PACKET_FLAGS
from spanline.stages.flows import Flows
from spanline.transforms.reassemble import Reassemble, ReassemblyCounters
from tests.craft import Frame, authentication, ethernet, extension, icmp, ipv4, ipv6, tcp, udp, vlan
from tests.craft_files import START, Record, pcap
from tests.craft_fragments import piece, pieces
from tests.craft_tunnels import gre, vxlan
from tests.rows import chunk_of, layers, mapped, payload, row_of, stack, values, verdict

DATA = bytes(range(100))
V4 = ipv4("192.0.2.1", "192.0.2.2") / udp(1111, 2222) / DATA
V6 = ipv6("2001:db8::7", "2001:db8::8") / udp(1111, 2222) / DATA
FLAG = {name: 1 << bit for bit, name in enumerate(PACKET_FLAGS)}
NOTHING = ReassemblyCounters()


def reassembled(frames: Iterable[Frame | bytes | Record], *, link_type: int = 1, **options: object) -> Batch:
    [batch] = Reassemble().feed(Decode(reassemble=True, **options)(chunk_of(frames, link_type=link_type)))
    return batch


def in_ethernet(parts: Iterable[Frame]) -> list[Frame]:
    return [ethernet() / part for part in parts]


def flags(batch: Batch, row: int) -> set[str]:
    return {name for name, bit in FLAG.items() if batch.packets["flags"][row] & bit}


@pytest.mark.parametrize("packet", [V4, V6], ids=["v4", "v6"])
def test_the_last_to_arrive_shows_the_datagram(packet: Frame) -> None:
    for order in permutations(in_ethernet(pieces(packet, 40))):
        batch = reassembled(order)
        rows = [row_of(batch, n) for n in range(3)]
        assert [verdict(batch, n) for n in range(3)] == ["ok"] * 3
        assert [(row["source_port"], row["destination_port"]) for row in rows] == [(0, 0), (0, 0), (1111, 2222)]
        assert [row["transport_length"] for row in rows] == [0, 0, 8]
        assert [row["payload_buffer"] for row in rows] == [0, 0, 1]
        assert payload(batch, -1) == DATA
        names = stack(batch, 0)
        assert [stack(batch, n) for n in range(3)] == [names, names, f"{names}:udp"]
        assert [row["wire_length"] == row["inner_length"] == len(frame) for row, frame in zip(rows, order, strict=True)]
        assert [flags(batch, n) & {"has-transport", "is-fragment"} for n in range(3)] == [
            {"is-fragment"},
            {"is-fragment"},
            {"has-transport"},
        ]
        assert values(batch, "udp.dstport") == [2222]
        assert sorted(row["fragment_offset"] for row in rows) == [0, 40, 80]
        assert {row["ip_id"] for row in rows} == {1}


def test_fragments_before_it_is_complete_are_their_own_payload() -> None:
    batch = reassembled(in_ethernet(pieces(V4, 40))[:2])
    assert payload(batch, 0) + payload(batch, 1) == bytes(V4)[20:100]
    assert len(batch.buffers) == 1
    assert layers(batch, 0) == [("eth", 0, 14), ("ip", 14, 20)]


def test_layers_of_the_completing_frame() -> None:
    batch = reassembled([ethernet() / V4, *in_ethernet(pieces(V4, 64)), ethernet() / V4])
    of_row = batch.layers[batch.layers["packet"] == 2]
    assert of_row["buffer"].tolist() == [0, 0, 1]
    assert of_row["offset"].tolist() == [*layers_at(batch, 2), 0]
    assert values(batch, "udp.srcport") == [1111, 1111, 1111]
    assert values(batch, "ip.src") == ["c0000201"] * 4
    assert occurrences(batch, find("udp.srcport")).packet.tolist() == [0, 2, 3]


def layers_at(batch: Batch, row: int) -> list[int]:
    start = int(batch.packets["frame_offset"][row])
    return [start, start + 14]


def test_select_keeps_datagrams() -> None:
    inner = ipv4("10.0.0.1", "10.0.0.2") / udp(7, 4789) / vxlan(9) / ethernet() / V4
    frames = [*in_ethernet(pieces(V6, 48)), *in_ethernet(pieces(inner, 64, identification=7)), ethernet() / V4]
    batch = reassembled(frames)
    kept = np.array([n in (2, len(frames) - 2, len(frames) - 1) for n in range(len(frames))])
    some = batch.select(kept)
    assert [stack(some, n) for n in range(3)] == [
        "eth:ipv6:ipv6.fraghdr:udp",
        "eth:ip:udp:vxlan:eth:ip:udp",
        "eth:ip:udp",
    ]
    assert some.tunnels["packet"].tolist() == [1]
    assert values(some, "udp.dstport") == [2222, 4789, 2222, 2222]
    assert payload(some, 0) == payload(some, 1) == DATA
    assert batch.select(~kept).datagrams.size == 0
    before = Decode(reassemble=True)(chunk_of(frames))
    [after] = Reassemble().feed(before.select(np.arange(len(frames)) < 3))
    assert payload(after, -1) == DATA


def test_a_datagram_goes_on_in_the_next_batch() -> None:
    frames = in_ethernet(pieces(V4, 16))
    table, decode = Reassemble(), Decode(reassemble=True)
    for number, frame in enumerate(frames, 1):
        [batch] = table.feed(decode(chunk_of([frame])))
        assert table.counters == ReassemblyCounters(completed=number == len(frames), pending=number != len(frames))
    assert payload(batch, -1) == DATA
    assert list(table.flush()) == []


@pytest.mark.parametrize("order", [1, -1])
def test_checksums_are_of_the_whole_datagram(order: int) -> None:
    bad = udp(1, 2, datagram_checksum=0xDEAD) / DATA
    packets = {V4: False, V6: False, ipv4() / icmp() / DATA: False, ipv4() / bad: True, ipv6() / bad: True}
    for packet, wanted in packets.items():
        batch = reassembled(in_ethernet(pieces(packet, 32))[::order], verify_checksums=True)
        assert ["bad-checksum" in flags(batch, n) for n in range(len(batch))] == [False] * (len(batch) - 1) + [wanted]


def test_what_the_first_fragment_says_comes_first() -> None:
    """RFC 8200 section 4.5: the next header is that of the fragment at offset 0, whichever comes last."""
    parts = [piece(V6, 0, 16), piece(V6, 16, 32, next_header=6), piece(V6, 32, next_header=59)]
    for order in permutations(in_ethernet(parts)):
        batch = reassembled(order)
        assert (stack(batch, 2), payload(batch, -1)) == ("eth:ipv6:ipv6.fraghdr:udp", DATA)
        assert batch.packets["ip_protocol"][2] == 17


def test_identification_has_32_bits_in_ipv6() -> None:
    one, other = (pieces(V6, 64, identification=n << 16 | 5) for n in (1, 2))
    assert counters_of(in_ethernet([one[0], other[1]]), pending=2) == NOTHING
    assert counters_of(in_ethernet([one[0], other[0], one[1], other[1]]), completed=2) == NOTHING


def counters_of(frames: Iterable[Frame | bytes | Record], **wanted: int) -> ReassemblyCounters:
    """What the counters are beyond what is wanted: nothing."""
    table = Reassemble()
    list(table.feed(Decode(reassemble=True)(chunk_of(frames))))
    found = {name: getattr(table.counters, name) - wanted.get(name, 0) for name in ReassemblyCounters.__slots__}
    return ReassemblyCounters(**found)


KEYS: dict[str, Callable[[Frame], Frame]] = {
    "vlan": lambda part: ethernet() / vlan(5) / part,
    "vxlan": lambda part: ethernet() / ipv4() / udp(1, 4789) / vxlan(7) / ethernet() / part,
    "gre": lambda part: ethernet() / ipv4() / gre(key=7) / part,
}


@pytest.mark.parametrize("key", KEYS)
def test_tenants_have_identifications_of_their_own(key: str) -> None:
    first, second = pieces(V4, 64)
    assert counters_of([ethernet() / first, KEYS[key](second)], pending=2) == NOTHING
    assert counters_of([KEYS[key](first), ethernet() / first, KEYS[key](second)], completed=1, pending=1) == NOTHING


def test_ends_protocol_and_identification_keep_apart() -> None:
    first, second = pieces(V4, 64)
    for other in (
        piece(V4, 64, identification=2),
        piece(V4, 64, next_header=6),
        piece(ipv4("192.0.2.1", "192.0.2.3") / udp() / DATA, 64),
        piece(ipv4("192.0.2.2", "192.0.2.1") / udp() / DATA, 64),
    ):
        assert counters_of(in_ethernet([first, other]), pending=2) == NOTHING
    assert counters_of(in_ethernet([second, first, second]), completed=1, pending=1) == NOTHING


def test_an_atomic_fragment_is_a_packet() -> None:
    batch = reassembled([ethernet() / piece(V6, 0)])
    assert (stack(batch), batch.fragments, batch.packets["payload_buffer"][0]) == ("eth:ipv6:ipv6.fraghdr:udp", 0, 0)


def test_what_the_mirror_cut_is_read_as_it_is() -> None:
    first, second = (bytes(ethernet() / part) for part in pieces(V4, 64))
    batch = reassembled([Record(START, first[:60], len(first)), second])
    assert batch.packets["source_port"].tolist() == [1111, 0]
    assert [flags(batch, n) for n in (0, 1)] == [{"more-fragments", "has-transport"}, {"is-fragment"}]
    assert counters_of([Record(START, first[:60], len(first)), second], pending=1) == NOTHING
    late = Record(START, second[:-1], len(second))
    assert counters_of([first, late], pending=1) == NOTHING
    assert counters_of([ethernet() / ipv4(more_fragments=True), ethernet() / ipv4(fragment_offset=8)]) == NOTHING


def test_off_by_default_in_decode() -> None:
    [batch] = Reassemble().feed(Decode()(chunk_of(in_ethernet(pieces(V4, 64)))))
    assert batch.packets["source_port"].tolist() == [1111, 0]
    assert not batch.packets["flags"].any() & FLAG["is-fragment"]


INNER = ethernet() / ipv4("10.9.0.1", "10.9.0.2") / tcp(33, 44, seq=77, flags="PA") / DATA
OUTERS = {
    "vxlan": (ipv4("192.0.2.1", "192.0.2.2") / udp(50000, 4789) / vxlan(300), "udp:vxlan:eth:ip:tcp", 300),
    "gre": (ipv4("192.0.2.1", "192.0.2.2") / gre(key=301, sequence=9), "gre:eth:ip:tcp", 301),
}


@pytest.mark.parametrize("outer", OUTERS)
def test_tunnels_in_a_datagram(outer: str) -> None:
    start, names, number = OUTERS[outer]
    for order in (1, -1):
        frames = [ethernet() / V4, *in_ethernet(pieces(start / INNER, 72))[::order], ethernet() / start / INNER]
        batch = reassembled(frames)
        last = len(frames) - 2
        assert stack(batch, last) == stack(batch, last + 1) == f"eth:ip:{names}"
        there, direct = row_of(batch, last), row_of(batch, last + 1)
        different = {name for name in there if there[name] != direct[name]}
        assert different <= {
            *("timestamp", "frame_offset", "captured_length", "wire_length", "payload_offset", "payload_buffer"),
        }
        assert there["inner_length"] == len(INNER)
        assert (there["tunnel_id"], there["source"]) == (number, mapped("10.9.0.1"))
        assert payload(batch, last) == DATA
        assert batch.tunnels["packet"].tolist() == [last, last + 1]
        mine, other = batch.tunnels
        assert [n for n in mine.dtype.names if n != "packet" and (mine[n] != other[n]).any()] == []


def test_a_fragment_in_a_datagram() -> None:
    """Fragments of the inner packet, each in an outer datagram that was itself cut in pieces."""
    inner = pieces(ipv4("10.9.0.1", "10.9.0.2") / udp(5, 6) / bytes(1000), 504)
    outers = [ipv4("192.0.2.1", "192.0.2.2") / udp(50000, 4789) / vxlan(300) / ethernet() / part for part in inner]
    frames = [ethernet() / p for n, outer in enumerate(outers) for p in pieces(outer, 400, identification=n + 1)]
    batch = reassembled(frames)
    last = len(batch) - 1
    assert [stack(batch, n) for n in range(last)] == ["eth:ip", "eth:ip:udp:vxlan:eth:ip"] + ["eth:ip"] * (last - 2)
    row = row_of(batch, last)
    assert stack(batch, last) == "eth:ip:udp:vxlan:eth:ip:udp"
    assert (row["source_port"], row["tunnel_id"], payload(batch, -1)) == (5, 300, bytes(1000))
    assert row["inner_length"] == 14 + 20 + len(inner[-1]) - 20
    assert batch.tunnels["packet"].tolist() == sorted(batch.tunnels["packet"].tolist())
    assert len(batch.tunnels) == 2
    assert batch.datagrams["packet"].tolist()[-2:] == [last, last]
    ports = values(batch, "udp.dstport")
    assert ports == [4789, 4789, 6]
    wanted = [("eth", 0), ("ip", 0), ("udp", 1), ("vxlan", 1), ("eth", 1), ("ip", 1), ("udp", 1)]
    of_row = batch.layers[batch.layers["packet"] == last]
    assert [(spanline.batch.PROTOCOLS[one["protocol"]], one["buffer"]) for one in of_row] == wanted


def test_fragment_headers_in_a_datagram_end() -> None:
    """A datagram that begins with another fragment header, and so on: 60 bytes more must not copy 64 KiB more."""
    ends = ("2001:db8::7", "2001:db8::8")
    last, inside = [], bytes(V6)[40:]
    for number in range(9):  # each but the last part of it is inside the next datagram's
        part = piece(
            ipv6(*ends, next_header=17 if number == 0 else 44) / inside,
            0,
            8 * (len(inside) // 8 - 1),
            identification=number,
        )
        last.append(piece(ipv6(*ends) / inside, 8 * (len(inside) // 8 - 1), identification=number))
        inside = bytes(part)[40:] + bytes(8)
    frames = in_ethernet([*last, ipv6(*ends, next_header=44) / inside])
    batch = reassembled(frames)
    assert batch.datagrams["packet"].tolist() == [9] * 4
    assert stack(batch, 9) == "eth:ipv6" + 5 * ":ipv6.fraghdr"
    assert flags(batch, 9) >= {"more-fragments", "is-fragment"}
    assert len(batch.layers[batch.layers["packet"] == 9]) == 7
    assert counters_of(frames, completed=4, overlapping=4, refused=1, pending=5) == NOTHING


def test_other_headers_in_datagrams() -> None:
    for start, names in (
        (ipv4() / authentication(), "ip:ah:udp"),
        (ipv4() / ipv4("10.1.0.1", "10.1.0.2"), "ip:ip:udp"),
        (ipv6() / extension(60), "ipv6:ipv6.fraghdr:ipv6.dstopts:udp"),
    ):
        batch = reassembled(in_ethernet(pieces(start / udp(1, 2) / DATA, 16)))
        assert (stack(batch, len(batch) - 1), payload(batch, -1)) == (f"eth:{names}", DATA)
    batch = reassembled(in_ethernet(pieces(ipv4(protocol=89) / DATA, 48)))
    assert [verdict(batch, n) for n in range(3)] == ["ok", "ok", "unsupported ip"]
    batch = reassembled(in_ethernet(pieces(ipv4() / udp(length=5) / DATA, 48)))
    assert verdict(batch, 2) == "malformed udp"
    batch = reassembled(in_ethernet(pieces(ipv4(protocol=6) / bytes(12), 8)))
    assert verdict(batch, 1) == "malformed tcp"


def test_too_many_tunnels_are_counted_where_they_show(tmp_path: object) -> None:
    packet = V4
    for level in range(9):
        packet = ipv4(f"10.0.{level}.1", "10.0.0.2") / packet
    decode, table = Decode(reassemble=True), Reassemble()
    frames = [ethernet() / V4, *in_ethernet(pieces(packet, 64)), ethernet() / packet]
    [batch] = table.feed(decode(chunk_of(frames)))
    assert decode.decoder.too_deep == (2, len(frames) - 1)
    assert decode.decoder.undecodable == 0
    assert len(batch.tunnels) == 16


def test_flows_have_the_datagrams_ports() -> None:
    batch = reassembled([*in_ethernet(pieces(V4, 48)), ethernet() / V4])
    stage = Flows()
    stage.update(batch)
    table = stage.tables()["flows"].sort_by("source_port").to_pylist()
    assert [(row["source_port"], row["source_packets"]) for row in table] == [(0, 2), (1111, 2)]
    assert table[1]["source_payload_bytes"] == 200


def test_tcp_timestamps_in_a_datagram() -> None:
    options = b"\1\1\x08\x0a" + (7).to_bytes(4, "big") + (5).to_bytes(4, "big")
    packet = ipv4() / tcp(1, 2, options=options, flags="S") / DATA
    batch = reassembled(in_ethernet(pieces(packet, 24)))
    assert values(batch, "tcp.options.timestamp.tsval") == [7]


def test_round_trips_of_segments_in_fragments() -> None:
    """The TCP timestamps that tell which SYN was answered are read from the datagram."""

    def option(value: int, echo: int) -> bytes:
        return b"\1\1\x08\x0a" + value.to_bytes(4, "big") + echo.to_bytes(4, "big")

    there, back = ipv4("10.0.0.1", "10.0.0.2"), ipv4("10.0.0.2", "10.0.0.1")
    handshake = [
        (0, there / tcp(1, 2, seq=5, flags="S", options=option(100, 0))),
        (1000, there / tcp(1, 2, seq=5, flags="S", options=option(200, 0))),
        (1500, back / tcp(2, 1, seq=9, ack=6, flags="SA", options=option(7, 100))),
        (1700, there / tcp(1, 2, seq=6, ack=10, flags="A", options=option(300, 7))),
    ]
    found = []
    for size in (16, 1000):
        stage = Flows()
        parts = [
            (time, part) for n, (time, one) in enumerate(handshake) for part in pieces(one, size, identification=n)
        ]
        stage.update(reassembled(Record(START + time, ethernet() / part) for time, part in parts))
        rows = stage.tables()["flows"].filter(pc.field("source_port") == 1).to_pylist()
        found += [(row["syn_synack_rtt"].value, row["initial_rtt"].value) for row in rows]
    assert found == [(1500, 700)] * 2


def test_a_capture_reassembles_by_default(tmp_path: object) -> None:
    path = tmp_path / "a.pcap"  # type: ignore[operator]
    path.write_bytes(pcap([ethernet() / V4, *in_ethernet(pieces(V4, 48))]))
    capture = spanline.open(path)
    assert capture.reassembly == NOTHING
    assert capture.packets()["source_port"].tolist() == [1111, 0, 0, 1111]
    assert capture.reassembly == ReassemblyCounters(completed=1)
    assert capture.problems == []
    assert spanline.open(path, reassemble=False).packets()["source_port"].tolist() == [1111, 1111, 0, 0]
