"""Fields of link layers: Ethernet, VLAN tags, LLC, Linux cooked capture, loopback, ARP."""

from __future__ import annotations

from spanline.fields.headers import When, address, either, flag, number
from spanline.fields.model import Kind
from spanline.fields.value_names import ARP_OPCODES, ELIGIBLE, ETHER_TYPES, PACKET_TYPES, PRIORITIES

_TYPES, _LENGTHS = range(0x0600, 0x10000), range(0x0600)
_SOURCE = address("eth.src", Kind.ETHER, "eth", 6, "Source")
_DESTINATION = address("eth.dst", Kind.ETHER, "eth", 0, "Destination")
_OF_MACS = When(0, 6, range(0x000108000604, 0x000108000605))

FIELDS = (
    _DESTINATION,
    _SOURCE,
    either("eth.addr", _DESTINATION, _SOURCE, "Address"),
    number("eth.type", "eth", 12, 2, "Type", digits=4, texts=ETHER_TYPES, when=When(12, 2, _TYPES)),
    number("eth.len", "eth", 12, 2, "Length", when=When(12, 2, _LENGTHS)),
    number("vlan.priority", "vlan", 0, 2, "Priority", mask=0xE000, texts=PRIORITIES),
    flag("vlan.dei", "vlan", 0, 2, 0x1000, "DEI", texts=ELIGIBLE),
    number("vlan.id", "vlan", 0, 2, "ID", mask=0x0FFF),
    number("vlan.etype", "vlan", 2, 2, "Type", digits=4, texts=ETHER_TYPES, when=When(2, 2, _TYPES)),
    number("vlan.len", "vlan", 2, 2, "Length", when=When(2, 2, _LENGTHS)),
    number("ieee8021ad.priority", "ieee8021ad", 0, 2, "Priority", mask=0xE000),
    number("ieee8021ad.dei", "ieee8021ad", 0, 2, "DEI", mask=0x1000),
    number("ieee8021ad.id", "ieee8021ad", 0, 2, "ID", mask=0x0FFF),
    number("llc.dsap", "llc", 0, 1, "DSAP", digits=2),
    number("llc.ssap", "llc", 1, 1, "SSAP", digits=2),
    number("sll.pkttype", "sll", 0, 2, "Packet type", texts=PACKET_TYPES),
    number("sll.hatype", "sll", 2, 2, "Link-layer address type"),
    number("sll.halen", "sll", 4, 2, "Link-layer address length"),
    address("sll.src.eth", Kind.ETHER, "sll", 6, "Source", when=When(4, 2, range(6, 7))),
    number("sll.etype", "sll", 14, 2, "Protocol", digits=4, texts=ETHER_TYPES, when=When(14, 2, _TYPES)),
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
