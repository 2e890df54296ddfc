"""What to say of a word that the grammar does not take where it stands."""

from __future__ import annotations

from collections.abc import Collection
from typing import NoReturn

from lark import Token

from spanline.errors import nearest, quoted
from spanline.query.errors import QueryError
from spanline.query.names import INSTEAD
from spanline.query.properties import entity_labels

_NAMES = {"ENTITY", "EITHER", "PROPERTY", "NAME"}
# Of what could stand there, the words that help most come first.
_EXPECTED = {
    "VALUE": "a value", "INT": "a number", "COMPARISON": "an operator like =", "TO": "to", "OF": "of",
    "COMMA": "a comma", "RPAR": ")", "LPAR": "(", "AND": "and", "FUNCTION": "sum(…)", "WHERE": "where",
    "GROUP_BY": "group by", "ORDER_BY": "order by", "LAST": "in last 2 days",
}  # fmt: skip
_MOST = 4


def refuse(token: Token, expected: Collection[str], text: str, terminals: list[Token]) -> NoReturn:
    """Raises QueryError for a terminal that is not among the expected ones."""
    if not terminals:
        raise QueryError("the query is empty", text, 0, 0, hint="write for instance flows group by Source Country")
    first = terminals[0]
    hint = INSTEAD.get(first.partition(" ")[0], "") if first.type == "NAME" else ""
    if token.type == "$END":
        opened = sum(one.type == "LPAR" for one in terminals) > sum(one.type == "RPAR" for one in terminals)
        if opened and "RPAR" in expected:
            raise QueryError("a ) is missing at the end", text, len(text), len(text), hint=hint)
        hint = hint or _hint(token, terminals[-2:], expected)
        raise QueryError("the query ends too early", text, len(text), len(text), hint=hint)
    place = next(n for n, one in enumerate(terminals) if one is token)
    start, end = token.start_pos or 0, token.end_pos or 0
    hint = hint or _hint(token, terminals[max(0, place - 2) : place], expected)
    raise QueryError(f"{quoted(text[start:end])} was not expected here", text, start, end, hint=hint)


def _hint(token: Token, before: list[Token], expected: Collection[str]) -> str:
    kinds = [one.type for one in before]
    if kinds[-2:] == ["FUNCTION", "LPAR"] and token.type in ("FUNCTION", "LIST", "COUNT"):
        return f"{before[0]}(…) takes a property, like {before[0]}(Packets)"
    if kinds[-2:] == ["SERIES", "LPAR"]:
        return "series(…) takes a function of a property, like series(sum(Packets))"
    if kinds[-2:] in (["IN", "LPAR"], ["NOT_IN", "LPAR"]):
        return "a list has values between its commas: in (22, 23)"
    if token.type == "COMPARISON" and kinds[-1:] == ["VALUE"]:
        return "join conditions by and or or"
    if token.type == "COMMA" and kinds[-1:] == ["VALUE"]:
        return "several values are a list: in (22, 23)"
    if token.type == "RPAR" and ("$END" in expected or not expected):
        return "there is no ( for it"
    if "OF" in expected and token.type not in _NAMES and "COMMA" in expected:
        likely = nearest(before[-1], entity_labels()) if before and before[-1].type == "NAME" else ""
        return likely or "what is asked for has to be of something: sum(Packets) of flows"
    wanted = _wanted(expected)
    return f"expected: {', '.join(wanted)}" if wanted else ""


def _wanted(expected: Collection[str]) -> list[str]:
    wanted = ["a property"] if "PROPERTY" in expected else []
    if "ENTITY" in expected and "PROPERTY" not in expected:
        wanted.append("flows, VMs, hosts …")
    wanted += [words for kind, words in _EXPECTED.items() if kind in expected]
    return wanted[:_MOST]
