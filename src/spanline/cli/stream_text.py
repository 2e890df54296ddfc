"""Bytes of a stream as text or hexadecimal digits, with what is hidden left out."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import NamedTuple

HIDDEN = "•"
HIDDEN_DIGITS = "xx"

_DOTTED = bytes(n if 0x20 <= n < 0x7F or n in b"\r\n" else ord(".") for n in range(256))
_PRINTED = bytes(n if 0x20 <= n < 0x7F else ord(".") for n in range(256))
_A_LINE = 16

Ranges = Sequence[tuple[int, int]]
"""From where to where, in order and apart from one another."""


class Shown(NamedTuple):
    """What one node sent, with the ranges of it that are not to be seen."""

    node: int
    octets: bytes
    hidden: Ranges = ()


def ascii_text(shown: Shown) -> str:
    """A character a byte: ASCII that prints and line ends as they are, a dot for each other byte (Wireshark)."""
    return _covered(shown.octets.translate(_DOTTED).decode("ascii"), shown.hidden)


def unicode_text(shown: Shown) -> str:
    """UTF-8, with the line ends that it has; a dot for each byte that is none, and for what does not print."""
    parts, done = [], 0
    for start, end in [*shown.hidden, (len(shown.octets), len(shown.octets))]:
        parts.append(shown.octets[done:start].decode("utf-8", "replace"))
        parts.append(HIDDEN * (end - start))
        done = end
    text = "".join(parts).replace("\r\n", "\n").replace("\r\0", "\n")
    return "".join(c if c == "\n" or (c.isprintable() and c != "\ufffd") else "." for c in text)


def digits(shown: Shown) -> str:
    """Two hexadecimal digits a byte."""
    if not shown.hidden:
        return shown.octets.hex()
    return "".join(_pairs(shown))


def hex_lines(shown: Shown, position: int) -> Iterator[str]:
    """Sixteen bytes a line, as digits and as text, behind the place of the first; that of `octets` is `position`."""
    pairs = _pairs(shown)
    letters = _covered(shown.octets.translate(_PRINTED).decode("ascii"), shown.hidden)
    for at in range(0, len(pairs), _A_LINE):
        line = pairs[at : at + _A_LINE]
        left = " ".join(line[:8]).ljust(24) + " " + " ".join(line[8:]).ljust(24)
        text = letters[at : at + _A_LINE]
        text = f"{text[:8]} {text[8:]}" if len(text) >= 8 else text
        yield f"{position + at:08X}  {left} {text.removesuffix(' ')}"


def _pairs(shown: Shown) -> list[str]:
    pairs = shown.octets.hex(" ").split(" ") if shown.octets else []
    for start, end in shown.hidden:
        pairs[start:end] = [HIDDEN_DIGITS] * (end - start)
    return pairs


def _covered(text: str, hidden: Ranges) -> str:
    for start, end in hidden:
        text = f"{text[:start]}{HIDDEN * (end - start)}{text[end:]}"
    return text
