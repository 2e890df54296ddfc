"""Text of a query to the terminals of grammar.py: keywords of several words, names of the dictionary, values.

What a word is depends on where it stands. Names are the longest that the dictionary has at their place; `in` is an
operator only before a parenthesis; what stands behind an operator is a value as far as the next keyword, so that
`vlan-1105`, `10 mb` and `United Kingdom` need no quotes.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from lark import Token

from spanline.query.errors import QueryError
from spanline.query.properties import LONGEST_NAME, entity_words, key, property_words

DEEPEST = 30
"""How many parentheses may stand inside one another."""

FUNCTIONS = {
    "sum": "sum", "avg": "avg", "average": "avg", "min": "min", "minimum": "min", "max": "max", "maximum": "max",
    "count": "count",
}  # fmt: skip

_RAW = re.compile(
    r"""(?P<string>'(?:[^']|'')*'|"(?:[^"]|"")*")|(?P<operator>[=!<>]+)|[(),]|(?P<word>[^\s(),=!<>'"]+)"""
)
_OPERATORS = {"=": "=", "==": "=", "!=": "!=", "<>": "!=", ">": ">", ">=": ">=", "<": "<", "<=": "<="}
_JOINING = {"&&": "and", "||": "or", "&": "and", "|": "or"}
_INSTEAD = {"=>": ">=", "=<": "<=", "===": "=", "!==": "!=", "!": "not or !="}
_LIKE = ("like", "contains", "matches")
_NAMES = ("ENTITY", "EITHER", "PROPERTY", "NAME")


@dataclass(frozen=True, slots=True)
class _Raw:
    """A piece of the text before it has a meaning. kind: "string", "operator", "word", or "" for punctuation."""

    kind: str
    text: str
    start: int
    end: int


def tokens(text: str) -> list[Token]:
    """The terminals of a query that is clean. Raises QueryError."""
    return _Lexer(text, _pieces(text)).run()


def _pieces(text: str) -> list[_Raw]:
    found, at = [], 0
    while at < len(text):
        if text[at].isspace():
            at += 1
            continue
        match = _RAW.match(text, at)
        if match is None:
            raise QueryError("the quote has no end", text, at, len(text), hint=f"close it with {text[at]}")
        if match[0] in _JOINING:
            hint = f"write {_JOINING[match[0]]}"
            raise QueryError(f"{match[0]!r} is no operator", text, at, match.end(), hint=hint)
        found.append(_Raw(match.lastgroup or "", match[0], at, match.end()))
        at = match.end()
    return found


def _is_number(word: str) -> bool:
    return word.isascii() and word.isdigit()


class _Lexer:
    """`_mode` says what is expected at a place.

    start   a projection or the entity          entity  the entity, behind `of` or `top 5`
    value   a value                             end     a value, before it maybe what it is the name of
    list    values between parentheses          name    everything else: names and keywords
    """

    def __init__(self, text: str, pieces: list[_Raw]) -> None:
        self._text = text
        self._pieces = pieces
        self._words = [piece.text.lower() if piece.kind == "word" else "" for piece in pieces]
        self._tokens: list[Token] = []
        self._mode = "start"
        self._of_and = "name"  # what is expected behind the next `and`
        self._may_range = False  # `between` would be an operator here
        self._is_key = False  # names here are what is grouped or ordered by
        self._depth = 0
        self._at = 0

    def run(self) -> list[Token]:
        while self._at < len(self._pieces):
            piece = self._pieces[self._at]
            if piece.kind == "string":
                quote = piece.text[0]
                self._emit("VALUE", piece.text[1:-1].replace(quote * 2, quote), 1, self._after_value())
            elif piece.kind == "operator":
                self._operator(piece)
            elif piece.kind == "":
                self._punctuation(piece)
            elif self._mode == "list":
                self._value(stops=False)
            elif self._mode in ("value", "end") and (self._is_moment(self._at) or not self._stops(self._at)):
                self._end() if self._mode == "end" else self._value()
            else:
                self._word()
        return self._tokens

    def _emit(self, kind: str, value: str, count: int, mode: str = "name") -> None:
        """A terminal of the next `count` pieces, and what is expected behind it."""
        start, end = self._pieces[self._at].start, self._pieces[self._at + count - 1].end
        self._may_range = kind in _NAMES and self._mode == "name" and not self._is_key
        self._tokens.append(Token(kind, value, start_pos=start, end_pos=end))
        self._at += count
        self._mode = mode

    def _after_value(self) -> str:
        return "list" if self._mode == "list" else "name"

    def _operator(self, piece: _Raw) -> None:
        operator = _OPERATORS.get(piece.text)
        if operator is None:
            hint = f"write {_INSTEAD[piece.text]}" if piece.text in _INSTEAD else ""
            raise QueryError(f"{piece.text!r} is no operator", self._text, piece.start, piece.end, hint=hint)
        self._emit("COMPARISON", operator, 1, "value")

    def _punctuation(self, piece: _Raw) -> None:
        if piece.text == "(":
            self._depth += 1
            if self._depth > DEEPEST:
                what = f"more than {DEEPEST} parentheses inside one another"
                raise QueryError(what, self._text, piece.start, piece.end)
            mode = "name"
            if self._tokens and self._tokens[-1].type in ("IN", "NOT_IN"):
                mode = "start" if self._begins_query(self._at + 1) else "list"
            self._emit("LPAR", "(", 1, mode)
        elif piece.text == ")":
            self._depth -= 1
            self._emit("RPAR", ")", 1)
        else:
            self._emit("COMMA", ",", 1, self._after_value())

    def _begins_query(self, at: int) -> bool:
        """Whether a query begins here, and not a list of values."""
        word, following = self._word_at(at), self._word_at(at + 1)
        if word in ("show", "list", "series", *FUNCTIONS) and (word == "show" or self._is_punctuation(at + 1, "(")):
            return True
        if (word == "count" and following == "of") or (word == "top" and _is_number(following)):
            return True
        if following == "where":
            return True
        names = self._longest(at)
        behind = at + names
        return bool(names) and (self._stops(behind) or self._word_at(behind) == "of" or self._longest(behind) > 0)

    # --- words

    def _word_at(self, at: int) -> str:
        """In lower case; "" where there is no word."""
        return self._words[at] if at < len(self._words) else ""

    def _is_punctuation(self, at: int, mark: str) -> bool:
        return at < len(self._pieces) and self._pieces[at].kind == "" and self._pieces[at].text == mark

    def _longest(self, at: int, *, entities: bool = False) -> int:
        """How many words from here on are a name of the dictionary; 0: none."""
        known = entity_words()
        properties: frozenset[str] = frozenset() if entities else property_words()
        most = 0
        while most < LONGEST_NAME and self._word_at(at + most):
            most += 1
        for count in range(most, 0, -1):
            name = key(" ".join(self._words[at : at + count]))
            if name in known or name in properties:
                return count
        return 0

    def _is_ago(self, at: int) -> bool:
        """3 days ago"""
        return _is_number(self._word_at(at)) and self._word_at(at + 2) == "ago"

    def _is_last(self, at: int) -> int:
        """How many words `last`, `in last` or `in the last` has here, when a length of time is behind it; else 0."""
        words = self._words[at : at + 3]
        for form in (["last"], ["in", "last"], ["in", "the", "last"]):
            if words[: len(form)] == form and (len(form) > 1 or _is_number(self._word_at(at + 1))):
                return len(form)
        return 0

    def _stops(self, at: int) -> bool:
        """Whether a name or value without quotes ends before this word."""
        word, following = self._word_at(at), self._word_at(at + 1)
        return (
            word in ("and", "or", "where", "by", "between", "from", "until", "at", "today", "yesterday")
            or (word in ("group", "order") and following == "by")
            or (word == "limit" and _is_number(following))
            or (word == "to" and self._of_and == "end")
            or bool(self._is_last(at))
            or self._is_ago(at)
        )

    def _ends_name(self, at: int) -> bool:
        word, following = self._word_at(at), self._word_at(at + 1)
        return (
            self._stops(at)
            or word in ("of", "asc", "desc", "not", *_LIKE)
            or (word == "in" and self._is_punctuation(at + 1, "("))
            or (word == "is" and (following == "set" or (following == "not" and self._word_at(at + 2) == "set")))
        )

    def _value(self, *, stops: bool = True) -> None:
        """A moment, or words up to the next keyword."""
        count = 0
        if stops and self._is_moment(self._at):
            count = 3 if self._is_ago(self._at) else 1
        else:
            while self._word_at(self._at + count) and not (stops and self._stops(self._at + count)):
                count += 1
        last = self._pieces[self._at + count - 1]
        text = self._text[self._pieces[self._at].start : last.end]
        self._emit("VALUE", text, count, self._after_value())

    def _is_moment(self, at: int) -> bool:
        return self._word_at(at) in ("today", "yesterday") or self._is_ago(at)

    def _end(self) -> None:
        """One end of `from … to …` or of `between … and …`."""
        count = self._longest(self._at)
        behind = self._at + count
        is_value = behind < len(self._pieces) and (self._pieces[behind].kind == "string" or bool(self._word_at(behind)))
        if count and is_value and not self._stops(behind):
            self._name(count, "value")
        else:
            self._value()

    def _name(self, count: int, mode: str = "name") -> None:
        """A name of the dictionary, which entities and properties may share."""
        name = key(" ".join(self._words[self._at : self._at + count]))
        known, own = name in entity_words(), name in property_words()
        self._emit(
            "EITHER" if known and own else "ENTITY" if known else "PROPERTY" if own else "NAME", name, count, mode
        )

    def _word(self) -> None:
        if self._mode in ("start", "entity") and not self._begins_projection():
            self._entity()
            return
        if self._longest(self._at) < 2 and self._keyword():
            return
        if self._tokens and self._tokens[-1].type in ("LIMIT", "TOP", "COMMA") and _is_number(self._word_at(self._at)):
            self._emit("INT", self._pieces[self._at].text, 1, "entity" if self._tokens[-1].type == "TOP" else "name")
            return
        count = 1
        while self._word_at(self._at + count) and not self._ends_name(self._at + count):
            count += 1
        self._name(count)

    def _begins_projection(self) -> bool:
        word, following = self._word_at(self._at), self._word_at(self._at + 1)
        return (
            (word in ("list", "series", *FUNCTIONS) and self._is_punctuation(self._at + 1, "("))
            or self._is_count(self._at)
            or (word == "top" and _is_number(following))
            or (word == "show" and (not self._tokens or self._tokens[-1].type == "LPAR"))
            or bool(self._tokens and self._tokens[-1].type == "TOP")
        )

    def _is_count(self, at: int) -> bool:
        """`count of`, or as one of several: `count, sum(Bytes) of`."""
        is_shown = self._word_at(at + 1) == "of" or (self._is_comma(at + 1) and not self._is_key)
        return self._word_at(at) == "count" and is_shown

    def _entity(self) -> None:
        """What is asked for, or at the beginning a property of it."""
        count = self._longest(self._at, entities=self._mode == "entity")
        if self._mode == "start" and self._word_at(self._at + count) != "of" and not self._is_comma(self._at + count):
            count = self._longest(self._at, entities=True) or count
        if not count:
            count = 1
            while self._word_at(self._at + count) and not self._ends_name(self._at + count):
                count += 1
        self._name(count)

    def _is_comma(self, at: int) -> bool:
        return self._is_punctuation(at, ",")

    def _keyword(self) -> bool:
        """Takes a keyword, if there is one here."""
        at = self._at
        word, following = self._word_at(at), self._word_at(at + 1)
        last = self._is_last(at)
        if word in ("where", "or", "not") and not (word == "not" and (following in _LIKE or following == "in")):
            self._is_key = False
            self._of_and = "name"
            self._emit(word.upper(), word, 1)
        elif word == "and":
            self._emit("AND", word, 1, self._of_and)
            self._of_and = "name"
        elif word in _LIKE:
            self._emit("LIKE", word, 1, "value")
        elif word == "not" and following in _LIKE:
            self._emit("LIKE", f"not {following}", 2, "value")
        elif word == "in" and self._is_punctuation(at + 1, "("):
            self._emit("IN", word, 1)
        elif word == "not" and following == "in":
            self._emit("NOT_IN", "not in", 2)
        elif word == "is" and following == "set":
            self._emit("SET", "is set", 2)
        elif word == "is" and following == "not" and self._word_at(at + 2) == "set":
            self._emit("SET", "is not set", 3)
        elif word in ("group", "order") and following == "by":
            self._is_key = True
            self._emit(f"{word.upper()}_BY", f"{word} by", 2)
        elif word == "by":
            self._is_key = True
            self._emit("BY", word, 1)
        elif word == "between":
            ranged = self._may_range
            self._of_and = "value" if ranged else "end"
            self._emit("BETWEEN" if ranged else "SPAN", word, 1, self._of_and)
        elif word in ("from", "to"):
            self._of_and = "end" if word == "from" else "name"
            self._emit(word.upper(), word, 1, "end")
        elif last:
            self._emit("LAST", "last", last, "value")
        elif word in ("at", "until"):
            self._emit(word.upper(), word, 1, "value")
        elif self._is_ago(at):
            self._emit("AGO", self._text[self._pieces[at].start : self._pieces[at + 2].end].lower(), 3)
        elif word in ("today", "yesterday"):
            self._emit("DAY", word, 1)
        elif word == "limit" and following:
            self._emit("LIMIT", word, 1)
        elif word in ("asc", "desc"):
            self._emit("DIRECTION", word, 1)
        elif word in ("of", "show"):
            self._emit(word.upper(), word, 1, "entity" if word == "of" else "start")
        elif word == "top" and _is_number(following):
            self._emit("TOP", word, 1)
        elif self._is_count(at):
            self._emit("COUNT", word, 1)
        elif word in FUNCTIONS and self._is_punctuation(at + 1, "("):
            self._emit("FUNCTION", FUNCTIONS[word], 1)
        elif word in ("list", "series") and self._is_punctuation(at + 1, "("):
            self._emit(word.upper(), word, 1)
        else:
            return False
        return True
