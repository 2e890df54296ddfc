"""What takes long to make is made once, and shared by all workers of a run of the tests."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import history
import pytest

FLOWS = 3000
"""Of the two weeks: tests compute what is true of history.history(FLOWS)."""


def made_once(factory: pytest.TempPathFactory, name: str, make: Callable[[Path], object]) -> Path:
    """The folder that `make` fills; whoever asks for it first makes it, and the others wait. Nobody changes it."""
    import fcntl

    base = factory.getbasetemp()
    root = base.parent if "PYTEST_XDIST_WORKER" in os.environ else base
    with (root / f"{name}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not (root / name).exists():
            part = root / f"{name}.part"
            part.mkdir()
            make(part)
            part.rename(root / name)
    return root / name


def two_weeks(factory: pytest.TempPathFactory) -> Path:
    """A store of two weeks of flows; the inventory and the counters stand beside it, .yaml and .ports.csv."""
    return made_once(factory, "two-weeks", lambda folder: history.write(folder / "store", FLOWS)) / "store"
