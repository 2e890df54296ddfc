"""The store: a folder of segments, and the manifest that says which.

spanline-store.json                       what it is: version and id
manifest.log                              store/manifest.py
2026-01-05/10/segment-….parquet           flows that began in that hour, UTC (store/layout.py)
quarantine/                               segments that were damaged
writer.lock changes.lock readers.lock     store/locks.py
"""

from __future__ import annotations

import contextlib
import json
import os
import re
import secrets
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import pyarrow as pa

from spanline.errors import OutputError, Problem, UsageError
from spanline.output import open_stream
from spanline.store import locks
from spanline.store.layout import SCHEMA, VERSION, decoded
from spanline.store.manifest import NAME, Manifest, Segment, State
from spanline.store.segments import read_segment
from spanline.store.verified import Verified

if TYPE_CHECKING:
    from spanline.store.compaction import Compacted
    from spanline.store.writer import Writer

FILE = "spanline-store.json"
QUARANTINE = "quarantine"
_ID = re.compile("[0-9a-f]{16}")

Window = tuple[int | None, int | None]
"""From, and to without that one, in ns since the epoch, UTC; None: from the beginning, to the end."""


class Store:
    """The store in the folder `path`; `create` makes one where there is none.

    Raises UsageError where there is no store, LaterStore where it is one of a later version, OutputError where none can
    be made.
    """

    def __init__(self, path: str | os.PathLike[str], *, create: bool = False) -> None:
        self.path = folder_of(path)
        if create:
            _make(self.path)
        self.id = _identity(self.path)
        self.manifest = Manifest(self.path)

    def state(self) -> State:
        """What it consists of now. Raises UsageError when that is lost."""
        try:
            return self.manifest.read()
        except FileNotFoundError as error:
            raise UsageError(
                f"{self.path}: the manifest of this store is missing",
                hint=f"make it again with spanline store repair {self.path}",
            ) from error

    @property
    def is_live(self) -> bool:
        """Whether what came last came from a live capture: `the last 24 hours` are measured from now then, and from the
        newest record of an archive."""
        return self.state().is_live

    @property
    def newest(self) -> int | None:
        """The latest last_seen, ns; None in an empty store."""
        return max((segment.end for segment in self.state().segments.values()), default=None)

    def captures(self) -> dict[str, str]:
        """By identity (sources.identity), the names of the captures that are in it as a whole."""
        runs = [run for run in self.state().runs.values() if run.is_complete]
        return {identity: name for run in runs for identity, name in run.names.items()}

    def segments(self, window: Window = (None, None)) -> Selection:
        """The segments with flows that overlap `window`; as long as it is open, none of them is removed."""
        with contextlib.ExitStack() as held:
            held.enter_context(locks.reader(self.path))
            state = self.state()
            begin, end = window
            wanted = [
                segment
                for segment in state.segments.values()
                if (begin is None or segment.end >= begin) and (end is None or segment.begin < end)
            ]
            faults = Verified(self.path, self.id, state.segments).faults(wanted)
            left = sorted((one for one in wanted if one.name not in faults), key=lambda one: (one.begin, one.name))
            problems = (*state.problems, *faults.values())
            return Selection(self.path, tuple(left), problems, held.pop_all())

    def read(self, window: Window = (None, None)) -> pa.Table:
        """The flows (layout.STORED_FLOW) of all segments that have some in `window`; flows beside it, too."""
        with self.segments(window) as chosen:
            return decoded(pa.concat_tables([SCHEMA.empty_table(), *map(read_segment, chosen.paths)]))

    def append(self, flows: pa.Table) -> None:
        """Adds `flows` (schema.FLOW; community_id is not needed); they are on the disk then.

        Raises OutputError when they cannot be written, or when another process writes: then nothing is added.
        """
        with self.writing() as writer:
            writer.write(flows)

    def compact(self) -> Compacted:
        """compaction.compact() of all hours. Raises OutputError."""
        from spanline.store import compaction

        self.state()
        return compaction.compact(self.path, self.id)

    def expire(self, age: int | None = None, size: int | None = None) -> list[Segment]:
        """compaction.expire(). Raises OutputError."""
        from spanline.store import compaction

        self.state()
        return compaction.expire(self.path, age, size)

    def writing(
        self, captures: Sequence[tuple[str, str]] = (), *, is_live: bool = False
    ) -> contextlib.AbstractContextManager[Writer]:
        """store.writer.writing(): the only way in."""
        from spanline.store.writer import writing

        return writing(self, captures, is_live)


def folder_of(path: str | os.PathLike[str]) -> Path:
    """The folder of a store: to DuckDB, a ~ at the beginning is the user's own."""
    return Path(path).absolute() if os.fspath(path).startswith(("~", "./~")) else Path(path)


class LaterStore(UsageError):
    """A store that a later spanline wrote."""


@dataclass(frozen=True)
class Selection:
    """Segments to be read, in order of their first flows, and what was wrong with others, which are left out.

    Close it, or use it as a context, when the files have been read.
    """

    folder: Path
    segments: tuple[Segment, ...]
    problems: tuple[Problem, ...]
    _held: contextlib.ExitStack

    @property
    def paths(self) -> list[Path]:
        return [self.folder / segment.name for segment in self.segments]

    def close(self) -> None:
        self._held.close()

    def __enter__(self) -> Selection:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def _make(folder: Path) -> None:
    """Makes a store in `folder`, unless there is one. What was begun before and not ended is ended."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        others = {path.name for path in folder.iterdir()} - {NAME, locks.READERS, locks.WRITER, locks.CHANGES}
        if FILE in others:
            return
    except OSError as error:
        raise OutputError(f"cannot make a store in {folder}: {error.strerror or error}") from error
    if any(not name.startswith(".") for name in others):
        raise UsageError(
            f"{folder}: neither a store nor empty",
            hint="name a folder that there is not yet, or repair what was a store",
        )
    with locks.sole_writer(folder):
        (folder / locks.READERS).touch()
        if not (folder / NAME).exists():
            with open_stream(str(folder / NAME), durable=True):
                pass
        describe(folder, secrets.token_hex(8))


def describe(folder: Path, id: str) -> None:
    """Writes what makes a folder a store."""
    with open_stream(str(folder / FILE), durable=True) as stream:
        stream.write(json.dumps({"version": VERSION, "id": id}).encode() + b"\n")


def _identity(folder: Path) -> str:
    """The id of the store."""
    path = folder / FILE
    damaged = UsageError(f"{path}: damaged", hint=f"make it again with spanline store repair {folder}")
    if not path.is_file():
        hint = "crunch and capture make one: spanline crunch capture.pcap --store DIR"
        raise UsageError(f"{folder}: no store", hint=hint)
    try:
        said = json.loads(path.read_bytes())
        version, id = said["version"], said["id"]
    except (KeyError, TypeError, ValueError, RecursionError) as error:
        raise damaged from error
    if isinstance(version, int) and version > VERSION:
        raise LaterStore(
            f"{folder}: a store of version {version}, and this spanline knows those up to {VERSION}",
            hint="read it with the spanline that wrote it, or a later one",
        )
    # Of the id, names of files are made.
    if not isinstance(version, int) or not isinstance(id, str) or _ID.fullmatch(id) is None:
        raise damaged
    return id
