"""One scan of what a side sent first: which protocols it begins like, and what rules of the user match."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeAlias

import hyperscan

from spanline.matching import compiled
from spanline.plaintext.model import Plaintext, Secret, Sender
from spanline.plaintext.rules import NO_RULES, Rule, Rules
from spanline.protocols.tables import application_set, foreign_patterns

if TYPE_CHECKING:
    from spanline.protocols.language import Application

CLIENT, SERVER, UNKNOWN = Sender.CLIENT.value, Sender.SERVER.value, 2
"""Who sent a head."""

MOST_MATCHES = 16
"""Rules that are told of a head: who writes rules that everything matches learns it soon."""

MOST_SPANS = 16
"""Places of one rule in a head that are told apart; the last one then goes on to the head's end."""

_MOST_ENDS = 256
"""Times that a rule may end in a head, as `a+` does at every byte of "aaaa"; then its place goes to the head's end."""

_MOST_KINDS = 4096
# Of beginnings that are remembered.

# Of `^…` only the first byte is a beginning; where a match ends does not matter, only that there is one.
BEGINNING = hyperscan.HS_FLAG_DOTALL | hyperscan.HS_FLAG_SINGLEMATCH


@dataclass(frozen=True, slots=True)
class RuleMatch:
    """A rule of the user and where a head matches it.

    places  from where to where in the head, in order: the bytes in between are what it matched and may be secret
    secret  those of the first place
    """

    rule: Rule
    places: tuple[tuple[int, int], ...]
    secret: Secret


@dataclass(slots=True)
class Beginning:
    """What a head is like.

    head          its place among those that were scanned
    protocols     those of the Scanner's protocols with a pattern that it matches, in their order there
    applications  names of the protocols of spanline.protocols that it begins like, those that encrypt, too
    rules         at most MOST_MATCHES; of those for one protocol, too, whose conversation it may not be
    """

    head: int
    protocols: tuple[int, ...] = ()
    applications: tuple[str, ...] = ()
    rules: tuple[RuleMatch, ...] = ()


# What matching some patterns means: numbers of protocols, and of rules.
_Kind: TypeAlias = tuple[tuple[int, ...], tuple[int, ...]]


class _Database:
    """A database, which may have no pattern at all, with a scratch for each thread."""

    def __init__(self, database: hyperscan.Database | None) -> None:
        self._database = database
        self._own = threading.local()

    def scan(self) -> tuple[Callable[..., None], hyperscan.Scratch | None]:
        """What to call to scan, and the scratch of this thread, which is its last argument."""
        if self._database is None:
            return _scan_for_nothing, None
        scratch: hyperscan.Scratch | None = getattr(self._own, "scratch", None)
        if scratch is None:
            scratch = self._own.scratch = hyperscan.Scratch(self._database)
        return self._database.scan, scratch


def _scan_for_nothing(*_: object) -> None:
    """As hyperscan's scan() of a database without patterns, which there cannot be."""


def _compiled(expressions: Sequence[bytes]) -> hyperscan.Database | None:
    return compiled(expressions, [BEGINNING] * len(expressions)) if expressions else None


class _Side:
    """What is looked for in what a sender sent, or in what may be either's: in half of the patterns what it is not.

    sender  CLIENT, SERVER or UNKNOWN
    """

    def __init__(self, protocols: Sequence[Plaintext], rules: Rules, sender: int) -> None:
        def meant(by: Sender | None) -> bool:
            return by is None or sender in (by, UNKNOWN)

        patterns = [(n, one) for n, of in enumerate(protocols) for one in of.patterns if meant(one.sender)]
        expressions = [one.expression for _, one in patterns]
        self._protocols = [n for n, _ in patterns]
        self._rules = [n for n, rule in enumerate(rules) if meant(rule.sender)]
        self.database = _Database(
            rules.database(expressions, BEGINNING, self._rules) if self._rules else _compiled(expressions)
        )
        # Most beginnings are like one before.
        self._kinds: dict[tuple[int, ...], _Kind] = {}

    def kind(self, numbers: list[int]) -> _Kind:
        """What it means that these numbers of the database match."""
        key = tuple(numbers)
        kind = self._kinds.get(key)
        if kind is None:
            rules_begin = len(self._protocols)
            protocols = dict.fromkeys(self._protocols[n] for n in sorted(numbers) if n < rules_begin)
            rules = [self._rules[n - rules_begin] for n in sorted(numbers) if n >= rules_begin]
            kind = tuple(protocols), tuple(rules[:MOST_MATCHES])
            if len(self._kinds) >= _MOST_KINDS:
                self._kinds.clear()
            self._kinds[key] = kind
        return kind


class Scanner:
    """Looks for the patterns of `protocols` and for the rules, all at once, and where it is asked for them for the
    beginnings of `known`: those of spanline.protocols, unless others are given.

    Threads may share one: each scans with memory of its own.
    """

    def __init__(
        self, protocols: Sequence[Plaintext], rules: Rules = NO_RULES, known: Sequence[Application] | None = None
    ) -> None:
        """Raises UsageError when all rules together take too much."""
        self.protocols = tuple(protocols)
        self.rules = rules
        self._sides = tuple(_Side(self.protocols, rules, sender) for sender in (CLIENT, SERVER, UNKNOWN))
        if known is None:
            names = [(application_set().names[number], expression) for number, expression in foreign_patterns()]
        else:
            names = [(one.name, expression) for one in known for expression in one.foreign]
        self._names = [name for name, _ in names]
        self._known = _Database(_compiled([expression for _, expression in names]))
        self._places: dict[int, _Database] = {}

    def scan(
        self,
        octets: memoryview,
        starts: Sequence[int],
        ends: Sequence[int],
        senders: Sequence[int],
        asked: Iterable[int] | None = None,
    ) -> list[Beginning]:
        """What heads are like; only those that anything was found in, in order.

        octets   where the heads are: bytes, one dimension
        starts, ends, senders   lists, one item a head; a sender is CLIENT, SERVER or UNKNOWN, when it may be either
        asked    heads whose `applications` are wanted when they are like none of the Scanner's protocols, None for all
                 and in any case: that is a second scan of each
        """
        found: dict[int, list[int]] = {}

        def note(number: int, _: int, __: int, ___: int, head: int) -> None:
            found.setdefault(head, []).append(number)

        # A head may cost a microsecond in all: nothing is made of one that matches nothing.
        scans = [side.database.scan() for side in self._sides]
        for head, (start, end, sender) in enumerate(zip(starts, ends, senders, strict=True)):
            scan, scratch = scans[sender]
            scan(octets[start:end], note, 0, head, scratch)
        beginnings: dict[int, Beginning] = {}
        for head, numbers in found.items():
            protocols, rules = self._sides[senders[head]].kind(numbers)
            matches = tuple([self._match(rule, octets[starts[head] : ends[head]]) for rule in rules])
            beginnings[head] = Beginning(head, protocols, rules=matches)
        found.clear()
        scan, scratch = self._known.scan()
        for head in range(len(starts)) if asked is None else asked:
            if asked is not None and head in beginnings and beginnings[head].protocols:
                continue
            scan(octets[starts[head] : ends[head]], note, 0, head, scratch)
        for head, numbers in found.items():
            names = tuple(dict.fromkeys(self._names[number] for number in sorted(numbers)))
            beginnings.setdefault(head, Beginning(head)).applications = names
        return [beginnings[head] for head in sorted(beginnings)]

    def scan_one(self, head: bytes, sender: int) -> Beginning | None:
        """What one head is like; None when nothing was found."""
        found = self.scan(memoryview(head), [0], [len(head)], [sender])
        return found[0] if found else None

    def _match(self, number: int, octets: memoryview) -> RuleMatch:
        """Where rule `number`, which is known to match, does."""
        # Few rules ever match: what finds where is loaded when the first time has come.
        finder = self._places.get(number)
        if finder is None:
            finder = self._places[number] = _Database(self.rules.place_database(number))
        places: list[list[int]] = []
        count = 0

        def note(_: int, start: int, end: int, __: int, ___: object) -> bool:
            nonlocal count
            count += 1
            # Matches that overlap are one place; they come in the order of their ends.
            while places and start < places[-1][1]:
                start = min(start, places.pop()[0])
            places.append([start, end])
            if len(places) > MOST_SPANS or count > _MOST_ENDS:
                del places[MOST_SPANS:]
                places[-1][1] = len(octets)
                return True
            return False

        scan, scratch = finder.scan()
        with contextlib.suppress(hyperscan.ScanTerminated):
            scan(octets, note, 0, None, scratch)
        first = octets[slice(*places[0])]
        return RuleMatch(self.rules[number], tuple((start, end) for start, end in places), Secret(first.tobytes()))
