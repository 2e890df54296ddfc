"""Text of a display filter to the tree of syntax.py: the grammar of tshark 4.0, wireshark-filter(4)."""

from __future__ import annotations

import re
from functools import cache
from ipaddress import IPv6Address
from typing import Any, NoReturn

from lark import Lark, Token
from lark.exceptions import UnexpectedCharacters, UnexpectedToken, VisitError
from lark.visitors import Transformer_NonRecursive

from spanline.errors import quoted
from spanline.filters import syntax
from spanline.filters.errors import FilterError
from spanline.filters.text import ranges, unescape

GRAMMAR = r"""
start: [disjunction]
?disjunction: conjunction (_OR conjunction)*
?conjunction: negation (_AND negation)*
?negation: _NOT negation                         -> refuted
    | "(" disjunction ")"
    | test
?test: arithmetic                                -> exists
    | [QUANTIFIER] arithmetic (COMPARISON arithmetic)+  -> relation
    | [QUANTIFIER] arithmetic CONTAINS arithmetic     -> relation
    | [QUANTIFIER] arithmetic MATCHES arithmetic      -> relation
    | [QUANTIFIER] entity _IN set                     -> member
    | [QUANTIFIER] entity _NOT _IN set                -> stranger
set: "{" element ("," element)* "}"
?element: single
    | single _DOTS single                        -> range
?arithmetic: sum
    | sum (AMPERSAND sum)+                       -> operation
?sum: product
    | product (SIGN product)+                    -> operation
?product: factor
    | factor (FACTOR factor)+                    -> operation
?factor: single
    | "{" arithmetic "}"
?single: entity
    | SIGN entity                                -> signed
?entity: atom
    | entity SLICE                               -> sliced
?atom: WORD                                      -> word
    | COLONS                                     -> colons
    | PREFIX                                     -> prefix
    | STRING                                     -> string
    | RAW                                        -> raw
    | CHARACTER                                  -> character
    | WORD LAYER                                 -> layered
    | WORD "(" [arithmetic ("," arithmetic)*] ")"  -> call

_OR: "||"
_AND: "&&"
_NOT: "!"
_DOTS: ".."
COMPARISON.2: /===|!==|==|!=|~=|>=|<=|>|</
MATCHES: "~"
AMPERSAND: "&"
SIGN: /[+-]/
FACTOR: /[*\/%]/
LAYER: /#(?:\d+|\[[^\]]*\])/
SLICE: /\[[^\]]*\]/
RAW.3: /[rR]"(?:[^"\\]|\\.)*"/s
STRING: /"(?:[^"\\]|\\.)*"/s
CHARACTER: /'(?:[^'\\]|\\.)*'/s
PREFIX.3: /\d+\.\d+\.\d+\.\d+\/\d+/
COLONS.2: /[0-9A-Za-z]*:[0-9A-Za-z:]*[0-9A-Za-z_.-]*(?:\/\d+)?/
WORD.1: /\.?[0-9A-Za-z_][0-9A-Za-z_-]*(?:\.[0-9A-Za-z_-]+)*/
%declare _IN CONTAINS QUANTIFIER
%import common.WS
%ignore WS
"""

_WORDS = {
    "and": "_AND", "or": "_OR", "not": "_NOT", "in": "_IN", "contains": "CONTAINS", "matches": "MATCHES",
    "any": "QUANTIFIER", "all": "QUANTIFIER", "bitwise_and": "AMPERSAND",
    **dict.fromkeys(("eq", "ne", "gt", "lt", "ge", "le", "any_eq", "all_eq", "any_ne", "all_ne"), "COMPARISON"),
}  # fmt: skip
_OPERATORS = {
    "eq": "==", "any_eq": "==", "ne": "!=", "all_ne": "!=", "~=": "!==", "any_ne": "!==", "all_eq": "===",
    "gt": ">", "lt": "<", "ge": ">=", "le": "<=", "~": "matches", "bitwise_and": "&",
}  # fmt: skip
_INSTEAD = {
    "=": "write == for equality", "<>": "write !=", "|": "write || or or", "^": "there is no exclusive or",
    "xor": "there is no exclusive or", ";": "tests are joined by && and ||", "=>": "write >=", "=<": "write <=",
    "is": "write ==", "equals": "write ==", "like": "write matches or contains", "bitand": "write &",
    "$": "macros and references to a selected frame are Wireshark's", "@": "raw fields came with Wireshark 4.2",
}  # fmt: skip


def parse(text: str) -> syntax.Test | None:
    """The tree of a filter, None of an empty one. Raises FilterError."""
    try:
        tree = _parser().parse(text)
    except UnexpectedToken as error:
        token = error.token
        if token.type == "$END":
            _refuse_end(text)
        _refuse(text, token.start_pos or 0, token.end_pos or len(text))
    except UnexpectedCharacters as error:
        _refuse_character(text, error.pos_in_stream or 0)
    try:
        return _Reader(text).transform(tree)  # type: ignore[no-any-return]
    except VisitError as error:
        if isinstance(error.orig_exc, FilterError):
            raise error.orig_exc from None
        raise


@cache
def _parser() -> Lark:
    return Lark(GRAMMAR, parser="lalr", lexer="basic", lexer_callbacks={"WORD": _keyword})


def _keyword(token: Token) -> Token:
    """Words are names or values, except those that the grammar knows."""
    token.type = _WORDS.get(str(token), token.type)
    return token


class _Reader(Transformer_NonRecursive):  # type: ignore[type-arg]
    """Lark's tree to ours. Parentheses leave nothing behind, and not not what it began with."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self._text = text

    def start(self, children: list[Any]) -> syntax.Test | None:
        return children[0] if children else None

    def disjunction(self, tests: list[syntax.Test]) -> syntax.Test:
        return syntax.Combination(tests[0].start, tests[-1].end, False, tuple(tests))

    def conjunction(self, tests: list[syntax.Test]) -> syntax.Test:
        return syntax.Combination(tests[0].start, tests[-1].end, True, tuple(tests))

    def refuted(self, children: list[syntax.Test]) -> syntax.Test:
        (test,) = children
        return test.of if isinstance(test, syntax.Negation) else syntax.Negation(test.start, test.end, test)

    def exists(self, children: list[syntax.Value]) -> syntax.Test:
        (value,) = children
        return syntax.Exists(value.start, value.end, value)

    def relation(self, children: list[Any]) -> syntax.Test:
        quantifier, *others = children
        values, operators = tuple(others[::2]), tuple(_OPERATORS.get(str(token), str(token)) for token in others[1::2])
        return syntax.Relation(values[0].start, values[-1].end, str(quantifier or ""), values, operators)

    def member(self, children: list[Any]) -> syntax.Membership:
        quantifier, value, elements = children
        return syntax.Membership(value.start, value.end, str(quantifier or ""), value, elements)

    def stranger(self, children: list[Any]) -> syntax.Test:
        member = self.member(children)
        return syntax.Negation(member.start, member.end, member)

    def set(self, elements: list[syntax.Value | syntax.Range]) -> tuple[syntax.Value | syntax.Range, ...]:
        return tuple(elements)

    def range(self, ends: list[syntax.Value]) -> syntax.Range:
        low, high = ends
        return syntax.Range(low.start, high.end, low, high)

    def operation(self, children: list[Any]) -> syntax.Operation:
        operators = [_OPERATORS.get(str(token), str(token)) for token in children[1::2]]
        others = tuple(zip(operators, children[2::2], strict=True))
        return syntax.Operation(children[0].start, children[-1].end, children[0], others)

    def signed(self, children: list[Any]) -> syntax.Signed:
        sign, of = children
        return syntax.Signed(sign.start_pos, of.end, str(sign), of)

    def sliced(self, children: list[Any]) -> syntax.Sliced:
        of, token = children
        return syntax.Sliced(of.start, token.end_pos, of, ranges(token[1:-1], self._text, token.start_pos + 1))

    def layered(self, children: list[Token]) -> syntax.Layered:
        name, token = children
        word, (start, end) = self.word([name]), _place(token)
        if token[1] == "[":
            layers = ranges(token[2:-1], self._text, start + 2)
        else:
            layers = ranges(token[1:], self._text, start + 1)
        return syntax.Layered(word.start, end, word, layers)

    def call(self, children: list[Any]) -> syntax.Call:
        name, *arguments = children
        word = self.word([name])
        some = tuple(argument for argument in arguments if argument is not None)
        return syntax.Call(word.start, some[-1].end if some else word.end, word, some)

    def word(self, children: list[Token]) -> syntax.Word:
        (token,) = children
        start, end = _place(token)
        return syntax.Word(start, end, token.removeprefix("."), is_name=token.startswith("."))

    def colons(self, children: list[Token]) -> syntax.Word:
        """Octets or an IPv6 address; with a single colon before it any value."""
        (token,) = children
        start, end = _place(token)
        if token[0] == ":" and token[1:2] not in (":", ""):
            value = token[1:]
        else:
            value = str(token)
        if ":" in value and not (_OCTETS.fullmatch(value) or _is_ipv6(value)):
            raise FilterError(f"{quoted(value)} is neither an address nor bytes like 00:1a:2b", self._text, start, end)
        return syntax.Word(start, end, value, is_value=True)

    def prefix(self, children: list[Token]) -> syntax.Word:
        (token,) = children
        return syntax.Word(*_place(token), str(token), is_value=True)

    def string(self, children: list[Token]) -> syntax.Text:
        (token,) = children
        start, end = _place(token)
        return syntax.Text(start, end, unescape(token[1:-1], self._text, start + 1))

    def raw(self, children: list[Token]) -> syntax.Text:
        (token,) = children
        start, end = _place(token)
        return syntax.Text(start, end, token[2:-1].encode(errors="surrogateescape"))

    def character(self, children: list[Token]) -> syntax.Character:
        (token,) = children
        start, end = _place(token)
        code = unescape(token[1:-1], self._text, start + 1)
        if len(code) != 1 or (len(token) == 4 and not token[2:3].isdigit()):
            hint = "write 'a', '\\x41' or '\\101'; strings stand in double quotes"
            raise FilterError(f"{quoted(str(token))} is not one character", self._text, start, end, hint=hint)
        return syntax.Character(start, end, code[0], str(token))


def _place(token: Token) -> tuple[int, int]:
    return token.start_pos or 0, token.end_pos or 0


_CAPTURE_WORDS = {"port", "host", "net", "src", "dst", "portrange", "proto"}
_IN_SET = re.compile(r"\bin\s*\{[^{}]*$")
_OCTETS = re.compile(r"[0-9A-Fa-f]{2}(:[0-9A-Fa-f]{2})+")


def _is_ipv6(text: str) -> bool:
    try:
        IPv6Address(text.partition("/")[0])
    except ValueError:
        return False
    return True


def _refuse_end(text: str) -> NoReturn:
    what = "a ) is missing at the end" if text.count("(") > text.count(")") else "the filter ends too early"
    raise FilterError(what, text, len(text), len(text))


def _refuse(text: str, start: int, end: int) -> NoReturn:
    """Refuses a word that is right somewhere else."""
    raise FilterError(
        f"{quoted(text[start:end])} was not expected here", text, start, end, hint=_advice(text, start, end)
    )


def _advice(text: str, start: int, end: int) -> str:
    word, before = text[start:end], text[:start].rstrip()
    lower = word.lower()
    last = re.split(r"[\s()!&|]+", before)[-1]
    is_value = (word[0].isalnum() or word[0] in "\"':_") and lower not in _WORDS
    if lower in _WORDS and lower != word:
        return f"write {lower}"
    if last.lower() in _WORDS and last.lower() != last:
        return f"write {last.lower()}"
    if last in _CAPTURE_WORDS and is_value:
        return "-Y is not for capture filters; write tcp.port == 80 or ip.addr == 10.0.0.1"
    if word == ">" and before.endswith("<"):
        return _INSTEAD["<>"]
    if lower in _INSTEAD:
        return _INSTEAD[lower]
    if word == "}" and before[-1:] in "{,":
        return "a set has values between its commas"
    if _IN_SET.search(before):
        return "write commas between the values of a set" if is_value else "a set has values, fields and functions"
    if word == "(" and before[-1:] in tuple("=<>&+-*/%"):
        return "arithmetic is grouped by { and }"
    if word == "in":
        return "only a field can be tested for being in a set"
    if word == ")" and text.count(")") > text.count("("):
        return "there is no ( for it"
    return "an operator is missing before it" if is_value and before else ""


def _refuse_character(text: str, at: int) -> NoReturn:
    """Refuses what begins no word at all."""
    character = text[at]
    two = text[at : at + 2]
    if character in "\"'":
        raise FilterError("the quote has no end", text, at, len(text), hint=f"close it with {character}")
    if character == "[" or two == "#[":
        raise FilterError("the bracket has no end", text, at, len(text), hint="close it with ]")
    if character == "#":
        raise FilterError("# needs the number of a layer", text, at, at + 1, hint="write ip.src#2 or ip.src#[1-2]")
    if not character.isascii():
        what = f"{quoted(character)} may only stand in double quotes"
        raise FilterError(what, text, at, at + 1)
    hint = _INSTEAD.get(two) or _INSTEAD.get(character, "")
    raise FilterError(f"{quoted(character)} was not expected here", text, at, at + 1, hint=hint)
