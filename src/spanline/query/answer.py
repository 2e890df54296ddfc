"""Queries answered: text, or its tree, and a store, to a Table."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Iterable, Sequence
from contextlib import ExitStack
from datetime import tzinfo
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pyarrow as pa
from sqlglot import exp

from spanline.arrow import column, numbers_of
from spanline.enrich import Enrichment
from spanline.errors import Problem
from spanline.query import nodes
from spanline.query.engine import MEMORY, Limits
from spanline.query.hours import hours_text
from spanline.query.planning import plan_of
from spanline.query.reading import parse
from spanline.query.running import Session, UnansweredError, shown, sql_of
from spanline.query.spans import Held, Span, buckets_of, span_of
from spanline.query.steps import PLACE, Column, Grow, Plan, Read
from spanline.query.tree import Kind, Query
from spanline.store import Store
from spanline.store.counters import growth
from spanline.store.store import Selection
from spanline.store.verified import problem_of

UNITS = {
    Kind.BYTES: "byte",
    Kind.MEMORY: "byte",
    Kind.RATE: "bit/s",
    Kind.PACKETS: "packet",
    Kind.DURATION: "ns",
    Kind.TIME: "ns",
}


def query(
    text: str | Query,
    store: Store | str | os.PathLike[str],
    *,
    now: int | None = None,
    timezone: str | tzinfo | None = None,
    enrichment: Enrichment | None = None,
    memory: int = MEMORY,
    threads: int | None = None,
    seconds: float | None = None,
) -> pa.Table:
    """The answer to a query, as a Table.

    text        in the query language (docs/language.md), or what query.reading.parse() made of it
    store       of flows, or its folder
    now         ns since the epoch; None: what the clock says
    timezone    of dates in the text, by its IANA name; None: this machine's
    enrichment  what is known of addresses; None: the countries that come along
    memory      bytes that may be taken; beyond, temporary files are, up to four times that
    threads     None: as many as there are cores
    seconds     that it may take; None: as many as it does

    Columns are called as the query names them: "Source Country", "Count", "sum(Total Traffic)". Addresses are 16 bytes
    and MACs 6, of VMs lists of them; times ns, metrics float64, counts int64; `(not set)` is null. A series is a list
    of float64, one for each bucket; the metadata of its field say where the first begins and how long they are: `begin`
    and `step`, ns. Metadata of all fields: `unit` and `kind` (query.tree.Kind, or "count"). Those of the Table:
    `window_begin`, `window_end` (ns since the epoch), `measured_from` ("now", "the newest record", or "" where the
    query says when), `is_default` ("1": the query says nothing of time), `hours` ("21:00-06:30", or "") and `left_out`,
    a JSON list of what is wrong with segments that were not read.

    Raises QueryError for a fault in the text, UsageError for what cannot be answered, or not within the limits.
    """
    moment = time.time_ns() if now is None else now
    asked = parse(text, now=moment, timezone=timezone) if isinstance(text, str) else text
    own = store if isinstance(store, Store) else Store(store)
    problems: list[Problem] = []
    plan = planned(asked, own, enrichment or Enrichment(), moment)
    limits = Limits(memory, threads, seconds)
    grown: dict[str, pa.Table] = {}
    with ExitStack() as opened:
        chosen: dict[str, Selection] = {}
        for step in plan.steps:
            if isinstance(step, Read):
                chosen[step.table] = opened.enter_context(own.segments((step.span.begin, step.span.end)))
                problems += [one for one in chosen[step.table].problems if one not in problems]
            elif isinstance(step, Grow):
                grown[step.table], damaged = growth(own.path, (step.span.begin, step.span.end), step.counted)
                problems += [one for one in damaged if one not in problems]
        files: dict[str, Sequence[Path]] = {name: one.paths for name, one in chosen.items()}
        try:
            with Session(files, limits, grown) as session:
                return _answered(plan, session, asked, problems)
        except UnansweredError:
            left_out = _undecodable(chosen.values())
            if not left_out:
                raise
            problems += left_out.values()
            files = {name: [path for path in one.paths if path not in left_out] for name, one in chosen.items()}
            with Session(files, limits, grown) as session:
                return _answered(plan, session, asked, problems)


def _undecodable(chosen: Iterable[Selection]) -> dict[Path, Problem]:
    """Segments whose checksum is right, and whose content is rubbish all the same."""
    from spanline.store.decoding import undecodable

    of = {selection.folder / one.name: (selection.folder, one) for selection in chosen for one in selection.segments}
    return {path: problem_of(*of[path], why) for path, why in undecodable(of).items()}


def explain(
    text: str | Query,
    store: Store | str | os.PathLike[str],
    *,
    now: int | None = None,
    timezone: str | tzinfo | None = None,
    enrichment: Enrichment | None = None,
    dialect: str = "duckdb",
) -> str:
    """The SQL that answers a query, to be read. `dialect` is any that sqlglot knows, as "clickhouse"."""
    moment = time.time_ns() if now is None else now
    asked = parse(text, now=moment, timezone=timezone) if isinstance(text, str) else text
    own = store if isinstance(store, Store) else Store(store)
    return sql_of(planned(asked, own, enrichment or Enrichment(), moment), dialect)


def planned(asked: Query, store: Store, enrichment: Enrichment, now: int) -> Plan:
    """The steps that answer a query about a store."""
    held = held_by(store)
    return plan_of(asked, enrichment, lambda one: span_of(one.window, held, now))


def held_by(store: Store) -> Held | None:
    """When the store's records begin and end; None: it is empty."""
    state = store.state()
    segments = state.segments.values()
    if not segments:
        return None
    first, last = min(one.begin for one in segments), max(one.end for one in segments)
    return Held(first, last, state.is_live)


def _answered(plan: Plan, session: Session, asked: Query, problems: Sequence[Problem]) -> pa.Table:
    session.run(plan)
    found = session.table(shown(plan))
    series = _all_series(plan, session, len(found))
    arrays, fields = [], []
    for n, one in enumerate(plan.columns):
        made, more = series[n] if one.series else (_shown(found[one.source], one.kind), {})
        kind = one.kind.value if one.kind is not None else "count"
        unit = UNITS.get(one.kind, "") if one.kind is not None else ""
        arrays.append(made)
        fields.append(pa.field(one.name, made.type, metadata={"kind": kind, "unit": unit, **more}))
    metadata = {
        "window_begin": str(plan.span.begin),
        "window_end": str(plan.span.end),
        "measured_from": plan.span.measured_from,
        "is_default": "1" if asked.window.is_default else "0",
        "hours": hours_text(asked.window.hours) if asked.window.hours is not None else "",
        "left_out": json.dumps([str(problem) for problem in problems]),
    }
    return pa.Table.from_arrays(arrays, schema=pa.schema(fields, metadata=metadata))


def _shown(values: pa.ChunkedArray, kind: Kind | None) -> pa.ChunkedArray:
    if isinstance(values.type, pa.UuidType):
        return pa.chunked_array([chunk.storage for chunk in values.chunks], pa.binary(16))
    if pa.types.is_list(values.type) and isinstance(values.type.value_type, pa.UuidType):
        chunks = [pa.ListArray.from_arrays(chunk.offsets, chunk.values.storage) for chunk in values.chunks]
        return pa.chunked_array(chunks, pa.list_(pa.binary(16)))
    if kind is Kind.MAC:
        return values.cast(pa.list_(pa.binary(6)) if pa.types.is_list(values.type) else pa.binary(6))
    if kind is Kind.TIME:
        return values.cast(pa.timestamp("ns", "UTC"))
    return values


def _all_series(plan: Plan, session: Session, rows: int) -> dict[int, tuple[pa.Array, dict[str, str]]]:
    """_series() of the columns that are some, by their number; each table is read once."""
    made = {}
    for table in dict.fromkeys(one.series for one in plan.columns if one.series):
        own = {n: one for n, one in enumerate(plan.columns) if one.series == table}
        step = next(iter(own.values())).step
        columns = [nodes.named(nodes.column(PLACE), "p"), nodes.named(_number(step, plan.span), "b")]
        for source in dict.fromkeys(one.source for one in own.values()):
            value = nodes.call("COALESCE", nodes.double(nodes.column(source)), nodes.double(nodes.text("NaN")))
            columns.append(nodes.named(value, source))
        found = session.table(nodes.select(columns, nodes.within_brackets(plan.series[table], table)))
        for n, one in own.items():
            made[n] = _series(one, plan.span, found, rows)
    return made


def _series(one: Column, span: Span, found: pa.Table, rows: int) -> tuple[pa.Array, dict[str, str]]:
    """A list of values for each row, or one number of each; and where its buckets are."""
    begin, count = buckets_of(span, one.step)
    dense = np.full((rows, count), np.nan if one.is_empty_null else 0.0)
    if len(found):
        values = numbers_of(found[one.source])
        known = ~np.isnan(values)
        dense[numbers_of(found["p"])[known], numbers_of(found["b"])[known]] = values[known]
    if one.reduced:
        return column(*_reduced(dense, one.reduced)), {}
    ends = np.arange(rows + 1, dtype=np.int32) * count
    values = dense.reshape(-1)
    made = pa.ListArray.from_arrays(column(ends.astype(np.int32)), column(values, np.isnan(values)))
    return made, {"begin": str(begin), "step": str(one.step)}


def _number(step: int, span: Span) -> exp.Expr:
    """Of a bucket, from 0."""
    begin, _ = buckets_of(span, step)
    number = exp.IntDiv(this=nodes.less(nodes.column("bucket"), nodes.number(begin)), expression=nodes.number(step))
    return exp.cast(number, "bigint")


def _reduced(dense: npt.NDArray[np.float64], function: str) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.bool_]]:
    """One number of each row, and where there is none."""
    known = ~np.isnan(dense)
    count = known.sum(axis=1)
    least, most = np.where(known, dense, np.inf).min(axis=1), np.where(known, dense, -np.inf).max(axis=1)
    total = np.where(known, dense, 0.0).sum(axis=1)
    made = {"sum": total, "avg": total / np.maximum(count, 1), "min": least, "max": most, "count": count * 1.0}
    return made[function], count == 0
