"""Text of a query to its tree, checked against the dictionary."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import tzinfo
from typing import Any, cast

from lark import UnexpectedToken

from spanline.query import tree
from spanline.query.asking import Syntax, children, ends, in_groups, order_key, projection, token_of, trees, whole
from spanline.query.cleaning import clean
from spanline.query.conditions import between_both, both, condition, from_one_to_other
from spanline.query.errors import QueryError
from spanline.query.grammar import parsed
from spanline.query.lexing import tokens
from spanline.query.names import Reading
from spanline.query.parameters import filled, spelled_out
from spanline.query.properties import Entity
from spanline.query.times import clock
from spanline.query.tree import Property
from spanline.query.unexpected import refuse
from spanline.query.window import TIMES, is_time, window_of

LONGEST = 200_000
"""Characters that a query may have: they take a second to read, and a list of ten thousand addresses has room."""

_CLAUSES = {"where": "where", "group": "group by", "order": "order by", "limit": "limit", "towards": "from … to"}
_AGGREGATES = (tree.Count, tree.Aggregate, tree.Series, tree.OfSeries)


def parse(
    text: str,
    *,
    now: int | None = None,
    timezone: str | tzinfo | None = None,
    parameters: Mapping[str, Sequence[str]] | None = None,
) -> tree.Query:
    """The tree of a query.

    now         ns since the epoch, what `today` and `at now` are relative to; None: what the clock says
    timezone    of dates and days, by its IANA name; None: this machine's
    parameters  values of $name by name in lower case, as they would stand in quotes; several only in a list

    What spanline has no record of is read all the same: Query.unanswered says so. Raises QueryError, and UsageError
    when there is no such time zone.
    """
    if len(text) > LONGEST:
        raise QueryError(f"a query has at most {LONGEST:,} characters", text[:LONGEST], 0, 1)
    cleaned = clean(text)
    written = tokens(cleaned)
    terminals = filled(written, cleaned, parameters or {})
    try:
        syntax = parsed(terminals)
    except UnexpectedToken as error:
        refuse(error.token, error.accepts or error.expected, cleaned, terminals)
    reading = Reading(cleaned, clock(now, timezone))
    return _query(reading, syntax, spelled_out(written, cleaned, parameters or {}))


def _query(reading: Reading, syntax: Syntax, text: str, *, is_list: bool = False) -> tree.Query:
    """is_list: it is the list of an `in`, and has one column."""
    _, asked, _, _, top, named, called, *clauses = children(syntax)
    entity = reading.entity(token_of(named))
    nodes = trees(asked) if asked else []
    projections = [projection(reading, entity, node) for node in nodes]
    by_kind = _by_kind(reading, entity, clauses)
    keys = [key for clause in by_kind.get("order", []) for key in trees(trees(clause)[0])]
    group = tuple(reading.key(entity, token_of(name)) for clause in by_kind.get("group", []) for name in trees(clause))
    order = [order_key(reading, entity, key) for key in keys]
    if is_list:
        projections = [_listed(reading, entity, projections, group, syntax)]
    elif group or any(isinstance(one, _AGGREGATES) for one in projections):
        projections = [in_groups(reading, one, group, node) for one, node in zip(projections, nodes, strict=True)]
        order = [
            tree.OrderKey(cast("Any", in_groups(reading, one.by, group, key)), one.is_descending)
            for one, key in zip(order, keys, strict=True)
        ]
    else:
        _refuse_aggregates(reading, order, keys)
    limit = by_kind.get("limit")
    return tree.Query(
        text=text,
        entity=entity.name,
        projections=tuple(projections),
        top=whole(reading, top) if top else None,
        where=_where(reading, entity, called, by_kind),
        group=group,
        order=tuple(order),
        limit=whole(reading, children(limit[0])[1]) if limit else None,
        window=window_of(reading, by_kind.get("time", [])),
        unanswered=reading.unanswered,
    )


def _by_kind(reading: Reading, entity: Entity, clauses: Sequence[Syntax]) -> dict[str, list[Syntax]]:
    """Clauses by what they are; those of time together, and every other kind once."""
    found: dict[str, list[Syntax]] = {}
    for clause in clauses:
        kind = str(clause.data)
        if kind == "span":
            kind = "time" if is_time(reading, clause) or entity.name != "flows" else "towards"
        elif kind in TIMES:
            kind = "time"
        elif kind == "by":
            kind = "order"
        if kind in found and kind != "time":
            first, last = ends(clause)
            hint = "join conditions by and or or" if kind == "where" else "write commas between what it is by"
            reading.fail(f"{_CLAUSES[kind]} is there already", first, hint if kind != "limit" else "", last)
        found.setdefault(kind, []).append(clause)
    return found


def _where(reading: Reading, entity: Entity, called: Any, by_kind: dict[str, list[Syntax]]) -> tree.Condition | None:
    parts: list[tree.Condition] = []
    if called is not None:
        if entity.called is None:
            reading.fail(f"{entity.label} have no names", called, "write for instance where Source VM = 'a'")
        parts.append(tree.Test(entity.called, "=", (str(called),)))
    for clause in by_kind.get("towards", []):
        way = from_one_to_other if clause.data == "towards" else between_both
        parts.append(way(reading, entity, clause))
    for clause in by_kind.get("where", []):
        parts.append(condition(reading, entity, trees(clause)[0], lambda of: _sub_query(reading, of)))
    return both(*parts) if parts else None


def _sub_query(reading: Reading, syntax: Syntax) -> tree.Query:
    first, last = ends(syntax)
    return _query(reading, syntax, reading.text[first.start_pos or 0 : last.end_pos], is_list=True)


def _listed(
    reading: Reading, entity: Entity, asked: list[tree.Projection], group: tuple[Property, ...], syntax: Syntax
) -> tree.Listed:
    """The one column of a list: what it says, or what its entity is known by."""
    first, last = ends(syntax)
    hint = "write for instance in (list(Source VM) of flows)"
    if group or len(asked) > 1 or (asked and not isinstance(asked[0], tree.Listed | Property)):
        reading.fail("a list of values has one property, and no groups", first, hint, last)
    if not asked:
        if entity.called is None:
            reading.fail(f"{entity.label} have no names, so that they are no list of values", first, hint, last)
        return tree.Listed(entity.called)
    if isinstance(asked[0], Property):
        return tree.Listed(reading.key(entity, token_of(trees(children(syntax)[1])[0])))
    return cast("tree.Listed", asked[0])


def _refuse_aggregates(reading: Reading, order: list[tree.OrderKey], keys: list[Syntax]) -> None:
    """What is not counted together has no sum to be ordered by."""
    for one, key in zip(order, keys, strict=True):
        if not isinstance(one.by, Property):
            first, last = ends(trees(key)[0])
            of = (one.by.of if isinstance(one.by, tree.Series) else one.by).property
            hint = f"write order by {of.name}, or group by something"
            reading.fail("nothing is counted together that would have such a number", first, hint, last)
