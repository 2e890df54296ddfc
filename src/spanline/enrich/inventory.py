"""The inventory: what there is, and what of it has an address.

Files are read by inventory_files.py; fields.py has what their rows can say.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np
import numpy.typing as npt

from spanline.enrich.prefixes import ALWAYS, Prefixes, Scope
from spanline.enrich.ranges import IPNetwork

INTERNAL = tuple(
    ipaddress.ip_network(text)
    for text in (
        *("10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16"),  # RFC 1918
        "100.64.0.0/10",  # RFC 6598
        *("169.254.0.0/16", "fe80::/10"),  # link-local: RFC 3927, RFC 4291
        "fc00::/7",  # RFC 4193
    )
)
"""What is internal where no list says otherwise."""


@dataclass(frozen=True, slots=True)
class Row:
    """What a file says of one thing: `values` by field, without those that it does not say.

    Texts are str, addresses and networks those of ipaddress, MACs bytes[6], times int in ns since the epoch, sizes int
    in bytes, rates int in bit/s; lists are tuples of them.
    """

    values: Mapping[str, Any]
    path: str = ""
    line: int = 0

    def get(self, name: str) -> Any:
        return self.values.get(name)

    @property
    def scope(self) -> Scope:
        begin, end = self.get("valid_from"), self.get("valid_to")
        return Scope(
            self.get("vlan"),
            self.get("vni"),
            ALWAYS[0] if begin is None else begin,
            ALWAYS[1] if end is None else end,
        )

    @property
    def when(self) -> Scope:
        """The same without VLAN and VNI."""
        scope = self.scope
        return Scope(begin=scope.begin, end=scope.end)


@dataclass(frozen=True)
class Inventory:
    """What there is.

    rows       of each section of fields.SECTIONS, in the order of the files
    east_west  networks that are internal beside INTERNAL
    internet   networks that are not internal, whatever else says they are
    """

    rows: Mapping[str, Sequence[Row]] = field(default_factory=dict)
    east_west: Sequence[IPNetwork] = ()
    internet: Sequence[IPNetwork] = ()

    def section(self, name: str) -> Sequence[Row]:
        return self.rows.get(name, ())

    @cached_property
    def epochs(self) -> npt.NDArray[np.int64]:
        """Times at which it becomes another one, in order, ns since the epoch."""
        times = {row.get(name) for rows in self.rows.values() for row in rows for name in ("valid_from", "valid_to")}
        return np.array(sorted(time for time in times if time is not None), np.int64)

    def is_timed(self, section: str) -> bool:
        """Whether rows of `section` hold at some times only."""
        return any(row.scope.begin != ALWAYS[0] or row.scope.end != ALWAYS[1] for row in self.section(section))

    @cached_property
    def vms(self) -> Prefixes:
        """The number of the row of vms that has an address, from 1."""
        return _prefixes(
            (ipaddress.ip_network(address), n, row.scope)
            for n, row in enumerate(self.section("vms"), 1)
            for address in row.get("addresses") or ()
        )

    @cached_property
    def subnets(self) -> Prefixes:
        """The number of the row of subnets that an address is in, from 1."""
        return _prefixes((row.get("cidr"), n, row.scope) for n, row in enumerate(self.section("subnets"), 1))


def _prefixes(found: Iterable[tuple[IPNetwork, int, Scope]]) -> Prefixes:
    rows = list(found)
    return Prefixes([one[0] for one in rows], [one[1] for one in rows], [one[2] for one in rows])
