import numpy as np
import numpy.typing as npt

MOST_WORKERS: int
ALL: int
HERE: int
PORT_FACTOR: int
END_FACTOR: int

def owners(
    packets: npt.NDArray[np.uint8], workers: int, out: npt.NDArray[np.uint8], totals: npt.NDArray[np.uint64]
) -> None: ...
def own_rows(packets: npt.NDArray[np.uint8], workers: int, number: int, out: npt.NDArray[np.uint8]) -> None: ...
def gather(
    data: npt.NDArray[np.uint8],
    records: npt.NDArray[np.uint8],
    owners: npt.NDArray[np.uint8],
    owner: int,
    out_records: npt.NDArray[np.uint8],
    out: npt.NDArray[np.uint8],
) -> int: ...
