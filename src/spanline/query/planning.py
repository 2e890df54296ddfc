"""A query's tree to its plan."""

from __future__ import annotations

from collections.abc import Callable

from spanline.enrich import Enrichment
from spanline.query import nodes
from spanline.query.flow_lists import plan_list, plan_values
from spanline.query.flow_plans import Groups
from spanline.query.nodes import Node
from spanline.query.records import Setting
from spanline.query.spans import Span
from spanline.query.steps import Make, Plan
from spanline.query.things import plan_things
from spanline.query.tree import Listed, Property, Query


def plan_of(query: Query, enrichment: Enrichment, span_of: Callable[[Query], Span]) -> Plan:
    """The steps that answer a query. `span_of` says the window of it, or of one within it, as times.

    Raises what Query.unanswered says, and UsageError for what cannot be answered.
    """
    setting = Setting(enrichment, span_of, Plan(span_of(query)))
    _plan(query, setting)
    return setting.plan


def _plan(query: Query, setting: Setting) -> None:
    if query.unanswered is not None:
        raise query.unanswered
    setting.listed = lambda of: _listed(of, setting)
    if query.entity != "flows":
        plan_things(query, setting, _plan)
    elif len(query.projections) == 1 and isinstance(query.projections[0], Listed) and not query.group:
        plan_values(query, setting)
    elif query.group or any(not isinstance(one, Property) for one in query.projections):
        Groups(query, setting).plan()
    else:
        plan_list(query, setting)


def _listed(query: Query, setting: Setting) -> Node:
    """A SELECT of the one column of a query, in lower case as names are compared; its steps come before."""
    outer = setting.plan
    setting.plan = Plan(setting.span_of(query), outer.steps)
    _plan(query, setting)
    (column,) = setting.plan.columns
    answer, setting.plan = setting.plan.answer, outer
    table = setting.table("listed")
    setting.plan.steps.append(Make(table, answer.chosen()))
    value = nodes.column(column.source)
    return nodes.select([nodes.compared(value, column.kind)], table)
