"""The bytes of a capture file, decompressed on the way; what compressed them is found by content, not by name."""

from __future__ import annotations

import os
import select
import stat
import sys
import time
from collections.abc import Callable
from pathlib import Path

from spanline.sources.compression import COMPRESSIONS, MAGIC_BYTES, Decompressor, skippable
from spanline.system import BINARY, NO_WAIT

_READ = 256 * 1024
# Most decompressors give nothing of a call that meets corrupt data: a step is what may be lost.
_STEP = 16 * 1024
_MOMENT_MS = 200
# Seconds that a writer gets for the rest of what it has begun to write, if it was at work in the last _LATELY.
_PATIENCE, _LATELY = 0.25, 1.0
# Joined files may have an empty one among them; this many in a row only take time.
_MOST_EMPTY = 10_000

# Of a connection whose other side, or the way to it, is gone.
_BROKEN = ConnectionError, TimeoutError

OnWait = Callable[[float], None]


class ByteStream:
    """A capture file opened for reading once, from its beginning.

    `compression` is "" or the name of it. `fault` is "" until the end is reached, and then says what is wrong with the
    compressed data, and `fault_kind` of which kind that is (errors.Problem); everything before has been given out.

    on_wait  is called every moment while a pipe gives nothing, with the seconds that this has lasted
    """

    def __init__(self, path: str, on_wait: OnWait | None = None) -> None:
        """Opens `path`; "-" is standard input, and a connection has a name of pcap_over_ip. Raises OSError."""
        self._descriptor = _open(path, on_wait)
        self._on_wait = on_wait
        status = os.fstat(self._descriptor)
        self._is_plain = stat.S_ISREG(status.st_mode)
        self._first_size = status.st_size
        self.raw_bytes = 0
        self.fault = self.fault_kind = ""
        self._buffer, self._at = memoryview(b""), 0
        self._ended = False
        self._ends_without_data = 0
        try:
            self._seek_beginning()
        except BaseException:
            self.close()
            raise
        self.compression = ""
        self._decompressor: Decompressor | None = None
        for magic, name, make in COMPRESSIONS:
            if self._begins(magic):
                self.compression, self._make, self._magic = name, make, magic
                self._decompressor = make()

    def close(self) -> None:
        if self._descriptor >= 0:
            os.close(self._descriptor)
            self._descriptor = -1

    @property
    def used_bytes(self) -> int:
        """Compressed bytes that were needed for what was given out, up to a step."""
        return self.raw_bytes - self._left

    @property
    def _left(self) -> int:
        return len(self._buffer) - self._at

    def _begins(self, magic: bytes) -> bool:
        return self._buffer[self._at : self._at + len(magic)] == magic

    def _wait(self) -> None:
        """Until a pipe has something to read or has ended.

        A signal that comes just before a read blocks would not be noticed before the other side writes again; here it
        is within a moment.
        """
        if self._is_plain or os.name != "posix":
            return
        poll = select.poll()
        poll.register(self._descriptor, select.POLLIN)
        started = time.monotonic()
        while not poll.poll(_MOMENT_MS):
            if self._on_wait:
                self._on_wait(time.monotonic() - started)

    def _read_raw(self, *, midway: bool = False) -> bytes:
        """What there is; `midway` when what was read so far is of no use without more."""
        self._wait()
        data = self._read(_READ)
        if not data and midway and self.grew():
            data = self._read(_READ)
        self.raw_bytes += len(data)
        return data

    def _read(self, most: int) -> bytes:
        try:
            return os.read(self._descriptor, most)
        except _BROKEN as error:
            self._break(error)
            return b""

    def _break(self, error: OSError) -> None:
        self._end(f"the connection broke ({(error.strerror or str(error)).lower()})", "truncated")

    def grew(self) -> bool:
        """Whether a plain file has more to read by now; one that is being written to is given a moment."""
        if not self._is_plain or self.fault:
            return False
        written = os.fstat(self._descriptor).st_mtime
        if not (self.is_growing or abs(time.time() - written) < _LATELY):
            return False
        deadline = time.monotonic() + _PATIENCE
        while os.fstat(self._descriptor).st_size <= os.lseek(self._descriptor, 0, os.SEEK_CUR):
            if time.monotonic() > deadline:
                return False
            time.sleep(_PATIENCE / 50)
        self._ended = False
        return True

    @property
    def is_growing(self) -> bool:
        """Whether somebody has been writing to the file since it was opened."""
        return self._is_plain and os.fstat(self._descriptor).st_size > self._first_size

    def _seek_beginning(self) -> None:
        """Makes what is pending enough to recognise a format; skippable frames of zstd and lz4 are passed over."""
        while True:
            while self._left < MAGIC_BYTES and (more := self._read_raw(midway=self._left > 0)):
                self._buffer, self._at = memoryview(bytes(self._buffer[self._at :]) + more), 0
            skip = skippable(bytes(self._buffer[self._at : self._at + MAGIC_BYTES]))
            if not skip:
                return
            while self._left < skip and (more := self._read_raw(midway=True)):
                skip -= self._left
                self._buffer, self._at = memoryview(more), 0
            self._at += min(skip, self._left)

    def readinto(self, view: memoryview) -> int:
        """Fills the start of `view`, as much as there is without waiting; 0 at the end. Raises OSError."""
        if self._ended:
            return 0
        if self._decompressor is not None:
            return self._decompress_into(view)
        if self._left:
            count = min(self._left, len(view))
            view[:count] = self._buffer[self._at : self._at + count]
            self._at += count
            return count
        self._wait()
        count = self._read_into(view) if hasattr(os, "readv") else self._read_copy(view)
        self.raw_bytes += count
        return count

    def _read_into(self, view: memoryview) -> int:
        try:
            return os.readv(self._descriptor, [view])
        except _BROKEN as error:
            self._break(error)
            return 0

    def _read_copy(self, view: memoryview) -> int:
        data = self._read(len(view))
        view[: len(data)] = data
        return len(data)

    def _decompress_into(self, view: memoryview) -> int:
        """Goes on over the ends of members: a file may consist of very small ones."""
        filled = 0
        while filled < len(view) and not self._ended:
            assert self._decompressor is not None
            if self._decompressor.eof:
                if filled and self._left < MAGIC_BYTES:
                    break  # what follows may have to be waited for
                self._next_member()
                continue
            if self._decompressor.needs_input and not self._left:
                if filled:
                    break
                self._buffer, self._at = memoryview(self._read_raw(midway=True)), 0
                if not self._left:
                    self._end(f"the {self.compression} data is cut short", "truncated")
                    break
            out = self._decompress(self._decompressor, len(view) - filled)
            if out:
                view[filled : filled + len(out)] = out
                filled += len(out)
                self._ends_without_data = 0
        return filled

    def _decompress(self, decompressor: Decompressor, most: int) -> bytes:
        step = self._buffer[self._at : self._at + (_STEP if decompressor.needs_input else 0)]
        try:
            out = decompressor.decompress(step, most)
        except Exception as error:  # each library raises its own, and the file's bytes are all they depend on
            if isinstance(error, MemoryError):
                raise
            too_much = "memory" in str(error).lower()
            what = "needs too much memory to unpack" if too_much else "is corrupt"
            self._end(f"the {self.compression} data {what} ({error})", "damaged")
            return b""
        self._at += len(step)
        if decompressor.eof:  # what is unused is of the last step that it was given, so it stands in the buffer still
            self._at -= len(decompressor.unused_data or b"")
        return out

    def _next_member(self) -> None:
        """Files that were compressed apart and then joined go on with another header."""
        self._ends_without_data += 1
        if self._ends_without_data > _MOST_EMPTY:
            self._end(f"{_MOST_EMPTY:,} {self.compression} parts in a row are empty, and reading stopped", "bomb")
            return
        self._seek_beginning()
        if self._begins(self._magic):
            self._decompressor = self._make()
        elif bytes(self._buffer[self._at :]).strip(b"\0"):
            self._end(f"something that is not {self.compression} data follows it", "damaged")
        else:
            self._end("", "")

    def _end(self, fault: str, kind: str) -> None:
        if not self._ended:  # data is cut short where a connection broke
            self.fault, self.fault_kind = fault, kind
            self._ended = True


def _open(path: str, on_wait: OnWait | None) -> int:
    if path == "-":
        return os.dup(sys.stdin.fileno())
    if is_remote(path):
        from spanline.sources.pcap_over_ip import open_remote  # sockets are not loaded for those who read files

        return open_remote(path, on_wait)
    if sys.platform != "linux" or not stat.S_ISFIFO(Path(path).stat().st_mode):
        return os.open(path, os.O_RDONLY | BINARY)
    # Opening a FIFO would wait for its writer where nobody can tell; here _wait() does, if the file may be polled.
    descriptor = os.open(path, os.O_RDONLY | NO_WAIT)
    os.set_blocking(descriptor, True)
    return descriptor


def is_remote(path: str) -> bool:
    """Whether `path` means a capture that comes over TCP: see pcap_over_ip."""
    return path.startswith(("tcp:", "tcp-listen:", "TCP@"))


def is_regular_file(path: str) -> bool:
    """Whether `path` can be read twice: a plain file, not standard input, a FIFO or a connection."""
    return path != "-" and not is_remote(path) and Path(path).is_file()
