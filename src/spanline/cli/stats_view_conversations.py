"""The views `conversations` and `endpoints`, which one stage counts."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import pyarrow as pa

from spanline.arrow import plain, readable, strings
from spanline.cli.flow_view import endpoint
from spanline.cli.screen import Line, aligned, column_widths, draw_lines
from spanline.cli.stats_tshark import NAMES, conversation_lines, endpoint_lines
from spanline.cli.stats_view import Stages, View, ViewOptions
from spanline.cli.text import duration, plural, quantity, size
from spanline.stages.conversations import KINDS, Conversations
from spanline.stages.endpoints import endpoints_table

if TYPE_CHECKING:
    from rich.console import Console

_OTHERS = "all others"
_Rows = Sequence[Mapping[str, Any]]


class _ByType(View):
    """What both have in common: a Table for each type."""

    def __init__(self, options: ViewOptions, stages: Stages) -> None:
        self._limit = options.limit
        self._asked = options.types
        types = options.types or tuple(KINDS)
        if "tcp" in types:
            stages.requires.add("streams")
        self._stage = stages.take(Conversations, lambda: Conversations(types, memory=max(options.memory // 2, 1)))

    def _table(self, kind: str) -> pa.Table:
        raise NotImplementedError

    def _types(self) -> tuple[str, ...]:
        """Those that were asked for, or that there are."""
        return self._asked or tuple(kind for kind in self._stage.types if self._stage.count(kind))

    def table(self) -> pa.Table:
        parts = []
        for kind in self._types() or self._stage.types[:1]:
            part = readable(self._table(kind).slice(0, self._limit))
            name = pa.field("type", pa.string(), metadata={"unit": "", "description": "of the ends: tshark's names"})
            parts.append(part.add_column(0, name, strings([kind] * part.num_rows)))
        return pa.concat_tables(parts)

    def draw(self, target: Console) -> None:
        types = self._types()
        if not types:
            draw_lines(target, [Line(f"no {self.name}")])
        for n, kind in enumerate(types):
            table = self._table(kind)
            count = plural(table.num_rows, "row") if table.num_rows else "none"
            shown = f", {self._limit:,} of them; -n 0 shows all" if self._limit and table.num_rows > self._limit else ""
            heading = f"{NAMES[kind]} {self.name}: {count}{shown}"
            rows = readable(plain(table.slice(0, self._limit))).to_pylist()
            lines = [*([Line("")] if n else []), Line(heading, "dim")]
            draw_lines(target, [*lines, *(self._lines(rows, target.width) if rows else [])])

    def _lines(self, rows: _Rows, width: int) -> list[Line]:
        raise NotImplementedError

    def remarks(self) -> Iterator[str]:
        for kind in self._stage.types:
            frames, octets = self._stage.others(kind)
            if frames:
                yield (
                    f"{plural(frames, 'frame')} ({size(octets)}) of {NAMES[kind]} conversations that came too late to "
                    "have a row within --memory are counted together"
                )


class ConversationsView(_ByType):
    name = "conversations"
    title = "Conversations"

    def _table(self, kind: str) -> pa.Table:
        return self._stage.table(kind)

    def _lines(self, rows: _Rows, width: int) -> list[Line]:
        texts = [_conversation(row) for row in rows]
        columns = ("Source", "Destination", "Frames", "Bytes", "Sent", "Received", "Start", "Duration")
        for kept in (columns, columns[:-2]):
            lines = _table_lines(kept, [text[: len(kept)] for text in texts], 2, width)
            if lines:
                return lines
        return _stacked_conversations(rows, width)

    def as_tshark(self) -> Iterator[str]:
        for kind in self._types():
            yield from conversation_lines(self._stage, kind)


class EndpointsView(_ByType):
    name = "endpoints"
    title = "Endpoints"

    def _table(self, kind: str) -> pa.Table:
        return endpoints_table(self._stage, kind)

    def _lines(self, rows: _Rows, width: int) -> list[Line]:
        texts = [_endpoint(row) for row in rows]
        columns = ("Address", "Frames", "Bytes", "Sent", "", "Received", "")
        return _table_lines(columns, texts, 1, width) or _stacked_endpoints(columns, texts)

    def as_tshark(self) -> Iterator[str]:
        for kind in self._types():
            yield from endpoint_lines(self._stage, kind)


def _text(row: Mapping[str, Any], address: str, port: str) -> str:
    if row[address] is None:
        return _OTHERS
    return "".join(endpoint(row[address], "" if row[port] is None else str(row[port])))


def _conversation(row: Mapping[str, Any]) -> list[str]:
    sent, received = row["source_bytes"], row["destination_bytes"]
    return [
        _text(row, "source", "source_port"),
        _text(row, "destination", "destination_port") if row["source"] is not None else "",
        quantity(row["source_packets"] + row["destination_packets"]),
        size(sent + received),
        size(sent),
        size(received),
        duration(row["relative_start"]),
        duration(row["duration"]),
    ]


def _endpoint(row: Mapping[str, Any]) -> list[str]:
    numbers = []
    for way in ("", "sent_", "received_"):
        numbers += [quantity(row[f"{way}packets"]), size(row[f"{way}bytes"])]
    return [_text(row, "address", "port"), *numbers]


def _table_lines(columns: Sequence[str], texts: Sequence[Sequence[str]], left: int, width: int) -> list[Line]:
    """A line for each of `texts`, the first `left` columns aligned to the left; none at all where one is too long."""
    widths = column_widths([columns, *texts])
    right = [n >= left for n in range(len(columns))]
    for gap in (2, 1):
        if sum(widths) + gap * (len(widths) - 1) <= width:
            rest = [Line(aligned(text, widths, right, gap)) for text in texts]
            return [Line(aligned(columns, widths, right, gap), "bold"), *rest]
    return []


def _stacked_conversations(rows: _Rows, width: int) -> list[Line]:
    """Two lines each: what the source sent, and what the destination sent."""
    texts = [["Source", "Frames", "Bytes", "Start"], ["→ Destination", "sent", "sent", "Duration"]]
    for row in rows:
        for end, time in (("source", "relative_start"), ("destination", "duration")):
            address = _text(row, end, f"{end}_port")
            counts = [quantity(row[f"{end}_packets"]), size(row[f"{end}_bytes"])]
            texts.append([address if end == "source" else f"→ {address}", *counts, duration(row[time])])
    widths, right = column_widths(texts), [False, True, True, True]
    gap = 2 if sum(widths) + 6 <= width else 1
    styles = ["bold", "bold", *(["", "dim"] * len(rows))]
    return [Line(aligned(text, widths, right, gap), style) for text, style in zip(texts, styles, strict=True)]


def _stacked_endpoints(columns: Sequence[str], texts: Sequence[Sequence[str]]) -> list[Line]:
    """Two lines each: the address, and its numbers."""
    widths = [2, *column_widths([columns, *texts])[1:]]
    right = [True] * len(columns)
    made = []
    for n, text in enumerate([columns, *texts]):
        style = "" if n else "bold"
        made += [Line(text[0], style), Line(aligned(["", *text[1:]], widths, right, 2), style)]
    return made
