import numpy as np
import numpy.typing as npt

def take(records: npt.NDArray[np.uint8], members: list[tuple[int, int, npt.NDArray[np.uint8]]], row: int) -> None: ...
