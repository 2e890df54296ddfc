"""Rules of the user: patterns that shall not be on the wire, from YAML files; rule_file.EXAMPLE shows one."""

from __future__ import annotations

import re
import struct
import threading
import time
from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import hyperscan

from spanline.errors import UsageError
from spanline.filters.errors import nearest, quoted
from spanline.keeping import kept
from spanline.matching import compiled
from spanline.plaintext.model import Sender, Severity
from spanline.plaintext.rule_file import Entry, RulesError, read_entries
from spanline.plaintext.rules_check import Job, Refusal, compile_bounded

_FLAGS = {
    "i": hyperscan.HS_FLAG_CASELESS,
    "s": hyperscan.HS_FLAG_DOTALL,
    "m": hyperscan.HS_FLAG_MULTILINE,
    "x": 0,  # hyperscan has it only inside patterns
}
_SENDERS = {"client": Sender.CLIENT, "server": Sender.SERVER, "either": None}
_LONGEST = {"name": 100, "message": 500, "remedy": 500}
_NEEDED = ("name", "pattern", "message")
_KEYS = ("name", "pattern", "flags", "protocol", "direction", "severity", "message", "remedy")
_EXTENDED = b"(?x)"

_HINTS = {
    "Back-references": "write out what is repeated",
    "Zero-width": "look for the text around, too: rules cannot look ahead or behind",
    "empty buffer": "say what must be there, as a+ instead of a*",
    "Possessive": "leave out the + behind the quantifier",
    "Atomic": "write (?:…) instead of (?>…)",
    "UTF": "patterns are of bytes: write \\x and two digits for what is not ASCII",
    "too large": "shorten its repeats",
    "limit": "shorten it, or its repeats",
    "to compile": "shorten its repeats, above all those inside repeats",
    "more than": "shorten its repeats, above all those inside repeats",
    "breaks down": "shorten its repeats, above all those inside repeats",
    "not compiled": "mend or remove those before it",
}
"""What to do, by words that the reason has."""

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

    def __getitem__(self, number):  # type: ignore[no-untyped-def] # int gives a Rule, a slice some
        return self._rules[number]

    def __iter__(self) -> Iterator[Rule]:
        return iter(self._rules)

    def place_database(self, number: int) -> hyperscan.Database:
        """Finds where rule `number` matches: from the leftmost byte that it may begin with."""
        return hyperscan.loadb(self._places[number], hyperscan.HS_MODE_BLOCK)

    def database(self, expressions: Sequence[bytes], flags: int) -> hyperscan.Database:
        """Finds, at once, which of some expressions with these flags match and, numbered behind them, which rules.

        Raises UsageError when all together take too much.
        """
        every = (*expressions, *(rule.expression for rule in self))
        every_flags = (flags,) * len(expressions) + tuple(rule.flags | hyperscan.HS_FLAG_SINGLEMATCH for rule in self)

        def compile_apart() -> bytes:
            (made,) = compile_bounded([Job(every, every_flags, seconds=10, largest=64 << 20)])
            if isinstance(made, Refusal):
                paths = ", ".join(dict.fromkeys(rule.path for rule in self))
                raise UsageError(f"{paths}: the rules together: {made.why}", hint="fewer or simpler ones will do")
            return made

        return compiled(every, every_flags, compile_apart)


NO_RULES = Rules()


def read_rules(paths: Sequence[str], protocols: Collection[str] | None = None) -> Rules:
    """The rules in YAML files, checked and compiled in a child process with bounds.

    `protocols` are the names that rules may use; None: those of spanline.plaintext.parsers. Raises RulesError, which
    has a line for each mistake.
    """
    if protocols is None:
        from spanline.plaintext import parsers  # all of them

        protocols = {one.name for one in parsers.protocols()}
    rules: list[Rule] = []
    names: dict[str, Rule] = {}
    wrong: list[tuple[int, int, str]] = []  # of a file and a rule there
    order = {path: n for n, path in enumerate(dict.fromkeys(paths))}
    for path in order:
        try:
            entries = read_entries(path)
        except RulesError as error:
            wrong += [(order[path], 0, line) for line in error.lines]
            continue
        for entry in entries:
            reader = _Reader(path, entry, protocols)
            rule = reader.rule()
            if rule is not None and rule.name in names:
                first = names[rule.name]
                where = f"rule {first.number}" if first.path == path else f"rule {first.number} of {first.path}"
                reader.complain("name", f"{where} has it, too", "give each rule a name of its own")
            elif rule is not None:
                names[rule.name] = rule
                rules.append(rule)
            wrong += [(order[path], entry.number, line) for line in reader.wrong]
    places: list[bytes] = []
    try:
        places = _places(rules)
    except _RefusedError as error:
        wrong += [(order[rule.path], rule.number, _refused(rule, why)) for rule, why in error.rules]
    if wrong:
        raise RulesError(tuple(line for _, _, line in sorted(wrong, key=lambda one: one[:2])))
    return Rules(rules, places)


class _RefusedError(Exception):
    """Rules that were not compiled, and why."""

    def __init__(self, rules: Sequence[tuple[Rule, Refusal]]) -> None:
        super().__init__()
        self.rules = rules


class _Reader:
    """Makes a rule of what a file says; `wrong` are the lines that say why there is none."""

    def __init__(self, path: str, entry: Entry, protocols: Collection[str]) -> None:
        self._path = path
        self._entry = entry
        self._protocols = protocols
        self.wrong: list[str] = []

    def complain(self, key: str, what: str, hint: str) -> None:
        value = self._entry.values.get(key)
        name = self._entry.values.get("name")
        line = value.line if value is not None else self._entry.line
        place = _place(self._path, name.text if name is not None else "", self._entry.number, line)
        self.wrong.append(f"{place}: {f'{key}: ' if key else ''}{what}; {hint}")

    def rule(self) -> Rule | None:
        entry = self._entry
        if entry.wrong:
            self.complain("", entry.wrong, "write - name: and what it is called, and below it pattern: and message:")
            return None
        for key in entry.values:
            if key not in _KEYS:
                hint = nearest(key.lower(), _KEYS) or f"there are {', '.join(_KEYS)}"
                self.complain("", f"no setting is called {quoted(key)}", hint)
        for key, line in entry.repeated:
            self.complain("", f"{quoted(key)} is there twice, again in line {line}", "leave one of them out")
        for key in _NEEDED:
            if key not in entry.values:
                self.complain("", f"has no {key}", f"add {key}: and a text")
        name, message, remedy = (self._text(key) for key in ("name", "message", "remedy"))
        expression = self._expression()
        flags = self._flags()
        protocol = self._protocol()
        sender = _SENDERS[self._choice("direction", tuple(_SENDERS), "either")]
        severity = Severity(self._choice("severity", tuple(Severity), Severity.MEDIUM))
        if self.wrong:
            return None
        if "x" in self._said("flags"):
            expression = _EXTENDED + expression + b"\n"
        line = entry.values["pattern"].line
        return Rule(
            name, expression, flags, protocol, sender, severity, message, remedy, self._path, entry.number, line
        )

    def _said(self, key: str) -> str:
        """Its text, "" when there is none; complains of what is no text."""
        value = self._entry.values.get(key)
        if value is None:
            return ""
        if value.wrong:
            self.complain(key, f"{value.wrong} and no text", value.hint)
            return ""
        return value.text

    def _has(self, key: str) -> bool:
        value = self._entry.values.get(key)
        return value is not None and not value.wrong

    def _text(self, key: str) -> str:
        text = self._said(key)
        if self._has(key):
            if not text.strip():
                self.complain(key, "empty", "write a text, or leave it out" if key == "remedy" else "write a text")
            elif not text.isprintable():
                self.complain(key, "has control characters, or others that do not print", "write it in one plain line")
            elif len(text) > _LONGEST[key]:
                self.complain(key, f"longer than {_LONGEST[key]} characters", "shorten it")
        return text

    def _expression(self) -> bytes:
        text = self._said("pattern")
        if self._has("pattern"):
            if not text:
                self.complain("pattern", "empty", "write what to look for")
            elif "\0" in text:
                position = text.index("\0") + 1
                self.complain("pattern", f"a zero byte at position {position}", "write \\x00 in single quotes")
            elif text.startswith("(*"):
                self.complain("pattern", f"{quoted(text.partition(')')[0] + ')')} at position 1", "leave it out")
        return text.encode()

    def _flags(self) -> int:
        flags = 0
        for letter in dict.fromkeys(self._said("flags")):
            if letter not in _FLAGS:
                self.complain("flags", f"no flag is called {quoted(letter)}", "write letters of ismx: i any case, "
                              "s . is newlines, too, m ^ and $ at each line, x spaces and comments")  # fmt: skip
            flags |= _FLAGS.get(letter, 0)
        return flags

    def _protocol(self) -> str:
        name = self._said("protocol")
        if self._has("protocol") and name not in self._protocols:
            hint = nearest(name.lower(), self._protocols) or "leave it out for any protocol"
            self.complain("protocol", f"no protocol is called {quoted(name)}", hint)
        return name

    def _choice(self, key: str, choices: Sequence[str], default: str) -> str:
        text = self._said(key)
        if not self._has(key):
            return default
        if text not in choices:
            self.complain(key, f"{quoted(text)} is none", f"write {', '.join(choices[:-1])} or {choices[-1]}")
            return default
        return text


def _place(path: str, name: str, number: int, line: int) -> str:
    if not name:
        return f"{path}: rule {number} (line {line})"
    shown = quoted(name)[1:-1].replace('"', '\\"')
    return f'{path}: rule "{shown}" (rule {number}, line {line})'


def _places(rules: Sequence[Rule]) -> list[bytes]:
    """The serialised database of each rule. Raises _RefusedError."""
    if not rules:
        return []
    jobs = [Job((rule.expression,), (rule.flags | hyperscan.HS_FLAG_SOM_LEFTMOST,)) for rule in rules]

    def compile_apart() -> bytes:
        made = compile_bounded(jobs)
        refused = [(rule, one) for rule, one in zip(rules, made, strict=True) if isinstance(one, Refusal)]
        if refused:
            raise _RefusedError(refused)
        return _joined([one for one in made if isinstance(one, bytes)])

    version: str = hyperscan.__version__  # type: ignore[attr-defined]
    places = _parted(kept("rules", repr((version, jobs)).encode(), compile_apart))
    try:
        hyperscan.Scratch(hyperscan.loadb(places[0], hyperscan.HS_MODE_BLOCK))
    except hyperscan.DatabasePlatformError:  # kept in a home that another kind of processor shares
        places = _parted(compile_apart())
    return places


def _refused(rule: Rule, refusal: Refusal) -> str:
    text = rule.expression.removeprefix(_EXTENDED)
    skipped = len(rule.expression) - len(text)

    def position(found: re.Match[str]) -> str:
        before = text[: max(0, int(found[1]) - skipped)]
        return f"at position {len(before.decode(errors='ignore')) + 1}"

    why = re.sub(r"at index (\d+)", position, refusal.why).removesuffix(".")
    if "empty buffer" in why:
        why = "matches the empty text, and so everywhere"
        hint = _HINTS["empty buffer"]
    else:
        hint = next((hint for words, hint in _HINTS.items() if words in why), "patterns are hyperscan's, as PCRE's")
    return f"{_place(rule.path, rule.name, rule.number, rule.line)}: pattern: {why}; {hint}"


def _joined(parts: Sequence[bytes]) -> bytes:
    return b"".join(struct.pack("<Q", len(part)) + part for part in parts)


def _parted(joined: bytes) -> list[bytes]:
    parts, at = [], 0
    while at < len(joined):
        (length,) = struct.unpack_from("<Q", joined, at)
        parts.append(joined[at + 8 : at + 8 + length])
        at += 8 + length
    return parts


class WatchedRules:
    """The rules in files that somebody may change while they are used."""

    def __init__(self, paths: Sequence[str], clock: Callable[[], float] = time.monotonic) -> None:
        """Raises RulesError when they are wrong from the beginning."""
        self._paths = tuple(paths)
        self._clock = clock
        self._seen = self._identities()
        self._next_look = clock() + _WATCH_SECONDS
        self._reader: threading.Thread | None = None
        self._outcome: Rules | UsageError | None = None
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
        except UsageError as error:
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
