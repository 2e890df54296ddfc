"""The time clauses of a query to its window."""

from __future__ import annotations

from lark import Token

from spanline.query.asking import Syntax, children, token_of, trees
from spanline.query.names import Reading
from spanline.query.times import DAY, Unfit, length, span
from spanline.query.tree import Window
from spanline.query.values import is_address

TIMES = ("last", "at", "until", "ago", "day", "span")
"""Clauses that say something of time. `last` may stand with one of `at`, `until` and `ago`."""


def window_of(reading: Reading, clauses: list[Syntax]) -> Window:
    """The window of a query's time clauses. Raises QueryError."""
    if not clauses:
        return Window(last=DAY, is_default=True)
    last = None
    ends = []
    for clause in clauses:
        if clause.data == "last" and last is None:
            last = _length(reading, _token(clause))
        else:
            ends.append(clause)
    if len(ends) > 1 or (ends and last is not None and ends[0].data not in ("at", "until", "ago")):
        reading.fail(
            "the query says twice when", token_of(ends[-1]), "write one time, or in last 2 days until 1 day ago"
        )
    if not ends:
        return Window(last=last)
    (end,) = ends
    if end.data == "span":
        return _from_to(reading, end)
    if end.data == "until":
        return _until(reading, _token(end), last)
    return _as_of(reading, _token(end), last)


def is_time(reading: Reading, clause: Syntax) -> bool:
    """Whether `between … and …` is a time, and not who talks with whom."""
    named, value = children(trees(clause)[0])
    return named is None and not is_address(str(value))


def _from_to(reading: Reading, clause: Syntax) -> Window:
    first, last = (_token(end) for end in trees(clause))
    begin, end = _span(reading, first)[0], _span(reading, last)[1]
    if end <= begin:
        reading.fail("the time ends before it begins", first, "the earlier one stands first", last)
    return Window(begin=begin, end=end)


def _until(reading: Reading, token: Token, last: int | None) -> Window:
    """All up to a moment; of the last 2 days, those up to it."""
    ago = _ago(reading, token)
    now = reading.clock.now
    end = _span(reading, token)[1] if ago is None else now - ago
    if last is not None and end <= now - last:
        reading.fail("the time ends before it begins", token, "write a longer one behind in last")
    if ago is None:
        return Window(begin=None if last is None else now - last, end=end)
    return Window(last=None if last is None else last - ago, ago=ago)


def _as_of(reading: Reading, token: Token, last: int | None) -> Window:
    """What the query would have said at that moment: it is about the 24 hours before. A day is that day."""
    ago = _ago(reading, token)
    if ago is not None:
        return Window(last=last or DAY, ago=ago)
    begin, end = _span(reading, token)
    if last is not None or begin == end:
        begin = end - (last or DAY)
    return Window(begin=begin, end=end)


def _ago(reading: Reading, token: Token) -> int | None:
    """How long ago, when that is how the moment is told."""
    word = " ".join(token.lower().split())
    if word == "now":
        return 0
    return _length(reading, token, word.removesuffix(" ago")) if word.endswith(" ago") else None


def _length(reading: Reading, token: Token, text: str | None = None) -> int:
    try:
        return length(str(token) if text is None else text)
    except Unfit as error:
        reading.fail(error.message, token, error.hint)


def _span(reading: Reading, token: Token) -> tuple[int, int]:
    try:
        return span(str(token), reading.clock)
    except Unfit as error:
        reading.fail(error.message, token, error.hint)


def _token(clause: Syntax) -> Token:
    """What a clause says, behind its keyword."""
    token: Token = children(clause)[-1]
    return token
