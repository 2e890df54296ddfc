"""Conditions of a query: what is tested, and whether that makes sense."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any, TypeAlias

from lark import Token, Tree

from spanline.query import tree
from spanline.query.asking import Syntax, children, token_of, trees
from spanline.query.names import Reading
from spanline.query.properties import Entity, key
from spanline.query.times import Unfit
from spanline.query.tree import Kind, Property
from spanline.query.values import is_address, value_of

SubQuery: TypeAlias = Callable[[Syntax], tree.Query]
"""Reads a query that is the list of an `in`."""

_ORDERED = frozenset(
    (Kind.NUMBER, Kind.BYTES, Kind.MEMORY, Kind.RATE, Kind.PACKETS, Kind.DURATION, Kind.RATIO, Kind.TIME)
)


def condition(reading: Reading, entity: Entity, syntax: Syntax, sub_query: SubQuery) -> tree.Condition:
    """What stands behind `where`. Parentheses leave nothing behind, and `not not` what it began with."""

    def read(node: Syntax) -> tree.Condition:
        match node.data:
            case "disjunction":
                return tree.Or(tuple(_flat(tree.Or, (read(part) for part in trees(node)))))
            case "conjunction":
                return tree.And(tuple(_flat(tree.And, (read(part) for part in trees(node)))))
            case "negated":
                (of,) = (read(part) for part in trees(node))
                refuted = sum(isinstance(child, Token) for child in node.children) % 2
                return negation(of) if refuted else of
            case "enclosed":
                return read(trees(node)[0])
        return _test(reading, entity, node, sub_query)

    return read(syntax)


def negation(of: tree.Condition) -> tree.Condition:
    return of.of if isinstance(of, tree.Not) else tree.Not(of)


def both(*parts: tree.Condition) -> tree.Condition:
    """All of them hold."""
    flat = tuple(_flat(tree.And, parts))
    return flat[0] if len(flat) == 1 else tree.And(flat)


def from_one_to_other(reading: Reading, entity: Entity, syntax: Syntax) -> tree.Condition:
    """`from Cluster 'a' to Cluster 'b'`."""
    one, other = trees(syntax)
    return both(_at_end(reading, entity, "Source", one), _at_end(reading, entity, "Destination", other))


def between_both(reading: Reading, entity: Entity, syntax: Syntax) -> tree.Condition:
    """`between VM 'a' and VM 'b'`: in either direction."""
    one, other = trees(syntax)
    ways = ((one, other), (other, one))
    return tree.Or(
        tuple(
            both(_at_end(reading, entity, "Source", first), _at_end(reading, entity, "Destination", second))
            for first, second in ways
        )
    )


def _at_end(reading: Reading, entity: Entity, side: str, end: Syntax) -> tree.Test:
    """Without a name, what looks like an address is one, and everything else a VM."""
    named, value = children(end)
    name = named and token_of(named)
    if entity.name != "flows":
        reading.fail(f"{entity.label} go from nowhere to nowhere", name or value, "flows do", value)
    if name is None:
        meant = f"{side} IP Address" if is_address(str(value)) else f"{side} VM"
        of = entity.properties[key(meant)]
        return tree.Test(of, "=", (_value(reading, of, value),))
    sided = Token(name.type, key(f"{side} {name}"), name.start_pos, end_pos=name.end_pos)
    of = reading.property(entity, sided)
    return tree.Test(of, "=", (_value(reading, of, value),))


def _test(reading: Reading, entity: Entity, node: Syntax, sub_query: SubQuery) -> tree.Test:
    named, *others = children(node)
    name = token_of(named)
    of = reading.property(entity, name)
    if not others:
        return tree.Test(of, "is set")
    operator = others[0]
    match operator.type:
        case "SET":
            return tree.Test(of, str(operator))
        case "COMPARISON":
            if operator not in ("=", "!=") and of.kind not in _ORDERED:
                hint = f"{of.name} has = and !=, and a list: in (…)"
                reading.fail(f"{of.name} has no order, so that {operator} says nothing of it", operator, hint)
            return tree.Test(of, str(operator), (_value(reading, of, others[1]),))
        case "LIKE":
            if of.kind is not Kind.TEXT:
                hint = "write = '10.0.0.0/8' for all addresses of a network" if of.kind is Kind.ADDRESS else "write ="
                reading.fail(f"{of.name} is no text, so that {operator} says nothing of it", operator, hint)
            if operator.endswith("matches"):
                _check_pattern(reading, others[1])
            return tree.Test(of, str(operator), (str(others[1]),))
        case "BETWEEN":
            if of.kind not in _ORDERED:
                reading.fail(f"{of.name} has no order, so that between says nothing of it", operator)
            return _between(reading, of, others[1], others[3])
    return _membership(reading, of, name, others, sub_query)


def _between(reading: Reading, of: Property, low: Token, high: Token) -> tree.Test:
    first, last = _value(reading, of, low), _value(reading, of, high)
    if isinstance(first, int | float) and isinstance(last, int | float) and first > last:
        reading.fail(f"nothing is between {low} and {high}", high, "the smaller one stands first")
    return tree.Test(of, "between", (first, last))


def _membership(reading: Reading, of: Property, name: Token, others: Sequence[Any], sub_query: SubQuery) -> tree.Test:
    operator = "in" if others[0].type == "IN" else "not in"
    if isinstance(others[2], Tree):
        query = sub_query(others[2])
        (listed,) = query.projections
        assert isinstance(listed, tree.Listed)
        if listed.property.kind is not of.kind and reading.unanswered is None:
            what = f"{of.name} and {listed.property.name} of {query.entity} cannot be compared"
            reading.fail(what, name, "write for instance in (list(Source VM) of flows)", others[-1])
        return tree.Test(of, operator, (), query)
    values = (_value(reading, of, token) for token in others[2:-1] if token.type == "VALUE")
    return tree.Test(of, operator, tuple(dict.fromkeys(values)))


def _value(reading: Reading, of: Property, token: Token) -> tree.Value:
    try:
        return value_of(str(token), of, reading.clock)
    except Unfit as error:
        reading.fail(error.message, token, error.hint)


def _check_pattern(reading: Reading, token: Token) -> None:
    """DuckDB and Arrow have the same expressions, RE2's."""
    import pyarrow as pa
    import pyarrow.compute as pc  # takes long to import, and few queries need it

    try:
        pc.match_substring_regex(pa.array([""]), str(token))
    except pa.ArrowInvalid as error:
        why = str(error).partition(": ")[2].partition("\n")[0]
        reading.fail(f"the regular expression is not understood: {why}", token, "the syntax is RE2's")


def _flat(
    kind: type[tree.And] | type[tree.Or], parts: Iterator[tree.Condition] | Sequence[tree.Condition]
) -> Iterator[tree.Condition]:
    for part in parts:
        if isinstance(part, kind):
            yield from part.parts
        else:
            yield part
