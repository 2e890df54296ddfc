"""SQL as sqlglot's nodes: the few that queries are made of. What a query says becomes literals, and never SQL.

A node may stand in several places: nothing is copied before all of it becomes text.
"""

from __future__ import annotations

import uuid
from collections.abc import Iterable, Sequence

from sqlglot import exp

from spanline.query.tree import Kind, Network

Node = exp.Expr

_WIDTH = 16
_UUID, _DOUBLE = exp.DataType.build("uuid"), exp.DataType.build("double")


def column(name: str, table: str | None = None) -> Node:
    return exp.column(name, table=table, quoted=True)


def number(value: int | float) -> Node:
    return exp.convert(value)


def text(value: str) -> Node:
    """What is not Unicode cannot be in a column either."""
    return exp.Literal.string(value.encode("utf-8", "replace").decode())


def octets(value: bytes) -> Node:
    return exp.Unhex(this=exp.Literal.string(value.hex().upper()))


def address(value: bytes) -> Node:
    """Addresses are UUIDs in segments: 16 bytes that engines compare as one number."""
    return exp.cast(exp.Literal.string(str(uuid.UUID(bytes=value))), _UUID, copy=False)


def call(name: str, *arguments: Node) -> Node:
    """A function that is called the same wherever the SQL runs."""
    return exp.func(name, *arguments)


def named(node: Node, name: str) -> Node:
    return exp.alias_(node, name, quoted=True, copy=False)


def either(condition: Node, one: Node, other: Node | None = None) -> Node:
    """CASE WHEN condition THEN one ELSE other END; null instead of no other."""
    return exp.Case(ifs=[exp.If(this=condition, true=one)], default=other)


def double(node: Node) -> Node:
    return exp.cast(node, _DOUBLE, copy=False)


def _paren(node: Node) -> Node:
    return exp.paren(node, copy=False)


def less(one: Node, other: Node) -> Node:
    """one - other."""
    return _paren(exp.Sub(this=one, expression=other))


def plus(*parts: Node) -> Node:
    total = parts[0]
    for part in parts[1:]:
        total = exp.Add(this=total, expression=part)
    return _paren(total) if len(parts) > 1 else total


def times(one: Node, other: Node) -> Node:
    return exp.Mul(this=one, expression=other)


def over(one: Node, other: Node) -> Node:
    """one ÷ other as floating point, null where other is 0."""
    return exp.Div(this=double(one), expression=call("NULLIF", double(other), number(0)), typed=False)


def floored(node: Node, step: int) -> Node:
    """The multiple of `step` at or below it. sqlglot translates time_bucket() wrongly into other dialects, and this
    not."""
    return less(node, _paren(exp.Mod(this=node.copy(), expression=number(step))))


def negated(node: Node) -> Node:
    return exp.Not(this=_paren(node))


def is_null(node: Node) -> Node:
    return exp.Is(this=node, expression=exp.null())


def is_known(node: Node) -> Node:
    return exp.Not(this=_paren(is_null(node)))


def is_not(node: Node) -> Node:
    """Not true, as what is missing is not: NULL counts as false."""
    return exp.Not(this=exp.Coalesce(this=_paren(node), expressions=[exp.false()]))


def compared(node: Node, kind: Kind | None) -> Node:
    """What of a column is compared: names are case-blind."""
    return exp.Lower(this=node) if kind is Kind.TEXT else node


def every(parts: Iterable[Node]) -> Node:
    return _joined(exp.And, list(parts), exp.true())


def some(parts: Iterable[Node]) -> Node:
    return _joined(exp.Or, list(parts), exp.false())


def _joined(kind: type[exp.Connector], parts: Sequence[Node], empty: Node) -> Node:
    """Balanced, as engines limit how deep expressions may be."""
    if len(parts) < 2:
        return parts[0] if parts else empty
    half = len(parts) // 2
    left, right = (_joined(kind, some, empty) for some in (parts[:half], parts[half:]))
    return _paren(kind(this=left, expression=right))


def within(node: Node, networks: Iterable[Network]) -> Node:
    """Whether an address is in one of `networks`: those that overlap or touch are one range."""
    alone, ranges = [], []
    for one in merged(networks):
        if one.first == one.last:
            alone.append(one.first)
        else:
            ranges.append(exp.Between(this=node.copy(), low=address(one.first), high=address(one.last)))
    parts: list[Node] = list(ranges)
    if alone:
        parts.append(one_of(node, [address(one) for one in alone]))
    return some(parts)


def one_of(node: Node, values: Sequence[Node]) -> Node:
    if len(values) == 1:
        return exp.EQ(this=node.copy(), expression=values[0])
    return exp.In(this=node.copy(), expressions=list(values))


def merged(networks: Iterable[Network]) -> list[Network]:
    """The same addresses in ranges that neither overlap nor touch, in order."""
    found: list[Network] = []
    for one in sorted(networks, key=lambda one: (one.first, one.last)):
        behind = (int.from_bytes(found[-1].last) + 1).to_bytes(_WIDTH + 1)[1:] if found else b""
        if found and (one.first <= found[-1].last or one.first == behind) and one.first >= found[-1].first:
            found[-1] = Network(found[-1].first, max(one.last, found[-1].last))
        else:
            found.append(one)
    return found


def ordered(node: Node, *, is_descending: bool) -> Node:
    """What is missing stands last."""
    return exp.Ordered(this=node, desc=is_descending, nulls_first=False)


def select(
    columns: Sequence[Node],
    source: Node | str,
    *,
    where: Sequence[Node] = (),
    joins: Sequence[Node] = (),
    group: int = 0,
    distinct: bool = False,
) -> exp.Select:
    """group  so many of the first columns are what is grouped by; joins are exp.Join."""
    origin = table(source) if isinstance(source, str) else source
    query = exp.Select(expressions=list(columns) or [number(1)])
    query.set("from_" if "from_" in exp.Select.arg_types else "from", exp.From(this=origin))
    if joins:
        query.set("joins", list(joins))
    if where:
        query.set("where", exp.Where(this=every(where)))
    if group:
        query.set("group", exp.Group(expressions=[number(n) for n in range(1, group + 1)]))
    if distinct:
        query.set("distinct", exp.Distinct())
    return query


def table(name: str, called: str = "") -> Node:
    """exp.to_table() would have its parser read the name."""
    made = exp.Table(this=exp.to_identifier(name, quoted=True))
    if called:
        made.set("alias", exp.TableAlias(this=exp.to_identifier(called, quoted=True)))
    return made


def within_brackets(query: exp.Select, name: str) -> Node:
    """A query as what another one reads from."""
    return exp.Subquery(this=query, alias=exp.TableAlias(this=exp.to_identifier(name, quoted=True)))


def join(other: str, on: Sequence[Node], *, name: str = "", kind: str = "", side: str = "") -> Node:
    return exp.Join(this=table(other, name), on=every(on), kind=kind or None, side=side or None)
