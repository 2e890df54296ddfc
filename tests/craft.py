"""Frames for tests, layer by layer as on the wire: `bytes(ethernet() / ipv4("10.0.0.1", "10.0.0.2") / tcp() / b"hi")`.

Lengths, type numbers and checksums come out right by themselves; an argument that names one of them sets it wrong.
Numbers outside a field's range raise struct.error.
"""

import struct
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv6Address

IS_LENGTH = -1  # the Layer.ether_type of LLC: 802.3 puts the length where Ethernet II puts the type
TRANSPARENT_ETHERNET = 0x6558


@dataclass(frozen=True)
class Layer:
    """One header. `build` gets the payload, the layers around it (outermost first) and the one inside."""

    build: Callable[[bytes, "Sequence[Layer]", "Layer"], bytes]
    ether_type: int = 0  # how a link or tunnel header names this layer
    protocol: int = 59  # how an IP header names it; 59 is "no next header"
    addresses: bytes = b""  # what the checksums inside cover of it


class Frame:
    """Layers, outermost first: `a / b` puts b inside a, and bytes() builds it all."""

    def __init__(self, *layers: Layer) -> None:
        self.layers = layers

    def __truediv__(self, inner: "Frame | bytes") -> "Frame":
        return Frame(*self.layers, *(raw(inner).layers if isinstance(inner, bytes) else inner.layers))

    def __bytes__(self) -> bytes:
        built, inside = b"", NOTHING
        for depth in reversed(range(len(self.layers))):
            built = self.layers[depth].build(built, self.layers[:depth], inside)
            inside = self.layers[depth]
        return built

    def __len__(self) -> int:
        return len(bytes(self))


NOTHING = Layer(lambda payload, outer, inner: payload)


def raw(data: bytes, *, ether_type: int = 0, protocol: int = 59) -> Frame:
    """Bytes as they are; the numbers say what the header around them shall call them."""
    return Frame(Layer(lambda payload, outer, inner: data + payload, ether_type, protocol))


def checksum(data: bytes) -> int:
    """The Internet checksum (RFC 1071)."""
    total = sum(struct.unpack(f"!{(len(data) + 1) // 2}H", data + bytes(len(data) % 2)))
    return ~(total % 0xFFFF or (0xFFFF if total else 0)) & 0xFFFF


def crc32c(data: bytes) -> int:
    """The Castagnoli CRC (RFC 9260, appendix A)."""
    crc = 0xFFFFFFFF
    for byte in data:
        crc ^= byte
        for _ in range(8):
            crc = crc >> 1 ^ (0x82F63B78 if crc & 1 else 0)
    return ~crc & 0xFFFFFFFF


def given(value: int | None, right: int) -> int:
    return right if value is None else value


def mac(text: str) -> bytes:
    return bytes.fromhex(text.replace(":", ""))


def padded(data: bytes, multiple: int) -> bytes:
    return data + bytes(-len(data) % multiple)


def option(kind: int, data: bytes = b"") -> bytes:
    """An option of IPv4 or TCP."""
    return struct.pack("!BB", kind, len(data) + 2) + data


# --- links

_REVERSED_BITS = bytes(int(f"{byte:08b}"[::-1], 2) for byte in range(256))


def ethernet(
    source: str = "02:00:00:00:00:01",
    destination: str = "02:00:00:00:00:02",
    *,
    ether_type: int | None = None,
    minimum: int = 0,
    trailer: bytes = b"",
) -> Frame:
    """Ethernet II, or 802.3 around llc(). `minimum` pads the frame (60 is what a NIC sends); `trailer` e.g. an FCS."""

    def build(payload: bytes, outer: Sequence[Layer], inner: Layer) -> bytes:
        number = given(ether_type, len(payload) if inner.ether_type == IS_LENGTH else inner.ether_type)
        return (mac(destination) + mac(source) + struct.pack("!H", number) + payload).ljust(minimum, b"\0") + trailer

    return Frame(Layer(build, TRANSPARENT_ETHERNET, 143))


def vlan(vlan_id: int, *, priority: int = 0, tpid: int = 0x8100, ether_type: int | None = None) -> Frame:
    """An 802.1Q tag; two are QinQ, the outer one with tpid=0x88A8."""

    def build(payload: bytes, outer: Sequence[Layer], inner: Layer) -> bytes:
        number = given(ether_type, len(payload) if inner.ether_type == IS_LENGTH else inner.ether_type)
        return struct.pack("!HH", priority << 13 | vlan_id, number) + payload

    return Frame(Layer(build, tpid))


def llc(dsap: int = 0x42, ssap: int = 0x42, control: int = 3) -> Frame:
    return Frame(Layer(lambda payload, outer, inner: bytes([dsap, ssap, control]) + payload, IS_LENGTH))


def snap(oui: int = 0) -> Frame:
    """LLC and SNAP (RFC 1042)."""

    def build(payload: bytes, outer: Sequence[Layer], inner: Layer) -> bytes:
        return b"\xaa\xaa\x03" + oui.to_bytes(3, "big") + struct.pack("!H", inner.ether_type) + payload

    return Frame(Layer(build, IS_LENGTH))


def sll(packet_type: int = 0, *, hardware: int = 1, address: str = "02:00:00:00:00:01") -> Frame:
    """LINKTYPE_LINUX_SLL, 113."""

    def build(payload: bytes, outer: Sequence[Layer], inner: Layer) -> bytes:
        return struct.pack("!HHH8sH", packet_type, hardware, 6, mac(address), inner.ether_type) + payload

    return Frame(Layer(build))


def sll2(packet_type: int = 0, *, interface: int = 2, hardware: int = 1, address: str = "02:00:00:00:00:01") -> Frame:
    """LINKTYPE_LINUX_SLL2, 276."""

    def build(payload: bytes, outer: Sequence[Layer], inner: Layer) -> bytes:
        fields = inner.ether_type, 0, interface, hardware, packet_type, 6, mac(address)
        return struct.pack("!HHIHBB8s", *fields) + payload

    return Frame(Layer(build))


def token_ring(
    source: str = "00:00:00:00:00:01",
    destination: str = "00:00:00:00:00:02",
    *,
    frame_control: int = 0x40,
    routing: bytes = b"",
) -> Frame:
    """LINKTYPE_IEEE802_5, 6. `routing` is the routing information field, which the source's first bit announces."""
    sender = mac(source)
    sender = bytes([sender[0] | (0x80 if routing else 0)]) + sender[1:]
    return raw(bytes([0x10, frame_control]) + mac(destination) + sender + routing)


def fddi(source: str = "02:00:00:00:00:01", destination: str = "02:00:00:00:00:02", *, control: int = 0x54) -> Frame:
    """LINKTYPE_FDDI, 10."""
    ends = (mac(destination) + mac(source)).translate(_REVERSED_BITS)
    return raw(bytes([control]) + ends)


def null(*, family: int | None = None, order: str = "<") -> Frame:
    """LINKTYPE_NULL, 0, in the byte order of the capturing host; with order=">" also LINKTYPE_LOOP, 108."""

    def build(payload: bytes, outer: Sequence[Layer], inner: Layer) -> bytes:
        return struct.pack(order + "I", given(family, 24 if inner.ether_type == 0x86DD else 2)) + payload

    return Frame(Layer(build))


# --- network


def arp(
    operation: int = 1,
    sender: str = "10.0.0.1",
    target: str = "10.0.0.2",
    *,
    sender_mac: str = "02:00:00:00:00:01",
    target_mac: str = "00:00:00:00:00:00",
) -> Frame:
    ends = mac(sender_mac), IPv4Address(sender).packed, mac(target_mac), IPv4Address(target).packed
    return raw(struct.pack("!HHBBH6s4s6s4s", 1, 0x0800, 6, 4, operation, *ends), ether_type=0x0806)


def ipv4(
    source: str = "10.0.0.1",
    destination: str = "10.0.0.2",
    *,
    ttl: int = 64,
    tos: int = 0,
    identification: int = 1,
    dont_fragment: bool = False,
    more_fragments: bool = False,
    fragment_offset: int = 0,
    options: bytes = b"",
    protocol: int | None = None,
    total_length: int | None = None,
    header_words: int | None = None,
    header_checksum: int | None = None,
) -> Frame:
    """IPv4 (RFC 791). `fragment_offset` is in bytes."""
    ends = IPv4Address(source).packed + IPv4Address(destination).packed
    wanted = padded(options, 4)
    fragment = dont_fragment << 14 | more_fragments << 13 | fragment_offset // 8

    def build(payload: bytes, outer: Sequence[Layer], inner: Layer) -> bytes:
        words = given(header_words, 5 + len(wanted) // 4)
        total = given(total_length, 20 + len(wanted) + len(payload))
        number = given(protocol, inner.protocol)
        start = struct.pack("!BBHHHBB", 0x40 | words, tos, total, identification, fragment, ttl, number)
        check = given(header_checksum, checksum(start + ends + wanted))
        return start + struct.pack("!H", check) + ends + wanted + payload

    return Frame(Layer(build, 0x0800, 4, ends))


def ipv6(
    source: str = "2001:db8::1",
    destination: str = "2001:db8::2",
    *,
    hop_limit: int = 64,
    traffic_class: int = 0,
    flow_label: int = 0,
    next_header: int | None = None,
    payload_length: int | None = None,
) -> Frame:
    """IPv6 (RFC 8200)."""
    ends = IPv6Address(source).packed + IPv6Address(destination).packed

    def build(payload: bytes, outer: Sequence[Layer], inner: Layer) -> bytes:
        first = 6 << 28 | traffic_class << 20 | flow_label
        length, number = given(payload_length, len(payload)), given(next_header, inner.protocol)
        return struct.pack("!IHBB", first, length, number, hop_limit) + ends + payload

    return Frame(Layer(build, 0x86DD, 41, ends))


def extension(kind: int, body: bytes = b"\1\4\0\0\0\0", *, length: int | None = None) -> Frame:
    """An IPv6 extension header: 0 hop-by-hop, 43 routing, 60 destination options. `body` follows the length byte."""
    wanted = body + bytes(-(len(body) + 2) % 8)

    def build(payload: bytes, outer: Sequence[Layer], inner: Layer) -> bytes:
        return bytes([inner.protocol, given(length, (len(wanted) + 2) // 8 - 1)]) + wanted + payload

    return Frame(Layer(build, protocol=kind))


def ipv6_fragment(
    offset: int = 0, *, more: bool = False, identification: int = 1, next_header: int | None = None
) -> Frame:
    """The IPv6 fragment header; `offset` is in bytes."""

    def build(payload: bytes, outer: Sequence[Layer], inner: Layer) -> bytes:
        return struct.pack("!BBHI", given(next_header, inner.protocol), 0, offset | more, identification) + payload

    return Frame(Layer(build, protocol=44))


def authentication(spi: int = 1, sequence: int = 1, *, check: bytes = bytes(12)) -> Frame:
    """The IP authentication header (RFC 4302)."""

    def build(payload: bytes, outer: Sequence[Layer], inner: Layer) -> bytes:
        words = (12 + len(check)) // 4 - 2
        return struct.pack("!BBHII", inner.protocol, words, 0, spi, sequence) + check + payload

    return Frame(Layer(build, protocol=51))


def fragments(packet: Frame, size: int) -> list[Frame]:
    """An ipv4() or ipv6() packet cut into pieces of `size` payload bytes, a multiple of 8; other fields are kept."""
    whole = bytes(packet)
    version4 = whole[0] >> 4 == 4
    start = (whole[0] & 15) * 4 if version4 else 40
    header, payload = whole[:start], whole[start:]
    pieces = []
    for offset in range(0, len(payload), size):
        more = offset + size < len(payload)
        piece = payload[offset : offset + size]
        if version4:
            changed = header[:2] + struct.pack("!H", start + len(piece)) + header[4:6]
            changed += struct.pack("!H", more << 13 | offset // 8) + header[8:10] + b"\0\0" + header[12:]
            built = changed[:10] + struct.pack("!H", checksum(changed)) + changed[12:] + piece
        else:
            built = header[:4] + struct.pack("!HB", 8 + len(piece), 44) + header[7:]
            built += struct.pack("!BBHI", header[6], 0, offset | more, 1) + piece
        pieces.append(raw(built, ether_type=packet.layers[0].ether_type, protocol=packet.layers[0].protocol))
    return pieces


# --- transport


def transport_checksum(segment: bytes, outer: Sequence[Layer], protocol: int) -> int:
    """Over the segment and the pseudo header of the IP layer around it; 0 when there is none."""
    addresses = next((layer.addresses for layer in reversed(outer) if layer.addresses), b"")
    if not addresses:
        return 0
    right = checksum(addresses + struct.pack("!II", len(segment), protocol) + segment)
    return 0xFFFF if protocol == 17 and right == 0 else right  # a UDP checksum of 0 says that there is none


TCP_FLAGS = "FSRPAUECN"  # the bits of the field, lowest first


def tcp(
    source_port: int = 40000,
    destination_port: int = 80,
    *,
    seq: int = 1,
    ack: int = 0,
    flags: str = "A",
    window: int = 65535,
    urgent: int = 0,
    options: bytes = b"",
    header_words: int | None = None,
    segment_checksum: int | None = None,
) -> Frame:
    """TCP (RFC 9293). `flags` are letters: F S R P A U, E for ECE, C for CWR, N for AE."""
    wanted = padded(options, 4)
    words = given(header_words, 5 + len(wanted) // 4)
    bits = words << 12 | sum(1 << TCP_FLAGS.index(letter) for letter in flags)

    def build(payload: bytes, outer: Sequence[Layer], inner: Layer) -> bytes:
        start = struct.pack("!HHIIHH", source_port, destination_port, seq, ack, bits, window)
        end = struct.pack("!H", urgent) + wanted + payload
        check = given(segment_checksum, transport_checksum(start + b"\0\0" + end, outer, 6))
        return start + struct.pack("!H", check) + end

    return Frame(Layer(build, protocol=6))


def udp(
    source_port: int = 40000,
    destination_port: int = 9999,
    *,
    length: int | None = None,
    datagram_checksum: int | None = None,
) -> Frame:
    """UDP (RFC 768)."""

    def build(payload: bytes, outer: Sequence[Layer], inner: Layer) -> bytes:
        start = struct.pack("!HHH", source_port, destination_port, given(length, 8 + len(payload)))
        check = given(datagram_checksum, transport_checksum(start + b"\0\0" + payload, outer, 17))
        return start + struct.pack("!H", check) + payload

    return Frame(Layer(build, protocol=17))


def icmp(kind: int = 8, code: int = 0, rest: bytes = b"\0\1\0\1") -> Frame:
    """ICMP (RFC 792). `rest` is the header's second word: identifier and sequence of an echo."""

    def build(payload: bytes, outer: Sequence[Layer], inner: Layer) -> bytes:
        start = bytes([kind, code])
        return start + struct.pack("!H", checksum(start + rest + payload)) + rest + payload

    return Frame(Layer(build, protocol=1))


def icmpv6(kind: int = 128, code: int = 0, rest: bytes = b"\0\1\0\1") -> Frame:
    """ICMPv6 (RFC 4443)."""

    def build(payload: bytes, outer: Sequence[Layer], inner: Layer) -> bytes:
        start = bytes([kind, code])
        right = transport_checksum(start + b"\0\0" + rest + payload, outer, 58)
        return start + struct.pack("!H", right) + rest + payload

    return Frame(Layer(build, protocol=58))


def sctp(source_port: int = 40000, destination_port: int = 5001, *, tag: int = 1) -> Frame:
    """SCTP (RFC 9260); put one sctp_chunk() or several inside."""

    def build(payload: bytes, outer: Sequence[Layer], inner: Layer) -> bytes:
        start = struct.pack("!HHI", source_port, destination_port, tag)
        return start + struct.pack("<I", crc32c(start + bytes(4) + payload)) + payload

    return Frame(Layer(build, protocol=132))


def sctp_chunk(kind: int, value: bytes = b"", *, flags: int = 0) -> bytes:
    return padded(struct.pack("!BBH", kind, flags, 4 + len(value)) + value, 4)
