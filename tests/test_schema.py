"""The rows of schema.py against the C structs, against DESIGN's promise, and against frames.

Oracles: sizeof() of the compiled structs; the names and types of "Names that outsiders rely on" in DESIGN, written down
here once more so that renaming one fails; and a frame in which every field has a value of its own, written byte by
byte from the RFCs, so that two columns that changed places are seen.
"""

from __future__ import annotations

import struct

import numpy as np
import pyarrow as pa
import pytest

from spanline import _decode, _flows, _framing, _payloads, _streams, _tally, _tree_tally, _writing, schema
from spanline.arrow import arrow_schema, arrow_type
from spanline.stages.flows import Flows
from tests.craft import ethernet, icmp, ipv4, ipv6, mac, option, tcp, udp, vlan
from tests.craft_files import Record
from tests.craft_tunnels import gre, vxlan
from tests.rows import decode, decode_all, mapped, row_of

STRUCTS = {
    "frame_record": (schema.RECORD_DTYPE, _framing.RECORD_SIZE, 24),
    "frame_record of the decoder": (schema.RECORD_DTYPE, _decode.RECORD_SIZE, 24),
    "block_mark": (schema.MARK_DTYPE, _framing.MARK_SIZE, 20),
    "packet_row": (schema.PACKET_DTYPE, _decode.PACKET_SIZE, 128),
    "packet_row of the flow table": (schema.PACKET_DTYPE, _flows.PACKET_SIZE, 128),
    "tunnel_row": (schema.TUNNEL_DTYPE, _decode.TUNNEL_SIZE, 64),
    "layer_row": (schema.LAYER_DTYPE, _decode.LAYER_SIZE, 20),
    "written_interface": (schema.WRITTEN_INTERFACE_DTYPE, _writing.INTERFACE_SIZE, 16),
    "inner_row": (schema.INNER_FRAME_DTYPE, _decode.INNER_SIZE, 16),
    "datagram_row": (schema.DATAGRAM_DTYPE, _decode.DATAGRAM_SIZE, 16),
    "fragment_row": (schema.FRAGMENT_DTYPE, _decode.FRAGMENT_SIZE, 64),
    "packet_row of the stream table": (schema.PACKET_DTYPE, _streams.PACKET_SIZE, 128),
    "tunnel_row of the stream table": (schema.TUNNEL_DTYPE, _streams.TUNNEL_SIZE, 64),
    "stream_row": (schema.STREAM_DTYPE, _streams.STREAM_SIZE, 16),
    "other_stream_row": (schema.OTHER_STREAM_DTYPE, _streams.OTHER_STREAM_SIZE, 12),
    "analysis_row": (schema.ANALYSIS_DTYPE, _streams.ANALYSIS_SIZE, 64),
    "stream_record": (schema.STREAM_RECORD_DTYPE, _streams.RECORD_SIZE, 192),
    "sent_segment": (schema.SEGMENT_DTYPE, _streams.SEGMENT_SIZE, 16),
    "tally_entry": (schema.TALLY_ENTRY_DTYPE, _tally.ENTRY_SIZE, 96),
    "flow_record": (schema.FLOW_RECORD_DTYPE, _flows.RECORD_SIZE, 384),
    "tree_node": (schema.TREE_NODE_DTYPE, _tree_tally.NODE_SIZE, 64),
    "packet_row of payloads": (schema.PACKET_DTYPE, _payloads.PACKET_SIZE, 128),
    "payload_head_row": (schema.PAYLOAD_HEAD_DTYPE, _payloads.HEAD_SIZE, 24),
    "payload_piece_row": (schema.PAYLOAD_PIECE_DTYPE, _payloads.PIECE_SIZE, 56),
    "payload_conversation_row": (schema.PAYLOAD_CONVERSATION_DTYPE, _payloads.CONVERSATION_SIZE, 64),
    "tree_quote": (schema.TREE_QUOTE_DTYPE, _tree_tally.QUOTE_SIZE, 8),
}

PACKETS = {
    "timestamp": "i8", "flow_hash": "u8", "source": "16u1", "destination": "16u1", "frame_offset": "u4",
    "captured_length": "u4", "wire_length": "u4", "tcp_seq": "u4", "tcp_ack": "u4", "payload_offset": "u4",
    "payload_length": "u4", "tunnel_id": "u4", "interface": "u2", "path": "u2", "source_port": "u2",
    "destination_port": "u2", "vlan": "u2", "ether_type": "u2", "ip_id": "u2", "fragment_offset": "u2",
    "tcp_flags": "u2", "tcp_window": "u2", "ip_version": "u1", "ip_protocol": "u1", "ttl": "u1", "tos": "u1",
    "tunnel_count": "u1", "verdict": "u1", "verdict_layer": "u1", "payload_buffer": "u1", "eth_source": "6u1",
    "eth_destination": "6u1",
}  # fmt: skip
TUNNELS = {
    "packet": "u4", "level": "u1", "kind": "u1", "source": "16u1", "destination": "16u1", "source_port": "u2",
    "destination_port": "u2", "id": "u4", "sequence": "u4", "vlan": "u2", "flags": "u2",
}  # fmt: skip
LAYERS = {"packet": "u4", "protocol": "u1", "offset": "u4", "length": "u4"}

TIME, DURATION, ADDRESS = pa.timestamp("ns", "UTC"), pa.duration("ns"), pa.binary(16)
FLOWS = {
    "first_seen": TIME, "last_seen": TIME, "source": ADDRESS, "destination": ADDRESS, "source_port": pa.uint16(),
    "destination_port": pa.uint16(), "protocol": pa.uint8(), "vlan": pa.uint16(), "vni": pa.uint32(),
    "source_packets": pa.uint64(), "destination_packets": pa.uint64(), "source_bytes": pa.uint64(),
    "destination_bytes": pa.uint64(), "source_payload_bytes": pa.uint64(), "destination_payload_bytes": pa.uint64(),
    "source_tcp_flags": pa.uint16(), "destination_tcp_flags": pa.uint16(), "syn_synack_rtt": DURATION,
    "synack_ack_rtt": DURATION, "handshake_rtt": DURATION, "initial_rtt": DURATION, "syn_retransmissions": pa.uint16(),
    "synack_retransmissions": pa.uint16(), "conn_state": pa.dictionary(pa.int8(), pa.string()), "history": pa.string(),
    "application": pa.string(), "community_id": pa.string(), "end_reason": pa.dictionary(pa.int8(), pa.string()),
}  # fmt: skip


def kind(field: np.dtype) -> str:
    base, shape = field.subdtype or (field, ())
    return "".join(map(str, shape)) + base.str[1:]


@pytest.mark.parametrize("name", STRUCTS)
def test_rows_are_as_large_as_the_structs(name: str) -> None:
    dtype, compiled, promised = STRUCTS[name]
    assert dtype.itemsize == compiled == promised


@pytest.mark.parametrize("name", STRUCTS)
def test_rows_have_no_holes_and_fields_are_aligned(name: str) -> None:
    """C may put padding where it likes; that there is none means that both languages agree on every offset."""
    dtype = STRUCTS[name][0]
    at, sizes = 0, []
    for field, offset in dtype.fields.values():
        base = field.subdtype[0] if field.subdtype else field
        assert offset == at
        if base.fields is None:
            assert offset % base.alignment == 0
            sizes.append(base.alignment)
        at += field.itemsize
    assert at == dtype.itemsize
    if name.startswith(("packet_row", "tunnel_row", "layer_row")):
        wide = [size for size in sizes if size > 1]
        assert wide == sorted(wide, reverse=True), "fields go from large to small"


@pytest.mark.parametrize("name", ["packet_row", "tunnel_row", "flow_record", "analysis_row", "stream_record"])
def test_rows_are_whole_cache_lines(name: str) -> None:
    assert STRUCTS[name][0].itemsize % 64 == 0


@pytest.mark.parametrize(
    ("dtype", "promised"),
    [(schema.PACKET_DTYPE, PACKETS), (schema.TUNNEL_DTYPE, TUNNELS), (schema.LAYER_DTYPE, LAYERS)],
    ids=["packets", "tunnels", "layers"],
)
def test_names_that_outsiders_rely_on(dtype: np.dtype, promised: dict[str, str]) -> None:
    assert {name: kind(dtype.fields[name][0]) for name in promised} == promised


def test_names_of_flows_that_outsiders_rely_on() -> None:
    types = {column.name: arrow_type(column) for column in schema.FLOW}
    assert {name: types[name] for name in FLOWS} == FLOWS


def test_the_flow_stage_gives_the_schema_it_promises() -> None:
    columns = tuple(column for column in schema.FLOW if column.name != "community_id")
    table = Flows().tables()["flows"]
    assert table.schema.equals(arrow_schema(columns))
    for field in table.schema:
        assert set(field.metadata) == {b"unit", b"description"}


@pytest.mark.parametrize("columns", [schema.RECORD, schema.PACKET, schema.TUNNEL, schema.LAYER, schema.FLOW])
def test_every_name_stands_once(columns: tuple[schema.Column, ...]) -> None:
    names = [column.name for column in columns]
    assert len(set(names)) == len(names)
    assert all(column.arrow or column.name == "reserved" for column in columns)


def test_reserved_bytes_are_zero() -> None:
    """What nobody fills must not leak what the memory held before."""
    inner = ethernet() / ipv4() / tcp(options=option(2, b"\5\xb4")) / b"x"
    frames = [ethernet() / ipv4() / udp(1, 4789) / vxlan(7) / inner, ethernet() / ipv4() / gre(key=1) / inner]
    for batch in (decode_all(frames * 50) for _ in range(3)):
        assert not batch.packets["application"].any()
        assert not batch.tunnels["reserved"].any()
        assert not batch.layers["reserved"].any()


def test_every_column_of_a_tcp_frame() -> None:
    """Every header field has a value that no other has."""
    octets = bytes.fromhex(
        "0a0b0c0d0e0f 1a1b1c1d1e1f 8100 2abc 0800"  # to, from, tag: priority 1, VLAN 0xABC
        "46b8 0037 1234 4000 3d06 0000 c0000201 c6336402 01010101"  # tos b8, DF, ttl 3d, four options of nothing
        "a1a2 b1b2 c1c2c3c4 d1d2d3d4 6d5a e1e2 f1f2 0000 01010101"  # 24 bytes of header, flags 0xd5a
        "707172737475767778797a"
    )
    batch = decode(Record(1_234_567_890_123_456_789, b"\xee" * 10), Record(1_234_567_890_123_456_790, octets, 999))
    assert row_of(batch, 1) == {
        "timestamp": 1_234_567_890_123_456_790,
        "flow_hash": int(batch.packets["flow_hash"][1]),
        "source": mapped("192.0.2.1"),
        "destination": mapped("198.51.100.2"),
        "frame_offset": 10,
        "captured_length": 77,
        "wire_length": 999,
        "tcp_seq": 0xC1C2C3C4,
        "tcp_ack": 0xD1D2D3D4,
        "payload_offset": 10 + 18 + 24 + 24,
        "payload_length": 0x37 - 24 - 24,
        "tunnel_id": 0xFFFFFFFF,
        "inner_length": 999,
        "interface": 0,
        "path": int(batch.packets["path"][1]),
        "source_port": 0xA1A2,
        "destination_port": 0xB1B2,
        "vlan": 0xABC,
        "ether_type": 0x0800,
        "ip_id": 0x1234,
        "fragment_offset": 0,
        "tcp_flags": 0xD5A,
        "tcp_window": 0xE1E2,
        "ip_version": 4,
        "ip_protocol": 6,
        "ttl": 0x3D,
        "tos": 0xB8,
        "tunnel_count": 0,
        "verdict": 0,
        "verdict_layer": 0,
        "payload_buffer": 0,
        "eth_source": bytes.fromhex("1a1b1c1d1e1f"),
        "eth_destination": bytes.fromhex("0a0b0c0d0e0f"),
        "transport_length": 24,
        "flags": 2 | 8,
        "application": 0,
    }
    assert batch.packets["flow_hash"][1] != 0
    assert batch.paths[int(batch.packets["path"][1])] == ("eth", "vlan", "ip", "tcp")


def test_every_column_of_a_fragment() -> None:
    packet = ipv4(ttl=9, tos=3, identification=0x4321, more_fragments=True, fragment_offset=1480, protocol=17)
    row = row_of(decode(ethernet() / packet / b"fragment"))
    wanted = {"ip_id": 0x4321, "fragment_offset": 1480, "flags": 1, "ttl": 9, "tos": 3, "ip_protocol": 17}
    assert {name: row[name] for name in wanted} == wanted


def test_every_column_of_an_ipv6_frame() -> None:
    packet = ipv6("2001:db8::a", "2001:db8::b", hop_limit=77, traffic_class=0x5A, flow_label=0xFFFFF) / udp(1111, 2222)
    row = row_of(decode(ethernet(mac_text(1), mac_text(2)) / packet / b"123"))
    wanted = {
        "source": mapped("2001:db8::a"), "destination": mapped("2001:db8::b"), "ttl": 77, "tos": 0x5A,
        "source_port": 1111, "destination_port": 2222, "ip_version": 6, "ip_protocol": 17, "ether_type": 0x86DD,
        "payload_offset": 62, "payload_length": 3, "transport_length": 8, "vlan": 0xFFFF, "flags": 8,
        "eth_source": mac(mac_text(1)), "eth_destination": mac(mac_text(2)), "tcp_seq": 0, "tcp_flags": 0,
    }  # fmt: skip
    assert {name: row[name] for name in wanted} == wanted


def mac_text(last: int) -> str:
    return f"02:00:00:00:00:{last:02x}"


def test_every_column_of_tunnel_rows() -> None:
    """A GRE tunnel inside a VXLAN tunnel, in the second of two frames."""
    outer = ethernet() / vlan(0x123) / ipv4("192.0.2.9", "192.0.2.8") / udp(0x7777, 4789) / vxlan(0xABCDEF, flags=0x88)
    middle = ethernet() / vlan(0x321) / ipv6("2001:db8::9", "2001:db8::8") / gre(key=0xA0B0C0D0, sequence=0x01020304)
    batch = decode(ethernet() / ipv4() / icmp(), outer / middle / ipv4() / tcp())
    names = schema.TUNNEL_DTYPE.names or ()
    rows = [{name: v.tobytes() if (v := row[name]).ndim else v.item() for name in names} for row in batch.tunnels]
    assert [row.pop("reserved") for row in rows] == [bytes(10)] * 2
    assert rows == [
        {
            "source": mapped("192.0.2.9"), "destination": mapped("192.0.2.8"), "packet": 1, "id": 0xABCDEF,
            "sequence": 0, "source_port": 0x7777, "destination_port": 4789, "vlan": 0x123, "flags": 0x8800, "level": 1,
            "kind": schema.TUNNEL_KINDS.index("vxlan"),
        },
        {
            "source": mapped("2001:db8::9"), "destination": mapped("2001:db8::8"), "packet": 1, "id": 0xA0B0C0D0,
            "sequence": 0x01020304, "source_port": 0, "destination_port": 0, "vlan": 0x321, "flags": 0x3000, "level": 2,
            "kind": schema.TUNNEL_KINDS.index("gre"),
        },
    ]  # fmt: skip


def test_every_column_of_layer_rows() -> None:
    batch = decode(b"", ethernet() / vlan(1) / ipv4() / tcp(options=option(2, struct.pack("!H", 1460))))
    rows = [tuple(row[name].item() for name in ("packet", "offset", "length", "protocol")) for row in batch.layers[1:]]
    spans = [("eth", 0, 14), ("vlan", 14, 4), ("ip", 18, 20), ("tcp", 38, 24), ("tcp.options.mss", 58, 4)]
    assert rows == [(1, at, length, _decode.PROTOCOLS.index(name)) for name, at, length in spans]


def test_columns_of_flow_records() -> None:
    """Every value differs from every other, both ways: no column of FLOW_RECORD_DTYPE may stand for another."""
    there = ethernet() / vlan(55) / ipv4("10.0.0.1", "10.0.0.2", ttl=60) / udp(1001, 2002) / bytes(11)
    back = ethernet() / vlan(55) / ipv4("10.0.0.2", "10.0.0.1", ttl=40) / udp(2002, 1001) / bytes(7)
    times = iter(range(10**18, 10**18 + 100, 7))
    frames = [Record(next(times), frame) for frame in (there, back, there, there, back)]
    stage = Flows(by_vlan=True)
    stage.update(decode_all(frames))
    table = stage.tables()["flows"]
    row = table.select([field.name for field in table.schema if field.type != TIME]).to_pylist()[0]
    wanted = {
        "source": mapped("10.0.0.1"), "destination": mapped("10.0.0.2"), "source_port": 1001, "destination_port": 2002,
        "protocol": 17, "vlan": 55, "vni": None, "source_packets": 3, "destination_packets": 2,
        "source_bytes": 3 * 57, "destination_bytes": 2 * 53, "source_payload_bytes": 33,
        "destination_payload_bytes": 14, "source_ttl_min": 60, "source_ttl_max": 60, "destination_ttl_min": 40,
        "destination_ttl_max": 40, "source_tcp_flags": 0, "syn_retransmissions": 0, "synack_retransmissions": 0,
        "conn_state": "SF", "history": "Dd", "end_reason": "forced", "application": None, "syn_ambiguous": False,
    }  # fmt: skip
    assert {name: row[name] for name in wanted} == wanted
    ends = ("first_seen", "last_seen", "source_first_seen", "source_last_seen", "destination_first_seen",
            "destination_last_seen")  # fmt: skip
    assert [table[name].cast(pa.int64())[0].as_py() - 10**18 for name in ends] == [0, 28, 0, 21, 7, 28]
