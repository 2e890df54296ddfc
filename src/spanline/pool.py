"""Memory that is used again: file batches borrow their buffers here, and give them back by being forgotten."""

from __future__ import annotations

import sys

import numpy as np
import numpy.typing as npt


def _count_when_unused() -> int:
    """What getrefcount() says, in a loop over a list, of what nobody but the list holds: it differs between Pythons."""
    blocks = [np.empty(1, np.uint8)]
    return next(sys.getrefcount(block) for block in blocks)


# Without the GIL a count tells nothing: then every block is new.
_COUNTS_ARE_EXACT = getattr(sys, "_is_gil_enabled", lambda: True)()


class Pool:
    """Blocks of bytes. A block is free again when nobody but the pool holds it or a view of it.

    Fresh memory costs a page fault for every 4 KiB, as much as decoding what is read into it. Views keep their block
    alive by reference, so a batch that a user keeps is never overwritten.
    """

    __slots__ = ("_blocks",)

    _KEPT = 8
    _UNUSED = _count_when_unused()

    def __init__(self) -> None:
        self._blocks: list[npt.NDArray[np.uint8]] = []

    def take(self, size: int) -> npt.NDArray[np.uint8]:
        """An array of `size` bytes with any content."""
        for block in self._blocks if _COUNTS_ARE_EXACT else ():
            if block.size >= size and sys.getrefcount(block) == self._UNUSED:
                return block[:size]
        block = np.empty(max(size, 4096), np.uint8)
        self._blocks = [*self._blocks[-self._KEPT + 1 :], block]
        return block[:size]

    def take_rows(self, dtype: np.dtype[np.void], count: int) -> npt.NDArray[np.void]:
        """A structured array of `count` rows with any content."""
        return self.take(dtype.itemsize * count).view(dtype)
