"""Every file of the shared captures: no crash, no hang, books that balance; and small ones cut at every byte.

Oracles: `read = decoded + undecodable` and `decoded = flow packets + non-flow` (DESIGN, "Every loss is counted"), where
undecodable is a frame of which no IP layer was reached because decoding stopped before, and non-flow one that was
decoded and has none, as ARP. For a cut file: the frames of the whole one, of which a prefix must come out.
"""

from __future__ import annotations

import time
from pathlib import Path

import numpy as np
import pytest

import spanline
from spanline.errors import CaptureError
from spanline.sources import capture_file, streams
from spanline.stages.flows import Flows
from tests.conftest import shared_folder
from tests.test_decode_damage import assert_inside

FOLDERS = ("apps", "formats", "ip", "linktypes", "malformed", "mixed", "plaintext", "tcp", "tunnels")
SLOWEST = 20.0
"""Seconds for one file; the largest has some megabytes."""


def files_of(folder: Path) -> list[Path]:
    return sorted(path for path in folder.rglob("*") if path.is_file())


@pytest.mark.parametrize("folder", FOLDERS)
def test_every_file_is_read_and_accounted_for(captures: Path, folder: str) -> None:
    """All differences are told at once, by file."""
    wrong: dict[str, str] = {}
    for path in files_of(captures / folder):
        started, rows, undecodable, others = time.monotonic(), 0, 0, 0
        capture, flows = spanline.open(path), Flows(idle_timeout=None)
        try:
            for batch in capture.run(flows):
                assert_inside(batch)
                rows += len(batch)
                without_ip = batch.packets["ip_version"] == 0
                undecodable += np.count_nonzero(without_ip & (batch.packets["verdict"] != 0))
                others += np.count_nonzero(without_ip & (batch.packets["verdict"] == 0))
        except CaptureError:
            assert rows == 0
            assert capture.problems
            continue
        table = flows.tables()["flows"]
        counters = capture.counters
        in_records = sum(sum(table[f"{side}_packets"].to_pylist()) for side in ("source", "destination"))
        books = {
            "read": (counters.read, rows),
            "read = decoded + undecodable": (counters.decoded + undecodable, rows),
            "decoded = flow + non-flow": (flows.flow_packets + flows.non_flow_packets, counters.decoded),
            "non-flow": (flows.non_flow_packets, others),
            "flow packets = sum over flows": (in_records, flows.flow_packets),
            "frames of the file": (sum(info.frames for info in capture.files), rows),
        }
        off = {name: pair for name, pair in books.items() if pair[0] != pair[1]}
        if off or time.monotonic() - started > SLOWEST:
            wrong[str(path.relative_to(captures))] = str(off) or "too slow"
    assert wrong == {}


def frames_of(path: Path) -> list[tuple[int, int, bytes]]:
    found = []
    try:
        for batch in spanline.open(path):
            for row in batch.packets[["timestamp", "wire_length", "frame_offset", "captured_length"]].tolist():
                time_, wire, at, size = row
                found.append((time_, wire, batch.buffers[0][at : at + size].tobytes()))
    except CaptureError:
        assert not found
    return found


def small_ones() -> list[str]:
    """The smallest capture with some frames of each folder, one of them compressed, and one more of two formats."""
    chosen: list[str] = []
    root = shared_folder("captures")
    if not root.is_dir():
        return []
    for folder in FOLDERS:
        sized = sorted((path.stat().st_size, path) for path in files_of(root / folder))
        fitting = [path for size, path in sized if 300 < size < 4000]
        chosen += [str(path.relative_to(root)) for path in fitting[:1]]
    formats = [path for path in files_of(root / "formats") if 300 < path.stat().st_size < 3000]
    for magic in (b"\x1f\x8b", b"\x0a\x0d\x0d\x0a", b"\x28\xb5\x2f\xfd"):
        chosen += [str(path.relative_to(root)) for path in formats if path.read_bytes().startswith(magic)][:1]
    return sorted(set(chosen))


@pytest.mark.parametrize("name", small_ones())
def test_cut_at_every_byte(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, captures: Path, name: str) -> None:
    monkeypatch.setattr(capture_file, "CHUNK_BYTES", 1 << 14)
    monkeypatch.setattr(streams, "_PATIENCE", 0)  # nobody is writing to what was just written
    data = (captures / name).read_bytes()
    whole = frames_of(captures / name)
    before = 0
    for cut in range(len(data) + 1):
        (tmp_path / "cut").write_bytes(data[:cut])
        found = frames_of(tmp_path / "cut")
        assert found == whole[: len(found)]
        assert len(found) >= before, "more bytes cannot give fewer frames"
        before = len(found)
    assert before == len(whole)
