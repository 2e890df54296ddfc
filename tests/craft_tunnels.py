"""Encapsulations for tests, used like the layers of craft.py: `udp(50000, 4789) / vxlan(7) / ethernet() / …`."""

import struct
from collections.abc import Sequence

from tests.craft import Frame, Layer, checksum, given, padded


def vxlan(vni: int, *, flags: int = 0x08, reserved: int = 0) -> Frame:
    """VXLAN (RFC 7348), inside udp(..., 4789)."""
    return Frame(Layer(lambda payload, outer, inner: struct.pack("!II", flags << 24 | reserved, vni << 8) + payload))


def geneve(vni: int, *, options: bytes = b"", flags: int = 0, version: int = 0) -> Frame:
    """GENEVE (RFC 8926), inside udp(..., 6081)."""
    wanted = padded(options, 4)

    def build(payload: bytes, outer: Sequence[Layer], inner: Layer) -> bytes:
        first = version << 6 | len(wanted) // 4
        return struct.pack("!BBHI", first, flags, inner.ether_type, vni << 8) + wanted + payload

    return Frame(Layer(build))


def geneve_option(kind: int, data: bytes = b"", *, option_class: int = 0x0108) -> bytes:
    """An option of GENEVE; the class is one of Amazon's, as gateway load balancers send it."""
    wanted = padded(data, 4)
    return struct.pack("!HBB", option_class, kind, len(wanted) // 4) + wanted


def gre(
    *,
    key: int | None = None,
    sequence: int | None = None,
    with_checksum: bool = False,
    version: int = 0,
    protocol: int | None = None,
) -> Frame:
    """GRE (RFC 2784, 2890). Around ethernet() it is Ethernet bridging, with protocol=0x88BE ERSPAN type I."""

    def build(payload: bytes, outer: Sequence[Layer], inner: Layer) -> bytes:
        flags = with_checksum << 15 | (key is not None) << 13 | (sequence is not None) << 12 | version
        start = struct.pack("!HH", flags, given(protocol, inner.ether_type))
        rest = b"".join(struct.pack("!I", field) for field in (key, sequence) if field is not None) + payload
        if with_checksum:
            rest = struct.pack("!HH", checksum(start + bytes(4) + rest), 0) + rest
        return start + rest

    return Frame(Layer(build, protocol=47))


def erspan2(session: int, *, vlan_id: int = 0, cos: int = 0, truncated: bool = False, index: int = 0) -> Frame:
    """ERSPAN type II, inside gre(sequence=...)."""
    words = 1 << 12 | vlan_id, cos << 13 | truncated << 10 | session
    return Frame(Layer(lambda payload, outer, inner: struct.pack("!HHI", *words, index) + payload, 0x88BE))


def erspan3(
    session: int,
    *,
    vlan_id: int = 0,
    timestamp: int = 0,
    granularity: int = 0,
    frame_type: int = 0,
    truncated: bool = False,
    egress: bool = False,
    platform: bytes = b"",
) -> Frame:
    """ERSPAN type III, inside gre(sequence=...). `frame_type` 2 holds IP; `platform` the optional 8-byte subheader."""
    words = 2 << 12 | vlan_id, truncated << 10 | session
    end = frame_type << 10 | egress << 3 | granularity << 1 | bool(platform)
    header = struct.pack("!HHIHH", *words, timestamp, 0, end) + platform
    return Frame(Layer(lambda payload, outer, inner: header + payload, 0x22EB))


def mpls(label: int, *, traffic_class: int = 0, ttl: int = 64) -> Frame:
    """One MPLS label (RFC 3032); the last of several is marked as the bottom of the stack."""

    def build(payload: bytes, outer: Sequence[Layer], inner: Layer) -> bytes:
        bottom = inner.ether_type != 0x8847
        return struct.pack("!I", label << 12 | traffic_class << 9 | bottom << 8 | ttl) + payload

    return Frame(Layer(build, 0x8847, 137))


def pppoe(session: int = 1) -> Frame:
    """A PPPoE session frame (RFC 2516) with its PPP protocol number, around IPv4 or IPv6."""

    def build(payload: bytes, outer: Sequence[Layer], inner: Layer) -> bytes:
        number = {0x0800: 0x0021, 0x86DD: 0x0057, 0x8847: 0x0281}[inner.ether_type]
        return struct.pack("!BBHHH", 0x11, 0, session, 2 + len(payload), number) + payload

    return Frame(Layer(build, 0x8864))


def gtp_u(teid: int, *, kind: int = 255, sequence: int | None = None) -> Frame:
    """GTP-U version 1 (3GPP TS 29.281), inside udp(..., 2152)."""

    def build(payload: bytes, outer: Sequence[Layer], inner: Layer) -> bytes:
        more = struct.pack("!HH", sequence, 0) if sequence is not None else b""
        flags = 0x30 | bool(more) << 1
        return struct.pack("!BBHI", flags, kind, len(more) + len(payload), teid) + more + payload

    return Frame(Layer(build))
