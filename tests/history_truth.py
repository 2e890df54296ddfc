"""What the 19 queries have to answer over a generated history, by numpy and from the generator's truth.

Who an address is, its country, subnet and L2 network are those with which benchmarks/history_places.py made it: nothing
here looks an address up, and nothing is taken from spanline. Definitions, where the language leaves a choice:

    window     of an archive: it ends 1 ns behind the newest last_seen; a record is in it when they overlap
    inside     bytes and packets are spread evenly over first_seen to last_seen; what is inside the window counts
    session    a flow, counted when the first_seen of its first record is in the window
    flow       (source, destination, port, protocol), whatever the VLAN or VNI
    bucket     window/100 rounded up to 1, 2 or 5 times a power of ten seconds, from the epoch on; a rate is by the
               bucket's seconds that are in the window
    hours      of each day, where there are some: only what is inside them counts, and rates are by their seconds. It is
               asked of every minute what the clocks show in it
    order      by the order key, else by the count of flows: descending, ties by name, what has no name last
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import UTC, datetime, time, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import numpy as np
from history import DAY, SECOND, History
from history_places import INTERNAL, INTERNET, inventory
from traffic_frames import Array

SERIES = ("series(sum(Session Count))", "series(sum(Packets))", "series(sum(Bytes Rate))")
LISTED = ("Source IP Address", "Destination IP Address", "Port", "Protocol", "Total Traffic")
ADMIN_PORTS = (22, 23, 3389)
HEADROOM = (1, 2, 5)
MINUTE = 60 * SECOND


@dataclass(frozen=True)
class Answer:
    """rows: values of `columns` in order; a series is a list with the value of each bucket. None: not set.

    begin, end  of the window, ns since the epoch
    """

    columns: tuple[str, ...]
    rows: list[tuple[Any, ...]]
    begin: int
    end: int


class Everything:
    """All that there is counts."""

    def elapsed(self, moments: Array | int) -> Array | int:
        """What has counted up to a moment, ns, from some moment on."""
        return moments


class HoursOfDays:
    """What is from `first` to before `last` on the clocks of a zone counts, from `begin` to `end`; `last` may be on the
    next day."""

    def __init__(self, first: time, last: time, zone: str, begin: int, end: int) -> None:
        self._begin = begin - begin % MINUTE
        minutes = np.arange(self._begin, end + MINUTE, MINUTE)
        epoch = datetime(1970, 1, 1, tzinfo=UTC)
        clocks = [(epoch + timedelta(seconds=int(one) // SECOND)).astimezone(ZoneInfo(zone)).time() for one in minutes]
        if first < last:
            self._counts = np.array([first <= one < last for one in clocks])
        else:
            self._counts = np.array([first <= one or one < last for one in clocks])
        self._before = np.concatenate([[0], np.cumsum(self._counts) * MINUTE])

    def elapsed(self, moments: Array | int) -> Array:
        minute, rest = np.divmod(np.asarray(moments) - self._begin, MINUTE)
        at = np.clip(minute, 0, len(self._counts) - 1)
        return self._before[at] + rest * self._counts[at]


class Truth:
    """The records of a history that overlap its last `length` ns, and what is true of each."""

    def __init__(self, history: History, length: int, hours: tuple[time, time, str] | None = None) -> None:
        self.history = history
        self.end = int(history.last_seen.max()) + 1
        self.begin = self.end - length
        self.counting = HoursOfDays(*hours, self.begin, self.end) if hours else Everything()
        self.seconds = float(self.counted(self.begin, self.end)) / SECOND
        self.at = np.flatnonzero((history.first_seen < self.end) & (history.last_seen >= self.begin))
        first, last = history.first_seen[self.at], history.last_seen[self.at]
        counted = self.counted(np.maximum(first, self.begin), np.minimum(last, self.end - 1) + 1)
        self.at = self.at[counted > 0]
        self.first, self.last = history.first_seen[self.at], history.last_seen[self.at]
        self.bytes = history.bytes[self.at].sum(axis=1).astype(float)
        self.packets = history.packets[self.at].sum(axis=1).astype(float)
        self.port, self.protocol = history.port[self.at], history.protocol[self.at]
        counts = self.counted(self.first, self.first + 1) > 0
        self.begins = history.begins[self.at] & (self.first >= self.begin) & counts
        _, address = np.unique(history.places.address.view("V16").reshape(-1), return_inverse=True)
        self.flow = np.stack(
            [address[history.source[self.at]], address[history.destination[self.at]], self.port, self.protocol], axis=1
        )
        self.step = step(length)

    def counted(self, begin: Array | int, end: Array | int) -> Array:
        """What counts of the time between two moments, ns."""
        return self.counting.elapsed(end) - self.counting.elapsed(begin)

    def source(self, name: str) -> Array:
        """A field of Endpoint, of the source of each record."""
        return self.history.places.texts(name)[self.history.source[self.at]]

    def destination(self, name: str) -> Array:
        return self.history.places.texts(name)[self.history.destination[self.at]]

    def addresses(self, ends: Array) -> list[bytes]:
        return [address.tobytes() for address in self.history.places.address[ends[self.at]]]

    def share(self, begin: Array | int, end: Array | int, at: Array | slice = slice(None)) -> Array:
        """Which part of each record falls between two moments; all of a record without length, which is there."""
        first, last = self.first[at], self.last[at]
        inside = self.counted(np.maximum(first, begin), np.minimum(last, end))
        return np.where(first == last, 1.0, inside / np.maximum(last - first, 1))

    def inside(self, values: Array) -> Array:
        return values * self.share(self.begin, self.end)

    def buckets(self) -> Array:
        """Where each begins: from the one with the window's begin to the one with its last moment."""
        return np.arange(self.begin - self.begin % self.step, self.end, self.step)

    def spread(self, values: Array, of: Array, groups: int) -> Array:
        """float[groups, buckets]: `values` of each record, of group `of`, spread over its time."""
        start = self.buckets()[0]
        low = (np.maximum(self.first, self.begin) - start) // self.step
        high = (np.minimum(self.last, self.end - 1) - start) // self.step
        count = high - low + 1
        record = np.repeat(np.arange(len(count)), count)
        bucket = low[record] + np.arange(len(record)) - np.repeat(np.cumsum(count) - count, count)
        begin = start + bucket * self.step
        part = self.share(np.maximum(begin, self.begin), np.minimum(begin + self.step, self.end), record)
        found = np.zeros((groups, len(self.buckets())))
        np.add.at(found, (of[record], bucket), values[record] * part)
        return found

    def series(self, of: Array, groups: int) -> list[Array]:
        """The three of SERIES, each float[groups, buckets]; records of group -1 are left out."""
        asked = of >= 0
        one = self.only(asked)
        of = of[asked]
        starts = self.buckets()
        sessions = np.zeros((groups, len(starts)))
        np.add.at(sessions, (of[one.begins], (one.first[one.begins] - starts[0]) // self.step), 1)
        seconds = self.counted(np.maximum(starts, self.begin), np.minimum(starts + self.step, self.end)) / SECOND
        bits = one.spread(one.bytes, of, groups) * 8
        rates = np.divide(bits, seconds, out=np.zeros_like(bits), where=seconds > 0)
        return [sessions, one.spread(one.packets, of, groups), rates]

    def only(self, mask: Array) -> Truth:
        """The same of some records."""
        one = object.__new__(Truth)
        vars(one).update(vars(self))
        for name in ("at", "first", "last", "bytes", "packets", "port", "protocol", "begins", "flow"):
            setattr(one, name, getattr(self, name)[mask])
        return one

    # Flow types, by how each end was made.

    def is_internet(self) -> tuple[Array, Array]:
        return self.source("reach") == INTERNET, self.destination("reach") == INTERNET

    def is_vm(self) -> tuple[Array, Array]:
        return self.source("vm") != "", self.destination("vm") != ""

    def is_internal(self) -> tuple[Array, Array]:
        """One machine: neither multicast nor a broadcast address, be it that of an internal network."""
        return self.source("reach") == INTERNAL, self.destination("reach") == INTERNAL

    def is_physical(self) -> tuple[Array, Array]:
        internal, vm = self.is_internal(), self.is_vm()
        return internal[0] & ~vm[0], internal[1] & ~vm[1]

    def is_east_west(self) -> Array:
        internal = self.is_internal()
        return internal[0] & internal[1]

    def has_port(self, ports: Iterable[int]) -> Array:
        return np.isin(self.port, list(ports))


def step(length: int) -> int:
    """How long a bucket is, ns."""
    power = 1
    while True:
        for one in HEADROOM:
            if one * power * SECOND * 100 >= length:
                return one * power * SECOND
        power *= 10


def listing(truth: Truth, mask: Array) -> Answer:
    """One row for each flow, most bytes first."""
    some = truth.only(mask)
    _, first, of = np.unique(some.flow, axis=0, return_index=True, return_inverse=True)
    traffic = np.bincount(of.reshape(-1), some.inside(some.bytes), len(first))
    sources, destinations = some.addresses(truth.history.source), some.addresses(truth.history.destination)
    rows = [
        (sources[n], destinations[n], int(some.port[n]), int(some.protocol[n]), float(total))
        for n, total in zip(first.tolist(), traffic.tolist(), strict=True)
    ]
    return Answer(LISTED, sorted(rows, key=lambda row: (-row[4], row)), truth.begin, truth.end)


def grouped(
    truth: Truth, name: str, names: Array, mask: Array | None = None, series: Iterable[str] = (), order: str = ""
) -> Answer:
    """A row for each of `names`: its count of flows, or its series and what it is ordered by."""
    mask = np.ones(len(names), np.bool_) if mask is None else mask
    keys, of = np.unique(names[mask], return_inverse=True)
    some = truth.only(mask)
    pairs = np.unique(np.column_stack([of, some.flow]), axis=0)
    count = np.bincount(pairs[:, 0], minlength=len(keys))
    by = {
        "": count,
        "sum(Total Traffic)": np.bincount(of, some.inside(some.bytes), len(keys)),
        "sum(Session Count)": np.bincount(of[some.begins], minlength=len(keys)),
    }[order]
    all_series = dict(zip(SERIES, some.series(of, len(keys)), strict=True)) if series else {}
    columns = [all_series[one] for one in series]
    columns += [by] if order or not series else []
    shown = [None if key == "" else key for key in keys.tolist()]
    rows = [(key, *(column[n].tolist() for column in columns)) for n, key in enumerate(shown)]
    ranks = sorted(range(len(rows)), key=lambda n: (shown[n] is None, -by[n], "" if shown[n] is None else shown[n]))
    heads = (name, *series, *((order or "Count",) if order or not series else ()))
    return Answer(heads, [rows[n] for n in ranks], truth.begin, truth.end)


def in_one(truth: Truth, mask: Array) -> Answer:
    """The series of all flows of the mask together."""
    found = truth.series(np.where(mask, 0, -1), 1)
    return Answer(SERIES, [tuple(one[0].tolist() for one in found)], truth.begin, truth.end)


def busiest_machines(truth: Truth) -> Answer:
    """The five VMs with the most bits a second, and what the inventory says of them."""
    columns = ("Network Rate", "Name", "IP Address", "Default Gateway", "Host", "vCPUs", "Memory", "Port Group")
    source, destination = truth.source("vm"), truth.destination("vm")
    traffic = truth.inside(truth.bytes)
    rows = []
    for vm in inventory()["vms"]:
        rate = traffic[(source == vm["name"]) | (destination == vm["name"])].sum() * 8 / truth.seconds
        memory = int(vm["memory"].removesuffix("GB")) << 30
        known = (vm["default_gateway"], vm["host"], vm["vcpus"], memory, vm["port_group"])
        rows.append((float(rate), vm["name"], vm["addresses"], *known))
    return Answer(columns, sorted(rows, key=lambda row: (-row[0], row[1]))[:5], truth.begin, truth.end)


def busiest_ports(truth: Truth, counters: dict[str, Array]) -> Answer:
    """The twenty switch ports with the most bits a second in both directions.

    What a counter grew from one reading to the next is spread evenly between them; one that fell began from 0.
    """
    names = np.char.add(np.char.add(counters["switch"], " "), counters["port"])
    rows = []
    for name in np.unique(names):
        of_port = names == name
        read = counters["time"][of_port]
        overlap = (read[1:] > truth.begin) & (read[:-1] < truth.end)
        inside = truth.counted(np.maximum(read[:-1], truth.begin), np.minimum(read[1:], truth.end))
        share = np.where(overlap, inside, 0) / np.diff(read)
        total = 0.0
        for way in ("in_bytes", "out_bytes"):
            values = counters[way][of_port]
            grown = np.where(np.diff(values) < 0, values[1:], np.diff(values))
            total += (grown * share).sum()
        switch, port = str(name).split(" ")
        rows.append((float(total) * 8 / truth.seconds, switch, port))
    ranked = sorted(rows, key=lambda row: (-row[0], row[1:]))[:20]
    return Answer(("Network Rate", "Switch", "Name"), ranked, truth.begin, truth.end)


def _vlan_1105_to_others(truth: Truth) -> Array:
    # A destination that is in no L2 network is not in vlan-1105.
    return (truth.source("l2_network") == "vlan-1105") & (truth.destination("l2_network") != "vlan-1105")


def _administration(truth: Truth) -> Array:
    return truth.has_port(ADMIN_PORTS) & truth.is_east_west()


_TRAFFIC, _SESSIONS = "sum(Total Traffic)", "sum(Session Count)"
_RATE = SERIES[2:]
_Way = Callable[[Truth, dict[str, Array]], Answer]

# By number of the query: days of its window, and how it is answered.
ANSWERS: dict[int, tuple[int, _Way]] = {
    1: (1, lambda t, _: listing(t, t.is_physical()[0] & t.is_physical()[1])),
    2: (2, busiest_ports),
    3: (2, lambda t, _: busiest_machines(t)),
    4: (1, lambda t, _: grouped(t, "Source Country", t.source("country"))),
    5: (1, lambda t, _: grouped(t, "Destination Country", t.destination("country"))),
    6: (1, lambda t, _: grouped(t, "Destination Country", t.destination("country"), None, _RATE, _TRAFFIC)),
    7: (1, lambda t, _: grouped(t, "Destination Country", t.destination("country"), None, SERIES, _TRAFFIC)),
    8: (
        1,
        lambda t, _: grouped(
            t, "Source Subnet", t.source("subnet"), t.is_vm()[0] & t.is_internet()[1], SERIES, _TRAFFIC
        ),
    ),
    9: (1, lambda t, _: grouped(t, "Destination Subnet", t.destination("subnet"))),
    10: (1, lambda t, _: grouped(t, "Source Subnet", t.source("subnet"))),
    11: (1, lambda t, _: grouped(t, "Source Subnet", t.source("subnet"), None, SERIES, _TRAFFIC)),
    12: (7, lambda t, _: grouped(t, "Port", t.port.astype(int), None, SERIES, _SESSIONS)),
    13: (
        7,
        lambda t, _: grouped(
            t, "Source VM", t.source("vm"), t.destination("country") == "United Kingdom", SERIES
        ),
    ),
    14: (
        1,
        lambda t, _: grouped(
            t, "Source Country", t.source("country"), t.is_internet()[0] & t.has_port(ADMIN_PORTS)
        ),
    ),
    15: (1, lambda t, _: in_one(t, _administration(t))),
    16: (1, lambda t, _: listing(t, _administration(t))),
    17: (1, lambda t, _: grouped(t, "Source VM", t.source("vm"), _administration(t), SERIES)),
    18: (1, lambda t, _: listing(t, _vlan_1105_to_others(t))),
    19: (1, lambda t, _: in_one(t, _vlan_1105_to_others(t))),
}  # fmt: skip


def answer(
    number: int,
    history: History,
    counters: dict[str, Array],
    days: int | None = None,
    hours: tuple[time, time, str] | None = None,
) -> Answer:
    """What query `number` of the 19 has to answer, from 1; of other days, or in some hours by a zone's clocks."""
    usual, way = ANSWERS[number]
    return way(Truth(history, (days or usual) * DAY, hours), counters)
