"""Classes of addresses that the address alone decides: internal, of the internet, multicast and so on, as ranges.

Internal is what enrich.inventory.INTERNAL and the inventory say. Internet is whoever else has an address of its own:
multicast, broadcast, loopback and "this host" are nobody's.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Callable, Iterable
from functools import cached_property

import numpy as np
import numpy.typing as npt

from spanline.enrich import Enrichment
from spanline.query import nodes
from spanline.query.nodes import Node
from spanline.query.tree import Network

NAMES = ("is_internal", "is_internet", "is_multicast", "is_broadcast", "is_link_local")

_MOST = 64
"""Ranges that SQL compares each record with; when there are more, looking up is less work."""
_MULTICAST = ("224.0.0.0/4", "ff00::/8")
_LINK_LOCAL = ("169.254.0.0/16", "fe80::/10")
# Neither internal nor somebody's in the internet: RFC 6890, "this host" and loopback.
_NOBODY = ("0.0.0.0/8", "127.0.0.0/8", "::/128", "::1/128")
_EVERYBODY = ipaddress.ip_address("255.255.255.255")


class Classes:
    """The classes of an enrichment's addresses, by one of NAMES."""

    def __init__(self, enrichment: Enrichment) -> None:
        self._enrichment = enrichment

    @cached_property
    def _internal(self) -> list[Network]:
        return [Network(first, last) for first, last in self._enrichment.internal]

    @cached_property
    def broadcast(self) -> list[bytes]:
        """The addresses of all, and of all of an IPv4 subnet of the inventory; 16 bytes, IPv4 mapped."""
        own = [row.get("cidr") for row in self._enrichment.inventory.section("subnets")]
        last = {one.broadcast_address for one in own if one.version == 4 and one.prefixlen < 31}
        return sorted(map(mapped, {*last, _EVERYBODY}))

    @cached_property
    def _broadcast(self) -> list[Network]:
        return [Network(octets, octets) for octets in self.broadcast]

    def _ranges(self, name: str) -> tuple[list[Network], list[Network]]:
        """The addresses of a class are those in the first list, or all where it is empty, and not in the second one."""
        made: dict[str, Callable[[], tuple[list[Network], list[Network]]]] = {
            "is_internal": lambda: (self._internal, []),
            "is_internet": lambda: (
                [],
                [*self._internal, *_networks(_MULTICAST), *_networks(_NOBODY), *self._broadcast],
            ),
            "is_multicast": lambda: (_networks(_MULTICAST), []),
            "is_broadcast": lambda: (self._broadcast, []),
            "is_link_local": lambda: (_networks(_LINK_LOCAL), []),
        }
        inside, beside = made[name]()
        return nodes.merged(inside), nodes.merged(beside)

    def condition(self, name: str, address: Node) -> Node | None:
        """Whether an address is of the class, in SQL; never NULL. None: it has to be looked up, as the class has too
        many ranges, or addresses far apart."""
        if name == "is_broadcast":
            return None
        inside, beside = self._ranges(name)
        if len(inside) + len(beside) > _MOST:
            return None
        parts = [nodes.within(address, inside)] if inside else []
        parts += [nodes.negated(nodes.within(address, beside))] if beside else []
        return nodes.every(parts)

    def holds(self, name: str, addresses: npt.NDArray[np.uint8]) -> npt.NDArray[np.bool_]:
        """Whether each of uint8[n, 16] is of the class."""
        inside, beside = self._ranges(name)
        found = _within(addresses, inside) if inside else np.ones(len(addresses), np.bool_)
        return found & ~_within(addresses, beside)


def mapped(address: ipaddress.IPv4Address | ipaddress.IPv6Address) -> bytes:
    return address.packed if address.version == 6 else b"\0" * 10 + b"\xff\xff" + address.packed


def _networks(texts: Iterable[str]) -> list[Network]:
    return [
        Network(mapped(one.network_address), mapped(one.broadcast_address)) for one in map(ipaddress.ip_network, texts)
    ]


def _within(addresses: npt.NDArray[np.uint8], ranges: list[Network]) -> npt.NDArray[np.bool_]:
    """Whether each of uint8[n, 16] is in one of `ranges`, which are in order and disjoint."""
    inside = np.zeros(len(addresses), np.bool_)
    if ranges:
        texts = np.ascontiguousarray(addresses).view("S16").reshape(-1)
        firsts = np.frombuffer(b"".join(one.first for one in ranges), "S16")
        lasts = np.frombuffer(b"".join(one.last for one in ranges), "S16")
        at = np.searchsorted(firsts, texts, "right")
        some = np.flatnonzero(at)
        inside[some] = texts[some] <= lasts[at[some] - 1]
    return inside
