"""Flows into a store."""

from __future__ import annotations

import contextlib
import dataclasses
import secrets
from collections import Counter
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

import pyarrow as pa

from spanline.errors import OutputError
from spanline.store import locks
from spanline.store.compaction import MANY, compact, tidy
from spanline.store.continuing import Continued
from spanline.store.layout import encoded
from spanline.store.manifest import Run, Segment, State, transaction
from spanline.store.segments import About, by_hour, now, write_segment

if TYPE_CHECKING:
    from spanline.store.store import Store

ROWS = 1 << 17
"""Flows that wait to be written together: they take some 40 MB, and as much again while they are."""


class Writer:
    """One run that brings flows into a store, of which it is the only writer.

    rows  flows that are in the store so far
    """

    def __init__(self, store: Store, run: Run, state: State) -> None:
        self._per_hour = Counter(segment.hour for segment in state.segments.values())
        self._store = store
        self._run = run
        self._waiting: list[pa.Table] = []
        self._continued = Continued()
        self.rows = 0

    @property
    def pending(self) -> int:
        """Flows that wait to be written."""
        return sum(len(flows) for flows in self._waiting)

    def identify(self, captures: Sequence[tuple[str, str]]) -> None:
        """(identity, name) of the captures, once they have been read: more is known of them then."""
        self._run = dataclasses.replace(self._run, captures=tuple(captures))

    def write(self, flows: pa.Table) -> None:
        """Takes `flows` (schema.FLOW), of one analysis in the order in which it ends them; many are written at once.

        Raises OutputError; of what waited, nothing is lost.
        """
        # Some are always left for finish(), which marks them as the last ones.
        if self.pending >= ROWS:
            self.commit()
        if len(flows):
            self._waiting.append(self._continued.add_begin(flows))

    def commit(self) -> None:
        """What waits is in the store when this returns. Raises OutputError; then it still waits."""
        self._commit(is_last=False)

    def finish(self) -> None:
        """The same, and the captures of this run are in the store as a whole."""
        self._commit(is_last=True)

    def _commit(self, is_last: bool) -> None:
        run = dataclasses.replace(self._run, is_complete=is_last or self._run.is_complete)
        added: list[Segment] = []
        with locks.changing(self._store.path):
            try:
                parts = list(by_hour(encoded(pa.concat_tables(self._waiting)))) if self._waiting else []
                for part in parts:
                    about = About(now(), (run if part is parts[-1] else self._run,))
                    added.append(write_segment(self._store.path, part, about))
                if added or run != self._run:
                    self._store.manifest.add(transaction(runs=[run], add=added))
            except OutputError:
                for segment in added:
                    (self._store.path / segment.name).unlink(missing_ok=True)
                raise
        self._run = run
        self._waiting.clear()
        self.rows += sum(segment.rows for segment in added)
        self._per_hour.update(segment.hour for segment in added)
        if run.is_complete and any(self._per_hour[segment.hour] >= MANY for segment in added):
            compact(self._store.path, self._store.id, MANY)
            self._per_hour = Counter(segment.hour for segment in self._store.state().segments.values())


@contextlib.contextmanager
def writing(store: Store, captures: Sequence[tuple[str, str]], is_live: bool) -> Iterator[Writer]:
    """A Writer of one run, of (identity, name) of captures; none where they are no files.

    When the block ends without an exception, all is in the store. When it does not, what was committed stays; of
    `captures` the next run that has one of them takes its place.

    Raises OutputError when another process writes to the store, or when it cannot be written.
    """
    with locks.sole_writer(store.path):
        with locks.changing(store.path):
            state = store.state()
            run = Run(secrets.token_hex(8), tuple(captures), is_live, is_complete=not captures)
            there = [name for identity, name in run.names.items() if identity in store.captures()]
            if there:
                raise OutputError(
                    f"{there[0]}: added to the store {store.path} by another run meanwhile",
                    hint="what is there is left out when you run it again",
                )
            replaced = {
                other.id
                for other in state.runs.values()
                if not other.is_complete and not run.names.keys().isdisjoint(other.names)
            }
            removed = [one.name for one in state.segments.values() if replaced.issuperset(one.runs)]
            if removed:
                store.manifest.add(transaction(remove=removed))
            tidy(store.path)
            store.manifest.add(transaction(runs=[run]))
        writer = Writer(store, run, state)
        yield writer
        writer.finish()
