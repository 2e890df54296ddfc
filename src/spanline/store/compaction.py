"""Small segments of an hour become one, and old ones go."""

from __future__ import annotations

import contextlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path

import pyarrow as pa

from spanline.errors import OutputError, Problem
from spanline.store import locks
from spanline.store.manifest import Manifest, Segment, State, transaction
from spanline.store.segments import About, by_hour, now, read_segment, write_segment
from spanline.store.verified import Verified, problem_of, reason_of

ROWS = 1 << 20
"""Rows of a segment that is large enough; those of an hour take some 300 MB while they become one."""
MANY = 32
"""Segments of an hour from which on a writer makes one of them without being asked."""
_ARRIVED_TOGETHER = 86_400 * 10**9
"""What arrived further apart, ns, stays apart: it goes at the age of what arrived last."""


@dataclass(frozen=True, slots=True)
class Compacted:
    """How many segments became how many; what was wrong with others, which stay as they are."""

    before: int
    after: int
    problems: tuple[Problem, ...] = ()


def compact(folder: Path, id: str, least: int = 2) -> Compacted:
    """Makes one segment of those of an hour, where there are `least` and the runs that they are from are complete.

    Others change the store between one hour and the next. Raises OutputError; what is not replaced yet stays.
    """
    manifest = Manifest(folder)
    before = after = 0
    problems: list[Problem] = []
    for names in _groups(manifest.read(), least):
        with locks.changing(folder):
            state = manifest.read()
            group = [state.segments[name] for name in names if name in state.segments]
            faults = Verified(folder, id, state.segments).faults(group)
            tables = {one: _read(folder, one, faults) for one in group if one.name not in faults}
            whole = {segment: stored for segment, stored in tables.items() if stored is not None}
            problems += faults.values()
            if len(whole) < 2:
                continue
            made = _merged(folder, whole, state)
            manifest.add(transaction(add=made, remove=[segment.name for segment in whole]))
            before, after = before + len(whole), after + len(made)
    if before:
        with locks.changing(folder):
            tidy(folder)
    return Compacted(before, after, tuple(problems))


def _groups(state: State, least: int) -> list[list[str]]:
    """Names of segments that may become one."""
    small = [
        one
        for one in state.segments.values()
        if one.rows < ROWS // 2 and all(run in state.runs and state.runs[run].is_complete for run in one.runs)
    ]
    groups = []
    for _, hour in groupby(sorted(small, key=lambda one: (one.hour, one.arrived)), lambda one: one.hour):
        rows, first, group = 0, 0, list[Segment]()
        for segment in hour:
            if group and (rows + segment.rows > ROWS or segment.arrived - first > _ARRIVED_TOGETHER):
                groups.append(group)
                rows, group = 0, []
            first = segment.arrived if not group else first
            rows += segment.rows
            group.append(segment)
        groups.append(group)
    return [[segment.name for segment in group] for group in groups if len(group) >= least]


def _read(folder: Path, segment: Segment, faults: dict[str, Problem]) -> pa.Table | None:
    """All of a segment; None of one that cannot be read, which is one of the faults then."""
    path = folder / segment.name
    try:
        return read_segment(path)
    except OSError as error:
        faults[segment.name] = problem_of(folder, segment, reason_of(error, path))
        return None


def _merged(folder: Path, segments: Mapping[Segment, pa.Table], state: State) -> list[Segment]:
    stored = pa.concat_tables(segments.values())
    about = About(
        arrived=max(segment.arrived for segment in segments),
        runs=tuple(state.runs[run] for run in sorted({run for segment in segments for run in segment.runs})),
        replaces=tuple(segment.name for segment in segments),
    )
    return [write_segment(folder, part, about) for part in by_hour(stored)]


def expire(folder: Path, age: int | None = None, size: int | None = None) -> list[Segment]:
    """Removes segments that arrived more than `age` ns ago, and those that arrived first until `size` bytes are left.

    When flows were seen does not matter: an old capture that arrived today stays. Gives what was removed. Raises
    OutputError.
    """
    manifest = Manifest(folder)
    gone = []
    with locks.changing(folder):
        segments = sorted(manifest.read().segments.values(), key=lambda one: one.arrived)
        total, oldest = sum(segment.size for segment in segments), now() - (age or 0)
        for segment in segments:
            if (age is not None and segment.arrived < oldest) or (size is not None and total > size):
                gone.append(segment)
                total -= segment.size
        if gone:
            _remove(folder, [segment.name for segment in gone])
    return gone


def _remove(folder: Path, names: Sequence[str]) -> None:
    """On a full disk, a line that names one segment has room where that of many has none; then there is more."""
    manifest = Manifest(folder)
    try:
        manifest.add(transaction(remove=names))
    except OutputError:
        manifest.add(transaction(remove=names[:1]))
        with contextlib.suppress(OutputError):  # the log written anew may be larger than what went
            tidy(folder)
        manifest.add(transaction(remove=names[1:]))
    tidy(folder)


def tidy(folder: Path) -> None:
    """Removes files that a writer left unfinished, and, unless somebody reads, those of segments that were removed;
    then the manifest says what there is, and nothing of what there was. Nobody else changes the store meanwhile."""
    for path in folder.glob("????-??-??/??/.segment-*.part"):
        path.unlink(missing_ok=True)
    with locks.no_readers(folder) as alone:
        if not alone:
            return
        manifest = Manifest(folder)
        state = manifest.read()
        for name in state.removed:
            (folder / name).unlink(missing_ok=True)
            for above in (folder / name).parents[:2]:
                with contextlib.suppress(OSError):  # others are in it
                    above.rmdir()
        if state.removed and not state.problems:
            state.removed.clear()
            manifest.rewrite(state)
