"""Everything that is known of addresses, in one place: what queries join flows with."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import cached_property
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from spanline.arrow import chosen, column, octet_strings
from spanline.enrich.countries import COUNTRIES, SYSTEMS, Places, bundled_countries, read_countries, read_systems
from spanline.enrich.inventory import INTERNAL, Inventory, Row
from spanline.enrich.layer2 import Layer2
from spanline.enrich.mmdb import require
from spanline.enrich.prefixes import Candidates, Frames
from spanline.enrich.ranges import Numbers
from spanline.schema import NO_TUNNEL_ID, NO_VLAN

_NEWEST = np.iinfo(np.int64).max - 1
_OF_VMS = {"vm": "name", "host": "host", "application": "application", "port_group": "port_group"}
"""Columns and the fields of a VM that they are."""

COLUMNS = (
    *("vm", "host", "cluster", "application", "port_group", "mac_address", "subnet", "site", "l2_network"),
    *("country", "country_code", "continent", "asn", "organisation", "is_internal"),
)
"""What look_up() can say of an address. All are strings but mac_address (6 bytes), asn (uint32) and is_internal (bool);
only is_internal is never null."""


class Enrichment:
    """What is known of addresses: by default only the countries that come along."""

    def __init__(self, inventory: Inventory | None = None, geoip: str | None = None, asn: str | None = None) -> None:
        """`geoip` and `asn` are MMDB files with countries and with autonomous systems. They are read when they are
        needed, and raise UsageError then; what is clearly none does so at once."""
        self.inventory = inventory or Inventory()
        self._geoip = geoip
        self._asn = asn
        for path, what in ((geoip, COUNTRIES), (asn, SYSTEMS)):
            if path is not None:
                require(path, what)

    @cached_property
    def countries(self) -> Places:
        return bundled_countries() if self._geoip is None else read_countries(self._geoip)

    @cached_property
    def systems(self) -> Places | None:
        """Autonomous systems; None where nobody gave them."""
        return None if self._asn is None else read_systems(self._asn)

    @cached_property
    def internal(self) -> tuple[tuple[bytes, bytes], ...]:
        """(first, last) of the internal networks in order, 16 bytes each, IPv4 mapped: the inventory's east_west and
        inventory.INTERNAL, without the inventory's internet."""
        found: list[tuple[int, int]] = []
        for first, last in _merged([*INTERNAL, *self.inventory.east_west]):
            for without, end in _merged(self.inventory.internet):
                if end < first or last < without:
                    continue
                if first < without:
                    found.append((first, without - 1))
                first = end + 1
                if first > last:
                    break
            if first <= last:
                found.append((first, last))
        return tuple((first.to_bytes(16), last.to_bytes(16)) for first, last in found)

    def is_internal(self, addresses: npt.NDArray[np.uint8]) -> npt.NDArray[np.bool_]:
        """Whether each of uint8[n, 16] is in one of `internal`."""
        ends = np.frombuffer(b"".join(one for pair in self.internal for one in pair), "S16")
        texts = np.ascontiguousarray(addresses).view("S16").reshape(-1)
        after = np.searchsorted(ends[0::2], texts, "right")
        inside = np.zeros(len(texts), np.bool_)
        some = np.flatnonzero(after)
        inside[some] = texts[some] <= ends[1::2][after[some] - 1]
        return inside

    def depends(self, columns: Sequence[str]) -> tuple[str, ...]:
        """What beside the address decides `columns`: some of "vlan", "vni" and "time"."""
        needed: set[str] = set()
        of_vm = {"vm", "host", "cluster", "application", "port_group", "mac_address", "l2_network"}
        if of_vm.intersection(columns):
            needed |= self.inventory.vms.depends
        if {"subnet", "site", "l2_network"}.intersection(columns):
            needed |= self.inventory.subnets.depends
        if "cluster" in columns and self.inventory.is_timed("hosts"):
            needed.add("time")
        if "l2_network" in columns:
            needed |= self.layer2.depends
        return tuple(name for name in ("vlan", "vni", "time") if name in needed)

    def look_up(
        self,
        addresses: npt.NDArray[np.uint8],
        columns: Sequence[str] = COLUMNS,
        *,
        vlans: npt.NDArray[np.uint16] | None = None,
        vnis: npt.NDArray[np.uint32] | None = None,
        times: npt.NDArray[np.int64] | None = None,
    ) -> pa.Table:
        """`columns`, some of COLUMNS, of uint8[n, 16], IPv4 mapped, in their order; null where nothing is known.

        vlans, vnis  of the flow's record, NO_VLAN and NO_TUNNEL_ID where it has none; None: of none
        times        when the inventory's rows shall hold, ns since the epoch; None: the newest
        """
        count = len(addresses)
        frames = Frames(
            np.full(count, NO_VLAN, np.uint16) if vlans is None else vlans,
            np.full(count, NO_TUNNEL_ID, np.uint32) if vnis is None else vnis,
            np.full(count, _NEWEST, np.int64) if times is None else times,
        )
        one = _Looked(self, np.ascontiguousarray(addresses), frames)
        return pa.table({name: one.column(name) for name in columns})

    @cached_property
    def layer2(self) -> Layer2:
        return Layer2(self.inventory)


class _Looked:
    """What is known of some addresses; each part is looked up once, when a column needs it."""

    def __init__(self, enrichment: Enrichment, addresses: npt.NDArray[np.uint8], frames: Frames) -> None:
        self._enrichment = enrichment
        self._inventory = enrichment.inventory
        self._addresses = addresses
        self._frames = frames

    @cached_property
    def _vms(self) -> Numbers:
        return self._inventory.vms.look_up(self._addresses, self._frames)

    @cached_property
    def _subnets(self) -> Numbers:
        return self._inventory.subnets.look_up(self._addresses, self._frames)

    @cached_property
    def _places(self) -> Numbers:
        return self._enrichment.countries.look_up(self._addresses)

    @cached_property
    def _is_internal(self) -> npt.NDArray[np.bool_]:
        return self._enrichment.is_internal(self._addresses)

    def column(self, name: str) -> pa.Array:
        if name in _OF_VMS:
            return _texts([row.get(_OF_VMS[name]) for row in self._inventory.section("vms")], self._vms)
        made: dict[str, Callable[[], pa.Array]] = {
            "cluster": self._clusters,
            "mac_address": self._macs,
            "subnet": self._subnet_names,
            "site": self._sites,
            "l2_network": self._layer2,
            "asn": self._systems,
            "organisation": self._organisations,
            "is_internal": lambda: column(self._is_internal),
        }
        if name in made:
            return made[name]()
        return self._enrichment.countries.texts(name, self._places)

    def _clusters(self) -> pa.Array:
        """The VM's own, else that of its host."""
        vms, hosts = self._inventory.section("vms"), self._inventory.section("hosts")
        slot_of = {name: n for n, name in enumerate(dict.fromkeys(row.get("name") for row in hosts))}
        slots = [slot_of[row.get("name")] for row in hosts]
        by_name = Candidates(slots, range(1, len(hosts) + 1), [row.when for row in hosts], len(slot_of))
        own = [row.get("cluster") for row in vms]
        of_vm = np.array([-1, *(-1 if row.get("cluster") else slot_of.get(row.get("host"), -1) for row in vms)])
        texts = [*own, *(row.get("cluster") for row in hosts)]
        numbers = self._vms.copy()
        by_host = np.flatnonzero(of_vm[numbers] >= 0)
        found, _ = by_name.choose(of_vm[numbers[by_host]], self._frames.of(by_host))
        numbers[by_host] = np.where(found == 0, 0, found + len(vms))
        return _texts(texts, numbers)

    def _macs(self) -> pa.Array:
        macs = [row.get("macs") for row in self._inventory.section("vms")]
        first = [None, *(some[0] if some else None for some in macs)]
        return octet_strings([first[number] for number in self._vms.tolist()], 6)

    def _subnet_names(self) -> pa.Array:
        return _texts([subnet_name(row) for row in self._inventory.section("subnets")], self._subnets)

    def _sites(self) -> pa.Array:
        return _texts([row.get("site") for row in self._inventory.section("subnets")], self._subnets)

    def _layer2(self) -> pa.Array:
        names, numbers = self._enrichment.layer2.look_up(
            self._addresses, self._frames, self._vms, self._subnets, self._is_internal
        )
        return chosen(names, numbers)

    def _systems(self) -> pa.Array:
        places = self._enrichment.systems
        if places is None:
            return pa.nulls(len(self._addresses), pa.uint32())
        numbers = places.look_up(self._addresses)
        values = np.array([0, *(int(row[0]) for row in places.rows[1:])], np.uint32)
        return column(values[numbers], numbers == 0)

    def _organisations(self) -> pa.Array:
        places = self._enrichment.systems
        if places is None:
            return pa.nulls(len(self._addresses), pa.string())
        return places.texts("organisation", places.look_up(self._addresses))


def subnet_name(row: Row) -> str:
    """What a row of subnets is called: its CIDR where it has no name."""
    return str(row.get("name") or row.get("cidr"))


def _texts(texts: Sequence[str | None], numbers: Numbers) -> pa.Array:
    """The text of each number from 1 on; null for 0, and where the text is missing."""
    known = np.array([False, *map(bool, texts)])
    return chosen(["", *(text or "" for text in texts)], np.where(known[numbers], numbers, 0))


def _merged(networks: Sequence[Any]) -> list[tuple[int, int]]:
    """(first, last) of what the networks cover, disjoint and in order, as numbers of 16 bytes, IPv4 mapped."""
    spans = []
    for network in networks:
        base = 0xFFFF << 32 if network.version == 4 else 0
        first = base + int(network.network_address)
        spans.append((first, first + network.num_addresses - 1))
    merged: list[tuple[int, int]] = []
    for first, last in sorted(spans):
        if merged and first <= merged[-1][1] + 1:
            merged[-1] = merged[-1][0], max(last, merged[-1][1])
        else:
            merged.append((first, last))
    return merged
