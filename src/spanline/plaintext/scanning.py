"""One scan of what a side sent first: which protocols it begins like, and what rules of the user match."""

from __future__ import annotations

import contextlib
import threading
from collections import OrderedDict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import hyperscan

from spanline.matching import compiled
from spanline.plaintext.model import Plaintext, Secret, Sender, Span
from spanline.plaintext.rules import NO_RULES, Rule, Rules
from spanline.protocols import applications
from spanline.protocols.language import Application

MOST_MATCHES = 16
"""Rules that are told of a head, and of a conversation: who writes a rule that everything matches learns it soon."""

MOST_SPANS = 16
"""Places of one rule in a head that are told apart; the last one then goes on to the head's end."""

_MOST_ENDS = 256
"""Times that a rule may end in a head, as `a+` does at every byte of "aaaa"; then its place goes to the head's end."""

_MOST_CONVERSATIONS = 1 << 16

# Of `^…` only the first byte is a beginning; where a match ends does not matter, only that there is one.
BEGINNING = hyperscan.HS_FLAG_DOTALL | hyperscan.HS_FLAG_SINGLEMATCH


@dataclass(frozen=True, slots=True)
class RuleMatch:
    """A rule of the user and where a head matches it.

    places  from where to where in the head, in order: the bytes in between are what it matched and may be secret
    """

    rule: Rule
    sender: Sender | None
    places: tuple[tuple[int, int], ...]
    secret: Secret

    def spans(self, offset: int, sender: Sender) -> tuple[Span, ...]:
        """The places in what `sender` sent, of a head that begins at `offset` there."""
        return tuple(Span(sender, offset + start, offset + end) for start, end in self.places)


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
            one = self._beginning(head, sorted(numbers), octets[starts[head] : ends[head]], senders[head])
            if one is not None:
                beginnings.append(one)
        return beginnings

    def scan_one(self, head: bytes, sender: int) -> Beginning | None:
        """What one head is like; None when nothing was found."""
        found = self.scan(memoryview(head), [0], [len(head)], [sender])
        return found[0] if found else None

    def _beginning(self, head: int, numbers: Iterable[int], octets: memoryview, sender: int) -> Beginning | None:
        protocols: dict[int, None] = {}
        names: dict[str, None] = {}
        matches: list[RuleMatch] = []
        for number in numbers:
            wanted = self._wanted[number]
            if wanted.sender is not None and sender in (0, 1) and sender != wanted.sender:
                continue
            if wanted.kind == "protocol":
                protocols[wanted.number] = None
            elif wanted.kind == "application":
                names[self._known[wanted.number].name] = None
            elif len(matches) < MOST_MATCHES:
                matches.append(self._match(wanted.number, octets, sender))
        if not (protocols or names or matches):
            return None
        return Beginning(head, tuple(protocols), tuple(names), tuple(matches))

    def _match(self, number: int, octets: memoryview, sender: int) -> RuleMatch:
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
        return RuleMatch(
            self.rules[number],
            Sender(sender) if sender in (0, 1) else None,
            tuple((start, end) for start, end in places),
            Secret(first.tobytes()),
        )

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


class Told:
    """Which rules were told of which conversations: a head that grew is scanned again, and a conversation that
    matches many rules tells MOST_MATCHES.

    Bounded: of the conversations that nothing was told of for longest it forgets.
    """

    def __init__(self) -> None:
        self._rules: OrderedDict[int, set[tuple[str, int]]] = OrderedDict()

    def new(self, conversation: int, sender: int, matches: Iterable[RuleMatch]) -> list[RuleMatch]:
        """Those of the matches in what one side of `conversation`, any number that is its own, sent that are new."""
        told = self._rules.setdefault(conversation, set())
        self._rules.move_to_end(conversation)
        fresh = []
        for match in matches:
            key = match.rule.name, sender
            if key not in told and len(told) < MOST_MATCHES:
                told.add(key)
                fresh.append(match)
        while len(self._rules) > _MOST_CONVERSATIONS:
            self._rules.popitem(last=False)
        return fresh

    def state(self) -> dict[str, Any]:
        return {"told": [(conversation, sorted(told)) for conversation, told in self._rules.items()]}

    def restore(self, state: Mapping[str, Any]) -> None:
        self._rules = OrderedDict((number, {(name, sender) for name, sender in told}) for number, told in state["told"])

    def merge(self, other: Told) -> None:
        """Takes what another shard's conversations were told of."""
        for conversation, told in other._rules.items():
            self._rules.setdefault(conversation, set()).update(told)
