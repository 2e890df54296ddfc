"""What tells one capture from another, whatever its file is called, wherever it stands and however it is compressed.

An identity is of bytes: how many there are, the first and last 64 KiB, and pieces of 4 KiB, four between each power of
two and the next. To look at all of them would take as long as the analysis does. Captures differ in the times of their
frames, and so nearly everywhere.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
from collections.abc import Iterator

from spanline.sources.compression import COMPRESSIONS, MAGIC_BYTES
from spanline.sources.expansion import bomb
from spanline.sources.streams import ByteStream

_END = 1 << 16
_PIECE = 1 << 12
_READ = 1 << 20


class Sample:
    """Of bytes that are read one after the other.

    size  how many they are so far
    """

    def __init__(self) -> None:
        self._pieces: list[bytes] = []
        self._places = _places()
        self._begin, self._end = next(self._places)
        self._last = b""
        self.size = 0

    def add(self, data: memoryview) -> None:
        size = self.size + len(data)
        while self._begin < size:
            self._pieces.append(data[max(self._begin - self.size, 0) : self._end - self.size].tobytes())
            if self._end > size:
                break  # more of this piece is to come
            self._begin, self._end = next(self._places)
        self._last = (self._last + data[-_END:].tobytes())[-_END:]
        self.size = size

    @property
    def identity(self) -> str:
        return _identity(self.size, b"".join(self._pieces), self._last)


def identity_of(path: str | os.PathLike[str]) -> str:
    """Of the bytes of a file, as they are. Raises OSError."""
    pieces = []
    with open(path, "rb", buffering=0) as file:
        size = os.fstat(file.fileno()).st_size
        for begin, end in _places():
            if begin >= size:
                break
            file.seek(begin)
            pieces.append(file.read(end - begin))
        file.seek(max(0, size - _END))
        return _identity(size, b"".join(pieces), file.read(_END))


def head_of(identity: str) -> str:
    """What tells the first 64 KiB from others; so much less of an identity is the same for a file that has grown."""
    return identity.partition("-")[0]


def head_inside(path: str) -> str:
    """head_of() what a compressed file has in it; "" where it is none. Raises OSError."""
    with open(path, "rb", buffering=0) as file:
        begin = file.read(MAGIC_BYTES)
    if not any(begin.startswith(magic) for magic, _, _ in COMPRESSIONS):
        return ""
    sample, room = Sample(), memoryview(bytearray(_END))
    with contextlib.closing(ByteStream(path)) as stream:
        while count := stream.readinto(room[: _END - sample.size]):
            sample.add(room[:count])
    return head_of(sample.identity)


def identity_inside(path: str) -> str:
    """Of what a compressed file has in it, all of which is unpacked; "" where it does not end well. Raises OSError."""
    sample, room = Sample(), memoryview(bytearray(_READ))
    with contextlib.closing(ByteStream(path)) as stream:
        while count := stream.readinto(room):
            sample.add(room[:count])
            if bomb(stream.used_bytes, sample.size, sample.size):
                return ""
        return "" if stream.fault else sample.identity


def _places() -> Iterator[tuple[int, int]]:
    """Where pieces begin and end."""
    yield 0, _END
    quarter = _END // 2
    while True:
        for n in range(4, 8):
            yield n * quarter, n * quarter + _PIECE
        quarter *= 2


def _identity(size: int, pieces: bytes, last: bytes) -> str:
    """In hex; the part before the dash is of the first 64 KiB."""
    head = hashlib.blake2b(pieces[:_END], digest_size=8).hexdigest()
    return f"{head}-{hashlib.blake2b(size.to_bytes(8) + pieces + last, digest_size=16).hexdigest()}"
