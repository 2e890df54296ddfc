"""Display filters select the frames that tshark selects.

Oracle: tshark 4.0.17, asked before (tests/filters/make.py) and, for some of them, live.
"""

from __future__ import annotations

import shutil
import time
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

import spanline
from spanline import fields
from spanline.batch import Batch
from spanline.filters import FilterError, compile_filter
from tests.filters.make import ask
from tests.filters.table import CRAFTED, EDGES, FAMILIES, RARE, SELDOM, Table, compact, write_crafted

WAITING = {
    *("dns", "mdns", "http", "tls", "ssl", "dhcp", "bootp", "data", "data.len", "dns.flags.response", "dns.qry.name"),
    *("dns.qry.type", "dns.flags.rcode", "dns.a", "http.request.method", "http.host", "http.response.code"),
    *("tls.handshake.type", "tls.handshake.extensions_server_name"),
}
"""Fields that there are not yet; filters on them are asked as soon as there are."""


@pytest.fixture(autouse=True)
def utc(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Dates without a zone are those of the place."""
    monkeypatch.setenv("TZ", "UTC")
    time.tzset()
    yield
    monkeypatch.undo()
    time.tzset()


@pytest.fixture(scope="module")
def crafted(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("crafted")
    write_crafted(folder)
    return folder


@cache
def batches(path: Path) -> list[Batch]:
    return list(spanline.open(path, requires=("streams", "application", "analysis", "messages")))


def selected(path: Path, filter: str) -> str:
    compiled = compile_filter(filter)
    return compact([number for batch in batches(path) for number in batch.numbers[compiled.mask(batch)].tolist()])


def askable(table: Table) -> list[str]:
    """The filters of `table` whose fields are there."""
    askable = []
    for filter in table.filters:
        try:
            compile_filter(filter)
        except FilterError as error:
            if filter[error.start : error.end] in WAITING:
                continue
        askable.append(filter)
    return askable


@pytest.mark.parametrize("filter", askable(EDGES))
def test_edges(crafted: Path, filter: str) -> None:
    assert [selected(crafted / CRAFTED, filter)] == EDGES.expected[filter]


@pytest.mark.parametrize("filter", askable(SELDOM))
def test_what_is_seldom(crafted: Path, filter: str) -> None:
    assert [selected(crafted / capture, filter) for capture in RARE] == SELDOM.expected[filter]


@pytest.mark.parametrize("filter", askable(FAMILIES))
def test_families(captures: Path, filter: str) -> None:
    assert [selected(captures / capture, filter) for capture in FAMILIES.captures] == FAMILIES.expected[filter]


def test_nothing_is_waited_for_that_is_there() -> None:
    assert not WAITING.intersection(fields.names())


def test_every_filter_was_asked() -> None:
    for table in EDGES, FAMILIES, SELDOM:
        assert list(table.expected) == table.filters


@pytest.mark.parametrize("filter", askable(FAMILIES)[::14])
def test_live(captures: Path, crafted: Path, filter: str) -> None:
    if not shutil.which("tshark"):
        pytest.skip("no tshark")
    for path in captures / FAMILIES.captures[1], crafted / CRAFTED:
        assert selected(path, filter) == ask(path, filter)
