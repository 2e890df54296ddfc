"""Small segments become one, old ones go, and readers and a second writer get what they ask for meanwhile."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from spanline.errors import OutputError
from spanline.store import Store, compaction, locks
from spanline.store.compaction import MANY
from spanline.store.repair import verify
from tests.stored import a_store, in_order, some_flows

pytestmark = pytest.mark.usefixtures("apart")

DAY = 86_400 * 10**9


def test_segments_of_an_hour_become_one(tmp_path: Path) -> None:
    """Oracle: the flows before."""
    store = a_store(tmp_path / "store", 0, 0, 1, 0, 2, 2, count=300)
    flows = in_order(store.read())
    compacted = store.compact()
    assert (compacted.before, compacted.after) == (5, 2)
    with store.segments() as chosen:
        assert [(one.hour[-2:], one.rows) for one in chosen.segments] == [("00", 900), ("01", 300), ("02", 600)]
    assert in_order(store.read()).equals(flows)
    assert verify(store) == []
    assert len(list(store.path.rglob("*.parquet"))) == 3
    assert store.compact().before == 0


def test_large_segments_stay(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(compaction, "ROWS", 250)
    store = a_store(tmp_path / "store", 0, 0, 0, 0, 0, count=100)
    assert (store.compact().before, len(store.state().segments)) == (4, 3)
    assert sorted(one.rows for one in store.state().segments.values()) == [100, 200, 200]
    assert store.compact().before == 0


def test_what_arrived_days_apart_stays_apart(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    store = Store(tmp_path / "store", create=True)
    for day in (0, 0, 3, 3):
        arrive(store, monkeypatch, day * DAY)
    assert (store.compact().before, len(store.state().segments)) == (4, 2)
    assert sorted(one.arrived // DAY for one in store.state().segments.values()) == [0, 3]


def arrive(store: Store, monkeypatch: pytest.MonkeyPatch, at: int, hour: int = 0) -> None:
    """Some flows come into the store at that time."""
    with monkeypatch.context() as patched:
        patched.setattr(time, "time_ns", lambda: at)
        store.append(some_flows(100, hour))


def test_flows_of_a_capture_that_is_not_complete_stay_apart(tmp_path: Path) -> None:
    """The next run with this capture takes their place."""
    store = a_store(tmp_path / "store", 0, 0, count=100)
    with store.writing([("identity", "a.pcap")]) as writer:
        for _ in range(2):
            writer.write(some_flows(100))
            writer.commit()
        assert compaction.compact(store.path, store.id).before == 2
        assert sorted(one.rows for one in store.state().segments.values()) == [100, 100, 200]
    assert store.compact().before == 3


def test_a_writer_compacts_by_itself(tmp_path: Path) -> None:
    store = Store(tmp_path / "store", create=True)
    with store.writing(is_live=True) as writer:
        for n in range(MANY + 5):
            writer.write(some_flows(20, seed=n))
            writer.commit()
            assert len(store.state().segments) < MANY
    assert store.read().num_rows == 20 * (MANY + 5)
    assert store.is_live
    assert verify(store) == []


def test_what_is_damaged_is_left_where_it_is(tmp_path: Path) -> None:
    store = a_store(tmp_path / "store", 0, 0, 0, count=100)
    with store.segments() as chosen:
        damaged = chosen.paths[1]
    damaged.write_bytes(damaged.read_bytes()[:-1] + b"?")
    compacted = store.compact()
    assert (compacted.before, compacted.after) == (2, 1)
    assert [problem.path for problem in compacted.problems] == [str(damaged)]
    assert damaged.exists()
    assert store.read().num_rows == 200


# --- readers


@pytest.mark.parametrize("change", [Store.compact, lambda store: store.expire(size=1)])
def test_nothing_is_taken_from_a_reader(tmp_path: Path, change: Callable[[Store], object]) -> None:
    store = a_store(tmp_path / "store", 0, 0, 0, count=100)
    with store.segments() as chosen:
        change(store)
        assert all(path.exists() for path in chosen.paths)
        with store.segments() as others:
            assert len(others.segments) < 3
    assert verify(store) == []
    # The next writer removes what nobody reads any more.
    store.append(some_flows(10, 7))
    assert not any(path.exists() for path in chosen.paths)
    assert verify(store) == []


def test_readers_see_every_flow_once_while_segments_are_compacted(tmp_path: Path) -> None:
    """Oracle: the count of rows, which no query may see differently. Readers come while a writer adds and compacts."""
    store = a_store(tmp_path / "store", *[0] * 8, count=50)
    counts: list[int] = []
    problems: list[object] = []
    over = threading.Event()

    def read() -> None:
        reader = Store(store.path)
        while not over.is_set():
            with reader.segments() as chosen:
                problems.extend(chosen.problems)
                counts.append(sum(one.rows for one in chosen.segments))
                assert all(path.stat().st_size for path in chosen.paths)

    readers = [threading.Thread(target=read) for _ in range(2)]
    for thread in readers:
        thread.start()
    for n in range(12):
        store.append(some_flows(50, seed=n))
        store.compact()
    over.set()
    for thread in readers:
        thread.join()
    assert not problems
    assert len(counts) > 2
    assert {count % 50 for count in counts} == {0}
    assert counts[0] >= 400
    assert max(counts) <= 400 + 12 * 50
    assert store.read().num_rows == 400 + 12 * 50


# --- two writers


def test_a_second_writer_is_told_who_writes(tmp_path: Path) -> None:
    store = a_store(tmp_path / "store", 0)
    told = f"process {os.getpid()} writes to this store; a store has one writer"
    with store.writing() as writer:
        with pytest.raises(OutputError, match=told):
            Store(store.path).append(some_flows(10))
        writer.write(some_flows(10, 1))
    store.append(some_flows(10, 2))
    assert store.read().num_rows == 1020


def test_a_store_is_looked_after_while_a_run_goes_on(tmp_path: Path) -> None:
    """A live capture lasts for weeks, and old flows shall go meanwhile."""
    store = a_store(tmp_path / "store", 0, 0)
    with store.writing(is_live=True) as writer:
        assert store.compact().before == 2
        writer.write(some_flows(10, 1))
        writer.commit()
        assert len(store.expire(size=1)) == 2
        assert verify(store) == []
        writer.write(some_flows(20, 2))
    assert store.read().num_rows == 20
    assert store.is_live
    assert verify(store) == []


def test_the_lock_ends_with_its_holder(tmp_path: Path) -> None:
    store = a_store(tmp_path / "store", 0)
    with pytest.raises(ZeroDivisionError), locks.sole_writer(store.path):
        _ = 1 // 0
    store.append(some_flows(10))


def test_a_failed_run_keeps_what_it_committed(tmp_path: Path) -> None:
    store = Store(tmp_path / "store", create=True)
    with pytest.raises(ZeroDivisionError), store.writing(is_live=True) as writer:
        fail(writer)
    assert store.read().num_rows == 100


def fail(writer: object) -> None:
    writer.write(some_flows(100))  # type: ignore[attr-defined]
    writer.commit()  # type: ignore[attr-defined]
    writer.write(some_flows(50, 1))  # type: ignore[attr-defined]
    _ = 1 // 0


# --- retention


@pytest.mark.parametrize(
    ("age", "size", "left"),
    [
        (5 * DAY, None, [8, 9]),
        (100 * DAY, None, [0, 8, 9]),
        (None, 1 << 30, [0, 8, 9]),
        (None, 2.5, [8, 9]),
        (None, 1.5, [9]),
        (None, 0, []),
        (5 * DAY, 1.5, [9]),
    ],
)
def test_the_oldest_go_by_when_they_arrived(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, age: int | None, size: float | None, left: list[int]
) -> None:
    """What arrived first has the latest packets."""
    store = Store(tmp_path / "store", create=True)
    for day, hour in ((0, 20), (8, 10), (9, 0)):
        arrive(store, monkeypatch, day * DAY, hour)
    each = max(one.size for one in store.state().segments.values())
    with monkeypatch.context() as patched:
        patched.setattr(time, "time_ns", lambda: 10 * DAY)
        gone = store.expire(age, None if size is None else int(size * each))
    assert sorted(one.arrived // DAY for one in store.state().segments.values()) == left
    assert [one.arrived // DAY for one in gone] == [day for day in (0, 8, 9) if day not in left]
    assert len(list(store.path.rglob("*.parquet"))) == len(left)
    assert not [path for path in store.path.glob("????-??-??/*") if not list(path.iterdir())]
    assert verify(store) == []
