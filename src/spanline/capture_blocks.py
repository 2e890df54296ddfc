"""A live capture in pcapng's blocks: where it is made, its interfaces, its frames."""

from __future__ import annotations

import os
import platform
import re
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from spanline import _writing, blocks
from spanline.schema import WRITTEN_INTERFACE_DTYPE

if TYPE_CHECKING:
    from spanline.batch import Batch
    from spanline.chunk import Interfaces


class CaptureBlocks:
    """The blocks of one section, which begins with section().

    interfaces  of the capture; a block of frames declares none
    """

    def __init__(self, interfaces: Interfaces) -> None:
        self._interfaces = interfaces
        self._system = " ".join((platform.system(), platform.release()))
        self._clocks: npt.NDArray[np.void] = np.empty(0, WRITTEN_INTERFACE_DTYPE)

    @property
    def declared(self) -> int:
        """How many interfaces the section knows."""
        return len(self._clocks)

    def section(self, comment: str = "") -> bytes:
        """A new section: its header, which begins with `comment`, and all interfaces that there are."""
        import spanline

        self._clocks = self._clocks[:0]
        texts = (
            *([(blocks.COMMENT, comment)] if comment else []),
            (blocks.HARDWARE, _processor()),
            (blocks.OS, self._system),
            (blocks.APPLICATION, f"spanline {spanline.__version__}"),
        )
        return blocks.section(texts) + self.declare()

    def declare(self) -> bytes:
        """Describes interfaces that the section does not know yet."""
        new = [self._interfaces[n] for n in range(self.declared, len(self._interfaces))]
        if not new:
            return b""
        rows = [(*blocks.clock(interface), interface.swapped) for interface in new]
        self._clocks = np.concatenate([self._clocks, np.array(rows, WRITTEN_INTERFACE_DTYPE)])
        return b"".join(blocks.interface(replace(one, os=one.os or self._system)) for one in new)

    def frames(self, batch: Batch, start: int, stop: int, out: npt.NDArray[np.uint8]) -> tuple[int, int]:
        """Writes frames of `batch`, from row `start` to before `stop`, into `out`, uint8[n], as far as there is room.

        Their interfaces are declared. Returns (row of the first that is left, bytes written).
        """
        octets, clocks = batch.records[:stop].view(np.uint8), self._clocks.view(np.uint8)
        return _writing.frames(batch.buffers[0], octets, clocks, _writing.PCAPNG, start, out)


def block_sizes(records: npt.NDArray[np.void]) -> npt.NDArray[np.int64]:
    """Bytes that the block of each frame takes, int64[n]; at most, where it has options."""
    options = records["options"].astype(np.int64)
    return 32 + (records["captured_length"].astype(np.int64) + 3 & ~3) + np.where(options, 4 * options + 4, 0)


def _processor() -> str:
    """As the system calls it, or at least its architecture."""
    try:
        found = re.search(r"^model name\s*:\s*(.+)$", Path("/proc/cpuinfo").read_text(), re.MULTILINE)
    except OSError:
        found = None
    return found[1] if found else os.uname().machine if hasattr(os, "uname") else platform.machine()
