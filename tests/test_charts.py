"""Pictures of round-trip times: what is in them, that they stand alone, and how large they become.

Oracle: the numbers that were drawn, and the file formats' own signatures.
"""

from __future__ import annotations

import csv
import io
import json
import re
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from spanline.arrow import ADDRESS, table_of
from spanline.charts import round_trip_chart
from spanline.cli import plotting
from spanline.stages.round_trips import ROUND_TRIP_OVER_TIME, SPREAD
from tests.commands import run
from tests.craft_files import START, pcap
from tests.rows import mapped
from tests.test_round_trips import at, handshake


def capture_of(folder: Path, *handshakes: list[Any]) -> Path:
    path = folder / "capture.pcap"
    path.write_bytes(pcap([record for records in handshakes for record in records], nanoseconds=True))
    return path


def over_time(servers: int, intervals: int, values: list[int]) -> pa.Table:
    """Each server has, in each interval of a second, as many flows as there are `values`, and one of these."""
    rows = [(server, n) for server in range(servers) for n in range(intervals)]
    value = np.array([values[(server + n) % len(values)] for server, n in rows], np.int64)
    start = np.array([START + n * 10**9 for _, n in rows], np.int64)
    columns = {
        "server": pa.array([mapped(f"10.0.{server >> 8}.{server & 255}") for server, _ in rows], ADDRESS),
        "port": pa.array([443] * len(rows), pa.uint16()),
        "vni": pa.array([None if server % 2 else server for server, _ in rows], pa.uint32()),
        "start": pa.array(start),
        "end": pa.array(start + 10**9),
        "count": pa.array([len(values)] * len(rows), pa.uint64()),
        **{name: pa.array(value) for name in SPREAD},
    }
    return table_of(ROUND_TRIP_OVER_TIME, columns)


def drawn(table: pa.Table) -> tuple[dict[str, Any], list[dict[str, str]]]:
    """The chart's specification, and the rows that it draws."""
    made = round_trip_chart(table, "syn_synack").to_dict()
    (data,) = [made["data"]] if "data" in made and "values" in made["data"] else made["datasets"].values()
    text = data["values"] if isinstance(data, dict) else data
    return made, list(csv.DictReader(io.StringIO(text)))


def test_a_chart_has_every_number_once_in_ms() -> None:
    _, rows = drawn(over_time(3, 2, [1_000_000, 2_500_000]))
    assert [row["panel"] for row in rows] == [
        *["10.0.0.0:443, VNI 0: 4 flows"] * 2,
        *["10.0.0.1:443: 4 flows"] * 2,
        *["10.0.0.2:443, VNI 2: 4 flows"] * 2,
    ]
    assert [float(row["p50"]) for row in rows] == [1.0, 2.5, 2.5, 1.0, 1.0, 2.5]
    assert [float(row["start"]) - START / 1e6 for row in rows[:2]] == [0, 1000]


@pytest.mark.parametrize(("values", "kind"), [([1000, 9000], None), ([1000, 11_000], "log"), ([0, 10**9], "log")])
def test_the_scale_is_logarithmic_where_values_differ_tenfold(values: list[int], kind: str | None) -> None:
    made, rows = drawn(over_time(1, 2, values))
    scale = made["spec"]["layer"][0]["encoding"]["y"]["scale"]
    assert scale.get("type") == kind
    if kind:
        assert all(scale["domain"][0] <= float(row["p50"]) <= scale["domain"][1] for row in rows)
        assert scale["domain"][0] > 0


def test_html_needs_no_network_and_png_is_a_picture(tmp_path: Path) -> None:
    capture = capture_of(tmp_path, handshake(1000), at(1, handshake(2000, client_port=40001)))
    for name in ("rtt.html", "RTT.PNG"):
        shown = run("rtt", capture, "--plot", tmp_path / name).stdout
        assert "10.0.0.2:80" in shown
    html = (tmp_path / "rtt.html").read_text()
    # What a browser would fetch stands in tags, and not in the text of the library that is inside.
    tags = re.sub(r"(<script[^>]*>).*?(</script>)", r"\1\2", html, flags=re.DOTALL)
    assert tags.count("<script") == 2
    assert not re.findall(r"(?:src|href)=|@import|url\(", tags)
    # The name of a specification's schema is not fetched.
    addresses = re.findall(r"https?://[^\"]*", html.rpartition("<body>")[2])
    assert [address.rpartition("/")[0] for address in addresses] == ["https://vega.github.io/schema/vega-lite"]
    assert "10.0.0.2:80: 2 flows" in html
    assert (tmp_path / "RTT.PNG").read_bytes().startswith(b"\x89PNG\r\n\x1a\n")


def test_the_largest_picture_is_small(tmp_path: Path) -> None:
    from spanline.charts import write_picture

    table = over_time(plotting._MOST_SERVERS + 1, plotting._INTERVALS, [123_456_789, 987_654, 5_123_456])
    write_picture(round_trip_chart(table, "handshake"), str(tmp_path / "rtt.html"))
    assert (tmp_path / "rtt.html").stat().st_size < 3e6


@pytest.mark.parametrize(("limit", "panels"), [(None, 8 + 1), ("3", 3 + 1), ("0", 12), ("1000", 12)])
def test_a_panel_for_each_of_the_servers_that_are_wanted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, limit: str | None, panels: int
) -> None:
    seen: list[pa.Table] = []
    monkeypatch.setattr("spanline.charts.write_picture", lambda chart, path: seen.append(json.loads(chart.to_json())))
    capture = capture_of(tmp_path, *(handshake(1000 + n, port=n) for n in range(1, 13)))
    run("rtt", capture, "--plot", tmp_path / "rtt.png", *(["-n", limit] if limit else []))
    assert len(seen[0]["spec"]["layer"]) == 3
    assert len(json.dumps(seen[0]).split("flow")) > panels
    assert len({row["panel"] for row in csv.DictReader(io.StringIO(_text(seen[0])))}) == panels


def _text(made: dict[str, Any]) -> str:
    text: str = next(iter(made["datasets"].values())) if "datasets" in made else made["data"]["values"]
    return text


def test_without_round_trip_times_nothing_is_written_and_a_line_says_so(tmp_path: Path) -> None:
    capture = capture_of(tmp_path, handshake(1000)[:1])
    result = run("rtt", capture, "--plot", tmp_path / "rtt.png", code=2)
    assert result.stderr == f"spanline: {tmp_path}/rtt.png: not written, there are no round-trip times to draw\n"
    assert not (tmp_path / "rtt.png").exists()


@pytest.mark.parametrize("name", ["rtt.svg", "rtt", "-", ".png.gz"])
def test_other_suffixes_are_refused_before_anything_is_read(name: str) -> None:
    result = run("rtt", "no-such-capture.pcap", "--plot", name, code=2)
    assert result.stderr == f"spanline: --plot {name}: no picture has this suffix; use .html or .png\n"


def test_a_missing_package_is_named_with_the_command_that_installs_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    result = run("rtt", "no-such-capture.pcap", "--plot", "rtt.png", code=2)
    assert "needs altair and vl_convert; python -m pip install 'spanline[plot]'" in result.stderr


def test_a_file_that_cannot_be_written_is_one_line(tmp_path: Path) -> None:
    capture = capture_of(tmp_path, handshake(1000))
    result = run("rtt", capture, "--plot", tmp_path / "nowhere" / "rtt.html", code=2)
    assert result.stderr == f"spanline: cannot write {tmp_path}/nowhere/rtt.html: No such file or directory\n"
