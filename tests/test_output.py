"""Tables into files: what is written can be read back by others, and a file is complete or not there."""

from __future__ import annotations

import contextlib
import csv
import gc
import io
import json
import stat
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from spanline import output
from spanline.arrow import ADDRESS
from spanline.errors import OutputError
from spanline.output import WRITERS, open_output, open_stream, write_objects
from tests.rows import mapped

FORMATS = list(WRITERS)
TIME = 1_700_000_000_123_456_789
TEXTS = ['a "quoted" \\ text', "tab\tand\nline", "\x1b[31m\x00\x7f", "naïve → 漢字 \U0001f600", "", None]


def table(rows: int = 3) -> pa.Table:
    """A column of every kind, with nulls."""
    place = list(range(rows))
    return pa.table(
        {
            "time": pa.array([TIME + n if n else None for n in place], pa.timestamp("ns", "UTC")),
            "address": pa.array([mapped("10.0.0.1") if n else None for n in place], ADDRESS),
            "mac": pa.array([bytes([2, 0, 0, 0, 0, n]) for n in place], pa.binary(6)),
            "rtt": pa.array([1_500_000_000 + n if n else None for n in place], pa.duration("ns")),
            "bytes": pa.array([2**63 + n for n in place], pa.uint64()),
            "vni": pa.array([n if n else None for n in place], pa.uint32()),
            "again": pa.array([n == 1 if n else None for n in place], pa.bool_()),
            "state": pa.array(["SF" if n else "S0" for n in place], pa.string()).dictionary_encode(),
            "text": pa.array([TEXTS[n % len(TEXTS)] for n in place], pa.string()),
        }
    )


def expected(row: int) -> dict[str, Any]:
    """A row of table() in JSON."""
    return {
        "time": f"2023-11-14T22:13:20.{123456789 + row}Z" if row else None,
        "address": "10.0.0.1" if row else None,
        "mac": f"02:00:00:00:00:0{row}",
        "rtt": 1_500_000_000 + row if row else None,
        "bytes": 2**63 + row,
        "vni": row if row else None,
        "again": row == 1 if row else None,
        "state": "SF" if row else "S0",
        "text": TEXTS[row],
    }


def written(path: Path, format: str, *tables: pa.Table) -> bytes:
    with open_output(str(path), format) as writer:
        for one in tables:
            writer.write(one)
    return path.read_bytes()


def test_json_is_one_array_of_objects(tmp_path: Path) -> None:
    data = written(tmp_path / "a.json", "json", table(6).slice(0, 2), table(0), table(6).slice(2))
    assert json.loads(data) == [expected(row) for row in range(6)]
    assert data.count(b"\n") == 1 + 6 + 1
    assert not any(byte < 32 and byte != 10 for byte in data)


def test_an_empty_table_is_an_empty_array_a_header_and_a_schema(tmp_path: Path) -> None:
    assert written(tmp_path / "a.json", "json", table(0)) == b"[]\n"
    assert written(tmp_path / "a.csv", "csv", table(0)).decode().split(",")[0] == '"time"'
    written(tmp_path / "a.parquet", "parquet", table(0))
    assert pq.read_table(tmp_path / "a.parquet").schema.names == table().schema.names


def test_csv_has_one_header_and_nothing_for_null(tmp_path: Path) -> None:
    data = written(tmp_path / "a.csv", "csv", table(6).slice(0, 2), table(6).slice(2))
    rows = list(csv.DictReader(io.StringIO(data.decode(), newline="")))
    assert len(rows) == 6
    for n, row in enumerate(rows):
        wanted = {name: "" if value is None else str(value) for name, value in expected(n).items()}
        assert row | {"again": row["again"].capitalize()} == wanted


def test_parquet_keeps_types_and_has_addresses_as_text(tmp_path: Path) -> None:
    written(tmp_path / "a.parquet", "parquet", table(6).slice(0, 2), table(6).slice(2))
    read = pq.read_table(tmp_path / "a.parquet")
    assert read.column("time").type == pa.timestamp("ns", "UTC")
    assert read.column("time").cast(pa.int64()).to_pylist() == [None, *(TIME + n for n in range(1, 6))]
    assert read.column("rtt").type == pa.duration("ns")
    assert read.column("address").to_pylist() == [None, *["10.0.0.1"] * 5]
    assert read.column("state").to_pylist() == ["S0", *["SF"] * 5]
    assert pq.ParquetFile(tmp_path / "a.parquet").metadata.row_group(0).column(0).compression == "ZSTD"


@pytest.mark.parametrize(("count", "groups"), [(5, [6, 6, 3]), (4, [6, 6])])
def test_parquet_gathers_small_tables_into_row_groups(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, count: int, groups: list[int]
) -> None:
    monkeypatch.setattr(output, "_ROW_GROUP", 4)
    written(tmp_path / "a.parquet", "parquet", *[table(3)] * count)
    metadata = pq.ParquetFile(tmp_path / "a.parquet").metadata
    assert [metadata.row_group(n).num_rows for n in range(metadata.num_row_groups)] == groups


def test_objects_are_written_as_they_come() -> None:
    written = io.BytesIO()

    def objects() -> Any:
        yield {"a": 1}
        assert written.getvalue()
        yield {"a": None}

    write_objects(objects(), output.Stream(written, None))
    assert json.loads(written.getvalue()) == [{"a": 1}, {"a": None}]
    empty = io.BytesIO()
    write_objects([], output.Stream(empty, None))
    assert json.loads(empty.getvalue()) == []


@pytest.mark.parametrize("format", FORMATS)
def test_what_fails_leaves_nothing_behind_and_what_was_there_alone(tmp_path: Path, format: str) -> None:
    place = tmp_path / "a.out"
    place.write_text("before")
    with contextlib.suppress(KeyboardInterrupt), open_output(str(place), format) as writer:
        writer.write(table())
        assert len(list(tmp_path.iterdir())) == 2
        assert place.read_text() == "before"
        raise KeyboardInterrupt
    gc.collect()  # forgotten writers must not complain
    assert [path.name for path in tmp_path.iterdir()] == ["a.out"]
    assert place.read_text() == "before"


def test_a_file_that_is_replaced_keeps_its_permissions(tmp_path: Path) -> None:
    place = tmp_path / "a.csv"
    place.touch()
    place.chmod(0o600)
    written(place, "csv", table())
    assert stat.S_IMODE(place.stat().st_mode) == 0o600


def test_a_link_is_kept_and_leads_to_the_new_file(tmp_path: Path) -> None:
    (tmp_path / "real").mkdir()
    target, link = tmp_path / "real" / "a.csv", tmp_path / "link.csv"
    target.write_text("before")
    link.symlink_to(target)
    written(link, "csv", table())
    assert link.is_symlink()
    assert target.read_text() != "before"


def test_a_device_is_written_to_and_not_replaced() -> None:
    device = Path("/dev/null")
    with open_output(str(device), "json") as writer:
        writer.write(table())
    assert device.is_char_device()


@pytest.mark.parametrize("format", FORMATS)
def test_a_full_disk_is_an_output_error(format: str) -> None:
    message = "cannot write /dev/full: No space left on device"
    with pytest.raises(OutputError, match=message), open_output("/dev/full", format) as writer:
        writer.write(table())
    gc.collect()


def test_a_missing_folder_is_an_output_error(tmp_path: Path) -> None:
    with pytest.raises(OutputError, match="No such file or directory"), open_stream(str(tmp_path / "no" / "a.csv")):
        pass
    with pytest.raises(OutputError, match="Is a directory"), open_stream(str(tmp_path)):
        pass


def test_times_in_text_are_rfc_3339_in_utc() -> None:
    moment = datetime.fromisoformat(expected(1)["time"][:26] + "+00:00")
    assert moment == datetime.fromtimestamp(TIME // 1000 / 1e6, UTC)
