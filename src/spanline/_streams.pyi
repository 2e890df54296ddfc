from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

PACKET_SIZE: int
TUNNEL_SIZE: int
STREAM_SIZE: int
ANALYSIS_SIZE: int
OTHER_STREAM_SIZE: int
RECORD_SIZE: int
SEGMENT_SIZE: int
BYTES_PER_STREAM: int
STREAMS_PER_SLAB: int

class StreamTable:
    def __init__(self, memory: int, *, seed: bytes) -> None: ...
    def update(
        self,
        packets: npt.NDArray[np.uint8],
        numbers: npt.NDArray[np.uint64],
        tunnels: npt.NDArray[np.uint8],
        buffers: list[npt.NDArray[np.uint8]],
        streams: npt.NDArray[np.uint8],
        analysis: npt.NDArray[np.uint8] | None,
    ) -> npt.NDArray[np.uint8]: ...
    @property
    def live(self) -> int: ...
    @property
    def counters(self) -> tuple[int, int, int, int, int, int, int]: ...
    def save(self) -> tuple[npt.NDArray[np.uint8], npt.NDArray[np.uint8]]: ...
    def load(
        self, records: npt.NDArray[np.uint8], segments: npt.NDArray[np.uint8], counters: Sequence[int]
    ) -> None: ...
