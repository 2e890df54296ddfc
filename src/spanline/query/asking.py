"""What a query asks for: projections, groups, order; and whether they go together."""

from __future__ import annotations

from typing import Any, TypeAlias, cast

from lark import Token, Tree

from spanline.errors import quoted
from spanline.query import tree
from spanline.query.names import Reading
from spanline.query.properties import Entity
from spanline.query.times import LONGEST, SECOND
from spanline.query.tree import Kind, Property

Syntax: TypeAlias = "Tree[Token]"

_MOST = 10**9
_AVERAGED = (Kind.DURATION, Kind.RATIO)
_COMPARED = (Kind.NUMBER, Kind.TIME)


def projection(reading: Reading, entity: Entity, node: Syntax) -> tree.Projection:
    """One of what stands before `of`. Raises QueryError."""
    match node.data:
        case "count":
            return tree.Count()
        case "listed":
            (of,) = trees(node)
            return tree.Listed(reading.key(entity, token_of(of)))
        case "aggregate":
            return _aggregate(reading, entity, node)
        case "series":
            return _series(reading, entity, node)
        case "of_series":
            function = token_of(node)
            if function == "count":
                reading.fail("a series has no count", function, "its sum, avg, min and max are numbers")
            return tree.OfSeries(str(function), _series(reading, entity, trees(node)[0]))
    return reading.property(entity, token_of(node))


def order_key(reading: Reading, entity: Entity, node: Syntax) -> tree.OrderKey:
    """One of what stands behind `order by`. The largest come first, unless it says asc."""
    by, direction = children(node)
    of = projection(reading, entity, by)
    assert isinstance(of, tree.Aggregate | tree.Series | Property)
    return tree.OrderKey(of, direction != "asc")


def whole(reading: Reading, token: Token, most: int = _MOST) -> int:
    """A number of rows or seconds."""
    if len(token) > len(str(most)) or not 0 < int(token) <= most:
        reading.fail(f"{quoted(str(token))} is not from 1 to {most:,}", token)
    return int(token)


def in_groups(reading: Reading, of: tree.Projection, group: tuple[Property, ...], node: Syntax) -> tree.Projection:
    """What a projection is of several rows that become one: of a metric its sum, mean or maximum.

    Raises QueryError when there is no such thing.
    """
    if isinstance(of, tree.Listed):
        reading.fail("list(…) stands alone, without groups", token_of(node), "group by makes a list of groups")
    if not isinstance(of, Property) or of in group:
        return of
    if not of.is_metric:
        first, last = ends(node)
        hint = f"write group by {of.name}, or count({of.name})"
        reading.fail(f"{of.name} can be different for the rows that are counted together", first, hint, last)
    if of.name.startswith("Maximum"):
        return tree.Aggregate("max", of)
    return tree.Aggregate("avg" if of.kind in _AVERAGED else "sum", of)


def _aggregate(reading: Reading, entity: Entity, node: Syntax) -> tree.Aggregate:
    function, (named,) = token_of(node), trees(node)
    of = reading.property(entity, token_of(named))
    fits = of.is_metric or function == "count" or (function in ("min", "max") and of.kind in _COMPARED)
    if not fits and entity.is_held:
        metrics = ", ".join(one.name for one in entity.own() if one.is_metric and one.is_held)
        hint = f"write count({of.name}), or {function} of one of these: {metrics}"
        reading.fail(f"{of.name} has no {function}", token_of(named), hint)
    return tree.Aggregate(str(function), of)


def _series(reading: Reading, entity: Entity, node: Syntax) -> tree.Series:
    of = _aggregate(reading, entity, trees(node)[0])
    if entity.name != "flows" and of.property.is_held:
        first, last = ends(trees(node)[0])
        hint = "write series(sum(Bytes Rate)) of flows, where … and group by what these are"
        reading.fail(f"{entity.label} have no series, only flows have", first, hint, last)
    seconds = children(node)[-2]
    if seconds is None:
        return tree.Series(of)
    return tree.Series(of, whole(reading, seconds, LONGEST // SECOND))


def children(node: Syntax) -> list[Any]:
    """Rules and terminals below a rule, None where something optional is not there."""
    return cast("list[Any]", node.children)


def trees(node: Syntax) -> list[Syntax]:
    return [child for child in node.children if isinstance(child, Tree)]


def token_of(node: Syntax) -> Token:
    """The first terminal of a rule that begins with one."""
    token = node.children[0]
    assert isinstance(token, Token)
    return token


def ends(node: Syntax) -> tuple[Token, Token]:
    """The first and the last terminal below a rule."""
    found = list(node.scan_values(lambda child: isinstance(child, Token)))
    return found[0], found[-1]
