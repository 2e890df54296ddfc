import numpy as np
import numpy.typing as npt

NODE_SIZE: int
BUCKET_SIZE: int
QUOTE_SIZE: int
DESTINATIONS: int
HOSTS: int

class TreeTally:
    def __init__(self, kind: int, *, memory: int, seed: bytes) -> None: ...
    def update(
        self,
        packets: npt.NDArray[np.uint8],
        tunnels: npt.NDArray[np.uint8],
        quotes: npt.NDArray[np.uint8],
        weights: npt.NDArray[np.uint8],
    ) -> None: ...
    def save(self) -> tuple[npt.NDArray[np.uint8], npt.NDArray[np.uint8]]: ...
    def merge(self, nodes: npt.NDArray[np.uint8], buckets: npt.NDArray[np.uint8], shift: int) -> None: ...
    def shift(self, shift: int) -> None: ...
    epoch: int
    clocks: tuple[tuple[int, int], tuple[int, int]]
    losses: tuple[int, int]
