"""What pcapng's interface, section and statistics blocks say to people; framing needs none of it.

specification: draft-ietf-opsawg-pcapng, sections 3.5, 4.1, 4.2, 4.6
"""

from __future__ import annotations

import struct
import sys
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
_IF_FILTER, _FILTER_TEXT = 11, 0
# if_tsresol and if_tsoffset: framing reads them.
_CLOCK = {9, 14}
# Options of an interface that are numbers, or begin with one: speeds, time zone, the enterprise of custom options.
_NUMBERS = {8: 8, 16: 8, 17: 8, 10: 4, 2988: 4, 2989: 4, 19372: 4, 19373: 4}
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
    options = _options(INTERFACE, body, order)
    return {
        _INTERFACE_TEXTS[code]: _text(value[1:] if code == _IF_FILTER else value)
        for code, value in options
        if _is_text(code, value)
    }


def _is_text(code: int, value: bytes) -> bool:
    """if_filter begins with a byte that says what follows: text in libpcap's language, or the program."""
    return code in _INTERFACE_TEXTS and (code != _IF_FILTER or value[:1] == bytes([_FILTER_TEXT]))


def interface_options(body: bytes, order: str) -> list[tuple[int, bytes]]:
    """The other options, except those of its clock; numbers are turned into the machine's byte order."""
    found = []
    for code, value in _options(INTERFACE, body, order):
        if code not in _CLOCK and not _is_text(code, value):
            number = _NUMBERS.get(code, 0)
            if (order == "<") != (sys.byteorder == "little") and len(value) >= number:
                value = value[:number][::-1] + value[number:]
            found.append((code, value))
    return found


def statistics(body: bytes, order: str) -> dict[str, int]:
    """The counters of an interface statistics block, as far as it has them."""
    counters = {}
    for code, value in _options(STATISTICS, body, order):
        if code in _COUNTERS and len(value) == 8:
            counters[_COUNTERS[code]] = struct.unpack(f"{order}Q", value)[0]
    return counters
