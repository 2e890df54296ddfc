"""Which of many rows holds for an address: the longest prefix, among equal ones what a frame's VLAN, VNI and time say.

Of rows for the same network, those count that are valid at the time and have no other VNI than the frame. A row whose
VNI or VLAN is the frame's is better than one that has none, and that one better than one with another VLAN: routers
carry frames from one VLAN to the next, so a VLAN only tells rows apart. Where a frame cannot tell rows of different
VLANs or VNIs apart, none holds. Of rows that contradict each other, the first one does.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from spanline.enrich.ranges import IPNetwork, Numbers, Ranges, Steps
from spanline.schema import NO_TUNNEL_ID, NO_VLAN

ALWAYS = np.iinfo(np.int64).min, np.iinfo(np.int64).max
_BITS = 128


@dataclass(frozen=True, slots=True)
class Scope:
    """When and where a row holds: in a VLAN or VNI, None in any; from `begin` to before `end`, ns since the epoch."""

    vlan: int | None = None
    vni: int | None = None
    begin: int = ALWAYS[0]
    end: int = ALWAYS[1]


@dataclass(frozen=True, slots=True)
class Frames:
    """Where and when something was seen, of n rows each: `vlans` uint16 (NO_VLAN unknown), `vnis` uint32 (NO_TUNNEL_ID
    unknown), `times` int64 in ns since the epoch."""

    vlans: npt.NDArray[np.uint16]
    vnis: npt.NDArray[np.uint32]
    times: npt.NDArray[np.int64]

    def of(self, rows: npt.NDArray[Any]) -> Frames:
        return Frames(self.vlans[rows], self.vnis[rows], self.times[rows])


class Candidates:
    """Rows by slot, each with a number and a scope."""

    def __init__(self, slots: Sequence[int], numbers: Sequence[int], scopes: Sequence[Scope], count: int) -> None:
        """Slots are 0 to `count` - 1; numbers are from 1 on."""
        order = np.argsort(np.array(slots, np.int64), kind="stable")
        self._starts = np.searchsorted(np.array(slots, np.int64)[order], np.arange(count + 1))
        self._numbers = np.array(numbers, np.uint32)[order]
        ordered = [scopes[n] for n in order.tolist()]
        self._vlans = np.array([NO_VLAN if one.vlan is None else one.vlan for one in ordered], np.uint16)
        self._vnis = np.array([NO_TUNNEL_ID if one.vni is None else one.vni for one in ordered], np.uint32)
        self._begins = np.array([one.begin for one in ordered], np.int64)
        self._ends = np.array([one.end for one in ordered], np.int64)

    @property
    def depends(self) -> set[str]:
        """What of frames decides which row holds: some of "vlan", "vni" and "time"."""
        counts = np.diff(self._starts)
        has_rivals = np.repeat(counts > 1, counts)
        return {
            name
            for name, decides in (
                ("vlan", bool((has_rivals & (self._vlans != NO_VLAN)).any())),
                ("vni", bool((self._vnis != NO_TUNNEL_ID).any())),
                ("time", bool((self._begins != ALWAYS[0]).any() or (self._ends != ALWAYS[1]).any())),
            )
            if decides
        }

    def choose(self, slots: npt.NDArray[np.int64], frames: Frames) -> tuple[Numbers, npt.NDArray[np.bool_]]:
        """(numbers, found) for each slot: 0 where none holds; found is also where frames cannot tell which."""
        best = np.full(len(slots), -1, np.int64)
        chosen = np.zeros(len(slots), np.int64)  # index of a candidate
        unclear = np.zeros(len(slots), np.bool_)
        rows, at, end = np.arange(len(slots)), self._starts[slots], self._starts[slots + 1]
        while len(rows):
            more = at < end
            rows, at, end = rows[more], at[more], end[more]
            score = self._score(at, frames.of(rows))
            before, so_far = best[rows], chosen[rows]
            is_better = score > before
            same_scope = (self._vlans[at] == self._vlans[so_far]) & (self._vnis[at] == self._vnis[so_far])
            is_other = (self._numbers[at] != self._numbers[so_far]) & ~same_scope
            unclear[rows] = ~is_better & (unclear[rows] | (score == before) & (score >= 0) & is_other)
            best[rows] = np.where(is_better, score, before)
            chosen[rows] = np.where(is_better, at, so_far)
            at = at + 1
        found = best >= 0
        numbers = np.zeros(len(slots), np.uint32)
        certain = found & ~unclear
        numbers[certain] = self._numbers[chosen[certain]]
        return numbers, found

    def _score(self, at: npt.NDArray[np.int64], frames: Frames) -> npt.NDArray[np.int64]:
        """How well candidates suit frames, -1 for those that do not hold."""
        vlans, vnis = self._vlans[at], self._vnis[at]
        same_vni = (vnis == frames.vnis) & (vnis != NO_TUNNEL_ID)
        other_vni = (vnis != frames.vnis) & (vnis != NO_TUNNEL_ID) & (frames.vnis != NO_TUNNEL_ID)
        same_vlan = (vlans == frames.vlans) & (vlans != NO_VLAN)
        other_vlan = (vlans != frames.vlans) & (vlans != NO_VLAN) & (frames.vlans != NO_VLAN)
        valid = (self._begins[at] <= frames.times) & (frames.times < self._ends[at]) & ~other_vni
        score = 3 * same_vni + same_vlan + np.int64(1) - other_vlan
        return np.where(valid, score, np.int64(-1))


class Prefixes:
    """Numbers of addresses by the networks that they are in."""

    def __init__(self, networks: Sequence[IPNetwork], numbers: Sequence[int], scopes: Sequence[Scope]) -> None:
        """Numbers are from 1 on, one for each network."""
        slot_of = {network: n for n, network in enumerate(dict.fromkeys(networks))}
        self._ranges, self._parents = _nested(list(slot_of))
        slots = [slot_of[network] for network in networks]
        self._candidates = Candidates(slots, numbers, scopes, len(slot_of))
        self.depends = self._candidates.depends

    def look_up(self, addresses: npt.NDArray[np.uint8], frames: Frames) -> Numbers:
        """Of uint8[n, 16], IPv4 mapped, and where they were seen: uint32[n], 0 where no network holds."""
        numbers = np.zeros(len(addresses), np.uint32)
        inside = self._ranges.look_up(addresses).astype(np.int64)
        rows = np.flatnonzero(inside)
        while len(rows):
            slots = inside[rows] - 1
            of_slots, found = self._candidates.choose(slots, frames.of(rows))
            numbers[rows] = of_slots
            inside[rows] = np.where(found, 0, self._parents[slots])
            rows = rows[inside[rows] != 0]
        return numbers


def _nested(networks: Sequence[IPNetwork]) -> tuple[Ranges, npt.NDArray[np.int64]]:
    """(ranges, parents): the innermost network of each address, and for each network the one around it; both by their
    index from 1 on, 0 for none. Networks are different."""
    parents = np.zeros(len(networks), np.int64)
    steps = []
    for version in (4, 6):
        own = [n for n, network in enumerate(networks) if network.version == version]
        own.sort(key=lambda n: (int(networks[n].network_address), networks[n].prefixlen))
        starts = {0: 0}
        around: list[tuple[int, int]] = []  # (address behind it, number) of those that are open
        for n in own:
            first = int(networks[n].network_address)
            while around and around[-1][0] <= first:
                behind, _ = around.pop()
                starts[behind] = around[-1][1] if around else 0
            parents[n] = around[-1][1] if around else 0
            starts[first] = n + 1
            around.append((first + networks[n].num_addresses, n + 1))
        while around:
            behind, _ = around.pop()
            starts[behind] = around[-1][1] if around else 0
        starts.pop(1 << (32 if version == 4 else _BITS), None)
        halves = np.array([(start >> 64, start & (2**64 - 1)) for start in starts], np.uint64)
        steps.append(Steps.of(halves, np.array(list(starts.values()), np.uint32)))
    return Ranges(*steps), parents
