"""Flows on a terminal: a line each where that fits, else two, one for each direction."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import pyarrow as pa
from rich.console import Console
from rich.table import Table

from spanline.arrow import address_text
from spanline.cli.protocols import WITH_PORTS, protocol_name
from spanline.cli.screen import cell, draw, table
from spanline.cli.text import UNKNOWN, date, duration, quantity, size, time_of_day

_COLUMNS = (
    "first_seen", "source", "destination", "source_port", "destination_port", "protocol", "vni", "source_packets",
    "destination_packets", "source_bytes", "destination_bytes", "handshake_rtt", "conn_state",
)  # fmt: skip
_LEFT, _RIGHT = "left", "right"


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


def flow_table(flows: pa.Table, width: int) -> Table:
    """`flows` (schema.FLOW) for a terminal of `width` columns."""
    rows = list(_rows(flows))
    has_vni = any(row.vni for row in rows)
    for gap, short in ((2, False), (1, False), (1, True)):
        headings = _one_line(has_vni, short)
        lines = [_line(row, has_vni, short) for row in rows]
        if _natural_width([heading for heading, _ in headings], lines) + gap * (len(headings) - 1) <= width:
            made = table(headings, gap)
            for line in lines:
                made.add_row(*(cell(text) for text in line))
            return made
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
            protocol_name(flow["protocol"]),
            "" if flow["vni"] is None else str(flow["vni"]),
            (flow["source_packets"], flow["destination_packets"]),
            (flow["source_bytes"], flow["destination_bytes"]),
            duration(flow["handshake_rtt"]),
            flow["conn_state"] or UNKNOWN,
        )


def _one_line(has_vni: bool, short: bool) -> list[tuple[str, str]]:
    vni = [("VNI", _RIGHT)] if has_vni else []
    ends = [("Time", _LEFT), ("Source", _LEFT), ("Destination", _LEFT), ("Proto", _LEFT), *vni]
    return [*ends, ("Pkts" if short else "Packets", _RIGHT), ("Bytes", _RIGHT), ("RTT", _RIGHT), ("State", _LEFT)]


def _line(row: _Row, has_vni: bool, short: bool) -> list[str]:
    time = row.time.partition(".")[0] if short else row.time
    source, destination = ("".join(end) for end in row.ends)
    vni = [row.vni or UNKNOWN] if has_vni else []
    counts = [quantity(sum(row.packets)), size(sum(row.octets))]
    return [time, source, destination, row.protocol, *vni, *counts, row.rtt, row.state]


def _natural_width(headings: Sequence[str], lines: Sequence[Sequence[str]]) -> int:
    return sum(max(map(len, column)) for column in zip(headings, *lines, strict=True))


def _stacked(rows: Sequence[_Row], width: int) -> Table:
    """Two lines a flow: what the source sent and what the destination sent; an end too long for it gets another one."""
    lines: list[tuple[Sequence[str], str]] = [(("Protocol", "→ Destination", "sent", "sent", "State"), "bold")]
    for row in rows:
        label = row.protocol + (f" vni {row.vni}" if row.vni else "")
        marks = ((row.time, row.rtt, ""), (label, row.state, "dim"))
        for way, (mark, result, style) in enumerate(marks):
            address, port = row.ends[way]
            counts = quantity(row.packets[way]), size(row.octets[way])
            lines.append(((mark, ("→ " if way else "") + address + port, *counts, result), style))
    headings = ("Time", "Source", "Packets", "Bytes", "RTT")
    others = _natural_width(headings, [(texts[0], "", *texts[2:]) for texts, _ in lines]) - len("Source")
    longest = max(len(texts[1]) for texts, _ in lines)
    gap = 2 if longest + others + 8 <= width else 1
    room = width - others - 4 * gap
    made = table([(heading, _RIGHT if n > 1 else _LEFT) for n, heading in enumerate(headings)], gap)
    for texts, style in lines:
        whole, port = texts[1], ""
        if len(whole) > room and ":" in whole[-6:]:
            whole, _, port = whole.rpartition(":")
        made.add_row(*(cell(text, style) for text in (texts[0], whole, *texts[2:])))
        if port:
            made.add_row("", cell(("  :" if whole.startswith("→") else ":") + port, style))
    return made


def title_of(flows: pa.Table) -> str:
    """The days that the table is about, and what its columns leave unsaid."""
    times = flows.column("first_seen").cast(pa.int64()).to_pylist()
    days = sorted({date(time) for time in (min(times), max(times))}) if times else []
    return f"{' to '.join(days)} UTC. RTT: the handshake's, from client to server and back." if days else ""


def print_flows(flows: pa.Table, total: int, target: Console) -> None:
    """The table, and how many flows it leaves out."""
    if not flows.num_rows:
        draw(target, "no flows")
        return
    draw(target, cell(title_of(flows), "dim"), flow_table(flows, target.width))
    if total > flows.num_rows:
        draw(target, cell(f"{flows.num_rows:,} of {total:,} flows; -n 0 shows all, -o FILE writes them", "dim"))
