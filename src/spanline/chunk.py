"""Chunk: a block of whole captured records in memory, with the link type and clock of each interface."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt


@dataclass(slots=True)
class Interface:
    """Where frames were captured, as the capture file describes it."""

    path: str
    link_type: int
    """LINKTYPE_ number (https://www.tcpdump.org/linktypes.html)."""
    snaplen: int
    """Bytes kept of each frame at most; 0 without limit."""
    resolution: float
    """Seconds of one tick of its clock."""
    offset: int = 0
    """Seconds added to each timestamp (if_tsoffset)."""
    swapped: bool = False
    """Whether the machine that wrote the file had the other byte order."""
    name: str = ""
    description: str = ""
    os: str = ""
    filter: str = ""
    number: int | None = None
    """In the list of its section of the file, from 0; None where the format has no such list."""
    options: list[tuple[int, bytes]] = field(default_factory=list)
    """What else the file says of it: codes and values of pcapng options, in the machine's byte order."""
    statistics: dict[str, int] = field(default_factory=dict)
    """From the last statistics block: received, dropped, accepted, os_dropped, delivered; times in ns."""


class Interfaces:
    """The interfaces of a capture, append-only; a row's `interface` is an index into them."""

    LIMIT = 65535

    __slots__ = ("_link_types", "_list")

    def __init__(self) -> None:
        self._list: list[Interface] = []
        self._link_types: npt.NDArray[np.int32] = np.empty(8, np.int32)

    def add(self, interface: Interface) -> int:
        """The new interface's number; LIMIT, which stands for an undeclared one, when there is no room."""
        if len(self._list) == self.LIMIT:
            return self.LIMIT
        if len(self._list) == len(self._link_types):
            self._link_types = np.resize(self._link_types, 2 * len(self._list))
        self._link_types[len(self._list)] = interface.link_type
        self._list.append(interface)
        return len(self._list) - 1

    @property
    def link_types(self) -> npt.NDArray[np.int32]:
        """LINKTYPE_ numbers, int32[n]."""
        return self._link_types[: len(self._list)]

    def __len__(self) -> int:
        return len(self._list)

    def __getitem__(self, number: int) -> Interface:
        return self._list[number]


@dataclass(slots=True)
class Chunk:
    """Some whole records.

    `buffer` holds their bytes, `records` (schema.RECORD) says where each lies in it and when it was captured. `clock`
    of a live source: ns since the epoch, up to which everything that came has been given out; None of a file.
    `borrowed`: the buffer has to go back soon, as nothing comes while all are held: see Batch.own(). `counted`: the
    `octets`, where who made the chunk knows them.
    """

    buffer: npt.NDArray[np.uint8]
    records: npt.NDArray[np.void]
    interfaces: Interfaces
    clock: int | None = None
    borrowed: bool = False
    counted: tuple[int, int] | None = None

    @property
    def octets(self) -> tuple[int, int]:
        """Bytes of all frames on the wire, and captured."""
        if self.counted is None:
            wire, captured = (self.records[name].sum(dtype=np.int64) for name in ("wire_length", "captured_length"))
            self.counted = int(wire), int(captured)
        return self.counted
