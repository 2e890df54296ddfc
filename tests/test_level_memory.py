"""Memory of long captures, by mallopt(3): otherwise what was freed raises the size from which pieces are mapped."""

from __future__ import annotations

import subprocess
import sys

import pytest

PROGRAM = """
import numpy as np
from pathlib import Path
from spanline.level_memory import keep_memory_level

{setting}
np.ones(20 << 20, np.uint8)
piece = np.ones(3 << 20, np.uint8)
heap = next(line for line in Path("/proc/self/maps").read_text().splitlines() if line.endswith("[heap]"))
first, last = (int(end, 16) for end in heap.split()[0].split("-"))
print(first <= piece.ctypes.data < last)
"""


@pytest.mark.skipif(sys.platform != "linux", reason="other systems keep their settings")
@pytest.mark.parametrize(("setting", "is_in_heap"), [("", "True"), ("keep_memory_level()", "False")])
def test_large_pieces_are_the_systems(setting: str, is_in_heap: str) -> None:
    ran = subprocess.run([sys.executable, "-c", PROGRAM.format(setting=setting)], capture_output=True, timeout=60)
    assert (ran.stdout.decode().strip(), ran.stderr) == (is_in_heap, b"")
