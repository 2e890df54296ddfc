"""One scan of what a side sent first: which protocols it begins like, and what rules of the user match."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import TypeAlias

import hyperscan

from spanline.matching import compiled
from spanline.plaintext.model import Plaintext, Secret, Sender
from spanline.plaintext.rules import NO_RULES, Rule, Rules
from spanline.protocols import applications
from spanline.protocols.language import Application

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


# Of a beginning: numbers of protocols, and of rules.
_Kind: TypeAlias = tuple[tuple[int, ...], tuple[int, ...]]


class _Database:
    """A database, which may have no pattern at all, with a scratch for each thread."""

    def __init__(self, database: hyperscan.Database | None) -> None:
        self._database = database
        self._own = threading.local()

    def scan(self, octets: memoryview, heads: Iterable[tuple[int, int, int]]) -> Iterable[tuple[int, list[int]]]:
        """Of the heads (number, start, end) that match anything the number, and the numbers of what they match."""
        found: dict[int, list[int]] = {}
        if self._database is None:
            return ()

        def note(number: int, _: int, __: int, ___: int, head: int) -> None:
            found.setdefault(head, []).append(number)

        scan, scratch = self._database.scan, self._scratch(self._database)
        for head, start, end in heads:
            scan(octets[start:end], note, 0, head, scratch)  # type: ignore[arg-type, type-var]
        return found.items()

    def scan_until(self, octets: memoryview, note: Callable[[int, int, int, int, object], bool]) -> None:
        """Calls `note` for every match until it says that it is enough."""
        if self._database is not None:
            with contextlib.suppress(hyperscan.ScanTerminated):
                self._database.scan(octets, note, 0, None, self._scratch(self._database))  # type: ignore[type-var]

    def _scratch(self, database: hyperscan.Database) -> hyperscan.Scratch:
        scratch: hyperscan.Scratch | None = getattr(self._own, "scratch", None)
        if scratch is None:
            scratch = self._own.scratch = hyperscan.Scratch(database)
        return scratch


def _compiled(expressions: Sequence[bytes]) -> hyperscan.Database | None:
    return compiled(expressions, [BEGINNING] * len(expressions)) if expressions else None


class Scanner:
    """Looks for the patterns of `protocols` and for the rules, all in one database, and where it is asked for them in
    another one for the beginnings of `known`: those of spanline.protocols, unless others are given.

    Threads may share one: each scans with memory of its own.
    """

    def __init__(
        self, protocols: Sequence[Plaintext], rules: Rules = NO_RULES, known: Sequence[Application] | None = None
    ) -> None:
        self.protocols = tuple(protocols)
        self.rules = rules
        patterns = [(n, one) for n, protocol in enumerate(self.protocols) for one in protocol.patterns]
        expressions = [one.expression for _, one in patterns]
        # What each number of the database stands for: a protocol, or behind all patterns a rule; and of which sender.
        self._numbers = [n for n, _ in patterns] + list(range(len(rules)))
        self._senders = [one.sender for _, one in patterns] + [rule.sender for rule in rules]
        self._first_rule = len(expressions)
        self._patterns = _Database(rules.database(expressions, BEGINNING) if rules else _compiled(expressions))
        names = [
            (one.name, expression) for one in (applications() if known is None else known) for expression in one.foreign
        ]
        self._names = [name for name, _ in names]
        self._known = _Database(_compiled([expression for _, expression in names]))
        self._places: dict[int, _Database] = {}
        # Most beginnings are like one before: a protocol's, on either side.
        self._kinds: dict[tuple[int, ...], _Kind] = {}

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
        starts, ends, senders   lists, one item a head; a sender that is neither 0, the client, nor 1, the server, is
                 not known, and anything may be from it
        asked    heads whose `applications` are wanted, None for all: that is a second scan of each
        """
        found: dict[int, Beginning] = {}
        for head, numbers in self._patterns.scan(octets, zip(range(len(starts)), starts, ends, strict=True)):
            protocols, rules = self._kind((senders[head], *numbers))
            if protocols or rules:
                part = octets[starts[head] : ends[head]]
                matches = tuple([self._match(rule, part) for rule in rules])
                found[head] = Beginning(head, protocols, rules=matches)
        wanted = range(len(starts)) if asked is None else asked
        for head, numbers in self._known.scan(octets, [(head, starts[head], ends[head]) for head in wanted]):
            names = tuple(dict.fromkeys(self._names[number] for number in sorted(numbers)))
            found.setdefault(head, Beginning(head)).applications = names
        return [found[head] for head in sorted(found)]

    def scan_one(self, head: bytes, sender: int) -> Beginning | None:
        """What one head is like; None when nothing was found."""
        found = self.scan(memoryview(head), [0], [len(head)], [sender])
        return found[0] if found else None

    def _kind(self, key: tuple[int, ...]) -> _Kind:
        """What matching some numbers means when a sender does it: `key` is the sender, and the numbers."""
        kind = self._kinds.get(key)
        if kind is None:
            sender, *numbers = key
            if sender in (Sender.CLIENT, Sender.SERVER):
                numbers = [n for n in numbers if self._senders[n] in (sender, None)]
            numbers.sort()
            protocols = dict.fromkeys(self._numbers[n] for n in numbers if n < self._first_rule)
            rules = [self._numbers[n] for n in numbers if n >= self._first_rule]
            kind = tuple(protocols), tuple(rules[:MOST_MATCHES])
            if len(self._kinds) >= _MOST_KINDS:
                self._kinds.clear()
            self._kinds[key] = kind
        return kind

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

        finder.scan_until(octets, note)
        first = octets[slice(*places[0])]
        return RuleMatch(self.rules[number], tuple((start, end) for start, end in places), Secret(first.tobytes()))
