"""What a capture file is made of, on a terminal."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from rich.console import Console
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from spanline.cli.screen import cell, draw, table
from spanline.cli.text import UNKNOWN, plural, rfc3339, size
from spanline.pipeline import Counters
from spanline.stages.summary import Summary, rates

# Longer lists are for --format json.
_MOST = 20

_STATISTICS = {
    "accepted": "accepted by the filter",
    "os_dropped": "dropped by the OS",
    "delivered": "delivered to the user",
}
_RESOLUTIONS = {1.0: "seconds", 1e-3: "milliseconds", 1e-6: "microseconds", 1e-9: "nanoseconds"}


def print_file(facts: Mapping[str, Any], target: Console) -> None:
    """One file, described by stages.summary.describe()."""
    rows = [
        ("Format", ", ".join(_format(facts))),
        ("Link type", ", ".join(facts["link_types"]) or UNKNOWN),
        ("Snaplen", _snaplen(facts)),
    ]
    if facts["format"] != "live":
        rows.append(("File size", _exact(facts["file_size"])))
    if facts["compression"]:
        rows.append(("Uncompressed", _exact(facts["uncompressed_size"])))
    rows += list(_amounts(facts))
    if facts["packets"]:
        rows.append(("Strict time order", "yes" if facts["strict_time_order"] else "no"))
    rows += _cut(_sections(facts["sections"]), "section")
    if facts["format"] != "pcap":  # which has but one, and of that everything was said
        rows += _cut(map(_interface, facts["interfaces"]), "interface")
    _print_block(facts["file"], rows, facts, target)


def print_total(summary: Summary, counters: Counters, files: int, target: Console) -> None:
    """All files together."""
    tables = summary.tables()
    facts = {
        "packets": summary.frames,
        "cut_packets": summary.cut,
        "data_size": summary.data_bytes,
        "duration": summary.duration,
        "first_packet": summary.first,
        "last_packet": summary.last,
        **rates(summary),
        "decoded": counters.decoded,
        "undecodable": counters.undecodable,
        "verdicts": tables["verdicts"].to_pylist(),
        "stacks": tables["stacks"].to_pylist(),
    }
    _print_block(f"Total of {plural(files, 'file')}", list(_amounts(facts)), facts, target)


def _print_block(title: str, rows: Sequence[tuple[str, str]], facts: Mapping[str, Any], target: Console) -> None:
    grid = Table.grid(padding=(0, 2, 0, 0))
    grid.add_column(no_wrap=True, style="dim")
    grid.add_column(overflow="fold")
    for label, value in (*rows, *_decoding(facts)):
        grid.add_row(cell(label), cell(value))
    draw(target, cell(title, "bold"), Padding(grid, (0, 0, 0, 2), expand=False))
    if facts["stacks"]:
        draw(target, "", Padding(_stacks(facts), (0, 0, 0, 2), expand=False))
    draw(target, "")


def _format(facts: Mapping[str, Any]) -> Iterator[str]:
    yield facts["format"] or UNKNOWN
    if facts["compression"]:
        yield f"compressed with {facts['compression']}"
    if facts["byte_order"]:
        yield f"{facts['byte_order']}-endian"
    yield from sorted({resolution(interface["time_resolution"]) for interface in facts["interfaces"]})


def resolution(seconds: float) -> str:
    """nanoseconds for 1e-9; how many ticks a second for what has no name."""
    return _RESOLUTIONS.get(seconds) or f"{1 / seconds:,.0f} ticks a second"


def _exact(count: int) -> str:
    return plural(count, "byte") if count < 1000 else f"{size(count)} ({plural(count, 'byte')})"


def _amounts(facts: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """How much, when, and how fast."""
    cut = f", {facts['cut_packets']:,} of them cut" if facts["cut_packets"] else ""
    yield "Packets", f"{facts['packets']:,}{cut}"
    yield "Data size", _exact(facts["data_size"])
    if not facts["packets"]:
        return
    yield "Duration", _long(facts["duration"])
    yield "First packet", rfc3339(facts["first_packet"])
    yield "Last packet", rfc3339(facts["last_packet"])
    if facts["data_byte_rate"] is not None:
        yield "Data rate", f"{size(facts['data_byte_rate'])}/s, {size(facts['data_bit_rate'], 'bit')}/s"
        yield "Packet rate", f"{facts['average_packet_rate']:,.1f} packets/s"
    yield "Average packet", f"{facts['average_packet_size']:.2f} bytes"


def _long(nanoseconds: int) -> str:
    seconds, rest = divmod(nanoseconds, 10**9)
    exact = f"{seconds}.{rest:09d} s"
    if seconds < 60:
        return exact
    minutes, hours = seconds // 60 % 60, seconds // 3600
    return f"{hours} h {minutes} min ({exact})" if hours else f"{minutes} min {seconds % 60} s ({exact})"


def _snaplen(facts: Mapping[str, Any]) -> str:
    snaplens = {interface["snaplen"] for interface in facts["interfaces"]}
    if len(snaplens) > 1:
        return "differs by interface"
    return plural(facts["snaplen"], "byte") if facts["snaplen"] else "no limit"


def _sections(sections: Sequence[Mapping[str, str]]) -> Iterator[tuple[str, str]]:
    """What a program wrote into the file about itself."""
    for n, section in enumerate(sections):
        known = [(name, section[name]) for name in ("hardware", "os", "application", "comment") if section.get(name)]
        if len(sections) == 1:
            yield from ((name.capitalize() if name != "os" else "OS", text) for name, text in known)
        else:
            yield f"Section {n}", ", ".join(text for _, text in known) or UNKNOWN


def _interface(facts: Mapping[str, Any]) -> tuple[str, str]:
    texts = [text for text in (facts["name"], facts["description"]) if text]
    texts += [facts["link_type_name"], f"snaplen {facts['snaplen']:,}" if facts["snaplen"] else "no snaplen"]
    texts += [resolution(facts["time_resolution"]), plural(facts["packets"], "packet")]
    texts += [f"{name} {facts[name]}" for name in ("os", "filter") if facts[name]]
    texts += [f"{_STATISTICS.get(name, name)} {count:,}" for name, count in (facts["statistics"] or {}).items()]
    return f"Interface {facts['number']}", ", ".join(texts)


def _cut(rows: Iterable[tuple[str, str]], noun: str) -> list[tuple[str, str]]:
    """The first of them, and how many there are besides."""
    known = list(rows)
    more = [("", f"and {plural(len(known) - _MOST, f'more {noun}')}; --format json lists all")]
    return known if len(known) <= _MOST else known[:_MOST] + more


def _decoding(facts: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """How far frames could be read, and how many not at all."""
    if facts["packets"]:
        yield "Decoded", f"{facts['decoded']:,} of {facts['packets']:,} frames, {facts['undecodable']:,} undecodable"
    for verdict in facts["verdicts"]:
        layer = f" at {verdict['layer']}" if verdict["layer"] else ""
        yield f"Verdict {verdict['verdict']}", f"{plural(verdict['frames'], 'frame')}{layer}"


def _stacks(facts: Mapping[str, Any]) -> Table:
    made = table([("Protocols", "left"), ("Frames", "right"), ("", "right"), ("Bytes", "right")])
    stacks = facts["stacks"]
    for row in stacks[:_MOST]:
        share = f"{100 * row['frames'] / facts['packets']:.1f} %"
        name = cell(row["stack"]) if row["stack"] else Text("(unknown link type)", "dim")
        made.add_row(name, f"{row['frames']:,}", share, size(row["bytes"]))
    if len(stacks) > _MOST:
        made.add_row(cell(f"and {len(stacks) - _MOST:,} more; --format json lists all", "dim"))
    return made
