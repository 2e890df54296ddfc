"""The tables of all protocols. They are made from the protocol files once, and kept while those stay the same."""

from __future__ import annotations

import json
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np

from spanline._applications import ApplicationSet
from spanline.keeping import kept, of_folders

# Where in what ApplicationSet takes the arrays stand, and where pairs of them do; the others are names and numbers.
_ARRAYS = (1, 2, 3, 4, 5, 6, 9, 10, 11, 12)
_PAIRS = (7, 8)


@cache
def application_set() -> ApplicationSet:
    """The tables of all protocols."""
    return ApplicationSet(*_made()[0])


@cache
def foreign_patterns() -> tuple[tuple[int, bytes], ...]:
    """Application.foreign of all protocols, each with the number of its protocol's name."""
    return tuple((int(number), text.encode("latin-1")) for number, text in _made()[1])


@cache
def ports() -> tuple[dict[str, tuple[int, ...]], dict[str, tuple[int, ...]]]:
    """The TCP ports, and the UDP ports, of each protocol that has some, by its name."""
    names = _made()[0][0]
    found: list[dict[str, tuple[int, ...]]] = []
    for table in _made()[0][8]:
        own = np.flatnonzero(table)
        by_name: dict[str, tuple[int, ...]] = {}
        for port, number in zip(own.tolist(), table[own].tolist(), strict=True):
            by_name[names[number]] = (*by_name.get(names[number], ()), port)
        found.append(by_name)
    return found[0], found[1]


@cache
def _made() -> tuple[tuple[Any, ...], list[tuple[int, str]]]:
    source = of_folders(Path(__file__).parent)
    return _unpack(_make() if source is None else kept("protocols", source, _make))


def _make() -> bytes:
    """Lengths and kinds of the arrays in a line of JSON, and then their bytes."""
    from spanline.protocols import applications
    from spanline.protocols.compiling import compile_tables

    protocols = applications()
    tables = compile_tables(protocols)
    number = {name: n for n, name in enumerate(tables[0])}
    patterns = [(number[one.name], text.decode("latin-1")) for one in protocols for text in one.foreign]
    arrays = [tables[n] for n in _ARRAYS] + [array for n in _PAIRS for array in tables[n]]
    head = {
        "names": tables[0],
        "announced": tables[13],
        "patterns": patterns,
        "arrays": [(array.dtype.str, array.shape) for array in arrays],
    }
    return b"\n".join([json.dumps(head).encode(), b"".join(array.tobytes() for array in arrays)])


def _unpack(content: bytes) -> tuple[tuple[Any, ...], list[tuple[int, str]]]:
    """What ApplicationSet takes, in its order, and the patterns."""
    line, _, octets = content.partition(b"\n")
    head = json.loads(line)
    arrays, at = [], 0
    for kind, shape in head["arrays"]:
        array = np.zeros(shape, kind)
        array.reshape(-1).view(np.uint8)[:] = np.frombuffer(octets, np.uint8, array.nbytes, at)
        arrays.append(array)
        at += array.nbytes
    singles, lists = arrays[: len(_ARRAYS)], arrays[len(_ARRAYS) :]
    pairs = [lists[:2], lists[2:]]
    return (head["names"], *singles[:6], *pairs, *singles[6:], head["announced"]), head["patterns"]
