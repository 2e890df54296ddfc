"""The files of segments: written, made durable and named by threads of their own.

Reading does not wait for a disk, unless that is too slow for long. A segment that is being written is called NAME.part;
what has its final name is whole, and has reached the disk.
"""

from __future__ import annotations

import contextlib
import errno
import functools
import itertools
import os
import queue
import struct
import threading
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import TypeVar

import numpy as np

from spanline.errors import OutputError
from spanline.segment_compression import COMPRESSIONS, Compression

try:
    import fcntl
except ImportError:  # Windows
    fcntl = None  # type: ignore[assignment]

_Made = TypeVar("_Made")

UNFINISHED = ".part"

PIECE = 1 << 20
"""Bytes that are compressed and written together; more than any frame has."""

# What waits for the disk at most, in pieces, beside what waits in the kernel's ring.
_MOST_WAITING = 64
# Segments that have ended and are not yet on the disk, at most: each is an open file.
_MOST_FINISHING = 8
# Bytes after which the disk is asked to have them: what is left to do when capturing ends takes no seconds then.
_SYNC_EVERY = 64 << 20
_NO_ROOM = {errno.ENOSPC, getattr(errno, "EDQUOT", errno.ENOSPC)}
_ENHANCED_PACKET = 6


class Piece:
    """Some whole blocks of a segment, of which `frames` hold a frame each."""

    __slots__ = ("frames", "octets", "size")

    def __init__(self) -> None:
        self.octets = np.empty(PIECE, np.uint8)
        self.size = self.frames = 0

    @property
    def data(self) -> memoryview:
        return self.octets[: self.size].data

    def frames_in(self, size: int) -> tuple[int, int]:
        """(bytes, frames) of the blocks that are whole in the first `size` bytes."""
        at = frames = 0
        while at + 8 <= size:
            kind, length = struct.unpack_from("=II", self.data, at)
            if at + length > size:
                break
            at, frames = at + length, frames + (kind == _ENHANCED_PACKET)
        return at, frames


class _File:
    """A segment on its way."""

    def __init__(self, path: Path, compression: Compression) -> None:
        self.path, self.descriptor = _begun(path)
        self.unfinished = _unfinished(self.path)
        self.compression = compression
        self.size = self.frames = self.synced = 0


def _begun(path: Path) -> tuple[Path, int]:
    """The path of a segment, whose unfinished file is made, and its descriptor.

    Another capture may begin a segment with the same frame: the next number that is free is taken then.
    """
    # A file that is cut back goes on where it was cut.
    flags = os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_EXCL
    flags |= getattr(os, "O_CLOEXEC", 0) | getattr(os, "O_BINARY", 0)
    before, _, last = path.name.rpartition("-")
    first, _, suffix = last.partition(".")
    for number in itertools.count(int(first)):
        path = path.with_name(f"{before}-{number:06d}.{suffix}")
        try:
            # Captures hold secrets.
            descriptor = os.open(_unfinished(path), flags, 0o600)
        except FileExistsError:
            continue
        _lock(descriptor)
        # In this order: the other one may have ended just now, and have got its name.
        if not path.exists():
            break
        os.close(descriptor)
        _unfinished(path).unlink()
    return path, descriptor


def _unfinished(path: Path) -> Path:
    return path.with_name(path.name + UNFINISHED)


class SegmentFiles:
    """Writes segments into a folder, in the order in which they are opened; one is open at a time.

    What goes wrong is found in `failure`, and nothing more is written then; what was whole before has its final name.

    suffix     of the compression, a key of COMPRESSIONS
    keep       how many segments may be there, with the open one: the oldest are deleted; None for all
    keep_size  how many bytes of closed segments may be there when one is opened; None for all
    before     (path, bytes) of segments that are there, the oldest first: they count, and go before its own
    written    frames in closed segments so far, deleted ones too
    unwritten  frames that a failure left out
    segments   closed so far, of which `deleted` are gone
    replaced   how many of `before` are gone
    """

    def __init__(
        self,
        folder: Path,
        suffix: str,
        keep: int | None = None,
        keep_size: int | None = None,
        before: Sequence[tuple[Path, int]] = (),
    ) -> None:
        self._folder = folder
        self._compression = COMPRESSIONS[suffix]
        self._keep, self._keep_size = keep, keep_size
        self.failure: OutputError | None = None
        self.written = self.unwritten = 0
        self.segments = self.deleted = self.replaced = 0
        self._file: _File | None = None
        self._before = len(before)
        self._closed: deque[tuple[Path, int]] = deque(before)
        self._lock = threading.Lock()
        # The piece that was written last is taken first: it is in the cache.
        self._free: queue.LifoQueue[Piece] = queue.LifoQueue()
        self._made = 0
        self._tasks: queue.SimpleQueue[Callable[[], None] | None] = queue.SimpleQueue()
        self._finisher = ThreadPoolExecutor(1, "spanline-finish")
        self._finishing: deque[Future[None]] = deque()
        self._syncing: Future[None] | None = None
        self._writer = threading.Thread(target=self._run, name="spanline-write", daemon=True)
        self._writer.start()

    def take(self) -> Piece:
        """An empty piece. Waits while all are on their way to the disk."""
        with contextlib.suppress(queue.Empty):
            return self._free.get(block=self._made == _MOST_WAITING)
        self._made += 1
        return Piece()

    def open(self, name: str) -> None:
        """Begins the segment `name`, NAME-NUMBER.SUFFIX; another number, where there is one of that name."""
        self._tasks.put(lambda: self._open(self._folder / name))

    def settle(self) -> None:
        """Waits until all that was asked for so far was tried."""
        settled = threading.Event()
        self._tasks.put(settled.set)
        settled.wait()

    def write(self, piece: Piece) -> None:
        """Gives a piece back, with what is to be written."""
        self._tasks.put(lambda: self._write(piece))

    def end(self, last: bytes) -> None:
        """Ends the segment with the block `last`."""
        self._tasks.put(lambda: self._end(last))

    def count_unwritten(self, frames: int) -> None:
        """Counts frames that a failure left out before they came here."""
        with self._lock:
            self.unwritten += frames

    def close(self) -> None:
        """Waits until everything is on the disk, and the counts are complete."""
        self._tasks.put(None)
        self._writer.join()
        self._finisher.shutdown()

    def _run(self) -> None:
        while (task := self._tasks.get()) is not None:
            with self._failing(self._folder):
                task()

    def _open(self, path: Path) -> None:
        # Where a disk takes longer to have a segment than it takes to fill one, writing waits for it.
        while len(self._finishing) >= _MOST_FINISHING:
            self._finishing.popleft().result()
        if self.failure is None:
            self._finisher.submit(self._delete_old)
            with self._failing(path):
                self._file = self._with_room(lambda: _File(path, self._compression()))

    def _write(self, piece: Piece) -> None:
        if self._file is None or self.failure is not None:
            self.count_unwritten(piece.frames)
        else:
            self._write_to(self._file, piece)
        piece.size = piece.frames = 0
        self._free.put(piece)

    def _write_to(self, file: _File, piece: Piece) -> None:
        before = file.size
        try:
            self._append(file, file.compression.piece(piece.data))
        except Exception as error:
            self._fail(error, file.path)
            self._cut_back(file, piece, before)
            return
        file.frames += piece.frames
        if file.size - file.synced >= _SYNC_EVERY and (self._syncing is None or self._syncing.done()):
            file.synced = file.size
            self._syncing = self._finisher.submit(self._sync, file)

    def _append(self, file: _File, data: bytes | memoryview) -> None:
        left, done = memoryview(data), 0
        while done < len(left):
            count = self._with_room(functools.partial(os.write, file.descriptor, left[done:]))
            done += count
            file.size += count

    def _cut_back(self, file: _File, piece: Piece, before: int) -> None:
        """Leaves what is whole of `piece`, which was to be written behind the first `before` bytes."""
        size, frames = piece.frames_in(file.size - before) if self._compression is COMPRESSIONS[""] else (0, 0)
        file.size = before + size
        with contextlib.suppress(OSError):
            os.ftruncate(file.descriptor, file.size)
        file.frames += frames
        self.count_unwritten(piece.frames - frames)

    def _end(self, last: bytes) -> None:
        file, self._file = self._file, None
        if file is None:
            return
        before = file.size
        try:
            if before:  # else not even the beginning found room
                self._append(file, file.compression.end(last))
        except OSError as error:
            self._fail(error, file.path)
            with contextlib.suppress(OSError):
                os.ftruncate(file.descriptor, before)
        self._finishing.append(self._finisher.submit(self._finish, file))

    def _finish(self, file: _File) -> None:
        """Makes it durable, and gives it its name."""
        try:
            if not file.size:
                file.unfinished.unlink()
                return
            os.fsync(file.descriptor)
            file.unfinished.rename(file.path)
            _sync_folder(self._folder)
        except OSError as error:
            self._fail(error, file.path)
            self.count_unwritten(file.frames)
            return
        finally:
            os.close(file.descriptor)
        with self._lock:
            self.written += file.frames
            self.segments += 1
            self._closed.append((file.path, file.size))

    def _sync(self, file: _File) -> None:
        with self._failing(file.path):
            os.fsync(file.descriptor)

    def _delete_old(self) -> None:
        """What is too much beside the segment that was just opened."""
        with self._failing(self._folder):
            while self._are_too_many() and self._delete_oldest():
                pass

    def _are_too_many(self) -> bool:
        with self._lock:
            count, size = len(self._closed), sum(size for _, size in self._closed)
        return (self._keep is not None and count >= self._keep) or (
            self._keep_size is not None and size > self._keep_size
        )

    def _delete_oldest(self) -> bool:
        with self._lock:
            if not self._closed:
                return False
            path, _ = self._closed.popleft()
            if self.replaced < self._before:
                self.replaced += 1
            else:
                self.deleted += 1
        path.unlink(missing_ok=True)
        return True

    def _with_room(self, attempt: Callable[[], _Made]) -> _Made:
        """What `attempt` gives; while a disk is full and only the last segments are wanted, the oldest goes."""
        while True:
            try:
                return attempt()
            except OSError as error:
                if error.errno not in _NO_ROOM or (self._keep is None and self._keep_size is None):
                    raise
                while self._finishing:
                    self._finishing.popleft().result()
                if not self._delete_oldest():
                    raise

    @contextlib.contextmanager
    def _failing(self, path: Path) -> Iterator[None]:
        try:
            yield
        except Exception as error:  # whatever it is, nobody may wait for a thread that is gone
            self._fail(error, path)

    def _fail(self, error: Exception, path: Path) -> None:
        """Keeps the first failure: others follow from it."""
        if self.failure is None:
            number = getattr(error, "errno", None)
            hint = "make room, or let --keep delete the oldest segments" if number in _NO_ROOM else ""
            what = getattr(error, "strerror", None) or repr(error)
            self.failure = OutputError(f"cannot write {path}: {what}", hint=hint)


def left_over(folder: Path) -> list[Path]:
    """Segments in `folder` that nobody writes any more, by name: what wrote them did not end them."""
    return [path for path in sorted(folder.glob(f"*.pcapng*{UNFINISHED}")) if _is_abandoned(path)]


def _is_abandoned(path: Path) -> bool:
    try:
        descriptor = os.open(path, os.O_RDONLY)
    except OSError:
        return False
    try:
        return _lock(descriptor)
    finally:
        os.close(descriptor)


def _lock(descriptor: int) -> bool:
    """Marks a file as being written, until it is closed; False when it is so marked. Where there are locks."""
    if fcntl is not None:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        except OSError:  # a file system without locks
            pass
    return True


def _sync_folder(folder: Path) -> None:
    """Makes names durable. Windows has no such thing for a folder."""
    if os.name == "posix":
        descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
