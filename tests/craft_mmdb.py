"""MMDB files of a few networks. Definition: https://maxmind.github.io/MaxMind-DB/, version 2.0."""

from __future__ import annotations

import ipaddress
import struct
from collections.abc import Mapping
from pathlib import Path
from typing import Any

_KINDS = {"node_count": 6, "autonomous_system_number": 6, "build_epoch": 9}
"""Types of numbers that are not uint16: uint32 and uint64."""
_MARK = b"\xab\xcd\xefMaxMind.com"


def mmdb(networks: Mapping[str, Any], *, bits: int = 24, version: int = 6, kind: str = "Test-Country") -> bytes:
    """A file that says of each network the record given; networks are disjoint. IPv4 stands at ::/96."""
    data, places = bytearray(), {}
    root: list[Any] = [None, None]
    for text, record in networks.items():
        key = repr(record)
        if key not in places:
            places[key] = len(data)
            data += value(record)
        network = ipaddress.ip_network(text)
        width = 128 if version == 6 else 32
        length = network.prefixlen + (width - network.max_prefixlen)
        number = int(network.network_address)
        node = root
        for depth in range(length - 1):
            bit = number >> (width - 1 - depth) & 1
            if node[bit] is None:
                node[bit] = [None, None]
            node = node[bit]
        node[number >> (width - length) & 1] = places[key]
    return file(_numbered(root), bytes(data), bits=bits, version=version, kind=kind)


def file(nodes: list[tuple[Any, Any]], data: bytes, *, bits: int = 24, version: int = 6, kind: str = "Test") -> bytes:
    """The same of nodes: None for nothing, ("node", number) and ("data", offset)."""

    def number(to: Any) -> int:
        if to is None:
            return len(nodes)
        return to[1] if to[0] == "node" else len(nodes) + 16 + to[1]

    tree = b"".join(_node(number(left), number(right), bits) for left, right in nodes)
    about = {
        "binary_format_major_version": 2, "binary_format_minor_version": 0, "build_epoch": 1_780_000_000,
        "database_type": kind, "description": {"en": "for tests"}, "ip_version": version, "languages": ["en"],
        "node_count": len(nodes), "record_size": bits,
    }  # fmt: skip
    return tree + bytes(16) + data + _MARK + value(about)


def write(path: Path, networks: Mapping[str, Any], **options: Any) -> str:
    path.write_bytes(mmdb(networks, **options))
    return str(path)


def _numbered(root: list[Any]) -> list[tuple[Any, Any]]:
    order, number = [root], {id(root): 0}
    for node in order:
        for child in node:
            if isinstance(child, list):
                number[id(child)] = len(order)
                order.append(child)

    def end(child: Any) -> Any:
        if isinstance(child, list):
            return "node", number[id(child)]
        return None if child is None else ("data", child)

    return [(end(left), end(right)) for left, right in order]


def _node(left: int, right: int, bits: int) -> bytes:
    if bits == 28:
        middle = left >> 24 << 4 | right >> 24
        return (left & 0xFFFFFF).to_bytes(3) + bytes([middle]) + (right & 0xFFFFFF).to_bytes(3)
    return left.to_bytes(bits // 8) + right.to_bytes(bits // 8)


def value(given: Any, kind: int = 5) -> bytes:
    """Of tables, lists, texts and numbers, which are of `kind`."""
    if isinstance(given, str):
        octets = given.encode()
        return _control(2, len(octets)) + octets
    if isinstance(given, dict):
        items = (value(key) + value(one, _KINDS.get(key, 5)) for key, one in given.items())
        return _control(7, len(given)) + b"".join(items)
    if isinstance(given, list):
        return _control(11, len(given)) + b"".join(map(value, given))
    octets = struct.pack(">Q", given).lstrip(b"\0")
    return _control(kind, len(octets)) + octets


def _control(kind: int, size: int) -> bytes:
    assert size < 285
    first = size if size < 29 else 29
    head = bytes([kind << 5 | first]) if kind < 8 else bytes([first, kind - 7])
    return head + (b"" if size < 29 else bytes([size - 29]))
