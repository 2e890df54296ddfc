"""What `spanline query` asks, of what, and where the answer goes."""

from __future__ import annotations

import contextlib
import dataclasses
import json
import sys
import time
from collections.abc import Iterator, Sequence
from datetime import tzinfo
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

import click

from spanline.cli.group import FAILED, complain
from spanline.cli.options import Inputs, Output
from spanline.cli.reading import conclude
from spanline.errors import Problem, UsageError
from spanline.query.times import Clock, Unfit, span, zone_of
from spanline.query.tree import Query, Window

if TYPE_CHECKING:
    from spanline.enrich import Enrichment

_ROWS = 40
_VXLAN = 4789


class Asking:
    """A query with the options that say what it means. Everything that can be wrong with them raises UsageError."""

    def __init__(
        self,
        text: str,
        begin: str | None,
        end: str | None,
        timezone: str | None,
        inventory: Sequence[str],
        geoip: str | None,
        asn: str | None,
    ) -> None:
        from spanline.query.reading import parse

        self.now = time.time_ns()
        self.zone: tzinfo = zone_of(timezone)
        self._inventory = inventory
        self._databases = geoip, asn
        self.query = self._within(parse(text, now=self.now, timezone=self.zone), begin, end)

    def _within(self, query: Query, begin: str | None, end: str | None) -> Query:
        """The query with the window of --from and --to."""
        window = window_between(begin, end, Clock(self.now, self.zone))
        if window is None:
            return query
        if not query.window.is_default:
            raise UsageError("the query says when, and so do --from and --to", hint="leave one of them out")
        return dataclasses.replace(query, window=window)

    @cached_property
    def enrichment(self) -> Enrichment:
        from spanline.enrich import Enrichment, read_inventory

        return Enrichment(read_inventory(self._inventory) if self._inventory else None, *self._databases)

    def tree_lines(self) -> list[str]:
        from spanline.cli.query_tree import tree_lines

        return tree_lines(self.query)


def window_between(begin: str | None, end: str | None, clock: Clock) -> Window | None:
    """What --from and --to say; None where neither is there. Raises UsageError."""
    if begin is None and end is None:
        return None
    first = None if begin is None else _moment("--from", begin, clock)[0]
    last = None if end is None else _moment("--to", end, clock)[1]
    if first is not None and last is not None and first >= last:
        raise UsageError("--from is not before --to", hint="the earlier one is --from")
    return Window(begin=first, end=last)


def _moment(option: str, text: str, clock: Clock) -> tuple[int, int]:
    try:
        return span(text, clock)
    except Unfit as error:
        raise UsageError(f"{option}: {error.message}", hint=error.hint) from None


@dataclasses.dataclass(frozen=True, slots=True)
class Asked:
    """The folder of a store, and what was wrong with the captures that it was made of."""

    folder: Path
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
        yield Asked(Path(store))
        return
    from spanline.output import temporary_folder
    from spanline.sources.live import PREFIXES

    for path in captures:
        if path.startswith(PREFIXES):
            raise click.UsageError(f"{path}: --on takes captures; spanline crunch {path} --store DIR keeps what comes")
        if Path(path, "spanline-store.json").is_file():
            raise click.UsageError(f"{path}: a store; ask it with --store")
    with temporary_folder("store") as folder:
        yield Asked(folder, _crunched(captures, folder, quiet))


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


def explained(asking: Asking, asked: Asked) -> list[str]:
    """The lines of the SQL."""
    from spanline.query.answer import explain

    return explain(asking.query, asked.folder, now=asking.now, enrichment=asking.enrichment).splitlines()


def answered(asking: Asking, asked: Asked, limit: int | None, quiet: bool, output: Output, chart: str | None) -> None:
    """Shows the answer, also as the picture `chart`, then what it is about and what is missing. To be called last."""
    from spanline.cli.query_view import print_answer, window_text
    from spanline.cli.show import page, write
    from spanline.query.answer import query

    table = query(asking.query, asked.folder, now=asking.now, enrichment=asking.enrichment)
    rows = (_ROWS if output.format == "table" else 0) if limit is None else limit
    here = table.slice(0, rows or None)
    if output.format == "table":
        with page(output) as target:
            print_answer(here, table.num_rows, asking.query, asking.zone, target)
    else:
        write(here, output)
    if chart is not None:
        from spanline.charts import write_picture
        from spanline.query_charts import answer_chart

        groups = {one.name for one in asking.query.group}
        has_tooltips = Path(chart).suffix.lower() == ".html"
        drawn = answer_chart(table, groups, asking.zone, asking.query.text, has_tooltips=has_tooltips)
        write_picture(drawn, chart)
    sys.stdout.flush()
    if not quiet:
        complain(window_text(table.schema.metadata, asking.zone))
    left_out = json.loads(table.schema.metadata[b"left_out"])
    for line in left_out:
        complain(line)
    conclude(asked.problems)
    if left_out:
        click.get_current_context().exit(FAILED)
