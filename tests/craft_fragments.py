"""Fragments for tests, one by one: `piece(ipv4() / udp() / data, 0, 16)` is the packet's first 16 bytes behind IP."""

import struct

from tests.craft import Frame, checksum, raw


def piece(
    packet: Frame,
    start: int,
    end: int | None = None,
    *,
    more: bool | None = None,
    data: bytes | None = None,
    identification: int = 1,
    next_header: int | None = None,
) -> Frame:
    """Bytes [start, end) of what an ipv4() or ipv6() packet carries, as a fragment; without `end` all that is left.

    `data` stands there instead of the packet's own; `more` and `next_header` lie on purpose.
    """
    whole = bytes(packet)
    version4 = whole[0] >> 4 == 4
    header_length = (whole[0] & 15) * 4 if version4 else 40
    header, payload = whole[:header_length], whole[header_length:]
    part = payload[start:end] if data is None else data
    goes_on = (end is not None and end < len(payload)) if more is None else more
    if version4:
        total, marks = header_length + len(part), goes_on << 13 | start // 8
        number = header[9] if next_header is None else next_header
        head = header[:2] + struct.pack("!HHHBB", total, identification & 0xFFFF, marks, header[8], number)
        built = head + struct.pack("!H", checksum(head + header[12:])) + header[12:] + part
    else:
        number = header[6] if next_header is None else next_header
        built = header[:4] + struct.pack("!HB", 8 + len(part), 44) + header[7:]
        built += struct.pack("!BBHI", number, 0, start | goes_on, identification) + part
    return raw(built, ether_type=packet.layers[0].ether_type, protocol=packet.layers[0].protocol)


def pieces(packet: Frame, size: int, *, identification: int = 1) -> list[Frame]:
    """All of the packet in fragments of `size` bytes, a multiple of 8."""
    length = len(bytes(packet)) - (20 if bytes(packet)[0] >> 4 == 4 else 40)
    return [piece(packet, at, at + size, identification=identification) for at in range(0, length, size)]
