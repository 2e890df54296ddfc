import numpy as np
import numpy.typing as npt

FAULTS: tuple[str, ...]
NOT_IN_FRAME: str

class Program:
    count: int
    def __init__(self, program: npt.NDArray[np.uint8]) -> None: ...
    def run(
        self,
        data: npt.NDArray[np.uint8],
        offset: npt.NDArray[np.uint32],
        captured_length: npt.NDArray[np.uint32],
        wire_length: npt.NDArray[np.uint32],
        wanted: npt.NDArray[np.uint8],
        matches: npt.NDArray[np.uint8],
    ) -> None: ...
