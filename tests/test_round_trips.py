"""Percentiles of round-trip times by server.

Oracle: the definition of nearest rank, computed here one value at a time.
"""

from __future__ import annotations

import itertools
import math
import random
from typing import Any

import pyarrow as pa
import pytest

from spanline.arrow import address_text
from spanline.errors import UsageError
from spanline.stages import ended_flows
from spanline.stages.round_trips import METRICS, ROUND_TRIP, ROUND_TRIP_OVER_TIME, SPREAD, RoundTrips
from tests.craft import Frame, ethernet, ipv4, ipv6, tcp, udp
from tests.craft_files import START, Record
from tests.craft_tunnels import vxlan
from tests.rows import decode_all, mapped

CLIENT, SERVER = "10.0.0.1", "10.0.0.2"


def handshake(
    to_server: int,
    to_client: int = 1000,
    *,
    client_port: int = 40000,
    server: str = SERVER,
    port: int = 80,
    vni: int = -1,
) -> list[Record]:
    """SYN, SYN-ACK and ACK as a mirror sees them, `to_server` and `to_client` ns apart."""
    ip = (lambda a, b: ipv6(a, b)) if ":" in server else (lambda a, b: ipv4(a, b))
    client = "2001:db8::1" if ":" in server else CLIENT
    outer = ethernet() / ipv4() / udp(50000, 4789) / vxlan(vni) if vni >= 0 else Frame()

    def frame(time: int, inner: Frame) -> Record:
        return Record(START + time, outer / ethernet() / inner)

    return [
        frame(0, ip(client, server) / tcp(client_port, port, seq=7, flags="S")),
        frame(to_server, ip(server, client) / tcp(port, client_port, seq=70, ack=8, flags="SA")),
        frame(to_server + to_client, ip(client, server) / tcp(client_port, port, seq=8, ack=71)),
    ]


def measure(*handshakes: list[Record], metric: str = "syn_synack", **options: Any) -> pa.Table:
    stage = RoundTrips(metric, **options)
    stage.update(decode_all(sorted(itertools.chain(*handshakes), key=lambda record: record.time)))
    assert stage.drain() == {}
    return stage.tables()["rtt"]


def rows(table: pa.Table) -> list[tuple[Any, ...]]:
    """Server, port, VNI, count, and the percentiles in ns."""
    columns = [column.cast(pa.int64()) if pa.types.is_duration(column.type) else column for column in table.columns]
    return [(address_text(server), *rest) for server, *rest in zip(*(c.to_pylist() for c in columns), strict=True)]


def nearest_rank(values: list[int], percent: int) -> int:
    return sorted(values)[max(math.ceil(percent / 100 * len(values)), 1) - 1]


@pytest.mark.parametrize("count", [1, 2, 3, 19, 20, 21, 99, 100, 101, 250])
def test_percentiles_are_measured_values_by_nearest_rank(count: int) -> None:
    values = [random.Random(count).randrange(1, 10**9) for _ in range(count)]
    table = measure(*(handshake(value, client_port=1024 + n) for n, value in enumerate(values)))
    expected = [nearest_rank(values, percent) for percent in (0, 50, 95, 99, 100)]
    assert rows(table) == [(SERVER, 80, None, count, *expected)]


@pytest.mark.parametrize("metric", METRICS)
def test_each_metric_is_its_stretch_of_the_handshake(metric: str) -> None:
    value = {"syn_synack": 500, "synack_ack": 30}.get(metric, 530)
    assert rows(measure(handshake(500, 30), metric=metric)) == [(SERVER, 80, None, 1, *[value] * 5)]


def test_servers_are_addresses_with_ports_and_the_slowest_comes_first() -> None:
    table = measure(
        handshake(100),
        handshake(300, port=443),
        handshake(200, server="2001:db8::2"),
        handshake(100, client_port=40001, server="10.0.0.1", port=8080),
    )
    assert [row[:5] for row in rows(table)] == [
        (SERVER, 443, None, 1, 300),
        ("2001:db8::2", 80, None, 1, 200),
        ("10.0.0.1", 8080, None, 1, 100),
        (SERVER, 80, None, 1, 100),
    ]


def test_tenants_with_equal_addresses_are_apart_unless_tunnels_do_not_count() -> None:
    records = handshake(100, vni=5), handshake(300, vni=0), handshake(200, client_port=40001)
    assert [row[:5] for row in rows(measure(*records))] == [
        (SERVER, 80, 0, 1, 300),
        (SERVER, 80, None, 1, 200),
        (SERVER, 80, 5, 1, 100),
    ]
    together = handshake(100, vni=5), handshake(300, vni=0, client_port=40001)
    assert [row[:5] for row in rows(measure(*together, by_vni=False))] == [(SERVER, 80, None, 2, 100)]


def test_flows_without_the_time_do_not_count() -> None:
    unanswered = handshake(100, client_port=40001)[:1]
    datagram = [Record(START, ethernet() / ipv4() / udp() / b"x")]
    assert [row[3] for row in rows(measure(handshake(100), unanswered, datagram))] == [1]
    nothing = measure(unanswered)
    assert nothing.num_rows == 0
    assert nothing.schema.names == [column.name for column in ROUND_TRIP]


def test_it_does_not_matter_when_flows_end(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ended_flows, "_WAITING", 1)
    stage = RoundTrips(idle_timeout=1.0)
    values = [500, 900, 100, 700]
    for n, value in enumerate(values):
        later = n * 10 * 10**9
        records = handshake(value, client_port=1024 + n)
        stage.update(decode_all(Record(time + later, frame) for time, frame, _ in records))
    assert rows(stage.tables()["rtt"]) == [(SERVER, 80, None, 4, 100, 500, 900, 900, 900)]


def test_an_unknown_metric_is_refused_with_the_known_ones() -> None:
    with pytest.raises(UsageError, match="syn_synack, synack_ack, handshake, initial"):
        RoundTrips("latency")
    assert list(METRICS) == ["syn_synack", "synack_ack", "handshake", "initial"]


# --- over time


def at(seconds: float, records: list[Record]) -> list[Record]:
    return [record._replace(time=record.time + round(seconds * 1e9)) for record in records]


def measure_over_time(*handshakes: list[Record], servers: int = 8, intervals: int = 100) -> list[dict[str, Any]]:
    stage = RoundTrips(with_times=True)
    stage.update(decode_all(sorted(itertools.chain(*handshakes), key=lambda record: record.time)))
    stage.tables()
    table = stage.over_time(servers, intervals)
    assert table.schema.names == [column.name for column in ROUND_TRIP_OVER_TIME]
    plain = [column.cast(pa.int64()) if pa.types.is_temporal(column.type) else column for column in table.columns]
    return pa.table(plain, names=table.schema.names).to_pylist()


@pytest.mark.parametrize(
    ("last", "intervals", "length"),
    [
        (0, 100, 0.001),
        (0.0995, 100, 0.001),
        (0.1, 100, 0.002),
        (59, 100, 1),
        (100, 100, 2),
        (3600, 100, 60),
        (3600, 2, 3600),
        (86400 * 3, 100, 3600),
        (86400 * 1000, 100, 86400 * 20),
    ],
)
def test_intervals_are_round_and_no_more_than_wanted(last: float, intervals: int, length: float) -> None:
    rows = measure_over_time(handshake(100), at(last, handshake(200, client_port=40001)), intervals=intervals)
    assert {row["end"] - row["start"] for row in rows} == {round(length * 1e9)}
    assert all(row["start"] % round(length * 1e9) == 0 for row in rows)
    assert rows[0]["start"] <= START < rows[0]["end"]
    assert rows[-1]["start"] <= START + round(last * 1e9) < rows[-1]["end"]
    assert sum(row["count"] for row in rows) == 2


def test_each_interval_has_its_percentiles_by_nearest_rank() -> None:
    rng = random.Random(3)
    values = {n: [rng.randrange(1, 10**6) for _ in range(n)] for n in (1, 2, 7, 40)}
    handshakes = [
        at(second * 10 + 0.001 * n, handshake(value, client_port=1024 + 100 * second + n))
        for second, of_second in values.items()
        for n, value in enumerate(of_second)
    ]
    rows = measure_over_time(*handshakes)
    assert [row["count"] for row in rows] == list(values)
    for row, of_second in zip(rows, values.values(), strict=True):
        assert [row[name] for name in SPREAD] == [nearest_rank(of_second, percent) for percent in SPREAD.values()]


def test_servers_with_most_flows_are_apart_the_slowest_first_and_others_together() -> None:
    counts = {80: 3, 443: 2, 22: 1, 25: 1}
    slowness = {80: 100, 443: 300, 22: 900, 25: 200}
    handshakes = [
        handshake(slowness[port], port=port, client_port=1024 + n)
        for port, count in counts.items()
        for n in range(count)
    ]
    rows = measure_over_time(*handshakes, servers=2)
    assert [(row["server"], row["port"], row["count"]) for row in rows] == [
        (mapped(SERVER), 443, 2),
        (mapped(SERVER), 80, 3),
        (None, None, 2),
    ]
    assert (rows[-1]["min"], rows[-1]["max"], rows[-1]["vni"]) == (200, 900, None)
    assert [row["port"] for row in measure_over_time(*handshakes, servers=4)] == [22, 443, 25, 80]


def test_times_are_kept_in_a_state_and_through_merging() -> None:
    parts = [RoundTrips(with_times=True, shard=(n, 2)) for n in range(2)]
    records = [at(n, handshake(100 + n, client_port=1024 + n)) for n in range(20)]
    batch = decode_all(itertools.chain(*records))
    for part in parts:
        part.update(batch)
        part.tables()
    later = RoundTrips(with_times=True)
    parts[0].merge(parts[1])
    later.restore(parts[0].state())
    table = later.over_time(1, 100)
    assert table.column("max").cast(pa.int64()).to_pylist() == [100 + n for n in range(20)]
    with pytest.raises(UsageError, match="other options"):
        RoundTrips().restore(parts[0].state())


def test_no_flows_and_no_times() -> None:
    assert measure_over_time() == []
    with pytest.raises(UsageError, match="with_times=True"):
        RoundTrips().over_time(8, 100)
