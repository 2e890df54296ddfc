"""Segments: frames of a capture that goes on, into pcapng files of a limited size, time and number of frames.

Each segment is a capture of its own: a section, the interfaces, frames, and what the kernel counted meanwhile.
"""

from __future__ import annotations

import os
import platform
import re
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from spanline import _writing, blocks
from spanline.errors import OutputError, UsageError
from spanline.schema import WRITTEN_INTERFACE_DTYPE
from spanline.segment_files import Piece, SegmentFiles

if TYPE_CHECKING:
    from spanline.batch import Batch
    from spanline.chunk import Interfaces
    from spanline.sources.live import Arrivals

# Seconds that frames wait for more at most, before they are written.
_PATIENCE = 0.5
# Bytes of the statistics block, at most.
_LAST_BLOCK = 128


@dataclass(frozen=True, slots=True)
class Rotation:
    """When a segment ends, whichever comes first, and how many are kept.

    size       bytes of a segment, before compression; it is larger only when a single frame is
    seconds    from its first frame; None without limit
    packets    frames of a segment; None without limit
    keep       segments that stay, with the open one: then the oldest are deleted; None for all
    keep_size  bytes that segments may take together; None for all
    """

    size: int = 1 << 30
    seconds: float | None = None
    packets: int | None = None
    keep: int | None = None
    keep_size: int | None = None

    def __post_init__(self) -> None:
        if self.keep_size is not None and self.keep_size < 2 * self.size:
            raise UsageError(
                f"{self.keep_size:,} bytes have no room for two segments of {self.size:,}",
                hint="make segments smaller with --segment-size",
            )


class Segments:
    """Writes the frames of batches, in their order, into segments in a folder. To be closed.

    What goes wrong on the way is found in `failure`; the frames of batches are then counted as unwritten. Raises
    OutputError when the first segment cannot be begun.

    name        what the names of files begin with
    interfaces  of the capture
    arrivals    what has come so far, brought up to date by the call
    """

    def __init__(
        self,
        folder: Path,
        name: str,
        interfaces: Interfaces,
        arrivals: Callable[[], Arrivals],
        rotation: Rotation,
        compression: str = "",
    ) -> None:
        self._name = _file_name(name)
        self._suffix = f".pcapng{compression}"
        self._interfaces = interfaces
        self._arrivals = arrivals
        self._rotation = rotation
        _make_folder(folder)
        closed_size = None if rotation.keep_size is None else rotation.keep_size - rotation.size
        self._files = SegmentFiles(folder, compression, rotation.keep, closed_size)
        self._section = blocks.section(_this_machine())
        self._piece: Piece | None = None
        self._piece_begun = 0.0
        self._opened = self._frames = self._size = self._first = 0
        self._is_open = False
        self._clocks: npt.NDArray[np.void] = np.empty(0, WRITTEN_INTERFACE_DTYPE)
        self._counted_until = time.time_ns()
        self._counted: dict[int, int] = {}
        try:
            self._open(self._counted_until)
            self._send()
            self._files.settle()
            if self._files.failure is not None:
                raise self._files.failure
        except BaseException:
            self._files.close()
            raise

    @property
    def failure(self) -> OutputError | None:
        return self._files.failure

    @property
    def files(self) -> SegmentFiles:
        """What became of the segments and their frames; complete after close()."""
        return self._files

    def write(self, batch: Batch, count: int | None = None) -> None:
        """The frames of `batch`, or its first `count`. Nothing of it is kept."""
        records = batch.records[:count]
        if self._files.failure is not None:
            self._files.count_unwritten(len(records))
            return
        start = 0
        while start < len(records):
            if not self._is_open:
                self._open(int(records["timestamp"][start]))
            stop = start + self._room(records[start:])
            self._add(batch, records[:stop], start)
            if stop < len(records):
                self._end(len(batch.records) - stop)
            start = stop
        if self._piece is not None and time.monotonic() - self._piece_begun > _PATIENCE:
            self._send()

    def advance(self, clock: int) -> None:
        """No frame before `clock`, ns since the epoch, is still to come: a segment may be over without any."""
        seconds = self._rotation.seconds
        if self._is_open and self._frames and seconds is not None and clock >= self._first + round(seconds * 1e9):
            self._end(0)

    def close(self) -> None:
        """Ends the last segment, and waits until everything is on the disk."""
        if self._is_open:
            self._end(0)
        self._files.close()

    def _room(self, records: npt.NDArray[np.void]) -> int:
        """How many of `records` belong to the open segment: at least one, when it has none yet."""
        rotation, count = self._rotation, len(records)
        if not self._frames:
            self._first = int(records["timestamp"][0])
        if rotation.packets is not None:
            count = min(count, rotation.packets - self._frames)
        if rotation.seconds is not None:
            late = records["timestamp"][:count] >= self._first + round(rotation.seconds * 1e9)
            count = int(late.argmax()) if late.any() else count
        left = rotation.size - self._size - _LAST_BLOCK
        ends = np.cumsum(_block_sizes(records[:count]))
        if count and ends[-1] > left:
            count = int(np.searchsorted(ends, left, "right"))
        return count if self._frames else max(count, 1)

    def _add(self, batch: Batch, records: npt.NDArray[np.void], start: int) -> None:
        """Frames from `start` on."""
        self._declare()
        octets, clocks = records.view(np.uint8), self._clocks.view(np.uint8)
        self._frames += len(records) - start
        self._size += int(_block_sizes(records[start:]).sum())
        while start < len(records):
            piece = self._room_in_piece(1)
            done, size = _writing.frames(
                batch.buffers[0], octets, clocks, _writing.PCAPNG, start, piece.octets[piece.size :]
            )
            piece.size += size
            piece.frames += done - start
            start = done
            if start < len(records):
                self._send()

    def _open(self, begin: int) -> None:
        self._opened += 1
        self._is_open = True
        self._frames = self._size = 0
        self._clocks = self._clocks[:0]
        self._files.open(f"{self._name}-{_compact_time(begin)}-{self._opened:06d}{self._suffix}")
        self._put(self._section)
        self._declare()

    def _declare(self) -> None:
        """Describes interfaces that the segment does not know yet."""
        known = len(self._clocks)
        new = [self._interfaces[n] for n in range(known, len(self._interfaces))]
        if new:
            self._put(b"".join(map(blocks.interface, new)))
            rows = [(*blocks.clock(interface), interface.swapped) for interface in new]
            self._clocks = np.concatenate([self._clocks, np.array(rows, WRITTEN_INTERFACE_DTYPE)])

    def _end(self, unread: int) -> None:
        """Ends the segment. The last `unread` frames of what has been read are not of it."""
        self._send()
        self._files.end(self._statistics(unread))
        self._is_open = False

    def _statistics(self, unread: int) -> bytes:
        """What was counted since the last segment ended, so that segments add up; of the latest interface."""
        if not len(self._clocks):
            return b""
        arrivals, now = self._arrivals(), time.time_ns()
        number = len(self._clocks) - 1
        interface = self._interfaces[number]
        at_interface = arrivals.dropped.get("interface", 0)
        counted = {
            blocks.ACCEPTED: arrivals.offered - at_interface,
            blocks.OS_DROPPED: arrivals.lost - at_interface,
            blocks.DELIVERED: arrivals.read - unread,
        }
        if "interface" in arrivals.dropped:
            counted[blocks.DROPPED] = at_interface
        if not interface.filter:  # what a filter in the kernel left out is not known
            counted[blocks.RECEIVED] = arrivals.offered
        since = [(code, max(counted[code] - self._counted.get(code, 0), 0)) for code in sorted(counted)]
        begin, self._counted_until, self._counted = self._counted_until, now, counted
        return blocks.statistics(number, interface, begin, now, since)

    def _put(self, block: bytes) -> None:
        piece = self._room_in_piece(len(block))
        piece.octets[piece.size : piece.size + len(block)] = np.frombuffer(block, np.uint8)
        piece.size += len(block)
        self._size += len(block)

    def _room_in_piece(self, size: int) -> Piece:
        """A piece that has room for so many bytes."""
        if self._piece is not None and len(self._piece.octets) - self._piece.size < size:
            self._send()
        if self._piece is None:
            self._piece = self._files.take()
            self._piece_begun = time.monotonic()
        return self._piece

    def _send(self) -> None:
        if self._piece is not None:
            self._files.write(self._piece)
            self._piece = None


def _block_sizes(records: npt.NDArray[np.void]) -> npt.NDArray[np.int64]:
    """Bytes of the enhanced packet block of each frame, int64[n]; with options at most."""
    options = records["options"].astype(np.int64)
    return 32 + (records["captured_length"].astype(np.int64) + 3 & ~3) + np.where(options, 4 * options + 4, 0)


def _file_name(name: str) -> str:
    """`name` of characters that every file system takes, and no shell."""
    return re.sub(r"[^A-Za-z0-9_.-]+", "-", name).strip("-.") or "capture"


def _compact_time(moment: int) -> str:
    """20261122T161500.123456Z, UTC, of ns since the epoch."""
    seconds, rest = divmod(moment, 10**9)
    return f"{time.strftime('%Y%m%dT%H%M%S', time.gmtime(seconds))}.{rest // 1000:06d}Z"


def _make_folder(folder: Path) -> None:
    """Raises OutputError. What is made is for its owner alone: captures hold secrets."""
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    except FileExistsError:
        raise OutputError(f"{folder} is no folder", hint="segments are written into a folder") from None
    except OSError as error:
        raise OutputError(f"cannot make {folder}: {error.strerror or error}") from error


def _this_machine() -> list[tuple[int, str]]:
    """What a section says of where it was written."""
    import spanline

    system = " ".join((platform.system(), platform.release()))
    texts = [(blocks.OS, system), (blocks.APPLICATION, f"spanline {spanline.__version__}")]
    return [(blocks.HARDWARE, _processor()), *texts]


def _processor() -> str:
    """As the system calls it, or at least its architecture."""
    try:
        found = re.search(r"^model name\s*:\s*(.+)$", Path("/proc/cpuinfo").read_text(), re.MULTILINE)
    except OSError:
        found = None
    return found[1] if found else os.uname().machine if hasattr(os, "uname") else platform.machine()
