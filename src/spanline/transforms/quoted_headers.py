"""The transport headers that ICMP errors quote: they are of streams, and no row speaks of them."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from spanline.batch import IP_PROTOCOLS, PROTOCOLS, Batch
from spanline.schema import PACKET_FLAGS, QUOTED_DTYPE

Places = npt.NDArray[np.int64]

_HAS_TRANSPORT = 1 << PACKET_FLAGS.index("has-transport")
_ERROR_TYPES = {1: (3, 4, 5, 11, 12), 58: (1, 2, 3, 4)}
"""Types of ICMP (RFC 792) and ICMPv6 (RFC 4443) messages that quote a packet, by IP protocol number."""
_NEEDED = {"tcp": 16, "udp": 8}
"""Bytes that Wireshark reads of a header before it looks for the stream."""


def quoted_headers(batch: Batch) -> npt.NDArray[np.void]:
    """Quoted TCP and UDP headers (schema.QUOTED), by packet and from the outside in."""
    packets = batch.packets
    errors = np.zeros(len(packets), np.bool_)
    for number, types in _ERROR_TYPES.items():
        rows = np.flatnonzero(packets["ip_protocol"] == number)
        errors[rows] = np.isin(packets["source_port"][rows], types) & (packets["flags"][rows] & _HAS_TRANSPORT != 0)
    if not errors.any():
        return np.empty(0, QUOTED_DTYPE)
    some = batch.select(errors)
    layers = some.layers
    at = _transports(layers)
    network = _network_before(layers, at)
    quoted = np.zeros(len(at), QUOTED_DTYPE)
    quoted["packet"] = np.flatnonzero(errors)[layers["packet"][at]]
    quoted["protocol"] = np.where(_of(layers[at], "tcp"), IP_PROTOCOLS["tcp"], IP_PROTOCOLS["udp"])
    quoted["source_port"] = _number(some, at, 0, 2)
    quoted["destination_port"] = _number(some, at, 2, 2)
    tcp = np.flatnonzero(_of(layers[at], "tcp"))
    quoted["tcp_seq"][tcp] = _number(some, at[tcp], 4, 4)
    quoted["tcp_flags"][tcp] = _number(some, at[tcp], 12, 2) & 0x0FFF
    version4 = _of(layers[network], "ip")
    for name, offset4, offset6 in ("source", 12, 8), ("destination", 16, 24):
        quoted[name][version4, 10:12] = 0xFF
        quoted[name][version4, 12:] = _octets(some, network[version4], offset4, 4)
        quoted[name][~version4] = _octets(some, network[~version4], offset6, 16)
    return quoted


def _of(layers: npt.NDArray[np.void], *names: str) -> npt.NDArray[np.bool_]:
    return np.isin(layers["protocol"], [PROTOCOLS.index(name) for name in names])


def _transports(layers: npt.NDArray[np.void]) -> Places:
    """Where TCP and UDP headers stand behind an ICMP header of their frame."""
    at = np.arange(len(layers))
    messages = at[_of(layers, "icmp", "icmpv6")]
    first = np.full(int(layers["packet"][-1]) + 1 if len(layers) else 0, len(layers))
    first[layers["packet"][messages[::-1]]] = messages[::-1]
    wanted = np.zeros(len(layers), np.bool_)
    for name, needed in _NEEDED.items():
        wanted |= _of(layers, name) & (layers["length"] >= needed)
    return at[wanted & (at > first[layers["packet"]])]


def _network_before(layers: npt.NDArray[np.void], at: Places) -> Places:
    """Where the IP headers around these headers stand."""
    networks = np.where(_of(layers, "ip", "ipv6"), np.arange(len(layers)), 0)
    before: Places = np.maximum.accumulate(networks)[at]
    return before


def _octets(batch: Batch, at: Places, offset: int, width: int) -> npt.NDArray[np.uint8]:
    """The bytes of headers from `offset` on, uint8[n, width]."""
    layers = batch.layers[at]
    octets = np.zeros((len(at), width), np.uint8)
    for number, buffer in enumerate(batch.buffers):
        inside = layers["buffer"] == number
        octets[inside] = buffer[layers["offset"][inside, None].astype(np.int64) + offset + np.arange(width)]
    return octets


def _number(batch: Batch, at: Places, offset: int, width: int) -> npt.NDArray[np.uint32]:
    return _octets(batch, at, offset, width).view(f">u{width}").ravel().astype(np.uint32)
