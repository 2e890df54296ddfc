import numpy as np
import numpy.typing as npt

PACKET_SIZE: int
RECORD_SIZE: int
BYTES_PER_FLOW: int

class FlowTable:
    def __init__(
        self,
        *,
        seed: bytes,
        idle_timeout: int,
        active_timeout: int,
        key_vlan: bool,
        key_vni: bool,
        whole_frames: bool,
        max_flows: int,
    ) -> None: ...
    def update(self, packets: npt.NDArray[np.uint8], buffers: list[npt.NDArray[np.uint8]]) -> None: ...
    def drain(self) -> npt.NDArray[np.uint8]: ...
    def finish(self, limit: int) -> bool: ...
    @property
    def live(self) -> int: ...
    @property
    def pending(self) -> int: ...
    @property
    def flow_packets(self) -> int: ...
    @property
    def non_flow_packets(self) -> int: ...
    @property
    def evicted(self) -> int: ...

def describe(
    records: npt.NDArray[np.uint8],
) -> tuple[npt.NDArray[np.uint8], npt.NDArray[np.int32], npt.NDArray[np.uint8]]: ...
