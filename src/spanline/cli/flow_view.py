"""Flows on a terminal: a line each where that fits, else two, one for each direction."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import pyarrow as pa

from spanline.arrow import address_text
from spanline.cli.protocols import WITH_PORTS, protocol_name
from spanline.cli.screen import Line, Target, aligned, column_widths, draw_lines
from spanline.cli.text import UNKNOWN, date, duration, quantity, size, time_of_day

_COLUMNS = (
    "first_seen", "source", "destination", "source_port", "destination_port", "protocol", "vni", "source_packets",
    "destination_packets", "source_bytes", "destination_bytes", "handshake_rtt", "conn_state",
    "application", "foreign_port",
)  # fmt: skip
_RIGHT = frozenset(("VNI", "Packets", "Pkts", "Bytes", "RTT"))


@dataclass(frozen=True, slots=True)
class _Row:
    """A flow as texts; pairs are (source, destination)."""

    time: str
    ends: tuple[tuple[str, str], tuple[str, str]]
    """Address and port, which may be empty, of both."""
    protocol: str
    vni: str
    packets: tuple[int, int]
    octets: tuple[int, int]
    rtt: str
    state: str


def endpoint(address: str, port: str) -> tuple[str, str]:
    """Address and port as they are written one after the other (RFC 5952, section 6)."""
    return (f"[{address}]" if port and ":" in address else address, f":{port}" if port else "")


def flow_lines(flows: pa.Table, width: int) -> list[Line]:
    """`flows` (schema.FLOW) for a terminal of `width` columns."""
    rows = list(_rows(flows))
    has_vni = any(row.vni for row in rows)
    for gap, short in ((2, False), (1, False), (1, True)):
        headings = _headings(has_vni, short)
        lines = [headings, *(_cells(row, has_vni, short) for row in rows)]
        widths = column_widths(lines)
        if sum(widths) + gap * (len(widths) - 1) <= width:
            right = [heading in _RIGHT for heading in headings]
            heading, *rest = (aligned(line, widths, right, gap) for line in lines)
            return [Line(heading, "bold"), *map(Line, rest)]
    return _stacked(rows, width)


def _rows(flows: pa.Table) -> Iterable[_Row]:
    flows = flows.select(_COLUMNS)
    for name in ("first_seen", "handshake_rtt"):
        at = flows.schema.get_field_index(name)
        flows = flows.set_column(at, name, flows.column(at).cast(pa.int64()))
    times = flows.column("first_seen").to_pylist()
    one_day = not times or date(min(times)) == date(max(times))
    for flow in flows.to_pylist():
        ports = flow["protocol"] in WITH_PORTS
        time = time_of_day(flow["first_seen"], 3 if one_day else 0)
        yield _Row(
            time if one_day else f"{date(flow['first_seen'])[5:]} {time}",
            (
                endpoint(address_text(flow["source"]), str(flow["source_port"]) if ports else ""),
                endpoint(address_text(flow["destination"]), str(flow["destination_port"]) if ports else ""),
            ),
            _protocol(flow),
            "" if flow["vni"] is None else str(flow["vni"]),
            (flow["source_packets"], flow["destination_packets"]),
            (flow["source_bytes"], flow["destination_bytes"]),
            duration(flow["handshake_rtt"]),
            flow["conn_state"] or UNKNOWN,
        )


def _protocol(flow: dict[str, Any]) -> str:
    """The application where it is known, with a star on a foreign port, else the transport protocol."""
    if flow["application"] is None:
        return protocol_name(flow["protocol"])
    return f"{flow['application']}*" if flow["foreign_port"] else str(flow["application"])


def _headings(has_vni: bool, short: bool) -> list[str]:
    vni = ["VNI"] if has_vni else []
    return ["Time", "Source", "Destination", "Proto", *vni, "Pkts" if short else "Packets", "Bytes", "RTT", "State"]


def _cells(row: _Row, has_vni: bool, short: bool) -> list[str]:
    """Texts for the headings."""
    time = row.time.partition(".")[0] if short else row.time
    source, destination = ("".join(end) for end in row.ends)
    vni = [row.vni or UNKNOWN] if has_vni else []
    counts = [quantity(sum(row.packets)), size(sum(row.octets))]
    return [time, source, destination, row.protocol, *vni, *counts, row.rtt, row.state]


def _stacked(rows: Sequence[_Row], width: int) -> list[Line]:
    """Two lines a flow: what the source sent and what the destination sent; an end too long for it gets another one."""
    second = "Proto VNI" if any(row.vni for row in rows) else "Protocol"
    lines: list[tuple[list[str], str]] = [
        (["Time", "Source", "Packets", "Bytes", "RTT"], "bold"),
        ([second, "→ Destination", "sent", "sent", "State"], "bold"),
    ]
    for row in rows:
        label = f"{row.protocol} {row.vni}".rstrip()
        for way, (mark, result) in enumerate(((row.time, row.rtt), (label, row.state))):
            end = ("→ " if way else "") + "".join(row.ends[way])
            counts = [quantity(row.packets[way]), size(row.octets[way])]
            lines.append(([mark, end, *counts, result], "dim" if way else ""))
    gap = 2 if sum(column_widths([texts for texts, _ in lines])) + 8 <= width else 1
    lines = _with_ports_below(lines, width - 4 * gap)
    widths = column_widths([texts for texts, _ in lines])
    right = (False, False, True, True, True)
    return [Line(aligned(texts, widths, right, gap), style) for texts, style in lines]


def _with_ports_below(lines: Sequence[tuple[list[str], str]], width: int) -> list[tuple[list[str], str]]:
    """Where an end is too long for its column, its port goes to a line of its own."""
    widths = column_widths([texts for texts, _ in lines])
    room = width - sum(widths) + widths[1]
    made = []
    for texts, style in lines:
        end = texts[1]
        at = end.rfind(":")
        if len(end) > room and at > 0:
            made.append(([texts[0], end[:at], *texts[2:]], style))
            made.append((["", ("  " if end.startswith("→") else "") + end[at:], "", "", ""], style))
        else:
            made.append((texts, style))
    return made


def titles(flows: pa.Table) -> list[str]:
    """The days that the table is about, and what its columns leave unsaid."""
    times = flows.column("first_seen").cast(pa.int64()).to_pylist()
    days = sorted({date(time) for time in (min(times), max(times))}) if times else []
    if not days:
        return []
    made = [f"{' to '.join(days)} UTC. RTT: the handshake's, from client to server and back."]
    if True in flows.column("foreign_port").unique().to_pylist():
        made.append("*: found by its content, on a port where nobody expects it.")
    return made


def print_flows(flows: pa.Table, total: int, target: Target) -> None:
    """The table, and how many flows it leaves out."""
    if not flows.num_rows:
        draw_lines(target, [Line("no flows")])
        return
    lines = [*(Line(title, "dim") for title in titles(flows)), *flow_lines(flows, target.width)]
    if total > flows.num_rows:
        lines.append(Line(f"{flows.num_rows:,} of {total:,} flows; -n 0 shows all, -o FILE writes them", "dim"))
    draw_lines(target, lines)
