"""Whose a frame is, as a program of the kernel's packet filter: for PACKET_FANOUT_CBPF.

It says what ext/exchange.h says, of TCP, UDP and other protocols directly on IPv4 and IPv6, plainly, in VXLAN or in
GENEVE. Of all else (fragments, extension headers, tunnels in tunnels) it says anything: what comes to the wrong worker
is passed on.

specification: Documentation/networking/filter.rst of Linux
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from spanline._exchange import END_FACTOR, PORT_FACTOR

INSTRUCTION_DTYPE = np.dtype([("code", "u2"), ("jump_true", "u1"), ("jump_false", "u1"), ("k", "u4")])
"""struct sock_filter."""

_CODES = {
    "a = half": 0x28,
    "a = word at x": 0x40,
    "a = half at x": 0x48,
    "a = byte at x": 0x50,
    "a = k": 0x00,
    "a = cell": 0x60,
    "x = k": 0x01,
    "x = cell": 0x61,
    "x = a": 0x07,
    "cell = a": 0x02,
    "cell = x": 0x03,
    "a += k": 0x04,
    "a += x": 0x0C,
    "a *= k": 0x24,
    "a <<= k": 0x64,
    "a >>= k": 0x74,
    "a &= k": 0x54,
    "a ^= x": 0xAC,
    "go on": 0x05,
    "if a == k": 0x15,
    "if a & k": 0x45,
    "answer k": 0x06,
    "answer a": 0x16,
}
# Where a frame begins differs with the direction that it goes in; where its network header begins does not.
_NETWORK = 0xFFF00000  # SKF_NET_OFF
_ETHER_TYPE = 0xFFFFF000  # SKF_AD_OFF + SKF_AD_PROTOCOL
_IPV4, _IPV6 = 0x0800, 0x86DD
_TCP, _UDP = 6, 17
_BRIDGING = 0x6558
_TO_TUNNEL = 8  # a UDP header
_TO_ETHER_TYPE = _TO_TUNNEL + 8 + 12  # VXLAN's or GENEVE's header, two MAC addresses
_TO_INNER_IP = _TO_ETHER_TYPE + 2
_ETHERNET_HEADER = 14
_IPV6_HEADER = 40
_MOST_PORTS = 16
# Cells of the program's memory; the last four are words of an IPv6 address.
_SOURCE, _DESTINATION, _SOURCE_PORT, _DESTINATION_PORT, _PROTOCOL, _START, _MIXED, _WORDS = range(8)


_Ports = Sequence[tuple[int, str]]
"""UDP ports that carry tunnels, and where the program goes on for each."""


@dataclass(frozen=True, slots=True)
class _Step:
    """An instruction, and where it goes on when what it asks is so; or, without `code`, the place called `to`."""

    code: str = ""
    k: int = 0
    to: str = ""


def kernel_rule(vxlan_ports: Collection[int], geneve_ports: Collection[int]) -> npt.NDArray[np.void]:
    """The program, INSTRUCTION_DTYPE[n]: what it answers, modulo the number of workers, is the owner's number."""
    known = [(port, "geneve") for port in sorted(geneve_ports)]
    known += [(port, "vxlan") for port in sorted(set(vxlan_ports).difference(geneve_ports))]
    known = known[:_MOST_PORTS]
    return _assemble(
        [
            _Step("x = k", 0),
            _Step("a = half", _ETHER_TYPE),
            _Step("if a == k", _IPV4, "outer 4"),
            _Step("if a == k", _IPV6, "outer 6"),
            _Step("answer k", 0),
            *_ipv4("outer 4", _NETWORK, known),
            *_ipv6("outer 6", _NETWORK, known),
            *_geneve(),
            _Step(to="vxlan"),
            _Step("a = half at x", _NETWORK + _TO_ETHER_TYPE),
            _Step("if a == k", _IPV4, "inner 4"),
            _Step("if a == k", _IPV6, "inner 6"),
            _Step("answer k", 0),
            *_ipv4("inner 4", _NETWORK + _TO_INNER_IP, ()),
            *_ipv6("inner 6", _NETWORK + _TO_INNER_IP, ()),
            _Step(to="mix"),
            *_mix(_SOURCE, _SOURCE_PORT),
            _Step("cell = a", _MIXED),
            *_mix(_DESTINATION, _DESTINATION_PORT),
            _Step("x = cell", _MIXED),
            _Step("a += x"),
            *_shifted_into_itself(16),
            _Step("answer a"),
            # Last: the kernel takes what follows for what goes on after it, with cells that nobody has set.
            _Step(to="anybody"),
            _Step("answer k", 0),
        ]
    )


def _geneve() -> Iterator[_Step]:
    """GENEVE is VXLAN with options: x goes on by these, and what is inside is where it would be in VXLAN."""
    yield _Step(to="geneve")
    yield _Step("a = half at x", _NETWORK + _TO_TUNNEL + 2)
    yield _Step("if a == k", _BRIDGING, "bridged")
    yield _Step("if a == k", _IPV4, "routed 4")
    yield _Step("if a == k", _IPV6, "routed 6")
    yield _Step("answer k", 0)
    for version in "46":
        yield _Step(to=f"routed {version}")
        yield from _behind_options()
        yield _Step("a += k", -_ETHERNET_HEADER & 0xFFFFFFFF)
        yield _Step("x = a")
        yield _Step("go on", to=f"inner {version}")
    yield _Step(to="bridged")
    yield from _behind_options()
    yield _Step("x = a")


def _behind_options() -> Iterator[_Step]:
    yield _Step("a = byte at x", _NETWORK + _TO_TUNNEL)
    yield _Step("a &= k", 0x3F)
    yield _Step("a <<= k", 2)
    yield _Step("a += x")


def _ipv4(name: str, at: int, tunnel_ports: _Ports) -> Iterator[_Step]:
    """IPv4, `at` so many bytes behind x."""
    yield _Step(to=name)
    yield _Step("a = half at x", at + 6)
    yield _Step("if a & k", 0x3FFF, "anybody")  # a fragment
    for cell, code, place in (
        (_SOURCE, "a = word at x", 12),
        (_DESTINATION, "a = word at x", 16),
        (_PROTOCOL, "a = byte at x", 9),
    ):
        yield _Step(code, at + place)
        yield _Step("cell = a", cell)
    yield _Step("a = byte at x", at)
    yield _Step("a &= k", 0x0F)
    yield _Step("a <<= k", 2)
    yield from _transport(name, at, tunnel_ports)


def _ipv6(name: str, at: int, tunnel_ports: _Ports) -> Iterator[_Step]:
    yield _Step(to=name)
    yield _Step("cell = x", _START)
    for cell, place in (_SOURCE, 8), (_DESTINATION, 24):
        for word in range(4):
            yield _Step("a = word at x", at + place + 4 * word)
            yield _Step("cell = a", _WORDS + word)
        for word in range(3):
            yield _Step("x = cell", _WORDS + word)
            yield _Step("a ^= x")
        yield _Step("cell = a", cell)
        yield _Step("x = cell", _START)
    yield _Step("a = byte at x", at + 6)
    yield _Step("cell = a", _PROTOCOL)
    yield _Step("a = k", _IPV6_HEADER)
    yield from _transport(name, at, tunnel_ports)


def _transport(name: str, at: int, tunnel_ports: _Ports) -> Iterator[_Step]:
    """What follows an IP header of `a` bytes: ports, or a tunnel, for which x is then where it ends."""
    ports, here = f"ports, {name}", f"UDP, {name}"
    yield _Step("a += x")
    yield _Step("x = a")
    yield _Step("a = cell", _PROTOCOL)
    yield _Step("if a == k", _TCP, ports)
    yield _Step("if a == k", _UDP, here)
    yield _Step("a = k", 0)
    yield _Step("cell = a", _SOURCE_PORT)
    yield _Step("cell = a", _DESTINATION_PORT)
    yield _Step("go on", to="mix")
    yield _Step(to=here)
    yield _Step("a = half at x", at + 2)
    for port, tunnel in tunnel_ports:
        yield _Step("if a == k", port, tunnel)
    yield _Step(to=ports)
    yield _Step("a = half at x", at)
    yield _Step("cell = a", _SOURCE_PORT)
    yield _Step("a = half at x", at + 2)
    yield _Step("cell = a", _DESTINATION_PORT)
    yield _Step("go on", to="mix")


def _mix(address: int, port: int) -> Iterator[_Step]:
    """exchange_end()"""
    yield _Step("a = cell", port)
    yield _Step("a *= k", PORT_FACTOR)
    yield _Step("x = cell", address)
    yield _Step("a += x")
    yield from _shifted_into_itself(15)
    yield _Step("a *= k", END_FACTOR)
    yield from _shifted_into_itself(13)


def _shifted_into_itself(bits: int) -> Iterator[_Step]:
    yield _Step("x = a")
    yield _Step("a >>= k", bits)
    yield _Step("a ^= x")


def _assemble(steps: Sequence[_Step]) -> npt.NDArray[np.void]:
    """The program; all jumps are forward, and those of conditions at most 255 instructions far."""
    places: dict[str, int] = {}
    count = 0
    for step in steps:
        if step.code:
            count += 1
        else:
            places[step.to] = count
    program = np.zeros(count, INSTRUCTION_DTYPE)
    at = 0
    for step in steps:
        if not step.code:
            continue
        row = program[at]
        at += 1
        row["code"], row["k"] = _CODES[step.code], step.k
        if step.code == "go on":
            row["k"] = places[step.to] - at
        elif step.to:
            row["jump_true"] = places[step.to] - at
    return program
