"""Frames as a Table: what a frame does not have is null, and nothing in it points into memory."""

from __future__ import annotations

from typing import Any

import pytest

from spanline.arrow import arrow_schema, textual
from spanline.batch import Batch
from spanline.stages.packet_list import PACKET_LIST, packets_table
from tests.craft import Frame, arp, ethernet, icmp, ipv4, ipv6, tcp, udp, vlan
from tests.craft_files import START, Record
from tests.craft_tunnels import vxlan
from tests.rows import decode, decode_all


def row(frame: Frame | bytes | Record) -> dict[str, Any]:
    batch = decode_all([frame])
    found: dict[str, Any] = textual(packets_table(batch)).to_pylist()[0]
    return found


def test_a_tcp_segment_in_a_tunnel() -> None:
    inner = ethernet() / vlan(7) / ipv6() / tcp(1, 2, seq=3, ack=4, flags="PA", window=5) / b"six"
    found = row(ethernet() / ipv4() / udp(50000, 4789) / vxlan(9) / inner)
    assert found["path"] == "eth:ip:udp:vxlan:eth:vlan:ipv6:tcp"
    wanted = {
        "number": 1,
        "timestamp": "2023-11-14T22:13:20.000000000Z",
        "source": "2001:db8::1",
        "destination": "2001:db8::2",
        "source_port": 1,
        "destination_port": 2,
        "tcp_seq": 3,
        "tcp_ack": 4,
        "tcp_flags": 0x18,
        "tcp_window": 5,
        "payload_length": 3,
        "tunnel_id": 9,
        "vlan": 7,
        "verdict": "ok",
        "verdict_layer": None,
        "eth_source": "02:00:00:00:00:01",
    }
    assert {name: found[name] for name in wanted} == wanted


TCP_ONLY = {"tcp_seq", "tcp_ack", "tcp_flags", "tcp_window"}
PORTS = {"source_port", "destination_port", "transport_length"}
IP = {"source", "destination", "ip_version", "ip_protocol", "ttl", "tos", "ip_id", "fragment_offset", "payload_length"}
ALWAYS = {"vlan", "tunnel_id", "verdict_layer", "application"}


@pytest.mark.parametrize(
    ("frame", "missing"),
    [
        (ethernet() / ipv4() / tcp(), set()),
        (ethernet() / ipv4() / udp(), TCP_ONLY),
        (ethernet() / ipv4() / icmp(), TCP_ONLY),
        (ethernet() / ipv4(fragment_offset=64) / udp(), TCP_ONLY | PORTS),
        (ethernet() / arp(), TCP_ONLY | PORTS | IP),
    ],
)
def test_what_a_frame_lacks_is_null(frame: Frame, missing: set[str]) -> None:
    assert {name for name, value in row(frame).items() if value is None} == missing | ALWAYS


def test_a_frame_that_was_cut_says_where() -> None:
    found = row(Record(START, bytes(ethernet() / ipv4() / tcp())[:40], 54))
    assert (found["verdict"], found["verdict_layer"]) == ("truncated", "tcp")
    assert (found["source_port"], found["destination_port"]) == (40000, 80)
    assert {found[name] for name in TCP_ONLY} == {None}
    assert (found["captured_length"], found["wire_length"]) == (40, 54)


def test_numbers_go_on_from_batch_to_batch_and_tables_fit_together() -> None:
    batch: Batch = decode(*[ethernet() / ipv4() / udp()] * 5)
    batch.numbers = batch.numbers + 999
    assert packets_table(batch).column("number").to_pylist() == [1000, 1001, 1002, 1003, 1004]
    assert packets_table(batch, 2).column("number").to_pylist() == [1000, 1001]
    assert packets_table(batch).schema == packets_table(decode(ethernet() / arp())).schema == arrow_schema(PACKET_LIST)


def test_columns_that_mean_nothing_elsewhere_are_left_out() -> None:
    names = {column.name for column in PACKET_LIST}
    assert not names & {"flow_hash", "frame_offset", "payload_offset", "payload_buffer", "reserved"}
