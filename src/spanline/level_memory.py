"""Memory of processes that run for weeks: what is freed goes back to the system at once."""

from __future__ import annotations

import ctypes
import sys

_MMAP_THRESHOLD = -3
"""M_MMAP_THRESHOLD of malloc.h."""
_LARGE = 1 << 20


def keep_memory_level() -> None:
    """From now on, whole pieces of memory of 1 MiB and more are the system's, and not parts of a heap that grows.

    glibc raises that size, from 128 KiB to 32 MiB, each time that such a piece is freed (mallopt(3)); pieces then come
    to lie in the heap, between others that stay, until one finds no room and the heap grows: once in some minutes, by
    megabytes. Other systems than Linux with glibc keep theirs.
    """
    if sys.platform == "linux":
        mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
        if mallopt is not None:
            mallopt(_MMAP_THRESHOLD, _LARGE)
