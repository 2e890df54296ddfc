"""However the work is divided, the flows and packets are the same.

Oracle: the same capture in one piece, on one table, by one thread. Chunks of any size, several shards, merged or on
threads, and state taken at any packet and restored into a new stage.
"""

from __future__ import annotations

import itertools
import random
import threading
from collections.abc import Iterator, Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
import traffic
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import spanline
from spanline.batch import Batch
from spanline.errors import CaptureError
from spanline.relay import relay
from spanline.schema import PACKET_DTYPE
from spanline.sources import capture_file
from spanline.stages.conversations import Conversations
from spanline.stages.endpoints import Endpoints
from spanline.stages.flows import Flows, in_order
from spanline.stages.io_statistics import IoStatistics
from spanline.stages.round_trips import RoundTrips
from spanline.stages.sorted_flows import SortedFlows
from spanline.stages.summary import Summary
from spanline.stages.verdicts import Verdicts
from spanline.transforms.annotate import Annotate
from tests.craft_files import pcap
from tests.test_every_capture import FOLDERS, files_of
from tests.test_flow_table import conversations

OPTIONS: dict[str, Any] = {"idle_timeout": 5.0, "active_timeout": 20.0, "by_vlan": True}


@pytest.fixture(scope="module")
def own(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """Captures of our own: whole connections, tunnels, and some thousand packets of an internet mix."""
    folder = tmp_path_factory.mktemp("own")
    (folder / "conversations.pcap").write_bytes(pcap(conversations(), nanoseconds=True))
    for kind in ("mix", "vxlan"):
        traffic.generate(kind, folder / f"{kind}.pcap", packets=3000, flows=150)
    return sorted(folder.iterdir())


def flows_of(stage: Flows, drained: Sequence[pa.Table] = ()) -> pa.Table:
    return in_order([*drained, *stage.rest()])


def batches(path: Path, chunk: int | None = None, threads: int = 1) -> Iterator[Batch]:
    with pytest.MonkeyPatch.context() as patch:
        if chunk is not None:
            patch.setattr(capture_file, "CHUNK_BYTES", chunk)
        yield from spanline.open(path, threads=threads)


def cut(batch: Batch, at: int) -> tuple[Batch, Batch]:
    first = np.arange(len(batch)) < at
    return batch.select(first), batch.select(~first)


STACKS: dict[tuple[str, ...], int] = {}


def packets_of(batch: Batch) -> np.ndarray[Any, Any]:
    """A copy of the rows, with a number for the stack of protocols that does not depend on which was met first."""
    packets = batch.packets.copy()
    for path in np.unique(batch.packets["path"]).tolist():
        packets["path"][batch.packets["path"] == path] = STACKS.setdefault(batch.paths[path], len(STACKS))
    return packets


@lru_cache(4)  # captures of our own are divided again and again
def whole(path: Path) -> tuple[pa.Table, np.ndarray[Any, Any]]:
    stage, packets = Flows(**OPTIONS), [np.empty(0, PACKET_DTYPE)]
    for batch in batches(path):
        stage.update(batch)
        packets.append(packets_of(batch))
    return flows_of(stage), np.concatenate(packets)


def without_places(packets: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    """Offsets are places in a chunk."""
    packets = packets.copy()
    in_frame = (packets["payload_buffer"] == 0) & (packets["payload_offset"] != 0)
    packets["payload_offset"] -= packets["frame_offset"] * in_frame
    packets["frame_offset"] = 0
    packets["payload_offset"][packets["payload_buffer"] != 0] = 0
    return packets


def assert_dividing_changes_nothing(path: Path, chunk: int, shards: int, threads: int, restored_after: float) -> None:
    """`restored_after` is a part of all packets."""
    expected, packets = whole(path)
    at = int(len(packets) * restored_after)
    stages = [Flows(**OPTIONS, parts=threads, shard=(n, shards)) for n in range(shards)]
    seen, got, drained = 0, [packets[:0]], []
    for batch in batches(path, chunk, threads):
        parts = cut(batch, at - seen) if seen <= at < seen + len(batch) else [batch]
        for n, part in enumerate(parts):
            if n:
                stages = [continued(stage, (k, shards)) for k, stage in enumerate(stages)]
            for stage in stages:
                stage.update(part)
            got.append(packets_of(part))
        drained += [stage.drain()["flows"] for stage in stages if chunk % 2]
        seen += len(batch)
    assert np.array_equal(without_places(np.concatenate(got)), without_places(packets))
    first, *others = stages
    for other in others:
        first.merge(other)
    others_packets = np.count_nonzero((packets["ip_version"] == 0) & (packets["verdict"] == 0))
    assert first.non_flow_packets == others_packets
    assert first.flow_packets == np.count_nonzero(packets["ip_version"])
    assert flows_of(first, drained) == expected


@settings(max_examples=40, deadline=None, suppress_health_check=list(HealthCheck))
@given(
    chunk=st.integers(64, 1 << 17),
    shards=st.sampled_from([1, 2, 7]),
    threads=st.sampled_from([1, 2]),
    restored_after=st.floats(0, 1),
    choice=st.integers(0, 2),
)
def test_dividing_captures_of_our_own(
    own: list[Path], choice: int, chunk: int, shards: int, threads: int, restored_after: float
) -> None:
    assert_dividing_changes_nothing(own[choice], chunk, shards, threads, restored_after)


@pytest.mark.parametrize("folder", FOLDERS)
def test_dividing_every_capture(captures: Path, folder: str) -> None:
    """One division of each, drawn by its name. All differences are told at once, by file."""
    wrong = {}
    for path in files_of(captures / folder):
        chance = random.Random(path.name)
        divided = (
            chance.randrange(64, 1 << 15),
            chance.choice([1, 2, 7]),
            chance.choice([1, 1, 1, 2]),
            chance.random(),
        )
        try:
            assert_dividing_changes_nothing(path, *divided)
        except CaptureError:
            continue
        except AssertionError as error:
            wrong[str(path.relative_to(captures))] = (divided, str(error)[:200])
    assert wrong == {}


def continued(stage: Flows, shard: tuple[int, int]) -> Flows:
    later = Flows(**OPTIONS, parts=3, shard=shard)
    later.restore(stage.state())
    return later


VIEWS = [Conversations, Endpoints, lambda **options: IoStatistics(1000_000, **options)]


@pytest.mark.parametrize("make", [RoundTrips, SortedFlows, lambda: SortedFlows("bytes", 5), Summary, Verdicts, *VIEWS])
@pytest.mark.parametrize("choice", range(3))
def test_other_stages_go_on_from_their_state(make: Any, own: list[Path], choice: int) -> None:
    straight, interrupted = make(), make()
    for batch in batches(own[choice]):
        straight.update(batch)
        for part in cut(batch, len(batch) // 2):
            later = make()
            later.restore(interrupted.state())
            interrupted = later
            interrupted.update(part)
    assert interrupted.tables() == straight.tables()


@pytest.mark.parametrize("make", [RoundTrips, SortedFlows, lambda **o: SortedFlows("rtt", 5, **o), *VIEWS])
@pytest.mark.parametrize("choice", range(3))
def test_other_stages_merge(make: Any, own: list[Path], choice: int) -> None:
    straight, parts = make(), [make(shard=(n, 7)) for n in range(7)]
    for batch in batches(own[choice]):
        for stage in (straight, *parts):
            stage.update(batch)
    for part in parts[1:]:
        parts[0].merge(part)
    assert parts[0].tables() == straight.tables()


@pytest.mark.parametrize("make", [Verdicts, *VIEWS])
@pytest.mark.parametrize("choice", range(3))
def test_views_by_any_chunks_and_threads(make: Any, own: list[Path], choice: int) -> None:
    expected = None
    for chunk, threads in ((1 << 22, 1), (64, 1), (5000, 2), (777, 3)):
        stage = make()
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(capture_file, "CHUNK_BYTES", chunk)
            for _ in spanline.open(own[choice], threads=threads).run(stage, transforms=[Annotate()]):
                pass
        expected = stage.tables() if expected is None else expected
        assert stage.tables() == expected


@pytest.mark.parametrize("threads", [2, 3, 8])
@pytest.mark.parametrize("choice", range(3))
def test_threads_change_nothing(own: list[Path], choice: int, threads: int) -> None:
    """Through Capture.run(), which shares the work out, with flows drained while others are added."""
    expected, packets = whole(own[choice])
    stage, got, drained = Flows(**OPTIONS, parts=threads // 2), [packets[:0]], []
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(capture_file, "CHUNK_BYTES", 5000)
        for batch in spanline.open(own[choice], threads=threads).run(stage):
            got.append(packets_of(batch))
            drained.append(stage.drain()["flows"])
    assert np.array_equal(without_places(np.concatenate(got)), without_places(packets))
    assert flows_of(stage, drained) == expected


def test_what_a_thread_raises_is_raised() -> None:
    for where in range(3):

        def fail(number: int, where: int = where) -> None:
            if number == 5 and where:
                raise ValueError(f"step {where}")

        def numbers(where: int = where) -> Iterator[int]:
            yield from range(6 if where else 4)
            if not where:
                raise ValueError("step 0")

        seen: list[int] = []
        with pytest.raises(ValueError, match=f"step {where}"):
            seen.extend(relay(numbers(), [fail, seen_by_all.append], 3))
        assert threading.active_count() == 1


seen_by_all: list[int] = []


def test_threads_end_when_nobody_listens_any_more() -> None:
    items = relay(itertools.count(), [seen_by_all.append], 4)
    assert [next(items), next(items)] == [0, 1]
    items.close()
    assert threading.active_count() == 1
