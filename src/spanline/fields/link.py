"""Fields of link layers: Ethernet, VLAN tags, LLC, Linux cooked capture, Token Ring, FDDI, ARP."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from spanline.batch import Batch
from spanline.fields.headers import NO_TEXTS, At, Variants, When, address, either, flag, number
from spanline.fields.model import Field, Kind, Occurrences, Rows
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


@dataclass(frozen=True, slots=True)
class Rewritten:
    """Addresses that are not written as they stand; `rewrite` takes and gives uint8[m, 6]."""

    place: At
    rewrite: Callable[[npt.NDArray[np.uint8]], npt.NDArray[np.uint8]]

    def __call__(self, batch: Batch, rows: Rows | None) -> Occurrences:
        found = self.place(batch, rows)
        return Occurrences(found.packet, found.layer, self.rewrite(np.asarray(found.values)))


def _with_reversed_bits(octets: npt.NDArray[np.uint8]) -> npt.NDArray[np.uint8]:
    return np.packbits(np.unpackbits(octets, axis=1), axis=1, bitorder="little")


def _without_first_bit(octets: npt.NDArray[np.uint8]) -> npt.NDArray[np.uint8]:
    return octets & np.array([0x7F, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF], np.uint8)


def _ether(name: str, description: str, *places: Rewritten | At) -> Field:
    return Field(name, Kind.ETHER, description, Variants(places))


_FDDI_DESTINATION = Rewritten(At("fddi", 1, 6, octets=True), _with_reversed_bits)
_FDDI_SOURCE = Rewritten(At("fddi", 7, 6, octets=True), _with_reversed_bits)
_RING_DESTINATION, _RING_SOURCE = At("tr", 2, 6, octets=True), At("tr", 8, 6, octets=True)

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
    number("tr.ac", "tr", 0, 1, "Access Control", digits=2),
    number("tr.fc", "tr", 1, 1, "Frame Control", digits=2),
    number("tr.frame_type", "tr", 1, 1, "Frame Type", mask=0xC0),
    address("tr.dst", Kind.ETHER, "tr", 2, "Destination"),
    # tshark has it twice: as it stands, and without the bit that says that the frame is routed.
    _ether("tr.src", "Source", _RING_SOURCE, Rewritten(_RING_SOURCE, _without_first_bit)),
    _ether("tr.addr", "Source or Destination Address", _RING_DESTINATION, _RING_SOURCE),
    number("fddi.fc", "fddi", 0, 1, "Frame Control", digits=2),
    # tshark has each of these twice, so that either order of bits can be asked for.
    _ether("fddi.dst", "Destination", _FDDI_DESTINATION, _FDDI_DESTINATION),
    _ether("fddi.src", "Source", _FDDI_SOURCE, _FDDI_SOURCE),
    _ether(
        "fddi.addr", "Source or Destination Address", _FDDI_DESTINATION, _FDDI_DESTINATION, _FDDI_SOURCE, _FDDI_SOURCE
    ),
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
