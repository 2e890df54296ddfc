"""The flow table against a truth that no packet analyser had a hand in.

Oracle: the plan from which benchmarks/traffic.py makes its captures. The generator first decides every packet of every
flow (time, direction, flags, payload length) and only then writes frames. `truth_of` sums that plan up by the
definitions of schema.FLOW: the originator sends the plan's first packet; bytes are wire lengths of the innermost frame;
the three round-trip times follow from where SYN, SYN-ACK and ACK stand in the planned handshake; conn_state is Zeek's
name for the planned opening and ending. It reads no frame and shares no code with spanline, so that the two agree only
when both are right. Every flow and every column of the truth must be equal; nothing is left out or rounded.
"""

from collections import Counter
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
import traffic
from traffic_frames import NONE, Array

import spanline

KEY = ("vni", "protocol", "source", "source_port", "destination", "destination_port")
TIMES = ("first_seen", "last_seen")
ROUND_TRIPS = ("syn_synack_rtt", "synack_ack_rtt", "handshake_rtt", "initial_rtt")
COLUMNS = tuple(traffic.TRUTH.names or ())

Flow = dict[str, Any]


def flows_of_truth(truth: Array) -> list[Flow]:
    """Rows of traffic.TRUTH as Python values: addresses as hexadecimal digits, times in ns, None for what is not there.

    An address in hexadecimal, unlike bytes, makes a readable difference when an assertion fails.
    """
    flows: list[Flow] = []
    for row in truth:
        flow = {name: row[name].tobytes().hex() if row[name].ndim else row[name].item() for name in COLUMNS}
        flow["vni"] = None if flow["vni"] == NONE else flow["vni"]
        flows.append(flow | {name: None if flow[name] == -1 else flow[name] for name in ROUND_TRIPS})
    return flows


def flows_of_table(table: pa.Table) -> list[Flow]:
    """The same columns of a flow Table, as the same Python values."""
    values = {name: table[name] for name in COLUMNS}
    for name in TIMES:
        assert table[name].type == pa.timestamp("ns", "UTC")
    for name in ROUND_TRIPS:
        assert table[name].type == pa.duration("ns")
    for name in (*TIMES, *ROUND_TRIPS):
        values[name] = table[name].cast(pa.int64())
    lists = {name: column.to_pylist() for name, column in values.items()}
    for name in ("source", "destination"):
        lists[name] = [address.hex() for address in lists[name]]
    return [dict(zip(lists, row, strict=True)) for row in zip(*lists.values(), strict=True)]


def by_key(flows: list[Flow]) -> dict[tuple[Any, ...], Flow]:
    """Flows by VNI and five-tuple, by which they must differ."""
    keyed = {tuple(flow[name] for name in KEY): flow for flow in flows}
    assert len(keyed) == len(flows), "two flows have the same VNI and five-tuple"
    return keyed


def assert_is_truth(table: pa.Table, truth: Array) -> None:
    """Fails with the columns that differ, how often, and one example of each."""
    ours, theirs = by_key(flows_of_table(table)), by_key(flows_of_truth(truth))
    assert sorted(map(repr, ours)) == sorted(map(repr, theirs)), "these are not the same flows"
    differences = [
        (name, key, ours[key][name], theirs[key][name])
        for key in theirs
        for name in COLUMNS
        if ours[key][name] != theirs[key][name]
    ]
    examples = {name: f"{key}: {one} instead of {other}" for name, key, one, other in differences}
    assert not differences, f"{Counter(name for name, *_ in differences)} {examples}"


@pytest.mark.parametrize("seed", range(1, 9))
@pytest.mark.parametrize("microseconds", [False, True], ids=["ns", "µs"])
@pytest.mark.parametrize("kind", ["mix", "vxlan"])
def test_every_flow_of_an_internet_mix(tmp_path: Path, kind: str, microseconds: bool, seed: int) -> None:
    path = tmp_path / "traffic.pcap"
    truth = traffic.generate(kind, path, packets=40_000, flows=1_000, seed=seed, microseconds=microseconds)
    assert_is_truth(spanline.flows(path), truth)


@pytest.mark.parametrize("seed", [1, 2])
@pytest.mark.parametrize("microseconds", [False, True], ids=["ns", "µs"])
@pytest.mark.parametrize("transport", ["udp", "tcp"])
def test_every_flow_of_small_frames(tmp_path: Path, transport: str, microseconds: bool, seed: int) -> None:
    path = tmp_path / "traffic.pcap"
    truth = traffic.generate(
        "small", path, packets=20_000, flows=2_000, seed=seed, microseconds=microseconds, transport=transport
    )
    assert_is_truth(spanline.flows(path), truth)


def test_a_capture_of_many_batches(tmp_path: Path) -> None:
    """Flows that go through several batches, and a table that has to grow."""
    path = tmp_path / "traffic.pcap"
    truth = traffic.generate("mix", path, packets=200_000, flows=20_000, seed=9, seconds=100.0)
    assert sum(1 for _ in spanline.open(path)) > 2
    assert_is_truth(spanline.flows(path), truth)


def test_tenants_with_equal_five_tuples_stay_apart(tmp_path: Path) -> None:
    """With the VNI in the key they are two flows each, and one without it."""
    path = tmp_path / "traffic.pcap"
    truth = traffic.generate("vxlan", path, packets=40_000, flows=1_000, seed=3, vnis=(7, 0xFFFFFF))
    tenants = Counter(tuple(flow[name] for name in KEY[1:]) for flow in flows_of_truth(truth))
    assert max(tenants.values()) == 2
    assert_is_truth(spanline.flows(path), truth)

    merged = spanline.flows(path, by_vni=False)
    assert Counter(tuple(flow[name] for name in KEY[1:]) for flow in flows_of_table(merged)).keys() == tenants.keys()
    for name in ("packets", "bytes"):
        ours = sum(sum(merged[f"{side}_{name}"].to_pylist()) for side in ("source", "destination"))
        assert ours == sum(int(truth[f"{side}_{name}"].sum()) for side in ("source", "destination"))


def test_flows_come_in_order_of_their_first_packet(tmp_path: Path) -> None:
    path = tmp_path / "traffic.pcap"
    truth = traffic.generate("mix", path, packets=40_000, flows=1_000, seed=4)
    assert [flow["first_seen"] for flow in flows_of_table(spanline.flows(path))] == truth["first_seen"].tolist()
