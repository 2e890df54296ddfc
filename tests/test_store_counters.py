"""Counters of switch ports in a store. tests/test_seed_queries.py asks for their rates.

Oracle: the counters that benchmarks/history.py makes, and readings written by hand.
"""

from pathlib import Path

import pyarrow as pa
import pytest
from history import BEGIN, counters, write_counters

from spanline.errors import CaptureError, UsageError
from spanline.store import Store
from spanline.store import counters as store_counters

HEAD = "time,switch,port,in_bytes,out_bytes\n"


def written(folder: Path, text: str) -> str:
    path = folder / "ports.csv"
    path.write_text(text)
    return str(path)


def plain_times(schema: pa.Schema) -> pa.Schema:
    return schema.set(0, pa.field("time", pa.int64()))


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    Store(tmp_path / "store", create=True)
    return tmp_path / "store"


def test_a_store_gives_back_what_was_imported(folder: Path, tmp_path: Path) -> None:
    write_counters(tmp_path / "ports.csv")
    assert store_counters.add(folder, store_counters.read_csv(str(tmp_path / "ports.csv")))
    found = store_counters.read(folder)
    for name, values in counters().items():
        kind = pa.int64() if name == "time" else found[name].type
        assert found[name].cast(kind).to_pylist() == values.tolist(), name


def test_columns_stand_in_any_order_and_some_are_missing(folder: Path, tmp_path: Path) -> None:
    text = "Out_Bytes, port ,note,switch,in_bytes,time\r\n7,e1,ours,sw,9,2026-03-05T01:00:00+01:00\r\n"
    assert store_counters.add(folder, store_counters.read_csv(written(tmp_path, text)))
    (row,) = store_counters.read(folder).cast(plain_times(store_counters.read(folder).schema)).to_pylist()
    rest = dict.fromkeys(("index", "in_packets", "out_packets", "errors", "drops"), 0)
    assert row == {"time": BEGIN, "switch": "sw", "port": "e1", "in_bytes": 9, "out_bytes": 7, **rest}


def test_the_same_file_imported_twice_is_one(folder: Path, tmp_path: Path) -> None:
    readings = store_counters.read_csv(written(tmp_path, HEAD + "2026-03-05,sw,e1,1,1\n"))
    assert store_counters.add(folder, readings)
    assert not store_counters.add(folder, readings)
    assert store_counters.read(folder).num_rows == 1


def test_a_damaged_file_is_named(folder: Path, tmp_path: Path) -> None:
    store_counters.add(folder, store_counters.read_csv(written(tmp_path, HEAD + "2026-03-05,sw,e1,1,1\n")))
    (path,) = (folder / "counters").iterdir()
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)
    with pytest.raises(CaptureError, match="damaged") as told:
        store_counters.read(folder)
    assert str(path) in str(told.value)


def test_a_store_without_counters_has_none(folder: Path) -> None:
    assert store_counters.read(folder).num_rows == 0


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "line 1: no column time"),
        ("time,switch,port,in_bytes\n", "line 1: no column out_bytes"),
        (HEAD + "yesterday,sw,e1,1,1\n", "line 2, column time: 'yesterday' is no time"),
        (HEAD + "2026-03-05,sw,e1,1,1\n2026-03-06,sw,e1,-1,1\n", "line 3, column in_bytes: '-1' is no whole number"),
        (HEAD + "2026-03-05,sw,e1,1,9223372036854775808\n", "column out_bytes: '9223372036854775808' is no whole"),
        (HEAD + "2026-03-05,sw,e1,1\n", "line 2: 4 columns"),
        (HEAD + '2026-03-05,"sw,e1,1,1\n', "no CSV"),
        (HEAD + "2026-03-05,sw,\x1b[31m,\x1b[31m,1\n", "is no whole number"),
    ],
)
def test_a_wrong_file_is_told(text: str, said: str, tmp_path: Path) -> None:
    with pytest.raises(UsageError) as told:
        store_counters.read_csv(written(tmp_path, text))
    assert said in str(told.value)
    assert "\x1b" not in str(told.value)
    assert told.value.hint
