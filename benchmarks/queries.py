"""The 19 queries beside SQL by hand, on the same store and in the same run; writes QUERIES.md.

    make compare-queries                                     100 million flows: 4 GB below build/, and an hour
    make compare-queries STORE_FLOWS=10000000              a smaller look

Each query is asked of spanline.query(), from its text to its Table, and of DuckDB with the SQL of queries_sql.py, in
turn, with the same memory and threads; the answers have to be equal. The best of some rounds counts, as other programs
on the machine only make it slower. Then each is asked of a smaller store as a process of its own.
"""

from __future__ import annotations

import argparse
import os
import platform
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import duckdb
import pyarrow as pa
import yaml
from queries_sql import DAY, Window, address, statements

from spanline.enrich import Enrichment, read_inventory
from spanline.query.answer import held_by, planned, query
from spanline.query.engine import MEMORY
from spanline.query.reading import parse
from spanline.query.spans import span_of, step_of
from spanline.query.tree import Query
from spanline.store import Store

RESULTS = Path(__file__).resolve().parent / "QUERIES.md"
QUERIES = Path(__file__).resolve().parents[1] / "tests/queries/seed.txt"
SPANLINE = str(Path(sys.executable).with_name("spanline"))
WHOLE = (1, 3, 4, 5, 7, 8, 10, 12, 13, 14, 17, 18)
"""Queries that are asked of all 14 days, too."""
WANTED = 1.5
RELATIVE = 1e-9


Seconds = tuple[float, float]
"""By the clock, and of processors."""


@dataclass
class Measured:
    """Seconds that a query takes, and those of processors, of all rounds; of SQL by way. `opened` segments were read,
    and `needed` hold something."""

    number: int
    days: float
    rows: int
    opened: int
    needed: int
    ours: list[Seconds] = field(default_factory=list)
    theirs: list[list[Seconds]] = field(default_factory=list)

    def best(self, of: int = 0) -> tuple[float, float]:
        """(spanline, SQL by the best way), by the clock, or of processors (1)."""
        return min(one[of] for one in self.ours), min(one[of] for way in self.theirs for one in way)

    def ratio(self, of: int = 0) -> float:
        ours, theirs = self.best(of)
        return ours / theirs


class Bench:
    """A store of store_flows.py, asked in both ways."""

    def __init__(self, folder: Path) -> None:
        self.store = Store(folder)
        self.inventory = f"{folder}.yaml"
        self.enrichment = Enrichment(read_inventory([self.inventory]))
        self.texts = QUERIES.read_text(encoding="utf-8").splitlines()
        with open(self.inventory, encoding="utf-8") as file:
            said = yaml.safe_load(file)
        self.sql = statements({one["cidr"]: one["vlan"] for one in said["subnets"]})
        self.temporary = TemporaryDirectory(prefix="queries-")
        self.connection = duckdb.connect()
        for name, value in (
            ("memory_limit", f"{MEMORY}B"),
            ("max_temp_directory_size", f"{4 * MEMORY}B"),
            ("temp_directory", self.temporary.name),
            ("preserve_insertion_order", False),
            ("arrow_lossless_conversion", True),
            ("enable_progress_bar", False),
        ):
            self.connection.execute(f"SET {name} = '{value}'")
        self._tables(said)

    def _tables(self, said: dict[str, Any]) -> None:
        run = self.connection.execute
        run("CREATE TABLE subnets (first UUID, last UUID, name VARCHAR)")
        networks = [(packed_ends(one["cidr"]), one["name"]) for one in said["subnets"]]
        values = [f"({address(first)}, {address(last)}, '{name}')" for (first, last), name in sorted(networks)]
        run(f"INSERT INTO subnets VALUES {', '.join(values)}")
        run(
            "CREATE TABLE vms (address UUID, name VARCHAR, gateway VARCHAR, host VARCHAR, vcpus INT, memory VARCHAR, "
            "port_group VARCHAR)"
        )
        for one in said["vms"]:
            first, _ = packed_ends(one["addresses"])
            rest = [one[name] for name in ("name", "default_gateway", "host", "vcpus", "memory", "port_group")]
            run(f"INSERT INTO vms VALUES ({address(first)}, ?, ?, ?, ?, ?, ?)", rest)
        ranges = Enrichment().countries.table()
        uuids = {
            name: pa.chunked_array([pa.ExtensionArray.from_storage(pa.uuid(), one) for one in ranges[name].chunks])
            for name in ("first", "last")
        }
        self.connection.register("given", pa.table({**uuids, "name": ranges["country"]}))
        run("CREATE TABLE countries AS SELECT * FROM given ORDER BY first")
        counters = str(self.store.path / "counters" / "*.parquet")
        run(f"CREATE VIEW counters AS SELECT * FROM read_parquet('{counters}')")

    def window(self, query: Query) -> Window:
        span = span_of(query.window, held_by(self.store), time.time_ns())
        return Window(span.begin, span.end, step_of(span, None))

    def measure(self, number: int, text: str, rounds: int) -> Measured:
        window = self.window(parse(text))
        with self.store.segments((window.begin, window.end)) as chosen:
            paths = [str(path) for path in chosen.paths]
        self.connection.execute(f"CREATE OR REPLACE VIEW records AS SELECT * FROM read_parquet({paths})")
        ways = self.sql[number][0](window)

        def ours() -> pa.Table:
            return query(text, self.store, enrichment=self.enrichment)

        answer = ours()
        for way in ways:
            require_equal(number, answer, self._by_sql(way))
        ((needed,),) = self.connection.execute(
            f"SELECT COUNT(DISTINCT filename) FROM read_parquet({self._all()}, filename = true) "
            f"WHERE first_seen < {window.end} AND last_seen >= {window.begin}"
        ).fetchall()
        days = (window.end - window.begin) / DAY
        made = Measured(number, days, len(answer), len(paths), needed, theirs=[[] for _ in ways])
        for _ in range(rounds):
            made.ours.append(seconds_of(ours))
            for n, way in enumerate(ways):
                made.theirs[n].append(seconds_of(partial(self._by_sql, way)))
        return made

    def _by_sql(self, way: str) -> pa.Table:
        return self.connection.sql(way).to_arrow_table()

    def _all(self) -> list[str]:
        return [str(self.store.path / name) for name in self.store.state().segments]

    def planning(self, text: str) -> float:
        """Seconds to parse and plan."""
        return min(
            seconds_of(lambda: planned(parse(text), self.store, self.enrichment, time.time_ns()))[0] for _ in range(5)
        )


def packed_ends(network: str) -> tuple[bytes, bytes]:
    import ipaddress

    one = ipaddress.ip_network(network)
    return one.network_address.packed, one.broadcast_address.packed


def seconds_of(run: Callable[[], object]) -> Seconds:
    begun = time.perf_counter(), time.process_time()
    run()
    return time.perf_counter() - begun[0], time.process_time() - begun[1]


# --- the same answer


LISTS, SERIES, NAMED_SERIES = (1, 16, 18), (15, 19), (6, 7, 8, 11, 12, 13, 17)


def require_equal(number: int, ours: pa.Table, theirs: pa.Table) -> None:
    """Raises AssertionError when they are different."""
    left, right = sorted_rows(number, flattened(ours)), sorted_rows(number, plain(theirs))
    if number == 3:  # the rest is the inventory's, which writes it in another way
        left, right = [row[:2] for row in left], [row[:2] for row in right]
    assert len(left) == len(right), f"query {number}: {len(left)} rows, and by SQL {len(right)}"
    for one, other in zip(left, right, strict=True):
        assert all(map(is_same, one, other)), f"query {number}: {one}, and by SQL {other}"


def is_same(one: Any, other: Any) -> bool:
    if isinstance(one, int | float) and isinstance(other, int | float):
        return abs(one - other) <= RELATIVE * max(abs(one), abs(other))
    return bool(one == other)


def sorted_rows(number: int, rows: Iterator[tuple[Any, ...]]) -> list[tuple[Any, ...]]:
    if number in LISTS:
        keys: tuple[int, ...] = (0, 2, 4, 5)
    elif number in NAMED_SERIES:
        keys = (0, 2)
    else:
        keys = {2: (1, 2), 3: (1,)}.get(number, (0,))
    return sorted(rows, key=lambda row: [str(row[key]) for key in keys])


def flattened(table: pa.Table) -> Iterator[tuple[Any, ...]]:
    """Rows of an answer: of series one for each bucket that is not empty."""
    is_series = [b"step" in (one.metadata or {}) for one in table.schema]
    rows = plain(table)
    if not any(is_series):
        yield from rows
        return
    said = next(one.metadata for one, is_one in zip(table.schema, is_series, strict=True) if is_one)
    begin, step = int(said[b"begin"]), int(said[b"step"])
    for row in rows:
        fixed = [value for value, is_one in zip(row, is_series, strict=True) if not is_one]
        for n, values in enumerate(
            zip(*(value for value, is_one in zip(row, is_series, strict=True) if is_one), strict=True)
        ):
            if any(values):
                yield *fixed, begin + n * step, *values


def plain(table: pa.Table) -> Iterator[tuple[Any, ...]]:
    """Rows as they are in Python; addresses are bytes, and times ns."""
    columns = []
    for values in table.columns:
        if isinstance(values.type, pa.UuidType):
            values = pa.chunked_array([one.storage for one in values.chunks], pa.binary(16))
        elif pa.types.is_timestamp(values.type):
            values = pa.chunked_array([one.view(pa.int64()) for one in values.chunks], pa.int64())
        elif pa.types.is_decimal(values.type):
            values = values.cast(pa.float64())
        columns.append(values.to_pylist())
    return zip(*columns, strict=True)


# --- processes


def process_times(folder: Path, texts: Sequence[str], rounds: int) -> list[float]:
    """The best time of each query as a process."""
    found = []
    for text in texts:
        command = [SPANLINE, "query", text, "--store", str(folder), "--inventory", f"{folder}.yaml"]
        run = partial(subprocess.run, command, check=True, capture_output=True)
        found.append(min(seconds_of(run)[0] for _ in range(rounds)))
    return found


# --- what is written


def document(
    bench: Bench, measured: Sequence[Measured], planning: Sequence[float], small: Store, processes: Sequence[float]
) -> str:
    segments = bench.store.state().segments.values()
    rows, octets = sum(one.rows for one in segments), sum(one.size for one in segments)
    lines = [
        "# The 19 queries beside SQL by hand",
        "",
        f"{rows:,} flows over two weeks in {len(segments):,} segments, {octets / 1e9:.2f} GB on the disk: "
        f"{octets / rows:.1f} bytes a flow. {machine()} DuckDB {duckdb.__version__}, "
        f"{MEMORY >> 30} GiB of memory for a query, what does not fit it in temporary files. Made by "
        "`make compare-queries`; `queries_sql.py` has the SQL.",
        "",
        "Both read the same segments, which are in the page cache, and give the same answer, which is checked. "
        "spanline's time is that of `spanline.query()`: the text is parsed and planned, addresses are looked up, and "
        "the Table is made. Both find a DuckDB that is open, spanline that of the query before about the same "
        f"segments, and SQL also tables of names. It shall be at most {WANTED} times as fast. Cores: seconds of "
        "processor time of all threads, which other programs on the machine change less.",
        "",
        "| query | days | rows | segments read | spanline, s | SQL, s | ratio | cores: spanline, s | SQL, s | ratio |",
        "|---:|---:|---:|---:|---:|---:|---:|---:|---:|---:|",
    ]
    for one in measured:
        assert one.opened == one.needed
        told = (f"{one.best(of)[0]:.3f} | {one.best(of)[1]:.3f} | {one.ratio(of):.2f}" for of in (0, 1))
        lines.append(f"| {one.number} | {one.days:g} | {one.rows:,} | {one.opened} | {' | '.join(told)} |")
    above = [one for one in measured if one.ratio() > WANTED]
    lines += [
        "",
        f"Above {WANTED}: {', '.join(f'query {one.number} over {one.days:g} days' for one in above) or 'none'}. "
        "The segments read are all that hold a record of the window, and no others: DuckDB may open no other file.",
        "",
        f"Parsing and planning takes at most {max(planning) * 1000:.1f} ms.",
    ]
    if processes:
        flows = sum(one.rows for one in small.state().segments.values())
        lines += [
            "",
            "## From the start of a process",
            "",
            f"`spanline query … --store DIR --inventory FILE`, of {flows:,} flows over two weeks; the best of some "
            "runs, s.",
            "",
            "| query | " + " | ".join(str(n) for n in range(1, len(processes) + 1)) + " |",
            "|---|" + "---:|" * len(processes),
            "| s | " + " | ".join(f"{one:.2f}" for one in processes) + " |",
        ]
    return "\n".join(lines) + "\n"


def machine() -> str:
    model = platform.processor() or "a processor"
    with open("/proc/cpuinfo", encoding="utf-8") as file:
        model = next((line.split(":")[1].strip() for line in file if line.startswith("model name")), model)
    return f"{len(os.sched_getaffinity(0))} cores of {model}."


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path, help="a store of store_flows.py")
    parser.add_argument("--small", type=Path, help="another one, of which processes ask")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--queries", type=int, nargs="+", default=range(1, 20))
    parser.add_argument("--days", choices=("own", "all", "both"), default="both", help="windows: as asked, or 14 days")
    parser.add_argument("--results", type=Path, default=RESULTS)
    options = parser.parse_args()
    bench = Bench(options.folder)
    measured = []
    for number in options.queries:
        own = bench.texts[number - 1]
        texts = [own] if options.days != "all" else []
        if options.days != "own" and number in WHOLE:
            texts.append(f"{own.partition(' in last ')[0]} in last 14 days")
        for text in texts:
            measured.append(bench.measure(number, text, options.rounds))
            one = measured[-1]
            ways = ", ".join(f"{min(way)[0]:.3f}" for way in one.theirs)
            best = f"{one.days:4.1f} d {one.rows:8,} rows {one.best()[0]:7.3f} s"
            print(f"{number:2} {best}  SQL {ways}: {one.ratio():.2f}, of cores {one.ratio(1):.2f}", flush=True)
    planning = [bench.planning(text) for text in bench.texts]
    small = Store(options.small) if options.small else bench.store
    processes = process_times(options.small, bench.texts, options.rounds) if options.small else []
    text = document(bench, measured, planning, small, processes)
    options.results.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
