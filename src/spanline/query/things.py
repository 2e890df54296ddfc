"""Queries about what the inventory has, and about countries and switch ports, as steps of SQL.

The traffic of a thing is that of the flows of which it is an end: a query about flows, grouped by it.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import pyarrow as pa
from sqlglot import exp

from spanline.arrow import ADDRESS, octet_strings, strings
from spanline.enrich import relations
from spanline.errors import UsageError
from spanline.query import nodes
from spanline.query.filtering import condition_of, tests_of
from spanline.query.flow_plans import COUNT, aggregate_name, rows_of
from spanline.query.nodes import Node
from spanline.query.properties import entities
from spanline.query.records import Setting
from spanline.query.steps import Column, Give, Make
from spanline.query.switch_ports import with_counters
from spanline.query.tree import Aggregate, Count, Listed, OrderKey, Property, Query

Plan = Callable[[Query, Setting], None]

_ENDS = {
    "vms": "vm", "hosts": "host", "subnets": "subnet", "l2 networks": "l2 network", "port groups": "port group",
    "applications": "application", "countries": "country",
}  # fmt: skip
"""What things are as an end of flows."""
_TRAFFIC = {"network_rate": "bytes rate", "total_traffic": "total traffic", "packets": "packets",
            "session_count": "session count"}  # fmt: skip
"""Metrics of things, and of the flows that they are summed of."""
_SHOWN = {
    "vms": ("name", "ip address", "default gateway", "host", "vcpus", "memory", "port group"),
    "switch ports": ("switch", "name"),
}
"""What is shown of things when a query does not say; of others all but their traffic. What they are in order by stands
before it."""
_SEVERAL = {"ip_address": "ip_addresses", "mac_address": "mac_addresses"}
"""Columns of which a thing may have several, and where all of them are."""


class _Names:
    """filtering.Names of things; `lists` are the tables of what things have several of."""

    def __init__(self, setting: Setting, lists: dict[str, str]) -> None:
        self._lists = lists
        self.listed = lambda query: setting.listed(query)

    def columns(self, of: Property) -> Sequence[Node]:
        return [nodes.column("value" if of.column in self._lists else of.column)]

    def held(self, node: Node, condition: Node) -> Node:
        return condition

    def over(self, of: Property, condition: Node) -> Node:
        table = self._lists.get(of.column)
        if table is None:
            return condition
        names = nodes.select([nodes.column("name")], table, where=[condition])
        return exp.In(this=nodes.column("name"), query=exp.Subquery(this=names))

    def tag(self, value: str) -> Node:
        raise AssertionError("things have no tags")

    def is_never_missing(self, of: Property) -> bool:
        return False


def plan_things(query: Query, setting: Setting, plan: Plan) -> None:
    """A row for each thing, or for each group of them."""
    span = setting.span_of(query)
    held = relations(setting.enrichment, span.begin, span.end)[query.entity]
    things = setting.table("things")
    setting.plan.steps.append(Give(things, _with_uuids(held)))
    lists = {}
    tested = {test.property.column for test in tests_of(query.where)}
    for column, several in _SEVERAL.items():
        if column in tested and several in held.column_names and column in held.column_names:
            lists[column] = setting.table(several)
            setting.plan.steps.append(Give(lists[column], _one_by_one(held, several)))
    if query.entity == "switch ports":
        things = with_counters(things, held.column_names, _columns_of(query), span, setting)
    else:
        asked = [name for name in _TRAFFIC if name in _columns_of(query)]
        if asked:
            things = _with_traffic(query, things, held.column_names, asked, setting, plan)
    where = [] if query.where is None else [condition_of(query.where, _Names(setting, lists))]
    if query.group or any(not isinstance(one, Property) for one in query.projections):
        _groups(query, things, where, setting)
    else:
        _rows(query, things, where, setting)


def _columns_of(query: Query) -> set[str]:
    """Columns that a query names."""
    asked = [*query.group, *query.projections, *(key.by for key in query.order)]
    asked += [test.property for test in tests_of(query.where)]
    found = {one.property.column for one in asked if isinstance(one, Aggregate | Listed)}
    return found | {one.column for one in asked if isinstance(one, Property)}


def _with_traffic(
    query: Query, things: str, held: Sequence[str], asked: Sequence[str], setting: Setting, plan: Plan
) -> str:
    """The things, with the columns `held`, and what else has traffic by such a name; with its metrics `asked`."""
    named = entities()["flows"].properties
    sums = tuple(Aggregate("sum", named[_TRAFFIC[name]]) for name in asked)
    group, order = (named[_ENDS[query.entity]],), (OrderKey(sums[0]),)
    flows = Query(query.text, "flows", sums, group=group, order=order, window=query.window)
    outer = setting.plan
    setting.plan = type(outer)(outer.span, outer.steps)
    plan(flows, setting)
    (name, *metrics), answer = setting.plan.columns, setting.plan.answer
    setting.plan = outer
    traffic = setting.table("traffic")
    setting.plan.steps.append(Make(traffic, answer.chosen()))
    both = nodes.call("COALESCE", nodes.column("name", things), nodes.column(name.source, traffic))
    columns = [nodes.named(both, "name")]
    columns += [nodes.named(nodes.column(one, things), one) for one in held if one != "name"]
    for column, metric in zip(asked, metrics, strict=True):
        value = nodes.call("COALESCE", nodes.column(metric.source, traffic), nodes.number(0))
        columns.append(nodes.named(value, column))
    same = exp.EQ(this=nodes.column("name", things), expression=nodes.column(name.source, traffic))
    joined = nodes.join(traffic, [same], side="FULL")
    table = setting.table("with_traffic")
    known = nodes.is_known(both.copy())
    setting.plan.steps.append(Make(table, nodes.select(columns, things, joins=[joined], where=[known])))
    return table


def _rows(query: Query, things: str, where: Sequence[Node], setting: Setting) -> None:
    own = entities()[query.entity]
    keys = [(key.by, key.is_descending) for key in query.order if isinstance(key.by, Property)]
    asked = [one for one in query.projections if isinstance(one, Property)]
    if not asked:
        names = _SHOWN.get(query.entity)
        held = [one for one in own.own() if one.is_held and one.column not in _TRAFFIC]
        shown = [own.properties[name] for name in names] if names else held
        asked = [by for by, _ in keys if by not in shown] + shown
    asked = list(dict.fromkeys([*asked, *(by for by, _ in keys)]))
    name = own.properties["name"]
    several = _SEVERAL if query.entity == "vms" else {}
    columns = [
        nodes.named(nodes.column(several.get(one.column, one.column)), one.column)
        for one in dict.fromkeys([*asked, name])
    ]
    order = [nodes.ordered(nodes.column(by.column), is_descending=down) for by, down in keys]
    order.append(nodes.ordered(nodes.column(name.column), is_descending=False))
    setting.plan.answer = rows_of(nodes.select(columns, things, where=where), order, query)
    setting.plan.columns = [Column(one.name, one.column, one.kind) for one in asked]


def _groups(query: Query, things: str, where: Sequence[Node], setting: Setting) -> None:
    asked = list(dict.fromkeys([*query.group, *(query.projections or (Count(),))]))
    keys: list[tuple[object, bool]] = [(key.by, key.is_descending) for key in query.order]
    if query.group and not keys:
        keys += [(one, True) for one in asked if isinstance(one, Aggregate)][:1] or [(Count(), True)]
    everything: list[object] = list(dict.fromkeys([*asked, *(by for by, _ in keys)]))
    is_list = any(isinstance(one, Listed) for one in everything)
    if is_list and len(everything) > 1:
        raise UsageError("a list of values is in order, and has nothing beside it", hint="write list(…) alone")
    names = {one: f"v{n}" for n, one in enumerate(everything)}
    values = []
    for one in everything:
        if one in query.group:
            continue
        values.append(nodes.named(_value(one), names[one]))
    groups = [nodes.named(nodes.column(one.column), names[one]) for one in query.group]
    rows = nodes.select([*groups, *values], things, where=where, group=len(groups), distinct=is_list)
    if is_list:
        (only,) = names.values()
        known = nodes.is_known(nodes.column(only))
        rows = nodes.select([nodes.column(only)], nodes.within_brackets(rows, "listed"), where=[known])
        keys = [(everything[0], False)]
    order = [nodes.ordered(nodes.is_null(nodes.column(names[one])), is_descending=False) for one in query.group]
    order += [nodes.ordered(nodes.column(names[by]), is_descending=down) for by, down in keys]
    order += [nodes.ordered(nodes.column(names[one]), is_descending=False) for one in query.group]
    setting.plan.answer = rows_of(rows, order, query)
    setting.plan.columns = [_shown(one, names[one]) for one in everything]


def _value(one: object) -> Node:
    if isinstance(one, Count):
        return exp.Count(this=exp.Star())
    if isinstance(one, Listed):
        return nodes.column(one.property.column)
    if isinstance(one, Aggregate):
        column = nodes.column(one.property.column)
        if one.function == "count":
            return exp.Count(this=exp.Distinct(expressions=[column]))
        return nodes.call(one.function.upper(), column if one.function in ("min", "max") else nodes.double(column))
    raise AssertionError("only flows have series")


def _shown(one: object, source: str) -> Column:
    if isinstance(one, Property):
        return Column(one.name, source, one.kind)
    if isinstance(one, Listed):
        return Column(one.property.name, source, one.property.kind)
    if isinstance(one, Aggregate):
        return Column(aggregate_name(one), source, None if one.function == "count" else one.property.kind)
    return Column(COUNT.capitalize(), source, None)


def _with_uuids(table: pa.Table) -> pa.Table:
    """Addresses as flows have them."""
    columns = {}
    for name in table.column_names:
        values = table[name]
        if values.type == ADDRESS:
            values = _uuids(values)
        elif values.type == pa.list_(ADDRESS):
            lists = values.combine_chunks()
            inside = pa.ExtensionArray.from_storage(pa.uuid(), lists.values)
            values = pa.ListArray.from_arrays(lists.offsets, inside)
        columns[name] = values
    return pa.table(columns)


def _one_by_one(table: pa.Table, name: str) -> pa.Table:
    """A row for each value of a list: `name` of its thing, and `value`."""
    found: list[bytes] = []
    owners: list[str] = []
    for owner, values in zip(table["name"].to_pylist(), table[name].to_pylist(), strict=True):
        found += values or ()
        owners += [owner] * len(values or ())
    kind = table.schema.field(name).type.value_type
    values = pa.chunked_array([octet_strings(found, kind.byte_width)])
    return pa.table({"name": strings(owners), "value": _uuids(values) if kind == ADDRESS else values})


def _uuids(values: pa.ChunkedArray) -> pa.ChunkedArray:
    return pa.chunked_array([pa.ExtensionArray.from_storage(pa.uuid(), one) for one in values.chunks], pa.uuid())
