"""Flow queries, right and wrong in every way, through their parser.

    python -m tests.fuzz.queries --runs 1000000 --seed 1
    python -m tests.fuzz.queries --seconds 3600 --seed 2
    python -m tests.fuzz.queries --replay 'flows where port ='

A case is a query made by the grammar of docs/language.md, or one that people wrote, and in two of three cases
characters and words in it are changed, lost, doubled and moved; one of ten thousand is a piece again and again, up to
the length that a query may have. What must hold: there is a tree, or a QueryError; the tree is as deep as parentheses
allow, and its values are of their properties' kinds; the place of an error lies within the query, and its excerpt is at
most 80 columns of printable ASCII; none takes longer than SLOW. Equal seeds make equal cases.
"""

from __future__ import annotations

import argparse
import sys
import time
import traceback
from collections.abc import Iterator, Sequence
from pathlib import Path
from random import Random
from typing import get_args

from spanline.query import tree
from spanline.query.errors import QueryError
from spanline.query.lexing import DEEPEST
from spanline.query.properties import entities, entity_words
from spanline.query.reading import LONGEST, parse
from spanline.query.tree import Kind

NOW = 1_772_500_000 * 10**9
WRITTEN = [
    line
    for name in ("seed.txt", "public.txt")
    for line in (Path(__file__).parent.parent / "queries" / name).read_text(encoding="utf-8").splitlines()
]
VALUES = [
    "22", "'22'", "80", "8GB", "10 mb", "70%", "0.5", "5ms", "1e9", "-1", "vlan-1105", "'United Kingdom'",
    "Isle of Man", "10.0.0.0/8", "'10.1.2.3'", "fe80::1", "::ffff:1.2.3.4/100", "00:1a:2b:3c:4d:5e", "tcp",
    "'Source is VM'", "east-west", "'2026-01-01 21:00'", "2026-02-03", "yesterday", "now", "3 days ago",
    '"it\'s"', "''", "'*web?%_'", "(", "9" * 40,
]  # fmt: skip
WORDS = [
    " ", "'", '"', "(", ")", ",", "=", "<", ">", "!", "..", "/", "%", "\n", "\0", "\x1b[31m", "\u202e",
    "\u00a0", "’", "“", "<b>", "</span>", "<", "&#39;", "&lt;", "&#0;", "&#xd800;", "\ud800", "é", "😀", "1.",
    " in ", " in (", " in last ", " not ", " and ", " or ", " where ", " by ", " group by ", " order by ",
    " between ", " from ", " to ", " at ", " of ", " until ", " ago ", " today ", " is set ", " is not set ",
    " like ", " limit 5 ", " top 5 ", " show ", " count of ", " sum(", " series(", " list(", " asc ", " desc ",
    " 3 days ago ", " in the last 2 weeks ", " src ", " 99999999999999 ", "--", ";", "\\", "{", "}", "@",
    "$port", "0", "°", "½", "٣", "²", "İ", "_",
]  # fmt: skip
TIMES = [
    "in last 2 days", "in the last week", "last 12 hours", "today", "yesterday", "3 days ago", "at now",
    "at 2026-01-01", "until 24 hours ago", "between '2026-01-01 21:00' and '2026-01-02 06:30'",
    "between yesterday and now",
]  # fmt: skip
OPERATORS = ["=", "==", "!=", "<>", ">", ">=", "<", "<=", "like", "not like", "contains", "not contains", "matches"]
MARKUP = [
    "<!--", "<span ", "<span a=", "<span a='b' ", "&amp;", "&#", "‘", "“", "''", '""', "(port = 1 or ", "not ", "1,",
    "port,", "sum(", "in (", "flows,", "a ",
]  # fmt: skip
BEGINNINGS = ["", "flows where ", "flows where port in (", "flows where source ip = '", "flows group by ", "show "]
MOST = 2000
SLOW = 2.0
"""Seconds that no case takes; on a machine that does something else besides, too."""
TYPES: dict[Kind, tuple[type, ...]] = {
    Kind.TEXT: (str,), Kind.TAGS: (str,), Kind.MAC: (str,), Kind.ADDRESS: (tree.Network,), Kind.PROTOCOL: (int,),
    Kind.TIME: (int,), Kind.RATIO: (float,),
}  # fmt: skip


class Writer:
    """Queries by the grammar, with properties of whatever entity."""

    def __init__(self, chance: Random) -> None:
        self.chance = chance
        self.names = sorted({name for entity in entities().values() for name in entity.properties})
        self.entities = sorted(entity_words())

    def pick(self, of: Sequence[str]) -> str:
        return of[int(self.chance.random() * len(of))]

    def name(self, entity: str) -> str:
        """Most often a property that the entity has."""
        if self.chance.random() < 0.1 or entity not in entity_words():
            return self.pick(self.names)
        return self.pick(sorted(entity_words()[entity].properties))

    def query(self, depth: int = 0) -> str:
        entity = self.pick(["flows", "flow", "vms", *self.entities])
        clauses = []
        if self.chance.random() < 0.7:
            clauses.append(self.pick(["where ", "where ", ""]) + self.condition(entity, depth))
        if self.chance.random() < 0.4:
            clauses.append(f"group by {self.name(entity)}" + self.pick(["", f", {self.name(entity)}"]))
        if self.chance.random() < 0.4:
            clauses.append(f"order by {self.key(entity)}" + self.pick(["", " asc", f" desc, {self.key(entity)}"]))
        if self.chance.random() < 0.4:
            clauses.append(self.pick(TIMES))
        if self.chance.random() < 0.2:
            clauses.append(f"from {self.pick(['', 'vm ', 'cluster '])}{self.pick(VALUES)} to {self.pick(VALUES)}")
        if self.chance.random() < 0.2:
            clauses.append(f"limit {int(self.chance.random() * 30)}")
        self.chance.shuffle(clauses)
        asked = ", ".join(self.projection(entity) for _ in range(int(self.chance.random() * 4)))
        top = self.pick(["", "", "top 5 "])
        return f"{asked} of {top}{entity} {' '.join(clauses)}" if asked else f"{top}{entity} {' '.join(clauses)}"

    def key(self, entity: str) -> str:
        return self.pick([f"sum({self.name(entity)})", self.name(entity)])

    def projection(self, entity: str) -> str:
        name = self.name(entity)
        function = self.pick(["sum", "avg", "min", "max", "count"])
        return self.pick(
            [name, "count", f"list({name})", f"{function}({name})", f"series({function}({name}))",
             f"{function}(series(sum({name}), {int(self.chance.random() * 400)}))"]
        )  # fmt: skip

    def condition(self, entity: str, depth: int) -> str:
        parts = []
        for _ in range(1 + int(self.chance.random() * 3)):
            if depth < 4 and self.chance.random() < 0.2:
                parts.append(self.pick(["", "not "]) + f"({self.condition(entity, depth + 1)})")
            else:
                parts.append(self.pick(["", "", "", "not "]) + self.test(entity, depth))
        return self.pick([" and ", " or "]).join(parts)

    def test(self, entity: str, depth: int) -> str:
        name, how = self.name(entity), self.chance.random()
        if how < 0.5:
            return f"{name} {self.pick(OPERATORS)} {self.pick(VALUES)}"
        if how < 0.7:
            values = ", ".join(self.pick(VALUES) for _ in range(1 + int(self.chance.random() * 5)))
            return f"{name} {self.pick(['in', 'not in'])} ({values})"
        if how < 0.8:
            return f"{name} between {self.pick(VALUES)} and {self.pick(VALUES)}"
        if how < 0.9 and depth < 3:
            return f"{name} {self.pick(['in', 'not in'])} ({self.query(depth + 1)})"
        return f"{name} {self.pick(['is set', 'is not set', ''])}"


def changed(chance: Random, text: str) -> str:
    """A query with one to six things wrong."""
    for _ in range(1 + int(chance.random() * 6)):
        at = int(chance.random() * (len(text) + 1))
        until = at + int(chance.random() * 12)
        how = int(chance.random() * 7)
        if how < 3:
            text = text[:at] + WORDS[int(chance.random() * len(WORDS))] + text[at:]
        elif how == 3:
            text = text[:at] + text[until:]
        elif how == 4:
            text = text[:until] + text[at:]
        elif how == 5:
            text = text[:at] + chr(int(chance.random() ** 4 * 0x10FFFF)) + text[at + 1 :]
        else:
            other = WRITTEN[int(chance.random() * len(WRITTEN))]
            text = text[:at] + other[int(chance.random() * len(other)) :]
    return text[:MOST]


def long(chance: Random, writer: Writer) -> str:
    """A piece again and again, alone or behind the beginning of a query."""
    pieces = [*WORDS, *VALUES, *MARKUP, *WRITTEN]
    piece = writer.pick(pieces) + writer.pick([*pieces, ""])
    length = int(LONGEST * 10 ** -(chance.random() * 2))
    text = writer.pick(BEGINNINGS) + piece * (length // len(piece) + 1)
    return text[:length]


def cases(seed: int) -> Iterator[str]:
    """Queries, for ever."""
    chance = Random(seed)
    writer = Writer(chance)
    while True:
        if chance.random() < 0.0001:
            yield long(chance, writer)
        text = writer.pick(WRITTEN) if chance.random() < 0.3 else writer.query()
        yield changed(chance, text) if chance.random() < 0.67 else text


def check(text: str) -> bool:
    """Whether it is a query. Raises where something does not hold."""
    try:
        query = parse(text, now=NOW, timezone="UTC")
    except QueryError as error:
        _check_error(error)
        return False
    _check_query(query, 0)
    return True


def _check_error(error: QueryError) -> None:
    assert 0 <= error.start < error.end <= len(error.text) + 1, "the place is outside"
    assert error.message, "it does not say why"
    for line in error.excerpt():
        assert len(line) <= 80, "the excerpt is too wide"
        assert all(" " <= one <= "~" or one == "…" for one in line), "the excerpt is not printable"


def _check_query(query: tree.Query, depth: int) -> None:
    assert query.entity in entities(), "there is no such entity"
    assert all(isinstance(one, get_args(tree.Projection)) for one in query.projections)
    assert all(isinstance(one.by, tree.Aggregate | tree.Series | tree.Property) for one in query.order)
    window = query.window
    assert window.begin is None or window.end is None or window.begin < window.end, "no time is asked about"
    assert window.last is None or window.last > 0, "no time is asked about"
    if query.where is not None:
        _check_condition(query.where, depth)


def _check_condition(condition: tree.Condition, depth: int) -> None:
    assert depth <= 3 * DEEPEST, "it is too deep"
    match condition:
        case tree.And(parts) | tree.Or(parts):
            assert len(parts) > 1
            assert not any(isinstance(part, type(condition)) for part in parts), "it is not flat"
            for part in parts:
                _check_condition(part, depth + 1)
        case tree.Not(of):
            assert not isinstance(of, tree.Not)
            _check_condition(of, depth + 1)
        case tree.Test(of, operator, values, query):
            assert not (values and query)
            text = (str,) if operator.split()[-1] in ("like", "contains", "matches") else (int, float)
            kinds = TYPES.get(of.kind, text)
            assert all(type(value) in kinds for value in values), "a value is of another kind"
            if query is not None:
                _check_query(query, depth + 1)


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--runs", type=int, default=sys.maxsize, help="how many cases")
    parser.add_argument("--seconds", type=float, default=float("inf"), help="how long at most")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--replay", help="a query that was printed")
    options = parser.parse_args(arguments)
    if options.replay is not None:
        check(options.replay.encode("latin-1", "backslashreplace").decode("unicode_escape"))
        return 0
    begun = time.monotonic()
    number, right, slowest = 0, 0, 0.0
    for text in cases(options.seed):
        if number >= options.runs or (number % 256 == 0 and time.monotonic() - begun > options.seconds):
            break
        number += 1
        try:
            before = time.process_time()
            right += check(text)
            slowest = max(slowest, time.process_time() - before)
            assert slowest < SLOW, "it takes too long"
        except Exception:
            traceback.print_exc()
            print(f"seed {options.seed}, case {number}: --replay {text!a}", file=sys.stderr)
            return 1
    seconds = time.monotonic() - begun
    told = f"{number} queries of seed {options.seed} in {seconds:.0f} s, {right} of them right"
    print(f"{told}, the slowest in {slowest:.2f} s: all hold")
    return 0


if __name__ == "__main__":
    sys.exit(main())
