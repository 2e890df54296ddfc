"""A report as one page of HTML, which shows all that it has to say without a network, a script or another file.

What comes from packets, inventories and files is escaped by the template; and a policy in the page's head allows
nothing but styles, so that no reader runs what somebody got into it.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace
from datetime import tzinfo
from pathlib import Path

import jinja2
import pyarrow as pa

import spanline
from spanline.cli.query_view import local_time, scale_text, shown_column, window_text
from spanline.cli.text import printable
from spanline.query.flow_plans import aggregate_name
from spanline.query.sparkline import sparkline
from spanline.query.tree import Aggregate, Query
from spanline.query_charts.drawing import NAMED
from spanline.reports.answering import Answer, Failed
from spanline.reports.reading import Report

ROWS = 20
"""Rows of a table; what is in no group is shown behind them all the same."""

_SPARK = 24
"""Characters of a series."""
_WHOLE = 20
"""Characters of a cell that stands on one line; a time has as many."""


@dataclass(frozen=True, slots=True)
class About:
    """What all of a page is about.

    source    what was asked: a store, or captures
    made      ns since the epoch
    zone      of all times
    problems  what was left out, a line each
    lacking   what the page lacks, and what to do about it; "" for nothing
    """

    source: str
    made: int
    zone: tzinfo
    problems: Sequence[str] = ()
    lacking: str = ""


@dataclass(frozen=True, slots=True)
class _Cell:
    text: str
    line: str = ""
    is_not_set: bool = False


@dataclass(frozen=True, slots=True)
class _Column:
    heading: str
    is_right: bool
    cells: Sequence[_Cell]

    @property
    def style(self) -> str:
        """Classes of its cells: only long ones may be broken into lines."""
        if self.is_right:
            return "right whole"
        return "whole" if max(len(cell.text) for cell in self.cells) <= _WHOLE else "long"


@dataclass(frozen=True, slots=True)
class _Section:
    """A query in the page. All but `chart`, an element of SVG, is text that the template escapes.

    first    what stands first in the answer, in short
    before   rows before those that were left out
    beyond   how many rows were left out
    excerpt  lines that show the place of a fault in the query
    """

    title: str
    about: str
    query: str
    window: str = ""
    first: str = ""
    chart: str = ""
    columns: Sequence[_Column] = ()
    before: int = 0
    beyond: int = 0
    scale: str = ""
    error: str = ""
    excerpt: Sequence[str] = ()

    @property
    def rows(self) -> list[tuple[_Cell, ...]]:
        return list(zip(*(column.cells for column in self.columns), strict=True))


def page_of(report: Report, answers: Sequence[Answer], charts: Sequence[str], about: About) -> str:
    """The page; `charts` are elements of SVG, or "", for each of `answers`."""
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(Path(__file__).parent),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    sections = [replace(_section(one, about.zone), chart=chart) for one, chart in zip(answers, charts, strict=True)]
    return environment.get_template("page.html").render(
        title=printable(report.title),
        about=printable(report.about),
        source=printable(about.source),
        made=local_time(about.made, about.zone),
        version=spanline.__version__,
        problems=[printable(line) for line in about.problems],
        lacking=about.lacking,
        sections=sections,
    )


def _section(answer: Answer, zone: tzinfo) -> _Section:
    title, about = printable(answer.question.title), printable(answer.question.about)
    if isinstance(answer, Failed):
        error, excerpt = printable(str(answer.error)), answer.error.excerpt()
        return _Section(title, about, printable(answer.question.query), error=error, excerpt=excerpt, first="failed")
    window = window_text(answer.table.schema.metadata, zone)
    section = _Section(title, about, printable(answer.query.text), window)
    if not answer.table.num_rows:
        return replace(section, first="nothing found")
    groups = {one.name for one in answer.query.group}
    kept, before = _kept(answer.table, groups)
    columns = [_column(kept, n, groups, zone) for n in range(kept.num_columns)]
    return replace(
        section,
        first=_first(kept, columns, answer.table.num_rows, answer.query),
        columns=columns,
        before=before,
        beyond=answer.table.num_rows - kept.num_rows,
        scale=scale_text(answer.table.schema),
    )


def _kept(table: pa.Table, groups: Collection[str]) -> tuple[pa.Table, int]:
    """The rows that are shown, and how many of them stand before those that are not."""
    if table.num_rows <= ROWS:
        return table, table.num_rows
    last = table.slice(table.num_rows - 1)
    is_rest = bool(groups) and all(last.column(name).null_count for name in groups)
    return pa.concat_tables([table.slice(0, ROWS), last.slice(0, int(is_rest))]), ROWS


def _column(table: pa.Table, n: int, groups: Collection[str], zone: tzinfo) -> _Column:
    shown = shown_column(table, n, groups, zone)
    lines = [sparkline(line, _SPARK) for line in shown.lines] if shown.lines is not None else [""] * len(shown.texts)
    nothing = table.column(n).is_null().to_pylist() if table.column_names[n] in groups else [False] * len(shown.texts)
    cells = [_Cell(*one) for one in zip(shown.texts, lines, nothing, strict=True)]
    return _Column(shown.heading, shown.is_right or shown.lines is not None, cells)


def _first(table: pa.Table, columns: Sequence[_Column], rows: int, query: Query) -> str:
    """The first group, or what else has a name, with the number that made it the first, or the only row's last number,
    else how many rows there are."""
    shown = dict(zip(table.column_names, columns, strict=True))
    groups = [one.name for one in query.group] or [name for name in NAMED if name in shown]
    if not groups and rows > 1:
        return f"{rows:,} {'rows' if query.projections or query.entity != 'flows' else 'flows'}"
    numbers = [field.name for field in table.schema if field.name not in groups and b"step" not in field.metadata]
    keys = [aggregate_name(key.by) for key in query.order[:1] if isinstance(key.by, Aggregate)]
    by = next((name for name in (*keys, *numbers) if name in numbers), table.column_names[-1])
    heading, number = shown[by].heading, shown[by].cells[0]
    told = f"{heading.lower()} {'at most ' if number.line else ''}{number.text}"
    if heading == "Count" and query.entity == "flows":
        told = f"{number.text} flows"
    return f"{', '.join(shown[name].cells[0].text for name in groups)}: {told}" if groups else told
