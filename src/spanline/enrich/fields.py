"""What an inventory can say: sections, and the fields of their rows. docs/inventory.md explains them."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class FieldKind(StrEnum):
    """What a field's text has to be."""

    TEXT = "text"
    ADDRESS = "address"
    NETWORK = "network"
    MAC = "MAC address"
    COUNT = "whole number"
    VLAN = "VLAN"
    VNI = "VNI"
    SIZE = "size"
    RATE = "rate"
    TIME = "time"


EXPECTED = {
    FieldKind.TEXT: "one line of at most 200 characters",
    FieldKind.ADDRESS: "10.0.0.1 or 2001:db8::1",
    FieldKind.NETWORK: "10.0.0.0/24 or 2001:db8::/64",
    FieldKind.MAC: "00:15:5d:01:02:03",
    FieldKind.COUNT: "digits, as 4",
    FieldKind.VLAN: "0 to 4094",
    FieldKind.VNI: "0 to 4294967294",
    FieldKind.SIZE: "8GB or 512 MB",
    FieldKind.RATE: "10G or 100 Mbit/s",
    FieldKind.TIME: "2026-01-31 or 2026-01-31T08:00:00Z",
}
"""How to write each kind, as it is said to who wrote something else."""


@dataclass(frozen=True, slots=True)
class Field:
    """is_list: it may have several. is_needed: no row without it."""

    name: str
    kind: FieldKind = FieldKind.TEXT
    is_list: bool = False
    is_needed: bool = False
    description: str = ""


_TAGS = (
    Field("vlan", FieldKind.VLAN, description="VLAN that it is in"),
    Field("vni", FieldKind.VNI, description="VNI that it is in: with another one, an address is not this one"),
    Field("l2_network", description="name of the L2 network that it is in"),
)
_VALID = (
    Field("valid_from", FieldKind.TIME, description="it holds from here on; UTC, unless an offset is given"),
    Field("valid_to", FieldKind.TIME, description="and until before here"),
)

SECTIONS: dict[str, tuple[Field, ...]] = {
    "vms": (
        Field("name", is_needed=True),
        Field("addresses", FieldKind.ADDRESS, is_list=True, description="IPv4 and IPv6"),
        Field("macs", FieldKind.MAC, is_list=True),
        Field("host", description="host that it runs on"),
        Field("cluster", description="where it is left out, the host's"),
        Field("default_gateway", FieldKind.ADDRESS),
        Field("vcpus", FieldKind.COUNT),
        Field("memory", FieldKind.SIZE, description="in powers of 1024"),
        Field("port_group"),
        Field("application"),
        *_TAGS,
        *_VALID,
    ),
    "subnets": (
        Field("cidr", FieldKind.NETWORK, is_needed=True),
        Field("name", description="where it is left out, the CIDR"),
        Field("site"),
        Field("gateway", FieldKind.ADDRESS),
        *_TAGS,
        *_VALID,
    ),
    "l2_networks": (
        Field("name", is_needed=True),
        Field("vlan", FieldKind.VLAN, description="one of these three is needed"),
        Field("vni", FieldKind.VNI),
        Field("cidrs", FieldKind.NETWORK, is_list=True, description="its addresses"),
        *_VALID,
    ),
    "port_groups": (Field("name", is_needed=True), *_TAGS, *_VALID),
    "hosts": (
        Field("name", is_needed=True),
        Field("cluster"),
        Field("addresses", FieldKind.ADDRESS, is_list=True, description="its own, not those of its VMs"),
        *_VALID,
    ),
    "switch_ports": (
        Field("switch", is_needed=True),
        Field("name", is_needed=True, description="of the port, as Ethernet1/1"),
        Field("index", FieldKind.COUNT, description="ifIndex, by which the switch counts"),
        Field("host", description="what is attached"),
        Field("speed", FieldKind.RATE),
        *_VALID,
    ),
}
"""Fields of the rows of each section, in the order of their columns."""

LISTS = ("east_west", "internet")
"""Sections that are lists of networks."""
