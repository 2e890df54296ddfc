"""Destinations and hosts, with their bursts.

Oracles: frames of our own, counted by hand; a model of the burst in Python, which keeps all packets of a node; and
tshark 4.0.17 with -z dests,tree and -z ip_hosts,tree on every shared capture whose encapsulations spanline decodes.
"""

from __future__ import annotations

import random
from collections.abc import Iterable, Sequence
from pathlib import Path

import pytest

import spanline
from spanline.batch import Batch
from spanline.errors import UsageError
from spanline.stages.destinations import Destinations
from spanline.stages.hosts import Hosts
from spanline.stages.statistics_tree import StatisticsTree
from tests import tshark
from tests.craft import ethernet, icmp, ipv4, ipv6, tcp, udp
from tests.craft_files import START, Record
from tests.hierarchy import covered
from tests.rows import decode, decode_all, mapped
from tests.statistics_trees import EXCEPTED, VIEWS, oracle_text, our_texts
from tests.test_dividing import cut

MS = 10**6
WINDOW = 20


def fed(stage: StatisticsTree, *batches: Batch) -> StatisticsTree:
    for batch in batches:
        stage.update(batch)
    return stage


def counted(stage: Destinations) -> list[tuple[bytes, str | None, int | None, int]]:
    rows = stage.tables()["destinations"].to_pylist()
    return [(row["address"], row["transport"], row["port"], row["packets"]) for row in rows]


def test_destinations_are_counted_by_transport_and_port() -> None:
    """By hand: the most frequent first, and of equally frequent ones the last of the alphabet, as 53 is behind 443."""
    frames = [ethernet() / ipv4(destination="10.0.0.2") / udp(1000, port) for port in (443, 53, 53, 443)]
    frames += [ethernet() / ipv4(destination="10.0.0.9") / icmp(), ethernet() / ipv6() / tcp(1, 2)]
    stage = Destinations()
    stage.update(decode(*frames))
    address, other = mapped("10.0.0.2"), mapped("10.0.0.9")
    rows = counted(stage)
    assert rows[:7] == [
        (address, None, None, 4), (address, "UDP", None, 4), (address, "UDP", 53, 2), (address, "UDP", 443, 2),
        (other, None, None, 1), (other, "NONE", None, 1), (other, "NONE", 0, 1),
    ]  # fmt: skip
    assert [row[1:] for row in rows[7:]] == [(None, None, 1), ("TCP", None, 1), ("TCP", 2, 1)]
    assert stage.drain() == {}


def test_hosts_count_for_both_ends() -> None:
    stage = fed(Hosts(), decode(*[ethernet() / ipv4("10.0.0.1", "10.0.0.2") / udp()] * 3))
    rows = stage.tables()["hosts"].to_pylist()
    assert [(row["address"], row["packets"], row["percent"]) for row in rows] == [
        (mapped("10.0.0.2"), 3, 100.0),
        (mapped("10.0.0.1"), 3, 100.0),
    ]


def model(times: Iterable[int]) -> tuple[int, int]:
    """(burst, its start) by Wireshark's rule, from all packets of a node, in ns since the first frame."""
    buckets: dict[int, list[int]] = {0: [0, 0]}
    best, start = 0, 0
    for now in times:
        number = now // (5 * MS)
        newest, oldest = max(buckets), min(buckets)
        if number < oldest and number + WINDOW <= newest:
            continue
        known = buckets.setdefault(number, [0, now])
        known[0] += 1
        known[1] = min(known[1], now)
        buckets = {n: bucket for n, bucket in buckets.items() if number <= newest or n + WINDOW > number}
        total = sum(count for count, _ in buckets.values())
        if total > best:
            best, start = total, buckets[min(buckets)][1]
    return best, start


def frames_at(times: Sequence[int]) -> list[Record]:
    return [Record(START + time, ethernet() / ipv4() / udp()) for time in times]


@pytest.mark.parametrize("step", [1 * MS, 7 * MS, 40 * MS])
def test_a_burst_is_what_the_model_says(step: int) -> None:
    """Packets in and out of order, also before the first one, and long pauses."""
    chance = random.Random(step)
    for _ in range(30):
        times, now = [0], 0
        for _ in range(60):
            now += chance.choice([0, step, step, 3 * step, 200 * MS])
            times.append(max(now - chance.choice([0, 0, 0, 30 * MS, 120 * MS]), -50 * MS))
        row = Destinations()
        row.update(decode_all(frames_at(times)))
        first = row.tables()["destinations"].to_pylist()[0]
        assert (first["burst_packets"], first["burst_start"].value - START) == model(times)


def tables(stage: StatisticsTree) -> list[dict[str, object]]:
    assert isinstance(stage, Destinations | Hosts)
    (table,) = stage.tables().values()
    rows: list[dict[str, object]] = table.to_pylist()
    return rows


def mixed(count: int = 400) -> Batch:
    chance = random.Random(5)
    records, now = [], START
    for _ in range(count):
        now += chance.choice([0, MS, 20 * MS, 300 * MS])
        network = chance.choice([ipv4("10.0.0.1", f"10.0.0.{chance.randrange(9)}"), ipv6()])
        transport = chance.choice([udp, tcp])(chance.randrange(1, 5), chance.randrange(1, 9))
        records.append(Record(now, ethernet() / network / transport))
    return decode_all(records)


@pytest.mark.parametrize("kind", [Destinations, Hosts])
def test_state_goes_on_exactly(kind: type[Destinations | Hosts]) -> None:
    whole = mixed()
    expected = tables(fed(kind(), whole))
    for at in (0, 1, 133, 399, 400):
        first, second = cut(whole, at)
        restored = kind()
        restored.restore(fed(kind(), first).state())
        assert tables(fed(restored, second)) == expected


@pytest.mark.parametrize("kind", [Destinations, Hosts])
def test_merged_packets_add_up_and_bursts_are_not_invented(kind: type[Destinations | Hosts]) -> None:
    """However the frames are divided: packets exact, a burst at most what one stage sees, and all it holds apart."""
    whole = mixed()
    expected = {
        (r["ip_version"], r["address"], r.get("transport"), r.get("port")): r for r in tables(fed(kind(), whole))
    }
    odd = whole.numbers % 2 == 1
    for one, other in ((whole.select(odd), whole.select(~odd)), (whole.select(~odd), whole.select(odd))):
        merged = fed(kind(), one)
        merged.merge(fed(kind(), other))
        merged.merge(kind())
        rows = tables(merged)
        assert len(rows) == len(expected)
        for row in rows:
            alone = expected[row["ip_version"], row["address"], row.get("transport"), row.get("port")]
            assert all(row[name] == alone[name] for name in ("packets", "percent", "rate"))
            assert 0 < int(str(row["burst_packets"])) <= int(str(alone["burst_packets"]))


def test_damaged_state_is_refused() -> None:
    state = dict(fed(Destinations(), decode_all(frames_at([0, 6 * MS, 12 * MS]))).state())
    for name, damaged in (("buckets", state["buckets"][:-16]), ("nodes", state["nodes"][64:]), ("nodes", b"\xff" * 64)):
        with pytest.raises(UsageError, match="damaged"):
            Destinations().restore(state | {name: damaged})


def test_memory_is_bounded_and_others_are_counted() -> None:
    """What is around a node without room goes on counting."""
    stage = Destinations(memory=1 << 17)
    for part in range(40):
        ports = range(1 + part * 500, 501 + part * 500)
        stage.update(decode(*[ethernet() / ipv4() / udp(1, port) for port in ports]))
    rows = counted(stage)
    assert rows[0][3] == 20_000
    assert 0 < len(rows) - 2 < 5000
    assert stage.others == 20_000 - (len(rows) - 2)


def test_the_port_of_an_icmp_error_is_that_of_what_it_quotes() -> None:
    """As tshark 4.0.17 has it."""
    quoted = ipv4("10.0.0.2", "10.0.0.1") / udp(1000, 53)
    stage = Destinations()
    stage.update(decode(ethernet() / ipv4("10.0.0.1", "10.0.0.2") / icmp(3, 3) / quoted))
    assert counted(stage)[-1] == (mapped("10.0.0.2"), "UDP", 53, 1)


def test_every_line_is_tsharks(captures: Path, oracle: Path) -> None:
    differing, lines = set(), 0
    for capture in tshark.manifest(captures):
        frames = covered(oracle, capture)
        if not frames:
            continue
        try:
            ours, own_frames = our_texts(captures / capture)
        except spanline.CaptureError:
            continue
        for view in VIEWS if own_frames == frames else ():
            theirs = oracle_text(oracle, capture, view)
            lines += len(theirs)
            if theirs and theirs != ours[view]:
                differing.add(capture)
    assert differing == set(EXCEPTED)
    assert lines > 30_000
