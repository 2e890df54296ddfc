"""One conversation's handshake on a terminal: its frames, then its round-trip times."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import pyarrow as pa
from rich.console import Console

from spanline.cli.packet_view import flags_text
from spanline.cli.screen import Line, aligned, column_widths, draw_lines
from spanline.cli.text import UNKNOWN, date, duration, plural, size, time_of_day
from spanline.stages.ends import end_text
from spanline.stages.round_trips import METRICS

_HEADINGS = ["Frame", "Seconds", "", "Flags", "Seq", "Ack", "Len", "ACK RTT", "Options"]
_RIGHT = [True, True, False, False, True, True, True, True, False]
_NAMES = {"syn_synack": "SYN → SYN-ACK", "synack_ack": "SYN-ACK → ACK", "handshake": "SYN → ACK", "initial": "iRTT"}


def print_conversation(number: int, flow: Mapping[str, Any], frames: pa.Table, left_out: int, target: Console) -> None:
    """What stages.handshake.Handshake found: `flow` is a row of schema.FLOW, times and durations in ns."""
    lines = [*_about(number, flow), *_frame_lines(flow, _plain(frames).to_pylist(), target.width)]
    if left_out:
        lines.append(Line(f"and {plural(left_out, 'frame')} more of the handshake; -n 0 shows them", "dim"))
    draw_lines(target, [*lines, Line(""), *_times(flow)])


def plain_row(table: pa.Table) -> dict[str, Any]:
    """The first row, times and durations as numbers of ns."""
    row: dict[str, Any] = _plain(table.slice(0, 1)).to_pylist()[0]
    return row


def _plain(table: pa.Table) -> pa.Table:
    for n, field in enumerate(table.schema):
        if pa.types.is_temporal(field.type):
            table = table.set_column(n, field.name, table.column(n).cast(pa.int64()))
    return table


def _about(number: int, flow: Mapping[str, Any]) -> list[Line]:
    source, destination = (end_text(flow[side], flow[f"{side}_port"]) for side in ("source", "destination"))
    tunnel = "" if flow["vni"] is None else f", VNI {flow['vni']}"
    time = f"{date(flow['first_seen'])} {time_of_day(flow['first_seen'], 9)} UTC"
    frames = plural(flow["source_packets"] + flow["destination_packets"], "frame")
    octets = size(flow["source_bytes"] + flow["destination_bytes"])
    return [
        Line(f"tcp.stream {number}: {source} → {destination}{tunnel}", "bold"),
        Line(f"{time}, {frames}, {octets}, state {flow['conn_state'] or UNKNOWN}", "dim"),
    ]


def _frame_lines(flow: Mapping[str, Any], frames: Iterable[Mapping[str, Any]], width: int) -> list[Line]:
    """A line each where that fits, else the options on another one."""
    originator = flow["source"], flow["source_port"]
    texts = [_HEADINGS]
    for frame in frames:
        sent = (frame["source"], frame["source_port"]) == originator
        texts.append(
            [
                str(frame["number"]),
                _seconds(frame["timestamp"] - flow["first_seen"]),
                "→" if sent else "←",
                flags_text(frame["tcp_flags"]),
                str(frame["relative_seq"]),
                UNKNOWN if frame["relative_ack"] is None else str(frame["relative_ack"]),
                str(frame["payload_length"]),
                duration(frame["ack_rtt"]),
                _options(frame),
            ]
        )
    heading, *rest = _fitted(texts, width)
    return [heading._replace(style="bold"), *rest]


def _fitted(texts: Sequence[Sequence[str]], width: int) -> list[Line]:
    """Columns as far apart as there is room for; where there is none at all, the last one gets a line of its own."""
    widths = column_widths(texts)
    for gap in (2, 1):
        if sum(widths) + gap * (len(widths) - 1) <= width:
            return [Line(aligned(text, widths, _RIGHT, gap)) for text in texts]
    gap = 2 if sum(widths[:-1]) + 2 * (len(widths) - 2) <= width else 1
    lines = []
    for *text, last in texts:
        lines.append(Line(aligned(text, widths[:-1], _RIGHT[:-1], gap)))
        if last:
            lines.append(Line(f"{' ' * (widths[0] + gap)}{last}"))
    return lines


def _options(frame: Mapping[str, Any]) -> str:
    """TCP options as Wireshark shortens them; the window scale is a factor."""
    parts = []
    if frame["mss"] is not None:
        parts.append(f"MSS={frame['mss']}")
    if frame["window_shift"] is not None:
        parts.append(f"WS={1 << frame['window_shift']}")
    if frame["sack_permitted"]:
        parts.append("SACK_PERM")
    if frame["timestamp_value"] is not None:
        parts.append(f"TSval={frame['timestamp_value']} TSecr={frame['timestamp_echo']}")
    return " ".join(parts)


def _times(flow: Mapping[str, Any]) -> list[Line]:
    """A line for each round-trip time, or why there is none."""
    rows = []
    for metric, meaning in METRICS.items():
        value = flow[f"{metric}_rtt"]
        exact = UNKNOWN if value is None else f"{_seconds(value)} s"
        way = meaning.partition(": ")[2] or "Wireshark's tcp.analysis.initial_rtt"
        rows.append([_NAMES[metric], duration(value), exact, way])
    widths = column_widths(rows)
    lines = [Line(aligned(row, widths, [False, True, True, False], 2)) for row in rows]
    if flow["syn_ambiguous"]:
        lines.append(Line("The SYN was sent again: times begin with the one that was answered.", "dim"))
    return lines


def _seconds(nanoseconds: int) -> str:
    """1.160345000, as Wireshark writes a time."""
    whole, fraction = divmod(abs(nanoseconds), 10**9)
    return f"{'-' if nanoseconds < 0 else ''}{whole}.{fraction:09d}"
