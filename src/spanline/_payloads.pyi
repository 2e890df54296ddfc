from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

PACKET_SIZE: int
HEAD_SIZE: int
PIECE_SIZE: int
CONVERSATION_SIZE: int
BYTES_PER_CONVERSATION: int
LEAST_MEMORY: int

class PayloadCounters(NamedTuple):
    packets: int
    conversations: int
    evicted: int
    refused: int
    far: int
    retransmitted: int
    overlaps: int
    conflicts: int
    gaps: int
    missing: int
    beyond: int

class Payloads:
    def __init__(
        self,
        memory: int = ...,
        head_bytes: int = ...,
        claimed_bytes: int = ...,
        *,
        seed: bytes,
        by_vlan: bool = ...,
        by_vni: bool = ...,
        skip_silent: bool = ...,
        shard: tuple[int, int] = ...,
    ) -> None: ...
    def update(
        self, packets: npt.NDArray[np.uint8], numbers: npt.NDArray[np.uint64], buffers: list[npt.NDArray[np.uint8]]
    ) -> None: ...
    def advance(self, clock: int) -> None: ...
    def heads(self) -> tuple[npt.NDArray[np.void], npt.NDArray[np.uint8]]: ...
    def claim(self, slots: npt.NDArray[np.uint32], listened: npt.NDArray[np.uint8] | None = None) -> None: ...
    def wake(self, slots: npt.NDArray[np.uint32]) -> None: ...
    def release(self, slots: npt.NDArray[np.uint32]) -> None: ...
    def pieces(self) -> tuple[npt.NDArray[np.void], npt.NDArray[np.uint8]]: ...
    def conversations(self, slots: npt.NDArray[np.uint32]) -> npt.NDArray[np.void]: ...
    def finish(self) -> None: ...
    def state(self) -> dict[str, Any]: ...
    def restore(self, state: Mapping[str, Any]) -> None: ...
    @property
    def counters(self) -> PayloadCounters: ...
    @property
    def live(self) -> int: ...
    @property
    def kept(self) -> int: ...
    @property
    def memory(self) -> int: ...
