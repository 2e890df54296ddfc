"""What `spanline query` asks, of what, and where the answer goes."""

from __future__ import annotations

import contextlib
import dataclasses
import json
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from datetime import tzinfo
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

import click

from spanline.cli.group import FAILED, complain
from spanline.cli.options import Inputs, Output
from spanline.cli.reading import conclude
from spanline.errors import Problem, UsageError
from spanline.query.parameters import MARK, VALUE
from spanline.query.times import Clock, Unfit, span, zone_of
from spanline.query.tree import Hours, Query, Window

if TYPE_CHECKING:
    import pyarrow as pa

    from spanline.enrich import Enrichment
    from spanline.store import Store

_ROWS = 40
_VXLAN, _GENEVE = 4789, 6081


@dataclasses.dataclass(frozen=True, slots=True)
class Question:
    """A query, and when it was asked, ns since the epoch."""

    query: Query
    now: int


class Asking:
    """How queries are meant. Everything that can be wrong with that raises UsageError."""

    def __init__(
        self,
        begin: str | None,
        end: str | None,
        hours: str | None,
        timezone: str | None,
        inventory: Sequence[str],
        geoip: str | None,
        asn: str | None,
    ) -> None:
        self.zone: tzinfo = zone_of(timezone)
        self._limits = begin, end
        window_between(begin, end, Clock(time.time_ns(), self.zone))
        self._hours = None if hours is None else hours_within(hours, self.zone)
        self._inventory = inventory
        self._databases = geoip, asn

    def question(self, text: str, values: Sequence[str] = ()) -> Question:
        """The query that somebody asks now, within the window of --from and --to and in the hours of --at-hours.

        text    a query, or @name of one that is kept; behind that, or in `values`, the values of its parameters
        """
        from spanline.query.reading import parse

        parameters: Mapping[str, Sequence[str]] = {}
        if text.startswith(MARK):
            from spanline.query.saved import called

            text, parameters = called(text, values)
        now = time.time_ns()
        query = parse(text, now=now, timezone=self.zone, parameters=parameters)
        times = window_between(*self._limits, Clock(now, self.zone))
        if times is not None:
            if not query.window.is_default:
                raise UsageError("the query says when, and so do --from and --to", hint="leave one of them out")
            query = dataclasses.replace(query, window=times)
        if self._hours is not None:
            query = dataclasses.replace(query, window=dataclasses.replace(query.window, hours=self._hours))
        return Question(query, now)

    @cached_property
    def enrichment(self) -> Enrichment:
        from spanline.enrich import Enrichment, read_inventory

        return Enrichment(read_inventory(self._inventory) if self._inventory else None, *self._databases)


def values_before(text: str | None, paths: tuple[str, ...]) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """What stands behind a query, as (the values of its parameters, paths): only @name has values."""
    if text is None or not text.startswith(MARK):
        return (), paths
    values = tuple(path for path in paths if VALUE.fullmatch(path))
    return values, tuple(path for path in paths if path not in values)


def window_between(begin: str | None, end: str | None, clock: Clock) -> Window | None:
    """What --from and --to say; None where neither is there. Raises UsageError."""
    if begin is None and end is None:
        return None
    first = None if begin is None else _moment("--from", begin, clock)[0]
    last = None if end is None else _moment("--to", end, clock)[1]
    if first is not None and last is not None and first >= last:
        raise UsageError("--from is not before --to", hint="the earlier one is --from")
    return Window(begin=first, end=last)


def hours_within(text: str, zone: tzinfo) -> Hours:
    """What --at-hours says. Raises UsageError."""
    from spanline.query.hours import hours_of

    try:
        return hours_of(text, zone)
    except Unfit as error:
        raise UsageError(f"--at-hours: {error.message}", hint=error.hint) from None


def _moment(option: str, text: str, clock: Clock) -> tuple[int, int]:
    try:
        return span(text, clock)
    except Unfit as error:
        raise UsageError(f"{option}: {error.message}", hint=error.hint) from None


@dataclasses.dataclass(frozen=True, slots=True)
class Asked:
    """The folder of a store, what it is called, and what was wrong with the captures that it was made of."""

    folder: Path
    name: str
    problems: Sequence[Problem] = ()


@contextlib.contextmanager
def source(store: str | None, captures: Sequence[str], others: Sequence[str], quiet: bool) -> Iterator[Asked]:
    """The store that was named, or a temporary one with the flows of `captures`; `others` are paths without --on."""
    if store is not None and captures:
        raise click.UsageError("--store and --on are two things to ask; name one of them")
    if store is not None and others:
        raise click.UsageError(f"{others[0]}: --store is asked, and nothing else; captures are named with --on")
    if store is None and not captures:
        raise click.UsageError("nothing to ask: name --store DIR or --on PATH")
    if store is not None:
        yield Asked(Path(store), store)
        return
    from spanline.output import temporary_folder
    from spanline.sources.live import PREFIXES

    for path in captures:
        if path.startswith(PREFIXES):
            raise click.UsageError(f"{path}: --on takes captures; spanline crunch {path} --store DIR keeps what comes")
        if Path(path, "spanline-store.json").is_file():
            raise click.UsageError(f"{path}: a store; ask it with --store")
    with temporary_folder("store") as folder:
        yield Asked(folder, ", ".join(captures), _crunched(captures, folder, quiet))


def _crunched(captures: Sequence[str], folder: Path, quiet: bool) -> list[Problem]:
    from spanline.cli.crunch_segments import SEGMENT_TIME
    from spanline.cli.crunching import crunch
    from spanline.cli.reading import open_capture
    from spanline.cli.storing import Storing
    from spanline.relay import cores
    from spanline.stages.flows import Flows

    inputs = Inputs(
        tuple(captures),
        frozenset({_VXLAN}),
        frozenset({_GENEVE}),
        False,
        None,
        None,
        None,
        cores(),
        quiet,
        live={},
        user=None,
        allow_root=False,
    )
    place = Storing(str(folder), inputs)
    capture = open_capture(inputs, place.paths)
    crunch(capture, Flows(parts=inputs.parts), place, SEGMENT_TIME, inputs)
    return capture.problems


def explained(asking: Asking, question: Question, asked: Asked) -> list[str]:
    """The lines of the SQL."""
    from spanline.query.answer import explain

    return explain(question.query, asked.folder, now=question.now, enrichment=asking.enrichment).splitlines()


def answered(
    asking: Asking, question: Question, asked: Asked, limit: int | None, quiet: bool, output: Output, chart: str | None
) -> None:
    """Shows the answer, also as the picture `chart`, then what it is about and what is missing. To be called last."""
    from spanline.cli.query_view import print_answer
    from spanline.cli.show import page, write

    table = table_of(asking, question, asked.folder)
    rows = (_ROWS if output.format == "table" else 0) if limit is None else limit
    here = table.slice(0, rows or None)
    if output.format == "table":
        with page(output) as target:
            print_answer(here, table.num_rows, question.query, asking.zone, target)
    else:
        write(here, output)
    if chart is not None:
        from spanline.charts import write_picture
        from spanline.query_charts import answer_chart

        groups = {one.name for one in question.query.group}
        has_tooltips = Path(chart).suffix.lower() == ".html"
        drawn = answer_chart(table, groups, asking.zone, question.query.text, has_tooltips=has_tooltips)
        write_picture(drawn, chart)
    sys.stdout.flush()
    is_whole = tell(table, asking.zone, quiet)
    conclude(asked.problems)
    if not is_whole:
        click.get_current_context().exit(FAILED)


def table_of(asking: Asking, question: Question, store: Path | Store) -> pa.Table:
    from spanline.query.answer import query

    return query(question.query, store, now=question.now, enrichment=asking.enrichment)


def tell(table: pa.Table, zone: tzinfo, quiet: bool) -> bool:
    """Says what time an answer is about, and what is missing in it; whether nothing is."""
    from spanline.cli.query_view import window_text

    if not quiet:
        complain(window_text(table.schema.metadata, zone))
    left_out = json.loads(table.schema.metadata[b"left_out"])
    for line in left_out:
        complain(line)
    return not left_out
