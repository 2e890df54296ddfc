"""Conversations and endpoints, counted by hand: who is the source, what is a layer, what has no room."""

from __future__ import annotations

from collections import Counter
from typing import Any

import numpy as np
import pytest

from spanline import _decode, _tally
from spanline.arrow import readable
from spanline.batch import Batch
from spanline.errors import UsageError
from spanline.schema import TALLY_ENTRY_DTYPE
from spanline.stages.conversations import KINDS, Conversations, difference
from spanline.stages.endpoints import Endpoints
from spanline.transforms.annotate import Annotate
from tests.craft import ethernet, icmp, ipv4, ipv6, tcp, udp
from tests.craft_files import START, Record
from tests.craft_tunnels import vxlan
from tests.rows import decode_all

THERE = ethernet("02:00:00:00:00:01", "02:00:00:00:00:02")
BACK = ethernet("02:00:00:00:00:02", "02:00:00:00:00:01")


def conversations(batch: Batch, *types: str, **options: Any) -> Conversations:
    stage = Conversations(types or tuple(KINDS), **options)
    for annotated in Annotate().feed(batch):
        stage.update(annotated)
    return stage


def rows(stage: Conversations, kind: str, *columns: str) -> list[tuple[Any, ...]]:
    return [tuple(row[name] for name in columns) for row in readable(stage.tables()[kind]).to_pylist()]


def test_directions_times_and_order() -> None:
    """The most frames first; between equals what was seen first. The source is who was seen to send first."""
    second = 10**9
    batch = decode_all([
        Record(START, THERE / ipv4("10.0.0.9", "10.0.0.8") / udp(1, 2)),
        Record(START + second, BACK / ipv4("10.0.0.2", "10.0.0.1") / udp(53, 1000), 200),
        Record(START + 4 * second, THERE / ipv4("10.0.0.1", "10.0.0.2") / udp(1000, 53), 100),
        Record(START - second, THERE / ipv4("10.0.0.1", "10.0.0.2") / udp(1000, 53), 100),
        Record(START, THERE / ipv4("10.0.0.7", "10.0.0.6") / udp(1, 2)),
    ])  # fmt: skip
    stage = conversations(batch)
    names = ("source", "source_port", "destination", "source_packets", "destination_packets")
    assert rows(stage, "udp", *names) == [
        ("10.0.0.2", 53, "10.0.0.1", 1, 2),
        ("10.0.0.9", 1, "10.0.0.8", 1, 0),
        ("10.0.0.7", 1, "10.0.0.6", 1, 0),
    ]
    first = stage.tables()["udp"].slice(0, 1)
    assert first.column("source_bytes").to_pylist() == [200]
    assert first.column("destination_bytes").to_pylist() == [200]
    assert first.column("relative_start").cast("int64").to_pylist() == [-second]
    assert first.column("duration").cast("int64").to_pylist() == [5 * second]
    assert first.column("first_seen").cast("int64").to_pylist() == [START - second]
    assert rows(stage, "ip", "source", "source_port", "stream")[0] == ("10.0.0.2", None, None)
    assert rows(stage, "eth", "source", "source_packets", "destination_packets") == [("02:00:00:00:00:01", 4, 1)]
    assert [stage.tables()[kind].num_rows for kind in ("ipv6", "tcp", "sctp")] == [0, 0, 0]


def test_endpoints_are_sums_of_both_sides() -> None:
    stage = Endpoints()
    stage.update(decode_all([
        Record(START, THERE / ipv4("10.0.0.1", "10.0.0.2") / udp(1, 2), 100),
        Record(START, THERE / ipv4("10.0.0.1", "10.0.0.3") / udp(1, 2), 100),
        Record(START, THERE / ipv4("10.0.0.2", "10.0.0.1") / udp(2, 1), 1000),
        Record(START, THERE / ipv4("10.0.0.5", "10.0.0.5") / udp(7, 7), 60),
    ]))  # fmt: skip
    names = ("address", "packets", "bytes", "sent_packets", "sent_bytes", "received_packets", "received_bytes")
    assert rows(stage, "ip", *names) == [
        ("10.0.0.1", 3, 1200, 2, 200, 1, 1000),
        ("10.0.0.2", 2, 1100, 1, 1000, 1, 100),
        ("10.0.0.5", 2, 120, 1, 60, 1, 60),  # to itself: as sender and as receiver
        ("10.0.0.3", 1, 100, 0, 0, 1, 100),
    ]
    assert rows(stage, "udp", "address", "port")[:2] == [("10.0.0.1", 1), ("10.0.0.2", 2)]
    assert rows(stage, "eth", "address", "packets") == [("02:00:00:00:00:01", 4), ("02:00:00:00:00:02", 4)]


def test_a_frame_counts_for_each_layer() -> None:
    """Whole, inside and outside of tunnels, outermost first."""
    outer = ethernet("02:00:00:00:00:0a", "02:00:00:00:00:0b") / ipv4("192.0.2.1", "192.0.2.2") / udp(50000, 4789)
    deeper = ethernet("02:00:00:00:00:0c", "02:00:00:00:00:0d") / ipv6() / udp(50001, 4789)
    inner = ethernet("02:00:00:00:00:0e", "02:00:00:00:00:0f") / ipv4("10.0.0.1", "10.0.0.2") / tcp()
    frame = outer / vxlan(1) / deeper / vxlan(2) / inner
    stage = conversations(decode_all([frame]))
    assert rows(stage, "eth", "source", "source_bytes") == [
        (f"02:00:00:00:00:0{end}", len(frame)) for end in ("a", "c", "e")
    ]
    assert rows(stage, "ip", "source") == [("192.0.2.1",), ("10.0.0.1",)]
    assert rows(stage, "ipv6", "source") == [("2001:db8::1",)]
    assert rows(stage, "udp", "source_port") == [(50000,), (50001,)]
    assert rows(stage, "tcp", "source", "source_port", "stream") == [("10.0.0.1", 40000, 0)]


def test_quoted_headers_and_icmp_have_no_ports() -> None:
    quoted = bytes(ipv4("10.9.9.9", "10.8.8.8") / udp(1, 2) / b"12345678")
    stage = conversations(decode_all([ethernet() / ipv4() / icmp(3, 3, bytes(4)) / quoted]))
    assert rows(stage, "ip", "source") == [("10.0.0.1",)]
    assert rows(stage, "udp", "source") == []


def test_a_port_that_is_used_again_is_another_conversation() -> None:
    def segments(*flags: tuple[int, str]) -> Batch:
        return decode_all([ethernet() / ipv4() / tcp(seq=seq, flags=flag) for seq, flag in flags])

    batch = segments((1, "S"), (2, "A"), (9000, "S"), (9001, "A"), (9002, "A"))
    assert rows(conversations(batch, "tcp"), "tcp", "stream", "source_packets") == [(1, 3), (0, 2)]
    plain = Conversations(["tcp"])
    plain.update(segments((1, "S"), (9000, "S")))  # which nobody gave numbers
    assert rows(plain, "tcp", "stream", "source_packets") == [(None, 2)]


def many(count: int) -> list[Record]:
    """Datagrams between `count` pairs of ports, and back from each third."""
    frames = []
    for n in range(count):
        frames.append(Record(START + n, THERE / ipv4() / udp(1024 + n, 53)))
        if n % 3 == 0:
            frames.append(Record(START + n, BACK / ipv4("10.0.0.2", "10.0.0.1") / udp(53, 1024 + n)))
    return frames


def test_what_has_no_room_is_counted_together() -> None:
    """The cap is one slab of entries, the least that there is."""
    frames = many(6000)
    stage = Conversations(["udp"], memory=1)
    for part in (frames[:5000], frames[5000:]):
        stage.update(decode_all(part))
    kept = stage.entries("udp")
    others, octets = stage.others("udp")
    assert len(kept) == 4096
    assert others + int(kept["packets"].sum()) == len(frames)
    assert octets + int(kept["bytes"].sum()) == sum(len(bytes(record.frame)) for record in frames)
    table = stage.tables()["udp"]
    assert table.num_rows == 4097
    last = table.slice(4096).to_pylist()[0]
    assert (last["source"], last["source_packets"], last["first_seen"]) == (None, others, None)
    ends = Endpoints(["udp"], memory=1)
    ends.restore(stage.state())
    assert ends.tables()["udp"].to_pylist()[-1]["packets"] == others


def test_the_table_grows_as_a_counter_would() -> None:
    frames = many(20_000)
    batch = decode_all(frames)
    stage = Conversations(["udp"])
    stage.update(batch)
    truth: Counter[int] = Counter()
    for row in batch.packets:
        truth[max(int(row["source_port"]), int(row["destination_port"]))] += 1
    entries = stage.entries("udp")
    ports = np.maximum(entries["source_port"], entries["destination_port"])
    assert dict(zip(ports.tolist(), entries["packets"].sum(axis=1).tolist(), strict=True)) == dict(truth)
    assert entries["first"].tolist() == sorted(entries["first"].tolist())


def test_a_merge_keeps_who_was_seen_first() -> None:
    """The other part saw the conversation earlier, and from the other side."""
    batch = decode_all(
        [BACK / ipv4("10.0.0.2", "10.0.0.1") / udp(2, 1), THERE / ipv4() / udp(1, 2), THERE / ipv4() / udp(1, 2)]
    )
    later, earlier = Conversations(["udp"]), Conversations(["udp"])
    rest = np.array([False, True, True])
    later.update(batch.select(rest))
    earlier.update(batch.select(~rest))
    later.merge(earlier)
    assert rows(later, "udp", "source", "source_packets", "destination_packets") == [("10.0.0.2", 1, 2)]


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Conversations(["wlan"]), "there are no conversations of 'wlan'; types are eth"),
        (lambda: Conversations(shard=(2, 2)), "shard 2 of 2"),
        (lambda: Conversations(["tcp"]).merge(Conversations(["udp"])), "other types"),
        (lambda: Conversations(["tcp"]).restore(Conversations(["udp"]).state()), "other types"),
    ],
)
def test_wrong_requests(make: Any, message: str) -> None:
    with pytest.raises(UsageError, match=message):
        make()


def test_wrong_calls_of_the_table_are_refused() -> None:
    batch = decode_all([ethernet() / ipv4() / udp()])
    nothing = np.empty(0, np.uint8)
    tally = _tally.Tally(seed=_decode.SEED, kind=_tally.UDP, most=1)
    with pytest.raises(ValueError, match="number for each"):
        tally.update(batch.packets.view(np.uint8), batch.numbers[:0], nothing, [], np.empty(0, np.uint16), nothing)
    with pytest.raises(ValueError, match="stream for each"):
        tally.update(
            batch.packets.view(np.uint8), batch.numbers, nothing, [], np.empty(0, np.uint16), np.zeros(32, np.uint8)
        )
    with pytest.raises(ValueError, match="32 bytes"):
        _tally.Tally(seed=b"", kind=_tally.UDP, most=1)
    with pytest.raises(ValueError, match="shards"):
        _tally.Tally(seed=_decode.SEED, kind=_tally.UDP, most=1, shard=1, shards=1)
    tally.update(batch.packets.view(np.uint8), batch.numbers, nothing, [], np.empty(0, np.uint16), nothing)
    assert len(tally) == 0  # of a path that nobody described
    assert tally.entries().view(TALLY_ENTRY_DTYPE).tolist() == []


def test_differences_of_times_stop_at_what_int64_holds() -> None:
    most = np.iinfo(np.int64).max
    later, earlier = np.array([most, -most, 5, -most]), np.array([-most, most, 7, -most])
    assert difference(later, earlier).tolist() == [most, -most, -2, 0]
