"""Reports as files: a title, what it is about, and queries, each with its title."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from spanline.errors import UsageError, nearest, quoted
from spanline.yaml_files import YamlMistake, events, read_bounded, text_of

EXAMPLE = """\
title: My servers
about: What they do at night.
queries:
  - title: Who asks them?
    about: Clients by country.
    query: flows where Destination Subnet = 'servers' group by Source Country
"""
"""A report. `about` may be missing."""

MOST_BYTES = 1 << 20
SUFFIXES = (".yaml", ".yml")

_FOLDER = Path(__file__).with_name("ready")
_REPORT = ("title", "about", "queries")
_QUESTION = ("title", "about", "query")


@dataclass(frozen=True, slots=True)
class Question:
    """A query and what it is for; `line` is where it stands in the file, from 1."""

    title: str
    about: str
    query: str
    line: int


@dataclass(frozen=True, slots=True)
class Report:
    """`path` is its file."""

    title: str
    about: str
    questions: tuple[Question, ...]
    path: str


def ready() -> dict[str, Path]:
    """The reports that come along, by name."""
    return {path.stem: path for path in sorted(_FOLDER.glob("*.yaml"))}


def report_of(name: str) -> Report:
    """The one that comes along under this name, or the one in this file. Raises UsageError."""
    known = ready()
    if name in known:
        return read_report(str(known[name]))
    if Path(name).suffix.lower() not in SUFFIXES:
        raise UsageError(
            f"no report is called {quoted(name)}",
            hint=nearest(name.lower(), list(known)) or f"there are {', '.join(known)}; or name a file: mine.yaml",
        )
    return read_report(name)


def read_report(path: str) -> Report:
    """The report in a file; EXAMPLE shows one.

    Raises UsageError with file, line and column for what cannot be read or is no report. What a query says is not
    looked at.
    """
    try:
        return _report(path, events(text_of(read_bounded(path, MOST_BYTES, "queries"))))
    except YamlMistake as mistake:
        place = f", line {mistake.line}" if mistake.line else ""
        column = f", column {mistake.column}" if mistake.column else ""
        raise UsageError(f"{path}{place}{column}: {mistake.what}", hint=mistake.hint) from None


def _report(path: str, found: Iterator[Any]) -> Report:
    first = next(found, None)
    if first is None:
        raise YamlMistake("content", "nothing in it", "begin with title: and what the report is called")
    if not isinstance(first, yaml.MappingStartEvent):
        raise _mistake(first, "no report", "begin with title: and queries:")
    texts: dict[str, str] = {}
    questions: tuple[Question, ...] = ()
    for key, name in _keys(found, _REPORT, "a report"):
        if name == "queries":
            questions = tuple(_questions(key, found))
        else:
            texts[name] = _text(next(found), name)
    next(found, None)  # raises YamlMistake when more follows
    _require(first, texts, "title", "the report", "write title: and what it is called")
    if not questions:
        raise _mistake(first, "the report has no queries", "write queries: and below it - title: and query:")
    return Report(texts["title"], texts.get("about", ""), questions, path)


def _questions(key: Any, found: Iterator[Any]) -> Iterator[Question]:
    if not isinstance(next(found), yaml.SequenceStartEvent):
        raise _mistake(key, "queries is no list", "begin each query with - title:")
    for begin in found:
        if isinstance(begin, yaml.SequenceEndEvent):
            return
        if not isinstance(begin, yaml.MappingStartEvent):
            raise _mistake(begin, "a query without a title", "write - title: and below it query:")
        texts: dict[str, str] = {}
        line = 0
        for inner, name in _keys(found, _QUESTION, "a query"):
            texts[name] = _text(next(found), name)
            line = inner.start_mark.line + 1 if name == "query" else line
        _require(begin, texts, "title", "the query", "write title: and what it asks")
        _require(begin, texts, "query", "the query", "write query: flows group by Source Country")
        yield Question(texts["title"], texts.get("about", ""), texts["query"], line)


def _keys(found: Iterator[Any], names: tuple[str, ...], of: str) -> Iterator[tuple[Any, str]]:
    """The keys of a table up to its end, each known and there once; who asks takes the value behind each."""
    lines: dict[str, int] = {}
    for key in found:
        if isinstance(key, yaml.MappingEndEvent):
            return
        name = key.value if isinstance(key, yaml.ScalarEvent) else ""
        if name not in names:
            hint = nearest(name.lower(), names) or f"there are {', '.join(names)}"
            raise _mistake(key, f"{of} has no {quoted(name)}", hint)
        if name in lines:
            raise _mistake(key, f"{name} is there twice, first in line {lines[name]}", "leave one of them out")
        lines[name] = key.start_mark.line + 1
        yield key, name


def _text(value: Any, name: str) -> str:
    if not isinstance(value, yaml.ScalarEvent):
        raise _mistake(value, f"{name} is no text", "put it in single quotes")
    return str(value.value).strip()


def _require(begin: Any, texts: Mapping[str, str], name: str, what: str, hint: str) -> None:
    if not texts.get(name):
        raise _mistake(begin, f"{what} has no {name}", hint)


def _mistake(event: Any, what: str, hint: str) -> YamlMistake:
    return YamlMistake("content", what, hint, event.start_mark.line + 1, event.start_mark.column + 1)
