"""From sightings to an inventory that somebody can mend: internal addresses, and what may be their network."""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TypeAlias

import numpy as np
import numpy.typing as npt

from spanline.arrow import address_texts
from spanline.enrich.enrichment import Enrichment
from spanline.schema import NO_TUNNEL_ID, NO_VLAN

_OF_MANY = 8
"""A MAC with so many internal addresses, or with any of the internet, is a router's."""
_IPV4_LENGTH, _IPV6_LENGTH = 24, 64
_NO_MAC = "00:00:00:00:00:00"
_WIDEST = 20  # of the networks of one VLAN that are taken for one

# Who gives virtual machines their MACs: IEEE's registry of OUIs.
_VIRTUAL = {
    "00:15:5d": "Hyper-V", "00:50:56": "VMware", "00:0c:29": "VMware", "00:05:69": "VMware", "52:54:00": "KVM",
    "00:16:3e": "Xen", "08:00:27": "VirtualBox", "00:00:17": "Oracle Cloud", "02:00:17": "Oracle Cloud",
}  # fmt: skip

Network: TypeAlias = ipaddress.IPv4Network | ipaddress.IPv6Network
Tag: TypeAlias = tuple[int, int]
"""VLAN and VNI, NO_VLAN and NO_TUNNEL_ID for none."""


@dataclass(slots=True)
class _Machine:
    """addresses, MACs and tags that belong together; several machines when `mac` is a router's or not known"""

    mac: str
    addresses: list[str] = field(default_factory=list)
    tags: set[Tag] = field(default_factory=set)


def proposal(rows: npt.NDArray[np.void]) -> Iterator[str]:
    """Lines of an inventory in YAML, from rows of learning.SIGHTING_DTYPE.

    What is internal is so by Enrichment(). Who has a router's MAC is behind it, and its VLAN is not known.
    """
    octets = rows["address"]
    is_unicast = ~(rows["mac"][:, 0] & 1).astype(np.bool_)
    is_internal = Enrichment().is_internal(octets)
    macs = [mac.tobytes().hex(":") for mac in rows["mac"]]
    texts = address_texts(np.ascontiguousarray(octets))
    vnis = rows["vni"].astype(np.uint32)
    if len(set(vnis.tolist()) - {NO_TUNNEL_ID}) < 2:
        vnis[:] = NO_TUNNEL_ID  # the only one may be the mirror's own
    tags = list(zip(rows["vlan"].tolist(), vnis.tolist(), strict=True))
    routers = _routers(macs, texts, is_internal & is_unicast, is_unicast)
    machines, gateways = _machines(macs, texts, tags, routers, np.flatnonzero(is_internal & is_unicast))
    networks = _networks(machines)
    yield "# Proposed by what was seen. Names are addresses until you write better ones."
    subnets = list(_subnets(networks, gateways))
    yield from _vm_lines(machines, {gateway for _, gateway in subnets})
    yield from _subnet_lines(subnets, networks, gateways)
    yield from _layer2_lines(networks)


def _routers(
    macs: Sequence[str], texts: Sequence[str], is_internal: npt.NDArray[np.bool_], is_unicast: npt.NDArray[np.bool_]
) -> set[str]:
    behind: dict[str, set[str]] = {}
    routers = set()
    for n in np.flatnonzero(is_unicast).tolist():
        if macs[n] == _NO_MAC:
            continue
        if not is_internal[n]:
            routers.add(macs[n])
        elif not texts[n].startswith("fe80:"):
            behind.setdefault(macs[n], set()).add(texts[n])
    return routers | {mac for mac, some in behind.items() if len(some) >= _OF_MANY}


def _machines(
    macs: Sequence[str], texts: Sequence[str], tags: Sequence[Tag], routers: set[str], chosen: npt.NDArray[np.int64]
) -> tuple[list[_Machine], dict[str, str]]:
    """(machines, router's MACs by the address that may be its own)."""
    own_mac: dict[str, str] = {}
    at_router: dict[str, str] = {}
    tags_of: dict[str, set[Tag]] = {}
    for n in chosen.tolist():
        text = texts[n]
        if text.startswith(("fe80:", "169.254.")):
            continue
        if macs[n] in routers:
            at_router.setdefault(text, macs[n])
        else:
            own_mac.setdefault(text, macs[n])
            if macs[n] != _NO_MAC:
                own_mac[text] = macs[n]
            tags_of.setdefault(text, set()).add(tags[n])
    machines: dict[str, _Machine] = {}
    for text in (*own_mac, *(text for text in at_router if text not in own_mac)):
        mac = own_mac.get(text, _NO_MAC)
        machine = machines.setdefault(mac if mac != _NO_MAC else text, _Machine(mac))
        machine.addresses.append(text)
        machine.tags |= tags_of.get(text, set())
    return list(machines.values()), {text: mac for text, mac in at_router.items() if text not in own_mac}


def _networks(machines: Iterable[_Machine]) -> dict[Network, Tag | None]:
    """Where addresses lie, and the VLAN and VNI of each that has one; several of a VLAN side by side are one."""
    found: dict[Network, set[Tag]] = {}
    for machine in machines:
        for text in machine.addresses:
            length = _IPV6_LENGTH if ":" in text else _IPV4_LENGTH
            found.setdefault(ipaddress.ip_network((text, length), False), set()).update(machine.tags)
    tagged: dict[Network, Tag | None] = {}
    for network, tags in found.items():
        known = {tag for tag in tags if tag != (NO_VLAN, NO_TUNNEL_ID)}
        tagged[network] = known.pop() if len(known) == 1 else None
    by_tag: dict[Tag | None, list[Network]] = {}
    for network, tag in tagged.items():
        by_tag.setdefault(tag, []).append(network)
    merged: dict[Network, Tag | None] = {}
    for tag, networks in by_tag.items():
        for one in ipaddress.collapse_addresses(n for n in networks if n.version == 4) if tag else networks:
            parts = [one] if one.version == 6 or one.prefixlen >= _WIDEST else one.subnets(new_prefix=_WIDEST)
            merged.update(dict.fromkeys(parts, tag))
        if tag:
            merged.update({n: tag for n in networks if n.version == 6})
    return merged


def _vm_lines(machines: Sequence[_Machine], gateways: set[str]) -> Iterator[str]:
    machines = [one for one in machines if gateways.isdisjoint(one.addresses)]
    virtual = [one for one in machines if _is_virtual(one.mac)]
    others = [one for one in machines if not _is_virtual(one.mac)]
    if virtual:
        yield "vms:"
    for machine in virtual:
        first = machine.addresses[0]
        maker = _VIRTUAL.get(machine.mac[:8])
        said = "no MAC was seen: it is behind a router" if machine.mac == _NO_MAC else maker
        yield f'  - name: "{first}"{f"  # {said}" if said else ""}'
        yield f"    addresses: [{', '.join(map(_quoted, machine.addresses))}]"
        if machine.mac != _NO_MAC:
            yield f'    macs: ["{machine.mac}"]'
        tags = {tag for tag in machine.tags if tag != (NO_VLAN, NO_TUNNEL_ID)}
        if len(tags) == 1:
            yield from _tag_lines(tags.pop())
    if others:
        yield "# By their MACs these are no virtual machines:"
    for machine in others:
        yield f"#   {', '.join(machine.addresses)}  {machine.mac}"


def _is_virtual(mac: str) -> bool:
    """So far as a MAC tells: given by a hypervisor, or not by the maker of a card."""
    return mac == _NO_MAC or mac[:8] in _VIRTUAL or bool(int(mac[:2], 16) & 2)


def _subnets(networks: Iterable[Network], gateways: Iterable[str]) -> Iterator[tuple[Network, str]]:
    """Networks in order, with the gateway of each: the first or last address where a router has it, else ""."""
    for network in sorted(networks, key=_order):
        ends = {str(network.network_address + 1), str(network.broadcast_address - 1)}
        likely = ends.intersection(gateways)
        yield network, likely.pop() if len(likely) == 1 else ""


def _subnet_lines(
    subnets: Sequence[tuple[Network, str]], networks: Mapping[Network, Tag | None], gateways: Mapping[str, str]
) -> Iterator[str]:
    if subnets:
        yield "subnets:"
    for network, gateway in subnets:
        yield f"  - cidr: {_quoted(str(network))}"
        if gateway:
            yield f"    gateway: {_quoted(gateway)}  # by its MAC {gateways[gateway]}, which others behind it have"
        tag = networks[network]
        if tag is not None:
            yield from _tag_lines(tag)


def _layer2_lines(networks: dict[Network, Tag | None]) -> Iterator[str]:
    by_tag: dict[Tag, list[Network]] = {}
    for network, tag in networks.items():
        if tag is not None:
            by_tag.setdefault(tag, []).append(network)
    if by_tag:
        yield "l2_networks:"
    for (vlan, vni), inside in sorted(by_tag.items()):
        yield f"  - name: {f'vlan-{vlan}' if vlan != NO_VLAN else f'vni-{vni}'}"
        yield from _tag_lines((vlan, vni))
        yield f"    cidrs: [{', '.join(_quoted(str(one)) for one in sorted(inside, key=_order))}]"


def _tag_lines(tag: Tag) -> Iterator[str]:
    vlan, vni = tag
    if vlan != NO_VLAN:
        yield f"    vlan: {vlan}"
    if vni != NO_TUNNEL_ID:
        yield f"    vni: {vni}"


def _quoted(text: str) -> str:
    """Colons would make tables of IPv6 addresses."""
    return f'"{text}"' if ":" in text else text


def _order(network: Network) -> tuple[int, int, int]:
    return network.version, int(network.network_address), network.prefixlen
