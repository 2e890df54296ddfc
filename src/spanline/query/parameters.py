"""Parameters: $port stands where a value does, and gets one when the query is asked.

What it gets takes the place of a terminal, when the text has been cut into terminals already: it is a value, whatever
is in it. In quotes $port is a text like any other.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence

from lark import Token

from spanline.query.errors import QueryError

MARK = "@"
"""What the name of a query that is kept begins with, where a query is expected."""

VALUE = re.compile(r"([a-z_]\w*)=(.*)", re.IGNORECASE | re.ASCII | re.DOTALL)
"""What stands behind it: name=value."""

_PARAMETER = re.compile(r"\$([a-z_]\w*)", re.IGNORECASE | re.ASCII)
_BEFORE_SEVERAL = ("LPAR", "COMMA")
"""Of a list, which is all that has several values."""


def parameters_of(terminals: Sequence[Token], text: str) -> dict[int, str]:
    """The terminals of `text` that are parameters: the name of each in lower case, by its place."""
    found = {}
    for place, token in enumerate(terminals):
        match = _PARAMETER.fullmatch(token)
        if match and token.type == "VALUE" and text[token.start_pos or 0] == "$":
            found[place] = match[1].lower()
    return found


def filled(terminals: Sequence[Token], text: str, values: Mapping[str, Sequence[str]]) -> list[Token]:
    """The terminals with `values` in the places of the parameters. Raises QueryError where one has none, or several
    where there is room for one."""
    names = parameters_of(terminals, text)
    made: list[Token] = []
    for place, token in enumerate(terminals):
        if place not in names:
            made.append(token)
            continue
        own = values.get(names[place], ())
        if not own:
            hint = f"say it behind the query's name: {names[place]}=…; or put it in quotes"
            raise _fault(f"{token} has no value", text, token, hint)
        if len(own) > 1 and (not place or terminals[place - 1].type not in _BEFORE_SEVERAL):
            raise _fault(f"{token} has {len(own)} values", text, token, f"only a list has several: in ({token})")
        for number, value in enumerate(own):
            if number:
                made.append(token.update(type="COMMA", value=","))
            made.append(token.update(value=value))
    return made


def spelled_out(terminals: Sequence[Token], text: str, values: Mapping[str, Sequence[str]]) -> str:
    """The text with values, in quotes, in the places of its parameters."""
    for place, name in reversed(parameters_of(terminals, text).items()):
        token = terminals[place]
        written = ", ".join("'" + value.replace("'", "''") + "'" for value in values.get(name, ()))
        text = text[: token.start_pos] + written + text[token.end_pos :]
    return text


def _fault(message: str, text: str, token: Token, hint: str) -> QueryError:
    return QueryError(message, text, token.start_pos or 0, token.end_pos or 0, hint=hint)
