"""One scan of what a side sent first: which protocols it begins like, and what rules of the user match."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypeAlias

import hyperscan

from spanline.matching import compiled
from spanline.plaintext.model import Plaintext, Secret
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


@dataclass(frozen=True, slots=True)
class _Wanted:
    """What number of the database stands for: a protocol, an application, or a rule; of which sender."""

    kind: str
    number: int
    sender: int | None


_Kind: TypeAlias = tuple[tuple[int, ...], tuple[str, ...], tuple[int, ...]]
# Of a beginning: numbers of protocols, names of applications, numbers of rules.


class Scanner:
    """Looks for the patterns of `protocols`, the beginnings of `known` and the rules, all in one database.

    Threads may share one: each scans with memory of its own.
    """

    def __init__(
        self, protocols: Sequence[Plaintext], rules: Rules = NO_RULES, known: Sequence[Application] | None = None
    ) -> None:
        self.protocols = tuple(protocols)
        self.rules = rules
        self._known = tuple(known if known is not None else applications())
        patterns = builtin_patterns(self.protocols, self._known)
        self._wanted = [wanted for _, wanted in patterns]
        self._wanted += [_Wanted("rule", n, rule.sender) for n, rule in enumerate(rules)]
        if rules:
            self._database = rules.database([expression for expression, _ in patterns], BEGINNING)
        else:
            self._database = compiled([expression for expression, _ in patterns], [BEGINNING] * len(patterns))
        self._own = threading.local()
        # Most beginnings are like one before: a protocol's, on either side.
        self._kinds: dict[tuple[int, ...], _Kind] = {}

    def scan(
        self, octets: memoryview, starts: Sequence[int], ends: Sequence[int], senders: Sequence[int]
    ) -> list[Beginning]:
        """What heads are like; only those that anything was found in, in order.

        octets   where the heads are: bytes, one dimension
        starts, ends, senders   lists, one item a head; a sender that is neither 0, the client, nor 1, the server, is
                 not known, and anything may be from it
        """
        scratch = self._scratch()
        scan = self._database.scan
        found: dict[int, list[int]] = {}

        def note(number: int, _: int, __: int, ___: int, head: int) -> None:
            found.setdefault(head, []).append(number)

        for head, (start, end) in enumerate(zip(starts, ends, strict=True)):
            scan(octets[start:end], note, 0, head, scratch)  # type: ignore[arg-type, type-var]
        beginnings = []
        for head, numbers in found.items():
            one = self._beginning(head, numbers, octets[starts[head] : ends[head]], senders[head])
            if one is not None:
                beginnings.append(one)
        return beginnings

    def scan_one(self, head: bytes, sender: int) -> Beginning | None:
        """What one head is like; None when nothing was found."""
        found = self.scan(memoryview(head), [0], [len(head)], [sender])
        return found[0] if found else None

    def _beginning(self, head: int, numbers: list[int], octets: memoryview, sender: int) -> Beginning | None:
        key = (sender, *numbers)
        kind = self._kinds.get(key)
        if kind is None:
            if len(self._kinds) >= _MOST_KINDS:
                self._kinds.clear()
            kind = self._kinds[key] = self._kind(sorted(numbers), sender)
        if not any(kind):
            return None
        protocols, names, rules = kind
        return Beginning(head, protocols, names, tuple([self._match(rule, octets) for rule in rules]))

    def _kind(self, numbers: Sequence[int], sender: int) -> _Kind:
        wanted = [self._wanted[number] for number in numbers]
        wanted = [one for one in wanted if one.sender is None or sender not in (0, 1) or one.sender == sender]
        return (
            tuple(dict.fromkeys(one.number for one in wanted if one.kind == "protocol")),
            tuple(dict.fromkeys(self._known[one.number].name for one in wanted if one.kind == "application")),
            tuple([one.number for one in wanted if one.kind == "rule"][:MOST_MATCHES]),
        )

    def _match(self, number: int, octets: memoryview) -> RuleMatch:
        """Where rule `number`, which is known to match, does."""
        database, scratch = self._place_scanner(number)
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

        with contextlib.suppress(hyperscan.ScanTerminated):
            database.scan(octets, note, 0, None, scratch)  # type: ignore[type-var]
        first = octets[slice(*places[0])]
        return RuleMatch(self.rules[number], tuple((start, end) for start, end in places), Secret(first.tobytes()))

    def _place_scanner(self, number: int) -> tuple[hyperscan.Database, hyperscan.Scratch]:
        """What finds where rule `number` matches. Few rules ever do: it is loaded when the first time has come."""
        known: dict[int, tuple[hyperscan.Database, hyperscan.Scratch]] = self._own.__dict__.setdefault("places", {})
        if number not in known:
            database = self.rules.place_database(number)
            known[number] = database, hyperscan.Scratch(database)
        return known[number]

    def _scratch(self) -> hyperscan.Scratch:
        scratch: hyperscan.Scratch | None = getattr(self._own, "scratch", None)
        if scratch is None:
            scratch = self._own.scratch = hyperscan.Scratch(self._database)
        return scratch


def builtin_patterns(protocols: Sequence[Plaintext], known: Sequence[Application]) -> list[tuple[bytes, _Wanted]]:
    """The expressions that come before those of rules, and what each stands for."""
    patterns: list[tuple[bytes, _Wanted]] = []
    for n, protocol in enumerate(protocols):
        patterns += [(one.expression, _Wanted("protocol", n, one.sender)) for one in protocol.patterns]
    for n, application in enumerate(known):
        patterns += [(expression, _Wanted("application", n, None)) for expression in application.foreign]
    return patterns
