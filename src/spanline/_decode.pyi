from collections.abc import Collection, Sequence

import numpy as np
import numpy.typing as npt

RECORD_SIZE: int
PACKET_SIZE: int
TUNNEL_SIZE: int
LAYER_SIZE: int
INNER_SIZE: int
DATAGRAM_SIZE: int
FRAGMENT_SIZE: int
LAYERS_PER_FRAME: int
MOST_TUNNELS: int
PROTOCOLS: tuple[str, ...]
SEED: bytes

class Paths:
    def __len__(self) -> int: ...
    def __getitem__(self, number: int) -> tuple[str, ...]: ...
    def last_protocols(self) -> memoryview: ...
    @property
    def excess(self) -> int: ...

class Decoder:
    paths: Paths
    def __init__(
        self,
        *,
        vxlan_port: int | Collection[int] = ...,
        geneve_port: int | Collection[int] = ...,
        verify_checksums: bool = ...,
        reassemble: bool = ...,
        seed: bytes = ...,
    ) -> None: ...
    @property
    def undecodable(self) -> int: ...
    @property
    def too_deep(self) -> tuple[int, int]: ...
    @property
    def fragments(self) -> int: ...
    def decode(
        self,
        data: npt.NDArray[np.uint8],
        records: npt.NDArray[np.uint8],
        link_types: npt.NDArray[np.int32],
        packets: npt.NDArray[np.uint8],
        tunnels: npt.NDArray[np.uint8],
        start: int,
    ) -> tuple[int, int]: ...
    def layers(
        self,
        data: npt.NDArray[np.uint8],
        records: npt.NDArray[np.uint8],
        link_types: npt.NDArray[np.int32],
        packets: npt.NDArray[np.uint8],
        rows: npt.NDArray[np.uint8] | None,
        assembled: npt.NDArray[np.uint8],
        datagrams: npt.NDArray[np.uint8],
        wanted: int,
        layers: npt.NDArray[np.uint8],
        start: int,
    ) -> tuple[int, int]: ...
    def inner(
        self,
        data: npt.NDArray[np.uint8],
        records: npt.NDArray[np.uint8],
        link_types: npt.NDArray[np.int32],
        packets: npt.NDArray[np.uint8],
        assembled: npt.NDArray[np.uint8],
        datagrams: npt.NDArray[np.uint8],
        inner: npt.NDArray[np.uint8],
    ) -> None: ...

class Reassembly:
    def __init__(self, memory: int, timeout: int, *, seed: bytes = ...) -> None: ...
    @property
    def counters(self) -> tuple[int, int, int, int, int, int]: ...
    def update(
        self,
        maker: Decoder,
        data: npt.NDArray[np.uint8],
        records: npt.NDArray[np.uint8],
        link_types: npt.NDArray[np.int32],
        numbers: npt.NDArray[np.uint64],
        packets: npt.NDArray[np.uint8],
        assembled: npt.NDArray[np.uint8],
        datagrams: npt.NDArray[np.uint8],
        tunnels: npt.NDArray[np.uint8],
        start: bool,
    ) -> tuple[bool, int, int, int]: ...
    def save(self) -> tuple[bytes, bytes]: ...
    def load(self, fragments: bytes, data: bytes, counters: Sequence[int]) -> None: ...
