"""`spanline query --chart`: what is drawn of an answer, and that a picture stands alone.

Oracle: the numbers of made-up answers, added up by hand.
"""

from __future__ import annotations

import re
from datetime import UTC
from pathlib import Path
from typing import Any
from xml.etree import ElementTree
from zoneinfo import ZoneInfo

import pyarrow as pa
import pytest

from spanline.charts import write_picture
from spanline.errors import UsageError
from spanline.query_charts import answer_chart
from tests.commands import run

HOUR = 3600 * 10**9
GROUP = pa.field("Source VM", pa.string(), metadata={"kind": "text", "unit": ""})
COUNT = pa.field("Count", pa.int64(), metadata={"kind": "count", "unit": ""})


def series(function: str, begin: int = 0) -> pa.Field:
    metadata = {"kind": "bits per second", "unit": "bit/s", "begin": str(begin), "step": str(HOUR)}
    return pa.field(f"series({function}(Bytes Rate))", pa.list_(pa.float64()), metadata=metadata)


def answered(fields: list[pa.Field], *columns: list[Any]) -> pa.Table:
    arrays = [pa.array(column, field.type) for column, field in zip(columns, fields, strict=True)]
    return pa.Table.from_arrays(arrays, schema=pa.schema(fields))


def rows_of(table: pa.Table, zone: Any = UTC) -> list[dict[str, Any]]:
    made = answer_chart(table, {"Source VM"}, zone, "title").to_dict()
    rows: list[dict[str, Any]] = made["data"]["values"]
    return rows


@pytest.mark.parametrize(("function", "others"), [("sum", [{"t": 0, "v": 19.0, "g": "others"}]), ("max", [])])
def test_groups_beyond_nine_are_added_up_where_they_can_be(function: str, others: list[dict[str, Any]]) -> None:
    """Lines at 0 to 10: the last two, 9 and 10, are 19 together, and have no maximum."""
    table = answered([GROUP, series(function)], [f"vm-{n}" for n in range(11)], [[float(n)] for n in range(11)])
    assert rows_of(table) == [{"t": 0, "v": float(n), "g": f"vm-{n}"} for n in range(9)] + others


def test_times_are_those_of_the_zone() -> None:
    """In Zurich 2026-03-29 begins at 23:00 UTC, and its clocks skip 02:00, which is 01:00 UTC."""
    begin = 1774738800 * 10**9
    table = answered([GROUP, series("sum", begin)], ["a"], [[1.0, 1.0, 1.0, 1.0]])
    times = [row["t"] // 3_600_000 % 24 for row in rows_of(table, ZoneInfo("Europe/Zurich"))]
    assert times == [0, 1, 3, 4]
    made = answer_chart(table, {"Source VM"}, ZoneInfo("Europe/Zurich"), "title").to_dict()
    assert made["encoding"]["x"]["title"] == "CET"


def test_groups_are_bars() -> None:
    table = answered([GROUP, COUNT], ["a", None], [3, 5])
    assert rows_of(table) == [{"g": "a", "v": 3}, {"g": "(not set)", "v": 5}]


def test_what_has_no_groups_is_not_drawn() -> None:
    with pytest.raises(UsageError, match="needs groups or a series"):
        answer_chart(answered([COUNT], [3]), (), UTC, "title")
    with pytest.raises(UsageError, match="nothing was found"):
        answer_chart(answered([GROUP, COUNT], [], []), {"Source VM"}, UTC, "title")


def test_names_of_strangers_stay_names(tmp_path: Path) -> None:
    name = "</script><script>alert(1)</script>"
    chart = answer_chart(answered([GROUP, COUNT], [name], [3]), {"Source VM"}, UTC, name)
    for suffix in ("html", "svg"):
        write_picture(chart, str(tmp_path / f"out.{suffix}"))
    page = (tmp_path / "out.html").read_text()
    assert "<script>alert" not in page
    assert "\\u003cscript>alert" in page
    assert not re.search(r"<script[^>]*src=|<link", page)
    tree = ElementTree.fromstring((tmp_path / "out.svg").read_text())
    assert not [one for one in tree.iter() if one.tag.endswith("script")]
    assert name in [one.text for one in tree.iter() if one.tag.endswith("text")]


@pytest.mark.parametrize(
    ("text", "suffix", "begin"),
    [
        ("flows group by port", "svg", b"<svg"),
        ("series(sum(packets)), series(sum(bytes rate)) of flows group by port", "png", b"\x89PNG"),
        ("series(sum(packets)) of flows", "html", b"<!DOCTYPE html>"),
    ],
)
def test_the_command_draws(capture: Path, tmp_path: Path, text: str, suffix: str, begin: bytes) -> None:
    picture = tmp_path / f"out.{suffix}"
    assert run("query", text, "--on", capture, "-q", "--chart", picture).stdout
    assert picture.read_bytes().lstrip()[: len(begin)].lower() == begin.lower()


@pytest.mark.parametrize(
    ("options", "told"),
    [
        (["--chart", "out.pdf"], "use .html or .svg or .png"),
        (["--chart", "a.svg", "--explain", "tree"], "--explain has no"),
    ],
)
def test_what_cannot_be_drawn_is_one_line(options: list[str], told: str) -> None:
    result = run("query", "flows group by port", *options, code=2)
    assert told in result.stderr
    assert len(result.stderr.splitlines()) == 1
