"""What is drawn of an answer: which of its groups, in what order, and what they are called."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from datetime import tzinfo
from enum import StrEnum
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from spanline.cli.query_view import cells_of, text_of
from spanline.cli.text import UNKNOWN, plural

if TYPE_CHECKING:
    import altair as alt

BLUE, GREY, LIGHT_GREY = "#0072b2", "#6e6e6e", "#a6a6a6"
NAMED = ("Switch", "Name")
"""Columns that say what a row is about, where a query does not group."""
_FLOW = ("Source IP Address", "Destination IP Address", "Port", "Protocol")
"""Those of a flow."""


class Sort(StrEnum):
    """What a line or a bar stands for; they follow one another like this."""

    GROUP = "group"
    OTHERS = "others"
    NOT_SET = "not set"


COLOURS = {Sort.GROUP: BLUE, Sort.OTHERS: GREY, Sort.NOT_SET: LIGHT_GREY}


@dataclass(frozen=True, slots=True)
class Drawing:
    """A picture, and what has to be said of it."""

    chart: alt.ConcatChart | alt.VConcatChart | alt.HConcatChart | alt.LayerChart | alt.FacetChart
    notes: Sequence[str] = ()


def text_of_number(field: pa.Field, zone: tzinfo) -> Callable[[float], str]:
    """What makes text of a column's number as it is in the terminal's table."""
    show = text_of(field, zone)
    return (lambda value: show(round(value))) if field.metadata[b"kind"] == b"count" else show


def data_of(rows: Sequence[dict[str, Any]]) -> alt.Data:
    """Rows that stand in the picture itself."""
    import altair as alt

    return alt.Data(values=rows)  # type: ignore[no-untyped-call]


def title_of(heading: str) -> alt.TitleParams:
    """Of a panel."""
    import altair as alt

    return alt.TitleParams(heading, fontSize=12, anchor="start", frame="group", offset=6)


class Groups:
    """The groups of an answer, or the flows or things that it lists, of which the first `most` are drawn, and then all
    others as one.

    names  of what is drawn, each once
    sorts  of the same
    notes  what has to be said

    One group more is drawn too: to call it others would take as much room.
    """

    def __init__(
        self, table: pa.Table, groups: Collection[str], zone: tzinfo, most: int, *, can_be_added: bool
    ) -> None:
        is_flows = not groups and set(_FLOW).issubset(table.column_names)
        columns = [n for n, name in enumerate(table.column_names) if name in (groups or (_FLOW if is_flows else NAMED))]
        self.is_one = not columns
        self.notes = []
        self._own, self._not_set = _split(table, columns if groups else [])
        self._others = self._own[:0]
        if len(self._own) > most + 1:
            self._own, self._others = self._own[:most], self._own[most:]
        if len(self._others) and not can_be_added:
            self.notes.append(f"{plural(len(self._others), 'flow' if is_flows else 'group')} more are not drawn.")
            self._others = self._others[:0]
        own, nothing = (
            _flow_names(table.take(rows), zone) if is_flows else _names(table.take(rows), columns, groups, zone)
            for rows in (self._own, self._not_set)
        )
        rest = [f"{len(self._others):,} others"] * (len(self._others) > 0)
        self.names = _told_apart([*own, *rest, *nothing])
        self.sorts = [Sort.GROUP] * len(own) + [Sort.OTHERS] * len(rest) + [Sort.NOT_SET] * len(nothing)

    def of(self, values: npt.NDArray[np.float64], *, can_be_added: bool) -> npt.NDArray[np.float64]:
        """float64[rows, n] of the answer as float64[drawn, n]; what cannot be added up is NaN of others."""
        parts = [values[self._own]]
        if len(self._others):
            rest = values[self._others].sum(axis=0, keepdims=True)
            parts.append(rest if can_be_added else np.full_like(rest, np.nan))
        return np.concatenate([*parts, values[self._not_set]])


def _split(table: pa.Table, columns: Sequence[int]) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    """Rows that are a group, and those of what is in none: nothing is known in any of `columns`."""
    nothing = np.full(table.num_rows, bool(columns))
    for n in columns:
        nothing &= table.column(n).is_null().to_numpy()
    return np.flatnonzero(~nothing), np.flatnonzero(nothing)


def _names(table: pa.Table, columns: Sequence[int], groups: Collection[str], zone: tzinfo) -> list[str]:
    """Of each row, as the terminal's table has them."""
    texts = [cells_of(table, n, groups, zone) for n in columns]
    return [", ".join(parts) for parts in zip(*texts, strict=True)] if columns else ["all"] * table.num_rows


def _flow_names(table: pa.Table, zone: tzinfo) -> list[str]:
    """Of each row: client, server, protocol and port; an end is called by its VM, where that is among the columns."""
    cells = {name: cells_of(table, n, (), zone) for n, name in enumerate(table.column_names)}
    ends = []
    for side in ("Source", "Destination"):
        addresses = cells[f"{side} IP Address"]
        machines = cells.get(f"{side} VM", addresses)
        ends.append([one if vm == UNKNOWN else vm for vm, one in zip(machines, addresses, strict=True)])
    parts = zip(*ends, cells["Protocol"], cells["Port"], strict=True)
    return [f"{source} → {destination}, {protocol} {port}" for source, destination, protocol, port in parts]


def _told_apart(names: Sequence[str]) -> list[str]:
    """The names, each once: two groups under one name would be drawn as one."""
    made: list[str] = []
    for name in names:
        told, number = name, 1
        while told in made:
            number += 1
            told = f"{name} ({number})"
        made.append(told)
    return made
