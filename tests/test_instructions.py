"""The guard over instruction counts: quiet when nothing changed, loud when the core does more than it must.

Oracles: counts written here by hand, and a copy of the headers with a loop in it that does nothing.
"""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from instructions.count import ACCEPT, EXPECTED, REPOSITORY, Count, Figures, compare, measure, read, write

HERE = Figures("x86_64", "gcc 12.2.0", {"decode": Count(10, 1000), "flows": Count(10, 5000)})


def figures(decode: int = 1000, *, machine: str = "x86_64", compiler: str = "gcc 12.2.0", items: int = 10) -> Figures:
    return Figures(machine, compiler, {"decode": Count(items, decode), "flows": Count(10, 5000)})


def line_of(job: str, lines: list[str]) -> str:
    return next(line for line in lines if line.startswith(job))


@pytest.mark.parametrize(("decode", "well"), [(1000, True), (1050, True), (1051, False), (500, True)])
def test_five_percent_more_are_allowed(decode: int, well: bool) -> None:
    lines, found = compare(HERE, figures(decode))
    assert found == well
    assert line_of("decode", lines).split()[1:3] == ["1000", str(decode)]
    assert ("TOO MANY" in line_of("decode", lines)) == (not well)
    assert "TOO MANY" not in line_of("flows", lines)
    assert (ACCEPT in lines[-1]) == (not well), "who fails is told what to do"


def test_fewer_are_worth_keeping() -> None:
    lines, _ = compare(HERE, figures(500))
    assert ACCEPT in line_of("decode", lines)


@pytest.mark.parametrize(
    ("measured", "well"),
    [
        (figures(1051, compiler="gcc 12.9.0"), False),
        (figures(1299, compiler="gcc 13.1.0"), True),
        (figures(1301, compiler="gcc 13.1.0"), False),
        (figures(9000, machine="aarch64"), True),
        (figures(items=20), False),
        (Figures("x86_64", "gcc 12.2.0", {"decode": Count(10, 1000)}), False),
        (Figures("x86_64", "gcc 12.2.0", HERE.jobs | {"new": Count(1, 1)}), False),
    ],
    ids=["minor", "major", "major-too-many", "machine", "items", "missing", "new"],
)
def test_what_cannot_be_compared_as_it_is(measured: Figures, well: bool) -> None:
    """Another compiler is told and given room, another machine is told; other jobs need other figures."""
    lines, found = compare(HERE, measured)
    assert found == well
    if measured.compiler.startswith("gcc 13") or measured.machine != HERE.machine:
        assert measured.compiler in lines[1] or measured.machine in lines[1]


def test_figures_are_kept_as_they_are(tmp_path: Path) -> None:
    write(HERE, tmp_path / "expected.json")
    assert read(tmp_path / "expected.json") == HERE


@pytest.mark.skipif(not (shutil.which("gcc") and shutil.which("valgrind")), reason="needs gcc and valgrind")
def test_a_pointless_loop_is_found(tmp_path: Path) -> None:
    """In the headers as they are, counts are the same each time; ten turns of nothing per packet are too many."""
    shutil.copytree(REPOSITORY / "ext", tmp_path / "ext", ignore=shutil.ignore_patterns("*.c"))
    before = measure(tmp_path / "ext", tmp_path / "before", ["flows"])
    assert measure(tmp_path / "ext", tmp_path / "again", ["flows"]) == before
    header = tmp_path / "ext" / "flows.h"
    place, loop = "t->flow_packets++;", "for (volatile int turn = 0; turn < 10; turn++) {\n    }\n"
    text = header.read_text()
    assert text.count(place) == 1, "the loop has to go where every packet passes"
    header.write_text(text.replace(place, loop + place))
    lines, well = compare(before, measure(tmp_path / "ext", tmp_path / "after", ["flows"]))
    assert not well
    assert "TOO MANY" in line_of("flows-update", lines)
    assert "TOO MANY" in line_of("flows-round-trips", lines)
    assert "TOO MANY" not in line_of("flows-end", lines), "no packet is counted there"


def test_every_job_has_its_figure() -> None:
    """expected.json is not of a machine that somebody happened to have once: it names gcc and x86_64."""
    expected = read(EXPECTED)
    assert (expected.machine, expected.compiler.split()[0]) == ("x86_64", "gcc")
    assert all(one.instructions > one.items > 0 for one in expected.jobs.values())
