"""Frames that were cut, bent, or never were frames; checksums; and the flow hash.

Oracles: where the headers of a crafted frame end, which the test knows because it made them; RFC 1071 checksums by
tests/craft.py; and for garbage the rule that every row stays inside its frame.
"""

from __future__ import annotations

import hashlib

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from spanline.batch import Batch, Decode
from spanline.schema import VERDICTS
from tests.craft import (
    Frame,
    authentication,
    ethernet,
    extension,
    icmp,
    icmpv6,
    ipv4,
    ipv6,
    ipv6_fragment,
    option,
    raw,
    sctp,
    sctp_chunk,
    sll,
    tcp,
    udp,
    vlan,
)
from tests.craft_files import START, Record
from tests.craft_tunnels import gre, vxlan
from tests.rows import chunk_of, decode, decode_all, layers, mapped, row_of, stack, verdict

OPTIONS = option(2, b"\5\xb4") + option(4) + option(8, bytes(8)) + b"\1" + option(3, b"\7")
DEEP = (
    (ethernet(), 14, "eth"),
    (vlan(5), 18, "vlan"),
    (ipv4("192.0.2.1", "192.0.2.2"), 38, "ip"),
    (udp(40001, 4789), 46, "udp"),
    (vxlan(77), 54, "vxlan"),
    (ethernet(), 68, "eth"),
    (ipv6("2001:db8::1", "2001:db8::2"), 108, "ipv6"),
    (tcp(1234, 443, seq=0x01020304, ack=0x05060708, flags="PA", window=0x1122, options=OPTIONS), 148, "tcp"),
)
"""(header, where it ends, its name)"""
PAYLOAD = 200


def deep() -> bytes:
    frame = Frame()
    for header, _, _ in DEEP:
        frame = frame / header
    return bytes(frame / bytes(PAYLOAD))


def assert_inside(batch: Batch) -> None:
    """Nothing that a row says is outside of its frame and the datagrams it completed, or of the arrays around it."""
    rows = batch.packets
    frame = rows["frame_offset"].astype(np.int64)
    begin, end = np.stack([frame, frame]), np.stack([frame + rows["captured_length"], frame])  # by buffer, by row
    for one in batch.datagrams[::-1]:
        begin[1, one["packet"]] = one["offset"]
    for one in batch.datagrams:
        end[1, one["packet"]] = int(one["offset"]) + int(one["length"])
        assert 0 < int(one["length"]) <= 65535
        assert end[1, one["packet"]] <= len(batch.buffers[1])
    whole = np.isin(np.arange(len(rows)), batch.datagrams["packet"])
    assert (rows["payload_buffer"] == whole).all()
    of_layer_begin, of_layer_end = begin, end
    row = np.arange(len(rows))
    begin, end = begin[rows["payload_buffer"], row], end[rows["payload_buffer"], row]
    has_payload = rows["payload_offset"] != 0
    assert (rows["payload_offset"] >= begin)[has_payload].all()
    # A header may go on behind the last captured byte, and with it the place where its payload would be.
    assert (rows["payload_offset"] <= end + 60)[has_payload].all()
    assert (rows["payload_offset"] - rows["transport_length"].astype(np.int64) >= begin)[has_payload].all()
    assert (rows["verdict"] < len(VERDICTS)).all()
    assert (rows["path"] < len(batch.paths)).all()
    assert np.isin(rows["ip_version"], (0, 4, 6)).all()
    assert (rows["tunnel_count"] <= 8).all()
    tunnels = batch.tunnels
    assert (tunnels["packet"] < len(rows)).all()
    assert (np.bincount(tunnels["packet"], minlength=len(rows)) == rows["tunnel_count"]).all()
    listed = batch.layers
    assert (listed["buffer"] <= whole[listed["packet"]]).all()
    assert (listed["offset"] >= of_layer_begin[listed["buffer"], listed["packet"]]).all()
    stops = of_layer_end[listed["buffer"], listed["packet"]]
    assert (listed["offset"] + listed["length"].astype(np.int64) <= stops).all()


@pytest.mark.parametrize("cut", range(len(deep()) + 1))
def test_a_deep_frame_cut_at_every_byte(cut: int) -> None:
    """What was captured is told, what was not is `truncated`, and lengths are those of the wire."""
    whole = deep()
    batch = decode(Record(START, whole[:cut], len(whole)))
    row, ends = row_of(batch), {name + str(n): end for n, (_, end, name) in enumerate(DEEP)}
    assert_inside(batch)
    assert (row["captured_length"], row["wire_length"]) == (cut, len(whole))

    layer = next((n for n, (_, end, _) in enumerate(DEEP) if cut < end), None)
    if layer is None:
        assert verdict(batch) == "ok"
    elif cut == ends["udp3"]:
        assert verdict(batch) == "ok", "what a datagram of which no byte is left would have been, nobody knows"
    else:
        assert verdict(batch) == f"truncated {DEEP[layer][2]}"
        assert stack(batch) == ":".join(name for _, _, name in DEEP[: layer + 1])

    if cut >= ends["ipv66"]:
        assert (row["source"], row["destination"]) == (mapped("2001:db8::1"), mapped("2001:db8::2"))
        assert (row["ip_version"], row["ip_protocol"]) == (6, 6)
    elif cut >= ends["ip2"]:
        assert (row["source"], row["destination"]) == (mapped("192.0.2.1"), mapped("192.0.2.2"))
        assert (row["ip_version"], row["ip_protocol"]) == (4, 17)
    else:
        assert row["ip_version"] == 0
    assert row["tunnel_count"] == (cut >= ends["vxlan4"])
    assert row["tunnel_id"] == (77 if cut >= ends["vxlan4"] else 0xFFFFFFFF)

    tcp_at = ends["ipv66"]
    if cut >= tcp_at:
        assert (row["source_port"], row["destination_port"]) == ((1234, 443) if cut >= tcp_at + 4 else (0, 0))
        assert row["tcp_seq"] == (0x01020304 if cut >= tcp_at + 8 else 0)
        assert row["tcp_ack"] == (0x05060708 if cut >= tcp_at + 12 else 0)
        assert row["tcp_flags"] == (0x18 if cut >= tcp_at + 14 else 0)
        assert row["tcp_window"] == (0x1122 if cut >= tcp_at + 16 else 0)
        assert row["inner_length"] == len(whole) - ends["vxlan4"]
    elif cut >= ends["ip2"] + 4 and cut < ends["ipv66"]:
        assert (row["source_port"], row["destination_port"]) == (40001, 4789)
    if cut >= tcp_at + 20:
        assert (row["payload_length"], row["transport_length"]) == (PAYLOAD, 40)
        assert row["payload_offset"] == len(whole) - PAYLOAD
    elif cut >= tcp_at:
        known = PAYLOAD if cut > tcp_at + 12 else PAYLOAD + 20, 0
        assert (row["payload_length"], row["transport_length"]) == known, "20 bytes of header are sure"


@pytest.mark.parametrize("cut", range(14, 14 + 24 + 8 + 1))
def test_an_ipv4_header_with_options_cut_at_every_byte(cut: int) -> None:
    """The addresses and what a fragment is stand in the first 20 bytes, before the options."""
    packet = ipv4("192.0.2.1", "192.0.2.2", options=b"\1" * 4, dont_fragment=True, identification=9, ttl=33)
    whole = bytes(ethernet() / packet / udp(5, 6) / bytes(100))
    batch = decode(Record(START, whole[:cut], len(whole)))
    row = row_of(batch)
    assert_inside(batch)
    if cut < 34:
        assert (row["ip_version"], verdict(batch)) == (0, "truncated ip")
        return
    assert (row["source"], row["destination"]) == (mapped("192.0.2.1"), mapped("192.0.2.2"))
    wanted = {"ip_version": 4, "ip_protocol": 17, "ip_id": 9, "ttl": 33}
    assert {name: row[name] for name in wanted} == wanted
    assert row["flags"] & 2 == 2, "don't fragment was captured"
    assert verdict(batch) == ("truncated ip" if cut < 38 else "truncated udp" if cut < 46 else "ok")
    assert row["payload_length"] == (108 if cut < 46 else 100)


CUT = {
    "vlan": vlan(1) / ipv4() / udp(),
    "v6-chain": ipv6() / extension(0) / extension(60, bytes(30)) / ipv6_fragment() / authentication() / udp() / b"..",
    "gre": ipv4() / gre(key=1, sequence=2, with_checksum=True) / ethernet() / vlan(4) / ipv4() / sctp() / sctp_chunk(1),
    "icmp-error": ipv4() / icmp(11, 0) / ipv4() / udp() / bytes(8),
    "icmpv6-error": ipv6() / icmpv6(1, 0) / ipv6() / extension(60) / tcp(options=OPTIONS),
    "routed-gre": ipv4() / raw(bytes.fromhex("40000800 00000000 08000408") + bytes(12), protocol=47) / ipv4() / udp(),
    "ip-in-ip": ipv4() / ipv6() / ipv4(options=b"\1" * 40) / tcp(options=b"\1" * 40),
}


@pytest.mark.parametrize("name", CUT)
def test_other_frames_cut_at_every_byte(name: str) -> None:
    """Cut by the capture they are truncated; if the wire ended there too, malformed or still whole; layers agree."""
    whole = bytes(ethernet() / CUT[name])
    cuts = [Record(START, whole[:cut], len(whole)) for cut in range(len(whole))]
    batch = decode_all(cuts)
    assert_inside(batch)
    assert {verdict(batch, n).split()[0] for n in range(len(cuts))} <= {"truncated", "ok"}
    complete = [layer for layer in layers(decode(whole)) if "." not in layer[0] or layer[0].startswith("ipv6.")]
    for cut in range(len(whole)):
        told = [layer for layer in layers(batch, cut) if "." not in layer[0] or layer[0].startswith("ipv6.")]
        whole_ones = [layer for layer in complete if layer[1] + layer[2] <= cut]
        assert told[: len(whole_ones)] == whole_ones
    short = decode_all(whole[:cut] for cut in range(len(whole)))
    assert_inside(short)
    assert {verdict(short, n).split()[0] for n in range(len(cuts))} <= {"truncated", "malformed", "ok"}


def test_a_captured_length_beyond_the_wire_length() -> None:
    """A record that contradicts itself: what is there is read."""
    whole = bytes(ethernet() / ipv4() / udp(1, 2) / b"data")
    batch = decode(Record(START, whole, 20))
    assert (verdict(batch), row_of(batch)["payload_length"], row_of(batch)["wire_length"]) == ("ok", 4, 20)


# --- checksums


def checksum_is_bad(frame: Frame | bytes, wire_length: int | None = None) -> bool:
    return bool(row_of(decode(Record(START, frame, wire_length), verify_checksums=True))["flags"] & 4)


TRANSPORTS = {
    "tcp": ipv4() / tcp(options=OPTIONS),
    "tcp6": ipv6() / extension(60) / tcp(),
    "udp": ipv4() / udp(),
    "udp6": ipv6() / udp(),
    "icmp": ipv4(options=b"\1" * 4) / icmp(),
    "icmpv6": ipv6() / icmpv6(),
    "inner": ipv4() / udp(1, 4789, datagram_checksum=0) / vxlan(1) / ethernet() / ipv4() / tcp(),
}


@pytest.mark.parametrize("size", [0, 1, 2, 3, 4, 5, 1400])
@pytest.mark.parametrize("name", TRANSPORTS)
def test_checksums(name: str, size: int) -> None:
    """RFC 1071: a flipped bit anywhere under the checksum is seen; padding is not under it."""
    data = bytes(n * 37 & 0xFF for n in range(size))
    frame = ethernet(trailer=b"\xff\xee") / TRANSPORTS[name] / data
    whole = bytes(frame)
    assert not checksum_is_bad(frame)
    transport_at = len(whole) - 2 - size - (20 if name == "tcp6" else 8)
    for at in {transport_at + 1, len(whole) - 3, len(whole) - 3 - size // 2}:
        bent = bytearray(whole)
        bent[at] ^= 0x10
        assert checksum_is_bad(bytes(bent))
        assert not row_of(decode(bytes(bent)))["flags"] & 4, "nobody asked"
    if size:
        assert not checksum_is_bad(bytes(bent[:-3]), len(whole)), "what was not captured is not judged"


def test_checksums_that_are_absent_or_cannot_be_judged() -> None:
    assert not checksum_is_bad(ethernet() / ipv4() / udp(datagram_checksum=0) / b"none was computed")
    assert checksum_is_bad(ethernet() / ipv4() / udp(datagram_checksum=1) / b"wrong")
    assert checksum_is_bad(ethernet() / ipv4() / tcp(segment_checksum=0) / b"for TCP 0 is wrong")
    assert not checksum_is_bad(ethernet() / ipv4(more_fragments=True) / udp(length=500, datagram_checksum=1) / b"part")
    assert not checksum_is_bad(ethernet() / ipv4(fragment_offset=8) / udp(datagram_checksum=1) / b"part")


def test_the_pseudo_header_has_the_final_destination() -> None:
    """RFC 8200 section 8.1: with a routing header, checksums are made with the last address of the route."""
    final = ipv6("2001:db8::1", "2001:db8::9") / udp(5, 6) / b"routed"
    datagram = bytes(final)[40:]
    route = b"\0\1" + bytes(4) + mapped("2001:db8::9")
    packet = ipv6("2001:db8::1", "2001:db8::2") / extension(43, route) / raw(datagram, protocol=17)
    assert not checksum_is_bad(ethernet() / packet)


# --- the flow hash


def hashes(*frames: Frame, **options: object) -> list[int]:
    return decode_all(frames, **options).packets["flow_hash"].tolist()


PAIRS = {
    "tcp": (ipv4("10.0.0.1", "10.0.0.2") / tcp(5, 6), ipv4("10.0.0.2", "10.0.0.1") / tcp(6, 5)),
    "same-ports": (ipv4("10.0.0.1", "10.0.0.2") / udp(5, 5), ipv4("10.0.0.2", "10.0.0.1") / udp(5, 5)),
    "same-address": (ipv4("10.0.0.1", "10.0.0.1") / udp(5, 6), ipv4("10.0.0.1", "10.0.0.1") / udp(6, 5)),
    "v6": (ipv6("::1", "::2") / udp(5, 6), ipv6("::2", "::1") / udp(6, 5)),
    "echo": (ipv4("10.0.0.1", "10.0.0.2") / icmp(8), ipv4("10.0.0.2", "10.0.0.1") / icmp(0)),
    "timestamp": (ipv4("10.0.0.1", "10.0.0.2") / icmp(13), ipv4("10.0.0.2", "10.0.0.1") / icmp(14)),
    "echo6": (ipv6("::1", "::2") / icmpv6(128), ipv6("::2", "::1") / icmpv6(129)),
    "neighbour": (ipv6("::1", "::2") / icmpv6(135), ipv6("::2", "::1") / icmpv6(136)),
}


@pytest.mark.parametrize("name", PAIRS)
def test_both_directions_have_one_hash(name: str) -> None:
    there, back = (ethernet() / packet for packet in PAIRS[name])
    tunnelled = ethernet() / ipv4() / udp(7, 4789) / vxlan(8) / there
    assert len(set(hashes(there, back, there / b"more", tunnelled))) == 1


def test_what_differs_has_other_hashes() -> None:
    ends = [("10.0.0.1", "10.0.0.2"), ("10.0.0.1", "10.0.0.3"), ("10.0.0.2", "10.0.0.3")]
    ports = ((1, 2), (2, 1))
    frames = [ethernet() / ipv4(*pair) / made(*two) for pair in ends for made in (tcp, udp) for two in ports]
    frames += [ethernet() / ipv4(*ends[0]) / icmp(3, code) for code in range(3)]
    frames += [ethernet() / ipv4(*reversed(ends[0])) / icmp(3, 1)]
    frames += [ethernet() / ipv6("::ffff:10.0.0.1", "::1") / udp(1, 2)]
    found = hashes(*frames)
    assert len(set(found)) == len(found)
    assert 0 not in found


def test_seeds_make_other_hashes() -> None:
    """Who does not know the seed cannot aim at one bucket."""
    frame = ethernet() / ipv4() / udp()
    chunk = chunk_of([frame])
    found = set()
    for n in range(33):
        once = Decode()
        once.decoder = type(once.decoder)(seed=hashlib.sha256(bytes(n)).digest())
        found.add(int(once(chunk).packets["flow_hash"][0]))
    assert len(found) == 33
    assert hashes(frame) == hashes(frame)


# --- garbage


def test_stacks_beyond_the_65535th_are_counted() -> None:
    """Whoever chooses the tags chooses the stacks: a row then carries the longest known beginning of its own."""
    depth = 17
    tags = [b"\x81\x00\0\1", b"\x88\xa8\0\1"]
    names = ("vlan", "ieee8021ad")
    ends = bytes(ethernet() / ipv4() / udp())[12:]
    frames, stacks = [], []
    for n in range(24_000):
        bits = [n * 5 >> bit & 1 for bit in range(depth)]
        frames.append(bytes(12) + b"".join(tags[bit] for bit in bits) + ends)
        stacks.append(("eth", *(names[bit] for bit in bits), "ip", "udp"))
    batch = decode_all(frames)
    told = [batch.paths[number] for number in batch.packets["path"].tolist()]
    assert len(batch.paths) == 65535
    assert all(one == other[: len(one)] for one, other in zip(told, stacks, strict=True))
    assert batch.paths.excess == sum(one != other for one, other in zip(told, stacks, strict=True)) > 0
    assert (batch.packets["source_port"] == 40000).all()


LINKS = (0, 1, 6, 10, 12, 14, 101, 108, 113, 228, 229, 276, 147)


@settings(max_examples=300, deadline=None)
@given(st.lists(st.binary(max_size=120), max_size=20), st.sampled_from(LINKS), st.integers(0, 2000))
def test_any_bytes_at_all(frames: list[bytes], link_type: int, missing: int) -> None:
    records = [Record(START, frame, len(frame) + missing) for frame in frames]
    assert_inside(decode_all(records, link_type=link_type, verify_checksums=True))


@pytest.mark.parametrize("link_type", LINKS)
def test_garbage(link_type: int) -> None:
    """Random bytes, and valid frames with random bits turned over, captured in part: 200,000 in all."""
    random = np.random.default_rng(link_type)
    valid = [bytes(ethernet() / packet / bytes(60)) for packet in (*CUT.values(), *TRANSPORTS.values())] + [deep()]
    valid += [bytes(sll() / CUT["gre"]), bytes(ipv4() / tcp()), b"\0\0\0\2" + bytes(ipv4() / udp())]
    frames: list[Record] = []
    for _ in range(200_000 // len(LINKS) // 2):
        size = int(random.integers(0, 150))
        frames.append(Record(START, random.bytes(size), size + int(random.integers(0, 3)) * 700))
        bent = np.frombuffer(valid[random.integers(len(valid))], np.uint8).copy()
        for _ in range(random.integers(1, 6)):
            bent[random.integers(len(bent))] ^= 1 << random.integers(8)
        frames.append(Record(START, bent[: random.integers(1, len(bent) + 1)].tobytes(), len(bent)))
    assert_inside(decode_all(frames, link_type=link_type, verify_checksums=True))
