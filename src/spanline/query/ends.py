"""What is known of the two ends of flows, as tables that flows are joined with.

The different addresses of what a query reads are looked up once, all together, and each attribute that the query needs
is a column. Where an inventory's rows hold at some times or in some VLANs and VNIs only, these are part of the key.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from spanline.arrow import column, numbers_of, octet_strings, octets_of
from spanline.enrich import COLUMNS, Enrichment
from spanline.query import nodes
from spanline.query.classes import NAMES as CLASSES
from spanline.query.classes import Classes, mapped
from spanline.query.nodes import Node
from spanline.schema import NO_TUNNEL_ID, NO_VLAN

SIDES = ("source", "destination")
IS_VM_OR_BROADCAST = "is_vm_or_broadcast"
ATTRIBUTES = (*COLUMNS, *CLASSES, "is_vm", IS_VM_OR_BROADCAST)
"""Those that begin with is_ are bool, never null."""
_OF_KNOWN = frozenset(("vm", "host", "application", "port_group", "is_vm", "is_broadcast", IS_VM_OR_BROADCAST))
"""What is so, or is not null, of few addresses, and the inventory says of which."""
_BY_VM = ("is_vm", IS_VM_OR_BROADCAST)
NUMBER = "number"
"""A column beside attributes, as records can be grouped by it in less time: that of the address, from 0."""
_WITHOUT_EPOCHS = np.iinfo(np.int64).min


class Ends:
    """The ends of one side, with `attributes`, some of ATTRIBUTES; the table is called "<side>_ends"."""

    def __init__(self, side: str, attributes: Sequence[str], enrichment: Enrichment) -> None:
        self.side = side
        self.table = f"{side}_ends"
        self.attributes = tuple(attributes)
        self._enrichment = enrichment
        needed = ("vm" if name in _BY_VM else name for name in attributes if name not in CLASSES)
        self._columns = tuple(dict.fromkeys(needed))
        self.tags = enrichment.depends(self._columns)

    @property
    def is_of_known(self) -> bool:
        """Whether attributes are null or false of all addresses that are not among known()."""
        return not self.tags and _OF_KNOWN.issuperset(self.attributes)

    def tag(self, name: str) -> Node:
        """What beside the address a record is looked up by, of the table of records; never NULL."""
        if name == "time":
            return self._epoch(0, len(self._enrichment.inventory.epochs))
        none = NO_VLAN if name == "vlan" else NO_TUNNEL_ID
        return nodes.call("COALESCE", nodes.column(name), nodes.number(none))

    def _epoch(self, low: int, high: int) -> Node:
        """How many of the inventory's epochs have begun when a record does, if it is `low` to `high`."""
        if low == high:
            return nodes.number(low)
        middle = (low + high) // 2
        begun = nodes.column("first_seen") >= nodes.number(int(self._enrichment.inventory.epochs[middle]))
        return nodes.either(begun, self._epoch(middle + 1, high), self._epoch(low, middle))

    def look_up(self, keys: pa.Table) -> pa.Table:
        """`keys` (address, a UUID, and tags as tag_<name>), and NUMBER and the attributes of each."""
        addresses = _octets(keys["address"])
        tags = {name: _values(keys[f"tag_{name}"]) for name in self.tags}
        found = self._enrichment.look_up(
            addresses,
            self._columns,
            vlans=tags["vlan"].astype(np.uint16) if "vlan" in tags else None,
            vnis=tags["vni"].astype(np.uint32) if "vni" in tags else None,
            times=self._times(tags["time"]) if "time" in tags else None,
        )
        columns = {name: keys[name] for name in keys.column_names}
        columns[NUMBER] = column(np.arange(len(addresses), dtype=np.min_scalar_type(len(addresses))))
        classes = Classes(self._enrichment)
        for name in self.attributes:
            if name in CLASSES:
                columns[name] = column(classes.holds(name, addresses))
            elif name in _BY_VM:
                holds = ~_bools(found["vm"].is_null())
                if name == IS_VM_OR_BROADCAST:
                    holds |= classes.holds("is_broadcast", addresses)
                columns[name] = column(holds)
            else:
                columns[name] = found[name]
        return pa.table(columns)

    def _times(self, epochs: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
        """A time in each epoch."""
        begins = np.concatenate([[_WITHOUT_EPOCHS], self._enrichment.inventory.epochs])
        return begins[epochs].astype(np.int64)


def known(enrichment: Enrichment) -> pa.Table:
    """The addresses of which the inventory says anything by themselves, as "address", a UUID."""
    of_vms = {mapped(one) for row in enrichment.inventory.section("vms") for one in row.get("addresses") or ()}
    octets = octet_strings(sorted(of_vms.union(Classes(enrichment).broadcast)), 16)
    return pa.table({"address": pa.ExtensionArray.from_storage(pa.uuid(), octets)})


def _octets(addresses: pa.ChunkedArray) -> npt.NDArray[np.uint8]:
    """UUIDs as uint8[n, 16]."""
    storage = pa.chunked_array([chunk.storage for chunk in addresses.chunks], pa.binary(16))
    return octets_of(storage) if len(storage) else np.empty((0, 16), np.uint8)


def _values(numbers: pa.ChunkedArray) -> npt.NDArray[np.int64]:
    return numbers_of(numbers).astype(np.int64) if len(numbers) else np.empty(0, np.int64)


def _bools(values: pa.ChunkedArray) -> npt.NDArray[np.bool_]:
    """Without nulls; numpy's own way would import pandas."""
    parts = [
        np.unpackbits(np.frombuffer(chunk.buffers()[1], np.uint8), count=chunk.offset + len(chunk), bitorder="little")[
            chunk.offset :
        ]
        for chunk in values.chunks
        if len(chunk)
    ]
    return np.concatenate(parts).view(np.bool_) if parts else np.empty(0, np.bool_)
