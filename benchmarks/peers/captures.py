"""The captures that benchmarks read: made once by traffic.py, kept in build/bench, and made again when it changes."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

BENCHMARKS = Path(__file__).resolve().parent.parent
FOLDER = BENCHMARKS.parent / "build" / "bench"
GENERATOR_PROGRAM = BENCHMARKS / "traffic.py"
GENERATOR = tuple(BENCHMARKS.glob("traffic*.py"))


@dataclass(frozen=True)
class Traffic:
    """What traffic.py shall make: `kind` is one of its kinds; `packets` and `flows` are in all.

    `frame` is the size of each frame in bytes, 0 for what the kind has by itself.
    """

    kind: str
    packets: int
    flows: int
    frame: int = 0

    @property
    def path(self) -> Path:
        frame = f"-{self.frame}" if self.frame else ""
        return FOLDER / f"{self.kind}-{self.packets}-{self.flows}{frame}.pcap"

    @property
    def size(self) -> int:
        """Bytes of the file, record headers included."""
        return self.path.stat().st_size

    def make(self) -> Path:
        """The capture's path; a process of its own writes it, so that this one stays small."""
        newest = max(source.stat().st_mtime for source in GENERATOR)
        if not self.path.exists() or self.path.stat().st_mtime < newest:
            FOLDER.mkdir(parents=True, exist_ok=True)
            unfinished = self.path.with_suffix(".unfinished")
            options = [f"--packets={self.packets}", f"--flows={self.flows}"]
            options += [f"--frame={self.frame}"] if self.frame else []
            subprocess.run([sys.executable, GENERATOR_PROGRAM, self.kind, unfinished, *options], check=True)
            unfinished.replace(self.path)
        return self.path

    def remove(self) -> None:
        """Give its disk back."""
        self.path.unlink(missing_ok=True)


Measure = Callable[[Traffic, Callable[[], int]], None]
"""The fixture `measure` of conftest.py: (capture, function that reads it and returns how many packets it had)."""


def warm(path: Path) -> None:
    """Read the file once, so that it is in the page cache."""
    piece = bytearray(1 << 20)
    with open(path, "rb", buffering=0) as file:
        while file.readinto(piece):
            pass
