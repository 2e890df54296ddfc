"""What is done to answer a query: SQL in steps, of which each may use what those before it made."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import pyarrow as pa
from sqlglot import exp

from spanline.query import nodes
from spanline.query.ends import Ends
from spanline.query.nodes import Node
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
class Grow:
    """A table of how much the counters of switch ports grew by, from one reading to the next, that overlaps a window:
    store.counters.growth() of what is `counted`."""

    table: str
    span: Span
    counted: Sequence[str]


@dataclass(frozen=True, slots=True)
class LookUp:
    """A table of what is known of ends, by address, and tags as tag_<name>; a SELECT gives these, or they are there."""

    table: str
    ends: Ends
    keys: exp.Select | pa.Table


PLACE = "place"


@dataclass(frozen=True, slots=True)
class Rows:
    """What a SELECT gives, in the order of some of its columns; at most so many."""

    of: exp.Select
    order: Sequence[Node]
    most: int | None = None

    def ordered(self, *columns: str) -> exp.Select:
        """Of these columns; of all where none are named."""
        chosen = nodes.select([nodes.column(one) for one in columns] or [exp.Star()], self._bracketed())
        chosen.set("order", exp.Order(expressions=list(self.order)))
        if self.most is not None:
            chosen.set("limit", exp.Limit(expression=nodes.number(self.most)))
        return chosen

    def chosen(self) -> exp.Select:
        """The same rows, in whatever order."""
        return self.of if self.most is None else self.ordered()

    def numbered(self) -> exp.Select:
        """With their `place`, from 0."""
        number = exp.Window(this=nodes.call("ROW_NUMBER"), order=exp.Order(expressions=list(self.order)))
        place = nodes.named(nodes.less(number, nodes.number(1)), PLACE)
        numbered = nodes.select([exp.Star(), place], self._bracketed())
        by_place = Rows(numbered, [nodes.ordered(nodes.column(PLACE), is_descending=False)], self.most)
        return by_place.chosen()

    def _bracketed(self) -> Node:
        return nodes.within_brackets(self.of, "rows")


@dataclass(frozen=True, slots=True)
class Column:
    """A column of the answer.

    name     as it is shown
    source   its name in the answer, or for series in these
    kind     of its values; None: a count of flows or other things
    series   name of what has `place` of the row, `bucket` and `source`; "" for what is no series
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
    """steps, and then the rows `answer`, of which `columns` are shown, with their `series`."""

    span: Span
    steps: list[Read | Make | Gather | LookUp | Give | Grow] = field(default_factory=list)
    answer: Rows = field(init=False)
    columns: list[Column] = field(default_factory=list)
    series: dict[str, exp.Select] = field(default_factory=dict)
