"""The bytes of a capture file, decompressed on the way; what compressed them is found by content, not by name."""

from __future__ import annotations

import bz2
import contextlib
import lzma
import os
import select
import stat
import sys
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Protocol

_READ = 256 * 1024
# Most decompressors give nothing of a call that meets corrupt data: a step is what may be lost.
_STEP = 16 * 1024
_MAGIC_BYTES = 8
_MOMENT_MS = 200
# Bytes 2 to 4 of a skippable frame, whose first is 0x50 to 0x5F and whose length follows (RFC 8878 section 3.1.2).
_SKIPPABLE = b"\x2a\x4d\x18"


class _Decompressor(Protocol):
    """What bz2, lzma, lz4.frame and zstd objects have in common."""

    @property
    def eof(self) -> bool: ...

    @property
    def needs_input(self) -> bool: ...

    @property
    def unused_data(self) -> bytes | None: ...

    def decompress(self, data: bytes, max_length: int = -1) -> bytes: ...


class _Gzip:
    """zlib's object in the shape of the others. What comes before corrupt data is given out first."""

    def __init__(self) -> None:
        self._object = zlib.decompressobj(wbits=31)
        self._error: zlib.error | None = None
        self.needs_input = True

    @property
    def eof(self) -> bool:
        return self._object.eof

    @property
    def unused_data(self) -> bytes:
        return self._object.unused_data

    def decompress(self, data: bytes, max_length: int = -1) -> bytes:
        if self._error is not None:
            raise self._error
        data = self._object.unconsumed_tail + data
        before = self._object.copy()
        try:
            out = self._object.decompress(data, max(max_length, 0))
        except zlib.error as error:
            self._error, self.needs_input = error, False
            return self._up_to_the_error(before, data)
        self.needs_input = not self._object.unconsumed_tail and len(out) < max_length
        return out

    def _up_to_the_error(self, decompressor: zlib._Decompress, data: bytes) -> bytes:
        """Once more, a byte at a time; zlib gives nothing of a call that fails."""
        out = bytearray()
        with contextlib.suppress(zlib.error):
            for at in range(len(data)):
                out += decompressor.decompress(data[at : at + 1])
        return bytes(out)


def _zstd() -> _Decompressor:
    if sys.version_info >= (3, 14):
        from compression import zstd
    else:
        from backports import zstd
    return zstd.ZstdDecompressor()


def _lz4() -> _Decompressor:
    import lz4.frame

    made: _Decompressor = lz4.frame.LZ4FrameDecompressor()
    return made


_COMPRESSIONS: tuple[tuple[bytes, str, Callable[[], _Decompressor]], ...] = (
    (b"\x1f\x8b", "gzip", _Gzip),
    (b"\x28\xb5\x2f\xfd", "zstd", _zstd),
    (b"\x04\x22\x4d\x18", "lz4", _lz4),
    (b"\xfd7zXZ\x00", "xz", lzma.LZMADecompressor),
    (b"BZh", "bzip2", bz2.BZ2Decompressor),
)


class ByteStream:
    """A capture file opened for reading once, from its beginning.

    `compression` is "" or the name of it. `fault` is "" until the end is reached, and then says what is wrong with the
    compressed data; everything before the fault has been given out.
    """

    def __init__(self, path: str) -> None:
        """Opens `path`; "-" is standard input. Raises OSError."""
        self._descriptor = os.dup(sys.stdin.fileno()) if path == "-" else os.open(path, os.O_RDONLY | _BINARY)
        self._may_block = os.name == "posix" and not stat.S_ISREG(os.fstat(self._descriptor).st_mode)
        self.raw_bytes = 0
        self.fault = ""
        self._pending = b""
        self._ended = False
        try:
            self._pending = self._beginning(b"")
        except BaseException:
            self.close()
            raise
        self.compression = ""
        self._decompressor: _Decompressor | None = None
        for magic, name, make in _COMPRESSIONS:
            if self._pending.startswith(magic):
                self.compression, self._make, self._magic = name, make, magic
                self._decompressor = make()

    def close(self) -> None:
        if self._descriptor >= 0:
            os.close(self._descriptor)
            self._descriptor = -1

    def _wait(self) -> None:
        """Until a pipe has something to read or has ended.

        A signal that comes just before a read blocks would not be noticed before the other side writes again; here it
        is within a moment.
        """
        if self._may_block:
            poll = select.poll()
            poll.register(self._descriptor, select.POLLIN)
            while not poll.poll(_MOMENT_MS):
                pass

    def _read_raw(self) -> bytes:
        self._wait()
        data = os.read(self._descriptor, _READ)
        self.raw_bytes += len(data)
        return data

    def _beginning(self, data: bytes) -> bytes:
        """`data` and what follows, enough to recognise a format; skippable frames of zstd and lz4 are passed over."""
        while True:
            while len(data) < _MAGIC_BYTES and (more := self._read_raw()):
                data += more
            if len(data) < _MAGIC_BYTES or data[1:4] != _SKIPPABLE or data[0] >> 4 != 5:
                return data
            skip = 8 + int.from_bytes(data[4:8], "little")
            while len(data) <= skip and (more := self._read_raw()):
                skip, data = skip - len(data), more
            data = data[skip:]

    def readinto(self, view: memoryview) -> int:
        """Fills the start of `view`, as much as one read gives; 0 at the end. Raises OSError."""
        if self._ended:
            return 0
        if self._decompressor is not None:
            return self._decompress_into(self._decompressor, view)
        if self._pending:
            count = min(len(self._pending), len(view))
            view[:count] = self._pending[:count]
            self._pending = self._pending[count:]
            return count
        self._wait()
        count = os.readv(self._descriptor, [view]) if hasattr(os, "readv") else self._read_copy(view)
        self.raw_bytes += count
        return count

    def _read_copy(self, view: memoryview) -> int:
        data = os.read(self._descriptor, len(view))
        view[: len(data)] = data
        return len(data)

    def _decompress_into(self, decompressor: _Decompressor, view: memoryview) -> int:
        while True:
            if decompressor.eof:
                following = self._next_member(decompressor)
                if following is None:
                    return 0
                self._decompressor = decompressor = following
            data = b""
            if decompressor.needs_input:
                data = self._pending or self._read_raw()
                data, self._pending = data[:_STEP], data[_STEP:]
                if not data:
                    self._end(f"the {self.compression} data is cut short")
                    return 0
            try:
                out = decompressor.decompress(data, len(view))
            except Exception as error:  # each library raises its own, and the file's bytes are all they depend on
                if isinstance(error, MemoryError):
                    raise
                self._end(f"the {self.compression} data is corrupt ({error})")
                return 0
            if out:
                view[: len(out)] = out
                return len(out)

    def _next_member(self, decompressor: _Decompressor) -> _Decompressor | None:
        """Files that were compressed apart and then joined go on with another header."""
        rest = self._beginning((decompressor.unused_data or b"") + self._pending)
        if rest.startswith(self._magic):
            self._pending = rest
            return self._make()
        self._end(f"something that is not {self.compression} data follows it" if rest.strip(b"\0") else "")
        return None

    def _end(self, fault: str) -> None:
        self.fault = fault
        self._ended = True


_BINARY = getattr(os, "O_BINARY", 0)


def is_regular_file(path: str) -> bool:
    """Whether `path` can be read twice: a plain file, not standard input or a FIFO."""
    return path != "-" and Path(path).is_file()
