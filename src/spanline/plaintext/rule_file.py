"""Files with rules: what is read of them, and where in them everything stands.

YAML is read event by event, so that nothing is built of a file that no rule is made of: neither what aliases repeat nor
lists inside lists.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import yaml

from spanline.cli.text import printable
from spanline.errors import UsageError
from spanline.system import BINARY, NO_WAIT

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

_DEEPEST = 16
_LOADER = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
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


def read_entries(path: str) -> list[Entry]:
    """The rules in a file, as they stand there. Raises RulesError for what is no list of rules at all."""
    text = _text(path, _octets(path))
    try:
        return list(_entries(_events(text)))
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        place = f", line {mark.line + 1}, column {mark.column + 1}" if mark else ""
        hint = "put patterns in single quotes"
        if any(word in str(error.problem) for word in ("tab character", "'\\t'")):
            hint = "indent with spaces"
        raise RulesError((f"{path}{place}: {error.problem or error.context}; {hint}",)) from None
    except yaml.YAMLError:
        raise RulesError((f"{path}: no YAML; save it as UTF-8 text",)) from None
    except _Mistake as mistake:
        place = f", line {mistake.line}" if mistake.line else ""
        raise RulesError((f"{path}{place}: {mistake}; {mistake.hint}",)) from None


class _Mistake(Exception):
    """Why the file is no list of rules."""

    def __init__(self, line: int, what: str, hint: str) -> None:
        super().__init__(what)
        self.line = line
        self.hint = hint


def _octets(path: str) -> bytes:
    try:
        # A FIFO would wait for somebody who writes.
        with open(os.open(path, os.O_RDONLY | NO_WAIT | BINARY), "rb") as file:
            if not stat.S_ISREG(os.fstat(file.fileno()).st_mode):
                raise RulesError((f"cannot read {path}: not a file; name a file with rules",))
            octets = file.read(MOST_BYTES + 1)
    except (OSError, ValueError) as error:
        if isinstance(error, RulesError):
            raise
        why = getattr(error, "strerror", None) or error
        raise RulesError((f"cannot read {path}: {why}; name a file with rules",)) from None
    if len(octets) > MOST_BYTES:
        raise RulesError((f"{path}: larger than {MOST_BYTES >> 20} MiB; are these rules?",))
    return octets


def _text(path: str, octets: bytes) -> str:
    try:
        text = octets.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = octets[: error.start].count(b"\n") + 1
        raise RulesError((f"{path}, line {line}: not UTF-8 text; save it as UTF-8",)) from None
    foreign = yaml.reader.Reader.NON_PRINTABLE.search(text)
    if foreign is not None:
        line = text.count("\n", 0, foreign.start()) + 1
        what = f"the control character U+{ord(foreign[0]):04X}"
        raise RulesError((f"{path}, line {line}: {what}; in a pattern write \\x and two digits",))
    return text


def _events(text: str) -> Iterator[Any]:
    """What stands in the file, without what it needs no rule for. Raises _Mistake."""
    documents = depth = 0
    event: Any
    for event in yaml.parse(text, Loader=_LOADER):
        line = event.start_mark.line + 1
        if isinstance(event, yaml.AliasEvent) or getattr(event, "anchor", None) is not None:
            raise _Mistake(line, "an anchor or an alias (& or *)", "write out what is meant, or put it in quotes")
        if isinstance(event, yaml.NodeEvent) and getattr(event, "tag", None) is not None:
            raise _Mistake(line, "a tag (!)", "write plain text, or put it in quotes")
        documents += isinstance(event, yaml.DocumentStartEvent)
        if documents > 1:
            raise _Mistake(line, "a second document (---)", "put all rules into one list")
        depth += isinstance(event, yaml.CollectionStartEvent) - isinstance(event, yaml.CollectionEndEvent)
        if depth > _DEEPEST:
            raise _Mistake(line, "lists inside lists without end", "rules need none")
        if isinstance(event, yaml.NodeEvent | yaml.CollectionEndEvent):
            yield event


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
