"""Which rows of a batch a filter's tree holds for: a few numpy expressions for each test, none for each packet."""

from __future__ import annotations

from functools import singledispatch

import numpy as np

from spanline.batch import Batch
from spanline.filters import tree
from spanline.filters.presence import present
from spanline.filters.relations import is_nonzero, is_there, one_of, relate, relate_pairs, search
from spanline.filters.values import Mask, Values, evaluate, pairs


def rows_of(test: tree.Test, batch: Batch, rows: Mask | None = None) -> Mask:
    """The rows that `test` holds for, bool[n]: among all, or among those of a mask."""
    return _rows(test, batch, rows)


@singledispatch
def _rows(test: object, batch: Batch, rows: Mask | None) -> Mask:
    raise TypeError(type(test))


@_rows.register
def _(test: tree.All, batch: Batch, rows: Mask | None) -> Mask:
    for part in test.tests:
        rows = rows_of(part, batch, rows)
        if not rows.any():
            break
    assert rows is not None
    return rows


@_rows.register
def _(test: tree.Any, batch: Batch, rows: Mask | None) -> Mask:
    found = np.zeros(len(batch), np.bool_)
    left = rows
    for part in test.tests:
        found |= rows_of(part, batch, left)
        left = ~found if rows is None else rows & ~found
        if not left.any():
            break
    return found


@_rows.register
def _(test: tree.Not, batch: Batch, rows: Mask | None) -> Mask:
    kept = ~rows_of(test.test, batch, rows)
    return kept if rows is None else kept & rows


@_rows.register
def _(test: tree.Present, batch: Batch, rows: Mask | None) -> Mask:
    return present(test.reference, batch, rows)


@_rows.register
def _(test: tree.Nonzero, batch: Batch, rows: Mask | None) -> Mask:
    values = evaluate(test.value, batch, rows)
    passed = is_there(values) if isinstance(test.value, tree.Slice) else is_nonzero(values)
    return _reduce(values, passed, None, False)


@_rows.register
def _(test: tree.OneOf, batch: Batch, rows: Mask | None) -> Mask:
    values = evaluate(test.value, batch, rows)
    return _reduce(values, one_of(values, test.known), None, False)


@_rows.register
def _(test: tree.Matches, batch: Batch, rows: Mask | None) -> Mask:
    values = evaluate(test.left, batch, rows, whole=True)
    return _reduce(values, search(values, test.pattern), None, test.every)


@_rows.register
def _(test: tree.Comparison, batch: Batch, rows: Mask | None) -> Mask:
    # What is searched for a slice is itself cut into bytes before, and so no longer than its header.
    whole = test.operator == "contains" and not isinstance(test.right, tree.Slice)
    left = evaluate(test.left, batch, rows, whole=whole)
    if isinstance(test.right, tree.Constant):
        passed, unknown = relate(left, test.operator, test.right)
        return _reduce(left, passed, unknown, test.every)
    right = evaluate(test.right, batch, _both(rows, left.rows), whole=whole)
    both, one, other, _ = pairs(left, right)
    passed, unknown = relate_pairs(one, test.operator, other)
    return _reduce(both, passed, unknown, test.every)


@_rows.register
def _(test: tree.Between, batch: Batch, rows: Mask | None) -> Mask:
    values = evaluate(test.value, batch, rows)
    found = values.rows
    passed: Mask | None = None
    unknown: Mask | None = None
    for operator, end in ((">=", test.low), ("<=", test.high)):
        if isinstance(end, tree.Constant):
            result, doubt = relate(values, operator, end)
        else:
            other = evaluate(end, batch, found)
            found = found & other.rows
            result, doubt = _any_of(values, other, operator)
        # In doubt about one end, the other one decides against it, or nothing does.
        failed = ~result if doubt is None else ~result & ~doubt
        result = result if doubt is None else result & ~doubt
        passed = result if passed is None else passed & result
        unknown = ~failed if unknown is None else unknown & ~failed
    assert passed is not None
    assert unknown is not None
    return _reduce(Values(found, values.packet, values.kind, values.data), passed, unknown & ~passed, test.every)


def _any_of(values: Values, other: Values, operator: str) -> tuple[Mask, Mask | None]:
    """For each of `values`, whether the relation holds with any of the other's in its row."""
    _, one, another, index = pairs(values, other)
    passed, unknown = relate_pairs(one, operator, another)
    result = np.zeros(len(values), np.bool_)
    result[index[passed if unknown is None else passed & ~unknown]] = True
    return result, None


def _both(rows: Mask | None, others: Mask) -> Mask:
    return others if rows is None else rows & others


def _reduce(values: Values, passed: Mask, unknown: Mask | None, every: bool) -> Mask:
    """From values to rows: any passed, or with `every` none failed; what cannot be compared did neither."""
    if every:
        failed = ~passed if unknown is None else ~passed & ~unknown
        found = values.rows.copy()
        found[values.packet[failed]] = False
        return found
    if unknown is not None:
        passed = passed & ~unknown
    found = np.zeros(len(values.rows), np.bool_)
    found[values.packet[passed]] = True
    return found & values.rows
