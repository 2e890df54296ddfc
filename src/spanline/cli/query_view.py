"""Answers to queries on a terminal: a line a row where that fits, else several."""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta, tzinfo
from typing import Any

import numpy as np
import pyarrow as pa
from rich.console import Console

from spanline.arrow import address_text, plain
from spanline.cli.protocols import protocol_name
from spanline.cli.screen import Line, aligned, column_widths, draw_lines
from spanline.cli.text import UNKNOWN, duration, printable, quantity, size
from spanline.query.sparkline import sparkline
from spanline.query.tree import Kind, Query

NOT_SET = "(not set)"

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_LEFT = frozenset((Kind.TEXT, Kind.ADDRESS, Kind.MAC, Kind.PROTOCOL, Kind.TIME, Kind.TAGS))
_SUM = re.compile(r"(series\()?sum\(([^()]+)\)(?(1)(?:, \d+)?\))")
_SPARKS = (24, 16, 12, 8)
"""Characters of a series, as many as have room."""
_LONGEST = 24
"""Characters of a text, where there is no room."""


@dataclass(frozen=True, slots=True)
class Shown:
    """A column as texts; of a series also its lines, of which the texts are the most. What is_whole says nothing any
    more when it is cut."""

    heading: str
    texts: list[str]
    is_right: bool
    lines: list[np.ndarray] | None = None
    is_whole: bool = False

    def cells(self, spark: int, longest: int | None) -> list[str]:
        if self.lines is None:
            if longest is None or self.is_right or self.is_whole:
                return self.texts
            return [text if len(text) <= longest else f"{text[: longest - 1]}…" for text in self.texts]
        drawn = [sparkline(line, spark) for line in self.lines]
        room = max(map(len, self.texts), default=0)
        return [f"{line} {text.rjust(room)}" for line, text in zip(drawn, self.texts, strict=True)]


def print_answer(
    table: pa.Table,
    total: int,
    query: Query,
    zone: tzinfo,
    target: Console,
    *,
    more: str = "-n 0 shows all, -o FILE writes them",
) -> None:
    """The first rows of an answer (query.answer.query()) that has `total`; times in `zone`. `more` says how to see more
    of them."""
    if not total:
        draw_lines(target, [Line("nothing found")])
        return
    lines = answer_lines(table, {one.name for one in query.group}, zone, target.width)
    scale = scale_text(table.schema)
    if scale:
        lines.append(Line(scale, "dim"))
    if total > table.num_rows:
        lines.append(Line(f"{table.num_rows:,} of {total:,} rows; {more}", "dim"))
    draw_lines(target, lines)


def scale_text(schema: pa.Schema) -> str:
    """What the lines of series mean; "" where there are none."""
    step = next((field.metadata[b"step"] for field in schema if b"step" in field.metadata), None)
    return "" if step is None else f"Each line has its own scale; behind it, the most of any {length_text(int(step))}."


def answer_lines(table: pa.Table, groups: Collection[str], zone: tzinfo, width: int) -> list[Line]:
    """An answer for a terminal of `width` columns. `groups` are columns in which nothing is a group too."""
    columns = [shown_column(table, n, groups, zone) for n in range(table.num_columns)]
    sparks = _SPARKS if any(one.lines is not None for one in columns) else _SPARKS[:1]
    for longest in (None, _LONGEST):
        for wrapped, gap in ((False, 2), (True, 2), (True, 1)):
            for spark in sparks:
                made = _block(columns, spark, longest, wrapped, gap)
                if len(made[0].text) <= width:
                    return made
    return _stacked(columns, width)


def _block(columns: Sequence[Shown], spark: int, longest: int | None, wrapped: bool, gap: int) -> list[Line]:
    """A line a row; all lines are as long as the first."""
    cells = [one.cells(spark, longest) for one in columns]
    headings = [_heading(one, texts, wrapped) for one, texts in zip(columns, cells, strict=True)]
    tall = max(map(len, headings))
    padded = [[""] * (tall - len(heading)) + heading for heading in headings]
    rows = [*zip(*padded, strict=True), *zip(*cells, strict=True)]
    widths, right = column_widths(rows), [one.is_right for one in columns]
    lines = [aligned(row, widths, right, gap) for row in rows]
    return [*(Line(text, "bold") for text in lines[:tall]), *map(Line, lines[tall:])]


def _heading(one: Shown, texts: Sequence[str], wrapped: bool) -> list[str]:
    """Its lines, from above; wrapped, not wider than needed."""
    words = one.heading.split(" ")
    if not wrapped:
        return [one.heading]
    room = max(*map(len, texts), *map(len, words))
    lines = [words[0]]
    for word in words[1:]:
        if len(lines[-1]) + 1 + len(word) <= room:
            lines[-1] += f" {word}"
        else:
            lines.append(word)
    return lines


def _stacked(columns: Sequence[Shown], width: int) -> list[Line]:
    """Several lines a row, each with as many columns as have room."""
    parts: list[list[Shown]] = []
    for one in columns:
        if parts and len(_block([*parts[-1], one], _SPARKS[-1], width, True, 2)[0].text) <= width - 2 * (
            len(parts) > 1
        ):
            parts[-1].append(one)
        else:
            parts.append([one])
    blocks = [_block(part, _SPARKS[-1], width - 2, True, 2) for part in parts]
    rows = len(columns[0].texts)
    made = []
    for n, block in enumerate(blocks):
        made += [Line("  " * (n > 0) + text, style) for text, style in block[: len(block) - rows]]
    for row in range(-rows, 0):
        made += [Line("  " * (n > 0) + block[row].text, "dim" if n else "") for n, block in enumerate(blocks)]
    return made


def shown_column(table: pa.Table, n: int, groups: Collection[str], zone: tzinfo) -> Shown:
    """The texts of a column of an answer; nothing is (not set) in `groups`. Times are in `zone`."""
    field = table.schema.field(n)
    said = field.metadata[b"kind"].decode()
    kind = None if said == "count" else Kind(said)
    heading = heading_of(field.name)
    values = plain(table.select([n])).column(0).to_pylist()
    nothing = NOT_SET if field.name in groups else UNKNOWN
    if b"step" in field.metadata:
        lines = [np.array([np.nan if one is None else one for one in row], np.float64) for row in values]
        show = text_of(field, zone)
        most = [UNKNOWN if np.isnan(line).all() else show(float(np.nanmax(line))) for line in lines]
        return Shown(heading, most, False, lines)
    show = text_of(field, zone)
    texts = [nothing if value is None else printable(show(value)) for value in values]
    is_one_address = kind is Kind.ADDRESS and not pa.types.is_list(field.type)
    return Shown(heading, texts, kind not in _LEFT, is_whole=is_one_address)


def heading_of(name: str) -> str:
    """Of a column: a sum is called as what is summed."""
    found = _SUM.fullmatch(name)
    return printable(found[2] if found else name)


def text_of(field: pa.Field, zone: tzinfo) -> Callable[[Any], str]:
    """What makes text of a value of a column; of a series, of one of its values."""
    said = field.metadata[b"kind"].decode()
    stored = field.type.value_type if b"step" in field.metadata else field.type
    return _text_of(None if said == "count" else Kind(said), stored, zone)


def cells_of(table: pa.Table, n: int, groups: Collection[str], zone: tzinfo) -> list[str]:
    """The texts of a column."""
    return shown_column(table, n, groups, zone).texts


def _text_of(kind: Kind | None, stored: pa.DataType, zone: tzinfo) -> Callable[[Any], str]:
    """What makes text of a value of a column."""
    if kind is Kind.NUMBER and pa.types.is_integer(stored):
        return str  # a port or a VLAN
    made: dict[Kind | None, Callable[[Any], str]] = {
        None: lambda value: f"{value:,}",
        Kind.NUMBER: _amount,
        Kind.PACKETS: _amount,
        Kind.ADDRESS: address_text,
        Kind.MAC: lambda value: value.hex(":"),
        Kind.PROTOCOL: protocol_name,
        Kind.BYTES: size,
        Kind.MEMORY: _memory,
        Kind.RATE: lambda value: size(value, "b/s"),
        Kind.DURATION: lambda value: duration(round(value)),
        Kind.RATIO: lambda value: f"{value:.1%}",
        Kind.TIME: lambda value: local_time(round(value), zone),
    }
    show = made.get(kind, str)
    if pa.types.is_list(stored):
        return lambda values: ", ".join(map(show, values)) or UNKNOWN
    return show


def _amount(value: float) -> str:
    """Packets and sessions are spread over time, so that there are parts of them."""
    return f"{value:.2g}" if 0 < abs(value) < 1 else quantity(round(value))


def _memory(octets: float) -> str:
    """Powers of 1024, as memory is counted."""
    for unit, power in (("GB", 30), ("MB", 20), ("KB", 10)):
        if octets >= 1 << power:
            return f"{octets / (1 << power):.4g} {unit}"
    return f"{octets:.0f} B"


def local_time(time: int, zone: tzinfo) -> str:
    """2026-01-02 03:04:05 in `zone` of ns since the epoch."""
    return _local(time, zone).strftime("%Y-%m-%d %H:%M:%S")


def _local(time: int, zone: tzinfo) -> datetime:
    return (_EPOCH + timedelta(seconds=time // 10**9)).astimezone(zone)


def length_text(nanoseconds: int) -> str:
    """Of a step."""
    for unit, length in (("days", 86_400 * 10**9), ("h", 3600 * 10**9), ("min", 60 * 10**9)):
        if nanoseconds >= length:
            return f"{nanoseconds / length:.3g} {unit}"
    return duration(nanoseconds)


def window_text(metadata: Mapping[bytes, bytes], zone: tzinfo) -> str:
    """The time that an answer is about, of the metadata of its Table."""
    begin, end = (int(metadata[name]) for name in (b"window_begin", b"window_end"))
    newest = metadata[b"measured_from"].decode()
    last = _local(end - 1, zone)
    times = f"{local_time(begin, zone)} to {local_time(end - 1, zone)} {last.strftime('%Z')}".rstrip()
    hours = metadata[b"hours"].decode()
    if hours:
        times += f", of each day {hours}"
    if metadata[b"is_default"] == b"1":
        return f"about the last 24 hours until {newest}: {times}"
    return f"about {times}{f', until {newest}' if newest else ''}"
