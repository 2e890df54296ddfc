"""What is done to answer a query: SQL in steps, of which each may use what those before it made."""

from __future__ import annotations

from dataclasses import dataclass, field

import pyarrow as pa
from sqlglot import exp

from spanline.query.ends import Ends
from spanline.query.spans import Span
from spanline.query.tree import Kind


@dataclass(frozen=True, slots=True)
class Read:
    """A view of the records that overlap a window."""

    table: str
    span: Span


@dataclass(frozen=True, slots=True)
class Make:
    """A table that holds what a SELECT gives."""

    table: str
    of: exp.Select


@dataclass(frozen=True, slots=True)
class Gather:
    """A table that holds what a SELECT gives, as Make, for steps that read it several times; a view where that is too
    much to be held."""

    table: str
    of: exp.Select


@dataclass(frozen=True, slots=True)
class Give:
    """A table that holds `rows`."""

    table: str
    rows: pa.Table


@dataclass(frozen=True, slots=True)
class LookUp:
    """A table of what is known of ends, whose keys a SELECT gives: address, and tags as tag_<name>."""

    table: str
    ends: Ends
    keys: exp.Select


@dataclass(frozen=True, slots=True)
class Column:
    """A column of the answer.

    name     as it is shown
    source   its name in the table of the answer, or for series in that of the series
    kind     of its values; None: a count of flows or other things
    series   table with `place` of the row, `bucket` and `source`; "" for what is no series
    reduced  the function that makes one number of the series, else ""
    is_empty_null  a bucket in which nothing was has null, and not 0
    """

    name: str
    source: str
    kind: Kind | None
    series: str = ""
    step: int = 0
    reduced: str = ""
    is_empty_null: bool = False


@dataclass
class Plan:
    """steps, and then the table `answer`, in order of `place`, of which `columns` are shown."""

    span: Span
    steps: list[Read | Make | Gather | LookUp | Give] = field(default_factory=list)
    answer: str = ""
    columns: list[Column] = field(default_factory=list)
