"""What in an inventory contradicts or overlaps, and what it leaves open."""

from __future__ import annotations

import ipaddress
from collections.abc import Callable, Hashable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa

from spanline.arrow import integers, strings
from spanline.enrich.inventory import Inventory, Row

_CONTRADICTION, _OPEN = "contradiction", "open"
_COLUMNS = ("kind", "section", "what", "path", "line", "other_path", "other_line")


@dataclass(frozen=True, slots=True)
class Remark:
    """kind  "contradiction": of two rows the first one counts; "open": something that is not known"""

    kind: str
    section: str
    what: str
    row: Row | None = None
    other: Row | None = None


def check(inventory: Inventory) -> list[Remark]:
    """All that is worth a remark: contradictions first, each kind in the order of the files."""
    found = [*_contradictions(inventory), *_gateways(inventory), *_lists(inventory), *_open(inventory)]
    return sorted(found, key=lambda one: one.kind != _CONTRADICTION)


def remark_table(remarks: Sequence[Remark]) -> pa.Table:
    """A row for each: where the row stands that it is about, and the one that it contradicts; null without."""
    columns = [strings([getattr(one, name) for one in remarks]) for name in _COLUMNS[:3]]
    for rows in ([one.row for one in remarks], [one.other for one in remarks]):
        columns.append(strings([row.path if row else None for row in rows]))
        columns.append(integers([row.line if row else None for row in rows], np.uint32))
    return pa.table(columns, names=_COLUMNS)


def holdings(inventory: Inventory) -> list[tuple[str, int, int, int]]:
    """(section, rows, different names or networks, rows that hold at some times only) of what it has."""
    counts = []
    for name, rows in inventory.rows.items():
        different = {row.get("cidr") or (row.get("switch"), row.get("name")) for row in rows}
        timed = sum(row.get("valid_from") is not None or row.get("valid_to") is not None for row in rows)
        counts.append((name, len(rows), len(different), timed))
    for name, networks in (("east_west", inventory.east_west), ("internet", inventory.internet)):
        counts.append((name, len(networks), len(set(networks)), 0))
    return [one for one in counts if one[1]]


def _contradictions(inventory: Inventory) -> Iterator[Remark]:
    def scoped(field: str, of: str) -> Callable[[Row], Iterable[tuple[Hashable, str]]]:
        return lambda row: (
            ((value, row.get("vlan"), row.get("vni")), f"{value} is {of}") for value in row.get(field) or ()
        )

    def macs(row: Row) -> Iterator[tuple[Hashable, str]]:
        return (((mac, row.get("vni")), f"{mac.hex(':')} is of") for mac in row.get("macs") or ())

    def tag(field: str) -> Callable[[Row], Iterable[tuple[Hashable, str]]]:
        return lambda row: [(row.get(field), f"{field.upper()} {row.get(field)} is")] if _has(row, field) else []

    def cidr(row: Row) -> list[tuple[Hashable, str]]:
        return [((row.get("cidr"), row.get("vlan"), row.get("vni")), f"{row.get('cidr')} is")]

    def name(of: str) -> Callable[[Row], Iterable[tuple[Hashable, str]]]:
        return lambda row: [(row.get("name"), f"{row.get('name')} is {of}")]

    vms, networks = inventory.section("vms"), inventory.section("l2_networks")
    yield from _rivals("vms", vms, scoped("addresses", "of"), lambda row: row.get("name"))
    yield from _rivals("vms", vms, macs, lambda row: row.get("name"))
    yield from _rivals("vms", vms, name("on"), lambda row: row.get("host"))
    yield from _rivals("subnets", inventory.section("subnets"), cidr, lambda row: row.get("name"))
    yield from _rivals("l2_networks", networks, scoped("cidrs", "in"), lambda row: row.get("name"))
    yield from _rivals("l2_networks", networks, tag("vlan"), lambda row: row.get("name"))
    yield from _rivals("l2_networks", networks, tag("vni"), lambda row: row.get("name"))
    yield from _rivals("hosts", inventory.section("hosts"), name("in"), lambda row: row.get("cluster"))


def _has(row: Row, field: str) -> bool:
    return row.get(field) is not None


def _rivals(
    section: str,
    rows: Sequence[Row],
    keys: Callable[[Row], Iterable[tuple[Hashable, str]]],
    says: Callable[[Row], Any],
) -> Iterator[Remark]:
    """Rows that hold at the same time, of which two say something else of the same key: one remark a key and row."""
    holders: dict[Hashable, list[Row]] = {}
    for row in rows:
        if says(row) is None:
            continue
        own = row.scope
        for key, words in keys(row):
            others = holders.setdefault(key, [])
            for other in others:
                scope = other.scope
                if says(other) != says(row) and own.begin < scope.end and scope.begin < own.end:
                    what = f"{words} {says(other)} and {says(row)}"
                    yield Remark(_CONTRADICTION, section, what, row, other)
                    break
            # One of each is enough to tell, however many rows there are.
            if len(others) < 64:
                others.append(row)


def _gateways(inventory: Inventory) -> Iterator[Remark]:
    for row in inventory.section("subnets"):
        gateway = row.get("gateway")
        if gateway is not None and gateway not in row.get("cidr"):
            yield Remark(_CONTRADICTION, "subnets", f"the gateway {gateway} is not in {row.get('cidr')}", row)


def _lists(inventory: Inventory) -> Iterator[Remark]:
    internal, internet = set(inventory.east_west), set(inventory.internet)
    for network in sorted(internal & internet, key=str):
        yield Remark(_CONTRADICTION, "internet", f"{network} is in east_west, too: it is internet")


def _open(inventory: Inventory) -> Iterator[Remark]:
    vms = inventory.section("vms")
    named = {name: {row.get("name") for row in inventory.section(name)} for name in ("hosts", "l2_networks")}
    with_address = {row.get("name") for row in vms if row.get("addresses")}
    without = {row.get("name"): row for row in reversed(vms) if row.get("name") not in with_address}
    for name, row in reversed(without.items()):
        yield Remark(_OPEN, "vms", f"{name} has no address: no flow is known to be its", row)
    for field, section in (("host", "hosts"), ("l2_network", "l2_networks")):
        if not named[section]:
            continue
        missing: dict[str, Row] = {}
        for row in (*vms, *inventory.section("subnets")):
            if _has(row, field) and row.get(field) not in named[section]:
                missing.setdefault(row.get(field), row)
        for name, row in missing.items():
            yield Remark(_OPEN, section, f"{name} is named, and no row tells of it", row)
    yield from _outside(inventory)


def _outside(inventory: Inventory) -> Iterator[Remark]:
    """VMs with an address that no subnet has, where there are subnets: one remark for each network of its size."""
    subnets = {row.get("cidr") for row in inventory.section("subnets")}
    lengths = {version: {one.prefixlen for one in subnets if one.version == version} for version in (4, 6)}
    told: dict[Any, Row] = {}
    for row in inventory.section("vms") if subnets else ():
        for address in row.get("addresses") or ():
            around = (ipaddress.ip_network((address, length), False) for length in lengths[address.version])
            if not any(network in subnets for network in around):
                told.setdefault(ipaddress.ip_network((address, 24 if address.version == 4 else 64), False), row)
    for network, row in told.items():
        yield Remark(_OPEN, "subnets", f"VMs have addresses in {network}, which no subnet has", row)
