"""Queries whose rows are flows, or the different values of one of their properties, as steps of SQL."""

from __future__ import annotations

from collections.abc import Sequence

from sqlglot import exp

from spanline.query import nodes
from spanline.query.ends import SIDES
from spanline.query.flow_plans import group_node, rows_of, types_node
from spanline.query.measures import of_records
from spanline.query.nodes import Node
from spanline.query.properties import entities
from spanline.query.records import Grouping, Records, Setting
from spanline.query.relations import FLOW_KEY, METRICS, end_of, of_window
from spanline.query.steps import PLACE, Column, Make, Rows
from spanline.query.tree import Kind, Listed, Property, Query

_SHOWN = (
    *("source ip address", "source vm", "destination ip address", "destination vm", "port", "protocol"),
    *("total traffic", "bytes rate", "packets", "session count", "first seen", "last seen"),
)
"""What is shown of flows when a query does not say."""
_FIRST = "total traffic"
"""By what they are in order then, descending."""
_OLDEST = "first_seen"


def plan_list(query: Query, setting: Setting) -> None:
    """A row for each flow: what is asked of it, in order; of records that differ the greatest value."""
    named = entities()["flows"].properties
    asked = [one for one in query.projections if isinstance(one, Property)]
    asked = asked or [named[name] for name in _SHOWN]
    keys = [(key.by, key.is_descending) for key in query.order if isinstance(key.by, Property)]
    keys = keys or [(named[_FIRST], True)]
    shown = list(dict.fromkeys(one for both in (asked, [by for by, _ in keys]) for one in _single(both)))
    grouping = Grouping(shown)
    records = Records(query, setting, grouping.shown)
    traffic = of_window(records.span)
    metrics = [one for one in shown if one.is_metric]
    parts = list(dict.fromkeys(part for one in metrics for part in METRICS[one.column].parts))
    plain = [one.column for one in shown if not one.is_metric and not _is_of_ends(one)]
    values = [
        nodes.named(nodes.call("MIN" if name == _OLDEST else "MAX", nodes.column(name)), name)
        for name in dict.fromkeys(plain)
        if name not in FLOW_KEY
    ]
    tags = [nodes.named(nodes.call("MAX", node), name) for name, node in records.tags().items()]
    key = [nodes.column(name) for name in FLOW_KEY]
    flows = records.read([*key, *of_records(parts, traffic), *values, *tags], len(key))
    seconds = traffic.seconds
    found = [nodes.named(METRICS[one.column].of(nodes.column, seconds), one.column) for one in metrics]
    kept = [nodes.column(name) for name in dict.fromkeys((*plain, *(one.alias for one in tags)))]
    kept += [nodes.column(name) for name in FLOW_KEY if name not in plain]
    rows = nodes.select([*kept, *found], nodes.within_brackets(flows, "flows"))
    order = [nodes.ordered(nodes.column(one.column), is_descending=down) for by, down in keys for one in _single([by])]
    order += [nodes.ordered(nodes.column(name), is_descending=False) for name in FLOW_KEY]
    left = [name for name in FLOW_KEY if name not in plain]
    if records.is_shown_known:
        answer = rows_of(_with_ends(records, nodes.within_brackets(rows, "flows"), "flows", shown, left), order, query)
    else:
        table = setting.table("flows")
        if not any(_is_of_ends(one) for by, _ in keys for one in _single([by])):
            setting.plan.steps.append(Make(table, rows_of(rows, order, query).numbered()))
            by_place = [nodes.ordered(nodes.column(PLACE), is_descending=False)]
            answer = Rows(_with_ends(records, table, table, shown, [PLACE]), by_place)
        else:
            setting.plan.steps.append(Make(table, rows))
            answer = rows_of(_with_ends(records, table, table, shown, left), order, query)
    setting.plan.answer = answer
    setting.plan.columns = [Column(one.name, one.column, one.kind) for one in shown]


def plan_values(query: Query, setting: Setting) -> None:
    """The different values of a property, without that nothing is known; in order."""
    (listed,) = query.projections
    assert isinstance(listed, Listed)
    of = listed.property
    grouping = Grouping([of])
    records = Records(query, setting, grouping.shown)
    columns = [name for name in grouping.columns if end_of(name) is None]
    tags = records.tags()
    columns += [f"{side}_ip_address" for side in SIDES if grouping.shown[side]]
    kept = [nodes.column(name) for name in dict.fromkeys(columns)]
    kept += [nodes.named(node, name) for name, node in tags.items()]
    table = setting.table("base")
    setting.plan.steps.append(Make(table, records.read(kept, len(kept))))
    joins = records.later(table)
    inner = nodes.select([nodes.named(group_node(of), "value")], table, joins=joins)
    value = nodes.column("value")
    values = nodes.select([value], nodes.within_brackets(inner, "inner"), where=[nodes.is_known(value)], distinct=True)
    setting.plan.answer = rows_of(values, [nodes.ordered(value, is_descending=False)], query)
    setting.plan.columns = [Column(of.name, "value", of.kind)]


def _single(asked: Sequence[Property]) -> list[Property]:
    """Of a meta property that of the source and that of the destination."""
    found = []
    for one in asked:
        for column in one.either or (one.column,):
            side = column.partition("_")[0].capitalize()
            name = f"{side} {one.name}" if one.either else one.name
            found.append(Property(one.entity, name, one.kind, column, one.is_metric, (), one.description))
    return found


def _is_of_ends(one: Property) -> bool:
    """Whether it is known of the ends of a flow, and does not stand in its records."""
    return one.kind is Kind.TAGS or end_of(one.column) is not None


def _shown(one: Property, table: str) -> Node:
    if one.kind is Kind.TAGS:
        return nodes.call("ARRAY_TO_STRING", types_node(), nodes.text(", "))
    end = end_of(one.column)
    return nodes.column(one.column, table) if end is None else nodes.column(end[1], f"{end[0]}_ends")


def _with_ends(
    records: Records, source: Node | str, table: str, shown: Sequence[Property], kept: Sequence[str]
) -> exp.Select:
    """What is `shown` and `kept` of `source`, which is called `table`."""
    joins = records.later(table)
    columns = [nodes.named(_shown(one, table), one.column) for one in shown]
    return nodes.select([*columns, *(nodes.column(name, table) for name in kept)], source, joins=joins)
