"""What is known of the two ends of flows, as tables that flows are joined with.

The different addresses of what a query reads are looked up once, all together, and each attribute that the query needs
is a column. Where an inventory's rows hold at some times or in some VLANs and VNIs only, these are part of the key.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from spanline.arrow import column, numbers_of, octets_of
from spanline.enrich import COLUMNS, Enrichment
from spanline.query import nodes
from spanline.query.nodes import Node
from spanline.schema import NO_TUNNEL_ID, NO_VLAN

SIDES = ("source", "destination")
CLASSES = ("is_internet", "is_physical", "is_vm", "is_multicast", "is_broadcast", "is_link_local")
"""Attributes beside those of the enrichment: bool, never null."""
ATTRIBUTES = (*COLUMNS, *CLASSES)
_NEEDED = {"is_internet": ("is_internal",), "is_physical": ("is_internal", "vm"), "is_vm": ("vm",)}
_WITHOUT_EPOCHS = np.iinfo(np.int64).min

_MULTICAST = ("224.0.0.0/4", "ff00::/8")
_LINK_LOCAL = ("169.254.0.0/16", "fe80::/10")
# Neither internal nor somebody's in the internet: RFC 6890, "this host" and loopback.
_NOBODY = ("0.0.0.0/8", "127.0.0.0/8", "::/128", "::1/128")
_EVERYBODY = ipaddress.ip_address("255.255.255.255")


class Ends:
    """The ends of one side, with `attributes`, some of ATTRIBUTES; the table is called "<side>_ends"."""

    def __init__(self, side: str, attributes: Sequence[str], enrichment: Enrichment) -> None:
        self.side = side
        self.table = f"{side}_ends"
        self.attributes = tuple(attributes)
        self._enrichment = enrichment
        self._columns = tuple(
            dict.fromkeys(one for name in attributes for one in _NEEDED.get(name, (name,)) if one in COLUMNS)
        )
        self.tags = enrichment.depends(self._columns)

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
        """`keys` (address, a UUID, and tags as tag_<name>) and the attributes of each."""
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
        for name in self.attributes:
            columns[name] = found[name] if name in COLUMNS else column(self._class(name, addresses, found))
        return pa.table(columns)

    def _times(self, epochs: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
        """A time in each epoch."""
        begins = np.concatenate([[_WITHOUT_EPOCHS], self._enrichment.inventory.epochs])
        return begins[epochs].astype(np.int64)

    def _class(self, name: str, addresses: npt.NDArray[np.uint8], found: pa.Table) -> npt.NDArray[np.bool_]:
        if name == "is_multicast":
            return _inside(addresses, _MULTICAST)
        if name == "is_link_local":
            return _inside(addresses, _LINK_LOCAL)
        if name == "is_broadcast":
            return self._is_broadcast(addresses)
        if name == "is_internet":
            others = _inside(addresses, _MULTICAST) | _inside(addresses, _NOBODY) | self._is_broadcast(addresses)
            return ~_bools(found["is_internal"]) & ~others
        is_vm = ~_bools(found["vm"].is_null())
        if name == "is_vm":
            return is_vm
        return _bools(found["is_internal"]) & ~is_vm & ~self._is_broadcast(addresses)

    def _is_broadcast(self, addresses: npt.NDArray[np.uint8]) -> npt.NDArray[np.bool_]:
        """To all, or to all of an IPv4 subnet of the inventory."""
        own = [row.get("cidr") for row in self._enrichment.inventory.section("subnets")]
        last = {_mapped(one.broadcast_address) for one in own if one.version == 4 and one.prefixlen < 31}
        known = np.frombuffer(b"".join(sorted({*last, _mapped(_EVERYBODY)})), "S16")
        return np.isin(np.ascontiguousarray(addresses).view("S16").reshape(-1), known)


def _mapped(address: ipaddress.IPv4Address | ipaddress.IPv6Address) -> bytes:
    return address.packed if address.version == 6 else b"\0" * 10 + b"\xff\xff" + address.packed


def _inside(addresses: npt.NDArray[np.uint8], networks: Sequence[str]) -> npt.NDArray[np.bool_]:
    """Whether each of uint8[n, 16] is in one of `networks`."""
    inside = np.zeros(len(addresses), np.bool_)
    for text in networks:
        network = ipaddress.ip_network(text)
        length = network.prefixlen + (96 if network.version == 4 else 0)
        mask = np.frombuffer(((1 << 128) - (1 << (128 - length))).to_bytes(16), np.uint8)
        first = np.frombuffer(_mapped(network.network_address), np.uint8)
        inside |= ((addresses & mask) == first).all(axis=1)
    return inside


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
