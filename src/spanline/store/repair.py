"""Whether a store is whole, and what can be done when it is not."""

from __future__ import annotations

import contextlib
import dataclasses
import secrets
from dataclasses import dataclass
from pathlib import Path

from spanline.errors import CaptureError, OutputError, Problem, UsageError
from spanline.store import counters, locks
from spanline.store.compaction import tidy
from spanline.store.decoding import undecodable
from spanline.store.manifest import NAME, Manifest, Segment, State
from spanline.store.segments import PATTERN, About, make_folders, read_about, read_footer
from spanline.store.store import FILE, QUARANTINE, LaterStore, Store, describe
from spanline.store.verified import Verified, problem_of, reason_of


def verify(store: Store) -> list[Problem]:
    """All that is wrong with it; every byte is read. Raises UsageError when its manifest is missing."""
    strays = []
    with locks.reader(store.path):
        state = store.state()
        faults = _faults(store.path, store.id, state)
    # While somebody changes it, what is not in the manifest may be there the next moment. Of others' stores, where
    # that cannot be told, strays are nobody's.
    with contextlib.suppress(OutputError), locks.changing(store.path):
        strays = _strays(store.path, store.state())
    hint = f"spanline store repair {store.path} sets it aside"
    return [
        *(*state.problems, *faults.values(), *counters.faults(store.path).values()),
        *(Problem(str(store.path / one), "stray", "not in the manifest; nobody reads it", hint=hint) for one in strays),
    ]


@dataclass(frozen=True, slots=True)
class Repaired:
    """found      segments that a damaged or lost manifest did not name, and this one does
    set_aside  files that are in the folder quarantine now, and segments that are missing, and why
    rows       how many records that were in the store are not any more
    again      names of captures that lost some, and may be crunched into the store again
    """

    found: tuple[Segment, ...]
    set_aside: tuple[Problem, ...]
    rows: int
    again: tuple[str, ...]


def repair(folder: Path) -> Repaired:
    """Makes a store whole: what is damaged goes to the folder quarantine, and what a damaged or lost manifest does not
    name is read from the segments themselves.

    Raises UsageError where there is no store, OutputError when somebody else writes to it, or it cannot be written.
    """
    if not (folder / FILE).exists() and not (folder / NAME).exists() and not any(folder.glob(PATTERN)):
        raise UsageError(f"{folder}: no store")
    with locks.sole_writer(folder), locks.changing(folder):
        id = _described(folder)
        (folder / locks.READERS).touch()
        manifest = Manifest(folder)
        state, is_lost = _read(manifest)
        if is_lost and not (folder / NAME).is_file():
            _set_aside(folder, NAME)
        faults = _faults(folder, id, state)
        rows = sum(state.segments[name].rows for name in faults)
        again = _reopen(state, set(faults))
        for name in faults:
            del state.segments[name]
            _set_aside(folder, name)
        set_aside = [dataclasses.replace(problem, hint="") for problem in faults.values()]
        for path, problem in counters.faults(folder).items():
            set_aside.append(dataclasses.replace(problem, hint=""))
            _set_aside(folder, path.relative_to(folder).as_posix())
        found: list[Segment] = []
        for name in _strays(folder, state):
            try:
                about, segment = _read_about(folder / name)
            except OSError as error:
                what = reason_of(error, folder / name)
                set_aside.append(Problem(str(folder / name), "damaged", what))
                _set_aside(folder, name)
                continue
            if is_lost:
                _adopt(state, about, segment)
                found.append(segment)
            else:
                set_aside.append(Problem(str(folder / name), "stray", "what a writer did not end"))
                _set_aside(folder, name)
        # Of segments that others replaced, the flows are there twice.
        found = [segment for segment in found if segment.name in state.segments]
        state.problems.clear()
        manifest.rewrite(state)
        tidy(folder)
        return Repaired(tuple(found), tuple(set_aside), rows, again)


def _faults(folder: Path, id: str, state: State) -> dict[str, Problem]:
    """What is wrong with segments, by name; every byte is read, and what can be read is decoded."""
    segments = state.segments
    found = Verified(folder, id, segments).faults(list(segments.values()), every=True)
    paths = {folder / name: segment for name, segment in segments.items() if name not in found}
    for path, why in undecodable(paths).items():
        found[paths[path].name] = problem_of(folder, paths[path], why)
    return found


def _read_about(path: Path) -> tuple[About, Segment]:
    """read_about() of what may be anything."""
    if not path.is_file():
        raise CaptureError(f"{path}: not a file")
    read_footer(path)
    for why in undecodable([path]).values():
        raise CaptureError(f"{path}: {why}")
    return read_about(path)


def _described(folder: Path) -> str:
    """The store's id; another one where it is lost."""
    try:
        return Store(folder).id
    except LaterStore:
        raise
    except UsageError:
        id = secrets.token_hex(8)
        describe(folder, id)
        return id


def _read(manifest: Manifest) -> tuple[State, bool]:
    """What the manifest says, and whether some of it is lost."""
    try:
        state = manifest.read()
    except FileNotFoundError:
        return State(), True  # nothing, or what is no file
    return state, bool(state.problems)


def _strays(folder: Path, state: State) -> list[str]:
    """Segments that the manifest does not name."""
    there = {path.relative_to(folder).as_posix() for path in folder.glob(PATTERN)}
    return sorted(there - set(state.segments) - state.removed)


def _adopt(state: State, about: About, segment: Segment) -> None:
    if segment.name in state.removed:
        return
    state.segments[segment.name] = segment
    for run in about.runs:
        known = state.runs.get(run.id)
        if known is None or not known.is_complete:
            state.runs[run.id] = run
    for name in about.replaces:
        state.segments.pop(name, None)
        state.removed.add(name)


def _reopen(state: State, damaged: set[str]) -> tuple[str, ...]:
    """Lets the captures that lost flows in `damaged` segments come again, in the place of what is left of them; where
    that stands in one segment with flows of others, it cannot. Gives their names."""
    lost = {run for name in damaged for run in state.segments[name].runs}
    mixed = {run for segment in state.segments.values() if len(segment.runs) > 1 for run in segment.runs}
    names = []
    for id in lost - mixed:
        run = state.runs.get(id)
        if run is not None and run.captures:
            state.runs[id] = dataclasses.replace(run, is_complete=False)
            names += [name for _, name in run.captures]
    return tuple(sorted(names))


def _set_aside(folder: Path, name: str) -> None:
    """Moves the file to the quarantine; one that is missing is no more."""
    target = folder / QUARANTINE / name.replace("/", "-")
    make_folders(target.parent, folder)
    try:
        with contextlib.suppress(FileNotFoundError):
            (folder / name).replace(target)
    except OSError as error:
        raise OutputError(f"cannot move {folder / name} to {target}: {error.strerror}") from error
