"""The rows of one of several workers: the others' go no further."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np

from spanline import _exchange
from spanline.batch import Batch


class OwnRows:
    """Lets through what is the share of worker `number` of so many. A Transform: right after reassembly.

    Only fragments, which all workers get, can be another's.

    others  frames left out so far
    """

    def __init__(self, number: int, workers: int) -> None:
        self._number = number
        self._workers = workers
        self.others = 0

    def feed(self, batch: Batch) -> Iterable[Batch]:
        own = np.empty(len(batch), np.uint8)
        _exchange.own_rows(batch.packets.view(np.uint8), self._workers, self._number, own)
        rows = own.view(np.bool_)
        count = int(np.count_nonzero(rows))
        if count == len(batch):
            return (batch,)
        self.others += len(batch) - count
        return (batch.select(rows),)

    def flush(self) -> Iterable[Batch]:
        """Nothing: every frame was given out at once."""
        return ()
