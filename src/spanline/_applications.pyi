from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

PACKET_SIZE: int
STREAM_SIZE: int
MESSAGE_SIZE: int
APPLICATION_SIZE: int
BLOCK_SIZE: int
BYTES_PER_STREAM: int

class ApplicationSet:
    names: tuple[str, ...]
    @property
    def address(self) -> int: ...
    def __init__(
        self,
        names: Sequence[str],
        code: npt.NDArray[np.uint8],
        texts: npt.NDArray[np.uint8],
        text_ends: npt.NDArray[np.uint32],
        sets: npt.NDArray[np.uint64],
        applications: npt.NDArray[np.uint8],
        carried: npt.NDArray[np.uint32],
        heuristics: Sequence[npt.NDArray[np.uint32]],
        ports: Sequence[npt.NDArray[np.uint8]],
        ip_protocols: npt.NDArray[np.uint8],
        ether_types: npt.NDArray[np.uint8],
        llc_services: npt.NDArray[np.uint8],
        snap_protocols: npt.NDArray[np.uint8],
        announced: Sequence[int],
    ) -> None: ...

class Applications:
    def __init__(self, set: ApplicationSet, memory: int) -> None: ...
    def __len__(self) -> int: ...
    def __getitem__(self, number: int) -> tuple[str, ...]: ...
    @property
    def refused(self) -> int: ...
    def update(
        self,
        packets: npt.NDArray[np.uint8],
        streams: npt.NDArray[np.uint8],
        slots: int,
        buffers: Sequence[npt.NDArray[np.uint8]],
        last_protocols: memoryview,
        want_messages: bool,
    ) -> tuple[npt.NDArray[np.uint8], npt.NDArray[np.uint8]] | None: ...
    def save(self) -> tuple[bytes, bytes, bytes, list[tuple[int, int]], tuple[int, ...]]: ...
    def load(
        self, streams: bytes, blocks: bytes, announced: bytes, stacks: list[tuple[int, int]], counts: tuple[int, ...]
    ) -> None: ...
