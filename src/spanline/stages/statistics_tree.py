"""Trees of counters with bursts, which destinations and hosts have in common: Wireshark's statistics trees."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from spanline import _text
from spanline._decode import SEED
from spanline._tree_tally import TreeTally
from spanline.arrow import column, fixed_binary, strings, table_of
from spanline.batch import Batch
from spanline.errors import UsageError
from spanline.schema import TREE_NODE_DTYPE, TREE_QUOTE_DTYPE, Column

MEMORY = 512 << 20
BURST_WINDOW = 100
"""ms. A burst is the most packets within it, in steps of 5 ms."""

TRANSPORTS = ("NONE", "SCTP", "TCP", "UDP")
"""Names of `transport`, in the order of the alphabet."""

COUNTS = (
    Column("packets", "", "uint64", "Packets", "", "IP layers: a tunnelled frame has several"),
    Column("percent", "", "double", "%", "", "of the packets of what is around it"),
    Column("rate", "", "double", "Rate", "1/s", "over the time between the first and the last packet with IP"),
    Column("burst_packets", "", "uint32", "Burst", "", "the most within 100 ms"),
    Column("burst_start", "", "time", "Burst at", "ns", "when those began"),
)

_NO_PARENT = 0xFFFFFFFF
_LONGEST_ADDRESS = 45


@dataclass(frozen=True, slots=True)
class Tree:
    """The nodes of one tree in the order of print: those inside a node follow it, the most frequent first.

    level       0 of the root, which is the first; 1 of addresses, 2 of transports, 3 of ports
    address     uint8[n, 16]; of the root zeros
    text        bytes[n], the text of the address where level is 1, else b""
    transport   index into TRANSPORTS
    port        uint16[n]
    packets     uint64[n]
    around      uint64[n], packets of the node around it; of the root 0
    burst       uint32[n], the most packets in a window
    burst_start int64[n], ns since the first frame
    elapsed     ns between the first and the last packet
    """

    level: npt.NDArray[np.uint8]
    address: npt.NDArray[np.uint8]
    text: npt.NDArray[np.bytes_]
    transport: npt.NDArray[np.uint8]
    port: npt.NDArray[np.uint16]
    packets: npt.NDArray[np.uint64]
    around: npt.NDArray[np.uint64]
    burst: npt.NDArray[np.uint32]
    burst_start: npt.NDArray[np.int64]
    elapsed: int


class StatisticsTree:
    """Packets by address, and by what is below addresses, each with its burst. What Stages are made of.

    Each IP layer of a frame counts once, as in Wireshark: a tunnelled frame several times, each time with the
    addresses and ports that Wireshark has in mind at a frame's end, which are those of the innermost layer; but for
    the port of an ICMP error, which is that of the packet it quotes. There is a tree for IPv4 layers and one for IPv6
    layers.

    A burst is the largest number of packets in twenty buckets of 5 ms, counted from the first frame on as
    epan/stats_tree.c does it, also where packets come out of order.

    memory   bytes that nodes may take. Beyond, new ones are counted in `others`, and in what is around them as long as
             that is there

    merge() adds packets exactly. Of two bursts it keeps the larger one, and looks at what is left of the windows of
    both. What two stages saw in the same 100 ms is not put together afterwards, so that the burst of a node that both
    have may be told too small, and never too large.
    """

    kind: int
    """Of the TreeTally."""

    def __init__(self, *, memory: int = MEMORY) -> None:
        self._tally = TreeTally(self.kind, memory=memory, seed=SEED)
        self._weights = np.zeros((0, 2), np.uint8)
        self._first_frame = 0

    @property
    def others(self) -> int:
        """Packets whose node had no room."""
        return self._tally.losses[0]

    def update(self, batch: Batch) -> None:
        if not len(batch):
            return
        if not self._first_frame:
            self._first_frame = batch.first_frame
            self._tally.epoch = batch.begun
        if len(self._weights) < len(batch.paths):
            added = [batch.paths[number] for number in range(len(self._weights), len(batch.paths))]
            weights = [[stack.count("ip"), stack.count("ipv6")] for stack in added]
            self._weights = np.concatenate([self._weights, np.array(weights, np.uint8)])
        parts = batch.packets, batch.tunnels, self._quotes(batch)
        packets, tunnels, quotes = (np.ascontiguousarray(part).view(np.uint8) for part in parts)
        self._tally.update(packets, tunnels, quotes, self._weights.reshape(-1))

    def _quotes(self, batch: Batch) -> npt.NDArray[np.void]:
        """The transport headers that ICMP errors quote, of which ports are wanted."""
        return np.empty(0, TREE_QUOTE_DTYPE)

    def drain(self) -> Mapping[str, pa.Table]:
        """Nothing: counts are known at the end."""
        return {}

    def merge(self, other: StatisticsTree) -> None:
        if not other._first_frame:
            return
        shift = other._tally.epoch - self._tally.epoch if self._first_frame else 0
        if not self._first_frame or other._first_frame < self._first_frame:
            self._tally.shift(-shift)
            self._first_frame, self._tally.epoch, shift = other._first_frame, other._tally.epoch, 0
        (own4, own6), (other4, other6) = self._tally.clocks, other._tally.clocks
        self._tally.clocks = _joined(own4, other4, shift), _joined(own6, other6, shift)
        self._tally.merge(*other._tally.save(), shift)
        (others, shortened), (more_others, more_shortened) = self._tally.losses, other._tally.losses
        self._tally.losses = others + more_others, shortened + more_shortened

    def state(self) -> dict[str, Any]:
        nodes, buckets = self._tally.save()
        return {
            "nodes": nodes.tobytes(),
            "buckets": buckets.tobytes(),
            "first_frame": self._first_frame,
            "epoch": self._tally.epoch,
            "clocks": self._tally.clocks,
            "losses": self._tally.losses,
        }

    def restore(self, state: Mapping[str, Any]) -> None:
        """Raises UsageError when it is damaged."""
        nodes, buckets = (np.frombuffer(state[name], np.uint8) for name in ("nodes", "buckets"))
        try:
            self._tally.merge(nodes, buckets, 0)
        except ValueError as error:
            raise UsageError(str(error)) from error
        self._first_frame, self._tally.epoch = state["first_frame"], state["epoch"]
        self._tally.clocks, self._tally.losses = state["clocks"], state["losses"]

    @property
    def epoch(self) -> int:
        """Time of the first frame, in ns since the Epoch: burst_start of nodes counts from there."""
        return self._tally.epoch

    def tree(self, version: int) -> Tree:
        """The tree of the layers of an IP version."""
        all_nodes = self._tally.save()[0].view(TREE_NODE_DTYPE)
        number = np.flatnonzero(all_nodes["place"] >> 4 == (version == 6))
        nodes = all_nodes[number]
        # Parents come before what is inside them, in all nodes as in those of one tree.
        parent = np.searchsorted(number, np.where(nodes["parent"] == _NO_PARENT, 0, nodes["parent"]))
        level = (nodes["place"] >> 2 & 3).astype(np.uint8)
        texts = _address_texts(nodes["address"], level)
        around = np.where(level == 0, 0, nodes["count"][parent]) if len(nodes) else nodes["count"]
        order = _order(nodes, level, parent, texts)
        nodes, level = nodes[order], level[order]
        start, last = self._tally.clocks[version == 6]
        return Tree(
            level, nodes["address"], texts[order], (nodes["place"] & 3).astype(np.uint8), nodes["port"],
            nodes["count"], around[order], nodes["burst"], nodes["burst_start"], last - start if start >= 0 else 0
        )  # fmt: skip

    def _table(self, columns: Sequence[Column]) -> pa.Table:
        """Both trees without their roots: those columns that `columns` has."""
        tables = []
        for version in (4, 6):
            tree = self.tree(version)
            inner = tree.level > 0
            level, packets, elapsed = tree.level[inner], tree.packets[inner], max(tree.elapsed, 0)
            transport = column(tree.transport[inner].astype(np.int8), level < 2)
            made = {
                "ip_version": column(np.full(len(level), version, np.uint8)),
                "address": fixed_binary(tree.address[inner]),
                "transport": pa.DictionaryArray.from_arrays(transport, strings(TRANSPORTS)),
                "port": column(tree.port[inner], level < 3),
                "packets": column(packets),
                "percent": column(100 * packets / np.maximum(tree.around[inner], 1)),
                "rate": column(packets * (1e9 / (elapsed or 1)), np.full(len(level), elapsed == 0)),
                "burst_packets": column(tree.burst[inner]),
                "burst_start": column(tree.burst_start[inner] + self._tally.epoch),
            }
            tables.append(table_of(columns, {one.name: made[one.name] for one in columns}))
        return pa.concat_tables(tables)


def _joined(own: tuple[int, int], other: tuple[int, int], shift: int) -> tuple[int, int]:
    """When a tree's first and last tick were, of two that saw parts of it."""
    start, last = other[0] + shift, other[1] + shift
    if other[0] < 0:
        return own
    return (start, last) if own[0] < 0 else (min(own[0], start), max(own[1], last))


def _address_texts(addresses: npt.NDArray[np.uint8], level: npt.NDArray[np.uint8]) -> npt.NDArray[np.bytes_]:
    """The text of each address of level 1, bytes[n]."""
    own = np.flatnonzero(level == 1)
    letters = np.zeros((len(own), _LONGEST_ADDRESS), np.uint8)
    for at in range(0, len(own), _text.MOST_ROWS):
        offsets, written = _text.addresses(addresses[own[at : at + _text.MOST_ROWS]])
        lengths = np.diff(offsets)
        place = np.arange(len(written)) - np.repeat(offsets[:-1], lengths)
        letters[at + np.repeat(np.arange(len(lengths)), lengths), place] = written[: offsets[-1]]
    texts = np.zeros(len(level), f"S{_LONGEST_ADDRESS}")
    texts[own] = letters.view(texts.dtype).ravel()
    return texts


@cache
def _port_ranks() -> npt.NDArray[np.int64]:
    """The place of each port in the order of their texts, which decides among equally frequent ones."""
    ranks = np.empty(65536, np.int64)
    ranks[np.argsort(np.arange(65536).astype("S5"), kind="stable")] = np.arange(65536)
    return ranks


def _order(
    nodes: npt.NDArray[np.void], level: npt.NDArray[np.uint8], parent: npt.NDArray[np.int64],
    texts: npt.NDArray[np.bytes_],
) -> npt.NDArray[np.int64]:  # fmt: skip
    """The order of print: inside each node by count, the largest first; equal ones by their text, the last of the
    alphabet first, as tshark sorts."""
    names = np.where(level == 3, _port_ranks()[nodes["port"]], nodes["place"] & 3).astype(np.int64)
    addresses = np.flatnonzero(level == 1)
    names[addresses[np.argsort(texts[addresses], kind="stable")]] = np.arange(len(addresses))
    count = nodes["count"].astype(np.int64)
    # Of each node its rank among all of a level, and those of the nodes around it.
    ranks = np.zeros((3, len(nodes)), np.int64)
    for depth in range(1, 4):
        own = np.flatnonzero(level == depth)
        ranks[:, own] = ranks[:, parent[own]]
        sort = np.lexsort((-names[own], -count[own], ranks[max(depth - 2, 0), own]))
        ranks[depth - 1, own[sort]] = np.arange(1, len(own) + 1)
    return np.lexsort(ranks[::-1])
