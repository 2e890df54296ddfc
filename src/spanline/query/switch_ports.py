"""Switch ports: what their counters grew by in a window."""

from __future__ import annotations

import pyarrow as pa
from sqlglot import exp

from spanline.query import nodes
from spanline.query.nodes import Node
from spanline.query.records import Setting
from spanline.query.spans import Span
from spanline.query.steps import Give, Make

COUNTED = {
    "total_traffic": ("in_bytes", "out_bytes"),
    "packets": ("in_packets", "out_packets"),
    "errors": ("errors",),
    "drops": ("drops",),
}
"""Columns of switch ports, and the counters that they are the growth of."""
COUNTERS = pa.schema(
    [("time", pa.int64()), ("switch", pa.string()), ("port", pa.string()), ("index", pa.uint32())]
    + [(name, pa.uint64()) for names in COUNTED.values() for name in names]
)
"""Readings of counters, which only grow: one that fell has begun again from 0. Times are ns since the epoch."""
_PORT = ("switch", "port")


def plan_counters(things: str, span: Span, setting: Setting) -> str:
    """The switch ports of the inventory and of the readings, with what was counted."""
    readings = setting.table("readings")
    setting.plan.steps.append(Give(readings, setting.counters(span)))
    names = [name for some in COUNTED.values() for name in some]
    port = [nodes.column(name) for name in _PORT]
    time = nodes.column("time")
    growths = [nodes.named(_growth(name), name) for name in names]
    grown = nodes.select([*port, time, *growths], readings)
    inside = [time > nodes.number(span.begin), time.copy() < nodes.number(span.end)]
    sums = [nodes.named(_total(some), column) for column, some in COUNTED.items()]
    counted = nodes.select([*port, *sums], nodes.within_brackets(grown, "grown"), where=inside, group=len(port))
    table = setting.table("counted")
    setting.plan.steps.append(Make(table, counted))
    same: list[Node] = [
        exp.EQ(this=nodes.column(own, things), expression=nodes.column(counter, table))
        for own, counter in (("switch", "switch"), ("name", "port"))
    ]
    columns = [
        nodes.named(nodes.call("COALESCE", nodes.column(own, things), nodes.column(counter, table)), own)
        for own, counter in (("switch", "switch"), ("name", "port"))
    ]
    columns += [nodes.named(_known(column, table), column) for column in COUNTED]
    bits = nodes.times(_known("total_traffic", table), nodes.number(8))
    columns.append(nodes.named(nodes.over(bits, nodes.number(span.seconds)), "network_rate"))
    made = setting.table("with_traffic")
    joined = nodes.join(table, same, side="FULL")
    setting.plan.steps.append(Make(made, nodes.select(columns, things, joins=[joined])))
    return made


def _growth(name: str) -> Node:
    """Since the port's reading before; 0 in its first one."""
    own = nodes.column(name)
    order = exp.Order(expressions=[nodes.ordered(nodes.column("time"), is_descending=False)])
    before = exp.Window(this=nodes.call("LAG", own), partition_by=[nodes.column(one) for one in _PORT], order=order)
    fallen = own.copy() < before.copy()
    grown = nodes.less(nodes.double(own.copy()), nodes.double(before.copy()))
    return exp.Case(
        ifs=[
            exp.If(this=nodes.is_null(before), true=nodes.number(0)),
            exp.If(this=fallen, true=nodes.double(own.copy())),
        ],
        default=grown,
    )


def _total(names: tuple[str, ...]) -> Node:
    return nodes.call("SUM", nodes.plus(*map(nodes.column, names)))


def _known(column: str, table: str) -> Node:
    return nodes.call("COALESCE", nodes.column(column, table), nodes.number(0))
