"""Values of a query, in the unit in which those of their property are compared."""

from __future__ import annotations

import math
import re
from collections.abc import Callable
from ipaddress import ip_address, ip_network

from spanline.errors import nearest, quoted
from spanline.query.properties import FLOW_TYPE_WORDS, FLOW_TYPES, PROTOCOL_NUMBERS
from spanline.query.times import Clock, Unfit, span
from spanline.query.tree import Kind, Network, Property, Value

_NUMBER = re.compile(r"([+-]?(?:\d+(?:\.\d*)?|\.\d+))\s*([^\d\s].*)?", re.ASCII)
_MAC = re.compile(
    r"[0-9a-f]{2}(?:([:-])[0-9a-f]{2})(?:\1[0-9a-f]{2}){4}|[0-9a-f]{4}\.[0-9a-f]{4}\.[0-9a-f]{4}|[0-9a-f]{12}"
)
_LIKE_ADDRESS = re.compile(r"\d+(\.\d+){3}(/\d+)?|[0-9a-f]*:[0-9a-f:.]*/\d+", re.IGNORECASE | re.ASCII)
_MAPPED = b"\0" * 10 + b"\xff\xff"
_LARGEST = 1 << 63

_PREFIXES = ("", "k", "m", "g", "t", "p")


def _of_bytes(step: int) -> dict[str, int]:
    units = {f"{prefix}b": step**n for n, prefix in enumerate(_PREFIXES)}
    units |= {f"{prefix}ib": 1024**n for n, prefix in enumerate(_PREFIXES) if prefix}
    return units | {"byte": 1, "bytes": 1}


def _of_rates() -> dict[str, int]:
    units: dict[str, int] = {}
    for n, prefix in enumerate(_PREFIXES):
        units |= dict.fromkeys((f"{prefix}bps", f"{prefix}b/s", f"{prefix}bit/s", f"{prefix}bits/s"), 1000**n)
    return units


_MS = 10**6
_UNITS: dict[Kind, dict[str, int]] = {
    Kind.NUMBER: {},
    Kind.PACKETS: {"packet": 1, "packets": 1},
    Kind.BYTES: _of_bytes(1000),
    Kind.MEMORY: _of_bytes(1024),
    Kind.RATE: _of_rates(),
    Kind.DURATION: {
        "ns": 1, "us": 1000, "µs": 1000, "ms": _MS, "s": 1000 * _MS, "sec": 1000 * _MS, "second": 1000 * _MS,
        "seconds": 1000 * _MS, "min": 60_000 * _MS, "minute": 60_000 * _MS, "minutes": 60_000 * _MS,
        "h": 3_600_000 * _MS, "hour": 3_600_000 * _MS, "hours": 3_600_000 * _MS, "day": 86_400_000 * _MS,
        "days": 86_400_000 * _MS,
    },
}  # fmt: skip
_WITHOUT_UNIT = {Kind.DURATION: _MS}
_EXAMPLES = {
    Kind.NUMBER: "443",
    Kind.PACKETS: "1000",
    Kind.BYTES: "10 MB",
    Kind.MEMORY: "8GB",
    Kind.RATE: "10 Mbps",
    Kind.DURATION: "5ms",
    Kind.RATIO: "70%",
}


def value_of(text: str, of: Property, clock: Clock) -> Value:
    """What was written as a value of a property. Raises Unfit."""
    return _READERS.get(of.kind, _quantity)(text, of, clock)


def _text(text: str, of: Property, clock: Clock) -> Value:
    return text


def _quantity(text: str, of: Property, clock: Clock) -> int | float:
    """A number with or without a unit; whole when what it stands for is. One that there cannot be is no value: what is
    asked with it is not what was meant."""
    match = _NUMBER.fullmatch(text.strip())
    example = _EXAMPLES[of.kind]
    if match is None:
        raise Unfit(f"{quoted(text)} is not a number", f"write {of.name} like {example}")
    number, unit = match[1], (match[2] or "").strip().lower()
    if of.kind is Kind.RATIO:
        return _ratio(number, unit, text)
    factor = _UNITS[of.kind].get(unit) if unit else _WITHOUT_UNIT.get(of.kind, 1)
    if factor is None:
        known = tuple(_UNITS[of.kind])
        hint = nearest(unit, known) or (f"write {of.name} like {example}" if known else f"{of.name} has no unit")
        raise Unfit(f"{quoted(match[2].strip())} is no unit of {of.name}", hint)
    if number.lstrip("+-").isdigit():
        value: int | float = int(number) * factor if len(number) < 25 else _LARGEST
    else:
        value = float(number) * factor
        value = int(value) if math.isfinite(value) and value == int(value) else value
    there = f"{of.name} is {'0 or more' if of.largest is None else f'0 to {of.largest}'}"
    if value < 0:
        raise Unfit(f"{quoted(text)} is too small", there)
    if of.largest is not None and value > of.largest:
        raise Unfit(f"{quoted(text)} is too large", there)
    if of.largest is not None and not isinstance(value, int):
        raise Unfit(f"{quoted(text)} is no whole number", there)
    if value >= _LARGEST:
        raise Unfit(f"{quoted(text)} is too large")
    return value


def _ratio(number: str, unit: str, text: str) -> float:
    if unit not in ("", "%", "percent"):
        raise Unfit(f"{quoted(unit)} is no unit of a ratio", "write 70% or 0.7")
    ratio = float(number) / (100 if unit else 1)
    if not 0 <= ratio <= 1:
        raise Unfit(f"{quoted(text)} is no ratio", "it is 0 to 1, or 0% to 100%: write 70% or 0.7")
    return ratio


def is_address(text: str) -> bool:
    """Whether an address or a network is meant, be it a wrong one like 10.0.0.0/33."""
    try:
        _network(text)
    except Unfit:
        return _LIKE_ADDRESS.fullmatch(text.strip()) is not None
    return True


def _address(text: str, of: Property, clock: Clock) -> Network:
    return _network(text.strip())


def _network(text: str) -> Network:
    try:
        if "/" in text:
            network = ip_network(text, strict=False)
            first, last = network.network_address.packed, network.broadcast_address.packed
        else:
            first = last = ip_address(text.partition("%")[0]).packed
    except ValueError:
        raise Unfit(*_no_network(text)) from None
    return Network(*(octets if len(octets) == 16 else _MAPPED + octets for octets in (first, last)))


def _no_network(text: str) -> tuple[str, str]:
    """Why it is none, and what to do."""
    address, _, prefix = text.partition("/")
    if prefix.isdecimal():
        try:
            found = ip_address(address)
        except ValueError:
            pass
        else:
            hint = f"an IPv{found.version} network is /0 to /{found.max_prefixlen}"
            return f"{quoted(text)} is no network", hint
    if _LIKE_ADDRESS.fullmatch(text) and ":" not in text:
        return f"{quoted(text)} is no IP address", "its numbers are 0 to 255, without zeros before them"
    hint = "write an address like 10.1.2.3 or fe80::1, or a network like 10.0.0.0/8"
    return f"{quoted(text)} is no IP address", hint


def _mac(text: str, of: Property, clock: Clock) -> str:
    if not _MAC.fullmatch(text.strip().lower()):
        raise Unfit(f"{quoted(text)} is no MAC address", "write 00:1a:2b:3c:4d:5e")
    digits = re.sub(r"[^0-9a-f]", "", text.lower())
    return ":".join(digits[n : n + 2] for n in range(0, 12, 2))


def _protocol(text: str, of: Property, clock: Clock) -> int:
    word = text.strip().lower()
    if word in PROTOCOL_NUMBERS:
        return PROTOCOL_NUMBERS[word]
    if word.isascii() and word.isdigit() and len(word) < 4 and int(word) < 256:
        return int(word)
    hint = nearest(word, {name: name.upper() for name in PROTOCOL_NUMBERS})
    if word.isascii() and word.isdigit() and len(word) < 6:
        hint = f"it is 0 to 255; did you mean Port = {word}?"
    raise Unfit(f"{quoted(text)} is no IP protocol", hint or "write TCP, UDP, ICMP or a number from 0 to 255")


def _tag(text: str, of: Property, clock: Clock) -> str:
    word = " ".join(text.lower().split())
    if word in FLOW_TYPE_WORDS:
        return FLOW_TYPE_WORDS[word]
    raise Unfit(
        f"{quoted(text)} is no {of.name}", nearest(word, FLOW_TYPE_WORDS) or f"there are {', '.join(FLOW_TYPES)}"
    )


def _time(text: str, of: Property, clock: Clock) -> int:
    return span(text, clock)[0]


_READERS: dict[Kind, Callable[[str, Property, Clock], Value]] = {
    Kind.TEXT: _text,
    Kind.ADDRESS: _address,
    Kind.MAC: _mac,
    Kind.PROTOCOL: _protocol,
    Kind.TAGS: _tag,
    Kind.TIME: _time,
}
