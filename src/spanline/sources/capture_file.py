"""One capture file as chunks: read through the cache in pieces, framed, never held as a whole."""

from __future__ import annotations

import errno
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from spanline import _framing
from spanline.chunk import Chunk, Interface, Interfaces
from spanline.errors import CaptureError, Problem
from spanline.pool import Pool
from spanline.schema import MARK_DTYPE, RECORD_DTYPE
from spanline.sources import pcapng_blocks
from spanline.sources.expansion import bomb
from spanline.sources.identity import Sample
from spanline.sources.streams import ByteStream, is_regular_file

CHUNK_BYTES = 1 << 20
"""A piece that is still in the cache when the last stage looks at it, and large enough for Python to cost little."""

BACKWARDS_TOLERANCE = 10_000_000
"""ns. Packets from several queues or a load balancer arrive out of order by a few ms: that is no fault of a file."""

_MOST_OFFSET = 9_223_372_035
"""Seconds, 292 years: more is brought back to what int64 ns hold."""

_MOST_TEXT = 1 << 22
"""Characters kept of what all interfaces and sections of a file say about themselves; nobody reads more."""

OnWait = Callable[[str, float], None]

_FAULTS = {
    1: "this is not a capture file: it starts with 0x{value:08x}",
    2: "a frame of {value} bytes is longer than any can be",
    3: "a block cannot have a length of {value}",
    4: "a block ends with another length than it begins with ({value})",
    5: "a packet block is too short for its own header",
    6: "a section has no byte order (0x{value:08x})",
    7: "pcapng of major version {value} is not known",
    8: "more than {value} interfaces",
}
_NOT_A_CAPTURE = 1
_READ = "pcap and pcapng are read, plain or compressed"
_HINTS = {
    errno.ENOENT: "check its name",
    errno.EACCES: "you may not read it",
    errno.EISDIR: "name the files in it",
    errno.EMFILE: "too many captures overlap in time: allow more open files, ulimit -n",
}
_MAGICS = [bytes.fromhex(magic) for magic in ("d4c3b2a1", "a1b2c3d4", "4d3cb2a1", "a1b23c4d", "0a0d0d0a")]


@dataclass(slots=True)
class FileInfo:
    """What reading a capture file told about it, complete when its last chunk was given out."""

    path: str
    format: str = ""
    """pcap or pcapng."""
    compression: str = ""
    byte_order: str = ""
    frames: int = 0
    size: int = 0
    """Bytes read, compressed."""
    uncompressed_size: int = 0
    identity: str = ""
    """sources.identity of what is in a compressed file that was read to its end."""
    sections: list[dict[str, str]] = field(default_factory=list)
    interfaces: list[int] = field(default_factory=list)
    """Numbers in the capture's list of interfaces."""


class CaptureFile:
    """A capture file, standard input for "-", or what comes over TCP under a name of pcap_over_ip.

    What is wrong with it goes to `problems`; whole records before the fault come out all the same. `on_wait` is called
    every moment while a pipe gives nothing, with its name and the seconds that this has lasted.
    """

    def __init__(
        self,
        path: str,
        interfaces: Interfaces,
        problems: list[Problem],
        pool: Pool,
        on_wait: OnWait | None = None,
        several_threads: bool = False,
    ) -> None:
        self.path = path
        self.name = "standard input" if path == "-" else path
        self.info = FileInfo(self.name)
        self._interfaces = interfaces
        self._in_section = 0  # interfaces of the current one so far
        self._problems = problems
        self._pool = pool
        self._on_wait = on_wait
        # Each step of each thread waits for its turn: with fewer and larger chunks that happens less often.
        self._chunk_bytes = 4 * CHUNK_BYTES if several_threads else CHUNK_BYTES
        self._text_left = _MOST_TEXT
        self._bomb = ""
        self._stream: ByteStream | None = None
        self._opened: Iterator[Chunk] | None = None

    def problem(self, kind: str, what: str, where: str = "", hint: str = "") -> None:
        self._problems.append(Problem(self.name, kind, what, where, hint))

    @property
    def bytes_read(self) -> int:
        """Compressed bytes read so far."""
        return self._stream.raw_bytes if self._stream else self.info.size

    def first_timestamp(self) -> int | None:
        """Time of the first record, None when there is none. Reads only the beginning of a file."""
        if is_regular_file(self.path):
            # Opened again later: a folder may have more files than a process may have open.
            peek = CaptureFile(self.path, Interfaces(), [], self._pool)
            chunk = next(peek.chunks(), None)
            peek.close()
        else:
            chunks = self.chunks()
            chunk = next(chunks, None)
            self._opened = _put_back(chunk, chunks) if chunk else chunks
        return int(chunk.records["timestamp"][0]) if chunk else None

    def close(self) -> None:
        if self._stream:
            self.info.size = self._stream.raw_bytes
            self._stream.close()
            self._stream = None

    def chunks(self) -> Iterator[Chunk]:
        """All whole records, in the file's order."""
        if self._opened is not None:
            opened, self._opened = self._opened, None
            return opened
        return self._read()

    def _read(self) -> Iterator[Chunk]:
        try:
            self._stream = ByteStream(self.path, self._waits)
            self.info.compression = self._stream.compression
            yield from self._frame(self._stream)
        except CaptureError as error:
            self.problem("unreadable", error.message, hint=error.hint)
        except OSError as error:
            hint = _HINTS.get(error.errno or 0, "is it a file?")
            self.problem("unreadable", (error.strerror or str(error)).lower(), hint=hint)
        finally:
            self.close()

    def _waits(self, seconds: float) -> None:
        if self._on_wait:
            self._on_wait(self.name, seconds)

    def _frame(self, stream: ByteStream) -> Iterator[Chunk]:
        framer = _framing.Framer()
        numbers = np.empty(0, np.uint16)
        size = self._chunk_bytes
        rest: npt.NDArray[np.uint8] = np.empty(0, np.uint8)
        marks = np.empty(1024, MARK_DTYPE)
        sample = Sample()
        self.info.uncompressed_size = in_frames = 0
        while True:
            buffer = self._pool.take(size)
            kept = rest.size
            buffer[:kept] = rest
            count = stream.readinto(buffer[kept:].data)
            data = buffer[: kept + count]
            self.info.uncompressed_size += count
            if stream.compression:
                sample.add(data[kept:].data)
            status = _framing.FULL
            while status == _framing.FULL:
                records = self._pool.take_rows(RECORD_DTYPE, 64 + data.size // 64)
                status, record_count, mark_count, consumed = framer.scan(
                    data, records.view(np.uint8), marks.view(np.uint8)
                )
                numbers = self._number_interfaces(framer, numbers)
                if mark_count:
                    self._read_marks(data, marks[:mark_count], numbers)
                if record_count:
                    records = records[:record_count]
                    if stream.compression:
                        in_frames += int(records["captured_length"].sum(dtype=np.int64))
                    self._renumber(records, numbers)
                    yield Chunk(data, records, self._interfaces)
                data = data[consumed:]
            rest = data
            if status == _framing.DAMAGED:
                break
            if count == 0 and not (_is_incomplete(framer, rest) and stream.grew()):
                self.info.identity = sample.identity if stream.compression and not stream.fault else ""
                break
            if stream.compression:
                self._bomb = bomb(stream.used_bytes, self.info.uncompressed_size, in_frames)
                if self._bomb:
                    break
            # A block larger than the buffer; framing bounds it.
            size = 2 * size if rest.size == size else max(self._chunk_bytes, 2 * rest.size)
        self._conclude(framer, stream, rest.tobytes(), status)

    def _number_interfaces(self, framer: _framing.Framer, numbers: npt.NDArray[np.uint16]) -> npt.NDArray[np.uint16]:
        """Enters newly declared interfaces; `numbers` maps the file's own numbers to the capture's."""
        if framer.interface_count == len(numbers):
            return numbers
        new = []
        for n in range(len(numbers), framer.interface_count):
            link_type, snaplen, resolution, offset = framer.interface(n)
            tick = 2.0 ** -(resolution & 0x7F) if resolution & 0x80 else 10.0**-resolution
            swapped = framer.format == "pcap" and framer.swapped
            new.append(self._interfaces.add(Interface(self.name, link_type, snaplen, tick, offset, swapped)))
        self.info.interfaces += new
        return np.concatenate([numbers, np.array(new, np.uint16)])

    def _read_marks(
        self, data: npt.NDArray[np.uint8], marks: npt.NDArray[np.void], numbers: npt.NDArray[np.uint16]
    ) -> None:
        for mark in marks[self._worth_reading(marks)]:
            body = data[mark["offset"] : mark["offset"] + mark["length"]].tobytes()
            order = "<" if (sys.byteorder == "little") != bool(mark["swapped"]) else ">"
            if mark["type"] == pcapng_blocks.SECTION:
                self.info.sections.append(self._kept(pcapng_blocks.section_texts(body, order)))
                self._in_section = 0
                continue
            number = int(numbers[mark["interface"]])
            if number == Interfaces.LIMIT:
                continue
            if mark["type"] == pcapng_blocks.INTERFACE:
                interface = self._interfaces[number]
                interface.swapped = bool(mark["swapped"])
                interface.number = self._in_section
                self._in_section += 1
                for name, text in self._kept(pcapng_blocks.interface_texts(body, order)).items():
                    setattr(interface, name, text)
                options = pcapng_blocks.interface_options(body, order)
                if self._is_room(sum(len(value) for _, value in options)):
                    interface.options = options
            else:
                self._interfaces[number].statistics = pcapng_blocks.statistics(body, order)

    def _worth_reading(self, marks: npt.NDArray[np.void]) -> npt.NDArray[np.intp]:
        """Which of `marks` a person may want to know of: a file can have millions of them."""
        types = marks["type"]
        sections = np.flatnonzero(types == pcapng_blocks.SECTION)[: Interfaces.LIMIT - len(self.info.sections)]
        # Of statistics of an interface the last counts.
        counters = np.flatnonzero((types == pcapng_blocks.STATISTICS) & (marks["length"] > pcapng_blocks.NO_STATISTICS))
        _, last = np.unique(marks["interface"][counters][::-1], return_index=True)
        interfaces = np.flatnonzero(types == pcapng_blocks.INTERFACE)
        return np.sort(np.concatenate([sections, interfaces, counters[::-1][last]]))

    def _kept(self, texts: dict[str, str]) -> dict[str, str]:
        """`texts`, or nothing when there have been too many."""
        return texts if self._is_room(sum(map(len, texts.values()))) else {}

    def _is_room(self, length: int) -> bool:
        if not length:
            return True
        if 0 <= self._text_left < length:
            what = f"interfaces and sections say more than {_MOST_TEXT:,} characters about themselves"
            self.problem("texts", what, hint="the rest is left out")
        self._text_left -= length
        return self._text_left >= 0

    def _renumber(self, records: npt.NDArray[np.void], numbers: npt.NDArray[np.uint16]) -> None:
        if len(numbers) and numbers[-1] != len(numbers) - 1:
            own = records["interface"]
            declared = own < len(numbers)
            own[declared] = numbers[own[declared]]

    def _conclude(self, framer: _framing.Framer, stream: ByteStream, rest: bytes, status: int) -> None:
        """Notes what the whole file was like, and what was wrong with it."""
        self.info.format = framer.format
        self.info.byte_order = ("big" if sys.byteorder == "little" else "little") if framer.swapped else sys.byteorder
        self.info.frames = framer.frames
        where = f"byte {framer.position}" + (" of the uncompressed data" if stream.compression else "")
        read = f"{framer.frames} whole frame{'' if framer.frames == 1 else 's'} before it were read"
        unfinished = ", which the file's writer has not finished" if stream.is_growing else ""
        if self._bomb:
            self.problem("bomb", self._bomb, where, f"{read}; if you trust it, unpack it first")
        elif stream.fault:
            self.problem(stream.fault_kind, stream.fault + unfinished * (stream.fault_kind == "truncated"), where, read)
        elif status == _framing.DAMAGED:
            number, value = framer.fault
            kind = "not-a-capture" if number == _NOT_A_CAPTURE else "damaged"
            hint = _READ if number == _NOT_A_CAPTURE else read
            self.problem(kind, _FAULTS[number].format(value=value), where if framer.position else "", hint)
        elif self.info.uncompressed_size == 0:
            self.problem("empty", "the file is empty", hint="was the capture stopped before it wrote anything?")
        elif not framer.format and not any(magic.startswith(rest[:4]) for magic in _MAGICS):
            self.problem("not-a-capture", f"this is not a capture file: it is {rest!r}", hint=_READ)
        elif not framer.format or (framer.position == 0 and rest):
            self.problem("truncated", "truncated inside the file header", f"byte {len(rest)}")
        elif _is_incomplete(framer, rest):
            self.problem("truncated", f"truncated in the middle of a record{unfinished}", where, read)
        elif not framer.frames:
            self.problem("empty", "the file has no frames", hint="was there any traffic while it was captured?")
        self._report_oddities(framer)

    def _report_oddities(self, framer: _framing.Framer) -> None:
        count, first = framer.longer
        if count:
            frames = f"{count} frames are" if count > 1 else "a frame is"
            self.problem("caplen", f"{frames} captured longer than on the wire", f"frame {first}", "kept as captured")
        count, first = framer.undeclared
        if count:
            frames = f"{count} frames are" if count > 1 else "a frame is"
            hint = "kept, but link type and clock are unknown"
            self.problem("interface", f"{frames} of an interface never declared", f"frame {first}", hint)
        count, first = framer.unended_options
        if count:
            what = "an interface has an option that does not end"
            self.problem("damaged", what, f"byte {first}", "the option is ignored")
        count, first = framer.far
        # An offset that does not fit makes all times of its interface false, few of which are the limit itself.
        if count or any(abs(self._interfaces[n].offset) > _MOST_OFFSET for n in self.info.interfaces):
            where = f"frame {first}" if count else ""
            what = "there are times before the year 1678 or after 2262"
            self.problem("clock", what, where, "they are shown as the nearest that 64 bits of nanoseconds hold")
        count, first, worst = framer.backwards
        if worst > BACKWARDS_TOLERANCE:
            what = f"timestamps go backwards {count} time{'s' if count > 1 else ''}, by up to {worst / 1e9:.6g} s"
            self.problem("backwards", what, f"frame {first}", "the order of the file was kept")


def _is_incomplete(framer: _framing.Framer, rest: bytes | npt.NDArray[np.uint8]) -> bool:
    """Whether a record or block was begun."""
    return bool(len(rest) or framer.skipping or not framer.format)


def _put_back(chunk: Chunk, chunks: Iterator[Chunk]) -> Iterator[Chunk]:
    yield chunk
    yield from chunks
