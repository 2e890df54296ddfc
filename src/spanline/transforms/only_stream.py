"""One stream: the frames of all others go no further."""

from __future__ import annotations

from collections.abc import Iterable

from spanline.batch import Batch
from spanline.stages.chosen_stream import ChosenStream


class OnlyStream:
    """Lets the frames of `chosen` through. A Transform: behind Annotate, which numbers streams."""

    def __init__(self, chosen: ChosenStream) -> None:
        self._chosen = chosen

    def feed(self, batch: Batch) -> Iterable[Batch]:
        return (batch.select(self._chosen.rows(batch)),)

    def flush(self) -> Iterable[Batch]:
        """Nothing: every frame was given out at once."""
        return ()
