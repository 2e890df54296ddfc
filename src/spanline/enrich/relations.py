"""What there is, as tables: the relations of the query language that are not flows."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from functools import cached_property
from typing import Any

import numpy as np
import pyarrow as pa

from spanline.arrow import ADDRESS, column, integers, octet_strings, strings
from spanline.enrich.enrichment import Enrichment, subnet_name
from spanline.enrich.inventory import Row
from spanline.enrich.names import CONTINENTS, NAMES
from spanline.enrich.prefixes import ALWAYS
from spanline.schema import NO_TUNNEL_ID, NO_VLAN

_MAC = pa.binary(6)
_NAME, _CLUSTER = ("name", pa.string()), ("cluster", pa.string())
_VLAN, _VNI, _CIDR = ("vlan", pa.uint16()), ("vni", pa.uint32()), ("cidr", pa.string())
_SCHEMAS: dict[str, tuple[tuple[str, pa.DataType], ...]] = {
    "vms": (
        _NAME,
        ("ip_address", ADDRESS),
        ("mac_address", _MAC),
        ("host", pa.string()),
        _CLUSTER,
        ("default_gateway", ADDRESS),
        ("vcpus", pa.uint32()),
        ("memory", pa.uint64()),
        ("port_group", pa.string()),
        ("application", pa.string()),
        ("subnet", pa.string()),
        ("l2_network", pa.string()),
        _VLAN,
        ("ip_addresses", pa.list_(ADDRESS)),
        ("mac_addresses", pa.list_(_MAC)),
    ),
    "hosts": (_NAME, _CLUSTER, ("ip_addresses", pa.list_(ADDRESS))),
    "subnets": (_NAME, _CIDR, ("site", pa.string()), ("gateway", ADDRESS), ("l2_network", pa.string()), _VLAN, _VNI),
    "l2 networks": (_NAME, _VLAN, _VNI, _CIDR),
    "port groups": (_NAME, _VLAN, _VNI, ("l2_network", pa.string())),
    "applications": (_NAME, ("vms", pa.uint32())),
    "switch ports": (
        _NAME,
        ("switch", pa.string()),
        ("index", pa.uint32()),
        ("host", pa.string()),
        ("speed", pa.uint64()),
    ),
    "countries": (_NAME, ("code", pa.string()), ("continent", pa.string())),
}
_KEYS = {"subnets": ("cidr", "vlan", "vni"), "switch ports": ("switch", "name")}
"""What things are told apart by, where it is not their name."""


def relations(enrichment: Enrichment, begin: int | None = None, end: int | None = None) -> Mapping[str, pa.Table]:
    """Tables by Query.entity, a row for each thing that there was between `begin` and before `end`, ns since the epoch;
    None: at any time. Of what changed meanwhile the newest counts. A table is made when it is asked for. Columns are
    named as query/properties.py has them:

    vms           ip_address, mac_address the first of ip_addresses, mac_addresses; memory in bytes; with those of their
                  subnet and L2 network. Addresses are 16 bytes, IPv4 mapped, MACs 6
    hosts         also those that only VMs tell of, and so port groups
    subnets       name is the CIDR where it has none
    l2 networks   cidr: its networks, separated by ", "
    applications  vms: how many
    switch ports  index is ifIndex, speed in bit/s
    countries     all that enrich/names.py has
    """
    return _Relations(enrichment, begin, end)


class _Relations(Mapping[str, pa.Table]):
    def __init__(self, enrichment: Enrichment, begin: int | None, end: int | None) -> None:
        self._enrichment = enrichment
        self._window = begin, end
        self._tables: dict[str, pa.Table] = {}

    def __iter__(self) -> Iterator[str]:
        return iter(_SCHEMAS)

    def __len__(self) -> int:
        return len(_SCHEMAS)

    def __getitem__(self, name: str) -> pa.Table:
        if name not in self._tables:
            self._tables[name] = _table(name, self._rows(name))
        return self._tables[name]

    def _rows(self, name: str) -> Sequence[Mapping[str, Any]]:
        if name == "vms":
            return self._vms
        if name == "applications":
            return _applications(self._vms)
        if name == "countries":
            return [{"name": name, "code": code, "continent": CONTINENTS[code]} for code, name in NAMES.items()]
        rows = self._held(name.replace(" ", "_"), _KEYS.get(name, ("name",)))
        if name == "hosts":
            return [*map(_host, rows), *_only_named(self._vms, "host", rows)]
        if name == "port groups":
            return [*map(_plain, rows), *_only_named(self._vms, "port_group", rows)]
        if name == "subnets":
            return [{**_plain(row), "name": subnet_name(row), "cidr": str(row.get("cidr"))} for row in rows]
        if name == "l2 networks":
            return [{**_plain(row), "cidr": ", ".join(map(str, row.get("cidrs") or ())) or None} for row in rows]
        return list(map(_plain, rows))

    @cached_property
    def _vms(self) -> list[dict[str, Any]]:
        return _vms(self._enrichment, self._held("vms", ("name",)))

    def _held(self, section: str, keys: tuple[str, ...]) -> list[Row]:
        return _newest(self._enrichment.inventory.section(section), *self._window, keys)


def _newest(rows: Sequence[Row], begin: int | None, end: int | None, keys: tuple[str, ...]) -> list[Row]:
    """Of rows in the window one for each of `keys`: what the newest says, and lists of all that say so at its time."""
    found: dict[tuple[Any, ...], list[Row]] = {}
    for row in rows:
        scope = row.scope
        if (begin is None or scope.end > begin) and (end is None or scope.begin < end):
            found.setdefault(tuple(row.get(key) for key in keys), []).append(row)
    return [_together(same) for same in found.values()]


def _together(rows: list[Row]) -> Row:
    if len(rows) == 1:
        return rows[0]
    newest = max(rows, key=lambda row: row.scope.begin)
    scope = newest.scope
    values: dict[str, Any] = dict(newest.values)
    for row in rows:
        if row.scope.begin >= scope.end or row.scope.end <= scope.begin:
            continue
        for name, value in row.values.items():
            if isinstance(value, tuple):
                values[name] = tuple(dict.fromkeys((*values.get(name, ()), *value)))
            else:
                values.setdefault(name, value)
    return Row(values, newest.path, newest.line)


def _plain(row: Row) -> dict[str, Any]:
    return dict(row.values)


def _host(row: Row) -> dict[str, Any]:
    return {**row.values, "ip_addresses": list(map(_octets, row.get("addresses") or ()))}


def _only_named(vms: Sequence[Mapping[str, Any]], field: str, rows: Sequence[Row]) -> list[dict[str, Any]]:
    """Things that VMs name in `field`, and no row tells of."""
    told = {row.get("name") for row in rows}
    named: dict[str, Any] = {}
    for vm in vms:
        name = vm.get(field)
        if name is not None and name not in told and named.get(name) is None:
            named[name] = vm.get("cluster")
    return [{"name": name, "cluster": cluster} for name, cluster in named.items()]


def _applications(vms: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    counts: dict[str, int] = {}
    for vm in vms:
        if vm.get("application") is not None:
            counts[vm["application"]] = counts.get(vm["application"], 0) + 1
    return [{"name": name, "vms": count} for name, count in counts.items()]


def _vms(enrichment: Enrichment, rows: Sequence[Row]) -> list[dict[str, Any]]:
    """With what their addresses say of them: each address is looked up in the VM's own VLAN and VNI, at its time."""
    made = []
    for row in rows:
        addresses, macs = row.get("addresses") or (), row.get("macs") or ()
        vm = {**row.values, "ip_addresses": list(map(_octets, addresses)), "mac_addresses": list(macs)}
        made.append(vm | {"ip_address": vm["ip_addresses"][:1], "mac_address": vm["mac_addresses"][:1]})
    with_address = [n for n, vm in enumerate(made) if vm["ip_address"]]
    octets = np.frombuffer(b"".join(made[n]["ip_address"][0] for n in with_address), np.uint8).reshape(-1, 16)
    scopes = [rows[n].scope for n in with_address]
    looked = enrichment.look_up(
        octets,
        ("subnet", "l2_network", "cluster"),
        vlans=np.array([NO_VLAN if one.vlan is None else one.vlan for one in scopes], np.uint16),
        vnis=np.array([NO_TUNNEL_ID if one.vni is None else one.vni for one in scopes], np.uint32),
        times=np.array([min(one.end, ALWAYS[1]) - 1 for one in scopes], np.int64),
    )
    for n, of_address in zip(with_address, looked.to_pylist(), strict=True):
        made[n] = {**of_address, **{name: value for name, value in made[n].items() if value is not None}}
    for vm in made:
        vm["ip_address"] = next(iter(vm["ip_address"]), None)
        vm["mac_address"] = next(iter(vm["mac_address"]), None)
    return made


def _octets(address: Any) -> bytes:
    octets: bytes = address.packed
    return octets if len(octets) == 16 else bytes(10) + b"\xff\xff" + octets


def _table(name: str, rows: Sequence[Mapping[str, Any]]) -> pa.Table:
    return pa.table({field: _column([row.get(field) for row in rows], kind) for field, kind in _SCHEMAS[name]})


def _column(values: Sequence[Any], kind: pa.DataType) -> pa.Array:
    """pa.array() would do, but it imports pandas wherever that is installed."""
    if kind == pa.string():
        return strings(values)
    if pa.types.is_integer(kind):
        return integers(values, kind.to_pandas_dtype())
    if pa.types.is_list(kind):
        lists = [value or () for value in values]
        offsets = column(np.cumsum([0, *map(len, lists)], dtype=np.int32))
        inside = octet_strings([one for some in lists for one in some], kind.value_type.byte_width)
        return pa.ListArray.from_arrays(offsets, inside)
    octets = [value if value is None or isinstance(value, bytes) else _octets(value) for value in values]
    return octet_strings(octets, kind.byte_width)
