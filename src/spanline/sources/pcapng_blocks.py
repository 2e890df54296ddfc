"""What pcapng's interface, section and statistics blocks say to people; framing needs none of it.

specification: draft-ietf-opsawg-pcapng, sections 3.5, 4.1, 4.2, 4.6
"""

from __future__ import annotations

import struct
from collections.abc import Iterator

SECTION, INTERFACE, STATISTICS = 0x0A0D0D0A, 1, 5

NO_STATISTICS = 12
"""Length of the body of a statistics block that says nothing."""

# A block can have millions of empty options.
_MOST_OPTIONS = 1000

# Where the options begin in a block's body.
_OPTIONS_AT = {SECTION: 16, INTERFACE: 8, STATISTICS: NO_STATISTICS}
_SECTION_TEXTS = {1: "comment", 2: "hardware", 3: "os", 4: "application"}
_INTERFACE_TEXTS = {2: "name", 3: "description", 11: "filter", 12: "os"}
_COUNTERS = {4: "received", 5: "dropped", 6: "accepted", 7: "os_dropped", 8: "delivered"}


def _options(block_type: int, body: bytes, order: str) -> Iterator[tuple[int, bytes]]:
    at = _OPTIONS_AT[block_type]
    for _ in range(_MOST_OPTIONS):
        if at + 4 > len(body):
            return
        code, length = struct.unpack_from(f"{order}HH", body, at)
        value = body[at + 4 : at + 4 + length]
        if code == 0 or len(value) < length:
            return
        yield code, value
        at += 4 + (length + 3) // 4 * 4


def _text(value: bytes) -> str:
    return value.rstrip(b"\0").decode(errors="replace")


def section_texts(body: bytes, order: str) -> dict[str, str]:
    """comment, hardware, os and application, as far as the section header block has them."""
    options = _options(SECTION, body, order)
    return {_SECTION_TEXTS[code]: _text(value) for code, value in options if code in _SECTION_TEXTS}


def interface_texts(body: bytes, order: str) -> dict[str, str]:
    """name, description, filter and os, as far as the interface description block has them."""
    texts = {}
    for code, value in _options(INTERFACE, body, order):
        if code in _INTERFACE_TEXTS:
            # if_filter starts with a byte that says what follows; 0 is text in libpcap's filter language.
            texts[_INTERFACE_TEXTS[code]] = _text(value[1:] if code == 11 else value)
    return texts


def statistics(body: bytes, order: str) -> dict[str, int]:
    """The counters of an interface statistics block, as far as it has them."""
    counters = {}
    for code, value in _options(STATISTICS, body, order):
        if code in _COUNTERS and len(value) == 8:
            counters[_COUNTERS[code]] = struct.unpack(f"{order}Q", value)[0]
    return counters
