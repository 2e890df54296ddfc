"""Queries that the user keeps under a name: a YAML file in the configuration folder, a line each.

    logins: flows where port in ($port) and flow type = 'East-West'

It is @logins port=22 port=3389 then. parameters.py has what $port is.
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import yaml

from spanline.errors import UsageError, nearest, quoted
from spanline.keeping import config_folder, private_folder
from spanline.output import open_stream
from spanline.query.cleaning import clean
from spanline.query.errors import QueryError
from spanline.query.lexing import tokens
from spanline.query.parameters import MARK, VALUE, parameters_of
from spanline.query.reading import parse
from spanline.yaml_files import YamlMistake, events, read_bounded, text_of

_NAME = re.compile(r"[a-z][a-z0-9_-]{0,59}", re.IGNORECASE | re.ASCII)
_MOST_BYTES = 1 << 20
_HEADING = "# Written by spanline query --save; a comment of yours would not be kept.\n"
_SAMPLES = (
    "1",
    "4095",
    "65535",
    "4294967295",
    "10.0.0.1",
    "00:00:00:00:00:01",
    "Internet",
    "1 day",
    "yesterday",
    "now",
)
"""Of every kind of value that a parameter may stand for, one; and large numbers, for `between 22 and $last`."""


class Call(NamedTuple):
    """A query that is kept, and the values of its parameters."""

    text: str
    values: Mapping[str, Sequence[str]]


def queries_file() -> Path:
    """Where they are kept. Raises UsageError when there is no home."""
    try:
        return config_folder() / "queries.yaml"
    except OSError as error:
        raise _unwritten(error) from error


def saved_queries() -> dict[str, str]:
    """Texts by name, in its order. Raises UsageError with file, line and column for what is no such file."""
    path = queries_file()
    if not path.exists():
        return {}
    try:
        return dict(sorted(_entries(events(text_of(read_bounded(str(path), _MOST_BYTES, "queries"))))))
    except YamlMistake as mistake:
        place = f", line {mistake.line}" if mistake.line else ""
        column = f", column {mistake.column}" if mistake.column else ""
        raise UsageError(f"{path}{place}{column}: {mistake.what}", hint=mistake.hint) from None


def save(name: str, text: str) -> Path:
    """Keeps a query under a name, instead of what was kept under it; the file that it is in.

    Raises UsageError for a name that cannot be one and where nothing can be kept, QueryError for a query that has a
    fault whatever its parameters are.
    """
    known = _name(name)
    cleaned = clean(text)
    if cleaned.startswith(MARK):
        raise UsageError(f"{quoted(cleaned)} is kept already", hint="keep the text of a query")
    _check(cleaned)
    return _write(saved_queries() | {known: cleaned})


def delete(name: str) -> Path:
    """Keeps a query no longer. Raises UsageError when there is none of this name."""
    queries = saved_queries()
    del queries[_found(name, queries)]
    return _write(queries)


def called(call: str, more: Sequence[str] = ()) -> Call:
    """The query that @name is, with its values.

    call  "@name port=22 vm='web 1'", in quotes as a shell has them
    more  values, a text for each: "port=3389"

    Raises UsageError when there is none, or values are missing or too many.
    """
    words = [*_words(call), *more]
    queries = saved_queries()
    text = queries[_found(words[0].removeprefix(MARK), queries)]
    values: dict[str, list[str]] = {}
    for word in words[1:]:
        match = VALUE.fullmatch(word)
        if match is None:
            raise UsageError(f"{quoted(word)} is no value of {words[0]}", hint="write port=22")
        values.setdefault(match[1].lower(), []).append(match[2])
    names = parameter_names(text)
    missing = [name for name in names if name not in values]
    if missing:
        hint = f"write {words[0]} {' '.join(f'{name}=…' for name in names)}"
        raise UsageError(f"{words[0]} needs a value of {' and of '.join(missing)}", hint=hint)
    for name in values:
        if name not in names:
            there = f"there {'is' if len(names) == 1 else 'are'} {', '.join(names)}" if names else "it has none"
            raise UsageError(f"{words[0]} has no parameter {quoted(name)}", hint=nearest(name, names) or there)
    return Call(text, values)


def parameter_names(text: str) -> list[str]:
    """The parameters of a query, each once. Raises QueryError."""
    return list(dict.fromkeys(parameters_of(tokens(text), text).values()))


def _words(text: str) -> list[str]:
    try:
        return shlex.split(text)
    except ValueError:
        raise UsageError(f"{quoted(text)}: a quote has no end", hint="write vm='web 1'") from None


def _check(text: str) -> None:
    """Raises QueryError when there are no values with which it would be a query."""
    terminals = tokens(text)
    places = {terminals[place].start_pos: name for place, name in parameters_of(terminals, text).items()}
    tried = dict.fromkeys(places.values(), 0)
    while True:
        try:
            parse(text, parameters={name: (_SAMPLES[number],) for name, number in tried.items()})
        except QueryError as error:
            name = places.get(error.start, "")
            if not name or tried[name] + 1 == len(_SAMPLES):
                raise
            tried[name] += 1
        else:
            return


def _name(name: str) -> str:
    known = name.removeprefix(MARK)
    if not _NAME.fullmatch(known):
        raise UsageError(
            f"a query cannot be called {quoted(known)}",
            hint="a name has letters, digits, - and _, and begins with a letter",
        )
    return known.lower()


def _found(name: str, queries: Mapping[str, str]) -> str:
    if name.lower() not in queries:
        there = f"there {'is' if len(queries) == 1 else 'are'} {', '.join(queries)}"
        hint = nearest(name.lower(), list(queries)) or (
            there if queries else "spanline query --save NAME QUERY keeps one"
        )
        raise UsageError(f"no query is called {quoted(name)}", hint=hint)
    return name.lower()


def _entries(found: Iterator[Any]) -> Iterator[tuple[str, str]]:
    first = next(found, None)
    if first is None:
        return
    if not isinstance(first, yaml.MappingStartEvent):
        raise _mistake(first, "no names of queries", "write name: and the query behind it")
    lines: dict[str, int] = {}
    for key in found:
        if isinstance(key, yaml.MappingEndEvent):
            break
        name = key.value.lower() if isinstance(key, yaml.ScalarEvent) else ""
        if not _NAME.fullmatch(name):
            hint = "a name has letters, digits, - and _, and begins with a letter"
            raise _mistake(key, f"a query cannot be called {quoted(name)}", hint)
        if name in lines:
            raise _mistake(key, f"{name} is there twice, first in line {lines[name]}", "leave one of them out")
        lines[name] = key.start_mark.line + 1
        value = next(found)
        if not isinstance(value, yaml.ScalarEvent) or not value.value.strip():
            raise _mistake(value, f"{name} is no text", "write the query behind it, on the same line")
        yield name, clean(value.value)
    next(found, None)  # raises YamlMistake when more follows


def _mistake(event: Any, what: str, hint: str) -> YamlMistake:
    return YamlMistake("content", what, hint, event.start_mark.line + 1, event.start_mark.column + 1)


def _write(queries: Mapping[str, str]) -> Path:
    path = queries_file()
    text = yaml.safe_dump(dict(queries), allow_unicode=True, width=1 << 20) if queries else ""
    try:
        private_folder(path.parent)
    except OSError as error:
        raise _unwritten(error) from error
    with open_stream(str(path), private=True, durable=True) as stream:
        stream.write(f"{_HEADING}{text}".encode())
    return path


def _unwritten(error: OSError) -> UsageError:
    return UsageError(f"no query can be kept: {error}", hint="let XDG_CONFIG_HOME name a folder that can be written to")
