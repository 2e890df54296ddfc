"""Display filters select the frames that tshark selects. Oracle: tshark 4.0.17, asked before (tests/filters) and live."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

import spanline
from spanline.filters import compile_filter
from tests.filters.make import ask
from tests.filters.table import CRAFTED, EDGES, FAMILIES, compact, write_crafted


@pytest.fixture(autouse=True)
def utc(monkeypatch: pytest.MonkeyPatch) -> None:
    """Dates without a zone are those of the place."""
    monkeypatch.setenv("TZ", "UTC")


@pytest.fixture(scope="module")
def crafted(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("crafted")
    write_crafted(folder)
    return folder / CRAFTED


def selected(path: Path, filter: str) -> str:
    capture = spanline.open(path, display_filter=filter)
    return compact([number for batch in capture for number in batch.numbers.tolist()])


@pytest.mark.parametrize(("filter", "frames"), EDGES.expected.items())
def test_edges(crafted: Path, filter: str, frames: list[str]) -> None:
    assert [selected(crafted, filter)] == frames


@pytest.mark.parametrize(("filter", "frames"), FAMILIES.expected.items())
def test_families(captures: Path, filter: str, frames: list[str]) -> None:
    assert [selected(captures / capture, filter) for capture in FAMILIES.captures] == frames


def test_every_filter_was_asked() -> None:
    for table in EDGES, FAMILIES:
        assert list(table.expected) == table.filters


@pytest.mark.parametrize("filter", FAMILIES.filters[::15])
def test_live(captures: Path, filter: str) -> None:
    if not shutil.which("tshark"):
        pytest.skip("no tshark")
    for capture in FAMILIES.captures[:2]:
        assert selected(captures / capture, filter) == ask(captures / capture, filter)
