"""Round-trip times by server: who answers slowly."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from spanline.arrow import ADDRESS, fixed_binary, table_of
from spanline.errors import UsageError
from spanline.schema import NO_TUNNEL_ID, Column
from spanline.stages.ended_flows import EndedFlows

METRICS = {
    "syn_synack": "SYN to SYN-ACK: from the mirror to the server and back",
    "synack_ack": "SYN-ACK to ACK: from the mirror to the client and back",
    "handshake": "SYN to ACK: from the client to the server and back",
    "initial": "initial RTT by Wireshark's rule (tcp.analysis.initial_rtt)",
}
"""What can be measured, and between which points: the columns `…_rtt` of schema.FLOW."""

PERCENTILES = {"min": 0, "p50": 50, "p95": 95, "p99": 99, "max": 100}

ROUND_TRIP = (
    Column("server", "", "address", "Server", "", "the responder's address"),
    Column("port", "", "uint16", "Port", "", "the responder's port"),
    Column("vni", "", "uint32", "VNI", "", "VNI, GRE key or ERSPAN session, innermost"),
    Column("count", "", "uint64", "Count", "", "flows in which it could be measured"),
    *(Column(name, "", "duration", name, "ns", f"percentile {rank}") for name, rank in PERCENTILES.items()),
)
"""The Table "rtt"."""

SPREAD = {"min": 0, "p5": 5, "p25": 25, "p50": 50, "p75": 75, "p95": 95, "max": 100}

ROUND_TRIP_OVER_TIME = (
    Column("server", "", "address", "Server", "", "the responder's address; null: all other servers together"),
    *ROUND_TRIP[1:3],
    Column("start", "", "time", "Start", "ns", "of the interval in which the flows began"),
    Column("end", "", "time", "End", "ns", "of the interval"),
    ROUND_TRIP[3],
    *(Column(name, "", "duration", name, "ns", f"percentile {rank}") for name, rank in SPREAD.items()),
)
"""The Table of RoundTrips.over_time()."""

_STEPS = (1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200, 14400, 43200)
"""Seconds that people divide time into."""

_SERVER = np.dtype([("address", "u1", (16,)), ("port", "u2"), ("vni", "u4")])


class RoundTrips(EndedFlows):
    """Percentiles of a round-trip time for each server: address, port, and tunnel where tunnels separate flows.

    metric      a key of METRICS
    with_times  keep when each flow began, for over_time()
    options     those of stages.flows.Flows, by which flows are made

    A percentile is by nearest rank: the smallest value that at least p % of all values do not exceed, so it is always
    one that was measured. All values are kept, 12 bytes a flow, with times 20.

    tables() gives "rtt", a Table of ROUND_TRIP: durations in ns, the slowest server (by p50) first.
    """

    def __init__(
        self, metric: str = "syn_synack", *, by_vni: bool = True, with_times: bool = False, **options: Any
    ) -> None:
        if metric not in METRICS:
            raise UsageError(f"no round-trip time {metric!r}", hint=f"choose one of {', '.join(METRICS)}")
        super().__init__(by_vni=by_vni, **options)
        self._metric = f"{metric}_rtt"
        self._by_vni = by_vni
        self._with_times = with_times
        self._numbers: dict[bytes, int] = {}
        self._servers: list[npt.NDArray[np.int32]] = []
        self._values: list[npt.NDArray[np.int64]] = []
        self._times: list[npt.NDArray[np.int64]] = []

    def merge(self, other: RoundTrips) -> None:
        self.flows.merge(other.flows)
        self._add(list(other._numbers), other._servers, other._values, other._times)

    def state(self) -> dict[str, Any]:
        return {
            "flows": self.flows.state(),
            "with_times": self._with_times,
            "keys": list(self._numbers),
            "servers": _joined(self._servers, np.int32).tobytes(),
            "values": _joined(self._values).tobytes(),
            "times": _joined(self._times).tobytes(),
        }

    def restore(self, state: Mapping[str, Any]) -> None:
        if state["with_times"] != self._with_times:
            raise UsageError("this state is of round-trip times made with other options")
        self.flows.restore(state["flows"])
        servers = np.frombuffer(state["servers"], np.int32)
        values, times = (np.frombuffer(state[name], np.int64) for name in ("values", "times"))
        self._add(state["keys"], [servers], [values], [times])

    def _add(
        self,
        keys: list[bytes],
        servers: list[npt.NDArray[np.int32]],
        values: list[npt.NDArray[np.int64]],
        times: list[npt.NDArray[np.int64]],
    ) -> None:
        numbers = np.array([self._numbers.setdefault(key, len(self._numbers)) for key in keys], np.int32)
        self._servers += [numbers[part] for part in servers]
        self._values += values
        self._times += times

    def tables(self) -> Mapping[str, pa.Table]:
        self._take_rest()
        return {"rtt": self._table()}

    def over_time(self, servers: int, intervals: int) -> pa.Table:
        """The same by intervals in which flows began: a Table of ROUND_TRIP_OVER_TIME. To be had after tables().

        servers    this many, those with most flows, are told apart, in the order of tables(); the others are together
        intervals  at most so many, of equal length, a round number of seconds counted from the epoch

        Intervals without flows have no row. Raises UsageError when the stage was not made `with_times`.
        """
        if not self._with_times:
            raise UsageError("these round-trip times have no times", hint="RoundTrips(with_times=True) keeps them")
        which, values, times = _joined(self._servers, np.int32), _joined(self._values), _joined(self._times)
        count = np.bincount(which, minlength=len(self._numbers))
        order = self._order(_spread(which, values, PERCENTILES)["p50"])
        most = order[np.sort(np.argsort(-count[order], kind="stable")[:servers])]
        place = np.full(len(self._numbers), len(most))
        place[most] = np.arange(len(most))
        length = _interval(times, intervals)
        first = int(times.min()) // length if len(times) else 0
        cells, cell = np.unique(place[which] * intervals + (times // length - first), return_inverse=True)
        panel, start = cells // intervals, (cells % intervals + first) * length
        keys, others = self._keys()[np.append(most, 0)[panel]], panel == len(most)
        addresses = [None if other else key.tobytes() for key, other in zip(keys["address"], others, strict=True)]
        columns = {
            "server": pa.array(addresses, ADDRESS),
            "port": pa.array(np.ascontiguousarray(keys["port"]), mask=others),
            "vni": pa.array(np.ascontiguousarray(keys["vni"]), mask=others | (keys["vni"] == NO_TUNNEL_ID)),
            "start": pa.array(start),
            "end": pa.array(start + length),
            "count": pa.array(np.bincount(cell)),
            **{name: pa.array(values) for name, values in _spread(cell, values, SPREAD).items()},
        }
        return table_of(ROUND_TRIP_OVER_TIME, columns)

    def _take(self, flows: pa.Table) -> None:
        """Keeps the round-trip times of `flows`, each with the number of its server."""
        flows = flows.select(["destination", "destination_port", "vni", "first_seen", self._metric])
        flows = flows.filter(flows.column(self._metric).is_valid())
        if not flows.num_rows:
            return
        keys = np.empty(flows.num_rows, _SERVER)
        keys["address"] = np.frombuffer(b"".join(flows.column("destination").to_pylist()), np.uint8).reshape(-1, 16)
        keys["port"] = flows.column("destination_port").to_numpy()
        keys["vni"] = flows.column("vni").fill_null(NO_TUNNEL_ID).to_numpy() if self._by_vni else NO_TUNNEL_ID
        distinct, which = np.unique(keys.view(f"V{_SERVER.itemsize}"), return_inverse=True)
        numbers = [self._numbers.setdefault(key.tobytes(), len(self._numbers)) for key in distinct]
        self._servers.append(np.array(numbers, np.int32)[which])
        self._values.append(flows.column(self._metric).cast(pa.int64()).to_numpy())
        if self._with_times:
            self._times.append(flows.column("first_seen").cast(pa.int64()).to_numpy())

    def _keys(self) -> npt.NDArray[np.void]:
        return np.frombuffer(b"".join(self._numbers), _SERVER)

    def _order(self, slowness: npt.NDArray[np.int64]) -> npt.NDArray[np.intp]:
        """Numbers of servers, the slowest first; equally slow ones by address, so that a capture has one Table."""
        ties = np.argsort(self._keys().view(f"V{_SERVER.itemsize}"), kind="stable")
        return ties[np.argsort(-slowness[ties], kind="stable")]

    def _table(self) -> pa.Table:
        servers = _joined(self._servers, np.int32)
        percentiles = _spread(servers, _joined(self._values), PERCENTILES)
        order = self._order(percentiles["p50"])
        keys = self._keys()[order]
        columns = {
            "server": fixed_binary(keys["address"]),
            "port": pa.array(np.ascontiguousarray(keys["port"])),
            "vni": pa.array(np.ascontiguousarray(keys["vni"]), mask=keys["vni"] == NO_TUNNEL_ID),
            "count": pa.array(np.bincount(servers, minlength=len(keys))[order]),
            **{name: pa.array(values[order]) for name, values in percentiles.items()},
        }
        return table_of(ROUND_TRIP, columns)


def _joined(parts: Sequence[npt.NDArray[Any]], kind: type[np.generic] = np.int64) -> npt.NDArray[Any]:
    return np.concatenate([np.empty(0, kind), *parts])


def _spread(
    groups: npt.NDArray[np.integer[Any]], values: npt.NDArray[np.int64], ranks: Mapping[str, int]
) -> dict[str, npt.NDArray[np.int64]]:
    """Percentiles of the values of each group, int64[groups]; groups are numbered from 0, each has a value."""
    values = values[np.lexsort((values, groups))]
    count = np.bincount(groups)
    start = np.cumsum(count) - count
    return {name: values[start + np.maximum(-(-count * rank // 100), 1) - 1] for name, rank in ranks.items()}


def _interval(times: npt.NDArray[np.int64], most: int) -> int:
    """The shortest round number of ns, from 1 ms, that divides the range of `times` into at most so many intervals."""
    first, last = (int(times.min()), int(times.max())) if len(times) else (0, 0)
    units = [*(10**power for power in range(6, 9)), *(86400 * 10**power for power in range(9, 15))]
    lengths: list[int] = [*(step * unit for unit in units for step in (1, 2, 5)), *(step * 10**9 for step in _STEPS)]
    return min(length for length in lengths if last // length - first // length < most)
