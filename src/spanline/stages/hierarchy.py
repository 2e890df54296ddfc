"""The protocol hierarchy: frames and bytes by what is inside what, as `tshark -z io,phs` counts them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from spanline.arrow import column, strings, table_of
from spanline.batch import PROTOCOLS, Batch
from spanline.schema import PACKET_FLAGS, VERDICTS, Column

if TYPE_CHECKING:
    from spanline.policy import Policy

HIERARCHY = (
    Column("path", "", "string", "Path", "", "the protocols down to this one, outermost first: eth:ip:tcp"),
    Column("protocol", "", "string", "Protocol", "", "tshark's name"),
    Column("level", "", "uint16", "Level", "", "how many protocols are around it"),
    Column("frames", "", "uint64", "Frames"),
    Column("bytes", "", "uint64", "Bytes", "byte", "wire length of the whole frames"),
    Column("frames_here", "", "uint64", "Ends here", "", "frames in which nothing further was recognised inside"),
    Column("unwanted", "", "string", "Unwanted", "", "why a policy does not want it; null where it may be"),
)
"""The Table "hierarchy": a row for each node of the tree, each before the nodes inside it, by first appearance."""

MALFORMED, SHORT, DATA = "_ws.malformed", "_ws.short", "data"

# tshark shows these inside IPv6 and not as layers of their own.
_IPV6_PARTS = frozenset({"ipv6.hopopts", "ipv6.routing", "ipv6.fraghdr", "ipv6.dstopts", "ah"})
_OTHER_NAMES = {"sll2": "sll"}

_TRUNCATED, _MALFORMED, _UNSUPPORTED = map(VERDICTS.index, ("truncated", "malformed", "unsupported"))
_HAS_TRANSPORT = 1 << PACKET_FLAGS.index("has-transport")
UDP = 17
_ETHERNET, _IPV4, _IPV6, _GRE, _TCP, _UDP, _SCTP, _ICMP = map(
    PROTOCOLS.index, ("eth", "ip", "ipv6", "gre", "tcp", "udp", "sctp", "icmp")
)

# How the walk through a frame's layers ended: what stands behind the last layer, and whether that layer itself had too
# little to be one.
_ENDINGS = ("", MALFORMED, SHORT, DATA, "")
_STOPPED = len(_ENDINGS) - 1
_NO_LAYER = len(_ENDINGS)


@dataclass(slots=True)
class Count:
    """Frames that have the same layers, and the number of the first of them."""

    frames: int
    octets: int
    first: int

    def add(self, other: Count) -> None:
        self.frames += other.frames
        self.octets += other.octets
        self.first = min(self.first, other.first)


@dataclass(slots=True)
class Node:
    """A protocol at its place in the hierarchy."""

    frames: int = 0
    octets: int = 0
    frames_here: int = 0


class Hierarchy:
    """Frames and bytes by protocol hierarchy. A Stage.

    Every frame walks through its layers, one level deeper each, and counts at each node with its whole wire length. The
    layers are those of the packet rows' `path`, of `application`, and _ws.short, _ws.malformed and data where decoding
    stopped, by the rules and the names of tshark 4.0's io,phs (ui/cli/tap-protohierstat.c): headers quoted in ICMP
    errors are no layers, nor are IPv6 extension headers.

    policy    marks the protocols that it does not want

    `counts` has what was counted, by layers. What a capture can have of them is bounded by its `paths` and
    `applications`. tables() gives "hierarchy", a Table of HIERARCHY.
    """

    def __init__(self, policy: Policy | None = None) -> None:
        self.counts: dict[tuple[str, ...], Count] = {}
        self._policy = policy

    def update(self, batch: Batch) -> None:
        packets = batch.packets
        if not len(packets):
            return
        kinds = len(batch.applications)
        distinct, which = _numbered(_layers_of(batch, kinds), 2 * _NO_LAYER * kinds * len(batch.paths))
        frames = np.bincount(which, minlength=len(distinct))
        octets = np.bincount(which, weights=packets["wire_length"], minlength=len(distinct))
        first = np.empty(len(distinct), np.int64)
        first[which[::-1]] = np.arange(len(which) - 1, -1, -1)  # of several assignments the last one holds
        for n in np.flatnonzero(frames).tolist():
            rest, ending = divmod(int(distinct[n]), 2 * _NO_LAYER)
            path, application = divmod(rest, kinds)
            layers = _walk(batch.paths[path], batch.applications[application], ending)
            self._add(layers, Count(int(frames[n]), int(octets[n]), int(batch.numbers[first[n]])))

    def _add(self, layers: tuple[str, ...], count: Count) -> None:
        known = self.counts.get(layers)
        if known is None:
            self.counts[layers] = count
        else:
            known.add(count)

    def drain(self) -> Mapping[str, pa.Table]:
        """Nothing: counts are known at the end."""
        return {}

    def merge(self, other: Hierarchy) -> None:
        """Adds the counts of `other`, which saw other frames of the same capture, or of one that is read with it."""
        for layers, count in other.counts.items():
            self._add(layers, count)

    def state(self) -> dict[str, Any]:
        return {"counts": [(layers, c.frames, c.octets, c.first) for layers, c in self.counts.items()]}

    def restore(self, state: Mapping[str, Any]) -> None:
        self.counts = {tuple(layers): Count(*count) for layers, *count in state["counts"]}

    def nodes(self) -> dict[tuple[str, ...], Node]:
        """The tree, by the way to each node: siblings by their first frame, each node before what is inside it."""
        found: dict[tuple[str, ...], Node] = {}
        inside: dict[tuple[str, ...], list[tuple[str, ...]]] = {}
        for layers, count in sorted(self.counts.items(), key=lambda item: item[1].first):
            for depth in range(1, len(layers) + 1):
                way = layers[:depth]
                if way not in found:
                    found[way] = Node()
                    inside.setdefault(way[:-1], []).append(way)
                found[way].frames += count.frames
                found[way].octets += count.octets
            if layers:
                found[layers].frames_here += count.frames
        return {way: found[way] for way in _in_depth(inside)}

    def tables(self) -> Mapping[str, pa.Table]:
        nodes = self.nodes()
        names = [way[-1] for way in nodes]
        reasons = self._policy.reasons(list(nodes)) if self._policy else [None] * len(nodes)
        numbers = {
            name: column(np.array([getattr(node, source) for node in nodes.values()], np.uint64))
            for name, source in (("frames", "frames"), ("bytes", "octets"), ("frames_here", "frames_here"))
        }
        columns = {
            "path": strings([":".join(way) for way in nodes]),
            "protocol": strings(names),
            "level": column(np.array([len(way) - 1 for way in nodes], np.uint16)),
            "unwanted": strings(reasons),
            **numbers,
        }
        return {"hierarchy": table_of(HIERARCHY, columns)}


def _numbered(values: npt.NDArray[np.int64], bound: int) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    """(distinct, which): values[n] is distinct[which[n]]. What is below a small `bound` is its own number."""
    if bound <= 4 * len(values):
        return np.arange(bound), values
    return np.unique(values, return_inverse=True)


def _layers_of(batch: Batch, kinds: int) -> npt.NDArray[np.int64]:
    """For each row a number for its path, application and ending."""
    packets = batch.packets
    numbers = packets["path"].astype(np.int64)
    if kinds > 1:
        numbers = numbers * kinds + packets["application"]
    numbers *= 2 * _NO_LAYER
    odd = (packets["verdict"] != 0) | (packets["captured_length"] < packets["wire_length"])
    if odd.any():
        numbers[odd] += _endings(batch, np.flatnonzero(odd))
    return numbers


def _endings(batch: Batch, rows: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
    """How the walk ended in `rows`: an index into _ENDINGS, plus _NO_LAYER.

    tshark's rules: what lies behind the end of what was captured is short, what lies behind the end that the headers
    tell is malformed. A header that contradicts itself is shown, and is no reason for either.
    """
    packets = batch.packets[rows]
    verdict, layer, left = packets["verdict"], packets["verdict_layer"], packets["payload_length"]
    truncated, malformed = verdict == _TRUNCATED, verdict == _MALFORMED
    stopped = truncated | malformed
    has_transport = packets["flags"] & _HAS_TRANSPORT != 0
    cut = packets["captured_length"] < packets["wire_length"]
    endings = np.where(truncated & cut, _ENDINGS.index(SHORT), _ENDINGS.index(MALFORMED)).astype(np.int64)
    endings[~stopped] = np.where(verdict[~stopped] == 0, 0, _STOPPED)
    without_ports = np.isin(layer, (_TCP, _UDP, _SCTP)) & ~has_transport
    endings[stopped & ((layer == _ETHERNET) | without_ports | ((layer == _GRE) & (left < 4)))] += _NO_LAYER
    # A UDP header with a wrong length, a TCP header that says it is shorter than it can be.
    contradicts = has_transport & (((layer == _UDP) & (left >= 8)) | ((layer == _TCP) & (left >= 20)))
    endings[malformed & contradicts] = _STOPPED
    if malformed.any():
        empty = malformed.copy()
        empty[malformed] = _without_length(batch, rows[malformed])
        endings[empty & (layer == _IPV4)] = _STOPPED
        endings[empty & (layer == _IPV6)] = _ENDINGS.index(DATA)
        # Nobody is asked about what stands behind an IPv4 header when that is nothing.
        behind_ipv4 = (packets["ip_version"] == 4) & np.isin(layer, (_TCP, _UDP, _SCTP, _ICMP, _GRE))
        endings[empty & behind_ipv4] = _STOPPED + _NO_LAYER
    # UDP asks somebody about its payload, whatever there is of it.
    nothing = (verdict == 0) & has_transport & (packets["ip_protocol"] == UDP) & (left > 0)
    nothing &= packets["payload_offset"] >= packets["frame_offset"] + packets["captured_length"]
    nothing &= packets["payload_buffer"] == 0
    endings[nothing & (packets["application"] == 0)] = _ENDINGS.index(SHORT)
    return endings


def _without_length(batch: Batch, rows: npt.NDArray[np.int64]) -> npt.NDArray[np.bool_]:
    """Whether the last layer of each of `rows` has no bytes, or as a whole one that makes no sense no length."""
    chosen = np.zeros(len(batch), np.bool_)
    chosen[rows] = True
    layers = batch.select(chosen).layers
    last = np.flatnonzero(np.diff(layers["packet"].astype(np.int64), append=len(rows)))
    without: npt.NDArray[np.bool_] = layers["length"][last] == 0
    return without


@lru_cache(4096)  # batch after batch has the same ones
def _walk(stack: Sequence[str], application: Sequence[str], ending: int) -> tuple[str, ...]:
    """The nodes that a frame counts at."""
    if ending >= _NO_LAYER:
        stack = stack[:-1]
    behind = _ENDINGS[ending % _NO_LAYER]
    # A fragment that does not complete its datagram: nothing else ends well in an IP header.
    if ending == 0 and not application and stack and stack[-1] in ("ip", "ipv6.fraghdr"):
        behind = DATA
    return (*_shown(stack), *application, *([behind] if behind else ()))


def _shown(stack: Sequence[str]) -> Iterator[str]:
    network = ""
    for name in stack:
        if name in ("ip", "ipv6"):
            network = name
        if name in _IPV6_PARTS and network == "ipv6":
            continue
        yield _OTHER_NAMES.get(name, name)


def _in_depth(inside: Mapping[tuple[str, ...], list[tuple[str, ...]]]) -> Iterator[tuple[str, ...]]:
    """All ways, each before those that go on from it; without recursion, for stacks are as deep as a frame is long."""
    waiting = [*reversed(inside.get((), ()))]
    while waiting:
        way = waiting.pop()
        yield way
        waiting += reversed(inside.get(way, ()))
