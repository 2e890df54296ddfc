import numpy as np
import numpy.typing as npt

CAPSET: int
PRCTL: int

def call(
    calls: npt.NDArray[np.int64],
    threads: npt.NDArray[np.int32],
    errors: npt.NDArray[np.int32],
) -> None: ...
