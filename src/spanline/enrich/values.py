"""What fields of an inventory are, from their texts."""

from __future__ import annotations

import ipaddress
import re
from datetime import UTC, datetime
from typing import Any

from spanline.enrich.fields import FieldKind

_LONGEST = 200
_POWERS = {"": 0, "k": 1, "m": 2, "g": 3, "t": 4, "p": 5}
_SIZE = re.compile(r"(\d+(?:\.\d+)?)\s*([kmgtp]?)(?:i?b)?", re.IGNORECASE)
_RATE = re.compile(r"(\d+(?:\.\d+)?)\s*([kmgt]?)(?:bit/s|bits/s|b/s|bps|bit)?", re.IGNORECASE)
_MAC = re.compile(
    r"[0-9a-f]{2}(?:([:-]?)[0-9a-f]{2}(?:\1[0-9a-f]{2}){4})|(?:[0-9a-f]{4}\.){2}[0-9a-f]{4}", re.IGNORECASE
)
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MOST_SECONDS = 1 << 33  # of a time, either way: 64 bits of nanoseconds have room for 292 years
_MOST_COUNT = 1 << 31


class RefusedError(ValueError):
    """Why a text is none, in words."""


def value_of(kind: FieldKind, text: str) -> Any:
    """What `text` says, as inventory.Row has it. Raises ValueError when it is none of `kind`, and
    RefusedError where more can be said of it."""
    if len(text) > _LONGEST:
        raise RefusedError(f"is longer than {_LONGEST} characters")
    return _READERS[kind](text)


def _text(text: str) -> str:
    if not text.isprintable():
        raise RefusedError("has control characters, or others that do not print")
    return text


def address_of(text: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address:
    """An IPv4 mapped address is the IPv4 one."""
    address = ipaddress.ip_address(text.partition("%")[0])
    if isinstance(address, ipaddress.IPv6Address) and address.ipv4_mapped is not None:
        return address.ipv4_mapped
    return address


def _network(text: str) -> ipaddress.IPv4Network | ipaddress.IPv6Network:
    try:
        return ipaddress.ip_network(text)
    except ValueError:
        interface = ipaddress.ip_interface(text)
    raise RefusedError(f"has bits behind its prefix: the network is {interface.network}")


def _mac(text: str) -> bytes:
    if _MAC.fullmatch(text) is None:
        raise ValueError
    return bytes.fromhex(re.sub("[.:-]", "", text))


def _integer(text: str, most: int) -> int:
    if not (text.isascii() and text.isdecimal()) or int(text) > most:
        raise ValueError
    return int(text)


def _scaled(pattern: re.Pattern[str], base: int, text: str) -> int:
    match = pattern.fullmatch(text)
    if match is None:
        raise ValueError
    value = round(float(match[1]) * int(base ** _POWERS[match[2].lower()]))
    if value >= 1 << 60:
        raise RefusedError("is too much")
    return value


def _time(text: str) -> int:
    time = datetime.fromisoformat(text)
    since = time.replace(tzinfo=time.tzinfo or UTC) - _EPOCH
    seconds = since.days * 86_400 + since.seconds
    if abs(seconds) > _MOST_SECONDS:
        raise RefusedError("is too far away")
    return seconds * 10**9 + since.microseconds * 1000


_READERS = {
    FieldKind.TEXT: _text,
    FieldKind.ADDRESS: address_of,
    FieldKind.NETWORK: _network,
    FieldKind.MAC: _mac,
    FieldKind.COUNT: lambda text: _integer(text, _MOST_COUNT),
    FieldKind.VLAN: lambda text: _integer(text, 4094),
    FieldKind.VNI: lambda text: _integer(text, (1 << 32) - 2),
    FieldKind.SIZE: lambda text: _scaled(_SIZE, 1024, text),
    FieldKind.RATE: lambda text: _scaled(_RATE, 1000, text),
    FieldKind.TIME: _time,
}
