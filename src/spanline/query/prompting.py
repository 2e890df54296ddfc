"""What can stand where somebody writes a query, and what is what in it: completion and highlighting.

The grammar says which terminals may follow those before the cursor, the dictionary which names there are, and who knows
the inventory which values.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from lark import Token

from spanline.query.errors import QueryError
from spanline.query.grammar import acceptable
from spanline.query.lexing import tokens
from spanline.query.properties import LONGEST_NAME, Entity, entities, entity_words, key
from spanline.query.tree import Kind, Property

Values = Callable[[Property | None], Sequence[str]]
"""Values that a property may have; None: what one end of a flow may be."""

MOST = 200
"""Suggestions at most."""

_WORDS = re.compile(r"[^\s(),=!<>'\"]+")
_QUOTED = re.compile(r"'[^']*'|\"[^\"]*\"")
_PLAIN = re.compile(r"[a-z0-9][\w.:/-]*", re.IGNORECASE | re.ASCII)
_NEEDS_QUOTES = frozenset(
    ("and", "or", "not", "where", "by", "between", "from", "to", "until", "at", "in", "last", "limit", "group", "order")
)
_LIKE = ("like", "not like", "contains", "matches")
_KEYWORDS: dict[str, tuple[str, ...]] = {
    "COMPARISON": ("=", "!=", ">", ">=", "<", "<="),
    "IN": ("in (",), "NOT_IN": ("not in (",), "LIKE": _LIKE, "SET": ("is set", "is not set"), "BETWEEN": ("between",),
    "WHERE": ("where",), "AND": ("and",), "OR": ("or",), "NOT": ("not",), "GROUP_BY": ("group by",),
    "ORDER_BY": ("order by",), "DIRECTION": ("asc", "desc"), "LIMIT": ("limit",),
    "LAST": ("in last",), "DAY": ("today", "yesterday"), "AT": ("at",), "UNTIL": ("until",), "SPAN": ("between",),
    "FROM": ("from",), "TO": ("to",), "OF": ("of",), "TOP": ("top",), "SHOW": ("show",), "COUNT": ("count of",),
    "LIST": ("list(",), "SERIES": ("series(",), "FUNCTION": ("sum(", "avg(", "min(", "max(", "count("),
    "RPAR": (")",), "COMMA": (",",),
}  # fmt: skip
"""What terminals are written like, in the order in which they are suggested."""
_TIMES: dict[str, tuple[str, ...]] = {
    "LAST": ("1 hour", "24 hours", "2 days", "7 days", "14 days", "30 days"),
    "AT": ("now", "yesterday"),
    "UNTIL": ("24 hours ago", "7 days ago", "yesterday"),
}
_ENDS = ("SPAN", "FROM", "TO")
_ORDERED = frozenset(
    (Kind.NUMBER, Kind.BYTES, Kind.MEMORY, Kind.RATE, Kind.PACKETS, Kind.DURATION, Kind.RATIO, Kind.TIME)
)
_STYLES = {
    "ENTITY": "name", "EITHER": "name", "PROPERTY": "name", "NAME": "", "VALUE": "value", "INT": "value",
    "COMPARISON": "operator", "LPAR": "", "RPAR": "", "COMMA": "", "FUNCTION": "function", "SERIES": "function",
    "LIST": "function",
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Suggestion:
    """text   to stand from index `start` of the query up to the cursor
    about  what it is, for who reads the list
    """

    text: str
    start: int
    about: str = ""


def suggestions(text: str, values: Values) -> list[Suggestion]:
    """What may stand at the end of `text`, the query up to the cursor: the likeliest first."""
    quote = _open_quote(text)
    if quote is not None:
        begun = text[quote + 1 :].lower()
        mark = text[quote]
        found = (
            Suggestion(_quoted(one, mark), quote)
            for one in _values_at(_before(text[:quote]), values)
            if one.lower().startswith(begun)
        )
        return list(dict.fromkeys(found))[:MOST]
    made: dict[Suggestion, None] = {}
    for start in _starts(text):
        begun = _beginning(text[start:])
        made |= {
            Suggestion(word, start, about): None
            for word, about in _candidates(_before(text[:start]), values, begun)
            if _beginning(word.lstrip("'\"")).startswith(begun) and word != text[start:]
        }
    return list(made)[:MOST]


def pieces(text: str) -> list[tuple[int, int, str]]:
    """(begin, end, what it is) of what is cut out of a query: "keyword", "function", "name", "value" or "operator".

    Behind a fault there is nothing.
    """
    try:
        terminals = tokens(text)
    except QueryError as error:
        try:
            terminals = tokens(text[: error.start])
        except QueryError:
            return []
    found = ((one.start_pos or 0, one.end_pos or 0, _STYLES.get(one.type, "keyword")) for one in terminals)
    return [one for one in found if one[2]]


def _open_quote(text: str) -> int | None:
    """Where a quote begins that has no end."""
    left = _QUOTED.sub(lambda match: " " * len(match[0]), text)
    places = [place for place in (left.find("'"), left.find('"')) if place >= 0]
    return min(places, default=None)


def _starts(text: str) -> list[int]:
    """Where the word may begin that the cursor stands in or behind: names have several words. The longest first."""
    found: list[int] = []
    for match in reversed(list(_WORDS.finditer(text))):
        behind = found[-1] if found else len(text)
        if text[match.end() : behind].strip() or len(found) == LONGEST_NAME:
            break
        found.append(match.start())
    is_word = bool(found) and not text[-1].isspace()
    return found[::-1] + ([] if is_word else [len(text)])


def _beginning(text: str) -> str:
    """What is compared: without case, abbreviations spelled out, one blank between words."""
    return key(text) + " " * (text[-1:].isspace() and bool(text.strip()))


@dataclass(frozen=True, slots=True)
class _Place:
    """terminals  before the cursor; may_follow: the types of those that may stand there"""

    terminals: list[Token]
    may_follow: frozenset[str]


def _before(text: str) -> _Place:
    try:
        terminals = tokens(text)
    except QueryError:
        return _Place([], frozenset())
    is_unknown = any(one.type == "NAME" for one in terminals)
    return _Place(terminals, frozenset() if is_unknown else acceptable(terminals))


def _candidates(place: _Place, values: Values, begun: str) -> Iterator[tuple[str, str]]:
    """(what may stand at a place, what it is)."""
    last = place.terminals[-1].type if place.terminals else ""
    is_behind_name = last in ("PROPERTY", "EITHER") and _property(place.terminals) is not None
    if last in _TIMES:
        yield from ((one, "") for one in _TIMES[last])
    elif last not in ("ENTITY", "EITHER"):  # what may be called by its name, which few write
        yield from ((_written(one), "") for one in _values_at(place, values))
    entity = _entity(place.terminals)
    if "ENTITY" in place.may_follow and (entity is None or "PROPERTY" not in place.may_follow):
        for one in entities().values():
            if one.is_held:
                yield one.label, "what is asked for"
    keywords = [
        (word, "") for kind, words in _KEYWORDS.items() if kind in place.may_follow for word in _fitting(words, place)
    ]
    # Two properties side by side are a query, but nobody means it.
    names = list(_names(entity, begun)) if "PROPERTY" in place.may_follow and not is_behind_name else []
    # Behind a name or a value a property is the beginning of a condition without `where`, which few write.
    yield from [*keywords, *names] if "WHERE" in place.may_follow else [*names, *keywords]


def _fitting(words: Sequence[str], place: _Place) -> Sequence[str]:
    """Operators that the property before them has."""
    of = _property(place.terminals)
    if of is None or words[0] not in ("=", "like", "between"):
        return words
    if words[0] == "=":
        return words if of.kind in _ORDERED else words[:2]
    fits = of.kind is Kind.TEXT if words[0] == "like" else of.kind in _ORDERED
    return words if fits or place.terminals[-1].type not in ("PROPERTY", "EITHER", "ENTITY") else ()


def _names(entity: Entity | None, begun: str) -> Iterator[tuple[str, str]]:
    """Properties of an entity, or of all where it is not known yet; other names for them where these do not begin so."""
    of = [entity] if entity is not None else [one for one in entities().values() if one.is_held]
    own_names = [(own.name, own.description) for one in of for own in one.own() if own.is_held]
    yield from own_names
    if not any(_beginning(name).startswith(begun) for name, _ in own_names):
        for one in of:
            for word, own in one.properties.items():
                if own.is_held and word != key(own.name):
                    yield word, own.name


def _values_at(place: _Place, values: Values) -> Sequence[str]:
    """Values that may stand at a place."""
    if "VALUE" not in place.may_follow:
        return ()
    of = _property(place.terminals)
    if of is None and not any(one.type in _ENDS for one in place.terminals[-4:]):
        return ()
    return values(of)


def _scope(terminals: Sequence[Token]) -> Sequence[Token]:
    """The terminals of the innermost query; a list of values is none."""
    begins, brackets = [0], list[bool]()
    for place, one in enumerate(terminals):
        if one.type == "LPAR":
            is_query = terminals[place - 1].type in ("IN", "NOT_IN") and [
                behind.type for behind in terminals[place + 1 : place + 2]
            ] != ["VALUE"]
            brackets.append(is_query)
            if is_query:
                begins.append(place + 1)
        elif one.type == "RPAR" and brackets and brackets.pop():
            begins.pop()
    return terminals[begins[-1] :]


def _entity(terminals: Sequence[Token]) -> Entity | None:
    """What the innermost query asks for."""
    scope = _scope(terminals)
    for place, one in enumerate(scope):
        before = scope[place - 1].type if place else "SHOW"
        behind = scope[place + 1].type if place + 1 < len(scope) else ""
        if one.type in ("ENTITY", "EITHER") and before in ("SHOW", "OF", "INT") and behind not in ("OF", "COMMA"):
            return entity_words()[one]
    return None


def _property(terminals: Sequence[Token]) -> Property | None:
    """The property that stands before the cursor: of whose values the next is one."""
    for place in range(len(terminals) - 1, -1, -1):
        one = terminals[place]
        if one.type in ("PROPERTY", "EITHER", "ENTITY"):
            entity = _entity(terminals[: place + 1])
            return None if entity is None else entity.properties.get(one)
        if one.type not in ("VALUE", "COMMA", "LPAR", "IN", "NOT_IN", "COMPARISON", "LIKE", "BETWEEN", "AND"):
            break
    return None


def _written(value: str) -> str:
    """A value as it stands in a query: in quotes where it needs them."""
    if _PLAIN.fullmatch(value) and value.lower() not in _NEEDS_QUOTES:
        return value
    return _quoted(value, '"' if "'" in value and '"' not in value else "'")


def _quoted(value: str, mark: str) -> str:
    return mark + value.replace(mark, mark * 2) + mark
