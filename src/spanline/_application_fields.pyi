from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

def read(
    field: int,
    messages: npt.NDArray[np.uint8],
    flags: npt.NDArray[np.uint8],
    buffers: Sequence[npt.NDArray[np.uint8]],
    methods: bytes,
    header: bytes,
) -> tuple[npt.NDArray[np.uint32], npt.NDArray[np.uint64], npt.NDArray[np.uint8], npt.NDArray[np.int64]]: ...
