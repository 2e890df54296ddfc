"""Stores that a foreign hand has written: every checksum may be right, and nothing else.

Oracle: what was forged by hand, and the flows of the segments that were left alone.
"""

from __future__ import annotations

import io
import json
import os
import random
import subprocess
import sys
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from spanline.errors import UsageError
from spanline.store import Store, counters, manifest, segments
from spanline.store.layout import SCHEMA
from spanline.store.manifest import NAME, transaction
from spanline.store.repair import repair, verify
from spanline.store.segments import checksum_of
from tests.commands import run
from tests.stored import a_store, some_flows

pytestmark = pytest.mark.usefixtures("apart", "narrow")

ROWS = 50
MOST_ROWS = 1000


@pytest.fixture
def narrow(monkeypatch: pytest.MonkeyPatch) -> None:
    """A row group has at most so many rows."""
    monkeypatch.setattr(segments, "_MOST_ROWS", MOST_ROWS)


def parquet(table: pa.Table, **options: Any) -> bytes:
    sink = io.BytesIO()
    pq.write_table(table, sink, store_schema=False, **options)
    return sink.getvalue()


def nulls(rows: int) -> pa.Table:
    return pa.Table.from_arrays([pa.nulls(rows, field.type) for field in SCHEMA], schema=SCHEMA)


def bomb() -> pa.Table:
    """Thirty megabytes, that are some thousand bytes in the file."""
    rows = nulls(ROWS)
    return rows.set_column(rows.schema.names.index("history"), "history", pa.array(["S" * 600_000] * ROWS))


def rotten(content: bytes) -> bytes:
    """Its pages are rubbish, and its footer is whole."""
    length = int.from_bytes(content[-8:-4], "little")
    pages = len(content) - 8 - length
    return content[:4] + random.Random(1).randbytes(pages - 4) + content[pages:]


def forge(store: Store, content: bytes, **said: Any) -> Path:
    """Puts `content` in the place of the first segment, with a manifest in which its size and checksum are right."""
    first = min(store.state().segments.values(), key=lambda one: one.begin)
    (store.path / first.name).write_bytes(content)
    forged = replace(first, **({"size": len(content), "checksum": checksum_of(content)} | said))
    store.manifest.add(transaction(add=[forged]))
    return store.path / first.name


FORGED = [
    ("rubbish", lambda whole: b"rubbish", "not a segment"),
    ("empty", lambda whole: b"", "not a segment"),
    ("cut", lambda whole: whole[:-20], "not a segment"),
    ("other-columns", lambda whole: parquet(pa.table({"first_seen": [1, 2]})), "other columns"),
    ("a-column-less", lambda whole: parquet(nulls(ROWS).drop_columns("vni")), "other columns"),
    ("another-type", lambda whole: parquet(nulls(ROWS).cast(pa.schema(
        [field.with_type(pa.int32()) if field.name == "last_seen" else field for field in SCHEMA]))), "other columns"),
    ("no-rows", lambda whole: parquet(SCHEMA.empty_table()), "how many rows"),
    ("more-rows", lambda whole: parquet(nulls(ROWS + 1)), "it has 51 rows, and the manifest says 50"),
    ("absurd", lambda whole: parquet(nulls(MOST_ROWS + 1)), "larger than any"),
    ("bomb", lambda whole: parquet(bomb(), compression="zstd", use_dictionary=False), "larger than any"),
    ("rotten-pages", rotten, ""),
]  # fmt: skip


@pytest.mark.parametrize(("content", "said"), [one[1:] for one in FORGED], ids=[one[0] for one in FORGED])
def test_a_forged_segment_is_named_and_left_out(content: Any, said: str, tmp_path: Path) -> None:
    store, whole = a_store(tmp_path / "store", 0, 1, count=ROWS), Store(tmp_path / "whole", create=True)
    whole.append(some_flows(ROWS, 1, 1))
    with store.segments() as chosen:
        path = forge(store, content(chosen.paths[0].read_bytes()))
    asked = ("query", "flows group by Port in last 30 days", "--format", "json", "-q", "--store")
    result = run(*asked, store.path, code=2)
    (line,) = result.stderr.splitlines()
    assert line.startswith(f"spanline: {path}: ")
    assert said in line
    assert "50 flows are left out; spanline store repair" in line
    assert result.stdout == run(*asked, whole.path).stdout
    (line,) = run("store", "verify", store.path, code=2).stderr.splitlines()
    assert line.startswith(f"spanline: {path}: ")
    repaired = repair(store.path)
    assert [one.path for one in repaired.set_aside] == [str(path)]
    assert len(list((store.path / "quarantine").iterdir())) == 1
    assert verify(Store(store.path)) == []
    assert Store(store.path).read().num_rows == ROWS


@pytest.mark.parametrize("name", ["rotten-pages", "other-columns", "empty"])
def test_others_are_compacted_without_a_forged_one(name: str, tmp_path: Path) -> None:
    content = next(one[1] for one in FORGED if one[0] == name)
    store = a_store(tmp_path / "store", 0, 0, 0, count=ROWS)
    with store.segments() as chosen:
        path = forge(store, content(chosen.paths[0].read_bytes()))
    result = run("store", "compact", store.path, code=2)
    assert result.stdout == "2 segments became 1\n"
    assert str(path) in result.stderr


@pytest.mark.parametrize("name", [one[0] for one in FORGED if one[0] != "more-rows"])
def test_a_lost_manifest_is_not_made_again_of_forged_segments(name: str, tmp_path: Path) -> None:
    content = next(one[1] for one in FORGED if one[0] == name)
    store = a_store(tmp_path / "store", 0, 1, count=ROWS)
    with store.segments() as chosen:
        chosen.paths[0].write_bytes(content(chosen.paths[0].read_bytes()))
    (store.path / NAME).unlink()
    repaired = repair(store.path)
    assert [one.rows for one in repaired.found] == [ROWS]
    assert len(repaired.set_aside) == 1
    assert verify(Store(store.path)) == []


def test_labels_that_are_no_labels_are_set_aside(tmp_path: Path) -> None:
    """In a dictionary they take little room, wherever they are not taken out of it."""
    store = a_store(tmp_path / "store", 0, 1, count=ROWS)
    path = forge(store, parquet(bomb(), compression="zstd"))
    (problem,) = verify(store)
    assert (problem.path, problem.what) == (str(path), "a label of 600,000 bytes")
    assert len(repair(store.path).set_aside) == 1
    assert Store(store.path).read().num_rows == ROWS


# --- the manifest


def line_of(said: Any) -> bytes:
    content = said if isinstance(said, bytes) else json.dumps(said).encode()
    return manifest._checksum(content) + b" " + content + b"\n"


OUTSIDE = ["../../outside", "/etc/passwd", "2026-01-05/00/../../../outside", "spanline-store.json", "", 7, None, ["a"]]


@pytest.mark.parametrize("name", OUTSIDE)
def test_names_stay_in_the_folder(name: Any, tmp_path: Path) -> None:
    """Nothing else is read, and above all nothing else is removed."""
    store = a_store(tmp_path / "store", 0, count=ROWS)
    outside = tmp_path / "outside"
    outside.write_text("kept")
    (segment,) = store.state().segments.values()
    added = asdict(segment) | {"name": name}
    with (store.path / NAME).open("ab") as file:
        file.write(line_of({"remove": [name]}) + line_of({"add": [added]}))
    assert len(store.state().problems) == 2
    assert list(store.state().segments) == [segment.name]
    run("store", "expire", store.path, "--age", "1h")
    run("store", "compact", store.path)
    run("store", "verify", store.path, code=2)
    run("store", "repair", store.path)
    assert verify(Store(store.path)) == []
    assert outside.read_text() == "kept"
    assert Store(store.path).read().num_rows == ROWS


@pytest.mark.parametrize(
    "said",
    [
        [],
        7,
        None,
        {"add": 7},
        {"add": [{}]},
        {"add": [7]},
        {"remove": "all"},
        {"runs": [{"id": 7}]},
        {"runs": [{"id": "a", "captures": [[1, 2, 3]]}]},
        {"runs": [{"id": "a", "captures": [[1, 2]]}]},
        {"add": [{"rows": "many"}]},
        b"[" * 100_000,
        b"{" * 100_000,
        b"9" * 10_000,
        b'{"add": "\xff"}',
    ],
)
def test_a_line_that_is_no_transaction_is_told(said: Any, tmp_path: Path) -> None:
    store = a_store(tmp_path / "store", 0, count=ROWS)
    before = (store.path / NAME).read_bytes()
    (store.path / NAME).write_bytes(before + line_of(said))
    (problem,) = store.state().problems
    assert problem.what == "a line is damaged"
    assert run("query", "count of flows in last 30 days", "--store", store.path, "-q", code=2).stdout
    repair(store.path)
    assert verify(Store(store.path)) == []
    assert Store(store.path).read().num_rows == ROWS


@pytest.mark.parametrize(
    ("field", "value"),
    [("rows", -1), ("rows", 1.5), ("begin", None), ("end", 1 << 63), ("size", True), ("checksum", 1), ("runs", [1])],
)
def test_numbers_of_a_manifest_are_numbers(field: str, value: Any, tmp_path: Path) -> None:
    store = a_store(tmp_path / "store", 0, count=ROWS)
    (segment,) = store.state().segments.values()
    with (store.path / NAME).open("ab") as file:
        file.write(line_of({"add": [asdict(segment) | {field: value}]}))
    assert len(store.state().problems) == 1
    assert store.state().segments == {segment.name: segment}


def test_every_byte_of_the_manifest_may_be_anything(tmp_path: Path) -> None:
    """Another byte, one less or one more at places all over it: the state is what whole lines say."""
    chance = random.Random(7)
    store = a_store(tmp_path / "store", 0, 1, count=10)
    whole, before = (store.path / NAME).read_bytes(), store.state()
    for at in range(0, len(whole), 3):
        other = bytes([chance.randrange(256)])
        changed = whole[:at] + chance.choice([other, b"", whole[at : at + 1] + other]) + whole[at + 1 :]
        (store.path / NAME).write_bytes(changed)
        state = store.state()
        assert state.segments.items() <= before.segments.items()
        assert state.problems or len(state.segments) == 2 or not changed.endswith(b"\n")


# --- what is no file, and what is no store


@pytest.mark.parametrize(
    "said",
    [
        b"",
        b"{}",
        b"[]",
        b"7",
        b"\xff",
        b"[" * 100_000,
        b'{"version": 1}',
        b'{"version": 1, "id": 7}',
        b'{"version": 1, "id": "../../../../etc/x"}',
        b'{"version": 1, "id": "a\\u0000b"}',
        b'{"version": "1", "id": "0123456789abcdef"}',
        b'{"version": null, "id": "0123456789abcdef"}',
    ],
)
def test_what_says_that_it_is_a_store_is_damaged(said: bytes, tmp_path: Path) -> None:
    store = a_store(tmp_path / "version", 0, count=ROWS)
    (store.path / "spanline-store.json").write_bytes(said)
    (line,) = run("store", "info", store.path, code=2).stderr.splitlines()
    assert "spanline-store.json: damaged; make it again with spanline store repair" in line
    run("store", "repair", store.path)
    assert Store(store.path).read().num_rows == ROWS


@pytest.mark.parametrize("command", ["info", "verify", "repair", "compact", "expire", "query", "crunch"])
def test_a_later_store_is_left_alone(command: str, capture: Path, tmp_path: Path) -> None:
    store = a_store(tmp_path / "store", 0, count=ROWS)
    (store.path / "spanline-store.json").write_text('{"version": 2, "id": "of another kind"}')
    before = {path: path.read_bytes() for path in store.path.rglob("*") if path.is_file()}
    (line,) = run(*_command(command, store.path, capture), code=2).stderr.splitlines()
    assert "a store of version 2, and this spanline knows those up to 1; read it with the spanline that" in line
    assert {path: path.read_bytes() for path in store.path.rglob("*") if path.is_file()} == before


@pytest.mark.parametrize("command", ["info", "verify", "repair", "compact", "expire", "query", "crunch"])
@pytest.mark.parametrize("there", ["nothing", "a file", "other files", "a link to nowhere"])
def test_what_is_no_store_is_one_line(there: str, command: str, capture: Path, tmp_path: Path) -> None:
    folder = tmp_path / "folder"
    if there == "a file":
        folder.write_text("a file")
    elif there == "other files":
        folder.mkdir()
        (folder / "letter.txt").write_text("a letter")
    elif there == "a link to nowhere":
        folder.symlink_to(tmp_path / "nowhere")
    if (there, command) == ("nothing", "crunch"):
        return  # which makes one
    (line,) = run(*_command(command, folder, capture), code=2).stderr.splitlines()
    assert str(folder) in line
    assert there == "a link to nowhere" or "store" in line
    assert not (tmp_path / "nowhere").exists()


def _command(command: str, folder: Path, capture: Path) -> tuple[str | Path, ...]:
    if command == "query":
        return "query", "flows", "--store", folder
    if command == "crunch":
        return "crunch", capture, "--store", folder, "-q"
    return "store", command, folder, *(["--age", "1h"] if command == "expire" else [])


@pytest.mark.parametrize("name", ["spanline-store.json", NAME, "a segment", "counters/of.parquet"])
def test_nobody_waits_for_a_pipe(name: str, tmp_path: Path) -> None:
    store = a_store(tmp_path / "store", 0, 1, count=ROWS)
    with store.segments() as chosen:
        path = chosen.paths[0] if name == "a segment" else store.path / name
    path.unlink(missing_ok=True)
    path.parent.mkdir(exist_ok=True)
    os.mkfifo(path)
    asked = "flows" if name == "a segment" else "top 5 switch ports by Network Rate"
    (line, *_) = run("query", asked, "--store", store.path, "-q", code=2).stderr.splitlines()
    assert str(store.path) in line
    run("store", "verify", store.path, code=2)
    if name != "spanline-store.json":
        run("store", "repair", store.path)
        assert verify(Store(store.path)) == []


def test_forged_counters_are_left_out(tmp_path: Path) -> None:
    store = a_store(tmp_path / "store", 0, count=ROWS)
    (store.path / counters.FOLDER).mkdir()
    for table in (pa.table({"a": [1]}), pa.table({one.name: [None] for one in counters.READING})):
        content = parquet(table)
        (store.path / counters.FOLDER / f"{checksum_of(content)}.parquet").write_bytes(content)
    table, problems = counters.growth(store.path)
    assert table.num_rows == 0
    assert [one.what.startswith("no counters of switch ports") for one in problems] == [True] * 2
    assert len(verify(store)) == 2
    assert len(repair(store.path).set_aside) == 2
    assert verify(store) == []


# --- disks that are only read


@pytest.mark.skipif(sys.platform != "linux" or os.geteuid() != 0, reason="needs root, to mount a disk")
def test_a_store_that_can_only_be_read_is_read(capture: Path, tmp_path: Path) -> None:
    disk = tmp_path / "disk"
    disk.mkdir()
    if subprocess.run(["mount", "-t", "tmpfs", "-o", "size=4m", "tmpfs", disk], capture_output=True).returncode:
        pytest.skip("cannot mount")
    try:
        store = a_store(disk / "store", 0, 0, count=ROWS)
        subprocess.run(["mount", "-o", "remount,ro", disk], check=True)
        assert run("query", "count of flows in last 30 days", "--store", store.path, "--format", "json").stdout
        assert "all well: 2 segments" in run("store", "verify", store.path).stdout
        run("store", "info", store.path)
        for command in ("repair", "compact", "expire", "crunch"):
            (line,) = run(*_command(command, store.path, capture), code=2).stderr.splitlines()
            assert "Read-only file system" in line
        with pytest.raises(UsageError, match="no store"):
            Store(disk)
    finally:
        subprocess.run(["umount", disk], check=True)
