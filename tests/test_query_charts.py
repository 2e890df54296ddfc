"""`spanline query --chart`: what is drawn of an answer, and that a picture stands alone.

Oracle: the numbers of made-up answers, added up by hand; of the zone of times, zoneinfo; of the command, the same
answer as JSON.
"""

from __future__ import annotations

import json
import re
from datetime import UTC, datetime, tzinfo
from html.parser import HTMLParser
from importlib.resources import files
from pathlib import Path
from typing import Any
from xml.etree import ElementTree
from zoneinfo import ZoneInfo

import pyarrow as pa
import pytest

from spanline.charts import svg_of, write_picture
from spanline.cli.text import size
from spanline.enrich.names import NAMES
from spanline.errors import UsageError
from spanline.query_charts import answer_chart
from spanline.query_charts.bundling import area_of, polygons_of, ring_of, world
from tests.commands import run
from tests.made_once import two_weeks

SECOND = 10**9
HOUR = 3600 * SECOND
ZURICH = ZoneInfo("Europe/Zurich")
GROUP = pa.field("Source VM", pa.string(), metadata={"kind": "text", "unit": ""})
COUNTRY = pa.field("Source Country", pa.string(), metadata={"kind": "text", "unit": ""})
COUNT = pa.field("Count", pa.int64(), metadata={"kind": "count", "unit": ""})
BYTES = pa.field("sum(Total Traffic)", pa.float64(), metadata={"kind": "bytes", "unit": "byte"})
GREATEST = pa.field("max(Total Traffic)", pa.float64(), metadata={"kind": "bytes", "unit": "byte"})


def series(function: str, begin: int = 0, step: int = HOUR) -> pa.Field:
    metadata = {"kind": "bits per second", "unit": "bit/s", "begin": str(begin), "step": str(step)}
    return pa.field(f"series({function}(Bytes Rate))", pa.list_(pa.float64()), metadata=metadata)


def answered(fields: list[pa.Field], *columns: list[Any]) -> pa.Table:
    arrays = [pa.array(column, field.type) for column, field in zip(columns, fields, strict=True)]
    begin, end = 0, 24 * HOUR
    for field, column in zip(fields, columns, strict=True):
        if b"step" in field.metadata and column:
            begin = int(field.metadata[b"begin"])
            end = begin + len(column[0]) * int(field.metadata[b"step"])
    about = {"window_begin": str(begin), "window_end": str(end), "measured_from": "", "is_default": "0", "hours": ""}
    return pa.Table.from_arrays(arrays, schema=pa.schema(fields, metadata=about))


def spec_of(table: pa.Table, group: str = "Source VM", zone: tzinfo = UTC, *, has_tooltips: bool = False) -> Any:
    return answer_chart(table, {group} if group else (), zone, "title", has_tooltips=has_tooltips).to_dict()


def rows_in(spec: Any) -> list[dict[str, Any]]:
    """The rows of all data in a specification, one after the other."""
    if isinstance(spec, list):
        return [row for one in spec for row in rows_in(one)]
    if not isinstance(spec, dict):
        return []
    values = spec.get("values") if set(spec) == {"values"} else None
    return (
        values
        if isinstance(values, list) and all(isinstance(one, dict) for one in values)
        else rows_in([*spec.values()])
    )


def lines_in(spec: Any) -> dict[str, list[Any]]:
    """The values of each line, without what ends it."""
    made: dict[str, list[Any]] = {}
    for row in rows_in(spec):
        if "v" in row:
            made.setdefault(row["g"], []).append(row["v"])
    return {name: line[:-1] for name, line in made.items()}


def texts_of(table: pa.Table, group: str = "Source VM", zone: tzinfo = UTC, title: str = "title") -> list[str]:
    """What is written in the picture."""
    tree = ElementTree.fromstring(svg_of(answer_chart(table, {group} if group else (), zone, title)))
    return [one.text for one in tree.iter() if one.tag.endswith(("text", "tspan")) and one.text]


@pytest.mark.parametrize(
    ("function", "groups", "names", "others"),
    [
        ("sum", 11, [f"vm-{n}" for n in range(11)], None),
        ("sum", 12, [*(f"vm-{n}" for n in range(10)), "2 others"], [21.0, 1.0]),
        ("max", 12, [f"vm-{n}" for n in range(10)], None),
    ],
)
def test_groups_beyond_ten_are_added_up(function: str, groups: int, names: list[str], others: list[float]) -> None:
    """Lines at 0, 1, 2 …: the last two of twelve, 10 and 11, are 21 together, and have no maximum. One is no others."""
    values = [[float(n), float(n == 11)] for n in range(groups)]
    table = answered([GROUP, series(function)], [f"vm-{n}" for n in range(groups)], values)
    spec = spec_of(table, has_tooltips=True)
    found = lines_in(spec)
    assert list(found) == names
    assert found.get("2 others") == others
    assert ("2 groups more are not drawn." in str(spec)) == (function == "max")


def test_what_is_in_no_group_comes_last_and_is_no_other() -> None:
    names = [None, *(f"vm-{n}" for n in range(30))]
    spec = spec_of(answered([GROUP, COUNT], names, [5000, *range(31, 1, -1)]))
    rows = rows_in(spec)
    assert [row["g"] for row in rows[-2:]] == ["10 others", "(not set)"]
    assert [row["k"] for row in rows] == ["group"] * 20 + ["others", "not set"]
    assert [row["n"] for row in rows[-2:]] == [f"» {sum(range(2, 12))}", "» 5,000"]
    assert max(row["v"] for row in rows) == 31


def test_what_is_called_alike_is_not_added_up() -> None:
    """A machine can have any name; and a, b of two groups can be (a, b) or (a), (b)."""
    names = ["(not set)", "(not set) (2)", "x", "x", None]
    rows = rows_in(spec_of(answered([GROUP, COUNT], names, [5, 4, 3, 2, 1])))
    assert len({row["g"] for row in rows}) == 5
    assert [row["v"] for row in rows] == [5, 4, 3, 2, 1]


@pytest.mark.parametrize(
    ("values", "is_shared"),
    [([100.0, 50.0], True), ([100.0, 1.0], False), ([100.0] * 3, True), ([100.0] * 4, False), ([0.0, 0.0], True)],
)
def test_lines_share_an_axis_where_none_hides_another(values: list[float], is_shared: bool) -> None:
    table = answered([GROUP, series("sum")], [f"vm-{n}" for n in range(len(values))], [[one] for one in values])
    spec = spec_of(table)
    assert ("vconcat" in spec, "hconcat" in spec) == (is_shared, not is_shared)
    assert ("Each line has its own scale." in str(spec)) == (not is_shared)


@pytest.mark.parametrize(
    ("begin", "hours", "steps"),
    [("2026-03-29T00:00", 23, HOUR), ("2026-10-25T00:00", 25, HOUR), ("2026-03-22T00:00", 14 * 24 - 1, 6 * HOUR)],
)
def test_times_are_those_of_the_zone(begin: str, hours: int, steps: int) -> None:
    """Days on which clocks are changed, and two weeks about one."""
    start = datetime.fromisoformat(begin).replace(tzinfo=ZURICH)
    count = hours * HOUR // steps
    table = answered([series("sum", int(start.timestamp()) * SECOND, steps)], [[1.0] * count])
    (panel,) = spec_of(table, "", ZURICH)["vconcat"]
    axis = panel["layer"][0]["encoding"]["x"]
    ticks = [datetime.fromtimestamp(value / 1000, ZURICH) for value in axis["axis"]["values"]]
    assert len(ticks) >= 5
    assert {(one.minute, one.second, one.hour % 3) for one in ticks} == {(0, 0, 0)}
    written = texts_of(table, "", ZURICH)
    expected = [one.strftime("%a %d %b" if one.hour == 0 else "%H:%M") for one in ticks]
    assert [one for one in written if one in expected] == expected
    assert axis["title"].startswith("Europe/Zurich (CET, CEST), " if "03" in begin else "Europe/Zurich (CEST, CET), ")


def test_a_step_is_drawn_as_long_as_it_is() -> None:
    """Also alone, and where nothing is known behind it."""
    table = answered([GROUP, series("avg")], ["a"], [[7.0, None, 9.0]])
    rows = [(row["t"] / 3_600_000, row["v"]) for row in rows_in(spec_of(table))]
    assert [one for one in rows if one[1] is not None] == [
        (0, 7.0),
        (pytest.approx(1, abs=1e-6), 7.0),
        (2, 9.0),
        (3, 9.0),
    ]


def test_what_goes_on_is_not_repeated() -> None:
    """Where nothing can be pointed at."""
    table = answered([GROUP, series("sum")], ["a"], [[0.0, 0.0, 5.0, 5.0, 5.0, 0.0]])
    rows = [(row["t"] / 3_600_000, row["v"]) for row in rows_in(spec_of(table))]
    assert rows == [(0, 0.0), (2, 5.0), (5, 0.0), (6, 0.0)]


def test_nothing_outside_of_the_window_is_drawn() -> None:
    """The first step of an answer may begin before it, and the last one end behind it."""
    table = answered([GROUP, series("sum")], ["a"], [[1.0, 2.0, 3.0]])
    about = table.schema.metadata | {b"window_begin": str(HOUR // 2), b"window_end": str(HOUR * 5 // 2)}
    spec = spec_of(table.replace_schema_metadata(about))
    assert [row["t"] / 3_600_000 for row in rows_in(spec)] == [0.5, 1, 2, 2.5]
    assert spec["vconcat"][0]["layer"][0]["encoding"]["x"]["scale"]["domain"] == [1_800_000, 9_000_000]


def test_of_more_steps_than_pixels_the_highest_are_drawn() -> None:
    values = [float(n % 7) for n in range(2500)]
    table = answered([GROUP, series("sum", 0, SECOND)], ["a"], [values])
    spec = spec_of(table, has_tooltips=True)
    (line,) = lines_in(spec).values()
    assert line == [max(values[n : n + 3]) for n in range(0, 2500, 3)]
    assert "Of 3 steps the highest one is drawn." in str(spec)


def test_steps_shorter_than_a_ms_are_drawn_together() -> None:
    table = answered([GROUP, series("sum", 0, 200_000)], ["a"], [[1.0, 2.0, 3.0, 9.0, 5.0, 6.0]])
    assert lines_in(spec_of(table, has_tooltips=True)) == {"a": [9.0, 6.0]}


@pytest.mark.parametrize(
    ("fields", "columns", "written"),
    [
        ([GROUP, COUNT], [["a", "b"], [1234, 3]], ["1,234", "3"]),
        ([GROUP, BYTES], [["a", "b"], [84.2e9, 1.48e6]], ["84.2 GB", "1.48 MB"]),
        ([GROUP, BYTES], [["a", "b"], [0.0, 0.0]], ["0 B"]),
        ([GROUP, series("sum")], [["a"], [[0.0, 5e6]]], ["0", "1 Mb/s", "5 Mb/s", "Bytes Rate"]),
        ([GROUP, series("sum")], [["a", "b"], [[9e9, 0.0], [0.0, 30.0]]], ["5 Gb/s", "20 b/s", "a", "b"]),
        ([GROUP, series("sum")], [["a"], [[0.0, 0.0]]], ["0", "1 b/s"]),
        ([GROUP, series("sum")], [[], []], ["nothing found"]),
        ([GROUP, COUNT], [[], []], ["nothing found"]),
    ],
)
def test_numbers_have_their_units(fields: list[pa.Field], columns: list[Any], written: list[str]) -> None:
    texts = texts_of(answered(fields, *columns))
    assert not [one for one in written if one not in texts], texts


def test_what_is_listed_is_drawn_by_its_name() -> None:
    """`top 20 switch ports by Network Rate` groups by nothing."""
    rate = pa.field("Network Rate", pa.float64(), metadata={"kind": "bits per second", "unit": "bit/s"})
    fields = [
        rate,
        *(pa.field(name, pa.string(), metadata={"kind": "text", "unit": ""}) for name in ("Switch", "Name")),
    ]
    texts = texts_of(answered(fields, [12.1e6, 7e6], ["sw-02", "sw-01"], ["Ethernet1/1", "Ethernet1/1"]), "")
    assert {"sw-02, Ethernet1/1", "sw-01, Ethernet1/1", "12.1 Mb/s", "7.00 Mb/s"} <= set(texts)


def test_flows_are_drawn_by_their_ends() -> None:
    """By VMs where they are known. Beyond twenty they are not added up: it may be a mean that is listed."""
    kinds = {
        "Source IP Address": ("address", pa.binary(16)),
        "Source VM": ("text", pa.string()),
        "Destination IP Address": ("address", pa.binary(16)),
        "Port": ("number", pa.uint16()),
        "Protocol": ("protocol", pa.uint8()),
        "Total Traffic": ("bytes", pa.float64()),
    }
    fields = [pa.field(name, type, metadata={"kind": kind, "unit": ""}) for name, (kind, type) in kinds.items()]
    one, other = (bytes(10) + b"\xff\xff\x0a\0\0" + bytes([n]) for n in (1, 2))
    columns = [[one] * 30, ["web-1", *[None] * 29], [other] * 30, [443, *range(29)], [6] * 30, [2e9] * 30]
    texts = texts_of(answered(fields, *columns), "")
    assert {"web-1 → 10.0.0.2, tcp 443", "10.0.0.1 → 10.0.0.2, tcp 5", "2.00 GB"} <= set(texts)
    assert "10 flows more are not drawn." in texts


def test_what_has_no_groups_is_not_drawn() -> None:
    for rows in ([3], []):
        with pytest.raises(UsageError, match="needs groups or a series"):
            answer_chart(answered([COUNT], rows), (), UTC, "title")


def test_countries_are_on_a_map() -> None:
    """Large ones are coloured, Singapore and Malta are dots; what is nowhere is told."""
    values = {"United States": 257, "China": 174, "Singapore": 9, "Malta": 1, "Atlantis": 4, None: 4895}
    table = answered([COUNTRY, COUNT], [*values], [*values.values()])
    spec = spec_of(table, "Source Country", has_tooltips=True)
    world = spec["vconcat"][0]
    dots = world["layer"][-1]
    shapes = world["data"]["values"]["objects"]["countries"]["geometries"]
    coloured = {one["id"]: one["properties"]["v"] for one in shapes if "properties" in one}
    assert coloured == {"US": 257, "CN": 174}
    assert {row["g"]: (row["v"], round(row["x"]), round(row["y"])) for row in dots["data"]["values"]} == {
        "Singapore": (9, 104, 1),
        "Malta": (1, 14, 36),
    }
    assert "Not on the map: Atlantis\u00a04, (not\u00a0set)\u00a04,895." in spec["title"]["subtitle"]
    assert [row["g"] for row in spec["vconcat"][1]["data"]["values"]] == [*list(values)[:-1], "(not set)"]


def test_without_a_country_there_is_no_map() -> None:
    assert "projection" not in str(spec_of(answered([COUNTRY, COUNT], [None], [3]), "Source Country"))


@pytest.mark.parametrize(
    ("code", "thousands"),
    [("BR", 8516), ("US", 9526), ("AU", 7688), ("DE", 358), ("KE", 580), ("JP", 378), ("CH", 41), ("GB", 244)],
)
def test_countries_are_as_large_as_they_are(code: str, thousands: int) -> None:
    """Oracle: areas in 1,000 km² of the United Nations' Demographic Yearbook; the map is coarse, and has no lakes."""
    drawn = json.loads(files("spanline.query_charts").joinpath("data/world.json").read_text())
    (shape,) = [one for one in drawn["objects"]["countries"]["geometries"] if one.get("id") == code]
    area = sum(area_of(ring_of(drawn, polygon[0])) for polygon in polygons_of(shape))
    assert area / 1000 == pytest.approx(thousands, rel=0.12)


@pytest.mark.parametrize(
    ("code", "longitude", "latitude"),
    [
        ("SG", 103.85, 1.29),
        ("MT", 14.5, 35.9),
        ("LU", 6.13, 49.61),
        ("HK", 114.2, 22.3),
        ("BH", 50.6, 26.2),
        ("RE", 55.5, -21),
    ],
)
def test_small_ones_are_where_they_are(code: str, longitude: float, latitude: float) -> None:
    """Oracle: where their capitals are."""
    drawn = json.loads(files("spanline.query_charts").joinpath("data/world.json").read_text())
    assert drawn["dots"][code] == pytest.approx([longitude, latitude], abs=0.5)
    assert {one.get("id", "GB") for one in drawn["objects"]["countries"]["geometries"]} | set(drawn["dots"]) <= set(
        NAMES
    )


def test_a_map_is_made_of_two() -> None:
    """Two squares of 10 degrees that have a border in common, of which one is no country; and one of 0.1 degrees."""
    arcs = [
        [[10, 0], [0, 5], [0, 5]],
        [[10, 10], [-10, 0], [0, -10], [10, 0]],
        [[10, 0], [10, 0], [0, 10], [-10, 0]],
    ]
    squares = [("276", "Germany", [[0, 1]]), (None, "Nowhere", [[~0, 2]]), ("010", "Antarctica", [[0, 1]])]
    coarse = topology(1.0, arcs, squares)
    fine = topology(0.1, [[[20, 20], [1, 0], [0, 1], [-1, 0], [0, -1]]], [("702", "Singapore", [[0]])])
    made = world(coarse, fine, [["DE", "DEU", "276"], ["SG", "SGP", "702"], ["AQ", "ATA", "010"]])
    germany, nowhere = made["objects"]["countries"]["geometries"]
    assert (germany["id"], "id" in nowhere, made["dots"]["SG"]) == ("DE", False, (2.05, 2.05))
    # In a square on the equator, a degree is 111.19 km, and less at its upper end.
    assert area_of(ring_of(made, germany["arcs"][0])) == pytest.approx(111.19**2 * 100, rel=0.01)
    assert area_of(ring_of(made, nowhere["arcs"][0])) == area_of(ring_of(made, germany["arcs"][0]))


def topology(scale: float, arcs: list[Any], countries: list[tuple[str | None, str, list[list[int]]]]) -> dict[str, Any]:
    shapes = [
        {"type": "Polygon", "arcs": rings, "properties": {"name": name}, **({"id": number} if number else {})}
        for number, name, rings in countries
    ]
    return {
        "transform": {"scale": [scale, scale], "translate": [0, 0]},
        "arcs": arcs,
        "objects": {"countries": {"geometries": shapes}},
    }


class Loaded(HTMLParser):
    """What a page loads."""

    def __init__(self) -> None:
        super().__init__()
        self.found: list[str] = []
        self.scripts = 0

    def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        self.scripts += tag == "script"
        self.found += [value or "" for name, value in attributes if name in ("src", "href", "data", "srcset")]
        self.found += [tag] * (tag in ("link", "iframe", "object", "embed", "base"))


STRANGE = [
    "</script><script>alert(1)</script>",
    "<img src=x onerror=alert(1)>",
    "{{constructor}}",
    "${alert(1)}",
    "datum.v",
    "a\\' + alert(1) + '",
    'quote " and & and \\u003c',
    "fe80:0123:4567:89ab:cdef:0123:4567:89ab%interface-with-a-long-name",
    "😀 machine",
    "מכונה",
]


@pytest.mark.parametrize("fields", [[GROUP, COUNT], [GROUP, series("sum")]])
def test_names_of_strangers_stay_names(tmp_path: Path, fields: list[pa.Field]) -> None:
    values: list[Any] = [100 + n for n in range(len(STRANGE))]
    table = answered(fields, STRANGE, values if fields[1] is COUNT else [[value] for value in values])
    for suffix in ("html", "svg"):
        chart = answer_chart(table, {"Source VM"}, UTC, STRANGE[0], has_tooltips=suffix == "html")
        write_picture(chart, str(tmp_path / f"out.{suffix}"))
    page = (tmp_path / "out.html").read_text()
    loaded = Loaded()
    loaded.feed(page)
    assert loaded.found == []
    assert "<script>alert" not in page
    assert "<img src=x" not in page
    assert "\\u003cscript>alert" in page
    tree = ElementTree.fromstring((tmp_path / "out.svg").read_text())
    assert not [one for one in tree.iter() if one.tag.endswith(("script", "image", "foreignObject"))]
    assert not [name for one in tree.iter() for name in one.attrib if name.startswith("on") or name.endswith("href")]
    written = {one.text for one in tree.iter() if one.tag.endswith("text")}
    assert {name for name in STRANGE if len(name) < 40} <= written


def test_what_does_not_print_is_escaped() -> None:
    table = answered([GROUP, COUNT], ["a\x1b[31m\u202eb"], [1])
    texts = texts_of(table, title="flows where source vm = 'a\x07\u202eb'")
    assert "a\\x1b[31m\\u202eb" in texts
    assert "flows where source vm = 'a\\x07\\u202eb'" in texts


def test_a_long_query_is_written_in_lines() -> None:
    query = " ".join(f"word{n}" for n in range(60))
    texts = texts_of(answered([GROUP, COUNT], ["a"], [1]), title=query)
    title = [one for one in texts if one.startswith("word")]
    assert len(title) == 3
    assert query.startswith(" ".join(title).removesuffix(" …"))


@pytest.fixture(scope="module")
def fortnight(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two weeks of flows, and beside them the inventory."""
    return two_weeks(tmp_path_factory)


def test_a_picture_has_the_numbers_of_the_table(fortnight: Path, tmp_path: Path) -> None:
    query = "sum(total traffic) of flows group by Source Country"
    result = run("query", query, "--store", fortnight, "-q", "--format", "json", "--chart", tmp_path / "out.svg")
    rows = json.loads(result.stdout)
    tree = ElementTree.parse(tmp_path / "out.svg")
    texts = [one.text or "" for one in tree.iter() if one.tag.endswith("text")]
    marks = [one for one in tree.iter() if one.attrib.get("class", "").startswith("mark-text role-mark")]
    beside = [one.text or "" for mark in marks for one in mark.iter() if one.tag.endswith("text")]
    numbers = [size(row["sum(Total Traffic)"]) for row in rows]
    names = [row["Source Country"] or "(not set)" for row in rows]
    assert len(rows) == len(set(names)) > 10
    assert [one for one in texts if one in names] == names
    assert [re.sub("^» ", "", one) for one in beside] == numbers
    shaded = [
        one
        for mark in tree.iter()
        if mark.attrib.get("class", "").startswith("mark-shape")
        for one in mark
        if one.attrib.get("fill") != "#e3e3e3"
    ]
    assert len(shaded) == len(names) - names.count("(not set)")


@pytest.mark.parametrize(
    ("text", "suffix", "begin"),
    [
        ("flows group by port", "svg", b"<svg"),
        ("series(sum(packets)), series(sum(bytes rate)) of flows group by port", "png", b"\x89PNG"),
        ("series(sum(packets)) of flows", "html", b"<!DOCTYPE html>"),
        ("flows where port = 1 group by port", "svg", b"<svg"),
    ],
)
def test_the_command_draws(capture: Path, tmp_path: Path, text: str, suffix: str, begin: bytes) -> None:
    picture = tmp_path / f"out.{suffix}"
    assert run("query", text, "--on", capture, "-q", "--chart", picture).stdout
    assert picture.read_bytes().lstrip()[: len(begin)].lower() == begin.lower()


def test_a_page_tells_what_is_under_the_pointer(capture: Path, tmp_path: Path) -> None:
    run("query", "series(sum(packets)) of flows group by port", "--on", capture, "-q", "--chart", tmp_path / "out.html")
    page = (tmp_path / "out.html").read_text()
    assert '"tooltip"' in page
    assert '"actions": false' in page.replace('"actions":false', '"actions": false')


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
