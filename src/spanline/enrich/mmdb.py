"""MMDB files: all networks of one, as Ranges.

maxminddb reads the records, which are few; the tree, which has a million nodes, is walked level by level with numpy.
Definition: https://maxmind.github.io/MaxMind-DB/, version 2.0.
"""

from __future__ import annotations

import ipaddress
import stat
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from spanline.enrich.ranges import Ranges, Steps
from spanline.errors import UsageError

MOST_BYTES = 1 << 30

Row = tuple[Any, ...]
Walked = tuple[npt.NDArray[np.uint64], npt.NDArray[np.uint32]]


def require(path: str, what: str) -> None:
    """Raises UsageError, which calls it `what`, for what is clearly no MMDB file; its end is looked at, and no more."""
    import maxminddb

    hint = f"name {what} in the MMDB format"
    try:
        _require_file(path, hint)
        maxminddb.open_database(path).close()
    except maxminddb.InvalidDatabaseError as error:
        raise UsageError(f"{path}: no whole MMDB file", hint=hint) from error
    except (OSError, ValueError) as error:
        if isinstance(error, UsageError):
            raise
        raise UsageError(f"cannot read {path}: {getattr(error, 'strerror', None) or error}", hint=hint) from error


def _require_file(path: str, hint: str) -> None:
    if not stat.S_ISREG(Path(path).stat().st_mode):  # a FIFO would wait for somebody who writes
        raise UsageError(f"cannot read {path}: not a file", hint=hint)


def read_octets(path: str, what: str) -> bytes:
    """The content of the file `path`. Raises UsageError, which calls it `what`."""
    hint = f"name {what} in the MMDB format"
    try:
        _require_file(path, hint)
        with open(path, "rb") as file:
            octets = file.read(MOST_BYTES + 1)
    except (OSError, ValueError) as error:
        if isinstance(error, UsageError):
            raise
        raise UsageError(f"cannot read {path}: {getattr(error, 'strerror', None) or error}", hint=hint) from error
    if len(octets) > MOST_BYTES:
        raise UsageError(f"{path}: larger than {MOST_BYTES >> 30} GiB", hint=hint)
    return octets


def flatten(path: str, octets: bytes, what: str, row_of: Callable[[Any], Row | None]) -> tuple[Ranges, list[Row], str]:
    """(networks, rows, type of database) of the MMDB file `path`, whose content is `octets`.

    A network's number is the index in `rows` of what `row_of` makes of its record, from 1; rows[0] is empty. Networks
    of which it gives None have the number 0. IPv6 addresses that stand for IPv4 ones (6to4, Teredo) have none either.

    Raises UsageError for what is no such file, which calls what was wanted `what`.
    """
    import maxminddb

    hint = f"name {what} in the MMDB format"
    try:
        with maxminddb.open_database(path) as reader:
            head = reader.metadata()
            tree = _tree(octets, head.node_count, head.record_size)
            walked = _walk_all(tree, head.ip_version)
            pointers = np.unique(np.concatenate([pointers for _, pointers in walked]))
            rows: dict[Row, int] = {(): 0}
            numbers = np.zeros(len(pointers), np.uint32)
            some = _some_address(walked, pointers)
            for n, pointer in enumerate(pointers.tolist()):
                row = row_of(reader.get(some[n])) if pointer else None
                numbers[n] = 0 if row is None else rows.setdefault(row, len(rows))
    except (maxminddb.InvalidDatabaseError, _DamagedError, ValueError, TypeError, KeyError, OverflowError) as error:
        raise UsageError(f"{path}: no whole MMDB file", hint=hint) from error
    except OSError as error:
        raise UsageError(f"cannot read {path}: {error.strerror or error}", hint=hint) from error
    steps = [Steps.of(first, numbers[np.searchsorted(pointers, of)]) for first, of in walked]
    return Ranges(steps[0], steps[1]), list(rows), str(head.database_type)


class _DamagedError(Exception):
    """The tree is none."""


def _tree(octets: bytes, node_count: int, record_size: int) -> npt.NDArray[np.uint32]:
    """uint32[node_count, 2]: where each node leads to."""
    width = record_size // 4
    if record_size not in (24, 28, 32) or not 0 < node_count * width <= len(octets):
        raise _DamagedError
    nodes = np.frombuffer(octets, np.uint8, node_count * width).reshape(node_count, width).astype(np.uint32)
    left = nodes[:, 0] << 16 | nodes[:, 1] << 8 | nodes[:, 2]
    right = nodes[:, -3] << 16 | nodes[:, -2] << 8 | nodes[:, -1]
    if record_size == 28:  # the middle byte has the upper half of both
        left |= (nodes[:, 3] & 0xF0) << 20
        right |= (nodes[:, 3] & 0x0F) << 24
    elif record_size == 32:
        left = left << 8 | nodes[:, 3]
        right |= nodes[:, 4] << 24
    return np.stack([left, right], axis=1)


def _walk_all(tree: npt.NDArray[np.uint32], ip_version: int) -> tuple[Walked, Walked]:
    """Where IPv4's and IPv6's networks begin, with what the tree says of each: 0 for nothing."""
    nothing = np.zeros((1, 2), np.uint64), np.zeros(1, np.uint32)
    if ip_version == 4:
        return _walk(tree, 0, 32, None), nothing
    if ip_version != 6:
        raise _DamagedError
    start = 0
    for _ in range(96):  # IPv4 stands at ::/96
        start = int(tree[start, 0])
        if start >= len(tree):
            break
    if start >= len(tree):
        ipv4: Walked = nothing[0], np.array([start if start > len(tree) else 0], np.uint32)
        return ipv4, _walk(tree, 0, 128, None)
    return _walk(tree, start, 32, None), _walk(tree, 0, 128, start)


def _walk(tree: npt.NDArray[np.uint32], root: int, bits: int, ipv4: int | None) -> Walked:
    """All networks below `root`, in order, without what is below the node `ipv4`."""
    count = len(tree)
    nodes = np.array([root], np.uint32)
    halves = np.zeros((1, 2), np.uint64)
    firsts, pointers, found = [], [], 0
    for depth in range(bits):
        below = np.repeat(halves, 2, axis=0)
        bit = bits - 1 - depth
        below[1::2, 0 if bit >= 64 else 1] |= np.uint64(1 << bit % 64)
        children = tree[nodes].reshape(-1)
        if ipv4 is not None:
            children[children == ipv4] = count
        is_node = children < count
        # A tree comes to each node once, but for parts that writers share; one that leads back into itself doubles
        # with each level.
        found += len(children)
        if found > 8 * count + 4096:
            raise _DamagedError
        firsts.append(below[~is_node])
        pointers.append(np.where(children[~is_node] == count, 0, children[~is_node]))
        nodes, halves = children[is_node], below[is_node]
    if len(nodes):
        raise _DamagedError
    first = np.concatenate(firsts)
    order = np.lexsort((first[:, 1], first[:, 0]))
    return first[order], np.concatenate(pointers)[order]


def _some_address(walked: tuple[Walked, Walked], pointers: npt.NDArray[np.uint32]) -> list[str]:
    """For each of `pointers` an address of which the tree says it."""
    some = [""] * len(pointers)
    for version, (first, of) in zip((4, 6), walked, strict=True):
        which, at = np.unique(of, return_index=True)
        for n, (high, low) in zip(np.searchsorted(pointers, which), first[at].tolist(), strict=True):
            number = high << 64 | low
            some[n] = str(ipaddress.IPv4Address(number) if version == 4 else ipaddress.IPv6Address(number))
    return some
