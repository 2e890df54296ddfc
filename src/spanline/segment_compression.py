"""Segments as they are compressed: what has been written can be read at any moment, and be ended at any moment.

Each piece is flushed, so that a file that was cut behind one is whole up to there; and the end is a block that is not
compressed, which needs no memory of what the compressor has seen. One frame a file: Wireshark reads no second one.

specification: RFC 8878 section 3.1.1.2 (zstd's blocks); LZ4 Frame Format 1.6, data blocks
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import Protocol

# zstd's fastest level but for the negative ones compresses 600 MB/s on a core, its usual one 250 MB/s.
_ZSTD_LEVEL = 1


class Compression(Protocol):
    """One file, compressed as it is written."""

    def piece(self, data: memoryview) -> bytes | memoryview:
        """`data` compressed, all of it."""

    def end(self, data: bytes) -> bytes:
        """The file's end, which begins with `data`; it fits behind any piece, whatever was compressed after that."""


class _Plain:
    def piece(self, data: memoryview) -> memoryview:
        return data

    def end(self, data: bytes) -> bytes:
        return data


class _Zstd:
    def __init__(self) -> None:
        if sys.version_info >= (3, 14):
            from compression import zstd
        else:
            from backports import zstd
        self._compressor = zstd.ZstdCompressor(level=_ZSTD_LEVEL)

    def piece(self, data: memoryview) -> bytes:
        return self._compressor.compress(data, self._compressor.FLUSH_BLOCK)

    def end(self, data: bytes) -> bytes:
        """|last 1 bit|raw 2 bits: 0|size 21 bits|data|"""
        return (len(data) << 3 | 1).to_bytes(3, "little") + data


class _Lz4:
    def __init__(self) -> None:
        import lz4.frame

        self._compressor = lz4.frame.LZ4FrameCompressor(auto_flush=True)
        self._begin: bytes = self._compressor.begin()

    def piece(self, data: memoryview) -> bytes:
        begin, self._begin = self._begin, b""
        return begin + bytes(self._compressor.compress(data))

    def end(self, data: bytes) -> bytes:
        """|size 31 bits|uncompressed 1 bit|data|end mark 4: 0|"""
        return (len(data) | 1 << 31).to_bytes(4, "little") + data + bytes(4)


COMPRESSIONS: dict[str, Callable[[], Compression]] = {"": _Plain, ".zst": _Zstd, ".lz4": _Lz4}
"""By the suffix of the file."""
