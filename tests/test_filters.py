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
from spanline.batch import Batch
from spanline.filters import compile_filter
from tests.filters.make import ask
from tests.filters.table import CRAFTED, EDGES, FAMILIES, RARE, SELDOM, compact, write_crafted

SCTP, SOUP = "apps/sctp__arkime__sctp-www.pcap", "tcp/syn-retx__maltrail__mixed_soup.pcap"
OTHERS = {
    "http": {SCTP: "HTTP over SCTP is not looked for"},
    'http.request.method == "GET"': {SCTP: "the same"},
    "data": {
        SCTP: "nor data in SCTP's chunks",
        SOUP: "datagrams of the find protocol, which spanline does not know",
        "ip/v6ext__ipfixprobe__mixed.pcap": "what an echo message carries is no application of its own",
        "tunnels/gre__zeek__erspan.pcap": "the same",
    },
    "data.len > 100": {SCTP: "nor data in SCTP's chunks"},
}
"""Captures of which a filter selects other frames than tshark's, and why."""


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


@pytest.mark.parametrize("filter", EDGES.filters)
def test_edges(crafted: Path, filter: str) -> None:
    assert [selected(crafted / CRAFTED, filter)] == EDGES.expected[filter]


@pytest.mark.parametrize("filter", SELDOM.filters)
def test_what_is_seldom(crafted: Path, filter: str) -> None:
    assert [selected(crafted / capture, filter) for capture in RARE] == SELDOM.expected[filter]


@pytest.mark.parametrize("filter", FAMILIES.filters)
def test_families(captures: Path, filter: str) -> None:
    ours = [selected(captures / capture, filter) for capture in FAMILIES.captures]
    wrong = [one for one, a, b in zip(FAMILIES.captures, ours, FAMILIES.expected[filter], strict=True) if a != b]
    assert wrong == [capture for capture in FAMILIES.captures if capture in OTHERS.get(filter, {})]


def test_every_filter_was_asked() -> None:
    for table in EDGES, FAMILIES, SELDOM:
        assert list(table.expected) == table.filters


@pytest.mark.parametrize("filter", FAMILIES.filters[::14])
def test_live(captures: Path, crafted: Path, filter: str) -> None:
    if not shutil.which("tshark"):
        pytest.skip("no tshark")
    for path in captures / FAMILIES.captures[1], crafted / CRAFTED:
        assert selected(path, filter) == ask(path, filter)
