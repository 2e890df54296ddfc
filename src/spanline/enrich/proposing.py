"""From sightings to an inventory that somebody can mend: internal addresses, and what may be their network."""

from __future__ import annotations

import ipaddress
from collections import Counter
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


_UNTAGGED = NO_VLAN, NO_TUNNEL_ID


@dataclass(slots=True)
class _Machine:
    """Who has a MAC, or an address behind a router; each address with the VLANs that it was seen in."""

    mac: str
    vni: int
    addresses: dict[str, set[int]] = field(default_factory=dict)

    def tag(self) -> Tag:
        return _only(vlan for vlans in self.addresses.values() for vlan in vlans), self.vni


def _only(vlans: Iterable[int]) -> int:
    """The VLAN that was seen, NO_VLAN when there were several or none."""
    known = set(vlans) - {NO_VLAN}
    return known.pop() if len(known) == 1 else NO_VLAN


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
    yield "# Proposed by what was seen: write names instead of addresses."
    own = {network: _gateway(network, gateways) for network, _ in networks}
    yield from _vm_lines(machines, set(own.values()))
    yield from _subnet_lines(networks, own, gateways)
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
    """(machines, MACs of routers by the addresses that are behind them or their own)."""
    own: dict[tuple[str, int], tuple[str, set[int]]] = {}  # by address and VNI: its MAC and VLANs
    at_router: dict[tuple[str, int], str] = {}
    for n in chosen.tolist():
        text, (vlan, vni) = texts[n], tags[n]
        if text.startswith(("fe80:", "169.254.")):
            continue
        if macs[n] in routers:
            at_router.setdefault((text, vni), macs[n])
        else:
            mac, vlans = own.get((text, vni), (_NO_MAC, set()))
            own[text, vni] = macs[n] if mac == _NO_MAC else mac, vlans | {vlan}
    for key in at_router:
        own.setdefault(key, (_NO_MAC, set()))
    machines: dict[tuple[str, int], _Machine] = {}
    for (text, vni), (mac, vlans) in own.items():
        name = mac if mac != _NO_MAC else text
        machines.setdefault((name, vni), _Machine(mac, vni)).addresses[text] = vlans
    return list(machines.values()), {text: mac for (text, _), mac in at_router.items()}


def _networks(machines: Iterable[_Machine]) -> list[tuple[Network, Tag]]:
    """Where addresses lie, in order, with VLAN and VNI; IPv4 networks side by side of one VLAN or VNI are one."""
    found: dict[tuple[Network, int], set[int]] = {}
    for machine in machines:
        for text, vlans in machine.addresses.items():
            length = _IPV6_LENGTH if ":" in text else _IPV4_LENGTH
            network = ipaddress.ip_network((text, length), False)
            found.setdefault((network, machine.vni), set()).update(vlans)
    by_tag: dict[Tag, list[Network]] = {}
    for (network, vni), vlans in found.items():
        by_tag.setdefault((_only(vlans), vni), []).append(network)
    made: list[tuple[Network, Tag]] = []
    for tag, networks in by_tag.items():
        parts: Iterable[Network] = networks if tag == _UNTAGGED else _together(networks)
        made += [(network, tag) for network in parts]
    return sorted(made, key=lambda one: (one[0].version, int(one[0].network_address), one[0].prefixlen, one[1]))


def _together(networks: Sequence[Network]) -> Iterator[Network]:
    for network in ipaddress.collapse_addresses(one for one in networks if one.version == 4):
        yield from [network] if network.prefixlen >= _WIDEST else network.subnets(new_prefix=_WIDEST)
    yield from (one for one in networks if one.version == 6)


def _vm_lines(machines: Sequence[_Machine], gateways: set[str]) -> Iterator[str]:
    machines = [one for one in machines if gateways.isdisjoint(one.addresses)]
    virtual = [one for one in machines if _is_virtual(one.mac)]
    others = [one for one in machines if not _is_virtual(one.mac)]
    if virtual:
        yield "vms:"
    repeated = Counter(next(iter(machine.addresses)) for machine in virtual)
    for machine in virtual:
        first = next(iter(machine.addresses))
        name = f"{first} (VNI {machine.vni})" if repeated[first] > 1 else first
        maker = _VIRTUAL.get(machine.mac[:8])
        said = "no MAC was seen: it is behind a router" if machine.mac == _NO_MAC else maker
        yield f'  - name: "{name}"{f"  # {said}" if said else ""}'
        yield f"    addresses: [{', '.join(map(_quoted, machine.addresses))}]"
        if machine.mac != _NO_MAC:
            yield f'    macs: ["{machine.mac}"]'
        yield from _tag_lines(machine.tag())
    if others:
        yield "# By their MACs these are no virtual machines:"
    for machine in others:
        yield f"#   {', '.join(machine.addresses)}  {machine.mac}"


def _is_virtual(mac: str) -> bool:
    """So far as a MAC tells: given by a hypervisor, or not by the maker of a card."""
    return mac == _NO_MAC or mac[:8] in _VIRTUAL or bool(int(mac[:2], 16) & 2)


def _gateway(network: Network, gateways: Iterable[str]) -> str:
    """The first or last address of a network where a router has it, "" without."""
    ends = {str(network.network_address + 1), str(network.broadcast_address - 1)}
    likely = ends.intersection(gateways)
    return likely.pop() if len(likely) == 1 else ""


def _subnet_lines(
    networks: Sequence[tuple[Network, Tag]], own: Mapping[Network, str], gateways: Mapping[str, str]
) -> Iterator[str]:
    if networks:
        yield "subnets:"
    repeated = Counter(network for network, _ in networks)
    for network, tag in networks:
        yield f"  - cidr: {_quoted(str(network))}"
        if repeated[network] > 1:
            yield f'    name: "{network} (VNI {tag[1]})"'
        gateway = own[network]
        if gateway:
            yield f"    gateway: {_quoted(gateway)}  # by its MAC {gateways[gateway]}, which others behind it have"
        yield from _tag_lines(tag)


def _layer2_lines(networks: Sequence[tuple[Network, Tag]]) -> Iterator[str]:
    by_tag: dict[Tag, list[Network]] = {}
    for network, tag in networks:
        if tag != _UNTAGGED:
            by_tag.setdefault(tag, []).append(network)
    if by_tag:
        yield "l2_networks:"
    for (vlan, vni), inside in sorted(by_tag.items()):
        names = [f"vlan-{vlan}"] * (vlan != NO_VLAN) + [f"vni-{vni}"] * (vni != NO_TUNNEL_ID)
        yield f"  - name: {'-'.join(names)}"
        yield from _tag_lines((vlan, vni))
        yield f"    cidrs: [{', '.join(_quoted(str(one)) for one in inside)}]"


def _tag_lines(tag: Tag) -> Iterator[str]:
    vlan, vni = tag
    if vlan != NO_VLAN:
        yield f"    vlan: {vlan}"
    if vni != NO_TUNNEL_ID:
        yield f"    vni: {vni}"


def _quoted(text: str) -> str:
    """Colons would make tables of IPv6 addresses."""
    return f'"{text}"' if ":" in text else text
