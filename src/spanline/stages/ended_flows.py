"""What analyses of whole flows have in common: they make flows, and take each when it has ended."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import pyarrow as pa

from spanline.batch import Batch
from spanline.stages.flows import Flows

# Flows that wait to be taken: enough that taking them costs little, few enough to stay small.
_WAITING = 1 << 16


class EndedFlows:
    """A stage with flows of its own; `options` are those of stages.flows.Flows. A subclass says what _take() does."""

    def __init__(self, **options: Any) -> None:
        self.flows = Flows(**options)

    def _take(self, flows: pa.Table) -> None:
        raise NotImplementedError

    def update(self, batch: Batch) -> None:
        for step in self.steps:
            step(batch)

    @property
    def steps(self) -> list[Callable[[Batch], None]]:
        """update() in parts, for several threads."""
        return [*self.flows.steps, self._collect]

    @property
    def share(self) -> Flows:
        """What of it several processes do: see workers.worker.Divided."""
        return self.flows

    def take_over(self, finished: tuple[bytes, tuple[int, int, int]]) -> None:
        """Flows that ended in another process."""
        self.flows.take_over(finished)
        self._collect()

    def _collect(self, _: Batch | None = None) -> None:
        if self.flows.pending >= _WAITING:
            self._take(self.flows.drain()["flows"])

    def _take_rest(self) -> None:
        for ended in self.flows.rest():
            self._take(ended)

    def drain(self) -> Mapping[str, pa.Table]:
        """Nothing: the result is known at the end."""
        return {}
