"""What takes long to make is made once, and shared by all workers of a run of the tests."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import history
import pytest

try:
    import fcntl
except ImportError:
    fcntl = None  # type: ignore[assignment]

FLOWS = 3000
"""Of the two weeks: tests compute what is true of history.history(FLOWS)."""


def made_once(factory: pytest.TempPathFactory, name: str, make: Callable[[Path], object]) -> Path:
    """The folder that `make` fills; whoever asks for it first makes it, and the others wait. Nobody changes it."""
    base = factory.getbasetemp()
    # Without locks of files, as on Windows, each worker makes its own.
    root = base.parent if fcntl is not None and "PYTEST_XDIST_WORKER" in os.environ else base
    with (root / f"{name}.lock").open("w") as lock:
        if fcntl is not None:
            fcntl.flock(lock, fcntl.LOCK_EX)
        if not (root / name).exists():
            unfinished = factory.mktemp(name)
            make(unfinished)
            unfinished.rename(root / name)
    return root / name


def two_weeks(factory: pytest.TempPathFactory) -> Path:
    """A store of two weeks of flows; the inventory and the counters stand beside it, .yaml and .ports.csv."""
    return made_once(factory, "two-weeks", lambda folder: history.write(folder / "store", FLOWS)) / "store"
