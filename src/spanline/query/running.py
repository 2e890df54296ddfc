"""Plans run by DuckDB, in this process and in memory.

It reads the segments that were chosen and nothing else: access to files is off but for those, and the configuration is
locked before the first SQL of a query. What does not fit the memory goes to a temporary folder, which is limited too.
"""

from __future__ import annotations

import contextlib
import os
import threading
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import duckdb
import pyarrow as pa
from sqlglot import exp

from spanline.community import community_ids
from spanline.errors import UsageError
from spanline.output import temporary_folder
from spanline.query import nodes
from spanline.query.relations import STORED
from spanline.query.steps import Gather, Give, LookUp, Make, Plan, Read
from spanline.store.layout import EXPRESSIONS, SCHEMA

MEMORY = 2 << 30
DIALECT = "duckdb"
COMMUNITY_ID = "community_id"
"""A column that no segment has, and the function that makes it of those that there are."""
_FIVE_TUPLE = {
    "source": "UUID", "destination": "UUID", "source_port": "USMALLINT", "destination_port": "USMALLINT",
    "protocol": "UTINYINT",
}  # fmt: skip
"""The columns that it is made of, and their types."""
_SPILL = 4
"""Times the memory that may be in temporary files."""
_MOST_GATHERED = 4 << 20
"""Records that are held as rows: some 100 bytes each."""


@dataclass(frozen=True, slots=True)
class Limits:
    """memory in bytes; threads, None: as many as there are cores; seconds, None: as long as it takes."""

    memory: int = MEMORY
    threads: int | None = None
    seconds: float | None = None


class UnansweredError(UsageError):
    """The engine gave up, perhaps because of what is in a segment."""


class Session:
    """A connection that runs one plan. `files` are the segments of each window that the plan reads, by its view."""

    def __init__(self, files: Mapping[str, Sequence[Path]], limits: Limits) -> None:
        self._files = files
        self._limits = limits
        self._is_late = False
        with contextlib.ExitStack() as held:
            folder = held.enter_context(temporary_folder("query"))
            self.connection = held.enter_context(contextlib.closing(duckdb.connect(":memory:")))
            self._set(folder)
            self._held = held.pop_all()

    def _set(self, folder: Path) -> None:
        """How the connection is set, for good; it may write into `folder`."""
        limits = self._limits
        paths = sorted({str(path) for some in self._files.values() for path in some})
        settings: dict[str, object] = {
            "temp_directory": str(folder),
            "max_temp_directory_size": f"{_SPILL * limits.memory}B",
            "memory_limit": f"{limits.memory}B",
            "arrow_lossless_conversion": True,
            "python_enable_replacements": False,
            "autoinstall_known_extensions": False,
            "autoload_known_extensions": False,
            "enable_progress_bar": False,
            "preserve_insertion_order": False,
        }
        if limits.threads is not None:
            settings["threads"] = limits.threads
        settings |= {"allowed_paths": paths, "enable_external_access": False, "lock_configuration": True}
        # Of constants for what kind of function it is, names are what all versions have.
        self.connection.create_function(  # type: ignore[call-overload]
            COMMUNITY_ID, _community_ids, list(_FIVE_TUPLE.values()), "VARCHAR", type="arrow", side_effects=False
        )
        for name, value in settings.items():
            self.connection.execute(f"SET {name} = {exp.convert(value).sql(DIALECT)}")

    def __enter__(self) -> Session:
        with _changing:
            _running.add(self)
        return self

    def __exit__(self, *_: object) -> None:
        with _changing:
            _running.discard(self)
        self._held.close()

    def run(self, plan: Plan) -> None:
        """All steps. Raises UsageError when they take more than the limits allow."""
        with self.limited():
            for step in plan.steps:
                if isinstance(step, Read):
                    self.connection.execute(view(step.table, self._files[step.table]))
                elif isinstance(step, Make):
                    self.connection.execute(f'CREATE TEMP TABLE "{step.table}" AS {step.of.sql(DIALECT)}')
                elif isinstance(step, Gather):
                    self._gather(step)
                elif isinstance(step, Give):
                    self.connection.register(step.table, step.rows)
                else:
                    self._look_up(step)

    def table(self, of: exp.Select) -> pa.Table:
        with self.limited():
            return self.connection.sql(of.sql(DIALECT)).to_arrow_table()

    def give(self, name: str, table: pa.Table) -> None:
        """Makes a table of an Arrow one."""
        self.connection.register("given", table)
        self.connection.execute(f'CREATE TEMP TABLE "{name}" AS SELECT * FROM "given"')
        self.connection.unregister("given")

    def _gather(self, step: Gather) -> None:
        of = step.of.sql(DIALECT)
        made = f'CREATE TEMP TABLE "{step.table}" AS {of} LIMIT {_MOST_GATHERED + 1}'
        ((count,),) = self.connection.execute(made).fetchall()
        if count > _MOST_GATHERED:
            self.connection.execute(f'DROP TABLE "{step.table}"')
            self.connection.execute(f'CREATE TEMP VIEW "{step.table}" AS {of}')

    def _look_up(self, step: LookUp) -> None:
        keys = self.connection.sql(step.keys.sql(DIALECT)).to_arrow_table()
        self.give(step.table, step.ends.look_up(keys))

    @contextlib.contextmanager
    def limited(self) -> Iterator[None]:
        """Errors of the engine as lines that say what to do."""
        timer = None
        if self._limits.seconds is not None:
            timer = threading.Timer(self._limits.seconds, self._interrupt)
            timer.daemon = True
            timer.start()
        try:
            yield
        except duckdb.OutOfMemoryException as error:
            raise UsageError(
                f"the query needs more than the {self._limits.memory >> 20} MiB of memory that it may take",
                hint="take a shorter window, group by less, or allow it more",
            ) from error
        except (duckdb.InterruptException, RuntimeError) as error:
            # DuckDB tells Ctrl-C as a RuntimeError.
            if not isinstance(error, duckdb.InterruptException) and "interrupted" not in str(error):
                raise
            if not self._is_late:
                raise KeyboardInterrupt from error
            raise UsageError(
                f"the query took longer than {self._limits.seconds:g} s", hint="take a shorter window, or allow it more"
            ) from error
        except duckdb.InvalidInputException as error:
            raise UnansweredError(f"the query cannot be run: {_first_line(error)}") from error
        except (duckdb.IOException, duckdb.OutOfRangeException, duckdb.ConversionException) as error:
            raise UnansweredError(
                f"the store cannot be read: {_first_line(error)}", hint="try spanline store verify"
            ) from error
        finally:
            if timer is not None:
                timer.cancel()

    def _interrupt(self) -> None:
        self._is_late = True
        self.connection.interrupt()


_running: set[Session] = set()
_changing = threading.Lock()


def interrupt() -> None:
    """Ends the queries that run, from any thread: what runs them raises KeyboardInterrupt."""
    with _changing:
        for session in _running:
            session.connection.interrupt()


def view(name: str, files: Sequence[str | os.PathLike[str]]) -> str:
    """SQL that makes the view of the records in some segments."""
    if files:
        paths = ", ".join(nodes.text(str(path)).sql(DIALECT) for path in files)
        source = f"read_parquet([{paths}], hive_partitioning = false)"
    else:
        columns = ", ".join(f"NULL::{_type(one.type)} AS {one.name}" for one in SCHEMA)
        source = f"(SELECT {columns} WHERE false)"
    columns = ", ".join(f'{_expression(stored)} AS "{name}"' for name, stored in STORED.items())
    return f'CREATE TEMP VIEW "{name}" AS SELECT {columns} FROM {source}'


def _expression(stored: str) -> str:
    """What a column of the view is, over those of a segment."""
    if stored == COMMUNITY_ID:
        return f"{COMMUNITY_ID}({', '.join(_FIVE_TUPLE)})"
    return EXPRESSIONS.get(stored, stored)


def _community_ids(
    source: pa.ChunkedArray,
    destination: pa.ChunkedArray,
    source_port: pa.ChunkedArray,
    destination_port: pa.ChunkedArray,
    protocol: pa.ChunkedArray,
) -> pa.Array:
    """Of the columns _FIVE_TUPLE, as many rows at once as the engine takes."""
    ends = [pa.chunked_array([one.storage for one in end.chunks], pa.binary(16)) for end in (source, destination)]
    return community_ids(pa.table([*ends, source_port, destination_port, protocol], names=list(_FIVE_TUPLE)))


def _type(kind: pa.DataType) -> str:
    if isinstance(kind, pa.UuidType):
        return "UUID"
    if kind in (pa.string(), pa.bool_()):
        return "VARCHAR" if kind == pa.string() else "BOOLEAN"
    sizes = {8: "TINYINT", 16: "SMALLINT", 32: "INTEGER", 64: "BIGINT"}
    return ("" if pa.types.is_signed_integer(kind) else "U") + sizes[kind.bit_width]


def _first_line(error: Exception) -> str:
    return str(error).splitlines()[0].partition(": ")[2]


def sql_of(plan: Plan, dialect: str = DIALECT) -> str:
    """All SQL of a plan, to be read, in any dialect that sqlglot knows."""
    parts = []
    for step in plan.steps:
        if isinstance(step, Read):
            parts.append(f"-- {step.table}: the records that overlap {step.span.begin} to {step.span.end}")
        elif isinstance(step, Make | Gather):
            parts.append(f"-- {step.table}\n{step.of.sql(dialect, pretty=True)};")
        elif isinstance(step, Give):
            parts.append(f"-- {step.table}: {', '.join(step.rows.column_names)}")
        else:
            known = ", ".join(step.ends.attributes)
            parts.append(f"-- {step.table}: {known} of\n{step.keys.sql(dialect, pretty=True)};")
    return "\n\n".join(parts)
