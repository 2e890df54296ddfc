"""Counters of switch ports in a store.

Oracle: the counters that benchmarks/history.py makes, and rates computed of them in tests/history_truth.py; for files
that are wrong, readings written by hand.
"""

from pathlib import Path

import numpy as np
import pytest
from history import BEGIN, DAY, END, SECOND, counters, history, write_counters

from spanline.errors import UsageError
from spanline.store import Store
from spanline.store import counters as store_counters
from tests.commands import run
from tests.history_truth import answer

HEAD = "time,switch,port,in_bytes,out_bytes\n"


def written(folder: Path, text: str) -> str:
    path = folder / "ports.csv"
    path.write_text(text)
    return str(path)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    Store(tmp_path / "store", create=True)
    return tmp_path / "store"


def test_rates_are_those_of_the_collector(folder: Path, tmp_path: Path) -> None:
    write_counters(tmp_path / "ports.csv")
    assert store_counters.add(folder, store_counters.read_csv(str(tmp_path / "ports.csv")))
    begin, end = END + 1 - 2 * DAY, END + 1
    table, problems = store_counters.growth(folder, (begin, end))
    assert not problems
    rows = table.to_pydict()
    first, last = np.array(rows["first_seen"]), np.array(rows["last_seen"])
    share = (np.minimum(last, end) - np.maximum(first, begin)) / (last - first)
    rates: dict[tuple[str, str], float] = {}
    for switch, port, value in zip(rows["switch"], rows["name"], np.array(rows["total_traffic"]) * share, strict=True):
        rates[switch, port] = rates.get((switch, port), 0) + value * 8 * SECOND / (end - begin)
    expected = answer(2, history(2000), counters()).rows
    found = sorted(((rate, *port) for port, rate in rates.items()), reverse=True)[: len(expected)]
    assert [row[1:] for row in found] == [row[1:] for row in expected]
    assert [row[0] for row in found] == pytest.approx([row[0] for row in expected], rel=1e-12)


def test_all_is_there_and_a_restart_counts_from_nothing(folder: Path, tmp_path: Path) -> None:
    text = "2026-03-05T00:00:00Z,sw,e1,100,10\n2026-03-05T00:05:00+00:00,sw,e1,150,20\n2026-03-05 00:10:00,sw,e1,7,0\n"
    assert store_counters.add(folder, store_counters.read_csv(written(tmp_path, HEAD + text)))
    table, _ = store_counters.growth(folder)
    assert table["total_traffic"].to_pylist() == [60, 7]
    assert table["first_seen"].to_pylist() == [BEGIN, BEGIN + 300 * SECOND]
    assert table["packets"].to_pylist() == [0, 0]


def test_what_is_imported_twice_counts_once(folder: Path, tmp_path: Path) -> None:
    lines = [f"2026-03-05T0{n}:00:00Z,sw,e1,{n * 100},0\n" for n in range(4)]
    first = store_counters.read_csv(written(tmp_path, HEAD + "".join(lines[:3])))
    assert store_counters.add(folder, first)
    assert not store_counters.add(folder, first)
    assert store_counters.add(folder, store_counters.read_csv(written(tmp_path, HEAD + "".join(lines[1:]))))
    assert sum(store_counters.growth(folder)[0]["total_traffic"].to_pylist()) == 300


def test_a_damaged_file_is_named_and_left_out(folder: Path, tmp_path: Path) -> None:
    store_counters.add(folder, store_counters.read_csv(written(tmp_path, HEAD + "2026-03-05,sw,e1,1,1\n")))
    (path,) = (folder / "counters").iterdir()
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)
    table, problems = store_counters.growth(folder)
    assert table.num_rows == 0
    assert [problem.path for problem in problems] == [str(path)]


def test_a_store_without_counters_has_none(folder: Path) -> None:
    table, problems = store_counters.growth(folder)
    assert (table.num_rows, problems) == (0, [])


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


def test_the_command_adds_what_is_not_there(folder: Path, tmp_path: Path) -> None:
    path = written(tmp_path, HEAD + "2026-03-05,sw,e1,1,1\n2026-03-06,sw,e1,2,1\n")
    assert run("store", "import", folder, path).stdout == f"{path}: 2 readings added\n"
    assert run("store", "import", folder, path).stdout == f"{path}: already there: nothing added\n"
    assert store_counters.growth(folder)[0].num_rows == 1
    assert "no column time" in run("store", "import", folder, written(tmp_path, "x\n"), code=2).stderr


def test_readings_of_many_row_groups_grow_as_those_of_one(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Windows of all kinds, of ports that are read often, seldom, and no more. Oracle: all readings at once."""
    whole = tmp_path / "whole"
    hours = [(port, hour) for hour in range(48) for port, every in (("e1", 1), ("e2", 30)) if hour % every == 0]
    hours = sorted([*hours, ("gone", 0), ("gone", 5)], key=lambda one: one[1])
    lines = [f"2026-03-{5 + hour // 24:02}T{hour % 24:02}:00:00Z,sw,{port},{hour * 10},{n}\n" for n, (port, hour) in
             enumerate(hours)]  # fmt: skip
    readings = store_counters.read_csv(written(tmp_path, HEAD + "".join(lines)))
    store_counters.add(whole, readings)
    monkeypatch.setattr(store_counters, "_ROW_GROUP", 5)
    store_counters.add(folder, readings)
    begin = BEGIN
    for first in (None, *range(0, 50, 7)):
        for last in (None, *range(0, 60, 7)):
            window = tuple(None if one is None else begin + one * 3600 * SECOND for one in (first, last))
            rows, expected = (
                sorted(map(str, store_counters.growth(one, window)[0].to_pylist())) for one in (folder, whole)
            )
            assert rows == expected, (first, last)
