"""The store: what goes in comes out, in order, once, and other engines read it."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pytest
from store_flows import BEGIN, HOUR

import spanline
from spanline.arrow import arrow_schema, arrow_type
from spanline.errors import OutputError, UsageError
from spanline.schema import CONN_STATES, END_REASONS, Column
from spanline.store import Store
from spanline.store.continuing import Continued
from spanline.store.layout import EXPRESSIONS, SCHEMA, STORED_FLOW, VERSION, decoded, encoded
from spanline.store.segments import read_segment
from tests.stored import a_store, in_order, plain, some_flows

SECOND = 10**9
FLOW_COLUMNS = [one for one in STORED_FLOW if one.name != "flow_begin"]


pytestmark = pytest.mark.usefixtures("apart")


def any_values(one: Column, count: int, rng: np.random.Generator) -> pa.Array:
    """Values of the whole range of a column's type, some of them null."""
    missing = rng.random(count) < 0.2 if one.name not in NEVER_NULL else None
    kind = arrow_type(one)
    if one.arrow == "address":
        return pa.array([bytes(row) for row in rng.integers(0, 256, (count, 16), np.uint8)], kind)
    if one.arrow == "label":
        names = CONN_STATES if one.name == "conn_state" else END_REASONS
        return pa.array(rng.choice(names, count).tolist(), pa.string()).dictionary_encode().cast(kind)
    if one.arrow == "string":
        return pa.array(rng.choice(["", "tls", "é\n"], count).tolist(), pa.string(), mask=missing)
    if one.arrow == "bool":
        return pa.array(rng.random(count) < 0.5, mask=missing)
    width = kind.bit_width // 8
    octets: npt.NDArray[np.uint8] = rng.integers(0, 256, (count, width), np.uint8)
    numbers = octets.view(f"{'i' if width == 8 else 'u'}{width}").ravel()
    return pa.array(numbers, mask=missing).view(kind)


NEVER_NULL = {"first_seen", "last_seen", "source_port", "destination_port", "protocol"}


@pytest.mark.parametrize("seed", range(20))
def test_any_numbers_come_back_as_they_were(seed: int) -> None:
    """Oracle: what went in. Times and counts of the whole range of their types, which no traffic has."""
    rng = np.random.default_rng(seed)
    arrays = {one.name: any_values(one, 100, rng) for one in FLOW_COLUMNS if one.name != "handshake_rtt"}
    one, other = (arrays[name].view(pa.int64()).to_pylist() for name in ("syn_synack_rtt", "synack_ack_rtt"))
    # Its rule, in numbers without an end; a sum that is no time is none.
    sums = [None if None in pair else sum(pair) for pair in zip(one, other, strict=True)]
    wrapped = [None if one is None else (one + 2**63) % 2**64 - 2**63 for one in sums]
    handshake = [None if one is None or one < 0 else one for one in wrapped]
    arrays["handshake_rtt"] = pa.array(handshake, pa.int64()).view(pa.duration("ns"))
    made = pa.table([arrays[one.name] for one in FLOW_COLUMNS], schema=arrow_schema(FLOW_COLUMNS))
    back = decoded(encoded(made))
    assert back.column("flow_begin").null_count == len(back)
    assert plain(back.select(made.column_names)).equals(plain(made))


def test_flows_of_captures_come_back_as_they_were(captures: Path, tmp_path: Path) -> None:
    """Oracle: the same flows, not stored; of some 40 captures that differ much."""
    paths = sorted(path for path in captures.rglob("*.pcap*") if path.stat().st_size < 100_000)[::20]
    parts = [spanline.flows(path).drop_columns("community_id") for path in paths]
    flows = pa.concat_tables([plain(part) for part in parts])
    assert len(flows) > 100
    store = Store(tmp_path / "store", create=True)
    with store.writing() as writer:
        for part in parts:
            writer.write(part)
    assert in_order(store.read()).equals(in_order(flows))


def test_duckdb_reads_the_same(tmp_path: Path) -> None:
    """Oracle: the flows that went in, as DuckDB sees what EXPRESSIONS make of the files."""
    import duckdb

    flows = some_flows(3000)
    store = a_store(tmp_path / "store", 0, count=3000)
    wanted = ", ".join(f"{expression} AS {name}" for name, expression in EXPRESSIONS.items())
    with store.segments() as chosen:
        paths = [str(path) for path in chosen.paths]
        rows = duckdb.connect().sql(f"SELECT {wanted} FROM read_parquet($paths)", params={"paths": paths})
        found = rows.to_arrow_table()
    for name in found.column_names:
        expected, got = flows.column(name).combine_chunks(), found.column(name).combine_chunks()
        if name in ("source", "destination"):
            octets = b"".join(
                bytes.fromhex(text.replace("-", "")) for text in map(str, got.cast(pa.string()).to_pylist())
            )
            assert octets == b"".join(expected.to_pylist())
        elif pa.types.is_temporal(expected.type):
            assert got.cast(pa.int64()).equals(expected.view(pa.int64())), name
        elif pa.types.is_dictionary(expected.type):
            assert got.equals(expected.cast(pa.string())), name
        else:
            assert got.cast(expected.type).equals(expected), name


def test_a_network_is_a_range_of_addresses_in_duckdb(tmp_path: Path) -> None:
    """Oracle: Python's ipaddress."""
    import ipaddress

    import duckdb

    store = a_store(tmp_path / "store", 0, count=3000)
    network = ipaddress.ip_network("10.0.16.0/20")
    sources = [ipaddress.IPv6Address(one).ipv4_mapped for one in some_flows(3000).column("source").to_pylist()]
    expected = sum(one is not None and one in network for one in sources)
    first, last = (f"00000000-0000-0000-0000-ffff{int(network[n]):08x}" for n in (0, -1))
    with store.segments() as chosen:
        sql = "SELECT count(*) FROM read_parquet($paths) WHERE source BETWEEN $first::UUID AND $last::UUID"
        given = {"paths": [str(path) for path in chosen.paths], "first": first, "last": last}
        assert duckdb.connect().execute(sql, given).fetchall() == [(expected,)]
    assert 0 < expected < 3000


def test_segments_are_by_hour_and_in_order(tmp_path: Path) -> None:
    flows = pa.concat_tables([some_flows(500, hour, hour) for hour in (25, 3, 2)])
    store = Store(tmp_path / "store", create=True)
    store.append(flows.take(np.random.default_rng(1).permutation(len(flows))))
    with store.segments() as chosen:
        assert [one.hour for one in chosen.segments] == ["2026-01-05/02", "2026-01-05/03", "2026-01-06/01"]
        for segment, path in zip(chosen.segments, chosen.paths, strict=True):
            stored = read_segment(path)
            begins = stored.column("first_seen").to_pylist()
            assert begins == sorted(begins)
            assert (begins[0], max(stored.column("last_seen").to_pylist())) == (segment.begin, segment.end)
            assert (len(stored), path.stat().st_size) == (segment.rows, segment.size)
    assert in_order(store.read()).equals(in_order(flows))


@pytest.mark.parametrize(
    ("window", "hours"),
    [
        ((None, None), [0, 5, 9]),
        ((BEGIN + 5 * HOUR, BEGIN + 6 * HOUR), [5]),
        ((BEGIN + 9 * HOUR, None), [9]),
        ((None, BEGIN + HOUR), [0]),
        ((None, BEGIN), []),
        ((BEGIN + 12 * HOUR, None), []),
    ],
)
def test_a_window_takes_the_segments_that_overlap_it(
    tmp_path: Path, window: tuple[int | None, int | None], hours: list[int]
) -> None:
    store = a_store(tmp_path / "store", 9, 0, 5)
    with store.segments(window) as chosen:
        assert [one.hour for one in chosen.segments] == [f"2026-01-05/{hour:02}" for hour in hours]


def test_a_flow_that_lasts_is_in_windows_long_after_its_first_packet(tmp_path: Path) -> None:
    flows = some_flows(10)
    last = flows.column("last_seen").to_pylist()
    latest = max(range(10), key=lambda row: last[row])
    store = Store(tmp_path / "store", create=True)
    store.append(flows)
    end = flows.column("last_seen").cast(pa.int64()).to_pylist()[latest]
    with store.segments((end, None)) as here, store.segments((end + 1, None)) as gone:
        assert (len(here.segments), len(gone.segments)) == (1, 0)
    assert store.newest == end


def test_flows_take_little_room(tmp_path: Path) -> None:
    """Of the benchmark's flows, which are as random as real ones; there are more bytes a flow in so small a segment."""
    store = a_store(tmp_path / "store", 0, count=50_000)
    (segment,) = store.state().segments.values()
    assert segment.size / segment.rows < 40


def test_row_groups_tell_their_times_and_addresses(tmp_path: Path) -> None:
    from pyarrow.parquet import ParquetFile

    store = a_store(tmp_path / "store", 0)
    with store.segments() as chosen, ParquetFile(chosen.paths[0]) as file:
        group = file.metadata.row_group(0)
        columns = {group.column(n).path_in_schema: group.column(n).statistics for n in range(group.num_columns)}
    stored = some_flows(1000)
    assert columns["first_seen"].min == stored.column("first_seen").cast(pa.int64()).to_pylist()[0]
    assert columns["last_seen"].max == max(stored.column("last_seen").cast(pa.int64()).to_pylist())
    assert columns["source"].has_min_max
    assert columns["destination_port"].has_min_max


# --- flows of several records


def cut(flows: pa.Table, row: int, pieces: int) -> list[pa.Table]:
    """A flow as an active timeout cuts it: records that follow one another."""
    one = flows.slice(row, 1)
    begin = one.column("first_seen").cast(pa.int64()).to_pylist()[0]
    made = []
    for n in range(pieces):
        at = begin + n * 1800 * SECOND
        reason = "closed" if n == pieces - 1 else "active"
        times = {"first_seen": at, "last_seen": at + SECOND}
        changed = {name: pa.array([time]).view(pa.timestamp("ns", "UTC")) for name, time in times.items()}
        changed["end_reason"] = pa.array([reason]).dictionary_encode().cast(one.schema.field("end_reason").type)
        part = one
        for name, values in changed.items():
            at_column = part.schema.get_field_index(name)
            part = part.set_column(at_column, part.schema.field(name), values)
        made.append(part)
    return made


def test_records_of_one_flow_know_when_it_began(tmp_path: Path) -> None:
    flows = some_flows(200)
    first, second = cut(flows, 7, 4), cut(flows, 90, 2)
    store = Store(tmp_path / "store", create=True)
    with store.writing() as writer:
        writer.write(pa.concat_tables([first[0], flows.slice(100, 5)]))
        writer.commit()
        writer.write(pa.concat_tables([second[0], first[1], first[2]]))
        writer.commit()
        writer.write(pa.concat_tables([first[3], second[1]]))
        # The same ends, when the flow is over: another flow.
        writer.write(first[0])
    stored = store.read()
    assert len(stored) == 4 + 2 + 5 + 1
    continued = stored.filter(pa.compute.is_valid(stored.column("flow_begin")))
    begins = {
        name: table[0].column("first_seen").to_pylist()[0] for name, table in (("first", first), ("second", second))
    }
    assert sorted(continued.column("flow_begin").to_pylist()) == sorted([begins["first"]] * 3 + [begins["second"]])
    # Counted where flow_begin is null, each flow is counted once.
    assert stored.column("flow_begin").null_count == 1 + 1 + 5 + 1


def test_nothing_is_remembered_of_flows_that_are_over() -> None:
    flows = some_flows(100)
    continued = Continued()
    for part in cut(flows, 3, 3):
        continued.add_begin(part)
    assert not continued._begins


# --- what cannot be


def test_a_store_of_a_later_version_is_refused(tmp_path: Path) -> None:
    store = a_store(tmp_path / "store", 0)
    (store.path / "spanline-store.json").write_text(json.dumps({"version": VERSION + 1, "id": store.id}))
    with pytest.raises(UsageError, match=f"version {VERSION + 1}.*knows those up to {VERSION}"):
        Store(store.path)


@pytest.mark.parametrize("content", ["", "{", "[]", '{"version": "x", "id": "a"}', "\x00"])
def test_a_damaged_description_is_told(tmp_path: Path, content: str) -> None:
    store = a_store(tmp_path / "store", 0)
    (store.path / "spanline-store.json").write_text(content)
    with pytest.raises(UsageError, match="damaged; make it again with spanline store repair"):
        Store(store.path)


def test_what_is_no_store_is_told(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="no store; crunch and capture make one"):
        Store(tmp_path / "missing")
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "letter.txt").write_text("dear")
    with pytest.raises(UsageError, match="neither a store nor empty"):
        Store(tmp_path / "full", create=True)
    (tmp_path / "file").write_text("")
    with pytest.raises(OutputError, match="cannot make a store"):
        Store(tmp_path / "file", create=True)


def test_an_empty_store_has_no_flows(tmp_path: Path) -> None:
    store = Store(tmp_path / "store", create=True)
    store.append(some_flows(10).slice(0, 0))
    assert (store.read().num_rows, store.newest, store.is_live) == (0, None, False)
    assert store.read().schema.equals(decoded(SCHEMA.empty_table()).schema)


def test_a_live_store_is_one_whose_newest_flows_came_live(tmp_path: Path) -> None:
    store = a_store(tmp_path / "store", 0)
    assert not store.is_live
    with store.writing(is_live=True) as writer:
        writer.write(some_flows(10, 1))
    assert store.is_live
    store.append(some_flows(10, 2))
    assert not store.is_live
