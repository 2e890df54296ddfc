"""Flows by time, size or round-trip time, and of them the first few."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from spanline.arrow import ipc_of, table_of_ipc
from spanline.errors import UsageError
from spanline.stages.ended_flows import EndedFlows
from spanline.stages.flows import FLOW_ORDER

ORDERS = {
    "first_seen": ("first_seen", "ascending"),
    "bytes": ("bytes", "descending"),
    "packets": ("packets", "descending"),
    "rtt": ("handshake_rtt", "descending"),
}
"""By what flows can be sorted; `bytes` and `packets` are those of both directions."""


class SortedFlows(EndedFlows):
    """Flows in an order, the largest or the first seen first; unknown round-trip times come last.

    order    a key of ORDERS
    limit    how many to keep; None: all of them. Memory grows with this number only
    options  those of stages.flows.Flows, by which flows are made

    tables() gives "flows", of the columns of Flows. `total` counts those that were not kept too.
    """

    def __init__(self, order: str = "first_seen", limit: int | None = None, **options: Any) -> None:
        if order not in ORDERS:
            raise UsageError(f"flows cannot be sorted by {order!r}", hint=f"choose one of {', '.join(ORDERS)}")
        super().__init__(**options)
        self.total = 0
        self._order = order
        self._limit = limit
        self._kept: list[pa.Table] = []

    def merge(self, other: SortedFlows) -> None:
        self.flows.merge(other.flows)
        self.total += other.total
        self._keep(other._kept)

    def state(self) -> dict[str, Any]:
        return {"flows": self.flows.state(), "total": self.total, "kept": [ipc_of(table) for table in self._kept]}

    def restore(self, state: Mapping[str, Any]) -> None:
        self.flows.restore(state["flows"])
        self.total += state["total"]
        self._keep([table_of_ipc(octets) for octets in state["kept"]])

    def tables(self) -> Mapping[str, pa.Table]:
        self._take_rest()
        return {"flows": self._sorted()}

    def _take(self, flows: pa.Table) -> None:
        self.total += flows.num_rows
        self._keep([flows])

    def _keep(self, parts: list[pa.Table]) -> None:
        self._kept += parts
        if self._kept and self._limit is not None:
            self._kept = [self._sorted()]

    def _sorted(self) -> pa.Table:
        flows = pa.concat_tables(self._kept)
        column, way = ORDERS[self._order]
        keys = {"first_seen": flows.column("first_seen")}
        keys[column] = (
            flows.column(column)
            if column in flows.schema.names
            else pc.add(flows.column(f"source_{column}"), flows.column(f"destination_{column}"))
        )
        if self._order == "rtt":
            keys[column] = keys[column].cast(pa.int64())
        for name in FLOW_ORDER:
            keys.setdefault(name, flows.column(name))
        order = [(column, way), *((name, "ascending") for name in FLOW_ORDER if name != column)]
        places = pc.sort_indices(pa.table(keys), sort_keys=order)
        return flows.take(places[: self._limit] if self._limit is not None else places)
