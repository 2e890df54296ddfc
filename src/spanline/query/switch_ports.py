"""Switch ports: what their counters grew by in a window, spread evenly from one reading to the next."""

from __future__ import annotations

from collections.abc import Collection, Sequence

from sqlglot import exp

from spanline.query import nodes
from spanline.query.nodes import Node
from spanline.query.records import Setting
from spanline.query.relations import of_window
from spanline.query.spans import Span
from spanline.query.steps import Grow, Make

_KEY = ("switch", "name")
_RATE, _TRAFFIC = "network_rate", "total_traffic"
_COUNTED = (_TRAFFIC, "packets", "errors", "drops")


def with_counters(things: str, known: Sequence[str], asked: Collection[str], span: Span, setting: Setting) -> str:
    """The switch ports of the inventory, of which it has the columns `known`, and those that were read, with what was
    counted of what is `asked`."""
    growth, counted = setting.table("growth"), setting.table("counted")
    traffic = of_window(span)
    key = [nodes.column(name) for name in _KEY]
    needed = [name for name in _COUNTED if name in asked or (name == _TRAFFIC and _RATE in asked)]
    sums = [nodes.named(nodes.call("SUM", traffic.spread(name)), name) for name in needed]
    setting.plan.steps.append(Grow(growth, span, needed))
    setting.plan.steps.append(Make(counted, nodes.select([*key, *sums], growth, group=len(key))))
    same: list[Node] = []
    columns: list[Node] = []
    for name in _KEY:
        own, read = nodes.column(name, things), nodes.column(name, counted)
        same.append(exp.EQ(this=own, expression=read))
        columns.append(nodes.named(nodes.call("COALESCE", own.copy(), read.copy()), name))
    columns += [nodes.column(name, things) for name in known if name not in _KEY]
    columns += [nodes.named(_known(name, counted), name) for name in needed]
    if _RATE in asked:
        bits = nodes.times(_known(_TRAFFIC, counted), nodes.number(8))
        columns.append(nodes.named(nodes.over(bits, nodes.number(span.seconds)), _RATE))
    table = setting.table("with_counters")
    joined = nodes.join(counted, same, side="FULL")
    setting.plan.steps.append(Make(table, nodes.select(columns, things, joins=[joined])))
    return table


def _known(column: str, table: str) -> Node:
    return nodes.call("COALESCE", nodes.column(column, table), nodes.number(0))
