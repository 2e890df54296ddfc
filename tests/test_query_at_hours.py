"""--at-hours: only what is in some hours of each day counts.

Oracle: the clocks of Python's zoneinfo, asked of every minute; for answers tests/history_truth.py, which does the same
for every record of a generated history.
"""

from __future__ import annotations

import dataclasses
import json
from datetime import UTC, datetime, time, timedelta
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import history
import pyarrow as pa
import pytest

import spanline
from spanline.enrich import Enrichment
from spanline.enrich.inventory_files import read_inventory
from spanline.query.hours import hours_of, hours_text, inside
from spanline.query.reading import parse
from spanline.query.times import DAY, HOUR, SECOND, Unfit
from spanline.query.tree import Window
from spanline.store import Store
from tests.commands import run
from tests.craft import ethernet, ipv4, udp
from tests.craft_files import Record, pcap
from tests.history_truth import answer
from tests.made_once import FLOWS, two_weeks
from tests.test_seed_queries import QUERIES, assert_same

MINUTE = 60 * SECOND
NIGHT, WORK = (time(21), time(6, 30)), (time(8, 30), time(17))
# Its clocks were set forward on 8 March 2026, within the history.
NEW_YORK = "America/New_York"


def text_of(hours: tuple[time, time]) -> str:
    return f"{hours[0]:%H:%M}-{hours[1]:%H:%M}"


def moment(text: str, zone: str = "UTC") -> int:
    return int(datetime.fromisoformat(text).replace(tzinfo=ZoneInfo(zone)).timestamp()) * SECOND


def minutes_inside(hours: tuple[time, time], zone: str, begin: int, end: int) -> int:
    """Of the minutes from `begin` to before `end`, those in which the clocks show one of these hours."""
    count, (first, last) = 0, hours
    for minute in range(begin // MINUTE, end // MINUTE):
        clock = datetime.fromtimestamp(minute * 60, ZoneInfo(zone)).time()
        count += first <= clock < last if first < last else first <= clock or clock < last
    return count


@pytest.mark.parametrize("hours", [NIGHT, WORK, (time(2, 15), time(2, 45)), (time(3), time(1)), (time(0), time(2, 30))])
@pytest.mark.parametrize(
    ("zone", "begin", "end"),
    [
        ("UTC", "2026-03-05 13:07", "2026-03-09 02:11"),
        ("Europe/Zurich", "2026-03-28 12:00", "2026-03-30 12:00"),  # an hour is left out
        ("Europe/Zurich", "2026-10-24 12:00", "2026-10-26 12:00"),  # an hour is there twice
        ("Europe/Zurich", "2026-10-25 00:40", "2026-10-25 01:20"),  # the begin of the second of them
        ("Australia/Lord_Howe", "2026-04-04 00:00", "2026-04-06 00:00"),  # half an hour
        ("Asia/Kathmandu", "1985-12-30 00:00", "1986-01-02 00:00"),  # a quarter, for ever
        ("Europe/Zurich", "1969-12-30 00:00", "1970-01-02 12:00"),
        ("America/New_York", "2025-10-25 00:00", "2026-03-15 00:00"),  # back and forward
    ],
)
def test_hours_are_those_that_clocks_show(hours: tuple[time, time], zone: str, begin: str, end: str) -> None:
    first, last = moment(begin), moment(end)
    counted = inside(hours_of(text_of(hours), ZoneInfo(zone)), first, last)
    assert counted.elapsed(first) == 0
    middle = first + (last - first) // 3 // MINUTE * MINUTE
    for until in (middle, last):
        assert counted.elapsed(until) == minutes_inside(hours, zone, first, until) * MINUTE


@pytest.mark.parametrize(
    ("text", "begin", "length", "shown"),
    [
        ("21:00-06:30", 21 * HOUR, 9 * HOUR + 30 * MINUTE, "21:00-06:30"),
        (" 8:30 – 17:00 ", 8 * HOUR + 30 * MINUTE, 8 * HOUR + 30 * MINUTE, "08:30-17:00"),
        ("00:00-24:00", 0, DAY, "00:00-24:00"),
        ("18:00-24:00", 18 * HOUR, 6 * HOUR, "18:00-24:00"),
        ("18:00-0:00", 18 * HOUR, 6 * HOUR, "18:00-24:00"),
    ],
)
def test_hours_are_read(text: str, begin: int, length: int, shown: str) -> None:
    hours = hours_of(text, UTC)
    assert (hours.begin, hours.length) == (begin, length)
    assert hours_text(hours) == shown


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("night", "'night' are no hours of a day"),
        ("21-06", "write them like 21:00-06:30"),
        ("25:00-06:30", "from 00:00 to 24:00"),
        ("24:00-06:30", "from 00:00 to 24:00"),
        ("21:00-24:01", "from 00:00 to 24:00"),
        ("21:60-06:30", "from 00:00 to 24:00"),
        ("21:00-21:00", "'21:00-21:00' end when they begin"),
    ],
)
def test_wrong_hours_are_told(text: str, told: str, capture: Path) -> None:
    with pytest.raises(Unfit):
        hours_of(text, UTC)
    result = run("query", "flows", "--on", capture, "--at-hours", text, code=2)
    assert len(result.stderr.splitlines()) == 1
    assert "--at-hours: " in result.stderr
    assert told in result.stderr


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> tuple[history.History, Store, Enrichment]:
    store = two_weeks(tmp_path_factory)
    inventory = read_inventory([str(store.with_suffix(".yaml"))])
    return history.history(FLOWS), Store(store), Enrichment(inventory)


@pytest.mark.parametrize("number", [2, 3, 4, 8, 12, 17, 18])
@pytest.mark.parametrize(
    ("days", "hours", "zone"),
    [
        (14, NIGHT, NEW_YORK),
        (14, WORK, NEW_YORK),
        (2, NIGHT, "Asia/Kolkata"),
        (14, (time(2, 15), time(2, 45)), NEW_YORK),
    ],
    ids=["nights", "work", "nights of two days", "the hour that is left out"],
)
def test_a_query_answers_what_is_true_of_some_hours(
    number: int,
    days: int,
    hours: tuple[time, time],
    zone: str,
    made: tuple[history.History, Store, Enrichment],
) -> None:
    truth, store, enrichment = made
    window = Window(last=days * DAY, hours=hours_of(text_of(hours), ZoneInfo(zone)))
    query = dataclasses.replace(parse(QUERIES[number - 1]), window=window)
    table = spanline.query(query, store, enrichment=enrichment)
    assert_same(table, answer(number, truth, history.counters(1), days, (*hours, zone)))


def test_all_hours_are_all(made: tuple[history.History, Store, Enrichment]) -> None:
    _, store, enrichment = made
    text = "series(sum(bytes rate)), series(avg(rtt)), max(duration), sessions of flows group by Source Country"
    query = parse(text)
    window = dataclasses.replace(query.window, hours=hours_of("00:00-24:00", ZoneInfo(NEW_YORK)))
    both = [
        spanline.query(one, store, enrichment=enrichment) for one in (query, dataclasses.replace(query, window=window))
    ]
    assert both[0].num_rows > 10
    assert both[0]["Source Country"].equals(both[1]["Source Country"])
    for name in both[0].column_names[1:]:
        one, other = (flat(table[name]) for table in both)
        assert one == pytest.approx(other, rel=1e-9, nan_ok=True)


def flat(values: pa.ChunkedArray) -> list[Any]:
    rows = values.to_pylist()
    return [float("nan") if one is None else one for row in rows for one in (row if isinstance(row, list) else [row])]


def test_on_the_command_line(tmp_path: Path) -> None:
    """Datagrams of 50 bytes at 20:59:59, 21:00:00, 06:29:59 and 06:30:00 in Zurich, in the night in which clocks are
    set back, and one flow of two datagrams from 20:59:40 to 21:00:20: half of its 100 bytes, and no session."""
    begin = datetime(2026, 10, 24, 20, 59, 59, tzinfo=ZoneInfo("Europe/Zurich"))
    end = datetime(2026, 10, 25, 6, 29, 59, tzinfo=ZoneInfo("Europe/Zurich"))
    times = [begin, begin + timedelta(seconds=1), end, end + timedelta(seconds=1)]
    frames = [(int(one.timestamp()), 1000 + n) for n, one in enumerate(times)]
    frames += [(int(begin.timestamp()) + n, 2000) for n in (-19, 21)]
    records = [Record(at * SECOND, ethernet() / ipv4() / udp(port, 53) / b"question") for at, port in sorted(frames)]
    (tmp_path / "night.pcap").write_bytes(pcap(records, nanoseconds=True))
    shown = run(
        *(
            "query",
            "sum(bytes), sum(sessions), sum(bytes rate) of flows",
            "--on",
            tmp_path / "night.pcap",
            "--format",
            "json",
        ),
        *("--from", "2026-10-24", "--to", "2026-10-25", "--timezone", "Europe/Zurich", "--at-hours", "21:00-06:30"),
    )
    (row,) = json.loads(shown.stdout)
    # From midnight to 06:30, 7.5 h as two o'clock comes twice; and three hours of each evening.
    seconds = 3600 * (6.5 + 3 + 7.5 + 3)
    assert row == {
        "sum(Total Traffic)": pytest.approx(150.0),
        "sum(Session Count)": 2.0,
        "sum(Bytes Rate)": pytest.approx(150 * 8 / seconds),
    }
    assert "of each day 21:00-06:30" in shown.stderr
    tree = run("query", "flows", "--on", tmp_path / "night.pcap", "--at-hours", "21:00-06:30", "--explain", "tree")
    assert "of each day 21:00-06:30" in tree.stdout
