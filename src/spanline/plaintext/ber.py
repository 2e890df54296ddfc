"""BER elements as protocols use them: tags of one byte, definite lengths (ITU-T X.690 section 8.1).

|tag 1|length 1, or 0x80 + n and n bytes|content|
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

from spanline.plaintext.records import UNDECIDED, WRONG, Octets

INTEGER, OCTETS, SEQUENCE, ENUMERATED, OBJECT = 0x02, 0x04, 0x30, 0x0A, 0x06
_MOST_LENGTH_BYTES = 4
_MOST_ELEMENTS = 64


class Element(NamedTuple):
    """Its content stands from `start` up to `end` in the bytes it was read from."""

    tag: int
    start: int
    end: int


def end_of(data: Octets, at: int) -> tuple[int, int]:
    """(start, end) of the content of the element at a place; (UNDECIDED, 0) or (WRONG, 0) as records.Length."""
    if len(data) < at + 2:
        return UNDECIDED, 0
    first = data[at + 1]
    if first < 0x80:
        return at + 2, at + 2 + first
    count = first & 0x7F
    if not 1 <= count <= _MOST_LENGTH_BYTES:
        return WRONG, 0
    start = at + 2 + count
    if len(data) < start:
        return UNDECIDED, 0
    return start, start + int.from_bytes(data[at + 2 : start], "big")


def sequence_length(data: Octets) -> int:
    """records.Length of protocols whose messages are sequences."""
    if data[0] != SEQUENCE:
        return WRONG
    start, end = end_of(data, 0)
    return end if start > 0 else start


def elements(data: Octets, start: int, end: int) -> Iterator[Element]:
    """The elements one after another in data[start:end]; ends before one that is not whole."""
    end = min(end, len(data))
    for _ in range(_MOST_ELEMENTS):
        content, after = end_of(data, start)
        if content <= start or after > end:
            return
        yield Element(data[start], content, after)
        start = after


def children(data: Octets, element: Element) -> tuple[Element, ...]:
    return tuple(elements(data, element.start, element.end))


def whole(data: Octets) -> tuple[Element, ...]:
    """What is inside the sequence that `data` begins with; nothing when it begins otherwise."""
    for outer in elements(data, 0, len(data)):
        return children(data, outer) if outer.tag == SEQUENCE else ()
    return ()


def tags(parts: tuple[Element, ...]) -> bytes:
    return bytes(part.tag for part in parts)


def content(data: Octets, element: Element) -> bytes:
    return bytes(data[element.start : element.end])


def number(data: Octets, element: Element) -> int:
    """An integer's value; of a hostile one its last 8 bytes'."""
    return int.from_bytes(data[max(element.start, element.end - 8) : element.end], "big", signed=True)
