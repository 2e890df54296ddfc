"""Records that a query is about, and what is known of their ends.

Records are grouped by what stands in them, and only then is looked up what their ends are: of millions of records few
addresses are left. Where a condition asks for what is known of ends, the different addresses are looked up first, and
records joined with them.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import pyarrow as pa
from sqlglot import exp

from spanline.enrich import Enrichment
from spanline.query import nodes
from spanline.query.classes import Classes
from spanline.query.ends import SIDES, Ends
from spanline.query.filtering import condition_of, conjuncts, tests_of
from spanline.query.flow_names import FlowNames, WholeFlows
from spanline.query.measures import of_records
from spanline.query.nodes import Node
from spanline.query.relations import FLOW_KEY, METRICS, end_of, first_bucket, last_bucket, of_window, overlaps
from spanline.query.spans import Span
from spanline.query.steps import Gather, Give, LookUp, Make, Plan, Read
from spanline.query.tree import Kind, Property, Query


@dataclass
class Setting:
    """What queries are planned with.

    span_of  the window of a query
    counters what the counters of switch ports grew by in a window: store.counters.growth()
    taken    how many tables there are
    listed   plans a query that is the list of an `in`: a SELECT of its column
    """

    enrichment: Enrichment
    span_of: Callable[[Query], Span]
    plan: Plan
    counters: Callable[[Span], pa.Table]
    taken: int = 0
    listed: Callable[[Query], Node] = field(init=False)

    def table(self, what: str) -> str:
        """A name that no table has."""
        self.taken += 1
        return f"{what}_{self.taken}"


@dataclass
class Grouping:
    """What flows are grouped by.

    columns  of properties, of meta properties both
    shown    attributes of ends that these are, of each side
    """

    group: Sequence[Property]
    columns: list[str] = field(default_factory=list)
    shown: dict[str, list[str]] = field(default_factory=lambda: {side: [] for side in SIDES})

    def __post_init__(self) -> None:
        for one in self.group:
            for column in one.either or (one.column,):
                self.columns.append(column)
                end = end_of(column)
                if end is not None:
                    self.shown[end[0]].append(end[1])


class Records:
    """The records that a query is about: their conditions in SQL, and what is known of their ends."""

    def __init__(self, query: Query, setting: Setting) -> None:
        self.setting = setting
        self.span = setting.span_of(query)
        self.view = setting.table("records")
        setting.plan.steps.append(Read(self.view, self.span))
        parts = conjuncts(query.where)
        of_metrics = [part for part in parts if any(test.property.is_metric for test in tests_of(part))]
        classes = Classes(setting.enrichment)
        whole = WholeFlows(
            self._listed, classes, lambda column: METRICS[column].of(nodes.column, nodes.number(self.span.seconds))
        )
        having = [condition_of(part, whole) for part in of_metrics]
        wanted = FlowNames(self._listed, classes)
        for test in tests_of(query.where):
            if test.property.kind is Kind.TAGS:
                for value in test.values:
                    wanted.tag(str(value))
            elif not test.property.is_metric:
                wanted.columns(test.property)
        used = {side: whole.used[side] | wanted.used[side] for side in SIDES}
        ends = {side: Ends(side, tuple(used[side]), setting.enrichment) for side in SIDES if used[side]}
        tables = {side: (one, setting.table(one.table)) for side, one in ends.items()}
        self.where = overlaps(self.span)
        self.joins: list[Node] = []
        late: list[Node] = []
        for part in parts:
            if part not in of_metrics:
                names = FlowNames(self._listed, classes, tables)
                node = condition_of(part, names)
                (late if any(names.used.values()) else self.where).append(node)
        for one, table in tables.values():
            self._look_up(one, table, is_joined=one.side in wanted.joined | whole.joined)
        self.where += late
        self.is_chosen = bool(parts)
        self.ends: dict[str, Ends] = {}
        self.tables: dict[str, str] = {}
        if having:
            tests = [test for part in of_metrics for test in tests_of(part) if test.property.is_metric]
            columns = dict.fromkeys(part for test in tests for part in METRICS[test.property.column].parts)
            self._keep(having, list(columns), whole)

    def _listed(self, query: Query) -> Node:
        return self.setting.listed(query)

    def _look_up(self, ends: Ends, table: str, *, is_joined: bool) -> None:
        """Looks what conditions ask of the ends of a side up before records are read."""
        known = ends.known()
        if known is None:
            keys = nodes.select(self.keys(ends), self.view, where=self.where, distinct=True)
        else:
            given = self.setting.table("known")
            self.setting.plan.steps.append(Give(given, known))
            keys = nodes.select([nodes.column("address")], given)
        self.setting.plan.steps.append(LookUp(table, ends, keys))
        if is_joined:
            tags = {name: ends.tag(name) for name in ends.tags}
            self.joins.append(ends_join(table, ends, tags, is_every=known is None))

    def _made(self, ends: Ends, keys: exp.Select) -> str:
        table = self.setting.table(ends.table)
        self.setting.plan.steps.append(LookUp(table, ends, keys))
        return table

    def gather(self, columns: Sequence[Node]) -> None:
        """Finds the records that meet the conditions once, with `columns`, for those who read them several times."""
        table = self.setting.table("gathered")
        self.setting.plan.steps.append(Gather(table, self.read(columns, 0)))
        self.view, self.where, self.joins = table, [], []

    def keys(self, ends: Ends) -> list[Node]:
        """What ends are looked up by, of records."""
        tags = [nodes.named(ends.tag(name), f"tag_{name}") for name in ends.tags]
        return [nodes.named(nodes.column(f"{ends.side}_ip_address"), "address"), *tags]

    def later(self, table: str, shown: dict[str, list[str]]) -> list[Node]:
        """Joins a table that was made of records with what is `shown` of their ends."""
        joins = []
        for side in SIDES:
            if not shown[side]:
                continue
            ends = self.ends.get(side) or Ends(side, tuple(dict.fromkeys(shown[side])), self.setting.enrichment)
            if side not in self.tables:
                address = nodes.named(nodes.column(f"{side}_ip_address"), "address")
                tags = [nodes.named(nodes.column(f"{side}_{tag}"), f"tag_{tag}") for tag in ends.tags]
                self.ends[side] = ends
                self.tables[side] = self._made(ends, nodes.select([address, *tags], table, distinct=True))
            tags_of = {name: nodes.column(f"{side}_{name}", table) for name in ends.tags}
            joins.append(ends_join(self.tables[side], ends, tags_of, table))
        return joins

    def joined(self, shown: dict[str, list[str]]) -> dict[str, Node] | None:
        """Joins records with what is `shown` of their ends, and says what that is, by its column; None: there are more
        ends than an inventory has, of which those that are left after grouping are fewer."""
        ends = {side: Ends(side, tuple(dict.fromkeys(shown[side])), self.setting.enrichment) for side in SIDES}
        known = {side: one.known() for side, one in ends.items()}
        found: dict[str, Node] = {}
        if None in known.values():
            return None
        for side, rows in known.items():
            one, given, name = ends[side], self.setting.table("known"), f"{side}_shown"
            self.setting.plan.steps.append(Give(given, rows))
            table = self._made(one, nodes.select([nodes.column("address")], given))
            same = exp.EQ(this=nodes.column(f"{side}_ip_address"), expression=nodes.column("address", name))
            self.joins.append(nodes.join(table, [same], name=name, side="LEFT"))
            found |= {f"{side}_{attribute}": nodes.column(attribute, name) for attribute in one.attributes}
        return found

    def tags(self, shown: dict[str, list[str]]) -> dict[str, Node]:
        """What has to be kept of records beside addresses to look up what is shown, by its column."""
        kept: dict[str, Node] = {}
        for side in SIDES:
            if shown[side]:
                ends = self.ends.get(side) or Ends(side, tuple(dict.fromkeys(shown[side])), self.setting.enrichment)
                kept |= {f"{side}_{name}": ends.tag(name) for name in ends.tags}
        return kept

    def read(self, columns: Sequence[Node], group: int, *, where: Sequence[Node] = ()) -> exp.Select:
        return nodes.select(columns, self.view, where=[*self.where, *where], joins=self.joins, group=group)

    def in_buckets(self, columns: Sequence[Node], step: int) -> exp.Select:
        """Records once for each bucket that they overlap, with the begin of it as "bucket"."""
        first, last = first_bucket(self.span, step), last_bucket(self.span, step)
        times = nodes.call("RANGE", first, nodes.plus(last, nodes.number(1)), nodes.number(step))
        return self.read([*columns, nodes.named(exp.Explode(this=times), "bucket")], 0)

    def _keep(self, having: Sequence[Node], parts: Sequence[str], whole: WholeFlows) -> None:
        """Leaves only the records of flows that meet conditions as a whole."""
        key = [nodes.column(name) for name in FLOW_KEY]
        values = [nodes.named(node, name) for name, node in whole.values.items()]
        flows = self.read([*key, *of_records(parts, of_window(self.span)), *values], len(key))
        table = self.setting.table("kept")
        chosen = nodes.select(key, nodes.within_brackets(flows, "flows"), where=having)
        self.setting.plan.steps.append(Make(table, chosen))
        on = [exp.EQ(this=nodes.column(name, self.view), expression=nodes.column(name, table)) for name in FLOW_KEY]
        self.joins.append(nodes.join(table, on, kind="SEMI"))


def ends_join(table: str, ends: Ends, tags: dict[str, Node], of: str = "", *, is_every: bool = True) -> Node:
    """A table of ends as "<side>_ends", joined with what has its address and tags; is_every: all of these are in it."""
    name = f"{ends.side}_ends"
    on: list[Node] = [
        exp.EQ(this=nodes.column(f"{ends.side}_ip_address", of or None), expression=nodes.column("address", name))
    ]
    on += [exp.EQ(this=node, expression=nodes.column(f"tag_{tag}", name)) for tag, node in tags.items()]
    return nodes.join(table, on, name=name, side="" if is_every else "LEFT")
