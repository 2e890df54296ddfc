import numpy as np
import numpy.typing as npt

ENTRY_SIZE: int
BYTES_PER_ENTRY: int
ETHERNET: int
IP: int
TCP: int
UDP: int
SCTP: int
ROW: int
OUTERMOST: int

class Tally:
    def __init__(self, *, seed: bytes, kind: int, most: int, shard: int = 0, shards: int = 1) -> None: ...
    def update(
        self,
        packets: npt.NDArray[np.uint8],
        numbers: npt.NDArray[np.uint64],
        tunnels: npt.NDArray[np.uint8],
        buffers: list[npt.NDArray[np.uint8]],
        masks: npt.NDArray[np.uint16],
        streams: npt.NDArray[np.uint8],
    ) -> None: ...
    def take(self, entries: npt.NDArray[np.uint8]) -> None: ...
    def take_ends(self, entries: npt.NDArray[np.uint8]) -> None: ...
    def entries(self) -> npt.NDArray[np.uint8]: ...
    others: tuple[int, int]
    def __len__(self) -> int: ...
