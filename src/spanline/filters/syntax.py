"""What a display filter is made of before anything in it has a meaning: places, words, operators."""

from __future__ import annotations

from dataclasses import dataclass

DEEPEST = 100
"""How many levels of operators and functions inside one another a filter may have; parentheses alone are none."""


@dataclass(frozen=True, slots=True)
class Span:
    """A range of `#[…]` or `[…]`: indices from 0, or layers; negative ones count from the end.

    `length` items from `first`, or up to and with `last`, or up to the end when both are None.
    """

    first: int
    length: int | None = None
    last: int | None = None


@dataclass(frozen=True, slots=True)
class Node:
    """A part of a filter, and where it stands in the text."""

    start: int
    end: int


@dataclass(frozen=True, slots=True)
class Word(Node):
    """A name or a value without quotes. A dot before it says that it is a name, a colon that it is a value."""

    text: str
    is_name: bool = False
    is_value: bool = False


@dataclass(frozen=True, slots=True)
class Text(Node):
    """A string in double quotes: the bytes that it stands for."""

    octets: bytes


@dataclass(frozen=True, slots=True)
class Character(Node):
    """A character in single quotes: its code, and as it was written."""

    code: int
    text: str


@dataclass(frozen=True, slots=True)
class Layered(Node):
    """Occurrences of a field in some layers."""

    word: Word
    layers: tuple[Span, ...]


@dataclass(frozen=True, slots=True)
class Sliced(Node):
    """Some bytes of something."""

    of: Value
    ranges: tuple[Span, ...]


@dataclass(frozen=True, slots=True)
class Call(Node):
    """A function of something."""

    name: Word
    arguments: tuple[Value, ...]


@dataclass(frozen=True, slots=True)
class Signed(Node):
    """Something with + or - before it."""

    sign: str
    of: Value


@dataclass(frozen=True, slots=True)
class Operation(Node):
    """Arithmetic from left to right: the first operand, then pairs of an operator and the next."""

    first: Value
    others: tuple[tuple[str, Value], ...]


Value = Word | Text | Character | Layered | Sliced | Call | Signed | Operation


@dataclass(frozen=True, slots=True)
class Exists(Node):
    """Something alone: whether it is there, or of arithmetic whether it is not zero."""

    value: Value


@dataclass(frozen=True, slots=True)
class Relation(Node):
    """Comparisons of each of `values` with the next, all of which hold."""

    quantifier: str
    values: tuple[Value, ...]
    operators: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Range(Node):
    """A range in a set, both ends included."""

    low: Value
    high: Value


@dataclass(frozen=True, slots=True)
class Membership(Node):
    """Whether something is in a set."""

    quantifier: str
    value: Value
    elements: tuple[Value | Range, ...]


@dataclass(frozen=True, slots=True)
class Negation(Node):
    of: Test


@dataclass(frozen=True, slots=True)
class Combination(Node):
    """Tests of which all hold, or any."""

    all: bool
    tests: tuple[Test, ...]


Test = Exists | Relation | Membership | Negation | Combination
