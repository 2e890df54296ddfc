"""How a query was read, as lines."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator

from spanline.arrow import address_text
from spanline.cli.text import rfc3339
from spanline.query import tree
from spanline.query.hours import hours_text
from spanline.query.tree import Query

_NANOSECONDS = 10**9


def tree_lines(query: Query) -> list[str]:
    """What each part of `query` means, and below it what it consists of, two blanks further in."""
    return list(_query(query, ""))


def _query(query: Query, indent: str) -> Iterator[str]:
    inner = f"{indent}  "
    yield f"{indent}{query.entity}"
    for heading, parts in (
        ("show", [_projection(one) for one in query.projections]),
        ("group by", [one.name for one in query.group]),
        ("order by", [f"{_projection(one.by)}{'' if one.is_descending else ' asc'}" for one in query.order]),
    ):
        if parts:
            yield f"{inner}{heading} {', '.join(parts)}"
    if query.where is not None:
        yield f"{inner}where"
        yield from _condition(query.where, f"{inner}  ")
    for heading, number in (("top", query.top), ("limit", query.limit)):
        if number is not None:
            yield f"{inner}{heading} {number}"
    yield f"{inner}{_window(query.window)}"


def _condition(condition: tree.Condition, indent: str) -> Iterator[str]:
    if isinstance(condition, tree.Test):
        values = ", ".join(map(_value, condition.values))
        several = condition.operator in ("in", "not in") and condition.query is None
        yield f"{indent}{condition.property.name} {condition.operator} {f'({values})' if several else values}".rstrip()
        if condition.query is not None:
            yield from _query(condition.query, f"{indent}  ")
        return
    if isinstance(condition, tree.Not):
        yield f"{indent}not"
        yield from _condition(condition.of, f"{indent}  ")
        return
    yield f"{indent}{'and' if isinstance(condition, tree.And) else 'or'}"
    for part in condition.parts:
        yield from _condition(part, f"{indent}  ")


def _projection(one: tree.Projection) -> str:
    if isinstance(one, tree.Count):
        return "count"
    if isinstance(one, tree.Listed):
        return f"list({one.property.name})"
    if isinstance(one, tree.Aggregate):
        return f"{one.function}({one.property.name})"
    if isinstance(one, tree.Series):
        return f"series({_projection(one.of)}{'' if one.seconds is None else f', {one.seconds}'})"
    if isinstance(one, tree.OfSeries):
        return f"{one.function}({_projection(one.series)})"
    return one.name


def _value(value: tree.Value) -> str:
    if isinstance(value, tree.Network):
        first, last = address_text(value.first), address_text(value.last)
        return first if first == last else f"{first}–{last}"
    return repr(value)


def _window(window: tree.Window) -> str:
    if window.hours is not None:
        return f"{_window(dataclasses.replace(window, hours=None))}, of each day {hours_text(window.hours)}"
    if window.begin is not None or window.end is not None:
        begin = "the beginning" if window.begin is None else rfc3339(window.begin)
        return f"from {begin} to {'the end' if window.end is None else rfc3339(window.end)}"
    until = f" until {window.ago // _NANOSECONDS:,} s ago" if window.ago else ""
    if window.last is None:
        return f"all{until}"
    default = ", as the query says nothing of time" if window.is_default else ""
    return f"in the last {window.last // _NANOSECONDS:,} s{until}{default}"
