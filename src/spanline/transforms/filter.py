"""The display filter: rows that do not pass go no further."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np

from spanline.batch import Batch
from spanline.filters import Filter


class Select:
    """Lets the frames through that a display filter matches. A Transform: the last one, so that the filter sees whole
    datagrams and what was annotated. Numbers, times and streams are those of the whole capture.

    filtered_out  decoded frames left out so far
    """

    def __init__(self, filter: Filter) -> None:
        self._filter = filter
        self.filtered_out = 0

    def feed(self, batch: Batch) -> Iterable[Batch]:
        rows = self._filter.mask(batch)
        if rows.all():
            return (batch,)
        decoded = (batch.packets["ip_version"] != 0) | (batch.packets["verdict"] == 0)
        self.filtered_out += int(np.count_nonzero(decoded & ~rows))
        return (batch.select(rows),)

    def flush(self) -> Iterable[Batch]:
        """Nothing: every frame was given out at once."""
        return ()
