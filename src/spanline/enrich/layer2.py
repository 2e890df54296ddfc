"""L2 networks of addresses."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from spanline.enrich.inventory import Inventory, Row
from spanline.enrich.prefixes import Candidates, Frames, Prefixes, Scope
from spanline.enrich.ranges import Numbers
from spanline.schema import NO_TUNNEL_ID, NO_VLAN


class Layer2:
    """The L2 network of an address, by the first of these that says one:

    1. an L2 network with CIDRs that the address is in,
    2. the address's subnet, by `l2_network`, `vni` or `vlan`,
    3. its VM, in the same way,
    4. the VM's port group, in the same way,
    5. of internal addresses the frame: its VNI where an L2 network of the inventory has it, else its VLAN.

    A VLAN or VNI that no L2 network of the inventory has is the network vlan-N or vni-N. A frame's VNI is not: that of
    a mirror's own tunnel says nothing of the network.
    """

    def __init__(self, inventory: Inventory) -> None:
        own = inventory.section("l2_networks")
        self._names: dict[str, int] = {"": 0}
        self._numbers = np.array([0, *(self._number_of(row.get("name")) for row in own)], np.uint32)
        cidrs = [(cidr, n, row.scope) for n, row in enumerate(own, 1) for cidr in row.get("cidrs") or ()]
        self._by_cidr = Prefixes([one[0] for one in cidrs], [one[1] for one in cidrs], [one[2] for one in cidrs])
        self._by_vlan = _ByTag(own, "vlan")
        self._by_vni = _ByTag(own, "vni")
        self.depends = {"vlan"} | self._by_cidr.depends | self._by_vlan.depends
        if any(row.get("vni") is not None for row in own):
            self.depends |= {"vni"} | self._by_vni.depends
        groups = {row.get("name"): row for row in reversed(inventory.section("port_groups"))}
        nothing = Row({})
        vms = inventory.section("vms")
        self._subnets = self._stated(inventory.section("subnets"))
        self._vms = self._stated(vms)
        self._groups = self._stated([groups.get(row.get("port_group"), nothing) for row in vms])

    def look_up(
        self,
        addresses: npt.NDArray[np.uint8],
        frames: Frames,
        vms: Numbers,
        subnets: Numbers,
        is_internal: npt.NDArray[np.bool_],
    ) -> tuple[list[str], Numbers]:
        """(names, numbers): of uint8[n, 16], with the numbers of their rows in the inventory; indices into names, of
        which the first is nothing."""
        count = len(addresses)
        numbers = self._numbers[self._by_cidr.look_up(addresses, frames)]
        vlans, vnis = np.full(count, NO_VLAN, np.uint16), np.full(count, NO_TUNNEL_ID, np.uint32)
        is_open = numbers == 0
        for stated, rows in ((self._subnets, subnets), (self._vms, vms), (self._groups, vms)):
            now = np.flatnonzero(is_open & stated.says[rows])
            numbers[now] = stated.numbers[rows[now]]
            vlans[now], vnis[now] = stated.vlans[rows[now]], stated.vnis[rows[now]]
            is_open[now] = False
        by_frame = np.flatnonzero(is_open & is_internal)
        of_vni = self._by_vni.look_up(frames.vnis[by_frame], frames.times[by_frame])
        numbers[by_frame] = self._numbers[of_vni]
        vlans[by_frame] = frames.vlans[by_frame]
        names = dict(self._names)
        for tags, by in ((vnis, self._by_vni), (vlans, self._by_vlan)):
            tagged = np.flatnonzero((numbers == 0) & (tags != by.none))
            numbers[tagged] = self._numbers[by.look_up(tags[tagged], frames.times[tagged])]
            unnamed = tagged[numbers[tagged] == 0]
            values, of = np.unique(tags[unnamed], return_inverse=True)
            made = [names.setdefault(f"{by.tag}-{value}", len(names)) for value in values.tolist()]
            numbers[unnamed] = np.array(made, np.uint32)[of]
        return list(names), numbers

    def _number_of(self, name: str | None) -> int:
        return self._names.setdefault(name or "", len(self._names))

    def _stated(self, rows: Sequence[Row]) -> _Stated:
        return _Stated(
            np.array([0, *(self._number_of(row.get("l2_network")) for row in rows)], np.uint32),
            np.array([NO_VLAN, *(_or(row.get("vlan"), NO_VLAN) for row in rows)], np.uint16),
            np.array([NO_TUNNEL_ID, *(_or(row.get("vni"), NO_TUNNEL_ID) for row in rows)], np.uint32),
        )


def _or(value: int | None, none: int) -> int:
    return none if value is None else value


class _Stated:
    """What rows say of their L2 network, by number from 1: the number of its name, its VLAN and VNI."""

    def __init__(self, numbers: Numbers, vlans: npt.NDArray[np.uint16], vnis: npt.NDArray[np.uint32]) -> None:
        self.numbers = numbers
        self.vlans = vlans
        self.vnis = vnis
        self.says = (numbers != 0) | (vlans != NO_VLAN) | (vnis != NO_TUNNEL_ID)


class _ByTag:
    """L2 networks by their VLAN or by their VNI."""

    def __init__(self, rows: Sequence[Row], tag: str) -> None:
        self.tag = tag
        self.none = NO_VLAN if tag == "vlan" else NO_TUNNEL_ID
        tagged = [(row.get(tag), n, row.scope) for n, row in enumerate(rows, 1) if row.get(tag) is not None]
        self._tags = np.unique(np.array([value for value, _, _ in tagged], np.uint32))
        slots = np.searchsorted(self._tags, np.array([value for value, _, _ in tagged], np.uint32)).tolist()
        scopes = [Scope(begin=scope.begin, end=scope.end) for _, _, scope in tagged]
        self._candidates = Candidates(slots, [n for _, n, _ in tagged], scopes, len(self._tags))
        self.depends = self._candidates.depends

    def look_up(self, tags: npt.NDArray[np.unsignedinteger], times: npt.NDArray[np.int64]) -> Numbers:
        """Numbers of rows, from 1; 0 where no network has the tag at the time."""
        numbers = np.zeros(len(tags), np.uint32)
        slots = np.searchsorted(self._tags, tags)
        known = np.flatnonzero(slots < len(self._tags))
        known = known[self._tags[slots[known]] == tags[known]]
        nowhere = Frames(
            np.full(len(known), NO_VLAN, np.uint16), np.full(len(known), NO_TUNNEL_ID, np.uint32), times[known]
        )
        numbers[known] = self._candidates.choose(slots[known], nowhere)[0]
        return numbers
