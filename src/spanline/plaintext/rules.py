"""Rules of the user: patterns that shall not be on the wire, from YAML files; rule_file.EXAMPLE shows one."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import overload

import hyperscan

from spanline.errors import UsageError
from spanline.matching import compiled
from spanline.plaintext.model import Sender, Severity

_WATCH_SECONDS = 1.0


@dataclass(frozen=True, slots=True)
class Rule:
    """Something that shall not be on the wire.

    expression  in hyperscan's language, over the first bytes that one side of a conversation sends
    flags       hyperscan's
    protocol    "" for any; else only conversations that are followed as this protocol are meant
    sender      None: either side
    path, number, line   where it stands: the file, which rule there, from 1, and the line of its pattern
    """

    name: str
    expression: bytes
    flags: int
    protocol: str
    sender: Sender | None
    severity: Severity
    message: str
    remedy: str
    path: str
    number: int
    line: int


class Rules(Sequence[Rule]):
    """Rules that hyperscan knows how to look for, none of which takes too much."""

    def __init__(self, rules: Sequence[Rule] = (), places: Sequence[bytes] = ()) -> None:
        """`places`: the serialised database of each, which finds where it matches."""
        self._rules = tuple(rules)
        self._places = tuple(places)

    def __len__(self) -> int:
        return len(self._rules)

    @overload
    def __getitem__(self, number: int) -> Rule: ...

    @overload
    def __getitem__(self, number: slice) -> tuple[Rule, ...]: ...

    def __getitem__(self, number: int | slice) -> Rule | tuple[Rule, ...]:
        return self._rules[number]

    def __iter__(self) -> Iterator[Rule]:
        return iter(self._rules)

    def place_database(self, number: int) -> hyperscan.Database:
        """Finds where rule `number` matches: from the leftmost byte that it may begin with."""
        return hyperscan.loadb(self._places[number], hyperscan.HS_MODE_BLOCK)

    def database(self, expressions: Sequence[bytes], flags: int, numbers: Sequence[int]) -> hyperscan.Database:
        """Finds, at once, which of some expressions with these flags match and, numbered behind them, which of the
        rules `numbers`.

        Raises UsageError when all together take too much.
        """
        rules = [self[number] for number in numbers]
        every = (*expressions, *(rule.expression for rule in rules))
        every_flags = (flags,) * len(expressions) + tuple(rule.flags | hyperscan.HS_FLAG_SINGLEMATCH for rule in rules)

        def compile_apart() -> bytes:
            from spanline.plaintext.rules_check import Job, Refusal, compile_bounded  # few have rules

            (made,) = compile_bounded([Job(every, every_flags, seconds=10, largest=64 << 20)])
            if isinstance(made, Refusal):
                paths = ", ".join(dict.fromkeys(rule.path for rule in rules))
                raise UsageError(f"{paths}: the rules together: {made.why}", hint="fewer or simpler ones will do")
            return made

        return compiled(every, every_flags, compile_apart)


NO_RULES = Rules()


def read_rules(paths: Sequence[str], protocols: Collection[str] | None = None) -> Rules:
    """The rules in YAML files, checked and compiled in a child process with bounds.

    `protocols` are the names that rules may use; None: those of spanline.plaintext.parsers. Raises RulesError, which
    has a line for each mistake.
    """
    if not paths:
        return NO_RULES
    # With YAML and all parsers, which few want.
    from spanline.plaintext import parsers, rule_reading

    if protocols is None:
        protocols = {one.name for one in parsers.protocols()}
    return rule_reading.read(paths, protocols)


class WatchedRules:
    """The rules in files that somebody may change while they are used."""

    def __init__(self, paths: Sequence[str], clock: Callable[[], float] = time.monotonic) -> None:
        """Raises RulesError when they are wrong from the beginning."""
        self._paths = tuple(paths)
        self._clock = clock
        self._seen = self._identities()
        self._next_look = clock() + _WATCH_SECONDS
        self._reader: threading.Thread | None = None
        self._outcome: Rules | Exception | None = None
        self.rules = read_rules(self._paths)

    def changed(self) -> bool:
        """Whether `rules` are others since the last call; looks at the files once a second at most.

        They are read and compiled beside what the caller does, and are there at a later call. Raises RulesError, once,
        when the files have become wrong; the rules stay as they were.
        """
        if self._reader is not None:
            if self._reader.is_alive():
                return False
            self._reader = None
            outcome, self._outcome = self._outcome, None
            if isinstance(outcome, Rules):
                self.rules = outcome
                return True
            if outcome is not None:
                raise outcome
        if self._clock() >= self._next_look:
            self._next_look = self._clock() + _WATCH_SECONDS
            now = self._identities()
            if now != self._seen:
                self._seen = now
                self._reader = threading.Thread(target=self._read, daemon=True)
                self._reader.start()
        return False

    def _read(self) -> None:
        try:
            self._outcome = read_rules(self._paths)
        except (UsageError, OSError) as error:
            self._outcome = error

    def _identities(self) -> list[tuple[int, ...] | None]:
        return [_identity(path) for path in self._paths]


def _identity(path: str) -> tuple[int, ...] | None:
    """What is another when the file is: None when there is none."""
    try:
        found = Path(path).stat()
    except (OSError, ValueError):
        return None
    return found.st_dev, found.st_ino, found.st_size, found.st_mtime_ns
