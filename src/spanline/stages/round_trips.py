"""Round-trip times by server: who answers slowly."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from spanline.arrow import fixed_binary, table_of
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
    Column("vni", "", "uint32", "VNI", "", "VNI or GRE key of the innermost tunnel"),
    Column("count", "", "uint64", "Count", "", "flows in which it could be measured"),
    *(Column(name, "", "duration", name, "ns", f"percentile {rank}") for name, rank in PERCENTILES.items()),
)
"""The Table "rtt"."""

_SERVER = np.dtype([("address", "u1", (16,)), ("port", "u2"), ("vni", "u4")])


class RoundTrips(EndedFlows):
    """Percentiles of a round-trip time for each server: address, port, and tunnel where tunnels separate flows.

    metric    a key of METRICS
    options   those of stages.flows.Flows, by which flows are made

    A percentile is by nearest rank: the smallest value that at least p % of all values do not exceed, so it is always
    one that was measured. All values are kept, 12 bytes a flow.

    tables() gives "rtt", a Table of ROUND_TRIP: durations in ns, the slowest server (by p50) first.
    """

    def __init__(self, metric: str = "syn_synack", *, by_vni: bool = True, **options: Any) -> None:
        if metric not in METRICS:
            raise UsageError(f"no round-trip time {metric!r}", hint=f"choose one of {', '.join(METRICS)}")
        super().__init__(by_vni=by_vni, **options)
        self._metric = f"{metric}_rtt"
        self._by_vni = by_vni
        self._numbers: dict[bytes, int] = {}
        self._servers: list[npt.NDArray[np.int32]] = []
        self._values: list[npt.NDArray[np.int64]] = []

    def merge(self, other: RoundTrips) -> None:
        self.flows.merge(other.flows)
        self._add(list(other._numbers), other._servers, other._values)

    def state(self) -> dict[str, Any]:
        servers, values = self._kept()
        return {
            "flows": self.flows.state(),
            "keys": list(self._numbers),
            "servers": servers.tobytes(),
            "values": values.tobytes(),
        }

    def restore(self, state: Mapping[str, Any]) -> None:
        self.flows.restore(state["flows"])
        servers, values = np.frombuffer(state["servers"], np.int32), np.frombuffer(state["values"], np.int64)
        self._add(state["keys"], [servers], [values])

    def _add(
        self, keys: list[bytes], servers: list[npt.NDArray[np.int32]], values: list[npt.NDArray[np.int64]]
    ) -> None:
        numbers = np.array([self._numbers.setdefault(key, len(self._numbers)) for key in keys], np.int32)
        self._servers += [numbers[part] for part in servers]
        self._values += values

    def tables(self) -> Mapping[str, pa.Table]:
        self._take_rest()
        return {"rtt": self._table()}

    def _take(self, flows: pa.Table) -> None:
        """Keeps the round-trip times of `flows`, each with the number of its server."""
        flows = flows.select(["destination", "destination_port", "vni", self._metric])
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

    def _kept(self) -> tuple[npt.NDArray[np.int32], npt.NDArray[np.int64]]:
        return (
            np.concatenate([np.empty(0, np.int32), *self._servers]),
            np.concatenate([np.empty(0, np.int64), *self._values]),
        )

    def _table(self) -> pa.Table:
        servers, values = self._kept()
        values = values[np.lexsort((values, servers))]
        count = np.bincount(servers, minlength=len(self._numbers))
        start = np.cumsum(count) - count
        percentiles = {
            name: values[start + np.maximum(-(-count * rank // 100), 1) - 1] for name, rank in PERCENTILES.items()
        }
        keys = np.frombuffer(b"".join(self._numbers), _SERVER)
        # Equally slow ones by address, so that the same capture gives the same Table.
        ties = np.argsort(keys.view(f"V{_SERVER.itemsize}"), kind="stable")
        order = ties[np.argsort(-percentiles["p50"][ties], kind="stable")]
        keys = keys[order]
        columns = {
            "server": fixed_binary(keys["address"]),
            "port": pa.array(np.ascontiguousarray(keys["port"])),
            "vni": pa.array(np.ascontiguousarray(keys["vni"]), mask=keys["vni"] == NO_TUNNEL_ID),
            "count": pa.array(count[order]),
            **{name: pa.array(values[order]) for name, values in percentiles.items()},
        }
        return table_of(ROUND_TRIP, columns)
