"""Segments: frames of a capture that goes on, into pcapng files of a limited size, time and number of frames.

Each segment is a capture of its own: a section, the interfaces, frames, and what the kernel counted meanwhile.
"""

from __future__ import annotations

import re
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

import numpy as np
import numpy.typing as npt

from spanline import blocks
from spanline.capture_blocks import CaptureBlocks, block_sizes
from spanline.errors import OutputError, UsageError
from spanline.kept_segments import MARK, kept_before
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

    With one of these, segments of earlier captures in the folder that had one count, too: kept_segments.kept_before().
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

    @property
    def deletes(self) -> bool:
        """Whether segments go when there are newer ones."""
        return self.keep is not None or self.keep_size is not None


class Source(Protocol):
    """What counts frames where they come in: sources.listening.Listening."""

    @property
    def arrivals(self) -> Arrivals: ...

    @property
    def filters(self) -> bool: ...

    def refresh(self) -> None: ...


class Segments:
    """Writes the frames of batches, in their order, into segments in a folder. To be closed.

    What goes wrong on the way is found in `failure`; the frames of batches are then counted as unwritten. Raises
    OutputError when the first segment cannot be begun.

    name        what the names of files begin with
    interfaces  of the capture
    source      what counts frames
    since       when it began to, ns since the epoch; now, when it is None
    """

    def __init__(
        self,
        folder: Path,
        name: str,
        interfaces: Interfaces,
        source: Source,
        rotation: Rotation,
        compression: str = "",
        since: int | None = None,
    ) -> None:
        self._name = _file_name(name)
        self._suffix = f".pcapng{compression}"
        self._interfaces = interfaces
        self._source = source
        self._blocks = CaptureBlocks(interfaces)
        self._rotation = rotation
        _make_folder(folder)
        closed_size = None if rotation.keep_size is None else rotation.keep_size - rotation.size
        before = kept_before(folder, self._name) if rotation.deletes else []
        self._files = SegmentFiles(folder, compression, rotation.keep, closed_size, before)
        self._piece: Piece | None = None
        self._piece_begun = 0.0
        self._opened = self._frames = self._size = self._first = 0
        self._is_open = False
        self._counted_until = time.time_ns() if since is None else since
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
            self._add(batch, start, stop)
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
            # Either way: where the clock was set back, a segment would last as much longer.
            late = np.abs(records["timestamp"][:count] - self._first) >= round(rotation.seconds * 1e9)
            count = int(late.argmax()) if late.any() else count
        left = rotation.size - self._size - _LAST_BLOCK
        ends = np.cumsum(block_sizes(records[:count]))
        if count and ends[-1] > left:
            count = int(np.searchsorted(ends, left, "right"))
        return count if self._frames else max(count, 1)

    def _add(self, batch: Batch, start: int, stop: int) -> None:
        self._put(self._blocks.declare())
        self._frames += stop - start
        self._size += int(block_sizes(batch.records[start:stop]).sum())
        while start < stop:
            piece = self._room_in_piece(1)
            done, size = self._blocks.frames(batch, start, stop, piece.octets[piece.size :])
            piece.size += size
            piece.frames += done - start
            start = done
            if start < stop:
                self._send()

    def _open(self, begin: int) -> None:
        self._opened += 1
        self._is_open = True
        self._frames = self._size = 0
        self._files.open(f"{self._name}-{_compact_time(begin)}-{self._opened:06d}{self._suffix}")
        self._put(self._blocks.section(MARK if self._rotation.deletes else ""))

    def _end(self, unread: int) -> None:
        """Ends the segment. The last `unread` frames of what has been read are not of it."""
        self._send()
        self._files.end(self._statistics(unread))
        self._is_open = False

    def _statistics(self, unread: int) -> bytes:
        """What was counted since the last segment ended, so that segments add up; of the latest interface."""
        number = self._blocks.declared - 1
        if number < 0:
            return b""
        self._source.refresh()
        arrivals, now = self._source.arrivals, time.time_ns()
        interface = self._interfaces[number]
        at_interface = arrivals.dropped.get("interface", 0)
        counted = {blocks.OS_DROPPED: arrivals.lost - at_interface, blocks.DELIVERED: arrivals.read - unread}
        if "interface" in arrivals.dropped:
            counted[blocks.DROPPED] = at_interface
        # A filter in the kernel hides what it leaves out; one that comes later did not see what was dropped.
        if not interface.filter or not self._source.filters:
            counted[blocks.RECEIVED] = arrivals.offered
        if not interface.filter or self._source.filters:
            counted[blocks.ACCEPTED] = arrivals.offered - at_interface
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
