"""The meaning of a display filter: names become fields, and values constants of the right kind."""

from __future__ import annotations

from collections.abc import Iterable
from typing import NoReturn

from spanline import fields
from spanline.errors import nearest, quoted
from spanline.fields import Kind
from spanline.filters import syntax, tree
from spanline.filters.errors import FilterError
from spanline.filters.literals import NAMES, Unfit, Wanted, constant
from spanline.filters.patterns import pattern
from spanline.filters.sizes import size_of

_INTEGERS = (Kind.UNSIGNED, Kind.SIGNED)
_SLICED = (Kind.IPV4, Kind.IPV6, Kind.ETHER, Kind.BYTES, Kind.STRING, Kind.PROTOCOL)
_SEARCHED = (Kind.ETHER, Kind.BYTES, Kind.STRING, Kind.PROTOCOL)
_COMPARABLE = tuple(kind for kind in Kind if kind is not Kind.NONE)
_SIDES = (
    {Kind.UNSIGNED, Kind.SIGNED},
    {Kind.ETHER, Kind.BYTES},
)
_MASKED = (Kind.UNSIGNED, Kind.SIGNED, Kind.IPV4, Kind.IPV6, Kind.ETHER, Kind.BYTES)
_ADDED = (Kind.UNSIGNED, Kind.SIGNED, Kind.RELATIVE_TIME)

# What each function takes, and how many; None is any number from 1.
_FUNCTIONS: dict[str, tuple[tuple[Kind, ...], int | None]] = {
    "len": (tuple(Kind), 1),
    "count": (tuple(Kind), 1),
    "lower": ((Kind.STRING,), 1),
    "upper": ((Kind.STRING,), 1),
    "string": ((Kind.UNSIGNED, Kind.SIGNED, Kind.IPV4, Kind.IPV6, Kind.ETHER), 1),
    "max": (_COMPARABLE, None),
    "min": (_COMPARABLE, None),
    "abs": ((Kind.UNSIGNED, Kind.SIGNED, Kind.BOOLEAN, Kind.RELATIVE_TIME), 1),
}
_OF_FIELDS = ("len", "count", "lower", "upper", "string")

Literal = (syntax.Text, syntax.Character)


class Checker:
    """Gives the parts of one filter their meaning."""

    def __init__(self, text: str) -> None:
        self._text = text
        self._depth = 0
        self.fields: set[fields.Field] = set()

    def test(self, node: syntax.Test) -> tree.Test:
        self._depth += 1
        if self._depth > syntax.DEEPEST:
            self._refuse(f"more than {syntax.DEEPEST} levels inside one another", node)
        try:
            return self._test(node)
        finally:
            self._depth -= 1

    def _test(self, node: syntax.Test) -> tree.Test:
        if isinstance(node, syntax.Combination):
            tests = tuple(self.test(part) for part in node.tests)
            return tree.All(tests) if node.all else tree.Any(tests)
        if isinstance(node, syntax.Negation):
            return tree.Not(self.test(node.of))
        if isinstance(node, syntax.Exists):
            return self._exists(node.value)
        if isinstance(node, syntax.Membership):
            return self._membership(node, node.quantifier == "all")
        if len(node.values) == 2:
            return self._relation(*node.values, node.operators[0], node.quantifier)
        pairs = zip(node.values, node.values[1:], node.operators, strict=False)
        return tree.All(tuple(self._relation(*pair, node.quantifier) for pair in pairs))

    def _exists(self, node: syntax.Value) -> tree.Test:
        while isinstance(node, syntax.Signed) and node.sign == "+":
            node = node.of
        if isinstance(node, syntax.Call):
            name = node.name.text
            self._refuse("a function alone is no test", node.name, hint=f"write {name}(…) > 0, for instance")
        if isinstance(node, syntax.Word | syntax.Layered):
            return tree.Present(self._reference(node))
        if isinstance(node, Literal):
            self._refuse("a value alone is no test", node, hint="name a field")
        return tree.Nonzero(self.value(node))

    def _relation(self, left: syntax.Value, right: syntax.Value, operator: str, quantifier: str) -> tree.Test:
        every = quantifier == "all" if quantifier else operator in ("===", "!=")
        operator = {"===": "==", "!==": "!="}.get(operator, operator)
        value = self.value(left)
        if operator == "matches":
            return self._matches(value, left, right, every)
        if operator == "contains":
            if value.kind not in _SEARCHED:
                self._refuse(f"{_named(value)} cannot contain anything", left, hint=_text_of(value))
            return tree.Comparison(value, operator, self._side(right, value, searched=True), every)
        self._require(value, left, _COMPARABLE, "compared")
        return tree.Comparison(value, operator, self._side(right, value), every)

    def _matches(self, value: tree.Value, left: syntax.Value, right: syntax.Value, every: bool) -> tree.Test:
        if value.kind not in _SEARCHED:
            self._refuse(f"{_named(value)} cannot be matched with an expression", left, hint=_text_of(value))
        if not isinstance(right, syntax.Text):
            self._refuse("a regular expression stands in double quotes", right)
        try:
            return tree.Matches(value, pattern(right.octets), every)
        except Unfit as error:
            self._refuse(error.args[0], right, hint=error.args[1])

    def _membership(self, node: syntax.Membership, every: bool) -> tree.Test:
        if not isinstance(node.value, syntax.Word | syntax.Layered):
            self._refuse("only a field can be tested for being in a set", node.value)
        value = self._reference(node.value)
        self._require(value, node.value, _COMPARABLE, "compared")
        tests: list[tree.Test] = []
        for element in node.elements:
            if isinstance(element, syntax.Range):
                ends = self._element(element.low, value), self._element(element.high, value)
                tests.append(tree.Between(value, *ends, every))
            else:
                tests.append(tree.Comparison(value, "==", self._element(element, value), every))
        return tree.Any(tuple(tests))

    def _element(self, node: syntax.Value, value: tree.Value) -> tree.Value:
        if isinstance(node, syntax.Sliced):
            self._refuse("a slice cannot be in a set", node)
        return self._side(node, value)

    def value(self, node: syntax.Value) -> tree.Value:
        """The left side of something, or an argument: with a field in it somewhere."""
        self._depth += 1
        if self._depth > syntax.DEEPEST:
            self._refuse(f"more than {syntax.DEEPEST} levels inside one another", node)
        try:
            return self._value(node)
        finally:
            self._depth -= 1

    def _value(self, node: syntax.Value) -> tree.Value:
        if isinstance(node, syntax.Word | syntax.Layered):
            return self._reference(node)
        if isinstance(node, syntax.Sliced):
            of = self.value(node.of)
            self._require(of, node.of, _SLICED, "cut into bytes")
            return tree.Slice(of, node.ranges)
        if isinstance(node, syntax.Call):
            return self._call(node)
        if isinstance(node, syntax.Signed):
            if not _has_field(node.of):
                self._refuse("what is compared begins with a field, not a value", node)
            of = self.value(node.of)
            if node.sign == "+":
                return of
            self._require(of, node.of, _ADDED, "negative")
            return tree.Negative(of)
        if isinstance(node, syntax.Operation):
            self._limit(node)
            if not _has_field(node.first):
                self._refuse("arithmetic here begins with a field, not a value", node.first)
            value = self.value(node.first)
            for operator, other in node.others:
                value = self._arithmetic(value, node.first, operator, other)
            return value
        self._refuse("what is compared begins with a field, not a value", node)

    def _arithmetic(self, left: tree.Value, first: syntax.Value, operator: str, node: syntax.Value) -> tree.Value:
        kinds = _MASKED if operator == "&" else _ADDED if operator in "+-" else _INTEGERS
        if left.kind not in kinds:
            self._refuse(f"{_named(left)} has no {operator}", first)
        right = self._side(node, left, strict=True)
        return tree.Arithmetic(operator, left, right)

    def _side(
        self, node: syntax.Value, left: tree.Value, *, searched: bool = False, strict: bool = False
    ) -> tree.Value:
        """The right side of something: a value of the kind of the left one."""
        self._depth += 1
        if self._depth > syntax.DEEPEST:
            self._refuse(f"more than {syntax.DEEPEST} levels inside one another", node)
        try:
            return self._right(node, left, searched, strict)
        finally:
            self._depth -= 1

    def _right(self, node: syntax.Value, left: tree.Value, searched: bool, strict: bool) -> tree.Value:
        if isinstance(node, syntax.Operation) and not _has_field(node.first):
            return self._constants(node, left)
        if not self._is_constant(node):
            right = self.value(node)
            if not _fits(left, right, strict):
                what = f"{_named(left)} and {_named(right)} cannot be compared"
                self._refuse(what, node, hint=f"one is {NAMES[left.kind]}, the other {NAMES[right.kind]}")
            return right
        assert isinstance(node, syntax.Word | syntax.Text | syntax.Character | syntax.Signed)
        texts = left.field.texts if isinstance(left, tree.Reference) else {}
        try:
            return constant(node, Wanted(left.kind, _size(left), texts, searched, strict))
        except Unfit as error:
            hint = error.args[1]
            if isinstance(node, syntax.Word) and not hint:
                hint = nearest(node.text, fields.names()) if "." in node.text and node.text[0].isalpha() else ""
            self._refuse(error.args[0], node, hint=hint)

    def _constants(self, node: syntax.Operation, left: tree.Value) -> tree.Value:
        """Arithmetic that begins with a value: 2 * 40, or 2 * tcp.srcport."""
        self._limit(node)
        operators = "".join(operator for operator, _ in node.others)
        kinds = _INTEGERS if set(operators) & set("*/%") else _ADDED if set(operators) & set("+-") else _MASKED
        if left.kind not in kinds:
            self._refuse(f"{_named(left)} has no {operators[0]}", node)
        value = self._side(node.first, left, strict=True)
        for operator, other in node.others:
            value = tree.Arithmetic(operator, value, self._side(other, left, strict=True))
        return value

    def _is_constant(self, node: syntax.Value) -> bool:
        if isinstance(node, syntax.Signed):
            return self._is_constant(node.of)
        if isinstance(node, syntax.Word):
            return node.is_value or not (node.is_name or fields.find(node.text))
        return isinstance(node, Literal)

    def _call(self, node: syntax.Call) -> tree.Value:
        name, given = node.name.text, node.arguments
        if name not in _FUNCTIONS:
            hint = nearest(name, _FUNCTIONS) or f"there are {', '.join(_FUNCTIONS)}"
            self._refuse(f"there is no function {quoted(name)}", node.name, hint=hint)
        kinds, most = _FUNCTIONS[name]
        if not given:
            self._refuse(f"{name}() needs an argument", node.name, hint=f"write {name}(ip.ttl), for instance")
        if most is not None and len(given) > most:
            self._refuse(f"{name}() takes one argument", given[most])
        if name in _OF_FIELDS and not isinstance(given[0], syntax.Word | syntax.Layered):
            self._refuse(f"{name}() takes a field", given[0])
        first = self.value(given[0])
        if first.kind not in kinds:
            self._refuse(f"{name}() takes no {_named(first)}", given[0], hint=f"it is {NAMES[first.kind]}")
        if isinstance(first, tree.Slice):
            self._refuse(f"{name}() takes no slice", given[0])
        others = tuple(self._side(argument, first) for argument in given[1:])
        kind = {"len": Kind.UNSIGNED, "count": Kind.UNSIGNED, "string": Kind.STRING}.get(name, first.kind)
        return tree.Call(name, (first, *others), kind)

    def _reference(self, node: syntax.Word | syntax.Layered) -> tree.Reference:
        word = node if isinstance(node, syntax.Word) else node.word
        field = None if word.is_value else fields.find(word.text)
        if field is None:
            if word.text[:1].isdigit() or word.is_value:
                self._refuse(
                    f"{quoted(word.text)} is not a field", word, hint="what is asked about begins with a field"
                )
            hint = nearest(word.text, fields.names()) or nearest(word.text.lower(), fields.names())
            if word.text in _FUNCTIONS:
                hint = f"{word.text}(…) is a function"
            self._refuse(f"there is no field {quoted(word.text)}", word, hint=hint)
        self.fields.add(field)
        return tree.Reference(field, node.layers if isinstance(node, syntax.Layered) else ())

    def _require(self, value: tree.Value, node: syntax.Value, kinds: Iterable[Kind], what: str) -> None:
        if value.kind not in kinds:
            hint = "it is there or not" if value.kind is Kind.NONE else f"it is {NAMES[value.kind]}"
            self._refuse(f"{_named(value)} cannot be {what}", node, hint=hint)

    def _limit(self, node: syntax.Operation) -> None:
        if len(node.others) > syntax.DEEPEST:
            self._refuse(f"more than {syntax.DEEPEST} operators in a row", node)

    def _refuse(self, message: str, node: syntax.Node, *, hint: str = "") -> NoReturn:
        raise FilterError(message, self._text, node.start, node.end, hint=hint)


def _has_field(node: syntax.Value) -> bool:
    """Whether something can be the left side: tshark looks at what it begins with."""
    while isinstance(node, syntax.Signed | syntax.Operation):
        node = node.of if isinstance(node, syntax.Signed) else node.first
    if isinstance(node, syntax.Word):
        return not node.is_value and (node.is_name or fields.find(node.text) is not None or node.text[0].isalpha())
    return not isinstance(node, Literal)


def _fits(left: tree.Value, right: tree.Value, strict: bool) -> bool:
    """Whether two values can be compared or searched in one another, or with `strict` combined by an operator."""
    if left.kind is right.kind or any(left.kind in side and right.kind in side for side in _SIDES):
        return True
    if left.kind in _INTEGERS and right.kind is Kind.BOOLEAN:
        return not strict
    cut = isinstance(left, tree.Slice) or isinstance(right, tree.Slice)
    return cut and not strict and left.kind in _SLICED and right.kind in _SLICED


def _size(value: tree.Value) -> int:
    """Bytes of the type that a computed value has."""
    if isinstance(value, tree.Reference):
        return size_of(value.field)
    if isinstance(value, tree.Arithmetic):
        return _size(value.left)
    if isinstance(value, tree.Negative):
        return _size(value.of)
    if isinstance(value, tree.Call) and value.name in ("max", "min", "abs"):
        return _size(value.arguments[0])
    return 4


def _named(value: tree.Value) -> str:
    if isinstance(value, tree.Reference):
        return value.field.name
    if isinstance(value, tree.Call):
        return f"{value.name}()"
    return {tree.Slice: "a slice", tree.Constant: "a value"}.get(type(value), "arithmetic")


def _text_of(value: tree.Value) -> str:
    """A hint for those who look for text in what is none."""
    if isinstance(value, tree.Reference) and value.kind in _FUNCTIONS["string"][0]:
        return f"string({value.field.name}) is its text"
    return f"it is {NAMES[value.kind]}"
