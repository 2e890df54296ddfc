"""Flows in an order, and the first few of them."""

from __future__ import annotations

import pyarrow as pa
import pytest

from spanline.errors import UsageError
from spanline.stages import ended_flows
from spanline.stages.sorted_flows import SortedFlows
from tests.craft import ethernet, ipv4, tcp, udp
from tests.craft_files import START, Record
from tests.rows import decode_all

SECOND = 10**9


def exchange(port: int, packets: int, size: int, at: int) -> list[Record]:
    """A flow from `port`: datagrams with `size` bytes each, a ms apart."""
    frame = ethernet() / ipv4() / udp(port, 53) / bytes(size)
    return [Record(START + at * SECOND + n * 10**6, frame) for n in range(packets)]


def handshake(port: int, round_trip: int, at: int) -> list[Record]:
    """A flow from `port` whose handshake takes `round_trip` ns."""
    start = START + at * SECOND
    answer = ethernet() / ipv4("10.0.0.2", "10.0.0.1") / tcp(80, port, seq=5, ack=2, flags="SA")
    return [
        Record(start, ethernet() / ipv4() / tcp(port, 80, seq=1, flags="S")),
        Record(start + round_trip // 2, answer),
        Record(start + round_trip, ethernet() / ipv4() / tcp(port, 80, seq=2, ack=6)),
    ]


RECORDS = sorted(
    exchange(1001, 2, 900, 3) + exchange(1002, 5, 10, 1) + handshake(1003, 2000, 0) + handshake(1004, 9000, 2),
    key=lambda record: record.time,
)
ORDERED = {
    "first_seen": [1003, 1002, 1004, 1001],
    "packets": [1002, 1003, 1004, 1001],
    "bytes": [1001, 1002, 1003, 1004],
    "rtt": [1004, 1003, 1002, 1001],
}


def ports(flows: pa.Table) -> list[int]:
    return flows.column("source_port").to_pylist()


@pytest.mark.parametrize("order", ORDERED)
@pytest.mark.parametrize("limit", [None, 1, 3, 9])
def test_the_first_flows_of_each_order(order: str, limit: int | None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ended_flows, "_WAITING", 1)
    stage = SortedFlows(order, limit, idle_timeout=0.5)
    for record in RECORDS:
        stage.update(decode_all([record]))
        assert stage.drain() == {}
    assert ports(stage.tables()["flows"]) == ORDERED[order][:limit]
    assert stage.total == 4


def test_no_flows_are_an_empty_table() -> None:
    stage = SortedFlows("rtt", 5)
    assert stage.tables()["flows"].num_rows == stage.total == 0


def test_an_unknown_order_is_refused_with_the_known_ones() -> None:
    with pytest.raises(UsageError, match="first_seen, bytes, packets, rtt"):
        SortedFlows("size")
