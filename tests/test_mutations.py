"""Captures with 1 % of their bytes changed are read without a fault: a slice of what tests/fuzz/mutate.py does."""

from __future__ import annotations

import os
import time
from pathlib import Path

import pytest

from tests.fuzz import mutate
from tests.test_cut_files import COMPRESSIONS, PLAIN

SEEDS = range(60)
SLOWEST = 20.0


def look(path: Path, seed: int, target: Path) -> int:
    frames = 0
    for _, data in mutate.mutations(path, seed):
        target.write_bytes(data)
        os.utime(target, (0, 0))  # nobody goes on writing it
        begun = time.monotonic()
        frames += mutate.look_at_everything(target)[0]
        assert time.monotonic() - begun < SLOWEST
    return frames


@pytest.mark.parametrize("name", PLAIN)
def test_crafted_captures(tmp_path: Path, name: str) -> None:
    """Also compressed: then what is inside is changed, too."""
    plain = b"".join(PLAIN[name].parts)
    frames = 0
    for seed in SEEDS:
        (tmp_path / "capture").write_bytes(plain)
        frames += look(tmp_path / "capture", seed, tmp_path / "mutated")
    for compress, _ in COMPRESSIONS.values():
        (tmp_path / "compressed").write_bytes(compress(plain))
        frames += sum(look(tmp_path / "compressed", seed, tmp_path / "mutated") for seed in SEEDS[:6])
    assert frames > 60  # many are captures still


def test_some_shared_captures(tmp_path: Path, captures: Path) -> None:
    """One in 29 of them, changed otherwise than when the whole corpus was looked at."""
    files = sorted(path for path in captures.rglob("*") if path.is_file())[::29]
    assert sum(look(path, 1000, tmp_path / "mutated") for path in files) > 100


def test_changes_depend_on_the_seed_only() -> None:
    data = bytes(range(256)) * 40
    changed = mutate.mutated(data, "a")
    assert changed == mutate.mutated(data, "a") != mutate.mutated(data, "b")
    assert 50 < sum(a != b for a, b in zip(data, changed, strict=True)) <= 102
    assert mutate.mutated(data, "a", 10_000)[:10_000] == data[:10_000]
    assert mutate.mutated(b"", "a") == b""
