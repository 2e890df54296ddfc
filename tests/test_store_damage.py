"""What happens to a store when its writer is killed, bits tip over, disks are full and files get lost."""

from __future__ import annotations

import contextlib
import os
import random
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from spanline.errors import OutputError, UsageError
from spanline.store import Store
from spanline.store.manifest import NAME, Run, transaction
from spanline.store.repair import repair, verify
from spanline.store.segments import checksum_of
from tests.conftest import REPOSITORY
from tests.store_writer import ROWS
from tests.stored import a_store, in_order, some_flows

KILLS = int(os.environ.get("SPANLINE_KILLS", "10"))
"""How often a writer is killed; `make soak` asks for more."""


pytestmark = pytest.mark.usefixtures("apart")


def flip(path: Path, bit: int) -> None:
    octets = bytearray(path.read_bytes())
    octets[bit // 8] ^= 1 << bit % 8
    path.write_bytes(octets)


def test_a_killed_writer_loses_at_most_what_it_had_not_committed(tmp_path: Path) -> None:
    """Killed at random moments, one after the other on the same store. Oracle: the writer's own words."""
    chance = random.Random(20260105)
    folder, committed = tmp_path / "store", 0
    for kill in range(KILLS):
        command = [sys.executable, "-m", "tests.store_writer", str(folder), str(kill)]
        paths = os.pathsep.join([str(REPOSITORY), str(REPOSITORY / "benchmarks"), os.environ.get("PYTHONPATH", "")])
        environment = os.environ | {"PYTHONPATH": paths}
        with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment) as writer:
            assert writer.stdout is not None
            # So far by its words, however slow the machine is, and then a moment.
            words = [writer.stdout.readline() for _ in range(chance.randrange(1, 15))]
            time.sleep(chance.uniform(0, 0.05))
            writer.kill()
            words += writer.stdout
            assert words[0] == "ready\n"
            committed += sum(int(line.split()[1]) for line in words[1:])
        store = Store(folder)
        rows = sum(segment.rows for segment in store.state().segments.values())
        # What the last words were about may be in the store before they are said.
        assert rows - committed in (0, ROWS)
        committed = rows
        with store.segments() as chosen:
            assert chosen.problems == ()
            assert sum(segment.rows for segment in chosen.segments) == rows
    assert committed
    repair(folder)
    assert verify(Store(folder)) == []
    assert Store(folder).read().num_rows == committed


def test_every_bit_counts(tmp_path: Path) -> None:
    """10,000 bits tip over, one at a time: the checksum of each segment is another."""
    store = a_store(tmp_path / "store", 0, count=50)
    (segment,) = store.state().segments.values()
    whole = (store.path / segment.name).read_bytes()
    bits = random.Random(1).sample(range(len(whole) * 8), 10_000)
    octets = bytearray(whole)
    unnoticed = []
    for bit in bits:
        octets[bit // 8] ^= 1 << bit % 8
        unnoticed += [bit] if checksum_of(octets) == segment.checksum else []
        octets[bit // 8] ^= 1 << bit % 8
    assert octets == whole
    assert unnoticed == []


@pytest.mark.parametrize("seed", range(20))
def test_readers_leave_out_what_is_damaged_and_say_so(tmp_path: Path, seed: int) -> None:
    store = a_store(tmp_path / "store", 0, 1, 2, count=50)
    with store.segments() as chosen:
        assert len(chosen.segments) == 3
    path = chosen.paths[1]
    flip(path, random.Random(seed).randrange(path.stat().st_size * 8))
    with store.segments() as chosen:
        assert [one.hour[-2:] for one in chosen.segments] == ["00", "02"]
        (problem,) = chosen.problems
    assert problem.path == str(path)
    assert "50 flows are left out" in str(problem)
    assert [one.path for one in verify(store)] == [str(path)]


def test_what_was_verified_is_not_read_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from spanline.store import verified

    read = []
    real = verified.checksum_of_file
    monkeypatch.setattr(verified, "checksum_of_file", lambda path: read.append(path) or real(path))
    store = a_store(tmp_path / "store", 0, 1)
    for _ in range(3):
        store.segments().close()
    assert len(read) == 2
    verify(store)
    assert len(read) == 4
    # Another inode, size or time: it is read once more.
    with store.segments() as chosen:
        os.utime(chosen.paths[0], ns=(1, 1))
    for _ in range(2):
        store.segments().close()
    assert len(read) == 5


def test_a_missing_segment_is_told(tmp_path: Path) -> None:
    store = a_store(tmp_path / "store", 0, 1)
    with store.segments() as chosen:
        chosen.paths[0].unlink()
    with store.segments() as chosen:
        assert len(chosen.segments) == 1
        assert "No such file" in str(chosen.problems[0])
    assert repair(store.path).rows == 1000
    assert verify(store) == []


# --- the manifest


@pytest.mark.parametrize("left", [1, 5, 20, 60])
def test_half_a_line_of_a_killed_writer_is_passed_over(tmp_path: Path, left: int) -> None:
    store = a_store(tmp_path / "store", 0, 1)
    manifest = store.path / NAME
    whole = manifest.read_bytes()
    lines = whole.splitlines(keepends=True)
    assert len(lines[-1]) > left
    manifest.write_bytes(b"".join(lines[:-1]) + lines[-1][:left])
    state = store.state()
    assert (len(state.segments), state.problems) == (1, [])
    store.append(some_flows(10, 5))
    assert sum(one.rows for one in store.state().segments.values()) == 1010
    assert store.state().problems == []
    repair(store.path)
    assert verify(store) == []


def test_every_bit_of_the_manifest_counts(tmp_path: Path) -> None:
    """Each bit that tips over is told, or is in the last line's end, which makes it half a line."""
    store = a_store(tmp_path / "store", 0, 1, count=10)
    manifest = store.path / NAME
    whole = manifest.read_bytes()
    for bit in range(0, len(whole) * 8 - 8, 29):
        flip(manifest, bit)
        state = store.state()
        assert state.problems or len(state.segments) < 2, bit
        manifest.write_bytes(whole)


@pytest.mark.parametrize("damage", ["lost", "empty", "bit", "all"])
def test_a_manifest_is_made_again(tmp_path: Path, damage: str) -> None:
    store = a_store(tmp_path / "store", 0, 0, 1)
    store.compact()
    before, flows = store.state(), store.read()
    if damage == "lost":
        (store.path / NAME).unlink()
        with pytest.raises(UsageError, match="manifest of this store is missing; make it again with spanline store"):
            store.segments()
    elif damage == "empty":
        (store.path / NAME).write_bytes(b"damaged\n")
    elif damage == "bit":
        flip(store.path / NAME, 400)
    else:
        (store.path / NAME).unlink()
        (store.path / "spanline-store.json").unlink()
        with pytest.raises(UsageError, match="no store"):
            Store(store.path)
    repaired = repair(store.path)
    assert len(repaired.found) >= 1
    assert repaired.set_aside == ()
    again = Store(store.path)
    assert again.state().segments == before.segments
    assert set(again.state().runs) == set(before.runs)
    assert in_order(again.read()).equals(in_order(flows))
    assert verify(again) == []


def test_what_was_replaced_is_not_found_again(tmp_path: Path) -> None:
    """Somebody read while segments were compacted, and then the manifest was lost: each flow is there once."""
    store = a_store(tmp_path / "store", 0, 0)
    with store.segments() as chosen:
        store.compact()
        assert all(path.exists() for path in chosen.paths)
        (store.path / NAME).unlink()
        repaired = repair(store.path)
    assert [one.rows for one in repaired.found] == [2000]
    assert Store(store.path).read().num_rows == 2000


def test_damaged_strays_are_set_aside(tmp_path: Path) -> None:
    store = a_store(tmp_path / "store", 0, 1)
    with store.segments() as chosen:
        flip(chosen.paths[0], 8 * 2000)
        flip(chosen.paths[1], 8 * (chosen.segments[1].size - 2))
    (store.path / NAME).unlink()
    repaired = repair(store.path)
    assert repaired.found == ()
    assert len(repaired.set_aside) == 2
    assert len(list((store.path / "quarantine").iterdir())) == 2


def test_a_segment_without_a_line_is_told_and_set_aside(tmp_path: Path) -> None:
    """As a writer leaves it that is killed after a segment and before its line."""
    store = a_store(tmp_path / "store", 0)
    with store.segments() as chosen:
        copy = chosen.paths[0].with_name("segment-20260105T000000Z-00000000.parquet")
        shutil.copyfile(chosen.paths[0], copy)
    (problem,) = verify(store)
    assert (problem.path, problem.kind) == (str(copy), "stray")
    assert store.read().num_rows == 1000
    repair(store.path)
    assert verify(store) == []
    assert Store(store.path).read().num_rows == 1000


def test_a_capture_that_lost_flows_may_come_again(tmp_path: Path) -> None:
    store = Store(tmp_path / "store", create=True)
    captures = [("identity", "a.pcap")]
    with store.writing(captures) as writer:
        for hour in range(3):
            writer.write(some_flows(100, hour, hour))
            writer.commit()
    flows = in_order(store.read())
    with store.segments() as chosen:
        flip(chosen.paths[1], 8 * 1000)
    repaired = repair(store.path)
    assert (repaired.rows, repaired.again) == (100, ("a.pcap",))
    assert not store.captures()
    with store.writing(captures) as writer:
        for hour in range(3):
            writer.write(some_flows(100, hour, hour))
    assert in_order(store.read()).equals(flows)


# --- disks


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Path]:
    """Of 400 kB."""
    if sys.platform != "linux" or os.geteuid() != 0:
        pytest.skip("needs root, to mount a small disk")
    folder = tmp_path / "disk"
    folder.mkdir()
    if subprocess.run(["mount", "-t", "tmpfs", "-o", "size=400k", "tmpfs", folder], capture_output=True).returncode:
        pytest.skip("cannot mount")
    yield folder
    subprocess.run(["umount", folder], check=True)


def test_a_full_disk_is_told_and_nothing_is_lost(disk: Path) -> None:
    store = Store(disk / "store", create=True)
    added = _append_until_full(store)
    assert 2 < added < 50
    assert verify(store) == []
    assert store.read().num_rows == added * 1000
    assert not list(disk.rglob("*.part"))
    _fill(disk)
    with pytest.raises(OutputError, match="No space left on device"):
        store.append(some_flows(1000))
    assert verify(store) == []
    (disk / "ballast").unlink()
    store.expire(size=100_000)
    store.append(some_flows(1000))
    assert verify(store) == []


def test_a_full_disk_is_made_room_on(disk: Path) -> None:
    """Of many segments, whose names need more room than is left."""
    store = Store(disk / "store", create=True)
    with store.writing() as writer:
        for hour in range(12):
            writer.write(some_flows(100, hour))
    sizes = [_log_after(store, "")]
    sizes.append(_log_after(store, ""))
    # 300 bytes are left of its last block then.
    _log_after(store, "x" * ((-300 - 2 * sizes[1] + sizes[0]) % 4096))
    _fill(disk)
    assert len(store.expire(size=1)) == 12
    assert verify(store) == []
    store.append(some_flows(100))


def _log_after(store: Store, name: str) -> int:
    """The size of the manifest with a line more, of a run of a capture of that name."""
    store.manifest.add(transaction(runs=[Run("run", (("identity", name),))]))
    return (store.path / NAME).stat().st_size


def _fill(disk: Path) -> None:
    """To the last block."""
    with contextlib.suppress(OutputError, OSError), (disk / "ballast").open("wb", buffering=0) as ballast:
        while True:
            ballast.write(bytes(4096))


def _append_until_full(store: Store) -> int:
    """How often 1000 flows were appended before there was no more room for them."""
    for n in range(100):
        try:
            store.append(some_flows(1000, n % 5, n % 5))
        except OutputError:
            return n
    raise AssertionError("there was room for all")
