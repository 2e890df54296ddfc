"""The grammar of the query language, over the terminals of lexing.py."""

from __future__ import annotations

import io
import sys
from collections.abc import Iterator, Sequence
from functools import cache
from typing import Any, cast

import lark
from lark import Lark, Token, Tree
from lark.lexer import Lexer

from spanline.keeping import kept

GRAMMAR = """
query: [SHOW] [projections OF] [TOP INT] entity [VALUE] clause*

projections: projection (COMMA projection)*
?projection: COUNT                                   -> count
    | LIST LPAR property RPAR                        -> listed
    | series
    | FUNCTION LPAR series RPAR                      -> of_series
    | aggregate
    | property
aggregate: FUNCTION LPAR property RPAR
series: SERIES LPAR aggregate [COMMA INT] RPAR

entity: ENTITY | EITHER | NAME
property: PROPERTY | EITHER | NAME | ENTITY

clause: WHERE? disjunction                           -> where
    | BY keys                                        -> by
    | GROUP_BY property (COMMA property)*            -> group
    | ORDER_BY keys                                  -> order
    | LIMIT INT                                      -> limit
    | SPAN end AND end                               -> span
    | FROM end (TO | AND) end                        -> towards
    | LAST VALUE                                     -> last
    | AT VALUE                                       -> at
    | UNTIL VALUE                                    -> until
    | AGO                                            -> ago
    | DAY                                            -> day
end: [property] VALUE
keys: key (COMMA key)*
key: (aggregate | series | property) [DIRECTION]

?disjunction: conjunction (OR conjunction)*
?conjunction: negation (AND negation)*
?negation: NOT+ primary                              -> negated
    | primary
?primary: LPAR disjunction RPAR                      -> enclosed
    | test
test: property COMPARISON VALUE
    | property (IN | NOT_IN) LPAR VALUE (COMMA VALUE)* RPAR
    | property (IN | NOT_IN) LPAR query RPAR
    | property LIKE VALUE
    | property SET
    | property BETWEEN VALUE AND VALUE
    | property

%declare SHOW OF TOP INT COUNT LIST SERIES FUNCTION LPAR RPAR COMMA ENTITY EITHER PROPERTY NAME VALUE
%declare WHERE AND OR NOT COMPARISON IN NOT_IN LIKE SET BETWEEN
%declare BY GROUP_BY ORDER_BY DIRECTION LIMIT SPAN FROM TO LAST AT UNTIL AGO DAY
"""


class _Given(Lexer):
    """Lark's lexer, for text that lexing.py has cut already."""

    def __init__(self, lexer_conf: object) -> None:
        pass

    def lex(self, lexer_state: Any, parser_state: Any = None) -> Iterator[Token]:
        return iter(lexer_state)


def parsed(terminals: list[Token]) -> Tree[Token]:
    """The tree of a query's terminals. Raises lark.UnexpectedToken."""
    return _parser().parse(terminals)


def acceptable(terminals: Sequence[Token]) -> frozenset[str]:
    """The types of the terminals that may follow these; nothing where these are not the beginning of a query."""
    state = _parser().parse_interactive(cast("Any", iter(())))
    try:
        for terminal in terminals:
            state.feed_token(terminal)
    except lark.UnexpectedToken:
        return frozenset()
    return frozenset(state.accepts())


@cache
def _parser() -> Lark:
    """Made once, and kept: that takes longer than anything else does to a query."""
    source = f"{GRAMMAR}\n{lark.__version__} {sys.version}"
    return Lark.load(io.BytesIO(kept("query-grammar", source.encode(), _make)))


def _make() -> bytes:
    made = io.BytesIO()
    Lark(GRAMMAR, parser="lalr", lexer=_Given, start="query").save(made)
    return made.getvalue()
