"""Which byte a message begins with when a condition holds: most conditions need not be looked at for most messages."""

from __future__ import annotations

import operator
from collections.abc import Callable

from spanline.protocols.language import Among, Constant, Expression, Operation, Text

ALL = (1 << 256) - 1

_COMPARISONS: dict[str, Callable[[int, int], bool]] = {
    "equal": operator.eq, "unequal": operator.ne, "less": operator.lt, "less-equal": operator.le,
}  # fmt: skip
_NUMBERS: dict[str, Callable[[int, int], int]] = {
    "add": operator.add, "subtract": operator.sub, "multiply": operator.mul, "bit-and": operator.and_,
    "shift-right": operator.rshift,
}  # fmt: skip


def first_bytes(condition: Expression) -> int:
    """The bytes with which a message may begin for which `condition` holds, as bits of a number.

    There may be more of them than necessary, and ALL where the condition says nothing of the first byte. Where they are
    not ALL, it does not hold for a message without bytes.
    """
    if isinstance(condition, Operation):
        if condition.name == "and":
            return first_bytes(condition.operands[0]) & first_bytes(condition.operands[1])
        if condition.name == "or":
            return first_bytes(condition.operands[0]) | first_bytes(condition.operands[1])
        if condition.name in _COMPARISONS:
            return _compared(condition)
    if isinstance(condition, Among):
        values = [_value(condition.number, byte) for byte in range(256)]
        return ALL if None in values else sum(1 << n for n, value in enumerate(values) if value in condition.numbers)
    if isinstance(condition, Text) and condition.name.startswith("text") and _is(condition.at, 0) and condition.text:
        letter = condition.text[:1]
        letters = {letter} if condition.name == "text" else {letter, letter.lower(), letter.upper()}
        return sum(1 << one[0] for one in letters)
    return ALL


def _compared(comparison: Operation) -> int:
    left, right = comparison.operands
    if comparison.name == "equal" and isinstance(right, Constant) and _is_read_of_front(left):
        assert isinstance(left, Operation)
        return 1 << (right.value >> 8 * (left.width - 1)) if right.value < 1 << 8 * left.width else 0
    compare = _COMPARISONS[comparison.name]
    found = 0
    for byte in range(256):
        values = _value(left, byte), _value(right, byte)
        if values[0] is None or values[1] is None:
            return ALL
        found |= compare(values[0], values[1]) << byte
    return found


def _value(number: Expression, byte: int) -> int | None:
    """`number` of a message that begins with `byte`, None where that does not tell."""
    if isinstance(number, Constant):
        return number.value
    if not isinstance(number, Operation):
        return None
    if _is_read_of_front(number):
        return byte if number.width == 1 else None
    if number.name not in _NUMBERS:
        return None
    left, right = number.operands
    if number.name == "bit-and" and isinstance(right, Constant) and _is_read_of_front(left):
        assert isinstance(left, Operation)
        others = 8 * (left.width - 1)
        return None if right.value & ((1 << others) - 1) else byte << others & right.value
    values = _value(left, byte), _value(right, byte)
    return None if values[0] is None or values[1] is None else _NUMBERS[number.name](values[0], values[1])


def _is_read_of_front(number: Expression) -> bool:
    return isinstance(number, Operation) and number.name == "read" and _is(number.operands[0], 0)


def _is(number: Expression, value: int) -> bool:
    return isinstance(number, Constant) and number.value == value
