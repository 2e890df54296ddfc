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
from spanline.stages.round_trips import METRICS, ROUND_TRIP, RoundTrips
from tests.craft import Frame, ethernet, ipv4, ipv6, tcp, udp
from tests.craft_files import START, Record
from tests.craft_tunnels import vxlan
from tests.rows import decode_all

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
