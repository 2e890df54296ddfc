"""What `spanline report` asks, and where the page goes."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import click

from spanline.cli import signals
from spanline.cli.group import FAILED, UNANSWERED, complain
from spanline.cli.options import Output
from spanline.cli.plotting import INSTALL, missing_packages
from spanline.cli.query_asking import Asked, hours_within, window_between
from spanline.cli.query_view import local_time
from spanline.cli.screen import aligned, column_widths
from spanline.cli.show import write_lines
from spanline.cli.text import plural
from spanline.enrich import Enrichment, read_inventory
from spanline.output import Stream
from spanline.query.answer import held_by
from spanline.query.times import Clock, zone_of
from spanline.reports.answering import Answer, Failed, Terms, answers, left_out
from spanline.reports.page import About, page_of
from spanline.reports.reading import read_report, ready, report_of
from spanline.store import Store

if TYPE_CHECKING:
    from rich.progress import Progress

_AFTER = 0.3
"""Seconds until the progress bar shows."""


def list_reports() -> None:
    """Those that come along, a line each."""
    reports = {name: read_report(str(path)) for name, path in ready().items()}
    rows = [(name, f"{len(report.questions)} queries", report.about) for name, report in reports.items()]
    widths = column_widths(rows)
    write_lines([aligned(row, widths, (False, False, False), 2) for row in rows], Output(None, "table"))


def place_of(target: str | None) -> str | None:
    """The file of -o, None for standard output."""
    if target is None:
        raise click.UsageError("the page needs a place: name one with -o report.html")
    if target == "-":
        return None
    if Path(target).suffix.lower() != ".html":
        raise click.UsageError(f"{target}: a report is a page of HTML; name it with -o report.html")
    return target


class Requested:
    """A report with the options that say what it means. Everything that can be wrong with them raises UsageError."""

    def __init__(
        self,
        name: str,
        begin: str | None,
        end: str | None,
        hours: str | None,
        timezone: str | None,
        inventory: Sequence[str],
        geoip: str | None,
        asn: str | None,
    ) -> None:
        self.report = report_of(name)
        self.now = time.time_ns()
        self.zone = zone_of(timezone)
        self.window = window_between(begin, end, Clock(self.now, self.zone))
        self.hours = None if hours is None else hours_within(hours, self.zone)
        self.enrichment = Enrichment(read_inventory(inventory) if inventory else None, geoip, asn)


@dataclass(frozen=True, slots=True)
class Made:
    """What is to be said of a page: queries that failed, what was left out, and what the page lacks."""

    failed: Sequence[Failed]
    problems: Sequence[str]
    lacking: str


def write_report(requested: Requested, asked: Asked, stream: Stream, quiet: bool) -> Made:
    """Answers all queries, and writes the page."""
    store = Store(asked.folder)
    source = f"{asked.name}: {_content(store, requested)}"
    terms = Terms(store, requested.enrichment, requested.now, requested.zone, requested.window, requested.hours)
    missing = missing_packages()
    lacking = f"charts, which need {' and '.join(missing)}: {INSTALL}" if missing else ""
    answered: list[Answer] = []
    charts: list[str] = []
    for one in _watched(answers(requested.report.questions, terms), len(requested.report.questions), quiet):
        answered.append(one)
        charts.append("" if missing else _chart(one, len(answered), requested))
    problems = [*map(str, asked.problems), *left_out(answered)]
    about = About(source, requested.now, requested.zone, problems, lacking)
    stream.write(page_of(requested.report, answered, charts, about).encode())
    return Made([one for one in answered if isinstance(one, Failed)], problems, lacking)


def tell(requested: Requested, made: Made) -> None:
    """Says what failed and what is missing. To be called last."""
    for fault in made.failed:
        complain(f"{requested.report.path}, line {fault.question.line}: {fault.error}")
    for line in made.problems:
        complain(line)
    if made.lacking:
        complain(f"the page lacks {made.lacking}")
    if made.failed or made.problems:
        click.get_current_context().exit(UNANSWERED if made.failed else FAILED)


def _content(store: Store, requested: Requested) -> str:
    """How much there is in a store, and of when."""
    held = held_by(store)
    if held is None:
        return "empty"
    records = plural(sum(one.rows for one in store.state().segments.values()), "flow record")
    first, last = (local_time(time, requested.zone) for time in (held.first, held.last))
    return f"{records}, seen {first} to {last}"


def _chart(one: Answer, number: int, requested: Requested) -> str:
    if isinstance(one, Failed) or not one.table.num_rows:
        return ""
    from spanline.reports.drawing import chart_of

    return chart_of(one.table, one.query, requested.zone, f"q{number}")


def _watched(answers: Iterator[Answer], count: int, quiet: bool) -> Iterator[Answer]:
    """The same, with a progress bar where somebody can see it."""
    if quiet or not sys.stderr.isatty():
        yield from answers
        return
    progress, due = _progress_bar(count), time.monotonic() + _AFTER
    try:
        for one in answers:
            yield one
            progress.advance(progress.task_ids[0])
            if time.monotonic() >= due:
                signals.last_words = signals.CLEAR_LINE
                progress.start()
                progress.refresh()
    finally:
        progress.stop()
        signals.last_words = b""


def _progress_bar(count: int) -> Progress:
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn

    from spanline.cli.screen import error_console

    columns = BarColumn(bar_width=None), MofNCompleteColumn(), TextColumn("queries")
    made = Progress(*columns, console=error_console(), auto_refresh=False, transient=True, expand=True)
    made.add_task("", total=count)
    return made
