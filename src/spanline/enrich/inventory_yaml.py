"""Inventories in YAML: sections, and in each a list of rows."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import yaml

from spanline.enrich.entries import MOST_ROWS, Cell, Entry, Faults
from spanline.enrich.fields import LISTS, SECTIONS
from spanline.errors import nearest, quoted
from spanline.yaml_files import YamlMistake, events, text_of

MOST_BYTES = 32 << 20
_NOTHING = ("", "~", "null", "Null", "NULL")
_NAMES = (*SECTIONS, *LISTS)


def read_yaml(path: str, octets: bytes, faults: Faults) -> Iterator[Entry]:
    """The rows in a file, as they stand there; what it has that is none goes to `faults`."""
    try:
        for n, entry in enumerate(_Reader(path, faults).entries(events(text_of(octets)))):
            if n == MOST_ROWS:
                faults.add(path, entry.line, 0, f"more than {MOST_ROWS:,} rows", "leave out what can go")
                return
            yield entry
    except YamlMistake as mistake:
        faults.add(path, mistake.line, mistake.column, mistake.what, mistake.hint)


class _Reader:
    def __init__(self, path: str, faults: Faults) -> None:
        self._path = path
        self._faults = faults

    def _complain(self, event: Any, what: str, hint: str) -> None:
        self._faults.add(self._path, event.start_mark.line + 1, event.start_mark.column + 1, what, hint)

    def entries(self, found: Iterator[Any]) -> Iterator[Entry]:
        first = next(found, None)
        if first is None:
            self._faults.add(self._path, 0, 0, "nothing in it", "begin with vms: and a list of rows")
            return
        if not isinstance(first, yaml.MappingStartEvent):
            self._complain(first, "no table of sections", "begin with vms: and a list of rows")
            return
        seen: dict[str, int] = {}
        for key in found:
            if isinstance(key, yaml.MappingEndEvent):
                break
            name = _cell(key, found).text
            begin = next(found)
            if name not in _NAMES:
                hint = nearest(name.lower(), _NAMES) or f"there are {', '.join(_NAMES)}"
                self._complain(key, f"no section is called {quoted(name)}", hint)
                _skip(begin, found)
            elif name in seen:
                self._complain(key, f"{name} is there twice, first in line {seen[name]}", "put both into one")
                _skip(begin, found)
            else:
                seen[name] = key.start_mark.line + 1
                yield from self._section(name, begin, found)
        next(found, None)  # raises YamlMistake when more follows

    def _section(self, name: str, begin: Any, found: Iterator[Any]) -> Iterator[Entry]:
        if not isinstance(begin, yaml.SequenceStartEvent):
            if _skip(begin, found) or begin.value not in _NOTHING:
                self._complain(begin, f"{name} is no list", "begin each row with -")
            return
        for event in found:
            if isinstance(event, yaml.SequenceEndEvent):
                return
            line = event.start_mark.line + 1
            if name in LISTS:
                yield Entry(name, line, {"cidr": (_cell(event, found),)})
            elif isinstance(event, yaml.MappingStartEvent):
                yield Entry(name, line, self._cells(found))
            else:
                _skip(event, found)
                self._complain(event, f"no row of {name}", f"write - {SECTIONS[name][0].name}: and what it is")

    def _cells(self, found: Iterator[Any]) -> dict[str, tuple[Cell, ...]]:
        cells: dict[str, tuple[Cell, ...]] = {}
        for key in found:
            if isinstance(key, yaml.MappingEndEvent):
                break
            name = _cell(key, found).text
            begin = next(found)
            several = isinstance(begin, yaml.SequenceStartEvent)
            values = tuple(_several(found)) if several else (_cell(begin, found),)
            if name in cells:
                self._complain(key, f"{quoted(name)} is there twice", "leave one of them out")
            elif several or values[0].wrong or values[0].text not in _NOTHING:
                cells[name] = values
        return cells


def _several(found: Iterator[Any]) -> Iterator[Cell]:
    for event in found:
        if isinstance(event, yaml.SequenceEndEvent):
            return
        yield _cell(event, found)


def _cell(event: Any, found: Iterator[Any]) -> Cell:
    place = event.start_mark.line + 1, event.start_mark.column + 1
    if _skip(event, found):
        return Cell("", *place, "a list" if isinstance(event, yaml.SequenceStartEvent) else "a table")
    return Cell(event.value.strip(), *place)


def _skip(event: Any, found: Iterator[Any]) -> bool:
    """Whether a list or table begins with `event`, of which the rest is left out."""
    is_collection = isinstance(event, yaml.CollectionStartEvent)
    depth = int(is_collection)
    while depth:
        following = next(found)
        depth += isinstance(following, yaml.CollectionStartEvent) - isinstance(following, yaml.CollectionEndEvent)
    return is_collection
