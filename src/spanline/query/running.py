"""Plans run by DuckDB, in this process and in memory.

It reads the segments that were chosen and nothing else: access to files is off but for those, and the configuration is
locked before the first SQL of a query (engine.py). What does not fit the memory goes to a temporary folder, which is
limited too.
"""

from __future__ import annotations

import contextlib
import os
import threading
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import duckdb
import pyarrow as pa
from sqlglot import exp

from spanline.errors import UsageError
from spanline.query import nodes
from spanline.query.engine import COMMUNITY_ID, DIALECT, FIVE_TUPLE, Limits, engine, keep
from spanline.query.relations import STORED
from spanline.query.steps import Gather, Give, Grow, LookUp, Make, Plan, Read
from spanline.store.layout import EXPRESSIONS, SCHEMA

_MOST_GATHERED = 4 << 20
"""Records that are held as rows: some 100 bytes each."""


class UnansweredError(UsageError):
    """The engine gave up, perhaps because of what is in a segment."""


class Session:
    """A connection that runs one plan. `files` are the segments of each window that the plan reads, by its view, and
    `grown` what counters of switch ports grew by, by its table."""

    def __init__(
        self, files: Mapping[str, Sequence[Path]], limits: Limits, grown: Mapping[str, pa.Table] | None = None
    ) -> None:
        self._files = files
        self._grown = grown or {}
        self._limits = limits
        self._is_late = False
        self._made: list[str] = []
        self._given: list[str] = []
        self._engine = engine(sorted({str(path) for some in files.values() for path in some}), limits)
        self.connection = self._engine.connection

    def __enter__(self) -> Session:
        with _changing:
            _running.add(self)
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        with _changing:
            _running.discard(self)
        if kind is not None:
            self._engine.close()
            return
        try:
            for name in self._given:
                self.connection.unregister(name)
            if self._made:
                self.connection.execute("; ".join(f"DROP {one}" for one in self._made))
        except BaseException:
            self._engine.close()
            raise
        keep(self._engine)

    def run(self, plan: Plan) -> None:
        """All steps. Raises UsageError when they take more than the limits allow."""
        with self.limited():
            for step in plan.steps:
                if isinstance(step, Read):
                    self._make("VIEW", step.table, view(step.table, self._files[step.table]))
                elif isinstance(step, Make):
                    self._make("TABLE", step.table, f'CREATE TEMP TABLE "{step.table}" AS {step.of.sql(DIALECT)}')
                elif isinstance(step, Gather):
                    self._gather(step)
                elif isinstance(step, Give):
                    self._give(step.table, step.rows)
                elif isinstance(step, Grow):
                    self._give(step.table, self._grown[step.table])
                else:
                    self._look_up(step)

    def table(self, of: exp.Select) -> pa.Table:
        with self.limited():
            return self.connection.sql(of.sql(DIALECT)).to_arrow_table()

    def _make(self, kind: str, name: str, sql: str) -> duckdb.DuckDBPyConnection:
        made = self.connection.execute(sql)
        self._made.append(f'{kind} "{name}"')
        return made

    def _give(self, name: str, table: pa.Table) -> None:
        self.connection.register(name, table)
        self._given.append(name)

    def _gather(self, step: Gather) -> None:
        of = step.of.sql(DIALECT)
        made = f'CREATE TEMP TABLE "{step.table}" AS {of} LIMIT {_MOST_GATHERED + 1}'
        ((count,),) = self._make("TABLE", step.table, made).fetchall()
        if count > _MOST_GATHERED:
            self.connection.execute(f"DROP {self._made.pop()}")
            self._make("VIEW", step.table, f'CREATE TEMP VIEW "{step.table}" AS {of}')

    def _look_up(self, step: LookUp) -> None:
        """A table of DuckDB's own: to find some rows of an Arrow one takes it longer."""
        keys = step.keys
        if not isinstance(keys, pa.Table):
            keys = self.connection.sql(keys.sql(DIALECT)).to_arrow_table()
        self.connection.register("given", step.ends.look_up(keys))
        self._make("TABLE", step.table, f'CREATE TEMP TABLE "{step.table}" AS SELECT * FROM "given"')
        self.connection.unregister("given")

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
                timer.join()  # whoever is next on this connection is not late

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
        return f"{COMMUNITY_ID}({', '.join(FIVE_TUPLE)})"
    return EXPRESSIONS.get(stored, stored)


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
        elif isinstance(step, Grow):
            parts.append(f"-- {step.table}: {', '.join(step.counted)} of switch ports between readings")
        else:
            what = f"-- {step.table}: {', '.join(step.ends.attributes)} of"
            is_known = isinstance(step.keys, pa.Table)
            parts.append(f"{what} the inventory" if is_known else f"{what}\n{step.keys.sql(dialect, pretty=True)};")
    parts += [f"-- {name}\n{series.sql(dialect, pretty=True)};" for name, series in plan.series.items()]
    parts.append(f"-- the answer\n{shown(plan).sql(dialect, pretty=True)};")
    return "\n\n".join(parts)


def shown(plan: Plan) -> exp.Select:
    """What is shown of the answer and is no series."""
    return plan.answer.ordered(*dict.fromkeys(one.source for one in plan.columns if not one.series))
