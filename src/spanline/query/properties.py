"""THE dictionary of the query language: what can be asked for, and what of it.

The column of a property, in the relation that the engine makes of its entity, is its name in lower case with
underscores: "Source Country" is source_country. Names are those of VMware Aria Operations for Networks.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from functools import cache

from spanline.query.tree import Kind, Property


@dataclass(frozen=True, slots=True)
class Entity:
    """What there are several of, as Query.entity names it.

    words       what it is called in a query, as `key` has it
    properties  by what they are called in a query, as `key` has it; several names may mean one
    is_held     False: Aria knows it, and spanline has no record of it
    """

    name: str
    label: str
    words: tuple[str, ...]
    properties: dict[str, Property] = field(repr=False, hash=False)
    is_held: bool = True

    def own(self) -> tuple[Property, ...]:
        """Its properties, each once."""
        return tuple(dict.fromkeys(self.properties.values()))

    @property
    def called(self) -> Property | None:
        """What it is known by: its name. Flows have none."""
        return self.properties.get("name")


INTERNET, NORTH_SOUTH, EAST_WEST = "Internet", "North-South", "East-West"

FLOW_TYPES = (
    "Source is Internet", "Destination is Internet", INTERNET, EAST_WEST,
    "Source is VM", "Destination is VM", "Source is Physical", "Destination is Physical",
    "VM-VM", "VM-Physical", "Physical-Physical",
    "Same Host", "Diff Host", "Switched", "Routed",
    "Unicast", "Multicast", "Broadcast", "Link Local",
)  # fmt: skip
"""What Flow Type can be, as it stands in a tree."""

FLOW_TYPE_WORDS = {
    **{name.lower(): name for name in FLOW_TYPES},
    "north-south": INTERNET,
    "north south": INTERNET,
    "east west": EAST_WEST,
    "physical-vm": "VM-Physical",
    "different host": "Diff Host",
}
"""The same by what they are called, in lower case."""

PROTOCOL_NUMBERS = {
    "icmp": 1, "igmp": 2, "ipip": 4, "tcp": 6, "egp": 8, "udp": 17, "dccp": 33, "ipv6": 41, "rsvp": 46, "gre": 47,
    "esp": 50, "ah": 51, "icmpv6": 58, "ipv6-icmp": 58, "eigrp": 88, "ospf": 89, "pim": 103, "vrrp": 112, "l2tp": 115,
    "sctp": 132, "udplite": 136,
}  # fmt: skip
"""IP protocols by name, in lower case. Source: IANA, Protocol Numbers."""

_LARGEST = {
    "Port": 65_535,
    "Source Port": 65_535,
    "VLAN": 4095,
    "VNI": (1 << 32) - 1,
    "ASN": (1 << 32) - 1,
    "Source ASN": (1 << 32) - 1,
    "Destination ASN": (1 << 32) - 1,
}
"""What headers have room for. Sources: RFC 9293, RFC 768 (ports), IEEE 802.1Q (12 bits), RFC 2890 (a key of GRE), RFC
6793."""

LONGEST_NAME = 5
"""Words that an entity or property is called by at most."""

_ABBREVIATIONS = {"src": "source", "dst": "destination", "dest": "destination", "avg": "average", "max": "maximum"}

# (name, kind, is_metric, other names, description)
_Row = tuple[str, Kind, bool, tuple[str, ...], str]

_ENDS: tuple[_Row, ...] = (
    ("IP Address", Kind.ADDRESS, False, ("IP", "Address"), "address"),
    ("VM", Kind.TEXT, False, ("Virtual Machine", "VM Name", "VM.Name"), "VM of the inventory"),
    ("Subnet", Kind.TEXT, False, ("Subnet Network", "Subnet Name"), "subnet of the inventory"),
    ("L2 Network", Kind.TEXT, False, ("Layer 2 Network", "L2Network", "L2 Network Name"), "L2 network"),
    ("Port Group", Kind.TEXT, False, ("DVPG", "Portgroup", "Distributed Virtual Port Group"), "port group of the VM"),
    ("Host", Kind.TEXT, False, ("Host Name", "Hypervisor"), "host that the VM runs on"),
    ("Cluster", Kind.TEXT, False, ("Cluster Name",), "cluster of the host"),
    ("Application", Kind.TEXT, False, ("App", "Application Name"), "application that the VM is part of"),
    ("Country", Kind.TEXT, False, ("Country Name",), "country of the address"),
    ("Continent", Kind.TEXT, False, (), "continent of the address"),
    ("ASN", Kind.NUMBER, False, ("AS Number",), "number of the autonomous system"),
    ("MAC Address", Kind.MAC, False, ("MAC",), "MAC address"),
)
_TRAFFIC: tuple[_Row, ...] = (
    ("Total Traffic", Kind.BYTES, True, ("Bytes", "Traffic", "Total Bytes"), "bytes in both directions"),
    ("Bytes Rate", Kind.RATE, True, ("Byte Rate", "Traffic Rate", "Network Rate", "Throughput"), "bits per second"),
    ("Packets", Kind.PACKETS, True, ("Packet Count", "Total Packets"), "packets in both directions"),
    ("Session Count", Kind.NUMBER, True, ("Sessions", "Session"), "sessions that began"),
)
_RATED = tuple(
    ("Network Rate", kind, metric, ("Byte Rate", "Traffic Rate", "Bytes Rate", "Throughput"), text)
    if name == "Bytes Rate"
    else (name, kind, metric, others, text)
    for name, kind, metric, others, text in _TRAFFIC
)
_NAME: _Row = ("Name", Kind.TEXT, False, (), "name")
_VLAN: _Row = ("VLAN", Kind.NUMBER, False, ("VLAN ID",), "VLAN")
_VNI: _Row = (
    "VNI",
    Kind.NUMBER,
    False,
    ("VXLAN", "VXLAN ID", "Segment ID"),
    "network identifier, GRE key or ERSPAN session",
)
_CLUSTER: _Row = ("Cluster", Kind.TEXT, False, ("Cluster Name",), "cluster")
_L2_NETWORK: _Row = ("L2 Network", Kind.TEXT, False, ("Layer 2 Network", "L2Network"), "L2 network")
_CIDR: _Row = ("CIDR", Kind.TEXT, False, ("Network", "Network Address"), "network and its prefix")
_CONTINENT: _Row = ("Continent", Kind.TEXT, False, (), "continent")

_FLOW: tuple[_Row, ...] = (
    ("Port", Kind.NUMBER, False, ("Destination Port", "Service Port", "Port.ianaPortDisplay"), "port of the service"),
    ("Source Port", Kind.NUMBER, False, (), "port of the client"),
    ("Protocol", Kind.PROTOCOL, False, ("IP Protocol",), "IP protocol, by name or number"),
    ("Application Protocol", Kind.TEXT, False, ("App Protocol",), "what is spoken, as tshark calls it"),
    ("Flow Type", Kind.TAGS, False, ("Flow Types",), "what holds of its ends"),
    _VNI,
    _VLAN,
    ("Conn State", Kind.TEXT, False, ("Connection State",), "Zeek's conn_state"),
    ("Community ID", Kind.TEXT, False, (), "version 1, seed 0"),
    ("First Seen", Kind.TIME, False, ("Start Time",), "time of the first packet"),
    ("Last Seen", Kind.TIME, False, ("End Time",), "time of the last packet"),
    *_TRAFFIC,
    ("Source Bytes", Kind.BYTES, True, ("Bytes Sent",), "bytes from client to server"),
    ("Destination Bytes", Kind.BYTES, True, ("Bytes Received",), "bytes from server to client"),
    ("Source Packets", Kind.PACKETS, True, (), "packets from client to server"),
    ("Destination Packets", Kind.PACKETS, True, (), "packets from server to client"),
    ("Average TCP RTT", Kind.DURATION, True, ("TCP RTT", "RTT", "Average RTT"), "mean of the handshakes' RTTs"),
    ("Maximum TCP RTT", Kind.DURATION, True, ("Maximum RTT",), "longest of the handshakes' RTTs"),
    (
        "Retransmitted Packet Ratio",
        Kind.RATIO,
        True,
        ("Retransmission Ratio", "Retransmitted Packets Ratio"),
        "TCP segments that were sent again ÷ packets",
    ),
    ("Duration", Kind.DURATION, True, ("Flow Duration",), "from the first packet to the last"),
)
_FLOW_NOT_HELD = ("SDDC", "Security Group", "Security Tag", "Data Center", "vCenter", "Tier", "IP Set", "VPC", "Folder")
_CPU: tuple[_Row, ...] = (
    ("CPU Usage Rate", Kind.RATIO, True, ("CPU Usage",), ""),
    ("Memory Usage Rate", Kind.RATIO, True, ("Memory Usage",), ""),
)
_NOT_HELD_TEXT: tuple[_Row, ...] = tuple(
    (name, Kind.TEXT, False, (), "") for name in ("SDDC", "Security Group", "Security Tag", "Data Center", "vCenter")
)

# name: (label, other words, rows, rows that are not held)
_ENTITIES: dict[str, tuple[str, tuple[str, ...], tuple[_Row, ...], tuple[_Row, ...]]] = {
    "vms": (
        "VMs",
        ("VM", "Virtual Machine", "Virtual Machines"),
        (
            _NAME,
            ("IP Address", Kind.ADDRESS, False, ("IP", "Address", "IP Addresses"), "addresses"),
            ("MAC Address", Kind.MAC, False, ("MAC",), "MAC addresses"),
            ("Host", Kind.TEXT, False, ("Host Name", "Hypervisor"), "host that it runs on"),
            _CLUSTER,
            ("Default Gateway", Kind.ADDRESS, False, ("Gateway",), "default gateway"),
            ("vCPUs", Kind.NUMBER, True, ("vCPU", "CPU Count", "CPU Cores", "CPUs", "vCPU Count"), "virtual CPUs"),
            ("Memory", Kind.MEMORY, True, ("RAM", "Memory Size"), "memory"),
            ("Port Group", Kind.TEXT, False, ("DVPG", "Portgroup"), "port group"),
            ("Application", Kind.TEXT, False, ("App",), "application that it is part of"),
            ("Subnet", Kind.TEXT, False, ("Subnet Network",), "subnet of its address"),
            _L2_NETWORK,
            _VLAN,
            *_RATED,
        ),
        (("OS", Kind.TEXT, False, ("Operating System",), ""), *_CPU, *_NOT_HELD_TEXT),
    ),
    "hosts": ("Hosts", ("Host",), (_NAME, _CLUSTER, *_RATED), (*_CPU, *_NOT_HELD_TEXT)),
    "subnets": (
        "Subnets",
        ("Subnet",),
        (
            _NAME,
            _CIDR,
            ("Site", Kind.TEXT, False, (), "site"),
            ("Gateway", Kind.ADDRESS, False, ("Default Gateway",), "gateway"),
            _L2_NETWORK,
            _VLAN,
            _VNI,
            *_RATED,
        ),
        (),
    ),
    "l2 networks": (
        "L2 Networks",
        ("L2 Network", "Layer 2 Network", "Layer 2 Networks"),
        (_NAME, _VLAN, _VNI, _CIDR, *_RATED),
        (),
    ),
    "port groups": (
        "Port Groups",
        ("Port Group", "DVPG", "DVPGs", "Portgroup", "Portgroups", "Distributed Virtual Port Groups"),
        (_NAME, _L2_NETWORK, _VLAN, _VNI, *_RATED),
        (),
    ),
    "applications": (
        "Applications",
        ("Application", "Apps", "App"),
        (_NAME, ("VMs", Kind.NUMBER, True, ("VM Count",), "how many VMs are part of it"), *_RATED),
        (),
    ),
    "switch ports": (
        "Switch Ports",
        ("Switch Port", "Interfaces"),
        (
            _NAME,
            ("Switch", Kind.TEXT, False, ("Device",), "switch that it is of"),
            ("Index", Kind.NUMBER, False, ("ifIndex",), "its number on the switch"),
            ("Host", Kind.TEXT, False, ("Host Name",), "host that is plugged in"),
            ("Speed", Kind.RATE, False, (), "bits per second that it can carry"),
            (
                "Network Rate",
                Kind.RATE,
                True,
                ("Byte Rate", "Traffic Rate", "Bytes Rate", "Throughput"),
                "bits a second",
            ),
            ("Total Traffic", Kind.BYTES, True, ("Bytes", "Traffic", "Total Bytes"), "bytes in both directions"),
            ("Packets", Kind.PACKETS, True, ("Packet Count", "Total Packets"), "packets in both directions"),
            ("Errors", Kind.PACKETS, True, ("Error Packets",), "frames with errors"),
            ("Drops", Kind.PACKETS, True, ("Dropped Packets", "Packet Drops"), "frames that were dropped"),
        ),
        (),
    ),
    "countries": (
        "Countries",
        ("Country",),
        (_NAME, ("Code", Kind.TEXT, False, (), "ISO 3166"), _CONTINENT, *_RATED),
        (),
    ),
    "datastores": (
        "Datastores",
        ("Datastore",),
        (),
        (
            _NAME,
            ("Free Space Percent", Kind.RATIO, True, ("Free Space",), ""),
            ("Filesystem Type", Kind.TEXT, False, ("File System Type",), ""),
            ("Write Latency", Kind.DURATION, True, (), ""),
            ("Read Latency", Kind.DURATION, True, (), ""),
            ("Capacity", Kind.BYTES, True, ("Total Space",), ""),
        ),
    ),
    "clusters": ("Clusters", ("Cluster",), (), (_NAME, *_CPU)),
    "sddcs": ("SDDCs", ("SDDC", "Data Center", "Data Centers"), (), (_NAME,)),
    "firewall rules": ("Firewall Rules", ("Firewall Rule",), (), (_NAME,)),
    "security groups": ("Security Groups", ("Security Group",), (), (_NAME,)),
    "security tags": ("Security Tags", ("Security Tag",), (), (_NAME,)),
    "switches": ("Switches", ("Switch",), (), (_NAME,)),
    "routers": ("Routers", ("Router",), (), (_NAME,)),
    "events": ("Events", ("Event", "Problem", "Problems", "Alerts"), (), (_NAME,)),
}


def key(name: str) -> str:
    """What a name is looked up by: without case, with one blank between words, abbreviations spelled out."""
    words = name.lower().replace("_", " ").split()
    return " ".join(_ABBREVIATIONS.get(word, word) for word in words)


@cache
def entities() -> dict[str, Entity]:
    """All of them, by Query.entity."""
    flows = Entity("flows", "Flows", ("flows", "flow"), _named("flows", _flow_properties()))
    found = {"flows": flows}
    for name, (label, others, rows, not_held) in _ENTITIES.items():
        own = [(_property(name, row), row[3]) for row in rows]
        own += [(_property(name, row, is_held=False), row[3]) for row in not_held]
        words = tuple(key(word) for word in (label, *others))
        properties = _named(name, own)
        for word in words:  # what stands for one of them is its name: VMs where VM = 'a'
            properties.setdefault(word, properties["name"])
        found[name] = Entity(name, label, words, properties, is_held=bool(rows))
    return found


@cache
def entity_words() -> dict[str, Entity]:
    """Entities by each of their words."""
    return {word: entity for entity in entities().values() for word in entity.words}


@cache
def entity_labels() -> dict[str, str]:
    """How those entities are shown that queries can be answered of, by each of their words."""
    return {word: entity.label for word, entity in entity_words().items() if entity.is_held}


@cache
def property_words() -> frozenset[str]:
    """All that properties of whatever entity are called."""
    return frozenset(word for entity in entities().values() for word in entity.properties)


def _flow_properties() -> Iterator[tuple[Property, Iterable[str]]]:
    for row in _FLOW:
        yield _property("flows", row), row[3]
    for row in _ENDS:
        yield from _both_ends(row)
    for name in _FLOW_NOT_HELD:
        yield from _both_ends((name, Kind.TEXT, False, (), ""), is_held=False)
    yield _property("flows", ("Firewall Rule", Kind.TEXT, False, (), ""), is_held=False), ("Firewall Rule ID",)
    yield _property("flows", ("Firewall Action", Kind.TEXT, False, (), ""), is_held=False), ()


def _both_ends(row: _Row, *, is_held: bool = True) -> Iterator[tuple[Property, Iterable[str]]]:
    """A property of the source, one of the destination, and the one that means either."""
    name, kind, metric, others, text = row
    sides = []
    for side, role in (("Source", "client"), ("Destination", "server")):
        of_side = (f"{side} {name}", kind, metric, (), f"{text} of the {role}" if text else "")
        sides.append(_property("flows", of_side, is_held=is_held))
        yield sides[-1], [f"{side} {other}" for other in others] + ([side] if name == "IP Address" else [])
    either = (sides[0].column, sides[1].column)
    description = f"{text} of client or server" if text else ""
    largest = _LARGEST.get(name)
    yield Property("flows", name, kind, sides[0].column, metric, either, description, is_held, largest), others


def _property(entity: str, row: _Row, *, is_held: bool = True) -> Property:
    name, kind, metric, _, text = row
    column = name.lower().replace(" ", "_")
    return Property(entity, name, kind, column, metric, (), text, is_held, _LARGEST.get(name))


def _named(entity: str, own: Iterable[tuple[Property, Iterable[str]]]) -> dict[str, Property]:
    """Raises ValueError when a name means two properties."""
    found: dict[str, Property] = {}
    for one, others in own:
        for name in map(key, (one.name, *others)):
            if found.setdefault(name, one) is not one:
                raise ValueError(f"{entity}: {name!r} is {found[name].name} and {one.name}")
    return found
