import numpy as np
import numpy.typing as npt

MOST_ROWS: int

Texts = tuple[npt.NDArray[np.int32], npt.NDArray[np.uint8]]

def addresses(octets: npt.NDArray[np.uint8]) -> Texts: ...
def macs(octets: npt.NDArray[np.uint8]) -> Texts: ...
def labels(codes: npt.NDArray[np.int32], starts: npt.NDArray[np.int32], names: npt.NDArray[np.uint8]) -> Texts: ...
def community_ids(
    source: npt.NDArray[np.uint8],
    destination: npt.NDArray[np.uint8],
    source_port: npt.NDArray[np.uint16],
    destination_port: npt.NDArray[np.uint16],
    protocol: npt.NDArray[np.uint8],
    seed: int,
) -> Texts: ...
