from collections.abc import Callable

import numpy as np
import numpy.typing as npt

from spanline._applications import ApplicationSet

PACKET_SIZE: int
RECORD_SIZE: int
BYTES_PER_FLOW: int
FLOWS_PER_SLAB: int

class FlowTable:
    def __init__(
        self,
        *,
        seed: bytes,
        idle_timeout: int,
        active_timeout: int,
        key_vlan: bool,
        key_vni: bool,
        whole_frames: bool,
        max_flows: int,
        shard: int,
        shards: int,
        applications: ApplicationSet | None = None,
        patterns: Callable[[npt.NDArray[np.uint8]], npt.NDArray[np.uint8]] | None = None,
    ) -> None: ...
    def update(self, packets: npt.NDArray[np.uint8], buffers: list[npt.NDArray[np.uint8]]) -> None: ...
    def advance(self, clock: int) -> None: ...
    def drain(self) -> npt.NDArray[np.uint8]: ...
    def finish(self, limit: int) -> bool: ...
    def records(self) -> npt.NDArray[np.uint8]: ...
    def adopt(self, records: npt.NDArray[np.uint8], all: bool = False) -> npt.NDArray[np.uint8]: ...
    def add_finished(self, records: npt.NDArray[np.uint8]) -> None: ...
    clock: tuple[int, int, int]
    counts: tuple[int, int, int]
    @property
    def live(self) -> int: ...
    @property
    def pending(self) -> int: ...

def describe(
    records: npt.NDArray[np.uint8],
) -> tuple[npt.NDArray[np.uint8], npt.NDArray[np.int32], npt.NDArray[np.uint8]]: ...
