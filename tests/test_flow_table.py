"""The flow table as a whole: its cap on memory, hostile clocks, batches of any size, several files.

Oracles: sums that must not change whatever the table does, and the same capture read in one piece.
"""

from __future__ import annotations

import random
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pytest

import spanline
from spanline._flows import BYTES_PER_FLOW, FLOWS_PER_SLAB
from spanline.sources import capture_file
from spanline.stages.flows import Flows
from tests.craft import Frame, ethernet, icmp, ipv4, raw, tcp, udp, vlan
from tests.craft_files import START, STEP, Pcapng, Record, pcap
from tests.craft_tunnels import vxlan
from tests.rows import decode_all
from tests.test_flows import CLIENT, CLOSE, HANDSHAKE, MS, REQUEST, SECOND, SERVER, flows_of, only, rows_of

NG = Pcapng()


def address(number: int) -> str:
    return f"10.{number >> 16 & 255}.{number >> 8 & 255}.{number & 255}"


def small(number: int) -> bytes:
    return bytes(ethernet() / ipv4(address(number), "192.0.2.1") / udp(1, 2))


# --- the cap


def total(tables: list[pa.Table], name: str) -> int:
    return sum(pc.sum(table[name]).as_py() or 0 for table in tables)


@pytest.mark.parametrize("order", ["one after another", "round and round", "at random"])
def test_eviction_under_a_cap(order: str) -> None:
    """The least recently used go, are counted, say so; and no packet is lost."""
    flows, packets = 40_000, 120_000
    chance = random.Random(1)
    numbers = {
        "one after another": [n // 3 for n in range(packets)],
        "round and round": [n % flows for n in range(packets)],
        "at random": [min(chance.randrange(flows), chance.randrange(flows)) for _ in range(packets)],
    }[order]
    stage = Flows(memory=FLOWS_PER_SLAB * BYTES_PER_FLOW)
    tables, largest = [], 0
    made = {n: small(n) for n in set(numbers)}
    for at in range(0, packets, 10_000):
        stage.update(decode_all([Record(START + at + n, made[k]) for n, k in enumerate(numbers[at : at + 10_000])]))
        largest = max(largest, stage.live)
        tables.append(stage.drain()["flows"])
    tables.append(stage.tables()["flows"])
    assert FLOWS_PER_SLAB * 0.75 <= largest <= FLOWS_PER_SLAB
    assert total(tables, "source_packets") == stage.flow_packets == packets
    assert total(tables, "source_bytes") == packets * len(made[0])
    reasons = pa.chunked_array([chunk.dictionary_decode() for t in tables for chunk in t["end_reason"].chunks])
    counts = dict(zip(*(pc.value_counts(reasons).field(n).to_pylist() for n in (0, 1)), strict=True))
    assert counts["evicted"] == stage.evicted > 0
    assert counts["forced"] == sum(counts.values()) - counts["evicted"] <= FLOWS_PER_SLAB
    if order == "one after another":
        assert sum(table.num_rows for table in tables) == flows, "who is not used any more is what goes"


def test_eviction_spares_the_recently_used() -> None:
    busy = small(1_000_000)
    frames = []
    for n in range(20_000):
        frames += [Record(START + 2 * n, small(n)), Record(START + 2 * n + 1, busy)]
    rows = flows_of(frames, memory=1)
    assert [row["source_packets"] for row in rows if row["source"] == address(1_000_000)] == [20_000]
    assert len(rows) == 20_001


def test_eviction_of_flows_of_one_moment() -> None:
    """All equally old: any of them may go, all are counted."""
    stage = Flows(memory=1)
    stage.update(decode_all([Record(START, small(n)) for n in range(40_000)]))
    table = stage.tables()["flows"]
    assert (table.num_rows, pc.sum(table["source_packets"]).as_py()) == (40_000, 40_000)
    assert stage.evicted == pc.sum(pc.equal(table["end_reason"].cast(pa.string()), "evicted")).as_py() > 0


def test_many_flows_at_once_and_again() -> None:
    """The index grows while flows live, and closes its holes when they leave."""
    frames = [Record(START + n, small(n)) for n in range(50_000)]
    later = [Record(START + 300 * SECOND + n, small(n)) for n in range(0, 50_000, 2)]
    stage = Flows()
    stage.update(decode_all(frames))
    assert (stage.live, stage.pending) == (50_000, 0)
    stage.update(decode_all(later))
    assert (stage.live, stage.pending) == (25_000, 50_000)
    stage.update(decode_all([Record(START + 301 * SECOND + n, small(n)) for n in range(50_000)]))
    assert stage.live == 50_000
    table = stage.tables()["flows"]
    assert (table.num_rows, pc.sum(table["source_packets"]).as_py()) == (100_000, 125_000)
    assert table["first_seen"].cast(pa.int64()).to_pylist() == sorted(table["first_seen"].cast(pa.int64()).to_pylist())


# --- clocks

EXTREMES = (-(1 << 63), -(1 << 63) + 1, -1, 0, 1, START, (1 << 63) - 2, (1 << 63) - 1)


@pytest.mark.parametrize("first", EXTREMES)
@pytest.mark.parametrize("second", EXTREMES)
def test_clocks_at_the_ends_of_time(first: int, second: int) -> None:
    """A pcapng file can name any of 2^64 times (if_tsoffset): nothing overflows, every packet is in one record."""
    segments = [
        (first, tcp(5, 6, flags="S", seq=1)),
        (second, tcp(5, 6, flags="S", seq=1)),
        (first, tcp(6, 5, flags="SA", seq=9, ack=2)),
        (second, tcp(5, 6, flags="A", seq=2, ack=10)),
        (first, tcp(5, 6, flags="A", seq=2, ack=10)),
    ]
    frames = []
    for n, (time, segment) in enumerate(segments):
        ends = (SERVER, CLIENT) if n == 2 else (CLIENT, SERVER)
        frames.append(Record(time, ethernet() / ipv4(*ends) / segment))
        frames.append(Record(time, ethernet() / ipv4("9.9.9.9") / udp(n, 1)))
    stage = Flows()
    stage.update(decode_all(frames))
    table = stage.tables()["flows"]
    packets = pc.sum(table["source_packets"]).as_py() + pc.sum(table["destination_packets"]).as_py()
    assert packets == len(frames)
    for name in ("syn_synack_rtt", "synack_ack_rtt", "handshake_rtt"):
        known = table[name].cast(pa.int64()).drop_null().to_pylist()
        assert all(value >= 0 for value in known), "a round trip takes no negative time"


def test_packets_out_of_order_by_some_milliseconds() -> None:
    """First and last are by time, not by place."""
    times = [5, 3, 9, 4]
    frames = [Record(START + ms * MS, ethernet() / ipv4(CLIENT, SERVER) / udp(5, 6)) for ms in times]
    [row] = flows_of(frames)
    assert (row["first_seen"], row["last_seen"]) == (3 * MS, 9 * MS)


# --- any size of batches, several files


def conversations() -> list[Record]:
    """Whole connections side by side, some in tunnels, a ping, an idle gap; in order of time."""
    frames: list[Record] = []
    for n in range(120):
        lag = n * 700 * MS + n
        wrap = Frame() if n % 3 else ethernet() / ipv4("172.16.0.1", "172.16.0.2") / udp(n, 4789) / vxlan(n % 7)
        for record in HANDSHAKE + REQUEST + CLOSE:
            octets = bytearray(bytes(record.frame))
            octets[29 if octets[26:30] == bytes((10, 0, 0, 1)) else 33] += n
            frames.append(Record(record.time + lag, wrap / raw(bytes(octets))))
        frames.append(Record(START + lag, ethernet() / ipv4(address(n), SERVER) / icmp(8)))
        frames.append(Record(START + lag + 200 * SECOND, ethernet() / ipv4(SERVER, address(n)) / icmp(0)))
    return sorted(frames, key=lambda record: record.time)


def by_value(rows: list[dict[str, Any]]) -> list[str]:
    return sorted(map(repr, rows))


@pytest.mark.parametrize("size", [128, 1000, 4096, 65_536])
def test_the_size_of_chunks_makes_no_difference(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, size: int) -> None:
    path = tmp_path / "c.pcap"
    path.write_bytes(pcap(conversations(), nanoseconds=True))
    options: dict[str, Any] = {"idle_timeout": 30, "active_timeout": 0.1}
    whole = by_value(rows_of(spanline.flows(path, **options)))
    assert len(whole) > 400
    monkeypatch.setattr(capture_file, "CHUNK_BYTES", size)
    assert sum(1 for _ in spanline.open(path)) >= 2
    assert by_value(rows_of(spanline.flows(path, **options))) == whole


def test_draining_makes_no_difference() -> None:
    frames = conversations()
    whole = by_value(flows_of(frames, idle_timeout=30))
    stage, rows = Flows(idle_timeout=30), []
    for at in range(0, len(frames), 17):
        stage.update(decode_all(frames[at : at + 17]))
        rows += rows_of(stage.drain()["flows"])
    assert by_value(rows + rows_of(stage.tables()["flows"])) == whole


@pytest.mark.parametrize("split", ["in the middle", "by direction", "by turns"])
def test_one_connection_in_two_files(tmp_path: Path, split: str) -> None:
    """A capture that was rotated, or that has a file for each direction (a tap's two ports)."""
    frames = HANDSHAKE + REQUEST + CLOSE
    second = {
        "in the middle": lambda n, record: n >= 4,
        "by direction": lambda n, record: bytes(record.frame)[26:30] == bytes((10, 0, 0, 2)),
        "by turns": lambda n, record: n % 2,
    }[split]
    files = []
    for name, own in (("z.pcap", 0), ("a.pcapng", 1)):
        chosen = [record for n, record in enumerate(frames) if bool(second(n, record)) == own]
        (tmp_path / name).write_bytes(NG.file(chosen) if own else pcap(chosen, nanoseconds=True))
        files.append(tmp_path / name)
    whole = by_value(flows_of(frames))
    for paths in (files, files[::-1], [tmp_path]):
        rows = rows_of(spanline.flows(paths))
        assert [row.pop("community_id") for row in rows] != [None]
        assert by_value(rows) == whole


def test_seeds_make_no_difference() -> None:
    """Another process has another seed, and the same flows."""
    frames = conversations()
    tables = []
    for odd in (1, 0x9E3779B97F4A7C15, 0xFFFFFFFFFFFFFFFF):
        stage, batch = Flows(), decode_all(frames)
        batch.packets["flow_hash"] *= np.uint64(odd)
        stage.update(batch)
        tables.append(by_value(rows_of(stage.tables()["flows"])))
    assert tables[0] == tables[1] == tables[2] == by_value(flows_of(frames))


def test_vlan_column_of_a_flow_is_that_of_its_first_packet() -> None:
    frames = [Record(START + n * STEP, ethernet() / vlan(7 + n) / ipv4(CLIENT, SERVER) / udp(5, 6)) for n in range(3)]
    assert only(flows_of(frames), "vlan", "source_packets") == [(7, 3)]
