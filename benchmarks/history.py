"""Two weeks of flows of a small company, and what is true of each of them: the truth of the query language's tests.

    python benchmarks/history.py --flows 100000 STORE

writes a store, and beside it STORE.yaml, the inventory, and STORE.ports.csv, the counters of the switches' ports. The
same number of flows and seed make the same history, always. history_places.py says who talks, TRAFFIC what about.

Some flows of every kind lie over the beginnings of the windows that people ask for, the longest last for days, and one
ends with the history. A flow longer than an hour is several records, as crunch writes it with an active timeout: those
after the first say when the flow began, and all but the last end with "active".
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import yaml
from history_places import NO_VLAN, RENAMED_AT, Places, inventory, places, switch_ports
from traffic_frames import ICMP, NONE, TCP, UDP, Array

from spanline import schema
from spanline.arrow import chosen, column, fixed_binary, labels, table_of
from spanline.store import Store
from spanline.store import counters as store_counters
from spanline.store.layout import STORED_FLOW

SECOND, HOUR, DAY = 1_000_000_000, 3_600_000_000_000, 86_400_000_000_000
BEGIN = int(np.datetime64("2026-03-05T00:00:00", "ns").astype(np.int64))
"""A Thursday, midnight: the last day is a Wednesday."""
END = BEGIN + 14 * DAY
EDGES = (DAY, 2 * DAY, 7 * DAY)
"""How long before the end the usual windows begin."""
EDGE_LENGTHS = (80 * 60 * SECOND, 6 * HOUR, 30 * HOUR)
"""Lengths of the flows that lie over each of them, in every kind of traffic."""
RECORD = HOUR
"""The longest that one record covers."""
_RENAMED = int(np.datetime64(RENAMED_AT.removesuffix("Z"), "ns").astype(np.int64))

# Shares of the hours of a day, and of the days from Thursday on.
_OFFICE = [1, 1, 1, 1, 1, 2, 6, 14, 30, 36, 34, 30, 24, 30, 34, 32, 28, 18, 9, 6, 4, 3, 2, 1]
_NIGHT = [12, 20, 14, 6, 2] + [0] * 17 + [1, 6]
_HOURS = {
    "office": _OFFICE,
    "night": _NIGHT,
    "always": [1] * 24,
    "people": [4, 3, 2, 2, 2, 3, *range(5, 14), *[14] * 9],
}
_DAYS = {"office": [10, 8, 1, 1, 10, 11, 11]}


@dataclass(frozen=True)
class Traffic:
    """What some talk about.

    share     of all flows
    hours     when they begin: a name in _HOURS
    seconds   median of how long a flow lasts; 0: one packet
    sent      median of the bytes from client to server, and of those back; 0: none
    """

    share: float
    sources: str
    destinations: str
    ports: tuple[int, ...]
    hours: str
    seconds: float
    sent: tuple[int, int]
    protocol: int = TCP
    application: str = ""
    begin: int = BEGIN
    end: int = END


TRAFFIC = (
    Traffic(20, "users", "servers", (443, 443, 443, 80), "office", 20, (4_000, 40_000), application="tls"),
    Traffic(3, "users", "british", (443,), "office", 40, (6_000, 80_000), application="tls"),
    Traffic(6, "web app files", "servers", (443, 443, 80), "always", 8, (3_000, 20_000), application="tls"),
    Traffic(2, "web viewer", "british", (443, 8443), "people", 60, (20_000, 9_000), application="tls"),
    Traffic(1, "app db", "servers-6 british-6", (443,), "always", 9, (3_000, 20_000), application="tls"),
    Traffic(13, "clients", "portal", (443, 443, 443, 80), "people", 15, (3_000, 30_000), application="tls"),
    Traffic(5, "scanners", "portal spare", (22, 22, 23, 3389, 445, 8080), "always", 0, (60, 0)),
    Traffic(3, "scanners", "portal", (22, 23, 3389), "always", 3, (900, 1_400), application="ssh"),
    Traffic(8, "users", "portal", (443,), "office", 15, (3_000, 30_000), application="tls"),
    Traffic(8, "portal web", "app", (8080,), "people", 2, (1_500, 8_000), application="http"),
    Traffic(8, "app", "db", (5432, 5432, 3306), "people", 5, (2_000, 12_000), application="pgsql"),
    Traffic(1, "app-6", "db-6", (5432,), "people", 5, (2_000, 12_000), application="pgsql"),
    Traffic(8, "users web app", "dns", (53,), "office", 0.02, (80, 200), UDP, "dns"),
    Traffic(2, "dns", "servers", (53,), "always", 0.05, (80, 240), UDP, "dns"),
    Traffic(1.5, "users", "web app db", (22, 22, 3389), "office", 600, (30_000, 90_000), application="ssh"),
    Traffic(0.5, "management", "web db nas", (22, 23), "office", 200, (9_000, 30_000), application="telnet"),
    Traffic(1, "web viewer", "app db", (22, 3389), "always", 90, (20_000, 60_000), application="ssh"),
    Traffic(0.6, "db files", "nas", (2049, 873), "night", 5_000, (900_000_000, 2_000_000)),
    Traffic(0.4, "db-6 files-6", "db-6", (873,), "night", 4_000, (200_000_000, 2_000_000)),
    Traffic(3, "cameras", "viewer", (554, 8000), "always", 120, (900_000, 9_000), application="rtsp"),
    Traffic(2, "cameras viewer", "files web", (21, 443, 22), "always", 30, (90_000, 4_000)),
    Traffic(1.5, "cameras viewer", "servers partner", (443, 123), "always", 5, (2_000, 3_000)),
    Traffic(1, "users", "cameras", (80, 23), "office", 12, (1_000, 20_000), application="http"),
    Traffic(1, "users", "nas management", (445, 443, 9100), "office", 60, (9_000, 300_000), application="smb2"),
    Traffic(1, "lab", "lab", (22, 5001), "office", 60, (90_000_000, 400_000)),
    Traffic(0.3, "lab-6", "lab-6", (22,), "office", 60, (90_000, 400_000)),
    Traffic(1, "red", "red servers", (443, 22), "always", 10, (4_000, 9_000), application="tls"),
    Traffic(1, "blue", "blue servers", (443, 22), "always", 10, (4_000, 9_000), application="tls"),
    Traffic(0.7, "partner", "portal app", (443, 22), "office", 30, (4_000, 9_000), application="tls"),
    Traffic(0.5, "web", "old-app", (8080,), "always", 3, (1_000, 9_000), end=_RENAMED),
    Traffic(0.3, "web", "new-app", (8080,), "always", 3, (1_000, 9_000), begin=_RENAMED),
    Traffic(0.6, "users cameras lab", "multicast", (5353, 1900), "always", 0, (120, 0), UDP, "mdns"),
    Traffic(0.2, "lab-6", "multicast-6", (5353,), "always", 0, (120, 0), UDP, "mdns"),
    Traffic(0.3, "users", "broadcast", (137,), "office", 0, (92, 0), UDP, "nbns"),
    Traffic(0.2, "cameras", "broadcast-devices", (3702,), "always", 0, (700, 0), UDP),
    Traffic(0.4, "management", "web db nas", (0,), "always", 4, (500, 500), ICMP),
)
ECHO = 8
CLIENT_PORTS = (32768, 61000)
MEAN_PACKET = 700
FRAME = 60
"""The fewest bytes of a packet."""


@dataclass
class History:
    """Flow records in order of first_seen, as arrays of their length.

    source, destination  rows of `places.endpoints`
    flow                 number of the flow that a record is of
    began                first_seen of the flow's first record
    goes_on              whether the flow has a record after this one
    """

    places: Places
    source: Array
    destination: Array
    first_seen: Array
    last_seen: Array
    source_port: Array
    port: Array
    protocol: Array
    traffic: Array
    """Row of TRAFFIC."""
    flow: Array
    began: Array
    goes_on: Array
    bytes: Array
    """int64[n, 2]: from the source, from the destination."""
    packets: Array

    def __len__(self) -> int:
        return len(self.first_seen)

    @property
    def begins(self) -> Array:
        """Whether a record is the first of its flow."""
        found: Array = self.first_seen == self.began
        return found

    def vlan(self) -> Array:
        """Of the frames. They are mirrored at the source, but an uplink where the other end is in no VLAN."""
        tags, l2_networks = self.places.texts("tag"), self.places.texts("l2_network")
        reach = self.places.texts("reach")
        outside = (l2_networks == "") & (reach == "internal")
        untagged = outside[self.destination] | outside[self.source]
        return np.where(untagged, NO_VLAN, tags[self.source]).astype(np.uint16)

    def vni(self) -> Array:
        return self.places.texts("vni")[self.source].astype(np.uint32)

    def table(self, begin: int = 0, end: int | None = None) -> pa.Table:
        """Records `begin` to `end` as a Table of the store's flows."""
        at = slice(begin, len(self) if end is None else end)
        is_tcp = self.protocol[at] == TCP
        silent = self.packets[at, 1] == 0
        vlan, vni = self.vlan()[at], self.vni()[at]
        rtt = (1 + self.flow[at] % 97) * 310_000
        no_rtt = ~is_tcp | silent | ~self.begins[at]
        states = np.select([~is_tcp, silent], [schema.CONN_STATES.index("OTH"), schema.CONN_STATES.index("S0")], 2)
        ends = np.where(is_tcp & ~silent, schema.END_REASONS.index("closed"), schema.END_REASONS.index("idle"))
        names = ["", *dict.fromkeys(one.application for one in TRAFFIC if one.application)]
        spoken = np.array([names.index(one.application) for one in TRAFFIC])
        columns = {
            "first_seen": column(self.first_seen[at]),
            "last_seen": column(self.last_seen[at]),
            "source": fixed_binary(self.places.address[self.source[at]]),
            "destination": fixed_binary(self.places.address[self.destination[at]]),
            "source_port": column(self.source_port[at]),
            "destination_port": column(self.port[at]),
            "protocol": column(self.protocol[at]),
            "vlan": column(vlan, vlan == NO_VLAN),
            "vni": column(vni, vni == NONE),
            "syn_synack_rtt": column(rtt // 2, no_rtt),
            "synack_ack_rtt": column(rtt - rtt // 2, no_rtt),
            "handshake_rtt": column(rtt, no_rtt),
            "conn_state": labels(states, schema.CONN_STATES),
            "application": chosen(names, np.where(silent, 0, spoken[self.traffic[at]])),
            "end_reason": labels(
                np.where(self.goes_on[at], schema.END_REASONS.index("active"), ends), schema.END_REASONS
            ),
            "flow_begin": column(self.began[at], self.begins[at]),
        }
        for n, side in enumerate(("source", "destination")):
            columns[f"{side}_bytes"] = column(self.bytes[at, n].astype(np.uint64))
            columns[f"{side}_packets"] = column(self.packets[at, n].astype(np.uint64))
        return table_of(STORED_FLOW, columns)

    def tables(self, rows: int = 1 << 20) -> Iterator[pa.Table]:
        """All of it, at most `rows` at once."""
        for begin in range(0, len(self), rows):
            yield self.table(begin, begin + rows)


def history(flows: int, seed: int = 1) -> History:
    """About `flows` flows: those that would have another one's five-tuple are left out."""
    rng = np.random.default_rng(seed)
    who = places(rng)
    shares = np.array([one.share for one in TRAFFIC])
    counts = np.maximum(flows * shares / shares.sum(), len(EDGES) * len(EDGE_LENGTHS) + 1).astype(np.int64)
    traffic = np.repeat(np.arange(len(TRAFFIC)), counts)
    source, destination, first, last, port, sizes = (
        np.concatenate(parts)
        for parts in zip(
            *(_drawn(rng, who, one, count) for one, count in zip(TRAFFIC, counts.tolist(), strict=True)), strict=True
        )
    )
    protocol = np.array([one.protocol for one in TRAFFIC], np.uint8)[traffic]
    source_port = np.where(protocol == ICMP, ECHO, rng.integers(*CLIENT_PORTS, len(traffic))).astype(np.uint16)
    kept = _different(who, source, destination, source_port, port, protocol)
    flow = np.arange(len(kept))
    first, last, sizes = first[kept], last[kept], sizes[kept]
    packets = np.where(sizes == 0, 0, 1 + sizes // MEAN_PACKET)
    # One packet has no length in time.
    last = np.where(packets.sum(axis=1) > 1, last, first)
    pieces = np.maximum(1, -(-(last - first) // RECORD))
    of = np.repeat(flow, pieces)
    number = np.arange(len(of)) - np.repeat(np.cumsum(pieces) - pieces, pieces)
    length = np.maximum(last - first, 1)[of]
    ends = np.minimum((number + 1) * RECORD, length)
    parts = [_divided(total[of], number * RECORD, ends, length) for total in (sizes, packets)]
    for part, fewest in zip(parts, (FRAME, 1), strict=True):  # a record has a packet
        part[:, 0] = np.maximum(part[:, 0], fewest)
    record_first = first[of] + number * RECORD
    record_last = np.where(number + 1 == pieces[of], last[of], first[of] + ends - 1)
    record_last = np.where(parts[1].sum(axis=1) > 1, record_last, record_first)
    records = History(
        who, source[kept][of], destination[kept][of], record_first, record_last, source_port[kept][of], port[kept][of],
        protocol[kept][of], traffic[kept][of], of, first[of], number + 1 < pieces[of], *parts,
    )  # fmt: skip
    return _ordered(records)


def counters(seed: int = 1) -> dict[str, Array]:
    """What a collector reads of all switch ports each quarter of an hour, in order of time, as arrays of one length.

    time in ns; the counters only grow, but for one switch that is restarted in the last night and begins again.
    """
    rng = np.random.default_rng(seed)
    ports = list(switch_ports())
    times = np.arange(BEGIN, END + 1, 900 * SECOND)
    hours = (times - BEGIN) // HOUR
    busy = np.array(_OFFICE)[hours % 24] + 2
    speed = rng.lognormal(15, 2, len(ports))
    restart = np.searchsorted(times, END - 20 * HOUR)
    found: dict[str, Array] = {
        "time": np.repeat(times, len(ports)),
        "switch": np.tile([switch for switch, _, _ in ports], len(times)),
        "port": np.tile([port for _, port, _ in ports], len(times)),
        "index": np.tile([index for _, _, index in ports], len(times)),
    }
    restarted = np.array([switch == ports[-1][0] for switch, _, _ in ports])
    for name, each in (("bytes", 1.0), ("packets", 1 / MEAN_PACKET), ("errors", 1e-9), ("drops", 1e-8)):
        for way in ("in", "out") if name in ("bytes", "packets") else ("",):
            grown = busy[:, None] * speed * each * rng.uniform(0.5, 1.5, (len(times), len(ports)))
            total = np.cumsum(grown.astype(np.int64), axis=0)
            total[restart:, restarted] -= total[restart, restarted]
            found[f"{way}_{name}".lstrip("_")] = total.reshape(-1)
    return found


def _drawn(rng: np.random.Generator, who: Places, one: Traffic, count: int) -> tuple[Array, ...]:
    """source, destination, first_seen, last_seen, port, bytes[n, 2] of `count` flows."""
    source, destination = (
        rng.choice(np.concatenate([who.groups[name] for name in names.split()]), count)
        for names in (one.sources, one.destinations)
    )
    same = source == destination
    if same.any():
        group = np.concatenate([who.groups[name] for name in one.destinations.split()])
        destination[same] = group[(np.searchsorted(np.sort(group), destination[same]) + 1) % len(group)]
    first = _times(rng, one, count)
    spread = rng.lognormal(0, 1, count)
    length = np.minimum(one.seconds * SECOND * spread, 4 * DAY).astype(np.int64)
    if one.seconds:
        edges = [(edge, length) for edge in EDGES for length in EDGE_LENGTHS if one.begin < END - edge - length]
        edges = [(edge, length) for edge, length in edges if END - edge + length < one.end]
        for n, (edge, edge_length) in enumerate(edges):
            length[n], first[n] = edge_length, END - edge - edge_length * 2 // 5
        if one.end == END:
            first[len(edges)] = END - length[len(edges)]
    last = np.minimum(first + length, one.end if one.end == END else one.end - 1)
    sizes = np.array(one.sent) * rng.lognormal(0, 1, (count, 2))
    sizes = np.where(np.array(one.sent) == 0, 0, np.maximum(sizes, FRAME)).astype(np.int64)
    return source, destination, first, last, rng.choice(np.array(one.ports, np.uint16), count), sizes


def _times(rng: np.random.Generator, one: Traffic, count: int) -> Array:
    """When flows begin: by the day, by the hour, anywhere in it."""
    days = np.tile(np.repeat(_DAYS.get(one.hours, [1] * 7), 24), 2) * np.tile(np.array(_HOURS[one.hours]), 14)
    begins = BEGIN + np.arange(len(days)) * HOUR
    shares = np.where((begins >= one.begin) & (begins < one.end), days, 0)
    hours = rng.choice(len(days), count, p=shares / shares.sum())
    return begins[hours] + rng.integers(HOUR, size=count)


def _different(
    who: Places, source: Array, destination: Array, source_port: Array, port: Array, protocol: Array
) -> Array:
    """Rows with a five-tuple that no row before has, in whatever VNI and by whatever name."""
    _, of = np.unique(who.address.view("V16").reshape(-1), return_inverse=True)
    keys = np.stack([of[source], of[destination], source_port, port, protocol], axis=1).astype(np.int64)
    packed = (keys[:, 0] * len(of) + keys[:, 1]) << 32 | keys[:, 2] << 16 | keys[:, 3]
    _, rows = np.unique(packed * 2 + (keys[:, 4] == UDP), return_index=True)
    return np.sort(rows)


def _divided(total: Array, begin: Array, end: Array, length: Array) -> Array:
    """What of int64[n, 2] falls between two moments of a flow of that length: integers whose sum is the total."""
    upto_end, upto_begin = (np.floor(total * (at / length)[:, None]) for at in (end, begin))
    return (upto_end - upto_begin).astype(np.int64)


def _ordered(records: History) -> History:
    order = np.argsort(records.first_seen, kind="stable")
    whole: dict[str, Any] = {"places": records.places}
    for name, values in vars(records).items():
        whole.setdefault(name, values[order] if name not in whole else values)
    return History(**whole)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("store", type=Path, help="folder to write")
    parser.add_argument("--flows", type=int, default=100_000, help="how many (default: %(default)s)")
    parser.add_argument("--seed", type=int, default=1, help="another one is another history (default: %(default)s)")
    options = parser.parse_args()
    write(options.store, options.flows, options.seed)


def write(folder: Path, flows: int, seed: int = 1) -> History:
    """A store in `folder`, and beside it the inventory as .yaml and the counters as .ports.csv."""
    records = history(flows, seed)
    with Store(folder, create=True).writing() as writer:
        for table in records.tables():
            writer.write(table)
    folder.with_suffix(".yaml").write_text(yaml.safe_dump(inventory(), sort_keys=False))
    write_counters(folder.with_suffix(".ports.csv"), seed)
    store_counters.add(folder, store_counters.read_csv(str(folder.with_suffix(".ports.csv"))))
    return records


def write_counters(path: Path, seed: int = 1) -> None:
    """The counters as a file of CSV, as a collector writes it."""
    found = counters(seed)
    times = np.datetime_as_string(found["time"].view("M8[ns]"), unit="s")
    columns = [np.char.add(times, "Z"), *(values for name, values in found.items() if name != "time")]
    with path.open("w") as file:
        print(*found, sep=",", file=file)
        for row in zip(*(values.tolist() for values in columns), strict=True):
            print(*row, sep=",", file=file)


if __name__ == "__main__":
    main()
