import numpy as np
import numpy.typing as npt

LONGEST: int
LONGEST_FRAME: int
HAS_RECEIVER: bool

class Frames:
    def __init__(
        self, data: npt.NDArray[np.uint8], records: npt.NDArray[np.uint8], snaplen: int, interface: int
    ) -> None: ...
    @property
    def count(self) -> int: ...
    @property
    def size(self) -> int: ...
    def add(
        self,
        data: bytes,
        timestamp: int,
        source: bytes,
        source_port: int,
        destination: bytes,
        destination_port: int,
    ) -> bool: ...

class Receiver:
    def __init__(self, descriptor: int, port: int) -> None: ...
    def receive(self, frames: Frames, wait: int, nap: int) -> bool: ...
