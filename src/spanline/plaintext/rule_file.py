"""Files with rules: what is read of them, and where in them everything stands.

YAML is read event by event, by yaml_files.py.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import yaml

from spanline.cli.text import printable
from spanline.errors import UsageError
from spanline.yaml_files import YamlMistake, events, read_bounded, text_of

MOST_BYTES = 1 << 20
MOST_RULES = 4096

EXAMPLE = """\
- name: cloud access key
  pattern: '\\bAKIA[0-9A-Z]{16}\\b'
  severity: high
  message: an access key of a cloud account
  remedy: revoke the key, and use HTTPS
"""
"""A file with one rule."""

_RESOLVER = yaml.resolver.Resolver()
_NOT_TEXT = {"int": "a number", "float": "a number", "bool": "a truth value", "null": "nothing", "timestamp": "a date"}


class RulesError(UsageError):
    """What is wrong with files of rules; one line each in `lines`."""

    def __init__(self, lines: tuple[str, ...]) -> None:
        self.lines = tuple(map(printable, lines))  # names of files may have anything in them
        super().__init__(self.lines[0])

    def excerpt(self) -> tuple[str, ...]:
        """What else is wrong."""
        return self.lines[1:]


@dataclass(frozen=True, slots=True)
class Value:
    """Text in a file; `wrong` says why it is none."""

    text: str
    line: int
    wrong: str = ""
    hint: str = ""


@dataclass(slots=True)
class Entry:
    """What a file says of its rule `number`, from 1.

    line     of its beginning, from 1
    values   by what it calls them
    repeated those that it says twice, with the line
    wrong    why it is no rule, "" when it may be one
    """

    number: int
    line: int
    values: dict[str, Value] = field(default_factory=dict)
    repeated: list[tuple[str, int]] = field(default_factory=list)
    wrong: str = ""


_HINTS = {
    "syntax": "put patterns in single quotes",
    "control": "in a pattern write \\x and two digits",
    "document": "put all rules into one list",
    "depth": "rules need none",
}
"""What to do, by YamlMistake.kind; of the others what that says."""


def read_entries(path: str) -> list[Entry]:
    """The rules in a file, as they stand there. Raises RulesError for what is no list of rules at all."""
    try:
        text = text_of(read_bounded(path, MOST_BYTES, "rules"))
        return list(_entries(events(text)))
    except YamlMistake as mistake:
        place = f", line {mistake.line}" if mistake.line else ""
        if mistake.kind in ("syntax", "tab") and mistake.line:
            place += f", column {mistake.column}"
        hint = mistake.hint if mistake.what == "no YAML" else _HINTS.get(mistake.kind, mistake.hint)
        raise RulesError((f"{path}{place}: {mistake.what}; {hint}",)) from None
    except _Mistake as mistake:
        place = f", line {mistake.line}" if mistake.line else ""
        raise RulesError((f"{path}{place}: {mistake}; {mistake.hint}",)) from None
    except RulesError:
        raise
    except UsageError as error:
        raise RulesError((str(error),)) from None


class _Mistake(Exception):
    """Why the file is no list of rules."""

    def __init__(self, line: int, what: str, hint: str) -> None:
        super().__init__(what)
        self.line = line
        self.hint = hint


def _entries(events: Iterator[Any]) -> Iterator[Entry]:
    first = next(events, None)
    if first is None:
        raise _Mistake(0, "no rule in it", "begin with - name: and what it is called")
    if not isinstance(first, yaml.SequenceStartEvent):
        raise _Mistake(first.start_mark.line + 1, "not a list of rules", "begin each rule with - name:")
    number = 0
    for event in events:
        if isinstance(event, yaml.SequenceEndEvent):
            break
        number += 1
        if number > MOST_RULES:
            raise _Mistake(event.start_mark.line + 1, f"more than {MOST_RULES} rules", "leave out what can go")
        yield _entry(number, event, events)
    next(events, None)  # raises _Mistake when more follows
    if not number:
        raise _Mistake(0, "no rule in it", "begin with - name: and what it is called")


def _entry(number: int, event: Any, events: Iterator[Any]) -> Entry:
    entry = Entry(number, event.start_mark.line + 1)
    if not isinstance(event, yaml.MappingStartEvent):
        entry.wrong = f"{_value(event, events).wrong or 'text'} and no rule"
        return entry
    for key_event in events:
        if isinstance(key_event, yaml.MappingEndEvent):
            break
        key = _value(key_event, events)
        value = _value(next(events), events)
        if key.text in entry.values:
            entry.repeated.append((key.text, key.line))
        else:
            entry.values[key.text] = value
    return entry


def _value(event: Any, events: Iterator[Any]) -> Value:
    line = event.start_mark.line + 1
    if isinstance(event, yaml.CollectionStartEvent):
        _skip(events)
        what = "a list" if isinstance(event, yaml.SequenceStartEvent) else "a table"
        return Value("", line, what, "write one text")
    text: str = event.value
    if event.implicit[0]:
        tag = _RESOLVER.resolve(yaml.ScalarNode, text, (True, False)).rpartition(":")[2]  # type: ignore[no-untyped-call]
        if tag != "str":
            return Value(text, line, _NOT_TEXT.get(tag, "no text"), "put it in quotes" if text else "write a text")
    # A block ends with a newline that nobody means.
    return Value(text.removesuffix("\n") if event.style in ("|", ">") else text, line)


def _skip(events: Iterator[Any]) -> None:
    """Leaves out the rest of a list or table that has begun."""
    depth = 1
    for event in events:
        depth += isinstance(event, yaml.CollectionStartEvent) - isinstance(event, yaml.CollectionEndEvent)
        if not depth:
            return
