"""Queries run over small stores of our own making.

Oracle: what is computed by hand, or with numpy from the same numbers.
"""

from __future__ import annotations

import _thread
import ipaddress
import json
import os
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import spanline
from spanline.arrow import arrow_schema, column, fixed_binary
from spanline.enrich import Enrichment
from spanline.enrich.inventory_files import read_inventory
from spanline.errors import UsageError
from spanline.query.answer import explain
from spanline.schema import FLOW
from spanline.store import Store

SECOND = 10**9
DAY = 86_400 * SECOND
NOON = 1_767_614_400 * SECOND  # 2026-01-05, 12:00 UTC

INVENTORY = """
vms:
  - {name: web, addresses: [10.0.1.1], host: one, vcpus: 4, memory: 8GB, macs: ["02:00:00:00:00:01"]}
  - {name: O'Brien, addresses: [10.0.1.2], host: one, vcpus: 2, memory: 2GB}
  - {name: app, addresses: [10.0.2.1], host: two, vcpus: 4, memory: 4GB}
subnets:
  - {cidr: 10.0.1.0/24, name: front}
  - {cidr: 10.0.2.0/24, name: back}
"""


def octets(text: str) -> bytes:
    packed = ipaddress.ip_address(text).packed
    return packed if len(packed) == 16 else bytes(10) + b"\xff\xff" + packed


def flow(
    source: str, destination: str, port: int, *, first: float = 0, lasts: float = 0, size: int = 100
) -> dict[str, Any]:
    """A record that begins `first` s after NOON, lasts so many seconds and has `size` bytes in a packet each way."""
    begin = NOON + int(first * SECOND)
    return {
        "first_seen": begin,
        "last_seen": begin + int(lasts * SECOND),
        "source": octets(source),
        "destination": octets(destination),
        "source_port": 40000,
        "destination_port": port,
        "protocol": 6,
        "source_bytes": size,
        "source_packets": 1,
        "destination_packets": 1,
    }


def flows(rows: list[dict[str, Any]]) -> pa.Table:
    """schema.FLOW without community_id; what rows do not say is 0, or null."""
    arrays = []
    schema = [field for field in arrow_schema(FLOW) if field.name != "community_id"]
    for field in schema:
        values = [row.get(field.name) for row in rows]
        if pa.types.is_fixed_size_binary(field.type):
            arrays.append(fixed_binary(np.frombuffer(b"".join(values), np.uint8).reshape(-1, 16)))
        elif field.name.endswith(("_bytes", "_packets", "_flags", "retransmissions")):
            arrays.append(column(np.array([value or 0 for value in values], field.type.to_pandas_dtype())))
        else:
            arrays.append(pa.array(values).cast(field.type))
    return pa.Table.from_arrays(arrays, schema=pa.schema(schema))


def stored(folder: Path, rows: list[dict[str, Any]]) -> Store:
    store = Store(folder / "store", create=True)
    store.append(flows(sorted(rows, key=lambda row: row["first_seen"])))
    return store


@pytest.fixture(scope="module")
def enrichment(tmp_path_factory: pytest.TempPathFactory) -> Enrichment:
    path = tmp_path_factory.mktemp("inventory") / "inventory.yaml"
    path.write_text(INVENTORY)
    return Enrichment(read_inventory([str(path)]))


ROWS = [
    flow("10.0.1.1", "10.0.2.1", 443, first=0, size=1000),
    flow("10.0.1.1", "10.0.2.1", 443, first=5, size=500),
    flow("10.0.1.2", "10.0.2.1", 22, first=10, size=70),
    flow("10.0.1.1", "8.8.8.8", 53, first=20, size=60),
    flow("10.0.9.9", "10.0.1.1", 22, first=30, size=40),
    flow("81.2.69.142", "10.0.1.2", 3389, first=40, size=30),
]


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Store:
    return stored(tmp_path_factory.mktemp("engine"), ROWS)


def answer(text: str, store: Store, enrichment: Enrichment | None = None, **options: Any) -> list[tuple[Any, ...]]:
    table = spanline.query(text, store, enrichment=enrichment, **options)
    return list(zip(*(one.to_pylist() for one in table.columns), strict=True))


@pytest.mark.parametrize(
    ("text", "rows"),
    [
        ("flows group by Port", [(22, 2), (53, 1), (443, 1), (3389, 1)]),
        ("flows group by Source VM", [("web", 2), ("O'Brien", 1), (None, 2)]),
        ("flows group by VM", [("web", 3), ("O'Brien", 2), ("app", 2)]),
        ("flows group by Source VM, Port limit 2", [("O'Brien", 22, 1), ("web", 53, 1)]),
        ("sum(bytes) of flows group by Source VM", [("web", 1560.0, 2), ("O'Brien", 70.0, 1), (None, 70.0, 2)]),
        ("sum(bytes) of flows group by Source VM order by sum(bytes) limit 1", [("web", 1560.0)]),
        ("max(bytes) of flows", [(1500.0,)]),
        ("avg(bytes) of flows group by Source VM order by avg(bytes)", [("web", 780.0), ("O'Brien", 70.0), (None, 35)]),
        ("count of flows", [(5,)]),
        ("count of flows where bytes > 69", [(2,)]),
        ("count of flows where bytes > 69 or port = 3389", [(3,)]),
        ("count of flows where not (bytes > 69)", [(3,)]),
        ("sum(session count) of flows", [(6.0,)]),
        ("list(Source VM) of flows", [("O'Brien",), ("web",)]),
        ("count of flows where Source VM = 'WEB'", [(2,)]),
        ("count of flows where Source VM != 'web'", [(3,)]),
        ("count of flows where Source VM not in ('web')", [(3,)]),
        ("count of flows where not (Source VM = 'web')", [(3,)]),
        ("count of flows where not (Source VM != 'web')", [(2,)]),
        ("count of flows where VM = 'app'", [(2,)]),
        ("count of flows where VM != 'app'", [(3,)]),
        ("count of flows where Source VM is set", [(3,)]),
        ("count of flows where Source VM is not set", [(2,)]),
        ("count of flows where Source VM like 'bri'", [(1,)]),
        ("count of flows where Source VM like 'o*en'", [(1,)]),
        ("count of flows where Source VM not like 'bri'", [(4,)]),
        ("count of flows where Source VM matches '^w.b$'", [(2,)]),
        ("count of flows where source ip address = '10.0.1.0/24'", [(3,)]),
        ("count of flows where source ip address in ('10.0.1.1', '10.0.9.0/28')", [(3,)]),
        ("count of flows where port between 23 and 443", [(2,)]),
        ("count of flows where Source Country = 'United Kingdom'", [(1,)]),
        ("count of flows where Source Country = 'gb'", [(1,)]),
        ("count of flows where Source Country != 'GB'", [(4,)]),
        ("count of flows where Flow Type = 'East-West'", [(3,)]),
        ("count of flows where Flow Type = 'Internet'", [(2,)]),
        ("count of flows where Flow Type = 'Source is VM' and flow type = 'Destination is internet'", [(1,)]),
        ("count of flows where Flow Type != 'Source is VM'", [(2,)]),
        ("count of flows where Flow Type = 'VM-Physical'", [(1,)]),
        ("count of flows where Flow Type = 'Diff Host'", [(2,)]),
        ("count of flows where Flow Type = 'Routed'", [(2,)]),
        ("count of flows where Source VM in (vms where vCPUs = 4)", [(2,)]),
        ("count of flows where Source VM not in (vms where vCPUs = 4)", [(3,)]),
        ("count of flows where Port not in (list(Port) of flows where Source VM = 'web')", [(3,)]),
        ("Memory, Name of VMs where vCPUs = 4 order by Memory", [(8 << 30, "web"), (4 << 30, "app")]),
        ("list(Host) of VMs", [("one",), ("two",)]),
        ("VMs group by Host", [("one", 2), ("two", 1)]),
        ("avg(vCPUs) of VMs group by Host order by avg(vCPUs)", [("two", 4.0), ("one", 3.0)]),
        ("count of VMs where IP Address = '10.0.1.0/24'", [(2,)]),
        ("count of VMs where IP Address != '10.0.1.0/24'", [(1,)]),
        ("Name, Total Traffic of VMs order by Total Traffic", [("web", 1600.0), ("app", 1570.0), ("O'Brien", 100.0)]),
    ],
)  # fmt: skip
def test_answers(text: str, rows: list[tuple[Any, ...]], store: Store, enrichment: Enrichment) -> None:
    found = answer(text, store, enrichment)
    width = len(rows[0])
    assert [row[:width] for row in found] == rows


@pytest.mark.parametrize(
    "value",
    [
        "O'Brien' or 1=1 --",
        "'; DROP TABLE records; --",
        "a\\",
        "/* */",
        "\u202e",
        "x" * 10_000,
        '"',
        "$1 ? :a",
        "a\x00b",
    ],
)
def test_hostile_values_are_values(value: str, store: Store, enrichment: Enrichment) -> None:
    quoted = value.replace("\\", "\\\\").replace('"', '\\"')
    try:
        assert answer(f'count of flows where Source VM = "{quoted}"', store, enrichment) == [(0,)]
    except UsageError:
        assert "\x00" in value or '"' in value


def test_a_faulty_regular_expression_is_one_line(store: Store, enrichment: Enrichment) -> None:
    with pytest.raises(UsageError, match=r"regular expression [^\n]*$"):
        answer("count of flows where Source VM matches '('", store, enrichment)


def test_what_overlaps_the_window_counts_in_part(tmp_path: Path) -> None:
    """By hand: of 1000 s, 900 s are in the last 900 s; the second begins and ends there."""
    store = stored(
        tmp_path, [flow("10.0.0.1", "10.0.0.2", 1, lasts=1000, size=1000), flow("10.0.0.1", "10.0.0.2", 2, first=999)]
    )
    now = NOON + 1000 * SECOND
    table = spanline.query(
        "flows between '2026-01-05 12:01:40' and '2026-01-05 12:16:40'", store, now=now, timezone="UTC"
    )
    assert dict(zip(table["Port"].to_pylist(), table["Total Traffic"].to_pylist(), strict=True)) == {1: 900.0, 2: 100.0}
    assert dict(zip(table["Port"].to_pylist(), table["Session Count"].to_pylist(), strict=True)) == {1: 0.0, 2: 1.0}
    assert table["Bytes Rate"].to_pylist()[0] == pytest.approx(8.0)


def test_a_flow_of_several_records_is_one_session(tmp_path: Path) -> None:
    first = flow("10.0.0.1", "10.0.0.2", 1, lasts=100)
    second = flow("10.0.0.1", "10.0.0.2", 1, first=100, lasts=100)
    store = Store(tmp_path / "store", create=True)
    table = flows([first, second])
    store.append(table.append_column("flow_begin", pa.array([None, NOON], pa.int64()).cast(pa.timestamp("ns", "UTC"))))
    assert answer("sum(session count), count of flows", store) == [(1.0, 1)]


@settings(max_examples=15, deadline=None)
@given(
    rows=st.lists(
        st.tuples(st.integers(1, 3), st.integers(0, 20_000), st.integers(0, 5_000), st.integers(0, 10**6)),
        min_size=1,
        max_size=30,
    )
)
def test_series_are_what_numpy_says(
    rows: list[tuple[int, int, int, int]], tmp_path_factory: pytest.TempPathFactory
) -> None:
    """Bytes spread evenly over buckets of 1000 s, with numpy second by second."""
    records = [flow("10.0.0.1", "10.0.0.2", port, first=at, lasts=lasts, size=size) for port, at, lasts, size in rows]
    store = stored(tmp_path_factory.mktemp("series"), records)
    table = spanline.query(
        "series(sum(bytes), 1000), sum(bytes), series(sum(sessions), 1000) of flows group by Port", store
    )
    begin, step = (int(table.schema.field(1).metadata[name]) for name in (b"begin", b"step"))
    assert step == 1000 * SECOND
    window_end = int(table.schema.metadata[b"window_end"])
    assert window_end == max(row["last_seen"] for row in records) + 1
    for port, series, total, sessions, _ in zip(*(one.to_pylist() for one in table.columns), strict=True):
        expected, began = np.zeros(len(series)), np.zeros(len(series))
        edges = begin + np.arange(len(series) + 1) * step
        for _, at, lasts, size in (row for row in rows if row[0] == port):
            first, last = NOON + at * SECOND, NOON + (at + lasts) * SECOND
            bucket = int((first - begin) // step)
            began[bucket] += 1
            if lasts == 0:
                expected[bucket] += size
            else:
                inside = np.clip(np.minimum(edges[1:], last) - np.maximum(edges[:-1], first), 0, None)
                expected += size * inside / (last - first)
        assert series == pytest.approx(expected, rel=1e-9, abs=1e-6)
        assert sessions == pytest.approx(began)
        assert total == pytest.approx(expected.sum(), rel=1e-9)


def test_an_empty_store_has_empty_answers(tmp_path: Path) -> None:
    store = Store(tmp_path / "store", create=True)
    assert answer("flows group by Source Country", store) == []
    assert answer("count of flows", store) == [(0,)]
    assert answer("flows", store) == []


def test_the_window_is_said(store: Store) -> None:
    metadata = spanline.query("count of flows", store).schema.metadata
    newest = max(row["last_seen"] for row in ROWS) + 1
    assert (int(metadata[b"window_begin"]), int(metadata[b"window_end"])) == (newest - DAY, newest)
    assert metadata[b"measured_from"] == b"the newest record"
    assert metadata[b"is_default"] == b"1"
    assert json.loads(metadata[b"left_out"]) == []


def test_a_damaged_segment_is_left_out_and_named(tmp_path: Path) -> None:
    store = stored(tmp_path, ROWS)
    (segment,) = store.state().segments.values()
    path = store.path / segment.name
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)
    table = spanline.query("count of flows", store)
    assert table.column(0).to_pylist() == [0]
    (left_out,) = json.loads(table.schema.metadata[b"left_out"])
    assert Path(segment.name).name in left_out


def test_segments_beside_the_window_are_not_opened(tmp_path: Path) -> None:
    """Those of other hours hold nothing that could be read, and nobody notices. Oracle: computed by hand."""
    hours = 14 * 24
    store = stored(tmp_path, [flow("10.0.1.1", "10.0.2.1", 443, first=n * 3600, lasts=4000) for n in range(hours)])
    # The newest record ends 4000 s into hour 335: the last 24 hours begin when the record of hour 311 ends.
    hours_needed = range(312, hours)
    for one in store.state().segments.values():
        if (one.begin - NOON) // (3600 * SECOND) not in hours_needed:
            (store.path / one.name).write_bytes(b"nothing")
    table = spanline.query("sum(session count), sum(packets) of flows", store)
    # That of hour 312 began before the window, and 400 s of it are in front of it.
    assert table["sum(Session Count)"].to_pylist() == [23.0]
    assert table["sum(Packets)"].to_pylist() == [pytest.approx(2 * 23 + 2 * 3600 / 4000)]
    assert json.loads(table.schema.metadata[b"left_out"]) == []


def test_sql_is_printed_for_other_engines(store: Store) -> None:
    """Buckets are integer arithmetic in whatever dialect."""
    text = "series(sum(bytes rate)) of flows where Port = 443 group by Destination Country"
    for dialect in ("duckdb", "clickhouse"):
        sql = explain(text, store, dialect=dialect)
        assert "% 1000000000000" in sql
        assert "DATE_BIN" not in sql.upper()
        assert "TIME_BUCKET" not in sql.upper()


def test_sql_reads_nothing_but_segments(store: Store) -> None:
    from spanline.query.running import Limits, Session

    duckdb = pytest.importorskip("duckdb")
    with Session({}, Limits()) as session:
        for sql in (
            "SELECT * FROM read_text('/etc/passwd')",
            "COPY (SELECT 1) TO '/tmp/spanline-no'",
            "SET threads = 1",
        ):
            with pytest.raises(duckdb.Error):
                session.connection.execute(sql)


def things_in(connection: Any) -> list[tuple[str]]:
    """The tables and views that queries made."""
    found: list[tuple[str]] = connection.execute(
        "SELECT table_name FROM duckdb_tables() UNION ALL SELECT view_name FROM duckdb_views() WHERE NOT internal"
    ).fetchall()
    return found


def test_a_query_finds_the_engine_open_and_empty(store: Store, enrichment: Enrichment) -> None:
    from spanline.query import engine
    from spanline.query.running import Limits, Session

    text = "series(sum(bytes)) of flows where Flow Type = 'Source is VM' group by Destination Country"
    answers = []
    for _ in range(2):
        answers.append(answer(text, store, enrichment))
        (idle,) = engine._idle
        assert things_in(idle.connection) == []
    assert answers[0] == answers[1]
    spanline.query("flows", store, enrichment=enrichment)
    assert engine._idle == [idle]
    with pytest.raises(UsageError, match="cannot be run"), Session({}, Limits()) as session, session.limited():
        session.connection.execute("SELECT error('what failed is not used again')")
    assert engine._idle == []


def test_an_open_engine_reads_its_own_files_only(store: Store, tmp_path: Path) -> None:
    from spanline.query.running import Limits, Session

    duckdb = pytest.importorskip("duckdb")
    other = stored(tmp_path, ROWS[:1])
    for one, forbidden in ((store, other), (other, store)):
        assert answer("count of flows", one)
        (own,), (foreign,) = ([at.path / name for name in at.state().segments] for at in (one, forbidden))
        with Session({"records": [own]}, Limits()) as session:
            session.connection.execute(f"SELECT count(*) FROM read_parquet('{own}')")
            with pytest.raises(duckdb.PermissionException):
                session.connection.execute(f"SELECT count(*) FROM read_parquet('{foreign}')")


def test_queries_in_several_threads(store: Store, enrichment: Enrichment) -> None:
    text = "flows group by Source VM"
    expected = answer(text, store, enrichment)
    with ThreadPoolExecutor(4) as pool:
        assert list(pool.map(lambda _: answer(text, store, enrichment), range(8))) == [expected] * 8


@pytest.mark.skipif(not hasattr(os, "fork"), reason="processes that fork")
def test_a_child_leaves_the_engine_of_its_parent_alone(store: Store) -> None:
    script = f"""
import os, spanline
first = spanline.query("count of flows", {str(store.path)!r})
child = os.fork()
if not child:
    os._exit(0 if spanline.query("count of flows", {str(store.path)!r}).equals(first) else 1)
assert os.waitpid(child, 0)[1] == 0
"""
    subprocess.run([sys.executable, "-W", "ignore", "-c", script], check=True, timeout=60)


def test_too_little_memory_is_one_line(tmp_path: Path) -> None:
    rows = [flow(f"10.{n >> 8}.{n & 255}.1", "10.0.0.2", n % 60_000) for n in range(20_000)]
    store = stored(tmp_path, rows)
    with pytest.raises(UsageError, match="MiB of memory"):
        spanline.query("flows", store, memory=2 << 20)


def test_ctrl_c_cancels(store: Store) -> None:
    from spanline.query.running import Limits, Session

    with Session({}, Limits(threads=1)) as session:
        timer = threading.Timer(0.3, _thread.interrupt_main)
        timer.start()
        with pytest.raises(KeyboardInterrupt), session.limited():
            session.connection.execute(
                "SELECT sum(a.range * b.range) FROM range(1000000) a, range(1000000) b"
            ).fetchall()
        timer.join()


def test_a_query_that_takes_too_long_is_one_line() -> None:
    from spanline.query.running import Limits, Session

    with (
        Session({}, Limits(threads=1, seconds=0.2)) as session,
        pytest.raises(UsageError, match=r"longer than 0\.2 s"),
        session.limited(),
    ):
        session.connection.execute("SELECT sum(a.range * b.range) FROM range(1000000) a, range(1000000) b").fetchall()
