"""Flow queries, right and wrong in every way, through their parser; those that are right to SQL, or one of some of
them (--plans), and one of EVERY of these to an answer.

    PYTHONPATH=benchmarks python -m tests.fuzz.queries --runs 1000000 --seed 1 --plans 5
    PYTHONPATH=benchmarks python -m tests.fuzz.queries --seconds 3600 --seed 2
    PYTHONPATH=benchmarks python -m tests.fuzz.queries --replay 'flows where port ='

A case is a query made by the grammar of docs/language.md, mostly of what makes sense together, or one that people
wrote; in these, and in one of three others, characters and words are changed, lost, doubled and moved; one of ten
thousand is a piece again and again, up to the length that a query may have. What must hold: there is a tree, or a
QueryError; the tree is as deep as parentheses allow, and its values are of their properties' kinds; the place of an
error lies within the query, and its excerpt is at most 80 columns of printable ASCII; none takes longer than SLOW;
and what query_plans.py says of SQL and of answers. Equal seeds make equal cases.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
import traceback
from collections.abc import Iterator, Sequence
from pathlib import Path
from random import Random
from typing import get_args

from spanline.query import tree
from spanline.query.errors import QueryError
from spanline.query.lexing import DEEPEST
from spanline.query.properties import FLOW_TYPE_WORDS, entities, entity_words
from spanline.query.reading import LONGEST, parse
from spanline.query.tree import Kind
from tests.fuzz.query_plans import NOW, Asked

EVERY = 50
MISTAKEN = 50
"""One choice of so many makes no sense with the others."""
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
OF_KINDS = {
    Kind.TEXT: ["vlan-1105", "'United Kingdom'", "Isle of Man", "'*e*'", '"it\'s"', "''", "'web-01'", "'%_'"],
    Kind.NUMBER: ["22", "'22'", "80", "0", "443", "4095", "3389", "1194"],
    Kind.ADDRESS: ["10.0.0.0/8", "'10.1.2.3'", "fe80::1", "::ffff:1.2.3.4/100", "0.0.0.0/0", "10.20.0.0/16"],
    Kind.MAC: ["00:1a:2b:3c:4d:5e", "001a.2b3c.4d5e"],
    Kind.PROTOCOL: ["tcp", "17", "ICMP", "255"],
    Kind.BYTES: ["8GB", "10 mb", "0", "1000", "1.5 KiB"],
    Kind.MEMORY: ["8GB", "10 mb", "16 GiB"],
    Kind.RATE: ["10 Mbps", "1 kb/s", "0"],
    Kind.PACKETS: ["10", "1000 packets", "0.5"],
    Kind.DURATION: ["5ms", "1 hour", "0", "2.5 s"],
    Kind.RATIO: ["70%", "0.5", "0", "1"],
    Kind.TIME: ["'2026-03-10 21:00'", "2026-03-11", "yesterday", "now", "3 days ago"],
    Kind.TAGS: [f"'{name}'" for name in FLOW_TYPE_WORDS],
}  # fmt: skip
"""Values that properties of a kind have."""
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
    "in last 14 days", "at 2026-03-11", "between 2026-03-06 and 2026-03-08", "until '2026-03-17 12:00'",
    "until 24 hours ago", "between '2026-01-01 21:00' and '2026-01-02 06:30'", "between yesterday and now",
]  # fmt: skip
EQUAL = ["=", "==", "!=", "<>"]
ORDERED = [*EQUAL, ">", ">=", "<", "<="]
LIKE = [*EQUAL, "like", "not like", "contains", "not contains", "matches"]
OPERATORS = [*ORDERED, *LIKE]
OF_ORDER = {Kind.NUMBER, Kind.BYTES, Kind.MEMORY, Kind.RATE, Kind.PACKETS, Kind.DURATION, Kind.RATIO, Kind.TIME}
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
    """Queries by the grammar; a choice of MISTAKEN is of whatever entity or kind."""

    def __init__(self, chance: Random) -> None:
        self.chance = chance
        words = entity_words()
        self.names = sorted({name for entity in words.values() for name in entity.properties})
        self.entities = sorted(words)
        self.held = [word for word in self.entities if words[word].is_held]
        self.kinds = {word: {name: one.kind for name, one in words[word].properties.items()} for word in words}
        own = {word: sorted(words[word].properties.items()) for word in words}
        self.metrics = {word: [name for name, one in own[word] if one.is_metric and one.is_held] for word in words}
        self.keys = {word: [name for name, one in own[word] if not one.is_metric and one.is_held] for word in words}

    def pick(self, of: Sequence[str]) -> str:
        return of[int(self.chance.random() * len(of))]

    def is_mistaken(self) -> bool:
        return self.chance.random() * MISTAKEN < 1

    def metric(self, entity: str) -> str:
        """Most often one that has a sum."""
        return self.pick(self.names if self.is_mistaken() or not self.metrics[entity] else self.metrics[entity])

    def key(self, entity: str) -> str:
        """Most often a property that can be grouped by."""
        return self.pick(self.names if self.is_mistaken() or not self.keys[entity] else self.keys[entity])

    def name(self, entity: str) -> str:
        return self.metric(entity) if self.chance.random() < 0.3 else self.key(entity)

    def value(self, kind: Kind | None) -> str:
        """Most often one that properties of the kind have."""
        return self.pick(VALUES if kind is None or self.is_mistaken() else OF_KINDS[kind])

    def entity(self) -> str:
        if self.is_mistaken():
            return self.pick(self.entities)
        return self.pick(["flows", "flow", "vms"]) if self.chance.random() < 0.7 else self.pick(self.held)

    def query(self, depth: int = 0) -> str:
        entity = self.entity()
        groups = [self.key(entity) for _ in range(int(self.chance.random() * 5) - 2)]
        is_counted = bool(groups) or self.chance.random() < 0.3
        shown = self.counted if is_counted else self.name
        asked = [shown(entity) for _ in range(int(self.chance.random() * 3) + (is_counted and not groups))]
        asked += groups[: len(asked) and int(self.chance.random() * 2)]
        clauses = self.clauses(entity, depth)
        if groups:
            clauses.append(f"group by {', '.join(groups)}")
        if self.chance.random() < 0.4:
            first = self.pick([f"sum({self.metric(entity)})", *groups]) if is_counted else self.name(entity)
            clauses.append(f"order by {first}" + self.pick(["", " asc", f" desc, {first}"]))
        self.chance.shuffle(clauses)
        of = f"{self.pick(['', '', 'top 5 '])}{entity} {' '.join(clauses)}"
        return f"{', '.join(asked)} of {of}" if asked else of

    def clauses(self, entity: str, depth: int) -> list[str]:
        """What is asked about, and when."""
        found = []
        if self.chance.random() < 0.7:
            found.append(self.pick(["where ", "where ", ""]) + self.condition(entity, depth))
        if self.chance.random() < 0.4:
            found.append(self.pick(TIMES))
        if (entity in ("flows", "flow") and self.chance.random() < 0.1) or self.is_mistaken():
            found.append(f"from {self.pick(['', 'vm ', 'cluster '])}{self.value(Kind.TEXT)} to {self.pick(VALUES)}")
        if self.chance.random() < 0.2:
            found.append(f"limit {int(self.chance.random() * 30)}")
        return found

    def counted(self, entity: str) -> str:
        metric = f"{self.pick(['sum', 'avg', 'min', 'max'])}({self.metric(entity)})"
        total = f"sum({self.pick(['packets', 'bytes', 'sessions', 'bytes rate'])})"
        step = self.pick(
            ["", "", f", {300 + int(self.chance.random() * 9000)}", f", {int(self.chance.random() * 400)}"]
        )
        any_of = [metric, metric, "count", f"count({self.key(entity)})", f"series({total}{step})", f"series({metric})"]
        return self.pick([*any_of, f"{self.pick(['sum', 'avg', 'min', 'max'])}(series({total}{step}))"])

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
        kind = self.kinds[entity].get(name)
        if how < 0.5:
            operators = OPERATORS if self.is_mistaken() else LIKE if kind is Kind.TEXT else EQUAL
            if kind in OF_ORDER and not self.is_mistaken():
                operators = ORDERED
            return f"{name} {self.pick(operators)} {self.value(kind)}"
        if how < 0.7:
            values = ", ".join(self.value(kind) for _ in range(1 + int(self.chance.random() * 5)))
            return f"{name} {self.pick(['in', 'not in'])} ({values})"
        if how < 0.75 and (kind in OF_ORDER or self.is_mistaken()):
            return f"{name} between {self.value(kind)} and {self.value(kind)}"
        if how < 0.85 and depth < 3:
            return f"{name} {self.pick(['in', 'not in'])} ({self.listed(kind, depth + 1)})"
        return f"{name} {self.pick(['is set', 'is not set', ''])}"

    def listed(self, kind: Kind | None, depth: int) -> str:
        """The query of an `in`: most often of values of the same kind."""
        entity = self.entity()
        same = [name for name in self.keys[entity] if self.kinds[entity][name] is kind]
        if not same or self.is_mistaken():
            return self.query(depth)
        return f"list({self.pick(same)}) of {entity} {' '.join(self.clauses(entity, depth))}"


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
        is_written = chance.random() < 0.15
        text = writer.pick(WRITTEN) if is_written else writer.query()
        yield changed(chance, text) if is_written or chance.random() < 0.33 else text


def check(text: str) -> tree.Query | None:
    """Its tree; None: it is no query, and that is told. Raises where something does not hold."""
    try:
        query = parse(text, now=NOW, timezone="UTC")
    except QueryError as error:
        _check_error(error)
        return None
    _check_query(query, 0)
    return query


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
    parser.add_argument("--plans", type=int, default=1, help="of so many right queries one is made SQL")
    parser.add_argument("--replay", help="a query that was printed")
    options = parser.parse_args(arguments)
    with tempfile.TemporaryDirectory(prefix="spanline-fuzz-") as folder:
        asked = Asked(Path(folder))
        if options.replay is not None:
            text = options.replay.encode("latin-1", "backslashreplace").decode("unicode_escape")
            query = check(text)
            if query is not None and (made := asked.plan(query)) is not None:
                asked.answer(query, *made)
            return 0
        return _run(options.seed, options.runs, options.seconds, options.plans, asked)


def _run(seed: int, runs: int, seconds: float, plans: int, asked: Asked) -> int:
    begun = time.monotonic()
    number, right, planned, answered, slowest = 0, 0, 0, 0, 0.0
    for text in cases(seed):
        if number >= runs or (number % 256 == 0 and time.monotonic() - begun > seconds):
            break
        number += 1
        try:
            before = time.process_time()
            query = check(text)
            slowest = max(slowest, time.process_time() - before)
            assert slowest < SLOW, "it takes too long"
            if query is None:
                continue
            right += 1
            made = asked.plan(query) if right % plans == 0 else None
            if made is None:
                continue
            planned += 1
            if planned % EVERY == 0:
                asked.answer(query, *made)
                answered += 1
        except Exception:
            traceback.print_exc()
            print(f"seed {seed}, case {number}: --replay {text!a}", file=sys.stderr)
            return 1
    told = f"{number} queries of seed {seed} in {time.monotonic() - begun:.0f} s: {right} right, {planned} to SQL"
    print(f"{told}, {answered} answered; the slowest was read in {slowest:.2f} s: all hold")
    return 0


if __name__ == "__main__":
    sys.exit(main())
