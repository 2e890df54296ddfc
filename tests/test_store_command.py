"""`spanline store` and `spanline crunch --store`."""

from __future__ import annotations

import contextlib
import json
import shutil
from pathlib import Path

import pyarrow as pa
import pyarrow.compute
import pytest

import spanline
from spanline.store import Store
from tests.commands import question, run, spawn
from tests.craft_files import pcap
from tests.stored import a_store, in_order, plain, some_flows

pytestmark = pytest.mark.usefixtures("apart")


def test_crunch_adds_flows_to_a_store(capture: Path, tmp_path: Path) -> None:
    """Oracle: the flows of the same capture, not stored."""
    result = run("crunch", capture, "--store", tmp_path / "store")
    flows = plain(spanline.flows(capture).drop_columns("community_id"))
    assert f"{len(flows)} flows of" in result.stderr
    assert in_order(Store(tmp_path / "store").read()).equals(in_order(flows))


def test_the_same_capture_is_added_once(capture: Path, tmp_path: Path) -> None:
    store, copy = tmp_path / "store", tmp_path / "copy.pcap"
    shutil.copyfile(capture, copy)
    run("crunch", capture, "--store", store)
    rows = Store(store).read().num_rows
    (line,) = run("crunch", capture, "--store", store).stderr.splitlines()
    assert line == f"spanline: {capture}: already in the store {store}/: nothing added"
    (line,) = run("crunch", copy, "--store", store).stderr.splitlines()
    assert line.endswith(f"as {capture.name}: nothing added")
    assert Store(store).read().num_rows == rows


def test_what_is_new_in_a_folder_is_added(capture: Path, cut: Path, tmp_path: Path) -> None:
    folder, store = tmp_path / "captures", tmp_path / "store"
    folder.mkdir()
    shutil.copyfile(capture, folder / "a.pcap")
    (folder / "readme.txt").write_text("what is here")
    run("crunch", folder, "--store", store)
    rows = Store(store).read().num_rows
    assert "nothing added" in run("crunch", folder, "--store", store).stderr
    shutil.copyfile(capture, folder / "b.pcap")
    shutil.copyfile(cut, folder / "c.pcap")
    told = run("crunch", folder, "--store", store, code=2).stderr
    assert f"{folder}/b.pcap: already in the store {store}/, as a.pcap: left out" in told
    expected = rows + len(spanline.flows(cut))
    assert Store(store).read().num_rows == expected
    assert sorted(Store(store).captures().values()) == ["a.pcap", "c.pcap"]


def test_a_folder_without_captures_is_told(tmp_path: Path) -> None:
    (tmp_path / "captures").mkdir()
    (tmp_path / "captures" / "readme.txt").write_text("nothing is here")
    assert (
        "no captures in this folder" in run("crunch", tmp_path / "captures", "--store", tmp_path / "s", code=2).stderr
    )


def test_a_capture_through_a_pipe_is_added(capture: Path, tmp_path: Path) -> None:
    assert spawn("crunch", "-", "--store", tmp_path / "store", input=capture.read_bytes()).returncode == 0
    assert Store(tmp_path / "store").read().num_rows == len(spanline.flows(capture))


@pytest.mark.parametrize("threads", ["1", "3"])
def test_a_flow_that_lasts_for_hours_is_counted_once(threads: str, tmp_path: Path) -> None:
    """A datagram every ten minutes for four hours, and others that come once. Oracle: what was made."""
    path, store = tmp_path / "long.pcap", tmp_path / "store"
    sent = [question(n * 600 * 10**9) for n in range(25)]
    others = [question(n * 600 * 10**9 + 10**9, 40000 + n) for n in range(25)]
    path.write_bytes(pcap(sorted(sent + others, key=lambda record: record.time), nanoseconds=True))
    run("crunch", path, "--store", store, "--idle-timeout", "off", "--threads", threads)
    stored = Store(store).read()
    long = stored.filter(pa.compute.equal(stored.column("source_port"), 53000))
    assert len(long) > 5
    begins = long.column("flow_begin").cast(pa.int64()).to_pylist()
    assert sorted(begins, key=str) == [sent[0].time] * (len(long) - 1) + [None]
    assert sum(long.column("source_packets").to_pylist()) == 25
    assert stored.column("flow_begin").null_count == 1 + 25


def test_an_interrupted_crunch_is_replaced_by_the_next(capture: Path, tmp_path: Path) -> None:
    """As a kill leaves it: the first flows are in the store, and the capture is not complete."""
    from spanline.sources.identity import identity_of

    store = Store(tmp_path / "store", create=True)
    flows = spanline.flows(capture).drop_columns("community_id")
    with contextlib.suppress(InterruptedError), store.writing([(identity_of(capture), capture.name)]) as writer:
        writer.write(flows.slice(0, 1))
        writer.commit()
        raise InterruptedError
    assert store.read().num_rows == 1
    assert not store.captures()
    run("crunch", capture, "--store", store.path)
    assert in_order(store.read()).equals(in_order(flows))


@pytest.mark.parametrize("name", ["[1]", "a*", "a?", "it's", 'a "b', "ü ü", "./-dash", "~home", "./~home"])
def test_a_store_may_be_called_anything(
    name: str, capture: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Some names mean more to the engine of queries: patterns, quotes, the user's folder."""
    monkeypatch.chdir(tmp_path)
    run("crunch", capture, "--store", name)
    assert run("query", "count of flows", "--store", name, "-q", "--format", "csv").stdout.splitlines()[1] == "2"
    assert "all well" in run("store", "verify", name).stdout
    assert run("store", "repair", name).stdout == "nothing to repair\n"


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["crunch", "a.pcap"], "missing option '-o' or '--store'"),
        (["crunch", "a.pcap", "-o", "a.csv", "--store", "s"], "-o and --store are two places"),
        (["crunch", "a.pcap", "--store", "s", "--format", "csv"], "--format is for -o"),
        (["store", "info", "missing"], "missing: no store"),
        (["store", "repair", "missing"], "missing: no store"),
        (["store", "expire", "s"], "nothing says what is old"),
        (["store", "expire", "s", "--age", "soon"], "'soon' is not an age: write 36h, 14d or 8w"),
        (["store", "expire", "s", "--age", "0d"], "is not an age"),
        (["store", "expire", "s", "--size", "-3G"], "is not a size"),
    ],
)
def test_usage(words: list[str], told: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (line,) = run(*words, code=2).stderr.splitlines()
    assert told in line


def test_info_tells_what_is_there(tmp_path: Path) -> None:
    store = a_store(tmp_path / "store", 0, 1, 30)
    shown = run("store", "info", store.path).stdout
    assert "3,000 in 3 segments" in shown
    assert "(archive)" in shown
    days = [line.split()[:3] for line in shown.splitlines()[-2:]]
    assert days == [["2026-01-05", "2", "2,000"], ["2026-01-06", "1", "1,000"]]
    (facts,) = json.loads(run("store", "info", store.path, "--format", "json").stdout)
    assert (facts["records"], facts["segments"], len(facts["days"])) == (3000, 3, 2)
    flows = pa.concat_tables([some_flows(1000, hour, n) for n, hour in enumerate((0, 1, 30))])
    last = max(flows.column("last_seen").cast(pa.int64()).to_pylist())
    from spanline.cli.text import rfc3339

    assert facts["last_seen"] == rfc3339(last)


def test_an_empty_store_is_shown(tmp_path: Path) -> None:
    Store(tmp_path / "store", create=True)
    shown = run("store", "info", tmp_path / "store").stdout
    assert "0 in 0 segments" in shown
    assert "all well: 0 segments" in run("store", "verify", tmp_path / "store").stdout
    assert run("store", "compact", tmp_path / "store").stdout == "nothing to compact\n"


def test_verify_and_repair_name_what_is_damaged(tmp_path: Path) -> None:
    store = a_store(tmp_path / "store", 0, 1)
    with store.segments() as chosen:
        path = chosen.paths[0]
    octets = bytearray(path.read_bytes())
    octets[len(octets) // 2] ^= 1
    path.write_bytes(octets)
    (line,) = run("store", "verify", store.path, code=2).stderr.splitlines()
    assert line.startswith(f"spanline: {path}: its checksum is wrong")
    (facts,) = json.loads(run("store", "verify", store.path, "--format", "json", code=2).stdout)
    assert [problem["path"] for problem in facts["problems"]] == [str(path)]
    shown = run("store", "repair", store.path).stdout
    assert shown.splitlines() == [f"{path}: its checksum is wrong: set aside", "1,000 records less than before"]
    assert "all well: 1 segment" in run("store", "verify", store.path).stdout
    assert run("store", "repair", store.path).stdout == "nothing to repair\n"
    assert [one.read_bytes() for one in (store.path / "quarantine").iterdir()] == [bytes(octets)]


def test_compact_and_expire_say_what_they_did(tmp_path: Path) -> None:
    store = a_store(tmp_path / "store", 0, 0, 0, 7)
    assert run("store", "compact", store.path).stdout == "3 segments became 1\n"
    assert run("store", "expire", store.path, "--age", "1h").stdout == "nothing is that old\n"
    assert "removed 2 segments: 4,000 records" in run("store", "expire", store.path, "--size", "1K").stdout
    assert Store(store.path).read().num_rows == 0


def test_an_expired_capture_may_come_again(capture: Path, tmp_path: Path) -> None:
    store = tmp_path / "store"
    run("crunch", capture, "--store", store)
    rows = Store(store).read().num_rows
    run("store", "expire", store, "--size", "1")
    assert Store(store).read().num_rows == 0
    run("crunch", capture, "--store", store)
    assert Store(store).read().num_rows == rows
