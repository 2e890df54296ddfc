"""What traffic tells of a network: addresses, MACs, VLANs and VNIs that were seen together."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Self

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from spanline.arrow import column, fixed_binary, numbers_of, octet_strings, octets_of
from spanline.batch import Batch
from spanline.schema import NO_TUNNEL_ID, NO_VLAN

MOST_SIGHTINGS = 1 << 20

SIGHTING_DTYPE = np.dtype([("address", "u1", (16,)), ("mac", "u1", (6,)), ("vlan", ">u2"), ("vni", ">u4")])
"""Zeros are no MAC, NO_VLAN no VLAN, NO_TUNNEL_ID no VNI; big-endian, so that rows are ordered as their bytes are."""
_OF_FLOWS = ("source", "destination", "vlan", "vni")
_SORTABLE = f"S{SIGHTING_DTYPE.itemsize}"


class Sightings:
    """A stage that keeps different rows of SIGHTING_DTYPE: who sent, and to whom, with the MACs of the innermost frame.

    Beyond MOST_SIGHTINGS new ones are left out, and counted in `left_out`.
    """

    def __init__(self) -> None:
        self.rows = np.empty(0, SIGHTING_DTYPE)
        self.left_out = 0

    def update(self, batch: Batch) -> None:
        packets = batch.packets
        packets = packets[packets["ip_version"] != 0]
        for side in ("source", "destination"):
            self.add(packets[side], packets[f"eth_{side}"], packets["vlan"], packets["tunnel_id"])

    def add_store(self, path: str) -> None:
        """The flows of a store: without MACs. A destination's VLAN is not known, as routers may stand between.

        Raises UsageError and CaptureError as Store() and its segments do.
        """
        from pyarrow import parquet

        from spanline.store import Store

        with Store(path).segments() as chosen:
            for segment in chosen.paths:
                for batch in parquet.ParquetFile(segment).iter_batches(columns=list(_OF_FLOWS)):
                    self._add_flows(batch)

    def _add_flows(self, flows: pa.RecordBatch) -> None:
        vlans, vnis = _or(flows["vlan"], NO_VLAN), _or(flows["vni"], NO_TUNNEL_ID)
        no_macs = np.zeros((len(vlans), 6), np.uint8)
        self.add(_octets(flows["source"]), no_macs, vlans, vnis)
        self.add(_octets(flows["destination"]), no_macs, np.full(len(vlans), NO_VLAN, np.uint16), vnis)

    def add(
        self,
        addresses: npt.NDArray[np.uint8],
        macs: npt.NDArray[np.uint8],
        vlans: npt.NDArray[Any],
        vnis: npt.NDArray[Any],
    ) -> None:
        """Rows of uint8[n, 16], IPv4 mapped, uint8[n, 6], VLANs and VNIs."""
        rows = np.empty(len(addresses), SIGHTING_DTYPE)
        rows["address"], rows["mac"], rows["vlan"], rows["vni"] = addresses, macs, vlans, vnis
        self._keep(rows)

    def _keep(self, rows: npt.NDArray[np.void]) -> None:
        known = self.rows.view(_SORTABLE)
        new = np.unique(rows.view(_SORTABLE))
        at = np.searchsorted(known, new)
        inside = at < len(known)
        inside[inside] = known[at[inside]] == new[inside]
        new = new[~inside]
        room = MOST_SIGHTINGS - len(known)
        self.left_out += max(0, len(new) - room)
        if len(new):
            self.rows = np.sort(np.concatenate([known, new[:room]])).view(SIGHTING_DTYPE)

    def drain(self) -> Mapping[str, pa.Table]:
        return {}

    def merge(self, other: Self) -> None:
        self._keep(other.rows)
        self.left_out += other.left_out

    def state(self) -> Mapping[str, Any]:
        return {"rows": self.rows, "left_out": self.left_out}

    def restore(self, state: Mapping[str, Any]) -> None:
        self.rows, self.left_out = state["rows"], state["left_out"]

    def tables(self) -> Mapping[str, pa.Table]:
        """ "sightings": address, mac, vlan and vni; null where there was none."""
        rows = self.rows
        macs = rows["mac"]
        columns = {
            "address": fixed_binary(rows["address"]),
            "mac": octet_strings([mac.tobytes() if mac.any() else None for mac in macs], 6),
            "vlan": column(rows["vlan"].astype(np.uint16), rows["vlan"] == NO_VLAN),
            "vni": column(rows["vni"].astype(np.uint32), rows["vni"] == NO_TUNNEL_ID),
        }
        return {"sightings": pa.table(columns)}


def _or(values: pa.Array, none: int) -> npt.NDArray[Any]:
    return numbers_of(pa.chunked_array([values.fill_null(none)]))


def _octets(addresses: pa.Array) -> npt.NDArray[np.uint8]:
    return octets_of(pa.chunked_array([addresses.storage]))
