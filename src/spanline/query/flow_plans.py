"""Queries about flows as steps of SQL: groups with their numbers and series, and lists of flows."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from sqlglot import exp

from spanline.errors import UsageError
from spanline.query import nodes
from spanline.query.flow_types import flow_types
from spanline.query.measures import Measure, again, measured, of_records, parts_of, summed
from spanline.query.nodes import Node
from spanline.query.records import Grouping, Records, Setting
from spanline.query.relations import FLOW_KEY, METRICS, Traffic, end_of, of_bucket, of_window
from spanline.query.spans import step_of
from spanline.query.steps import PLACE, Column, Make, Plan, Rows
from spanline.query.tree import Aggregate, Count, Kind, Listed, OfSeries, Projection, Property, Query, Series

COUNT = "count"


class Groups:
    """A query whose rows are groups of flows; without `group by` all flows are one."""

    def __init__(self, query: Query, setting: Setting) -> None:
        self._query = query
        self._setting = setting
        self._grouping = Grouping(query.group)
        self._records = Records(query, setting, self._grouping.shown)
        self._span = self._records.span
        # Of both ends together there are too many pairs of addresses.
        is_of_pairs = any(one.either and end_of(one.either[0]) is not None for one in query.group)
        self._is_numbered = is_of_pairs and self._records.numbered()
        self._measures: dict[Aggregate, Measure] = {}
        self._values: dict[Aggregate, str] = {}
        """The columns of what is asked of the different values of a property that is no metric."""
        self._counted = False

    def plan(self) -> None:
        query = self._query
        asked: list[Projection] = [*query.group, *query.projections]
        if query.group:
            asked = list(dict.fromkeys(asked))
        if not query.projections:
            asked.append(Count())
        keys = [(_of_window(key.by), key.is_descending) for key in query.order]
        by_series: dict[int, list[Measure]] = {}
        plain: list[Measure] = []
        for aggregate in [one for one in (*asked, *(by for by, _ in keys)) if isinstance(one, Aggregate)]:
            if aggregate.property.column in METRICS:
                plain.append(self._measure(aggregate))
            else:
                self._values.setdefault(aggregate, f"d{len(self._values)}")
        for one in asked:
            series = one.series if isinstance(one, OfSeries) else one
            if isinstance(series, Series):
                step = step_of(self._span, series.seconds)
                by_series.setdefault(step, []).append(self._measure(series.of))
            elif isinstance(one, Count):
                self._counted = True
            elif isinstance(one, Listed):
                raise UsageError("a list of values has no groups beside it", hint="write list(…) alone")
        for by, _ in keys:
            if isinstance(by, Count):
                self._counted = True
        if not keys and query.group:
            keys, self._counted = [(Count(), True)], True
        plain = list(dict.fromkeys(plain))
        if self._records.is_chosen and (len(by_series) > 1 or (by_series and self._counted)):
            self._gather([*plain, *(one for some in by_series.values() for one in some)])
        tables = {step: self._base(measures, step) for step, measures in by_series.items()}
        if by_series and not self._counted and all(one.is_of_records for one in plain):
            step = next(iter(by_series))
            if set(parts_of(plain)) <= set(parts_of([one for one in by_series[step] if one.is_of_records])):
                base, flows_left = tables[step]
            else:
                extended = [*by_series[step], *plain]
                tables[step] = base, flows_left = self._base(extended, step)
        else:
            base, flows_left = self._base(plain, None)
        answer = self._answer(base, flows_left, plain, keys)
        found = {}
        if by_series:
            table = self._setting.table("answer")
            self._setting.plan.steps.append(Make(table, answer.numbered()))
            by_place = [nodes.ordered(nodes.column(PLACE), is_descending=False)]
            answer = Rows(nodes.select([exp.Star()], table), by_place)
            found = {step: self._series(*tables[step], by_series[step], step, table) for step in by_series}
        self._setting.plan.answer = answer
        self._show(asked, keys, found)

    def _gather(self, measures: Sequence[Measure]) -> None:
        """Records with what is needed for groups and measures, found once."""
        parts = of_records(parts_of(measures), of_window(self._span))
        groups = [column for column in self._grouping.columns if end_of(column) is None]
        tags = {} if self._is_numbered else self._records.tags()
        used = [column.name for node in (*parts, *tags.values()) for column in node.find_all(exp.Column)]
        stored = dict.fromkeys((*FLOW_KEY, "first_seen", "last_seen", *groups, *used))
        numbers = self._records.tags() if self._is_numbered else {}
        self._records.gather([*map(nodes.column, stored), *(nodes.named(node, name) for name, node in numbers.items())])

    def _measure(self, of: Aggregate) -> Measure:
        return self._measures.setdefault(of, measured(len(self._measures), of))

    def _base(self, measures: Sequence[Measure], step: int | None) -> tuple[str, bool]:
        """(table, whether its rows are flows): what has been added up by the columns that stand in records."""
        records, grouping = self._records, self._grouping
        measures = list(dict.fromkeys(measures))
        is_per_flow = (self._counted and step is None) or not all(one.is_of_records for one in measures)
        keys = dict.fromkeys(column for column in grouping.columns if end_of(column) is None)
        tags = records.tags()
        if not self._is_numbered:
            keys |= dict.fromkeys(f"{side}_ip_address" for side, shown in grouping.shown.items() if shown)
        group = [nodes.column(name) for name in keys] + [nodes.named(node, name) for name, node in tags.items()]
        flow = [nodes.column(name) for name in FLOW_KEY if name not in keys] if is_per_flow else []
        bucket = [nodes.column("bucket")] if step else []
        traffic = of_bucket(self._span, step) if step else of_window(self._span)
        parts = of_records(parts_of(measures), traffic)
        columns = [*group, *bucket, *flow]
        if step:
            needed = _needed([*parts, *traffic.is_touched], [*keys, *(FLOW_KEY if is_per_flow else ())])
            kept = [nodes.named(node, name) for name, node in tags.items()]
            inner = records.in_buckets([*map(nodes.column, needed), *kept], step)
            group = [nodes.column(name) for name in (*keys, *tags)]
            columns = [*group, *bucket, *flow]
            buckets = nodes.within_brackets(inner, "buckets")
            scan = nodes.select([*columns, *parts], buckets, where=traffic.is_touched, group=len(columns))
        else:
            scan = records.read([*columns, *parts], len(columns))
        table = self._setting.table("base")
        if is_per_flow and not tags:
            kept = [nodes.column(name) for name in keys] + bucket
            sums = self._of_flows(measures, traffic, counted=step is None)
            scan = nodes.select([*kept, *sums], nodes.within_brackets(scan, "flows"), group=len(kept))
        self._setting.plan.steps.append(Make(table, scan))
        return table, is_per_flow and bool(tags)

    def _of_flows(self, measures: Sequence[Measure], traffic: Traffic, *, counted: bool) -> list[Node]:
        """What groups have, of rows that are flows."""
        sums = [nodes.named(exp.Count(this=exp.Star()), COUNT)] if counted and self._counted else []
        seconds = traffic.seconds
        kept = {one.alias: one for one in again([one for one in measures if one.is_of_records])}
        for one in measures:
            if not one.is_of_records:
                sums += one.of_flows(seconds)
        return [*sums, *kept.values()]

    def _grouped(self, base: str, flows_left: bool, measures: Sequence[Measure], step: int | None) -> exp.Select:
        """SELECT of group columns g0, g1, …, the bucket where `step` is given, and measures."""
        grouping = self._grouping
        traffic = of_bucket(self._span, step) if step else of_window(self._span)
        joins = self._records.later(base)
        names = [f"g{n}" for n in range(len(grouping.group))]
        groups = [nodes.named(group_node(one), name) for one, name in zip(grouping.group, names, strict=True)]
        bucket = [nodes.column("bucket")] if step else []
        counted = self._counted and step is None
        parts = list(dict.fromkeys(part for one in measures for part in self._kept(one, flows_left)))
        flow = [nodes.column(name) for name in FLOW_KEY] if flows_left else []
        left = [nodes.column(name) for name in parts] + ([nodes.column(COUNT)] if counted and not flows_left else [])
        inner = nodes.select([*groups, *bucket, *flow, *left], base, joins=joins)
        keys = [nodes.column(name) for name in names] + bucket
        if flows_left:
            columns = [*keys, *flow, *(nodes.named(summed(part), part) for part in parts)]
            inner = nodes.select(columns, nodes.within_brackets(inner, "parts"), group=len(keys) + len(flow))
            sums = self._of_flows(measures, traffic, counted=counted)
            inner = nodes.select([*keys, *sums], nodes.within_brackets(inner, "flows"), group=len(keys))
        seconds = traffic.seconds
        values = [nodes.named(one.value(seconds), one.name) for one in measures]
        if counted:
            total = nodes.call("COALESCE", nodes.call("SUM", nodes.column(COUNT)), nodes.number(0))
            values.append(nodes.named(exp.cast(total, "bigint"), COUNT))
        if not keys and not values:  # of all flows there is one row, even of none
            values.append(nodes.named(exp.Count(this=exp.Star()), "records"))
        return nodes.select([*keys, *values], nodes.within_brackets(inner, "groups"), group=len(keys))

    def _kept(self, one: Measure, flows_left: bool) -> Sequence[str]:
        if flows_left or one.is_of_records:
            return one.parts
        return [name for _, name in one.sums()]

    def _answer(
        self, base: str, flows_left: bool, plain: Sequence[Measure], keys: Sequence[tuple[object, bool]]
    ) -> Rows:
        """The groups in order, as many as are asked for."""
        names = [f"g{n}" for n in range(len(self._query.group))]
        grouped = self._with_values(self._grouped(base, flows_left, plain, None))
        missing = [nodes.ordered(nodes.is_null(nodes.column(name)), is_descending=False) for name in names]
        order = [*missing, *(self._key(by, down) for by, down in keys)]
        order += [nodes.ordered(nodes.column(name), is_descending=False) for name in names]
        return rows_of(grouped, order, self._query)

    def _with_values(self, grouped: exp.Select) -> exp.Select:
        """With a column for each of what is asked of different values: those are groups too, within the groups."""
        if not self._values:
            return grouped
        keys = [f"g{n}" for n in range(len(self._query.group))]
        columns: list[Node] = [exp.Column(this=exp.Star(), table=exp.to_identifier("grouped", quoted=True))]
        joins = []
        for of, name in self._values.items():
            table = self._setting.table("values")
            self._setting.plan.steps.append(Make(table, self._of_values(of, name, keys)))
            same: list[Node] = [
                exp.NullSafeEQ(this=nodes.column(key, "grouped"), expression=nodes.column(key, table)) for key in keys
            ]
            joins.append(nodes.join(table, same or [exp.true()], side="LEFT"))
            columns.append(nodes.column(name, table))
        return nodes.select(columns, nodes.within_brackets(grouped, "grouped"), joins=joins)

    def _of_values(self, of: Aggregate, name: str, keys: Sequence[str]) -> exp.Select:
        """SELECT of groups and what is asked of the values in them."""
        group = tuple(dict.fromkeys((*self._query.group, of.property)))
        within = replace(self._query, projections=(), group=group, order=(), top=None, limit=None)
        outer = self._setting.plan
        self._setting.plan = Plan(outer.span, outer.steps)
        Groups(within, self._setting).plan()
        rows, self._setting.plan = self._setting.plan.answer.chosen(), outer
        value = nodes.column(f"g{group.index(of.property)}")
        number = (
            exp.Count(this=exp.Distinct(expressions=[value]))
            if of.function == "count"
            else nodes.call(of.function.upper(), value)
        )
        columns = [*map(nodes.column, keys), nodes.named(number, name)]
        return nodes.select(columns, nodes.within_brackets(rows, "rows"), group=len(keys))

    def _key(self, by: object, is_descending: bool) -> Node:
        if isinstance(by, Aggregate):
            name = self._values.get(by) or self._measures[by].name
            return nodes.ordered(nodes.column(name), is_descending=is_descending)
        if isinstance(by, Count):
            return nodes.ordered(nodes.column(COUNT), is_descending=is_descending)
        assert isinstance(by, Property)
        return nodes.ordered(nodes.column(f"g{self._query.group.index(by)}"), is_descending=is_descending)

    def _series(self, base: str, flows_left: bool, measures: Sequence[Measure], step: int, answer: str) -> str:
        """The name of series: place of the group, bucket, measures."""
        grouped = self._grouped(base, flows_left, measures, step)
        names = [f"g{n}" for n in range(len(self._query.group))]
        same: list[Node] = [
            exp.NullSafeEQ(this=nodes.column(name, "series"), expression=nodes.column(name, "answer")) for name in names
        ]
        columns = [nodes.column(PLACE, "answer"), nodes.column("bucket", "series")]
        columns += [nodes.column(one.name, "series") for one in dict.fromkeys(measures)]
        joined = nodes.join(answer, same, name="answer")
        name = self._setting.table("series")
        series = nodes.select(columns, nodes.within_brackets(grouped, "series"), joins=[joined])
        self._setting.plan.series[name] = series
        return name

    def _show(
        self,
        asked: Sequence[Projection],
        keys: Sequence[tuple[object, bool]],
        series: dict[int, str],
    ) -> None:
        plan = self._setting.plan
        shown: list[object] = []
        for one in [*asked, *(by for by, _ in keys)]:
            if one in shown:
                continue
            shown.append(one)
            if isinstance(one, Property):
                plan.columns.append(Column(one.name, f"g{self._query.group.index(one)}", one.kind))
            elif isinstance(one, Count):
                plan.columns.append(Column("Count", COUNT, None))
            elif isinstance(one, Aggregate) and one in self._values:
                kind = None if one.function == "count" else one.property.kind
                plan.columns.append(Column(aggregate_name(one), self._values[one], kind))
            elif isinstance(one, Aggregate):
                measure = self._measures[one]
                plan.columns.append(Column(aggregate_name(one), measure.name, measure.kind))
            elif isinstance(one, Series | OfSeries):
                own = one.series if isinstance(one, OfSeries) else one
                step = step_of(self._span, own.seconds)
                measure = self._measures[own.of]
                name = f"series({aggregate_name(own.of)})"
                reduced = one.function if isinstance(one, OfSeries) else ""
                plan.columns.append(
                    Column(
                        f"{reduced}({name})" if reduced else name,
                        measure.name,
                        measure.kind,
                        series[step],
                        step,
                        reduced,
                        not measure.is_of_records,
                    )
                )


def aggregate_name(one: Aggregate) -> str:
    return f"{one.function}({one.property.name})"


def rows_of(rows: exp.Select, order: Sequence[Node], query: Query) -> Rows:
    """In that order, as many as the query asks for."""
    most = [count for count in (query.top, query.limit) if count is not None]
    return Rows(rows, list(order) or [nodes.number(1)], min(most) if most else None)


def _of_window(by: Aggregate | Series | Property) -> object:
    """What is ordered by: of a series, what it would be of the whole window."""
    return by.of if isinstance(by, Series) else by


def group_node(of: Property) -> Node:
    """The value of a group; of a meta property and Flow Type each of the different ones, null where there is none."""

    def column(name: str) -> Node:
        end = end_of(name)
        return nodes.column(name) if end is None else nodes.column(end[1], f"{end[0]}_ends")

    if of.kind is Kind.TAGS:
        return exp.Explode(this=types_node())
    if not of.either:
        return column(of.column)
    source, destination = map(column, of.either)
    is_one = nodes.some((nodes.is_null(source), nodes.is_null(destination), source.eq(destination)))
    one = exp.Array(expressions=[nodes.call("COALESCE", source, destination)])
    return exp.Explode(this=nodes.either(is_one, one, exp.Array(expressions=[source, destination])))


def types_node() -> Node:
    """The flow types of what is joined with both ends."""
    return flow_types(lambda side, attribute: nodes.column(attribute, f"{side}_ends"))


def _needed(parts: Sequence[Node], keys: Sequence[str]) -> list[str]:
    """Columns of records that are needed for parts and keys."""
    used = [column.name for part in parts for column in part.find_all(exp.Column) if column.name != "bucket"]
    return list(dict.fromkeys([*keys, *used]))
