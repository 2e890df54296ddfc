"""Values in a display filter: what is written, as a constant of the kind that it is compared with."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta, timezone
from functools import lru_cache
from ipaddress import IPv4Address, IPv6Address

from spanline.errors import nearest, quoted
from spanline.fields import Kind
from spanline.filters.syntax import Character, Signed, Text, Word
from spanline.filters.tree import Constant

_NUMBER = re.compile(r"0[xX]([0-9A-Fa-f]+)|0[bB]([01]+)|0([0-7]+)|([1-9]\d*|0)")
_SECONDS = re.compile(r"(\d+)(?:\.(\d{1,9}))?")
_OCTETS = re.compile(r"[0-9A-Fa-f]+(?:[:.-][0-9A-Fa-f]+)*")
_TIME = r"(?P<hour>\d{1,2}):(?P<minute>\d{1,2})"
_FRACTION = r"(?:[.,](?P<fraction>\d+))?"
_ISO = re.compile(
    r"\s*(?P<year>\d{4})-(?P<month>\d{1,2})-(?P<day>\d{1,2})"
    rf"(?:[T ]\s*{_TIME}(?::(?P<second>\d{{1,2}}){_FRACTION})?(?P<zone>Z|[+-]\d\d:?\d\d| ?UTC)?)?\s*"
)
_LEGACY = re.compile(
    rf"\s*(?P<name>[A-Za-z]{{3}}) +(?P<day>\d{{1,2}}), *(?P<year>\d{{4}}) +{_TIME}:(?P<second>\d{{1,2}}){_FRACTION}"
    r"(?P<zone> ?UTC)?\s*"
)
_MONTHS = ("jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec")
_TRUTHS = {"True": 1, "TRUE": 1, "False": 0, "FALSE": 0}
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)

NAMES = {
    Kind.UNSIGNED: "a number", Kind.SIGNED: "a number", Kind.BOOLEAN: "true or false", Kind.IPV4: "an IPv4 address",
    Kind.IPV6: "an IPv6 address", Kind.ETHER: "a MAC address", Kind.BYTES: "bytes", Kind.STRING: "text",
    Kind.ABSOLUTE_TIME: "a date", Kind.RELATIVE_TIME: "a time in seconds", Kind.FLOAT: "a number",
    Kind.PROTOCOL: "bytes", Kind.NONE: "nothing",
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Wanted:
    """What a value is compared with.

    kind    of it
    size    bytes of its type, for numbers
    texts   names of numbers
    octets  bytes of any number will do: the right side of `contains`
    strict  strings and characters will not do: operands of arithmetic
    """

    kind: Kind
    size: int = 4
    texts: Mapping[int, str] | None = None
    octets: bool = False
    strict: bool = False


class Unfit(Exception):
    """A value that makes no sense here: `args` are what is wrong and what to do."""


def constant(node: Word | Text | Character | Signed, wanted: Wanted) -> Constant:
    """The constant that `node` is. Raises Unfit."""
    kind = wanted.kind
    if isinstance(node, Signed):
        return _signed(node, wanted)
    if kind is Kind.STRING:
        return Constant(kind, _spelled(node))
    if wanted.strict and not isinstance(node, Word):
        raise Unfit("a quoted value is no operand of arithmetic", "")
    if kind in (Kind.BYTES, Kind.PROTOCOL) or wanted.octets:
        return Constant(Kind.BYTES, _bytes(node, strings=kind is not Kind.ETHER))
    if kind in (Kind.UNSIGNED, Kind.SIGNED):
        return Constant(kind, _number(node, wanted))
    if kind is Kind.BOOLEAN:
        return Constant(kind, _truth(node, wanted))
    if kind is Kind.ABSOLUTE_TIME and not isinstance(node, Character):
        return Constant(kind, _date(_spelled(node).decode(errors="replace")))
    if not isinstance(node, Word):
        raise Unfit(f"{NAMES[kind]} is written without quotes", "")
    if kind is Kind.IPV4:
        return _ipv4(node.text)
    if kind is Kind.IPV6:
        return _ipv6(node.text)
    if kind is Kind.ETHER:
        return Constant(kind, _mac(node.text))
    if kind is Kind.RELATIVE_TIME:
        return Constant(kind, _nanoseconds(node.text))
    raise Unfit(f"nothing can be compared with {NAMES[kind]}", "")


def _spelled(node: Word | Text | Character) -> bytes:
    if isinstance(node, Text):
        return node.octets
    return node.text.encode() if isinstance(node, Word) else bytes([node.code])


def _signed(node: Signed, wanted: Wanted) -> Constant:
    if wanted.kind not in (Kind.UNSIGNED, Kind.SIGNED, Kind.RELATIVE_TIME) or not isinstance(node.of, Word):
        raise Unfit(f"{node.sign} makes no sense before {NAMES[wanted.kind]}", "")
    size = 4 if node.sign == "-" else wanted.size
    made = constant(node.of, Wanted(wanted.kind, size, None, strict=True))
    assert isinstance(made.value, int)
    if node.sign == "+":
        return made
    if wanted.kind is not Kind.RELATIVE_TIME and made.value >= 1 << 31:
        raise Unfit(f"{quoted(node.of.text)} is too large behind a -: it is below the least number, -2147483647", "")
    return Constant(wanted.kind, -made.value)


@lru_cache(1 << 14)
def _integer(text: str) -> int | None:
    match = _NUMBER.fullmatch(text)
    if match is None:
        return None
    for digits, base in zip(match.groups(), (16, 2, 8, 10), strict=True):
        if digits is not None:
            return int(digits, base)
    return None


def _number(node: Word | Text | Character, wanted: Wanted) -> int:
    if isinstance(node, Character):
        return node.code
    value = _integer(node.text) if isinstance(node, Word) else None
    texts = wanted.texts
    if value is None and texts and not wanted.strict:
        return _named(_spelled(node).decode(errors="replace"), texts)
    if value is None:
        if isinstance(node, Text):
            raise Unfit("a number is written without quotes", "")
        hint = "a leading 0 means octal" if node.text.isdigit() else "write the number" if node.text.isalpha() else ""
        raise Unfit(f"{quoted(node.text)} is not a number", hint)
    largest = (1 << 31) - 1 if wanted.kind is Kind.SIGNED else (1 << 8 * wanted.size) - 1
    if value > largest:
        raise Unfit(f"{quoted(_spelled(node).decode())} is more than the largest value, {largest}", "")
    return value


def _named(text: str, texts: Mapping[int, str]) -> int:
    for value, name in texts.items():
        if name.lower() == text.lower():
            return value
    hint = nearest(text, texts.values()) or "a number always does"
    raise Unfit(f"{quoted(text)} is neither a number nor the name of a value", hint)


def _truth(node: Word | Text | Character, wanted: Wanted) -> int:
    if isinstance(node, Character):
        return 1
    if isinstance(node, Word):
        value = _integer(node.text)
        if value is not None and value < 1 << 64:
            return int(value != 0)
        if node.text in _TRUTHS:
            return _TRUTHS[node.text]
    text = _spelled(node).decode(errors="replace")
    try:
        return _named(text, wanted.texts or {})
    except Unfit:
        raise Unfit(f"{quoted(text)} is neither true nor false", "write 1, 0, True or False") from None


def _ipv4(text: str) -> Constant:
    address, slash, bits = text.partition("/")
    try:
        value = int(IPv4Address(address))
    except ValueError:
        hint = "names are not looked up" if text[:1].isalpha() else ""
        raise Unfit(f"{quoted(address)} is not an IPv4 address", hint) from None
    if slash and int(bits) > 32:
        raise Unfit(f"an IPv4 prefix has at most 32 bits, not {bits}", "")
    return Constant(Kind.IPV4, value, int(bits) if slash else None)


def _ipv6(text: str) -> Constant:
    address, slash, bits = text.partition("/")
    try:
        value = IPv6Address(address).packed
    except ValueError:
        raise Unfit(f"{quoted(address)} is not an IPv6 address", "") from None
    if slash and int(bits) > 128:
        raise Unfit(f"an IPv6 prefix has at most 128 bits, not {bits}", "")
    return Constant(Kind.IPV6, value, int(bits) if slash else None)


def _mac(text: str) -> bytes:
    octets = _split(text)
    if octets is None:
        raise Unfit(f"{quoted(text)} is not a MAC address", "write 00:1a:2b:3c:4d:5e")
    if len(octets) != 6:
        raise Unfit(
            f"a MAC address has 6 bytes, and {quoted(text)} has {len(octets)}", "eth.src[0:3] is its first three"
        )
    return octets


def _bytes(node: Word | Text | Character, *, strings: bool) -> bytes:
    if isinstance(node, Word):
        if node.text[:2].lower() == "0x":
            if len(node.text) == 4 and _integer(node.text) is not None:
                return bytes([int(node.text, 16)])
            raise Unfit(f"{quoted(node.text)} is not bytes", "of numbers only 0x00 to 0xff; write 00:1a:2b")
        octets = _split(node.text)
        if octets is None:
            raise Unfit(f"{quoted(node.text)} is not bytes", 'write 47:45:54, or "GET" for text')
        return octets
    if not strings:
        raise Unfit("bytes of a MAC address are written without quotes", "")
    return _spelled(node)


def _split(text: str) -> bytes | None:
    """The bytes of hexadecimal digits, two each; one that is left over at the end of a group is a byte by itself."""
    if not _OCTETS.fullmatch(text):
        return None
    groups = re.split(r"[:.-]", text)
    return b"".join(bytes(int(group[n : n + 2], 16) for n in range(0, len(group), 2)) for group in groups)


def _nanoseconds(text: str) -> int:
    match = _SECONDS.fullmatch(text)
    if match is None:
        raise Unfit(f"{quoted(text)} is not a time in seconds", "write 0.5, with at most nine digits after the point")
    value = int(match[1]) * 10**9 + int((match[2] or "0").ljust(9, "0"))
    if value >= 1 << 63:
        raise Unfit(f"{quoted(text)} seconds are more than 292 years", "")
    return value


def _date(text: str) -> int:
    """Nanoseconds since the epoch; without a zone it is the time of the place."""
    match = _ISO.fullmatch(text) or _LEGACY.fullmatch(text)
    hint = 'write "2026-01-31 12:34:56.789", with Z behind it for UTC'
    if match is None:
        raise Unfit(f"{quoted(text)} is not a date", hint)
    part = match.groupdict()
    try:
        month = int(part["month"]) if "month" in part else 1 + _MONTHS.index(part["name"].lower())
        hour, minute, second = (int(part[name] or 0) for name in ("hour", "minute", "second"))
        time = datetime(int(part["year"]), month, int(part["day"]), hour, minute, second)
        zone = (part["zone"] or "").strip()
        moment = time.replace(tzinfo=_zone(zone)) if zone else time.astimezone()
    except (ValueError, OverflowError) as error:
        raise Unfit(f"{quoted(text)} is not a date", hint) from error
    fraction = int((part["fraction"] or "0")[:9].ljust(9, "0"))
    return (moment - _EPOCH) // timedelta(seconds=1) * 10**9 + fraction


def _zone(text: str) -> timezone:
    if text in ("Z", "UTC"):
        return UTC
    offset = timedelta(hours=int(text[1:3]), minutes=int(text[-2:]))
    return timezone(-offset if text[0] == "-" else offset)
