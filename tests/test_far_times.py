"""Clocks that are far off: 1970, the last second of pcap in 2106, the year 9999 and what no calendar knows.

Oracle: the times as they were written; beyond 1677 and 2262, where 64 bits of ns end, these limits and a line about it.
"""

from __future__ import annotations

import csv
import json
from pathlib import Path
from typing import NamedTuple

import pyarrow.parquet as pq
import pytest

from tests.commands import run
from tests.craft import ethernet, ipv4, tcp
from tests.craft_files import Pcapng, Record, pcap

NG = Pcapng()
FRAMES = [
    ethernet() / ipv4("10.0.0.1", "10.0.0.2") / tcp(50123, 443, seq=7, flags="S"),
    ethernet() / ipv4("10.0.0.2", "10.0.0.1") / tcp(443, 50123, seq=70, ack=8, flags="SA"),
    ethernet() / ipv4("10.0.0.1", "10.0.0.2") / tcp(50123, 443, seq=8, ack=71),
]
SECOND = 10**9
LAST, FIRST = "2262-04-11T23:47:16.854775807Z", "1677-09-21T00:12:43.1452"


def at(*seconds: int) -> bytes:
    return pcap([Record(time * SECOND, frame) for time, frame in zip(seconds, FRAMES, strict=True)])


def ng(ticks: list[int], resolution: int, offset: int | None = None) -> bytes:
    interface = NG.interface(tsresol=resolution, tsoffset=offset)
    return NG.section() + interface + b"".join(map(NG.enhanced, FRAMES, ticks))


class Far(NamedTuple):
    data: bytes
    first: str
    last: str
    told: bool = False


CAPTURES = {
    "1970": Far(at(0, 0, 1), "1970-01-01T00:00:00.000000000Z", "1970-01-01T00:00:01.000000000Z"),
    "2106": Far(
        at(*range(2**32 - 3, 2**32)), "2106-02-07T06:28:13.000000000Z", "2106-02-07T06:28:15.000000000Z"
    ),
    "9999": Far(ng([253402300799 + n for n in range(3)], 0), LAST, LAST, True),
    "ticks": Far(ng([2**64 - 3, 2**64 - 2, 2**64 - 1], 0), LAST, LAST, True),
    "both": Far(ng([0, 1, 2**64 - 1], 6, 5), "1970-01-01T00:00:05.000000000Z", LAST, True),
    "before-1677": Far(ng([0, 1, 2], 6, -(10**10)), FIRST, FIRST, True),
    "least-offset": Far(ng([0, 1, 2], 6, -(2**63)), FIRST, FIRST, True),
    "greatest-offset": Far(ng([0, 1, 2], 6, 2**63 - 1), LAST, LAST, True),
    "two-ends": Far(
        ng([0], 6, -(10**10)) + ng([2**64 - 1], 0), FIRST, LAST, True
    ),
}  # fmt: skip


@pytest.fixture(params=CAPTURES)
def far(request: pytest.FixtureRequest, tmp_path: Path) -> tuple[Far, Path]:
    chosen = CAPTURES[request.param]
    (tmp_path / "far.pcap").write_bytes(chosen.data)
    return chosen, tmp_path / "far.pcap"


def assert_told(far: Far, errors: str) -> None:
    lines = errors.splitlines()
    assert len(lines) == far.told
    assert all("before the year 1678 or after 2262" in line for line in lines)


@pytest.mark.parametrize("format", ["table", "json", "csv", "parquet"])
@pytest.mark.parametrize("command", ["flows", "packets", "info", "rtt"])
def test_every_view_in_every_format(far: tuple[Far, Path], tmp_path: Path, command: str, format: str) -> None:
    capture, path = far
    out = tmp_path / "out"
    assert_told(capture, run(command, "-q", path, "--format", format, "-o", out, code=2 * capture.told).stderr)
    assert out.stat().st_size
    if format == "table" and command == "info":
        assert capture.first in out.read_text()
        assert capture.last in out.read_text()
    if format == "table" and command == "flows":
        assert capture.first[:10] in out.read_text()


@pytest.mark.parametrize("format", ["json", "csv", "parquet"])
def test_files_of_flows(far: tuple[Far, Path], tmp_path: Path, format: str) -> None:
    capture, path = far
    out = tmp_path / f"flows.{format}"
    assert_told(capture, run("crunch", "-q", path, "-o", out, code=2 * capture.told).stderr)
    if format == "parquet":
        times = [(str(row["first_seen"]), str(row["last_seen"])) for row in pq.read_table(out).to_pylist()]
        assert min(times)[0][:19] == capture.first[:19].replace("T", " ")
        assert max(times)[1][:19] == capture.last[:19].replace("T", " ")
        return
    with out.open() as file:
        rows = json.load(file) if format == "json" else list(csv.DictReader(file))
    assert min(row["first_seen"] for row in rows).startswith(capture.first)
    assert max(row["last_seen"] for row in rows).startswith(capture.last)


def test_info_as_objects(far: tuple[Far, Path]) -> None:
    capture, path = far
    (facts,) = json.loads(run("info", "-q", path, "--format", "json", code=2 * capture.told).stdout)
    assert facts["first_packet"].startswith(capture.first)
    assert facts["last_packet"].startswith(capture.last)
    assert [problem["kind"] for problem in facts["problems"]] == ["clock"] * capture.told


def test_files_of_different_ages_are_one_capture(tmp_path: Path) -> None:
    for name, capture in CAPTURES.items():
        (tmp_path / name).write_bytes(capture.data)
    errors = run("flows", "-q", tmp_path, code=2).stderr.splitlines()
    assert len(errors) == sum(capture.told for capture in CAPTURES.values())
