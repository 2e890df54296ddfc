"""Who talks in generated history: a small company, and those who talk to it from a dozen countries.

What is known of each address stands beside it here, because it was made that way: nothing is looked up. `inventory()`
says the same of virtual machines and networks as a file that `spanline query --inventory` reads.

    web      10.20.1.0/24, fd20:0:0:1::/64   VLAN 1101   web and application servers
    data     10.20.3.0/24, fd20:0:0:3::/64   VLAN 1103   databases, names, files; the NAS is not virtual
    devices  10.20.5.0/24                    VLAN 1105   cameras, which are not virtual, and those who watch
    dmz      130.88.7.0/24                   VLAN 1107   public addresses of the company's own: internal by its list
    red, blue 10.99.0.0/24 both              VNI 5001, 5002: two tenants with the same addresses
    offices  10.30.0.0/22                    in no inventory; management 10.20.9.0/24 has a subnet and no L2 network
    lab      10.66.0.0/24, fe80::/64         in no inventory, frames with VLAN 66
    partner  10.200.0.0/16                   private, but internet by the company's list: no country
"""

from __future__ import annotations

import ipaddress
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import numpy as np
from traffic_frames import NONE, Array

NO_VLAN = 0xFFFF
INTERNAL, INTERNET, MULTICAST, BROADCAST = "internal", "internet", "multicast", "broadcast"

COUNTRIES = {
    "United Kingdom": ("25.0.0.0/16", "212.58.224.0/19", "81.128.0.0/16", "2001:630::/48"),
    "United States": ("8.8.8.0/24", "12.0.0.0/16", "128.30.0.0/16", "2001:4860::/48"),
    "Germany": ("53.0.0.0/16", "84.128.0.0/16", "2001:638::/48"),
    "France": ("80.8.0.0/16", "2a01:e00::/48"),
    "Netherlands": ("145.94.0.0/16", "2001:610::/48"),
    "Ireland": ("86.40.0.0/16",),
    "Switzerland": ("129.132.0.0/16",),
    "Sweden": ("130.235.0.0/16",),
    "Poland": ("83.0.0.0/16",),
    "Russia": ("95.24.0.0/16",),
    "China": ("36.96.0.0/16", "114.80.0.0/16"),
    "Japan": ("133.11.0.0/16",),
    "South Korea": ("175.192.0.0/16",),
    "India": ("117.192.0.0/16",),
    "Vietnam": ("14.160.0.0/16",),
    "Brazil": ("177.32.0.0/16",),
    "Australia": ("1.120.0.0/16",),
}
"""Networks that have been registered there for decades, so that every country database says the same of them."""
SCANNING = ("China", "Russia", "Vietnam", "United States", "Netherlands", "Brazil", "India")
SERVERS_PER_NETWORK, CLIENTS_PER_NETWORK, SCANNERS_PER_NETWORK = 12, 60, 40
PARTNER = "10.200.0.0/16"

HOSTS = {"hv-01": "north", "hv-02": "north", "hv-03": "south"}
"""Hosts of virtual machines and their clusters."""
SWITCHES, PORTS_PER_SWITCH = ("sw-01", "sw-02"), 12


class Net(NamedTuple):
    """tag, vni  of its frames. `l2_network` is what it has to be called: of `devices` it follows from the VLAN."""

    cidr: str
    l2_network: str
    tag: int = NO_VLAN
    vni: int = NONE


NETS = {
    "web": Net("10.20.1.0/24", "servers", 1101),
    "web-6": Net("fd20:0:0:1::/64", "servers", 1101),
    "data": Net("10.20.3.0/24", "storage", 1103),
    "data-6": Net("fd20:0:0:3::/64", "storage", 1103),
    "devices": Net("10.20.5.0/24", "vlan-1105", 1105),
    "dmz": Net("130.88.7.0/24", "dmz", 1107),
    "red": Net("10.99.0.0/24", "tenant-red", vni=5001),
    "blue": Net("10.99.0.0/24", "tenant-blue", vni=5002),
    "management": Net("10.20.9.0/24", ""),
}
"""The subnets of the inventory by name."""

# (name, how many, subnet, last octet of the first, application, virtual CPUs, memory in GB)
_VMS = (
    ("web", 6, "web", 11, "shop", 4, 8),
    ("app", 6, "web", 31, "shop", 8, 16),
    ("db", 4, "data", 11, "shop", 16, 64),
    ("dns", 2, "data", 21, "infrastructure", 2, 4),
    ("files", 2, "data", 31, "infrastructure", 4, 16),
    ("viewer", 3, "devices", 21, "cameras", 2, 4),
    ("portal", 4, "dmz", 10, "shop", 4, 8),
    ("red", 3, "red", 11, "", 2, 4),
    ("blue", 3, "blue", 11, "", 2, 4),
)
RENAMED = "10.20.1.77"
"""The address of the VM old-app, and from RENAMED_AT on of new-app."""
RENAMED_AT = "2026-03-12T12:00:00Z"

# (group, subnet of the inventory or "", network, first, how many): what is not virtual
_PHYSICAL = (
    ("nas", "data", "10.20.3.0/24", 250, 2),
    ("cameras", "devices", "10.20.5.0/24", 101, 12),
    ("management", "management", "10.20.9.0/24", 5, 6),
    ("spare", "dmz", "130.88.7.0/24", 100, 60),
    ("users", "", "10.30.0.0/22", 20, 160),
    ("lab", "", "10.66.0.0/24", 10, 8),
    ("lab-6", "", "fe80::/64", 10, 4),
)
LAB_TAG = 66


class Endpoint(NamedTuple):
    """An address and what has to be found of it; "" where there is nothing. `tag` is the VLAN of its frames."""

    address: str
    group: str
    vm: str = ""
    host: str = ""
    subnet: str = ""
    l2_network: str = ""
    country: str = ""
    reach: str = INTERNAL
    tag: int = NO_VLAN
    vni: int = NONE


@dataclass
class Places:
    """Endpoints as arrays, and the rows of each group of them."""

    endpoints: list[Endpoint]
    address: Array = field(init=False)
    """uint8[n, 16], IPv4 mapped."""
    groups: dict[str, Array] = field(init=False)

    def __post_init__(self) -> None:
        packed = b"".join(packed_address(one.address) for one in self.endpoints)
        self.address = np.frombuffer(packed, np.uint8).reshape(-1, 16)
        names = self.texts("group")
        self.groups = {name: np.flatnonzero(names == name) for name in dict.fromkeys(names.tolist())}

    def texts(self, name: str) -> Array:
        """A field of all endpoints."""
        return np.array([getattr(one, name) for one in self.endpoints])


def packed_address(text: str) -> bytes:
    """16 bytes, IPv4 mapped."""
    address = ipaddress.ip_address(text)
    return address.packed if address.version == 6 else bytes(10) + b"\xff\xff" + address.packed


def places(rng: np.random.Generator) -> Places:
    """All who talk. Addresses of the internet are drawn, the others are always the same."""
    return Places([*_virtual(), *_physical(), *_groups_of_receivers(), *_internet(rng)])


def virtual_machines() -> Iterator[tuple[str, str, str, dict[str, Any]]]:
    """(group, name, subnet, row of the inventory without its name) of each VM, but for the one that is renamed."""
    hosts = list(HOSTS)
    number = 0
    for group, count, subnet, first, application, cpus, memory in _VMS:
        net = ipaddress.ip_network(NETS[subnet].cidr)
        for n in range(count):
            number += 1
            row: dict[str, Any] = {"addresses": [str(net[first + n])], "macs": [f"00:15:5d:20:00:{number:02x}"]}
            if f"{subnet}-6" in NETS:
                row["addresses"].append(str(ipaddress.ip_network(NETS[f"{subnet}-6"].cidr)[first + n]))
            row |= {"host": hosts[number % len(hosts)], "default_gateway": str(net[1]), "vcpus": cpus}
            row |= {"memory": f"{memory}GB", "port_group": f"pg-{subnet}"}
            row |= {"application": application} if application else {}
            row |= {"vni": NETS[subnet].vni} if NETS[subnet].vni != NONE else {}
            yield group, f"{group}-{n + 1:02}", subnet, row


def inventory() -> dict[str, Any]:
    """What `spanline query --inventory` is told, section by section."""
    vms = [{"name": name, **row} for _, name, _, row in virtual_machines()]
    for name, when in (("old-app", "valid_to"), ("new-app", "valid_from")):
        renamed: dict[str, Any] = {"name": name, "addresses": [RENAMED], "host": "hv-02"}
        renamed |= {"default_gateway": "10.20.1.1", "vcpus": 2, "memory": "4GB", "port_group": "pg-web"}
        vms.append({**renamed, when: RENAMED_AT})
    subnets = []
    for name, net in NETS.items():
        row: dict[str, Any] = {"cidr": net.cidr, "name": name, "site": "Leeds"}
        row |= {"vlan": net.tag} if net.tag != NO_VLAN else {}
        row |= {"vni": net.vni} if net.vni != NONE else {}
        subnets.append(row)
    l2_networks = [
        *({"name": name, "vlan": vlan} for name, vlan in (("servers", 1101), ("storage", 1103), ("dmz", 1107))),
        *({"name": f"tenant-{name}", "vni": NETS[name].vni} for name in ("red", "blue")),
    ]
    return {
        "vms": vms,
        "subnets": subnets,
        "l2_networks": l2_networks,
        "hosts": [{"name": name, "cluster": cluster} for name, cluster in HOSTS.items()],
        "switch_ports": [{"switch": switch, "name": port, "index": n} for switch, port, n in switch_ports()],
        "east_west": [NETS["dmz"].cidr],
        "internet": [PARTNER],
    }


def switch_ports() -> Iterator[tuple[str, str, int]]:
    """(switch, port, index of the port)."""
    for switch in SWITCHES:
        for n in range(1, PORTS_PER_SWITCH + 1):
            yield switch, f"Ethernet1/{n}", n


def _virtual() -> Iterator[Endpoint]:
    for group, name, subnet, row in virtual_machines():
        for address, of_subnet in zip(row["addresses"], (subnet, f"{subnet}-6"), strict=False):
            net = NETS[of_subnet]
            country = "United Kingdom" if subnet == "dmz" else ""
            in_group = group if of_subnet == subnet else f"{group}-6"
            yield Endpoint(
                address, in_group, name, row["host"], of_subnet, net.l2_network, country, INTERNAL, net.tag, net.vni
            )
    for name in ("old-app", "new-app"):
        yield Endpoint(RENAMED, name, name, "hv-02", "web", "servers", "", INTERNAL, NETS["web"].tag)


def _physical() -> Iterator[Endpoint]:
    for group, subnet, network, first, count in _PHYSICAL:
        l2_network, tag = "", NO_VLAN
        if subnet:
            l2_network, tag = NETS[subnet].l2_network, NETS[subnet].tag
        elif group.startswith("lab"):
            l2_network, tag = f"vlan-{LAB_TAG}", LAB_TAG
        country = "United Kingdom" if subnet == "dmz" else ""
        net = ipaddress.ip_network(network)
        for n in range(count):
            yield Endpoint(str(net[first + n]), group, "", "", subnet, l2_network, country, INTERNAL, tag)


def _groups_of_receivers() -> Iterator[Endpoint]:
    for address in ("224.0.0.251", "239.255.255.250"):
        yield Endpoint(address, "multicast", reach=MULTICAST)
    yield Endpoint("ff02::fb", "multicast-6", reach=MULTICAST)
    yield Endpoint("255.255.255.255", "broadcast", reach=BROADCAST)
    yield Endpoint("10.20.5.255", "broadcast-devices", "", "", "devices", "vlan-1105", "", BROADCAST, 1105)


def _internet(rng: np.random.Generator) -> Iterator[Endpoint]:
    for country, networks in COUNTRIES.items():
        for network in map(ipaddress.ip_network, networks):
            version = "-6" if network.version == 6 else ""
            counts = {"servers": SERVERS_PER_NETWORK, "clients": CLIENTS_PER_NETWORK}
            if country in SCANNING:
                counts["scanners"] = SCANNERS_PER_NETWORK
            total = sum(counts.values())
            at = iter(rng.choice(min(network.num_addresses - 2, 1 << 20), total, replace=False).tolist())
            for group, count in counts.items():
                groups = [f"{group}{version}"] * count
                if country == "United Kingdom" and group == "servers":
                    groups[: count // 2] = [f"british{version}"] * (count // 2)
                for name in groups:
                    yield Endpoint(str(network[1 + next(at)]), name, country=country, reach=INTERNET)
    for n in range(20):
        yield Endpoint(str(ipaddress.ip_network(PARTNER)[10 + n]), "partner", reach=INTERNET)
