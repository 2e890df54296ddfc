"""From what files say to rules, and what is said of those that are none."""

from __future__ import annotations

import re
import struct
from collections.abc import Collection, Sequence

import hyperscan

from spanline.errors import nearest, quoted
from spanline.keeping import kept
from spanline.plaintext.model import Sender, Severity
from spanline.plaintext.rule_file import Entry, RulesError, read_entries
from spanline.plaintext.rules import Rule, Rules
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


def read(paths: Sequence[str], protocols: Collection[str]) -> Rules:
    """As rules.read_rules()."""
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
