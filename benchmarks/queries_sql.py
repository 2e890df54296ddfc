"""The 19 queries as SQL by hand, for DuckDB over the segments of a store: what queries.py compares spanline with.

They are written for the one store and the one inventory of store_flows.py, and make use of that: no VM, subnet or L2
network holds at some times or in some VLANs only. Where it is not plain which way is the fastest there are several, and
the best one counts. These stand ready, and making them is not measured:

    records    view of the segments that overlap the window, and of no others
    counters   view of the readings of the switches' ports
    countries  table of (first, last, name), in order of the addresses
    subnets    table of (first, last, name)
    vms        table of (address, name), and what else the inventory says of a VM

A statement about series gives a row for each group and bucket, and those who draw put them together.
"""

from __future__ import annotations

import ipaddress
import uuid
from collections.abc import Callable, Sequence
from dataclasses import dataclass

SECOND = 10**9
DAY = 86_400 * SECOND
INTERNAL = (
    *("10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "100.64.0.0/10", "169.254.0.0/16"),
    *("2001:db8:1::/48", "fc00::/7", "fe80::/10"),
)
NOBODY = ("0.0.0.0/8", "127.0.0.0/8", "224.0.0.0/4", "255.255.255.255/32", "::/127", "ff00::/8")
KEY = "source, destination, destination_port, protocol"


@dataclass(frozen=True)
class Window:
    """From `begin` to before `end`, and how long a bucket is, ns."""

    begin: int
    end: int
    step: int


Ways = Callable[[Window], Sequence[str]]
"""SQL for a window, in several ways."""


def address(packed: bytes) -> str:
    octets = packed if len(packed) == 16 else bytes(10) + b"\xff\xff" + packed
    return f"'{uuid.UUID(bytes=octets)}'::UUID"


def within(column: str, networks: Sequence[str]) -> str:
    """Whether an address is in one of the networks; those that touch one another are one range."""
    spans: list[list[int]] = []
    for one in ipaddress.collapse_addresses(net for net in map(ipaddress.ip_network, networks) if net.version == 4):
        first, last = int(one.network_address), int(one.broadcast_address)
        if spans and spans[-1][1] + 1 == first:
            spans[-1][1] = last
        else:
            spans.append([first, last])
    ranges = [(low.to_bytes(4), high.to_bytes(4)) for low, high in spans]
    six = [net for net in map(ipaddress.ip_network, networks) if net.version == 6]
    ranges += [(net.network_address.packed, net.broadcast_address.packed) for net in six]
    return "(" + " OR ".join(f"{column} BETWEEN {address(low)} AND {address(high)}" for low, high in ranges) + ")"


def inside(amount: str, window: Window) -> str:
    """The part of a record's amount that is in the window."""
    begin, end = window.begin, window.end
    overlap = f"(LEAST(last_seen, {end}) - GREATEST(first_seen, {begin}))"
    return (
        f"CASE WHEN first_seen >= {begin} AND last_seen < {end} THEN ({amount})::DOUBLE "
        f"ELSE ({amount})::DOUBLE * {overlap} / (last_seen - first_seen) END"
    )


def is_new(window: Window) -> str:
    return f"(flow_begin IS NULL AND first_seen >= {window.begin} AND first_seen < {window.end})"


PACKETS, BYTES = "source_packets + destination_packets", "source_bytes + destination_bytes"
EAST_WEST = f"{within('source', INTERNAL)} AND {within('destination', INTERNAL)}"
ADMIN = "destination_port IN (22, 23, 3389)"


def ranged(table: str, addresses: str) -> str:
    """(address, name) of addresses, by a table of ranges."""
    return (
        f"SELECT a.address, CASE WHEN a.address <= t.last THEN t.name END AS name "
        f"FROM ({addresses}) a ASOF LEFT JOIN {table} t ON a.address >= t.first"
    )


def named(table: str, addresses: str) -> str:
    """The same, by a table of addresses."""
    return f"SELECT a.address, t.name FROM ({addresses}) a LEFT JOIN {table} t ON a.address = t.address"


def flows_by(side: str, table: str, where: str = "true") -> Ways:
    """How many flows there are of each name."""
    look_up = ranged if table != "vms" else named

    def late(window: Window) -> str:
        per_address = f"""SELECT {side} AS address, COUNT(*) AS n
            FROM (SELECT DISTINCT {KEY} FROM records WHERE {overlaps(window)} AND {where}) GROUP BY 1"""
        return f"""WITH counted AS MATERIALIZED ({per_address})
            SELECT name, SUM(n)::BIGINT AS flows
            FROM counted JOIN ({look_up(table, "SELECT address FROM counted")}) USING (address)
            GROUP BY 1 ORDER BY name IS NULL, 2 DESC, 1"""

    return lambda window: (late(window),)


def overlaps(window: Window) -> str:
    return f"first_seen < {window.end} AND last_seen >= {window.begin}"


def spread(
    window: Window, key: str, source: str, where: str, sums: Sequence[str], *, is_split: bool, keys: str = "k, b"
) -> str:
    """(k, b, sums): of each key and bucket. is_split: what is in one bucket is not taken apart."""
    step, begin, end = window.step, window.begin, window.end
    first, last = f"GREATEST(first_seen, {begin}) // {step}", f"LEAST(last_seen, {end - 1}) // {step}"
    whole = {"s": f"{is_new(window)}::DOUBLE", "p": inside(PACKETS, window), "y": inside(BYTES, window)}
    low, high = f"GREATEST(b * {step}, {begin})", f"LEAST((b + 1) * {step}, {end})"
    share = f"(LEAST(last_seen, {high}) - GREATEST(first_seen, {low}))::DOUBLE / (last_seen - first_seen)"
    part = f"CASE WHEN first_seen >= {low} AND last_seen < {high} THEN 1.0 ELSE {share} END"
    parts = {
        "s": f"({is_new(window)} AND first_seen >= b * {step} AND first_seen < (b + 1) * {step})::DOUBLE",
        "p": f"({PACKETS})::DOUBLE * {part}",
        "y": f"({BYTES})::DOUBLE * {part}",
    }
    needed = "first_seen, last_seen, flow_begin, source_packets, destination_packets, source_bytes, destination_bytes"
    crossing = f"AND {first} <> {last}" if is_split else ""
    apart = f"""SELECT k, b, {", ".join(f"{parts[one]} AS {one}" for one in sums)} FROM (
        SELECT {key} AS k, UNNEST(RANGE({first}, {last} + 1)) AS b, {needed} FROM {source}
        WHERE {overlaps(window)} AND {where} {crossing})"""
    if is_split:
        together = ", ".join(f"{whole[one]} AS {one}" for one in sums)
        apart = f"""SELECT {key} AS k, {first} AS b, {together} FROM {source}
            WHERE {overlaps(window)} AND {where} AND {first} = {last} UNION ALL {apart}"""
    return f"SELECT {keys}, {', '.join(f'SUM({one}) AS {one}' for one in sums)} FROM ({apart}) GROUP BY {keys}"


_ALL = ("s", "p", "y")


def shown(window: Window, sums: Sequence[str]) -> str:
    """The columns of a series, with a rate in bits per second of its bucket."""
    seconds = f"(LEAST((b + 1) * {window.step}, {window.end}) - GREATEST(b * {window.step}, {window.begin})) / 1e9"
    return ", ".join(f"y * 8 / ({seconds}) AS rate" if one == "y" else one for one in sums)


def _finished(window: Window, grouped: str, sums: Sequence[str], total: str) -> str:
    """Series by name, with the total by which the names are in order."""
    return f"""WITH series AS MATERIALIZED ({grouped}),
        totals AS (SELECT name, SUM({total}) AS total FROM series GROUP BY 1)
        SELECT series.name, total, b * {window.step} AS bucket, {shown(window, sums)}
        FROM series JOIN totals ON series.name IS NOT DISTINCT FROM totals.name
        ORDER BY series.name IS NULL, total DESC, series.name, b"""


def series_by(side: str, table: str, where: str = "true", sums: Sequence[str] = _ALL) -> Ways:
    """Series of each name, ordered by traffic."""
    look_up = ranged if table != "vms" else named
    again = ", ".join(f"SUM({one}) AS {one}" for one in sums)

    def late(window: Window, *, is_split: bool) -> str:
        base = spread(window, side, "records", where, sums, is_split=is_split)
        grouped = f"""WITH base AS MATERIALIZED ({base})
            SELECT name, b, {again} FROM base
            JOIN ({look_up(table, "SELECT DISTINCT k AS address FROM base")}) ON address = k GROUP BY ALL"""
        return _finished(window, grouped, sums, "y")

    def early(window: Window) -> str:
        addresses = f"SELECT DISTINCT {side} AS address FROM records WHERE {overlaps(window)} AND {where}"
        joined = f"(SELECT * FROM records JOIN ends ON {side} = address)"
        made = spread(window, "name", joined, where, sums, is_split=True)
        grouped = f"SELECT k AS name, b, {', '.join(sums)} FROM ({made})"
        return _finished(window, f"WITH ends AS MATERIALIZED ({look_up(table, addresses)}) {grouped}", sums, "y")

    return lambda window: (late(window, is_split=True), late(window, is_split=False), early(window))


def by_port(window: Window) -> Sequence[str]:
    def way(*, is_split: bool) -> str:
        base = spread(window, "destination_port", "records", "true", _ALL, is_split=is_split)
        return _finished(window, f"SELECT k AS name, b, s, p, y FROM ({base})", _ALL, "s")

    return way(is_split=True), way(is_split=False)


def series_of(where: str) -> Ways:
    """Of all flows that meet a condition."""

    def way(window: Window, *, is_split: bool) -> str:
        base = spread(window, "0", "records", where, _ALL, is_split=is_split, keys="b")
        return f"SELECT b * {window.step} AS bucket, {shown(window, _ALL)} FROM ({base}) ORDER BY 1"

    return lambda window: (way(window, is_split=True), way(window, is_split=False))


def counted_series(side: str, where: str, chosen: str = "") -> Ways:
    """Series by VM, in the order of how many flows each has; `chosen` is a CTE that the condition needs."""

    def way(window: Window) -> str:
        kept = f"""SELECT {KEY}, name, first_seen, last_seen, flow_begin, source_packets, destination_packets,
            source_bytes, destination_bytes
            FROM records LEFT JOIN vms ON {side} = vms.address WHERE {overlaps(window)} AND {where}"""
        base = spread(window, "name", "kept", "true", _ALL, is_split=True)
        return f"""WITH {chosen.format(overlaps=overlaps(window))} kept AS MATERIALIZED ({kept}),
            series AS (SELECT k AS name, b, s, p, y FROM ({base})),
            totals AS (SELECT name, COUNT(*) AS total FROM (SELECT DISTINCT {KEY}, name FROM kept) GROUP BY 1)
            SELECT series.name, total, b * {window.step} AS bucket, {shown(window, _ALL)}
            FROM series JOIN totals ON series.name IS NOT DISTINCT FROM totals.name
            ORDER BY series.name IS NULL, total DESC, series.name, b"""

    return lambda window: (way(window),)


def listed(where: str) -> Ways:
    """A row for each flow."""

    def way(window: Window) -> str:
        seconds = (window.end - window.begin) / SECOND
        return f"""WITH flows AS (SELECT {KEY}, SUM({inside(BYTES, window)}) AS y, SUM({inside(PACKETS, window)}) AS p,
            COUNT(*) FILTER (WHERE {is_new(window)}) AS s, MIN(first_seen) AS first, MAX(last_seen) AS last
            FROM records WHERE {overlaps(window)} AND {where} GROUP BY ALL)
            SELECT source, a.name, destination, z.name, destination_port, protocol, y, y * 8 / {seconds}, p, s, first,
                last
            FROM flows LEFT JOIN vms a ON a.address = source LEFT JOIN vms z ON z.address = destination
            ORDER BY y DESC, {KEY}"""

    return lambda window: (way(window),)


def ports(window: Window) -> Sequence[str]:
    def way(margin: int | None) -> str:
        since = "" if margin is None else f"AND epoch_ns(time) >= {window.begin - margin}"
        return f"""WITH readings AS (SELECT switch, port, epoch_ns(time) AS last_seen, in_bytes, out_bytes,
                LAG(epoch_ns(time)) OVER w AS first_seen, LAG(in_bytes) OVER w AS i, LAG(out_bytes) OVER w AS o
                FROM counters WHERE true {since} WINDOW w AS (PARTITION BY switch, port ORDER BY time)),
            grown AS (SELECT *, CASE WHEN in_bytes < i THEN in_bytes ELSE in_bytes - i END
                + CASE WHEN out_bytes < o THEN out_bytes ELSE out_bytes - o END AS n FROM readings
                WHERE first_seen < {window.end} AND last_seen >= {window.begin})
            SELECT SUM({inside("n", window)}) * 8 / {(window.end - window.begin) / SECOND} AS rate, switch, port
            FROM grown GROUP BY ALL ORDER BY rate DESC, port LIMIT 20"""

    return way(600 * SECOND), way(None)


def machines(window: Window) -> Sequence[str]:
    seconds = (window.end - window.begin) / SECOND
    shown = f"""SELECT COALESCE(y, 0) * 8 / {seconds} AS rate, vms.name, address, gateway, host, vcpus, memory,
            port_group
        FROM vms LEFT JOIN traffic ON vms.name = traffic.name ORDER BY 1 DESC, 2 LIMIT 5"""
    amount = inside(BYTES, window)
    pairs = f"""WITH pairs AS MATERIALIZED (SELECT source, destination, SUM({amount}) AS y FROM records
            WHERE {overlaps(window)} GROUP BY ALL),
        traffic AS (SELECT name, SUM(y) AS y FROM (
            SELECT name, y FROM pairs JOIN vms ON source = address UNION ALL
            SELECT name, y FROM pairs JOIN vms ON destination = address WHERE source <> destination)
            GROUP BY 1) {shown}"""
    rows = f"""WITH traffic AS (SELECT name, SUM(y) AS y FROM (
            SELECT name, {amount} AS y FROM records JOIN vms ON source = address WHERE {overlaps(window)} UNION ALL
            SELECT name, {amount} AS y FROM records JOIN vms ON destination = address
            WHERE {overlaps(window)} AND source <> destination) GROUP BY 1) {shown}"""
    return rows, pairs


def statements(vlans: dict[str, int]) -> dict[int, tuple[Ways, int]]:
    """Of each query its ways, and how long its window is in ns. `vlans` are those of the inventory's subnets."""
    of_1105 = [cidr for cidr, vlan in vlans.items() if vlan == 1105]

    def in_1105(side: str) -> str:
        by_frame = f"{within(side, INTERNAL)} AND NOT {within(side, list(vlans))} AND vlan IS NOT DISTINCT FROM 1105"
        return f"({within(side, of_1105)} OR ({by_frame}))"

    is_vm = "{} IN (SELECT address FROM vms)".format
    physical = f"{EAST_WEST} AND NOT {is_vm('source')} AND NOT {is_vm('destination')}"
    to_internet = f"{is_vm('source')} AND NOT {within('destination', (*INTERNAL, *NOBODY))}"
    from_internet = f"NOT {within('source', (*INTERNAL, *NOBODY))} AND {ADMIN}"
    leaving = f"{in_1105('source')} AND NOT {in_1105('destination')}"
    british = f"""british AS MATERIALIZED (SELECT address FROM (
        {ranged("countries", "SELECT DISTINCT destination AS address FROM records WHERE {overlaps}")})
        WHERE name = 'United Kingdom'),"""
    return {
        1: (listed(physical), DAY),
        2: (ports, 2 * DAY),
        3: (machines, 2 * DAY),
        4: (flows_by("source", "countries"), DAY),
        5: (flows_by("destination", "countries"), DAY),
        6: (series_by("destination", "countries", sums=("y",)), DAY),
        7: (series_by("destination", "countries"), DAY),
        8: (series_by("source", "subnets", to_internet), DAY),
        9: (flows_by("destination", "subnets"), DAY),
        10: (flows_by("source", "subnets"), DAY),
        11: (series_by("source", "subnets"), DAY),
        12: (by_port, 7 * DAY),
        13: (counted_series("source", "destination IN (SELECT address FROM british)", british), 7 * DAY),
        14: (flows_by("source", "countries", from_internet), DAY),
        15: (series_of(f"{ADMIN} AND {EAST_WEST}"), DAY),
        16: (listed(f"{ADMIN} AND {EAST_WEST}"), DAY),
        17: (counted_series("source", f"{ADMIN} AND {EAST_WEST}"), DAY),
        18: (listed(leaving), DAY),
        19: (series_of(leaving), DAY),
    }
