"""Switch ports: what their counters grew by in a window, spread evenly from one reading to the next."""

from __future__ import annotations

from collections.abc import Sequence

from sqlglot import exp

from spanline.query import nodes
from spanline.query.nodes import Node
from spanline.query.records import Setting
from spanline.query.relations import of_window
from spanline.query.spans import Span
from spanline.query.steps import Give, Make

_KEY = ("switch", "name")
_COUNTED = ("total_traffic", "packets", "errors", "drops")


def with_counters(things: str, known: Sequence[str], span: Span, setting: Setting) -> str:
    """The switch ports of the inventory, of which it has the columns `known`, and those that were read, with what was
    counted."""
    growth, counted = setting.table("growth"), setting.table("counted")
    traffic = of_window(span)
    key = [nodes.column(name) for name in _KEY]
    sums = [nodes.named(nodes.call("SUM", traffic.spread(name)), name) for name in _COUNTED]
    setting.plan.steps.append(Give(growth, setting.counters(span)))
    setting.plan.steps.append(Make(counted, nodes.select([*key, *sums], growth, group=len(key))))
    same: list[Node] = []
    columns: list[Node] = []
    for name in _KEY:
        own, read = nodes.column(name, things), nodes.column(name, counted)
        same.append(exp.EQ(this=own, expression=read))
        columns.append(nodes.named(nodes.call("COALESCE", own.copy(), read.copy()), name))
    columns += [nodes.column(name, things) for name in known if name not in _KEY]
    columns += [nodes.named(_known(name, counted), name) for name in _COUNTED]
    bits = nodes.times(_known("total_traffic", counted), nodes.number(8))
    columns.append(nodes.named(nodes.over(bits, nodes.number(span.seconds)), "network_rate"))
    table = setting.table("with_counters")
    joined = nodes.join(counted, same, side="FULL")
    setting.plan.steps.append(Make(table, nodes.select(columns, things, joins=[joined])))
    return table


def _known(column: str, table: str) -> Node:
    return nodes.call("COALESCE", nodes.column(column, table), nodes.number(0))
