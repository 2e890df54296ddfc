"""Decompressors of one shape, and how each kind of compressed data begins."""

from __future__ import annotations

import bz2
import contextlib
import lzma
import sys
import zlib
from collections.abc import Callable
from typing import Protocol

# What `xz -9` needs is 65 MiB, and zstd's library keeps to a window of 128 MiB by itself.
_XZ_MEMORY = 1 << 28

MAGIC_BYTES = 8
# Bytes 2 to 4 of a skippable frame, whose first is 0x50 to 0x5F and whose length follows (RFC 8878 section 3.1.2).
_SKIPPABLE = b"\x2a\x4d\x18"


class Decompressor(Protocol):
    """What bz2, lzma, lz4.frame and zstd objects have in common. One reads one member, and then is at `eof`."""

    @property
    def eof(self) -> bool: ...

    @property
    def needs_input(self) -> bool: ...

    @property
    def unused_data(self) -> bytes | None: ...

    def decompress(self, data: bytes | memoryview, max_length: int = -1) -> bytes: ...


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

    def decompress(self, data: bytes | memoryview, max_length: int = -1) -> bytes:
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


def _zstd() -> Decompressor:
    if sys.version_info >= (3, 14):
        from compression import zstd
    else:
        from backports import zstd
    return zstd.ZstdDecompressor()


def _lz4() -> Decompressor:
    import lz4.frame

    made: Decompressor = lz4.frame.LZ4FrameDecompressor()
    return made


def _xz() -> Decompressor:
    return lzma.LZMADecompressor(memlimit=_XZ_MEMORY)


COMPRESSIONS: tuple[tuple[bytes, str, Callable[[], Decompressor]], ...] = (
    (b"\x1f\x8b", "gzip", _Gzip),
    (b"\x28\xb5\x2f\xfd", "zstd", _zstd),
    (b"\x04\x22\x4d\x18", "lz4", _lz4),
    (b"\xfd7zXZ\x00", "xz", _xz),
    (b"BZh", "bzip2", bz2.BZ2Decompressor),
)


def skippable(magic: bytes) -> int:
    """The length of the skippable frame of zstd or lz4 that begins with the MAGIC_BYTES `magic`; 0 if none does."""
    if len(magic) < MAGIC_BYTES or magic[1:4] != _SKIPPABLE or magic[0] >> 4 != 5:
        return 0
    return MAGIC_BYTES + int.from_bytes(magic[4:8], "little")
