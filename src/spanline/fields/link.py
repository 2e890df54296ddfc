"""Fields of link layers: Ethernet, VLAN tags, LLC, Linux cooked capture, loopback, ARP."""

from __future__ import annotations

from collections.abc import Mapping

from spanline.fields.headers import NO_TEXTS, At, Variants, When, address, either, flag, number
from spanline.fields.model import Field, Kind
from spanline.fields.value_names import ARP_OPCODES, ELIGIBLE, ETHER_TYPES, PACKET_TYPES, PRIORITIES

# IEEE 802.3: 1500 and less is a length. In Ethernet headers tshark takes 0 for a type, and shows nothing of what lies
# between 1500 and 0x0600; in tags that is a type.
_TYPES, _TAG_TYPES, _LENGTHS = range(0x0600, 0x10000), range(1501, 0x10000), range(1501)
_SOURCE = address("eth.src", Kind.ETHER, "eth", 6, "Source")
_DESTINATION = address("eth.dst", Kind.ETHER, "eth", 0, "Destination")
_OF_MACS = When(0, 6, range(0x000108000604, 0x000108000605))

_SLL_SOURCE = At("sll", 6, 6, octets=True, when=When(4, 2, range(6, 7)))
_SLL2_SOURCE = At("sll2", 12, 6, octets=True, when=When(11, 1, range(6, 7)))
_SLL_TYPE, _SLL2_TYPE = At("sll", 14, 2, when=When(14, 2, _TYPES)), At("sll2", 0, 2, when=When(0, 2, _TYPES))


def _cooked(name: str, first: tuple[int, int], second: tuple[int, int], description: str, *,
            texts: Mapping[int, str] = NO_TEXTS) -> Field:  # fmt: skip
    """A number of both versions of Linux cooked captures, at (offset, width) in either."""
    places = At("sll", *first), At("sll2", *second)
    return Field(name, Kind.UNSIGNED, description, Variants(places), texts=texts)


FIELDS = (
    _DESTINATION,
    _SOURCE,
    either("eth.addr", _DESTINATION, _SOURCE, "Address"),
    number(
        "eth.type", "eth", 12, 2, "Type", digits=4, texts=ETHER_TYPES, when=When(12, 2, range(1, 0x0600), unless=True)
    ),
    number("eth.len", "eth", 12, 2, "Length", when=When(12, 2, range(1, 1501))),
    number("vlan.priority", "vlan", 0, 2, "Priority", mask=0xE000, texts=PRIORITIES),
    flag("vlan.dei", "vlan", 0, 2, 0x1000, "DEI", texts=ELIGIBLE),
    number("vlan.id", "vlan", 0, 2, "ID", mask=0x0FFF),
    number("vlan.etype", "vlan", 2, 2, "Type", digits=4, texts=ETHER_TYPES, when=When(2, 2, _TAG_TYPES)),
    number("vlan.len", "vlan", 2, 2, "Length", when=When(2, 2, _LENGTHS)),
    number("ieee8021ad.priority", "ieee8021ad", 0, 2, "Priority", mask=0xE000),
    number("ieee8021ad.dei", "ieee8021ad", 0, 2, "DEI", mask=0x1000),
    number("ieee8021ad.id", "ieee8021ad", 0, 2, "ID", mask=0x0FFF),
    number("llc.dsap", "llc", 0, 1, "DSAP", digits=2),
    number("llc.ssap", "llc", 1, 1, "SSAP", digits=2),
    _cooked("sll.pkttype", (0, 2), (10, 1), "Packet type", texts=PACKET_TYPES),
    _cooked("sll.hatype", (2, 2), (8, 2), "Link-layer address type"),
    _cooked("sll.halen", (4, 2), (11, 1), "Link-layer address length"),
    number("sll.ifindex", "sll2", 4, 4, "Interface index"),
    Field("sll.src.eth", Kind.ETHER, "Source", Variants((_SLL_SOURCE, _SLL2_SOURCE))),
    Field("sll.etype", Kind.UNSIGNED, "Protocol", Variants((_SLL_TYPE, _SLL2_TYPE)), 4, ETHER_TYPES),
    number("arp.hw.type", "arp", 0, 2, "Hardware type"),
    number("arp.proto.type", "arp", 2, 2, "Protocol type", digits=4, texts=ETHER_TYPES),
    number("arp.hw.size", "arp", 4, 1, "Hardware size"),
    number("arp.proto.size", "arp", 5, 1, "Protocol size"),
    number("arp.opcode", "arp", 6, 2, "Opcode", texts=ARP_OPCODES),
    address("arp.src.hw_mac", Kind.ETHER, "arp", 8, "Sender MAC address", when=_OF_MACS),
    address("arp.src.proto_ipv4", Kind.IPV4, "arp", 14, "Sender IP address", when=_OF_MACS),
    address("arp.dst.hw_mac", Kind.ETHER, "arp", 18, "Target MAC address", when=_OF_MACS),
    address("arp.dst.proto_ipv4", Kind.IPV4, "arp", 24, "Target IP address", when=_OF_MACS),
)
