"""Conditions of a query to SQL.

A test of a missing value is false, and its opposite true: `not in` keeps what has no value. SQL says NULL to both, and
drops it; so a negated test is NOT COALESCE(test, FALSE) here, and a plain one stays as it is, as NULL is as good as
FALSE where only AND and OR stand above it.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Protocol

from sqlglot import exp

from spanline.query import nodes
from spanline.query.nodes import Node
from spanline.query.tree import And, Condition, Kind, Network, Not, Or, Property, Query, Test, Value

_OPPOSITES = {
    "!=": "=", "not in": "in", "not like": "like", "not contains": "contains", "not matches": "matches",
    "is not set": "is set",
}  # fmt: skip
_COMPARISONS: dict[str, type[exp.Binary]] = {"<": exp.LT, "<=": exp.LTE, ">": exp.GT, ">=": exp.GTE}
_WHOLE = (Kind.ADDRESS, Kind.MAC)
"""Kinds whose values are never parts of one another: to contain one is to be it."""


class Names(Protocol):
    """What the properties of an entity are called in SQL."""

    def columns(self, of: Property) -> Sequence[Node]:
        """One, or those of which any may have the value."""

    def tag(self, value: str) -> Node:
        """Whether a row has a tag."""

    def listed(self, query: Query) -> Node:
        """A SELECT of the one column of a sub-query."""

    def held(self, node: Node, condition: Node) -> Node:
        """What a condition of a value, one of columns(), is for a row."""

    def over(self, of: Property, condition: Node) -> Node:
        """What a condition of one of the values is for the whole row."""

    def is_never_missing(self, of: Property) -> bool: ...


def condition_of(condition: Condition, names: Names, *, is_negated: bool = False) -> Node:
    """SQL that is TRUE of what meets a condition, and FALSE or NULL of the rest."""
    if isinstance(condition, Not):
        return condition_of(condition.of, names, is_negated=not is_negated)
    if isinstance(condition, Test):
        return _test(condition, names, is_negated=is_negated)
    parts = [condition_of(part, names, is_negated=is_negated) for part in condition.parts]
    return nodes.every(parts) if isinstance(condition, And) != is_negated else nodes.some(parts)


def tests_of(condition: Condition | None) -> list[Test]:
    """All tests in a condition."""
    if condition is None:
        return []
    if isinstance(condition, Test):
        return [condition]
    if isinstance(condition, Not):
        return tests_of(condition.of)
    return [test for part in condition.parts for test in tests_of(part)]


def conjuncts(condition: Condition | None) -> list[Condition]:
    """Conditions that all have to be met."""
    if condition is None:
        return []
    if isinstance(condition, And):
        return [one for part in condition.parts for one in conjuncts(part)]
    return [condition]


def disjoined(conditions: Sequence[Condition]) -> Condition:
    return conditions[0] if len(conditions) == 1 else Or(tuple(conditions))


def _test(test: Test, names: Names, *, is_negated: bool) -> Node:
    operator = test.operator
    if operator in _OPPOSITES:
        operator, is_negated = _OPPOSITES[operator], not is_negated
    if test.property.kind is Kind.TAGS:
        # Each flow has some.
        found = nodes.some(names.tag(str(value)) for value in test.values) if test.values else exp.true()
        return nodes.is_not(found) if is_negated else found
    found = nodes.some(
        names.held(node, _of_column(node, operator, test, names)) for node in names.columns(test.property)
    )
    found = names.over(test.property, found)
    if not is_negated:
        return found
    if names.is_never_missing(test.property):
        return nodes.negated(found)
    return nodes.is_not(found)


def _of_column(node: Node, operator: str, test: Test, names: Names) -> Node:
    kind, values = test.property.kind, test.values
    if operator == "is set":
        return nodes.is_known(node)
    if test.query is not None:
        return exp.In(this=nodes.compared(node, kind), query=exp.Subquery(this=names.listed(test.query)))
    if operator in ("like", "contains", "matches") and kind not in _WHOLE:
        return nodes.some(_TEXTUAL[operator](node, str(value)) for value in values)
    if kind is Kind.ADDRESS:
        return _address(node, operator, values)
    if operator == "between":
        low, high = (_value(value, kind) for value in values)
        return exp.Between(this=nodes.compared(node, kind), low=low, high=high)
    if operator in _COMPARISONS:
        return _COMPARISONS[operator](this=nodes.compared(node, kind), expression=_value(values[0], kind))
    return nodes.one_of(nodes.compared(node, kind), [_value(value, kind) for value in values])


def _value(value: Value, kind: Kind) -> Node:
    if kind is Kind.TEXT:
        return exp.Lower(this=nodes.text(str(value)))
    if kind is Kind.MAC:
        return nodes.octets(bytes.fromhex(str(value).replace(":", "")))
    assert isinstance(value, int | float)
    return nodes.number(value)


def _address(node: Node, operator: str, values: Sequence[Value]) -> Node:
    networks = [value for value in values if isinstance(value, Network)]
    if operator == "between":
        return nodes.within(node, [Network(networks[0].first, networks[1].last)])
    if operator in _COMPARISONS:
        bound = networks[0].first if operator in ("<", ">=") else networks[0].last
        return _COMPARISONS[operator](this=node, expression=nodes.address(bound))
    return nodes.within(node, networks)


def _contains(node: Node, value: str) -> Node:
    """Case-blind; of a number, in its digits."""
    found = exp.StrPosition(this=exp.Lower(this=exp.cast(node, "text")), substr=exp.Lower(this=nodes.text(value)))
    return exp.GT(this=found, expression=nodes.number(0))


def _like(node: Node, value: str) -> Node:
    """A substring, in which * stands for anything."""
    pieces = [piece for piece in value.split("*") if piece]
    if len(pieces) < 2:
        return _contains(node, pieces[0] if pieces else "")
    pattern = "%".join(_escaped(piece) for piece in pieces)
    like = exp.Like(this=exp.Lower(this=exp.cast(node, "text")), expression=exp.Lower(this=nodes.text(f"%{pattern}%")))
    return exp.Escape(this=like, expression=nodes.text("\\"))


def _escaped(piece: str) -> str:
    return piece.replace("\\", "\\\\").replace("%", "\\%").replace("_", "\\_")


def _matches(node: Node, value: str) -> Node:
    """A regular expression of RE2, found anywhere, case-blind."""
    return exp.RegexpILike(this=exp.cast(node, "text"), expression=nodes.text(value))


_TEXTUAL: dict[str, Callable[[Node, str], Node]] = {"like": _like, "contains": _contains, "matches": _matches}
