"""pcapng's blocks around frames, as they are written: sections, interfaces, statistics; in the machine's byte order.

specification: draft-ietf-opsawg-pcapng, sections 3.5, 4.1, 4.2, 4.6
"""

from __future__ import annotations

import struct
from collections.abc import Iterable
from typing import TYPE_CHECKING

from spanline.errors import OutputError

if TYPE_CHECKING:
    from spanline.chunk import Interface

COMMENT, HARDWARE, OS, APPLICATION = 1, 2, 3, 4
"""Options of a section; a comment may stand in every block."""

START_TIME, END_TIME, RECEIVED, DROPPED, ACCEPTED, OS_DROPPED, DELIVERED = 2, 3, 4, 5, 6, 7, 8
"""Options of a statistics block: isb_starttime and so on, as section 4.6 names and defines them."""

MAC_ADDRESS, SPEED = 6, 8
"""Options of an interface: if_MACaddr, 6 bytes; if_speed, bit/s in 8 bytes."""

_SECTION, _INTERFACE, _STATISTICS = 0x0A0D0D0A, 1, 5
_MOST_OPTION = 65532
# 292 years, which 64 bits of nanoseconds hold.
_MOST_OFFSET = 9_223_372_036


def section(texts: Iterable[tuple[int, str]]) -> bytes:
    """A section header block, with what it says of itself: codes of options, and their text."""
    start = struct.pack("=IHHq", 0x1A2B3C4D, 1, 0, -1)
    return _block(_SECTION, start, [(code, text.encode()) for code, text in texts])


def interface(described: Interface) -> bytes:
    """An interface description block. Raises OutputError when pcapng has no room for its link type."""
    if described.link_type > 0xFFFF:
        raise OutputError(f"pcapng has no room for link type {described.link_type}", hint="name the file .pcap")
    texts = (2, described.name), (3, described.description), (12, described.os)
    options = [(code, text.encode()) for code, text in texts if text]
    if described.filter:
        options.append((11, b"\0" + described.filter.encode()))
    options.append((9, bytes([digits(described)])))
    if described.offset:
        options.append((14, struct.pack("=q", clock(described)[0] // 10**9)))
    start = struct.pack("=HHI", described.link_type, 0, described.snaplen)
    return _block(_INTERFACE, start, options + described.options)


def statistics(number: int, described: Interface, begin: int, end: int, counters: Iterable[tuple[int, int]]) -> bytes:
    """An interface statistics block of interface `number`, from `begin` to `end`, ns since the epoch.

    counters  codes of options and their value; RECEIVED and those behind it count frames
    """
    times = _ticks(described, begin), _ticks(described, end)
    options = [(START_TIME, times[0]), (END_TIME, times[1])]
    options += [(code, struct.pack("=Q", value)) for code, value in counters]
    return _block(_STATISTICS, struct.pack("=I", number) + times[1], options)


def digits(described: Interface) -> int:
    """Of the second, in its times: 9 where they are no power of ten, or finer than ns."""
    return next((n for n in range(9) if described.resolution == 10.0**-n), 9)


def clock(described: Interface) -> tuple[int, int]:
    """(ns taken from the times of its frames, ns of a tick)"""
    offset = max(-_MOST_OFFSET, min(described.offset, _MOST_OFFSET))
    return offset * 10**9, 10 ** (9 - digits(described))


def _ticks(described: Interface, time: int) -> bytes:
    """|high 4|low 4|"""
    offset, tick = clock(described)
    ticks = max(time - offset, 0) // tick
    return struct.pack("=II", ticks >> 32, ticks & 0xFFFFFFFF)


def _option(code: int, value: bytes) -> bytes:
    value = value[:_MOST_OPTION]
    return struct.pack("=HH", code, len(value)) + value + bytes(-len(value) % 4)


def _block(kind: int, body: bytes, options: Iterable[tuple[int, bytes]]) -> bytes:
    encoded = b"".join(_option(code, value) for code, value in options)
    body += encoded + (_option(0, b"") if encoded else b"")
    return struct.pack("=II", kind, len(body) + 12) + body + struct.pack("=I", len(body) + 12)
