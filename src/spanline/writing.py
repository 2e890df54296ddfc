"""Frames into capture files: pcapng or pcap, plain or compressed, as they come.

specification: draft-ietf-opsawg-pcapng, draft-ietf-opsawg-pcap
"""

from __future__ import annotations

import contextlib
import struct
import sys
import zlib
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

import numpy as np
import numpy.typing as npt

from spanline import _writing, blocks
from spanline.errors import OutputError, UsageError
from spanline.output import Stream, open_stream
from spanline.schema import WRITTEN_INTERFACE_DTYPE

if TYPE_CHECKING:
    from spanline.batch import Batch
    from spanline.chunk import Interface
    from spanline.pipeline import Capture

_PIECE = 1 << 20
_MICROSECOND = 1000
# libpcap drops what is longer than the header of a pcap file says; no frame is longer than this.
_LONGEST_FRAME = 262144
_PCAP_TIMES = 0, 2**32 * 10**9
_SUFFIXES = "captures are written as .pcapng or .pcap, and these also as .zst, .gz or .lz4"


class _Compressor(Protocol):
    def compress(self, data: memoryview) -> bytes: ...

    def flush(self) -> bytes: ...


def _zstd() -> tuple[bytes, _Compressor]:
    if sys.version_info >= (3, 14):
        from compression import zstd
    else:
        from backports import zstd
    return b"", zstd.ZstdCompressor()


def _lz4() -> tuple[bytes, _Compressor]:
    import lz4.frame

    compressor = lz4.frame.LZ4FrameCompressor()
    return compressor.begin(), compressor


_COMPRESSIONS: dict[str, Callable[[], tuple[bytes, _Compressor]]] = {
    ".zst": _zstd,
    ".gz": lambda: (b"", zlib.compressobj(wbits=31)),
    ".lz4": _lz4,
}


class _Sink:
    """Bytes to a stream, compressed on the way as the suffix of a file says."""

    def __init__(self, stream: Stream, suffix: str) -> None:
        self._stream = stream
        self._compressor: _Compressor | None = None
        if suffix:
            begin, self._compressor = _COMPRESSIONS[suffix]()
            stream.write(begin)

    def write(self, data: memoryview) -> None:
        self._stream.write(self._compressor.compress(data) if self._compressor else data)

    def flush(self) -> None:
        """To whoever reads the other end of a pipe: what is compressed waits for more."""
        self._stream.flush()

    def close(self) -> None:
        if self._compressor:
            self._stream.write(self._compressor.flush())


class _Format(Protocol):
    """What stands around the frames of a file."""

    number: int

    def declare(self, capture: Capture, interfaces: list[Interface]) -> bytes:
        """What comes before the first frame of any of `interfaces`, which were not given before.

        Raises OutputError for one that the format has no room for.
        """

    def clock(self, interface: Interface) -> tuple[int, int]:
        """(ns taken from the times of its frames, ns of a tick)"""

    def check(self, interfaces: Iterable[Interface], times: npt.NDArray[np.int64]) -> None:
        """Raises OutputError for frames that the format has no room for."""


class _Pcapng:
    """One section, with all interfaces of the capture under their numbers there."""

    number = _writing.PCAPNG

    def __init__(self) -> None:
        self._begun = False

    def declare(self, capture: Capture, interfaces: list[Interface]) -> bytes:
        section = b"" if self._begun else self._section(capture)
        self._begun = True
        return section + b"".join(map(blocks.interface, interfaces))

    def _section(self, capture: Capture) -> bytes:
        import spanline

        sections = [section for file in capture.files for section in file.sections]
        texts = [(blocks.COMMENT, section["comment"]) for section in sections if "comment" in section]
        if len(sections) == 1:
            named = (blocks.HARDWARE, "hardware"), (blocks.OS, "os")
            texts += [(code, sections[0][name]) for code, name in named if name in sections[0]]
        texts.append((blocks.APPLICATION, f"spanline {spanline.__version__}"))
        return blocks.section(texts)

    def clock(self, interface: Interface) -> tuple[int, int]:
        return blocks.clock(interface)

    def check(self, interfaces: Iterable[Interface], times: npt.NDArray[np.int64]) -> None:
        """Everything fits that can be declared."""


class _Pcap:
    """Frames of one link type. Times are in ns when an interface counts finer than µs by the first frame."""

    number = _writing.PCAP

    def __init__(self) -> None:
        self._link_type: int | None = None
        self._tick = _MICROSECOND

    def declare(self, capture: Capture, interfaces: list[Interface]) -> bytes:
        if self._link_type is not None:
            return b""
        self._link_type = interfaces[-1].link_type if interfaces else 1
        if any(blocks.digits(interface) > 6 for interface in interfaces):
            self._tick = 1
        magic = 0xA1B2C3D4 if self._tick == _MICROSECOND else 0xA1B23C4D
        return struct.pack("=IHHiIII", magic, 2, 4, 0, 0, _LONGEST_FRAME, self._link_type)

    def clock(self, interface: Interface) -> tuple[int, int]:
        return 0, self._tick

    def check(self, interfaces: Iterable[Interface], times: npt.NDArray[np.int64]) -> None:
        for interface in interfaces:
            if interface.link_type != self._link_type:
                both = " and ".join(map(str, sorted((self._link_type or 0, interface.link_type))))
                raise OutputError(f"a pcap file has no room for both link types {both}", hint="name the file .pcapng")
            if self._tick == _MICROSECOND and blocks.digits(interface) > 6:
                raise OutputError("a pcap file that began in µs has no room for ns", hint="name the file .pcapng")
        if len(times) and not _PCAP_TIMES[0] <= times.min() <= times.max() < _PCAP_TIMES[1]:
            raise OutputError("a pcap file has no room for times before 1970 or after 2106", hint="name it .pcapng")


_FORMATS: dict[str, Callable[[], _Format]] = {".pcapng": _Pcapng, ".pcap": _Pcap}


class CaptureWriter:
    """Writes the frames of batches as they were captured: bytes, times, lengths on the wire, interfaces, and what a
    pcapng file says of each, such as comments. Of datagrams that came in fragments the frames are written.

    left_out  frames of an interface that their file never declares, which cannot be written
    """

    def __init__(self, sink: _Sink, format: _Format, capture: Capture) -> None:
        self._sink = sink
        self._format = format
        self._capture = capture
        self._interfaces: npt.NDArray[np.void] = np.empty(0, WRITTEN_INTERFACE_DTYPE)
        self._begun = False
        self._piece = np.empty(_PIECE, np.uint8)
        self.left_out = 0

    def write(self, batch: Batch, count: int | None = None) -> None:
        """The frames of `batch`, or its first `count`. Raises OutputError."""
        records = batch.records[:count]
        if not len(records):
            return
        present = np.flatnonzero(np.bincount(records["interface"]))
        known = present[present < len(batch.interfaces)].tolist()
        self.left_out += int(np.count_nonzero(records["interface"] >= len(batch.interfaces)))
        if not known:
            return
        # Another thread may be about to declare more; those of frames that came here are complete.
        self._declare(known[-1] + 1)
        self._format.check([batch.interfaces[n] for n in known], records["timestamp"])
        octets, clocks = records.view(np.uint8), self._interfaces.view(np.uint8)
        done = 0
        while done < len(records):
            done, size = _writing.frames(batch.buffers[0], octets, clocks, self._format.number, done, self._piece)
            self._sink.write(self._piece[:size].data)
            if not size and done < len(records):
                self._piece = np.empty(2 * len(self._piece), np.uint8)
        self._sink.flush()

    def close(self) -> None:
        """Declares what no frame was of. To be called when the capture was read."""
        self._declare(len(self._capture.interfaces))

    def _declare(self, count: int) -> None:
        interfaces = self._capture.interfaces
        new = [interfaces[n] for n in range(len(self._interfaces), count)]
        if not new and self._begun:
            return
        self._begun = True
        self._sink.write(memoryview(self._format.declare(self._capture, new)))
        rows = [(*self._format.clock(interface), interface.swapped) for interface in new]
        self._interfaces = np.concatenate([self._interfaces, np.array(rows, WRITTEN_INTERFACE_DTYPE)])


def capture_suffixes(path: str) -> tuple[str, str]:
    """(".pcapng" or ".pcap", suffix of the compression or "") of a file to be written; "-" is pcapng.

    Raises UsageError for any other name.
    """
    suffixes = [suffix.lower() for suffix in Path(path).suffixes[-2:]]
    compression = suffixes.pop() if suffixes and suffixes[-1] in _COMPRESSIONS else ""
    format = ".pcapng" if path == "-" else suffixes[-1] if suffixes else ""
    if format not in _FORMATS:
        raise UsageError(f"{path}: no capture file has this suffix", hint=_SUFFIXES)
    return format, compression


@contextlib.contextmanager
def open_capture_output(path: str, capture: Capture) -> Iterator[CaptureWriter]:
    """A writer of frames of `capture` to the file `path`, or to standard output for "-", by the rules of output.py.

    The suffix tells the format and the compression. Raises UsageError for another suffix, OutputError when the file
    cannot be written, or its format has no room for a frame.
    """
    format, compression = capture_suffixes(path)
    with open_stream(None if path == "-" else path) as stream:
        try:
            sink = _Sink(stream, compression)
            writer = CaptureWriter(sink, _FORMATS[format](), capture)
            yield writer
            writer.close()
            sink.close()
        except BaseException:
            stream.drop()
            raise
