"""The nineteen queries over a generated history answer what is true of it, row for row.

Oracle: tests/history_truth.py, which computes each answer with numpy from what the generator knows of who it made.
"""

from __future__ import annotations

import ipaddress
import re
import uuid
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, NamedTuple

import history
import pyarrow as pa
import pytest
import yaml
from history_places import inventory, packed_address

import spanline
from spanline.enrich import Enrichment
from spanline.enrich.inventory_files import read_inventory
from spanline.store import Store
from tests.conftest import require_shared
from tests.history_truth import ANSWERS, Answer, answer, step

FLOWS = 10_000
RELATIVE = 1e-9
STORED = ("first_seen", "last_seen", "source", "destination", "destination_port", "vni", "source_bytes", "flow_begin")
QUERIES = (Path(__file__).parent / "queries/seed.txt").read_text(encoding="utf-8").splitlines()

# The same question in other words: by the query's number.
REWORDED = (
    (14, "flows Flow Type = 'Source is Internet' and Port in (22, 23, '3389') group by Source Country in last 1 day"),
    (14, "flows flow type = 'source is internet' and (port = 22 or port = 23 or port = 3389) group by src country"),
    (13, "series(sum(sessions)), series(sum(packets)), series(sum(byte rate)) of flows in last 7 days where dst country"
         " == 'united kingdom' group by source vm"),
    (18, "flows where source l2 network = vlan-1105 and destination l2 network != vlan-1105 order by bytes desc"),
    (18, "flows where source l2 network = vlan-1105 and not (destination l2 network = vlan-1105) order by bytes"),
    (8, "series(sum(session count)), series(sum(packets)), series(sum(bytes rate)) of flows where flow type in"
        " ('Source is VM') and flow type != 'Destination is VM' and flow type != 'Destination is Physical' and flow"
        " type not in ('Multicast', 'Broadcast') group by source subnet order by sum(bytes)"),
)  # fmt: skip


class Asked(NamedTuple):
    store: Store
    enrichment: Enrichment
    history: history.History
    seed: int


@pytest.fixture(scope="module", params=[1, 2], ids=["seed 1", "seed 2"])
def asked(request: pytest.FixtureRequest) -> Iterator[Asked]:
    # A store of two weeks has hundreds of segments, each synced: that takes no time where there is no disk.
    with TemporaryDirectory(dir="/dev/shm" if Path("/dev/shm").is_dir() else None) as name:
        folder = Path(name)
        made = history.write(folder / "store", FLOWS, request.param)
        enrichment = Enrichment(read_inventory([str(folder / "store.yaml")]))
        yield Asked(Store(folder / "store"), enrichment, made, request.param)


def plain_name(name: str) -> str:
    """Without case, blanks and underscores."""
    return re.sub(r"[ _]", "", name.lower())


def plain(value: Any) -> Any:
    """Addresses as 16 bytes, numbers and texts as they are."""
    if isinstance(value, uuid.UUID):
        return value.bytes
    if isinstance(value, str):
        try:
            return packed_address(str(ipaddress.ip_address(value)))
        except ValueError:
            return value
    if isinstance(value, list):
        return [plain(one) for one in value]
    return value


def rows_of(table: pa.Table, columns: tuple[str, ...]) -> list[tuple[Any, ...]]:
    at = {plain_name(name): n for n, name in enumerate(table.column_names)}
    lists = [table.column(at[plain_name(name)]).to_pylist() for name in columns]
    return [tuple(map(plain, row)) for row in zip(*lists, strict=True)]


def assert_same(table: pa.Table, expected: Answer) -> None:
    said = {name.decode(): text.decode() for name, text in table.schema.metadata.items()}
    assert (said["window_begin"], said["window_end"]) == (str(expected.begin), str(expected.end))
    for field in table.schema:
        if field.name.startswith("series("):
            seconds = step(expected.end - expected.begin)
            assert field.metadata[b"step"].decode() == str(seconds)
            assert field.metadata[b"begin"].decode() == str(expected.begin - expected.begin % seconds)
    found = rows_of(table, expected.columns)
    assert len(found) == len(expected.rows)
    for row, true in zip(found, expected.rows, strict=True):
        for name, value, known in zip(expected.columns, row, map(plain, true), strict=True):
            if isinstance(known, float) or name.startswith("series("):
                assert value == pytest.approx(known, rel=RELATIVE, abs=1e-9), (name, row[0])
            else:
                assert value == known, (name, row)


def test_the_store_holds_what_was_made(asked: Asked) -> None:
    stored, made = asked.store.read(), asked.history.table()
    assert stored.num_rows == len(asked.history)
    for name in STORED:
        assert stored[name].combine_chunks().equals(made[name].combine_chunks()), name


@pytest.mark.parametrize("number", ANSWERS)
def test_a_query_answers_what_is_true(number: int, asked: Asked) -> None:
    table = spanline.query(QUERIES[number - 1], asked.store, enrichment=asked.enrichment)
    assert_same(table, answer(number, asked.history, history.counters(asked.seed)))


@pytest.mark.parametrize(("number", "text"), REWORDED)
def test_other_words_for_the_same_have_the_same_answer(number: int, text: str, asked: Asked) -> None:
    table = spanline.query(text, asked.store, enrichment=asked.enrichment)
    assert_same(table, answer(number, asked.history, {}))


def test_the_nineteen_are_as_they_were_given() -> None:
    shared = require_shared("queries") / "seed.txt"
    assert shared.read_text(encoding="utf-8").splitlines() == QUERIES
    assert len(QUERIES) == len(ANSWERS) == 19


def test_a_corrected_inventory_corrects_history(asked: Asked, tmp_path: Path) -> None:
    corrected = inventory()
    for vm in corrected["vms"]:
        vm["name"] = f"corrected-{vm['name']}"
    file = tmp_path / "corrected.yaml"
    file.write_text(yaml.safe_dump(corrected))
    expected = answer(17, asked.history, {})
    rows = [(name and f"corrected-{name}", *rest) for name, *rest in expected.rows]
    table = spanline.query(QUERIES[16], asked.store, enrichment=Enrichment(read_inventory([str(file)])))
    assert_same(table, Answer(expected.columns, rows, expected.begin, expected.end))
