"""Arithmetic of a display filter: 32-bit numbers as tshark has them, times in ns, and masks of bytes."""

from __future__ import annotations

import numpy as np

from spanline.fields import Kind, Octets
from spanline.filters.values import LARGEST, Data, Integers, Mask, Values, gather

_UNSIGNED = (1 << 32) - 1


def combine(operator: str, left: Values, right: Values) -> tuple[Mask, Data]:
    """Which pairs have a result, and these: of left and right, value by value.

    The left value's sign decides: unsigned arithmetic has results from 0 to 2³²-1, and differences below; signed from
    -2³¹ to 2³¹-1. What lies beyond, and divisions by zero, have none.
    """
    if left.kind not in (Kind.UNSIGNED, Kind.SIGNED, Kind.RELATIVE_TIME):
        return _masked(left, right)
    a, b = left.numbers, right.numbers
    if left.kind is Kind.RELATIVE_TIME:
        return np.ones(len(a), np.bool_), a + b if operator == "+" else a - b
    signed = (a < 0) | (left.kind is Kind.SIGNED)
    if operator == "&":
        bits = (a & _UNSIGNED) & (b & _UNSIGNED)
        return np.ones(len(a), np.bool_), np.where(signed & (bits > LARGEST), bits - (1 << 32), bits)
    kept = np.where(signed, b <= LARGEST, b >= 0)
    if operator in "/%":
        kept &= b != 0
        b = np.where(b == 0, 1, b)
    result = _result(operator, a, b)
    least = np.where(signed | (operator == "-"), -LARGEST - 1, 0)
    kept &= (result >= least) & (result <= np.where(signed, LARGEST, _UNSIGNED))
    return kept, result[kept]


def _result(operator: str, a: Integers, b: Integers) -> Integers:
    if operator == "+":
        return a + b
    if operator == "-":
        return a - b
    if operator == "*":
        # Of 32-bit numbers, so that it fits 64 bits; what does not is below zero.
        return a * b
    remainder = np.fmod(a, b)
    quotient: Integers = (a - remainder) // b
    return remainder if operator == "%" else quotient


def _masked(left: Values, right: Values) -> tuple[Mask, Data]:
    """Bits of addresses and bytes; the shorter one's length."""
    if not isinstance(left.data, Octets) and not isinstance(right.data, Octets):
        return np.ones(len(left), np.bool_), left.fixed & right.fixed
    one, other = left.octets, right.octets
    lengths = np.minimum(np.diff(one.offsets), np.diff(other.offsets))
    a, b = gather(one.data, one.offsets[:-1], lengths), gather(other.data, other.offsets[:-1], lengths)
    made = Octets(a.data & b.data, a.offsets)
    if left.kind is not Kind.ETHER:
        return np.ones(len(left), np.bool_), made
    whole = lengths == 6
    return whole, gather(made.data, made.offsets[:-1][whole], lengths[whole]).data.reshape(-1, 6)
