"""Verdicts: which frames could not be read to their end, at which layer, and why."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from spanline.arrow import column, strings, table_of
from spanline.batch import PROTOCOLS, Batch
from spanline.link_types import link_type_name
from spanline.schema import VERDICTS, Column

STOP = (
    Column("verdict", "", "string", "Verdict", "", "one of schema.VERDICTS"),
    Column("layer", "", "string", "Layer", "", "where decoding stopped; empty for frames that were read to their end"),
    Column("reason", "", "string", "Reason", "", "what stood there that could not be read"),
    Column("frames", "", "uint64", "Frames"),
    Column("bytes", "", "uint64", "Bytes", "byte", "wire length"),
    Column("first_frame", "", "uint64", "First frame", "", "its number in the capture, from 1"),
)
"""The Table "verdicts"."""

_OK, _TRUNCATED, _MALFORMED, _UNSUPPORTED = range(4)
_ETHER_TYPE = ("eth", "vlan", "ieee8021ad", "sll", "sll2", "llc", "gre", "geneve", "erspan")
_IP_PROTOCOL = ("ip", "ipv6", "ipv6.hopopts", "ipv6.routing", "ipv6.fraghdr", "ipv6.dstopts", "ah")
_ERSPAN = frozenset((0x88BE, 0x22EB))
_READ_ETHER_TYPES = frozenset((0x0800, 0x0806, 0x6400, 0x6558, 0x86DD))

_MALFORMED_REASONS = {
    "eth": "shorter than an Ethernet header",
    "ip": "its version, header length or total length contradict the frame",
    "ipv6": "its version is not 6, or it is longer than what is around it",
    "tcp": "its header length is less than 20 bytes, or more than the segment's",
    "udp": "its length is less than 8 bytes, or more than the IP packet's",
}
_UNSUPPORTED_REASONS = {
    "llc": "an 802.2 service that is not IP",
    "sll": "a netlink message",
    "sll2": "a netlink message",
    "raw": "neither IPv4 nor IPv6",
    "null": "an address family that is not IP",
    "tr": "a frame that is not LLC",
    "fddi": "a frame that is not asynchronous LLC",
}
_LEAST_ETHER_TYPE = 0x0600  # smaller values are lengths
_TAGS = frozenset((0x8100, 0x88A8, 0x9100))  # of which a length may come behind


class Verdicts:
    """Counts frames by verdict, by the layer where decoding stopped, and by what stood there.

    Memory grows with the number of distinct EtherTypes and IP protocols only.
    """

    def __init__(self) -> None:
        self._stops: dict[tuple[int, int, int], tuple[int, int, int]] = {}
        """(verdict, layer, number of what was not read): (frames, bytes, first frame)."""

    def update(self, batch: Batch) -> None:
        packets = batch.packets
        stopped = np.flatnonzero(packets["verdict"])
        octets = int(packets["wire_length"].sum(dtype=np.uint64))
        if len(stopped):
            octets -= self._count_stops(packets[stopped], batch.numbers[stopped], batch.link_types)
        if len(stopped) < len(packets):
            first = int(batch.numbers[np.argmin(packets["verdict"])])
            self._add((_OK, 0, 0), len(packets) - len(stopped), octets, first)

    def _count_stops(
        self, rows: npt.NDArray[np.void], numbers: npt.NDArray[np.uint64], link_types: npt.NDArray[np.int32]
    ) -> int:
        """Counts frames that were not read to their end; returns their bytes."""
        layers = rows["verdict_layer"]
        what = np.zeros(len(rows), np.uint64)
        for names, field in ((_ETHER_TYPE, "ether_type"), (_IP_PROTOCOL, "ip_protocol")):
            here = np.isin(layers, [PROTOCOLS.index(name) for name in names])
            what[here] = rows[field][here]
        here = (layers == PROTOCOLS.index("frame")) & (rows["interface"] < len(link_types))
        what[here] = link_types[rows["interface"][here]]
        what[rows["verdict"] != _UNSUPPORTED] = 0
        keys = rows["verdict"].astype(np.uint64) << np.uint64(56) | layers.astype(np.uint64) << np.uint64(48) | what
        distinct, first, which, counts = np.unique(keys, return_index=True, return_inverse=True, return_counts=True)
        octets = np.bincount(which, weights=rows["wire_length"])
        for key, at, count, size in zip(distinct.tolist(), first.tolist(), counts.tolist(), octets, strict=True):
            stop = key >> 56, key >> 48 & 0xFF, key & 0xFFFFFFFF
            self._add(stop, count, int(size), int(numbers[at]))
        return int(octets.sum())

    def _add(self, stop: tuple[int, int, int], frames: int, octets: int, first: int) -> None:
        known = self._stops.get(stop, (0, 0, first))
        self._stops[stop] = known[0] + frames, known[1] + octets, min(known[2], first)

    def by_layer(self) -> Counter[tuple[str, str]]:
        """Frames by verdict and the layer where decoding stopped, which is empty when it did not."""
        counts: Counter[tuple[str, str]] = Counter()
        for (verdict, layer, _), (frames, _, _) in self._stops.items():
            counts[VERDICTS[verdict], PROTOCOLS[layer]] += frames
        return counts

    def merge(self, other: Verdicts) -> None:
        """Adds what another part of the capture counted."""
        for stop, counts in other._stops.items():
            self._add(stop, *counts)

    def state(self) -> dict[str, Any]:
        return {"stops": list(self._stops.items())}

    def restore(self, state: Mapping[str, Any]) -> None:
        for stop, counts in state["stops"]:
            self._add(tuple(stop), *counts)

    def drain(self) -> Mapping[str, pa.Table]:
        """Nothing: counts are known at the end."""
        return {}

    def tables(self) -> Mapping[str, pa.Table]:
        rows = sorted(self._rows(), key=lambda row: (VERDICTS.index(row[0]), -row[3], row[5]))
        columns = zip(*rows, strict=True) if rows else [()] * len(STOP)
        made = [strings(one) if n < 3 else column(np.array(one, np.uint64)) for n, one in enumerate(columns)]
        return {"verdicts": table_of(STOP, {one.name: values for one, values in zip(STOP, made, strict=True)})}

    def _rows(self) -> Iterator[tuple[str, str, str, int, int, int]]:
        for (verdict, layer, what), counts in self._stops.items():
            yield VERDICTS[verdict], PROTOCOLS[layer], reason(verdict, PROTOCOLS[layer], what), *counts


def reason(verdict: int, layer: str, what: int) -> str:
    """What stood at `layer` that could not be read, in words; `what` is its number where it has one."""
    if verdict == _TRUNCATED:
        return "cut off: the header goes on past the last captured byte"
    if verdict == _MALFORMED:
        return _MALFORMED_REASONS.get(layer, "its length contradicts what is around it")
    if verdict == _UNSUPPORTED:
        return _unsupported(layer, what)
    return ""


def _unsupported(layer: str, what: int) -> str:
    if layer == "frame":
        return f"link type {what} ({link_type_name(what)})"
    if (
        layer == "vxlan"
        or (layer in ("gre", "geneve") and what in _READ_ETHER_TYPES)
        or (layer == "erspan" and what not in _ERSPAN)
        or (layer in _IP_PROTOCOL and what in (4, 41))
    ):
        return "more tunnels inside one another than are followed"
    if layer in _IP_PROTOCOL:
        return f"IP protocol {what}"
    if layer == "erspan":
        return "a version of ERSPAN, or a frame type in it, that is not read"
    if layer in _ETHER_TYPE and what >= _LEAST_ETHER_TYPE and not (layer == "llc" and what in _TAGS):
        return f"EtherType 0x{what:04x}"
    return _UNSUPPORTED_REASONS.get(layer, "")
