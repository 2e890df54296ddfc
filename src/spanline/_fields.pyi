import numpy as np
import numpy.typing as npt

class Place:
    def __init__(self, offset: int, width: int, when: tuple[int, int, int, int, int, int] | None = ...) -> None: ...
    def numbers(
        self, layers: npt.NDArray[np.uint8], buffer: npt.NDArray[np.uint8], assembled: npt.NDArray[np.uint8]
    ) -> tuple[npt.NDArray[np.uint32], npt.NDArray[np.uint8], npt.NDArray[np.uint64]]: ...
    def octets(
        self, layers: npt.NDArray[np.uint8], buffer: npt.NDArray[np.uint8], assembled: npt.NDArray[np.uint8]
    ) -> tuple[npt.NDArray[np.uint32], npt.NDArray[np.uint8], npt.NDArray[np.uint8]]: ...

def spans(
    buffer: npt.NDArray[np.uint8],
    assembled: npt.NDArray[np.uint8],
    numbers: npt.NDArray[np.uint8],
    starts: npt.NDArray[np.int64],
    lengths: npt.NDArray[np.int64],
) -> tuple[npt.NDArray[np.uint8], npt.NDArray[np.int64]]: ...
