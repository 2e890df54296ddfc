"""`spanline query`: what is asked, of what, and how the answer looks.

Oracle: frames of a small capture and values of made-up Tables, counted by hand; test_seed_queries.py tests that answers
are true.
"""

from __future__ import annotations

import csv
import io
import json
from datetime import UTC
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from spanline.cli.query_view import answer_lines, window_text
from spanline.output import discard_unfinished, open_output, temporary_folder
from spanline.query.sparkline import sparkline
from tests.commands import many_flows, run
from tests.craft_files import START
from tests.made_once import two_weeks

SECOND = 10**9
SEED = (Path(__file__).parent / "queries/seed.txt").read_text(encoding="utf-8").splitlines()


@pytest.fixture
def store(capture: Path, tmp_path: Path) -> Path:
    run("crunch", capture, "--store", tmp_path / "store", "-q")
    return tmp_path / "store"


@pytest.fixture(scope="module")
def fortnight(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two weeks of flows, and beside them the inventory."""
    return two_weeks(tmp_path_factory)


def answer(*arguments: str | Path) -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = json.loads(run("query", *arguments, "-q", "--format", "json").stdout)
    return rows


def test_a_store_and_captures_answer_alike(capture: Path, store: Path) -> None:
    """A handshake of three segments of 54 bytes to port 443, and a datagram of 50 bytes to port 53."""
    text = "total traffic, packets, sessions of flows group by port order by packets"
    expected = [
        {"Port": 443, "sum(Total Traffic)": 162.0, "sum(Packets)": 3.0, "sum(Session Count)": 1.0},
        {"Port": 53, "sum(Total Traffic)": 50.0, "sum(Packets)": 1.0, "sum(Session Count)": 1.0},
    ]
    assert answer(text, "--store", store) == expected
    assert answer(text, "--on", capture) == expected


def test_captures_stand_behind_on(capture: Path, tmp_path: Path) -> None:
    """Two different ones are both counted, and the same one twice is counted once."""
    other = many_flows(tmp_path, 3)
    assert answer("sum(packets) of flows", "--on", capture, other) == [{"sum(Packets)": 7.0}]
    assert answer("sum(packets) of flows", "--on", capture, capture) == [{"sum(Packets)": 4.0}]


def test_a_cut_capture_is_told_and_the_rest_answers(cut: Path) -> None:
    result = run("query", "count of flows", "--on", cut, "--format", "csv", code=2)
    assert result.stdout.splitlines()[1] == "2"
    assert "cut.pcap" in result.stderr.splitlines()[-1]


def test_nothing_temporary_is_left(capture: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "temporary").mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path / "temporary"))
    answer("flows", "--on", capture)
    assert not list((tmp_path / "temporary").iterdir())
    with temporary_folder("test") as folder:
        (folder / "file").write_text("unfinished")
        discard_unfinished()
        assert not folder.exists()


def test_a_damaged_segment_is_named(fortnight: Path, tmp_path: Path) -> None:
    damaged = tmp_path / "damaged"
    for path in fortnight.rglob("*"):
        if path.is_file():
            (damaged / path.relative_to(fortnight)).parent.mkdir(parents=True, exist_ok=True)
            (damaged / path.relative_to(fortnight)).write_bytes(path.read_bytes())
    segment = sorted(damaged.glob("*/*/*.parquet"))[-1]
    octets = bytearray(segment.read_bytes())
    octets[len(octets) // 2] ^= 1
    segment.write_bytes(octets)
    result = run("query", "count of flows", "--store", damaged, "--format", "csv", code=2)
    assert int(result.stdout.splitlines()[1]) > 0
    assert segment.name in result.stderr


@pytest.mark.parametrize(
    ("options", "flows"),
    [
        (["--from", "2020-01-01"], 2),
        (["--to", "2020-01-01"], 0),
        (["--to", "now"], 2),
        (["--from", "BEGIN+0", "--to", "BEGIN+1"], 1),
        (["--from", "BEGIN+1", "--to", "BEGIN+2"], 1),
        (["--from", "BEGIN+2"], 0),
    ],
)
def test_from_and_to_say_when(store: Path, options: list[str], flows: int) -> None:
    """The handshake takes 1.75 ms from the start, and the datagram comes 1 s after it."""
    begin = np.datetime64(START // SECOND, "s")
    named = {f"BEGIN+{n}": f"{begin + n}Z" for n in range(3)}
    rows = answer("flows", "--store", store, *(named.get(one, one) for one in options))
    assert len(rows) == flows


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["flows"], "nothing to ask: name --store DIR or --on PATH"),
        (["flows", "--store", "STORE", "--on", "CAPTURE"], "--store and --on are two things to ask"),
        (["flows", "CAPTURE", "--store", "STORE"], "captures are named with --on"),
        (["flows", "--on", "STORE"], "a store; ask it with --store"),
        (["flows", "--on", "live:eth0"], "spanline crunch live:eth0 --store DIR"),
        (["flows", "--on", "missing.pcap"], "missing.pcap"),
        (["flows", "--store", "missing"], "missing: no store"),
        (["flows in last 2 days", "--from", "today", "--store", "STORE"], "the query says when"),
        (["flows", "--from", "never", "--store", "STORE"], "--from: 'never' is no time"),
        (["flows", "--from", "2026-02-01", "--to", "2026-01-01", "--store", "STORE"], "--from is not before --to"),
        (["flows", "--timezone", "Europe/Zurch", "--store", "STORE"], "Europe/Zurich"),
        (["flows", "--inventory", "missing.yaml", "--store", "STORE"], "missing.yaml"),
        (["flows group by source country", "--geoip", "missing.mmdb", "--store", "STORE"], "missing.mmdb"),
        (["flows", "--explain", "sql", "--format", "json", "--store", "STORE"], "--explain shows text"),
    ],
)
def test_what_makes_no_sense_is_one_line(
    arguments: list[str], told: str, capture: Path, store: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    named = {"STORE": str(store), "CAPTURE": str(capture)}
    result = run("query", *(named.get(one, one) for one in arguments), code=2)
    assert told in result.stderr
    assert not result.stdout
    assert len(result.stderr.splitlines()) == 1


def test_a_fault_in_the_text_is_pointed_at(store: Path) -> None:
    result = run("query", "flows group by Sorce Country", "--store", store, code=2)
    first, text, mark = result.stderr.splitlines()
    assert "Source Country" in first
    assert text[mark.index("^") :].startswith("Sorce")


def test_the_window_is_told_on_stderr(store: Path) -> None:
    told = run("query", "flows", "--store", store, "--timezone", "UTC").stderr
    last = np.datetime64(START // SECOND + 1, "s")
    begin, end = (str(one).replace("T", " ") for one in (last - 86400, last))
    assert told == f"spanline: about the last 24 hours until the newest record: {begin} to {end} UTC\n"
    assert run("query", "flows", "--store", store, "-q").stderr == ""


def test_the_window_is_told_in_the_zone() -> None:
    metadata = {b"window_begin": b"0", b"window_end": b"%d" % (3600 * SECOND), b"measured_from": b"now"}
    metadata |= {b"is_default": b"0", b"hours": b""}
    told = window_text(metadata, ZoneInfo("Asia/Tokyo"))
    assert told == "about 1970-01-01 09:00:00 to 1970-01-01 09:59:59 JST, until now"
    told = window_text(metadata | {b"hours": b"21:00-06:30"}, ZoneInfo("Asia/Tokyo"))
    assert told == "about 1970-01-01 09:00:00 to 1970-01-01 09:59:59 JST, of each day 21:00-06:30, until now"


def test_formats_hold_the_same(store: Path, tmp_path: Path) -> None:
    text = "series(sum(packets), 60) of flows group by port"
    rows = answer(text, "--store", store)
    assert {row["Port"]: sum(row["series(sum(Packets))"]) for row in rows} == {443: 3.0, 53: 1.0}
    run("query", text, "--store", store, "-q", "-o", tmp_path / "answer.parquet")
    assert pq.read_table(tmp_path / "answer.parquet").to_pylist() == rows
    (heading, *lines) = csv.reader(io.StringIO(run("query", text, "--store", store, "-q", "--format", "csv").stdout))
    assert heading == list(rows[0])
    series = heading.index("series(sum(Packets))")
    assert [[float(one) for one in line[series].split(" ")] for line in lines] == [one[heading[series]] for one in rows]


def test_unknown_parts_of_a_series_are_nan_in_csv(tmp_path: Path) -> None:
    with open_output(str(tmp_path / "out.csv"), "csv") as writer:
        writer.write(pa.table({"a": pa.array([[1.5, None], None, []], pa.list_(pa.float64()))}))
    assert (tmp_path / "out.csv").read_text().splitlines() == ['"a"', '"1.5 nan"', "", '""']


def test_lists_of_addresses_are_text_in_files(tmp_path: Path) -> None:
    octets = [[bytes(15) + b"\1", bytes(10) + b"\xff\xff\x0a\0\0\1"], None, [], [bytes(15) + b"\2"]]
    lists = pa.array([[bytes(16)], *octets], pa.list_(pa.binary(16))).slice(1)
    texts = [["::1", "10.0.0.1"], None, [], ["::2"]]
    for suffix in ("csv", "json", "parquet"):
        with open_output(str(tmp_path / f"out.{suffix}"), suffix) as writer:
            writer.write(pa.table({"a": lists}))
    assert pq.read_table(tmp_path / "out.parquet").to_pydict() == {"a": texts}
    assert json.loads((tmp_path / "out.json").read_text()) == [{"a": one} for one in texts]
    assert (tmp_path / "out.csv").read_text().splitlines() == ['"a"', '"::1 10.0.0.1"', "", '""', '"::2"']


@pytest.mark.parametrize("number", range(len(SEED)))
def test_tables_fit_a_terminal(fortnight: Path, number: int) -> None:
    options = "--store", fortnight, "--inventory", fortnight.with_suffix(".yaml"), "-n", "5", "-q"
    shown = run("query", SEED[number], *options, width=80).stdout.splitlines()
    assert len(shown) > 1
    assert max(map(len, shown)) <= 80


def test_what_is_not_set_stands_last(fortnight: Path) -> None:
    *_, last = run("query", "flows group by source country", "--store", fortnight, "-q", "-n", "0").stdout.splitlines()
    assert last.startswith("(not set) ")


def test_the_limit_is_told(fortnight: Path) -> None:
    (*rows, last) = run("query", "flows group by port", "--store", fortnight, "-q", "-n", "2").stdout.splitlines()
    assert len(rows) == 3
    assert last.startswith("2 of ")
    assert run("query", "flows where port = 1", "--store", fortnight, "-q").stdout == "nothing found\n"


def test_the_tree_is_shown_without_a_store() -> None:
    text = (
        "<b>series(sum(bytes rate), 60)</b> of flows where (port in (22, '23') or src ip = 10.0.0.0/8) and not vni = 5"
        " group by Source VM in last 2 days"
    )
    assert run("query", text, "--explain", "tree").stdout.splitlines() == [
        "flows",
        "  show series(sum(Bytes Rate), 60)",
        "  group by Source VM",
        "  where",
        "    and",
        "      or",
        "        Port in (22, 23)",
        "        Source IP Address = 10.0.0.0–10.255.255.255",
        "      not",
        "        VNI = 5",
        "  in the last 172,800 s",
    ]


def test_the_sql_is_shown(store: Path) -> None:
    shown = run("query", "flows where port = 443", "--store", store, "--explain", "sql").stdout
    assert "SELECT" in shown
    assert "443" in shown


@pytest.mark.parametrize(
    ("kind", "stored", "value", "expected"),
    [
        ("text", pa.string(), "a\x1b[31m\u202eb", r"a\x1b[31m\u202eb"),
        ("text", pa.string(), None, "(not set)"),
        ("number", pa.uint16(), 65535, "65535"),
        ("number", pa.uint32(), 16_777_215, "16777215"),
        ("number", pa.float64(), 0.25, "0.25"),
        ("address", pa.binary(16), bytes(10) + b"\xff\xff\x0a\x00\x00\x01", "10.0.0.1"),
        ("address", pa.list_(pa.binary(16)), [bytes(15) + b"\1", bytes(15) + b"\2"], "::1, ::2"),
        ("mac", pa.binary(6), b"\x00\x1a\x2b\x3c\x4d\x5e", "00:1a:2b:3c:4d:5e"),
        ("protocol", pa.uint8(), 6, "tcp"),
        ("bytes", pa.float64(), 1.2e9, "1.20 GB"),
        ("bytes of memory", pa.uint64(), 64 << 30, "64 GB"),
        ("bits per second", pa.float64(), 3.4e6, "3.40 Mb/s"),
        ("packets", pa.float64(), 1_230_000.0, "1.23M"),
        ("ns", pa.float64(), 1_500_000.0, "1.50 ms"),
        ("ratio", pa.float64(), 0.0123, "1.2%"),
        ("time", pa.timestamp("ns", "UTC"), 3723 * SECOND, "1970-01-01 01:02:03"),
        ("tags", pa.list_(pa.string()), ["Internet", "Unicast"], "Internet, Unicast"),
        ("count", pa.int64(), 12345, "12,345"),
    ],
)
def test_values_are_shown_with_their_units(kind: str, stored: pa.DataType, value: Any, expected: str) -> None:
    field = pa.field("Name", stored, metadata={"kind": kind})
    table = pa.Table.from_arrays([pa.array([value], stored)], schema=pa.schema([field]))
    heading, line = answer_lines(table, {"Name"}, UTC, 80)
    assert heading.text.strip() == "Name"
    assert line.text.strip() == expected


def test_rows_too_long_for_a_line_take_several() -> None:
    """Eight addresses of 39 characters, at two a line of 85 or one a line of 80."""
    address = "2001:db8:1111:2222:3333:4444:5555:6666"
    field = pa.field("A", pa.string(), metadata={"kind": "text"})
    fields = [field.with_name(f"Column {n}") for n in range(8)]
    table = pa.Table.from_arrays([pa.array([address])] * 8, schema=pa.schema(fields))
    for width, lines in ((85, 4), (60, 8)):
        shown = answer_lines(table, (), UTC, width)
        assert sum(line.text.count(address) for line in shown) == 8
        assert sum(address in line.text for line in shown) == lines
        assert max(len(line.text) for line in shown) <= width


@pytest.mark.parametrize(
    ("values", "width", "expected"),
    [
        ([], 8, ""),
        ([0, 0], 8, "▁▁"),
        ([0, 1, 2, 3, 4, 5, 6, 7], 8, "▁▂▃▄▅▆▇█"),
        ([0.001, 7], 8, "▂█"),
        ([0, 2, 7, 7], 2, "▂█"),
        ([np.nan, 7, np.nan, np.nan], 2, "█ "),
        ([np.nan], 8, " "),
    ],
)
def test_series_are_lines_of_text(values: list[float], width: int, expected: str) -> None:
    assert sparkline(np.array(values, np.float64), width) == expected


def test_an_address_is_never_cut() -> None:
    """Where three series leave no room, it stands on a line of its own."""
    address = bytes.fromhex("20010db8012345670123456789abcdef")
    fields = [pa.field("Source IP Address", pa.binary(16), metadata={"kind": "address", "unit": ""})]
    for name in ("Packets", "Session Count", "Bytes Rate"):
        metadata = {"kind": "packets", "unit": "", "begin": "0", "step": str(SECOND)}
        fields.append(pa.field(f"series(sum({name}))", pa.list_(pa.float64()), metadata=metadata))
    table = pa.Table.from_arrays(
        [pa.array([address], fields[0].type), *(pa.array([[1.0, 2.0]], one.type) for one in fields[1:])],
        schema=pa.schema(fields),
    )
    lines = answer_lines(table, {"Source IP Address"}, UTC, 60)
    assert any("2001:db8:123:4567:123:4567:89ab:cdef" in line.text for line in lines)
    assert max(len(line.text) for line in lines) <= 60
