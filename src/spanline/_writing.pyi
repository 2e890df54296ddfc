import numpy as np
import numpy.typing as npt

PCAP: int
PCAPNG: int
INTERFACE_SIZE: int
OVERHEAD: int

def frames(
    data: npt.NDArray[np.uint8],
    records: npt.NDArray[np.uint8],
    interfaces: npt.NDArray[np.uint8],
    format: int,
    start: int,
    out: npt.NDArray[np.uint8],
) -> tuple[int, int]: ...
