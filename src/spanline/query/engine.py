"""DuckDB, in this process and in memory, opened for some files and kept for whoever asks about the same ones next.

To open one takes as long as many a query does. What opened it is set for good: it reads its files and no others.
"""

from __future__ import annotations

import atexit
import contextlib
import os
import threading
from collections.abc import Sequence
from dataclasses import dataclass

import duckdb
import pyarrow as pa
from sqlglot import exp

from spanline.community import community_ids
from spanline.output import temporary_folder

MEMORY = 2 << 30
DIALECT = "duckdb"
COMMUNITY_ID = "community_id"
"""A column that no segment has, and the function that makes it of those that there are."""
FIVE_TUPLE = {
    "source": "UUID", "destination": "UUID", "source_port": "USMALLINT", "destination_port": "USMALLINT",
    "protocol": "UTINYINT",
}  # fmt: skip
"""The columns that it is made of, and their types."""
_SPILL = 4
"""Times the memory that may be in temporary files."""


@dataclass(frozen=True, slots=True)
class Limits:
    """memory in bytes; threads, None: as many as there are cores; seconds, None: as long as it takes."""

    memory: int = MEMORY
    threads: int | None = None
    seconds: float | None = None


class Engine:
    """A DuckDB that may read the files `paths`."""

    def __init__(self, paths: Sequence[str], limits: Limits) -> None:
        self._key = _key(paths, limits)
        with contextlib.ExitStack() as held:
            self._temporary = held.enter_context(contextlib.ExitStack())
            self._folder = self._temporary.enter_context(temporary_folder("query"))
            self.connection = held.enter_context(contextlib.closing(duckdb.connect(":memory:")))
            self._set(paths, limits)
            self._held = held.pop_all()

    def _set(self, paths: Sequence[str], limits: Limits) -> None:
        settings: dict[str, object] = {
            "temp_directory": str(self._folder),
            "max_temp_directory_size": f"{_SPILL * limits.memory}B",
            "memory_limit": f"{limits.memory}B",
            "arrow_lossless_conversion": True,
            "python_enable_replacements": False,
            "autoinstall_known_extensions": False,
            "autoload_known_extensions": False,
            "enable_progress_bar": False,
            "preserve_insertion_order": False,
            "allocator_background_threads": True,  # gives back what a query took, while nobody asks the next one
        }
        if limits.threads is not None:
            settings["threads"] = limits.threads
        settings |= {"allowed_paths": list(paths), "enable_external_access": False, "lock_configuration": True}
        # Of constants for what kind of function it is, names are what all versions have.
        self.connection.create_function(  # type: ignore[call-overload]
            COMMUNITY_ID, _community_ids, list(FIVE_TUPLE.values()), "VARCHAR", type="arrow", side_effects=False
        )
        for name, value in settings.items():
            self.connection.execute(f"SET {name} = {exp.convert(value).sql(DIALECT)}")

    def begin(self, paths: Sequence[str], limits: Limits) -> bool:
        """Whether it is for these, and has its folder of temporary files again."""
        if self._key != _key(paths, limits):
            return False
        try:
            self._temporary.enter_context(temporary_folder("query", self._folder))
        except OSError:
            return False
        return True

    def end(self) -> bool:
        """Whether it left no temporary file; then their folder is gone, too."""
        if any(self._folder.iterdir()):
            return False
        self._temporary.close()
        return True

    def close(self) -> None:
        self._held.close()


def _key(paths: Sequence[str], limits: Limits) -> tuple[object, ...]:
    return (tuple(paths), limits.memory, limits.threads)


_idle: list[Engine] = []
"""At most one: whoever asks a second query most often asks about the same window."""
_inherited: list[Engine] = []
_changing = threading.Lock()


def engine(paths: Sequence[str], limits: Limits) -> Engine:
    """One that nobody else uses, and that holds nothing. Close it, or give it to keep()."""
    with _changing:
        found = _idle.pop() if _idle else None
    if found is not None:
        if found.begin(paths, limits):
            return found
        found.close()
    return Engine(paths, limits)


def keep(one: Engine) -> None:
    """For the next query; nothing that was made in it is left."""
    if one.end():
        with _changing:
            if not _idle:
                _idle.append(one)
                return
    one.close()


@atexit.register
def _close() -> None:
    while _idle:
        _idle.pop().close()


def _leave() -> None:
    """The threads of DuckDB stay with the process that opened it: a child can neither use nor close it."""
    _inherited.extend(_idle)
    _idle.clear()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_leave)


def _community_ids(
    source: pa.ChunkedArray,
    destination: pa.ChunkedArray,
    source_port: pa.ChunkedArray,
    destination_port: pa.ChunkedArray,
    protocol: pa.ChunkedArray,
) -> pa.Array:
    """Of the columns FIVE_TUPLE, as many rows at once as the engine takes."""
    ends = [pa.chunked_array([one.storage for one in end.chunks], pa.binary(16)) for end in (source, destination)]
    return community_ids(pa.table([*ends, source_port, destination_port, protocol], names=list(FIVE_TUPLE)))
