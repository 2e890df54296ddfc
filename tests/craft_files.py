"""Capture files for tests: `pcap(frames)`, or pcapng in blocks: `ng.section() + ng.interface() + ng.enhanced(frame)`.

Every builder returns bytes, so a test damages a file by cutting, joining or overwriting them.
"""

import struct
from collections.abc import Iterable, Sequence
from typing import NamedTuple

from tests.craft import Frame, given, padded

START = 1_700_000_000_000_000_000  # when captures begin, in nanoseconds since the epoch
STEP = 1_000_000  # between frames that come without a time


class Record(NamedTuple):
    """A frame with its time in nanoseconds, and its length on the wire when that is not what was captured."""

    time: int
    frame: Frame | bytes
    wire_length: int | None = None


def records(frames: Iterable[Frame | bytes | Record], start: int = START) -> list[Record]:
    """Gives frames that have no time one, STEP apart."""
    timed = enumerate(frames)
    return [frame if isinstance(frame, Record) else Record(start + place * STEP, frame) for place, frame in timed]


# --- pcap


def pcap_header(
    *,
    link_type: int = 1,
    snaplen: int = 262144,
    nanoseconds: bool = False,
    big_endian: bool = False,
    version: tuple[int, int] = (2, 4),
    magic: int | None = None,
) -> bytes:
    number = given(magic, 0xA1B23C4D if nanoseconds else 0xA1B2C3D4)
    return struct.pack((">" if big_endian else "<") + "IHHiIII", number, *version, 0, 0, snaplen, link_type)


def pcap_record(record: Record, *, nanoseconds: bool = False, big_endian: bool = False) -> bytes:
    data = bytes(record.frame)
    seconds, fraction = divmod(record.time, 10**9)
    fields = seconds, fraction if nanoseconds else fraction // 1000, len(data), given(record.wire_length, len(data))
    return struct.pack((">" if big_endian else "<") + "IIII", *fields) + data


def pcap(
    frames: Iterable[Frame | bytes | Record],
    *,
    link_type: int = 1,
    snaplen: int = 262144,
    nanoseconds: bool = False,
    big_endian: bool = False,
) -> bytes:
    """A whole pcap file."""
    header = pcap_header(link_type=link_type, snaplen=snaplen, nanoseconds=nanoseconds, big_endian=big_endian)
    written = (pcap_record(record, nanoseconds=nanoseconds, big_endian=big_endian) for record in records(frames))
    return header + b"".join(written)


# --- pcapng

Options = Sequence[tuple[int, bytes]]
CUSTOM_ENTERPRISE = 32473  # the number RFC 5612 sets aside for examples


class Pcapng:
    """Writes the blocks of draft-ietf-opsawg-pcapng in one byte order.

    `options` are (code, value) pairs. Times are ticks of the interface: nanoseconds with the default `tsresol` of
    interface(). An interface is a number: the place of its block in the section.
    """

    def __init__(self, *, big_endian: bool = False) -> None:
        self.order = ">" if big_endian else "<"

    def pack(self, layout: str, *values: int | bytes) -> bytes:
        return struct.pack(self.order + layout, *values)

    def options(self, options: Options = (), comment: str | None = None) -> bytes:
        """Nothing at all when there are none; otherwise they end with opt_endofopt."""
        wanted = [*([(1, comment.encode())] if comment is not None else []), *options]
        encoded = b"".join(self.pack("HH", code, len(value)) + padded(value, 4) for code, value in wanted)
        return encoded + self.pack("HH", 0, 0) if wanted else b""

    def block(self, kind: int, body: bytes, *, length: int | None = None, trailing_length: int | None = None) -> bytes:
        """Any block at all; `length` and `trailing_length` lie on purpose."""
        wanted = padded(body, 4)
        first = given(length, len(wanted) + 12)
        return self.pack("II", kind, first) + wanted + self.pack("I", given(trailing_length, first))

    def section(
        self,
        *,
        version: tuple[int, int] = (1, 0),
        section_length: int = -1,
        hardware: str | None = None,
        system: str | None = None,
        application: str | None = None,
        options: Options = (),
        comment: str | None = None,
    ) -> bytes:
        """The section header block."""
        named = (2, hardware), (3, system), (4, application)
        texts = [(code, text.encode()) for code, text in named if text is not None]
        start = self.pack("IHHq", 0x1A2B3C4D, *version, section_length)
        return self.block(0x0A0D0D0A, start + self.options([*texts, *options], comment))

    def interface(
        self,
        link_type: int = 1,
        *,
        snaplen: int = 262144,
        name: str | None = None,
        description: str | None = None,
        tsresol: int | None = 9,
        tsoffset: int | None = None,
        options: Options = (),
        comment: str | None = None,
    ) -> bytes:
        """The interface description block. `tsresol` 9 is ns, 0x80 | n is 2**-n s, None leaves it out (µs)."""
        named = [(code, text.encode()) for code, text in ((2, name), (3, description)) if text is not None]
        clock = [] if tsresol is None else [(9, bytes([tsresol]))]
        offset = [] if tsoffset is None else [(14, self.pack("q", tsoffset))]
        start = self.pack("HHI", link_type, 0, snaplen)
        return self.block(1, start + self.options([*named, *clock, *offset, *options], comment))

    def enhanced(
        self,
        frame: Frame | bytes,
        ticks: int = START,
        *,
        interface: int = 0,
        wire_length: int | None = None,
        captured_length: int | None = None,
        flags: int | None = None,
        dropped: int | None = None,
        options: Options = (),
        comment: str | None = None,
    ) -> bytes:
        """The enhanced packet block. `flags` is epb_flags (1 inbound, 2 outbound), `dropped` is epb_dropcount."""
        data = bytes(frame)
        lengths = given(captured_length, len(data)), given(wire_length, len(data))
        start = self.pack("IIIII", interface, ticks >> 32, ticks & 0xFFFFFFFF, *lengths)
        known = [] if flags is None else [(2, self.pack("I", flags))]
        known += [] if dropped is None else [(4, self.pack("Q", dropped))]
        return self.block(6, start + padded(data, 4) + self.options([*known, *options], comment))

    def simple(self, frame: Frame | bytes, *, wire_length: int | None = None) -> bytes:
        """The simple packet block: no time; the first interface's snaplen says how much was captured."""
        data = bytes(frame)
        return self.block(3, self.pack("I", given(wire_length, len(data))) + padded(data, 4))

    def obsolete(
        self,
        frame: Frame | bytes,
        ticks: int = START,
        *,
        interface: int = 0,
        dropped: int = 0,
        wire_length: int | None = None,
        options: Options = (),
        comment: str | None = None,
    ) -> bytes:
        """The packet block that the enhanced one replaced."""
        data = bytes(frame)
        lengths = len(data), given(wire_length, len(data))
        start = self.pack("HHIIII", interface, dropped, ticks >> 32, ticks & 0xFFFFFFFF, *lengths)
        return self.block(2, start + padded(data, 4) + self.options(options, comment))

    def statistics(
        self,
        ticks: int = START,
        *,
        interface: int = 0,
        received: int | None = None,
        dropped: int | None = None,
        options: Options = (),
        comment: str | None = None,
    ) -> bytes:
        """The interface statistics block, with isb_ifrecv and isb_ifdrop."""
        counts = [(code, self.pack("Q", count)) for code, count in ((4, received), (5, dropped)) if count is not None]
        start = self.pack("III", interface, ticks >> 32, ticks & 0xFFFFFFFF)
        return self.block(5, start + self.options([*counts, *options], comment))

    def names(self, entries: Iterable[tuple[bytes, str]], *, comment: str | None = None) -> bytes:
        """The name resolution block: packed addresses, of 4 or 16 bytes, and their names."""
        encoded = b""
        for address, name in entries:
            value = address + name.encode() + b"\0"
            encoded += self.pack("HH", 1 if len(address) == 4 else 2, len(value)) + padded(value, 4)
        return self.block(4, encoded + self.pack("HH", 0, 0) + self.options((), comment))

    def secrets(self, data: bytes, *, kind: int = 0x544C534B) -> bytes:
        """The decryption secrets block; by default a TLS key log."""
        return self.block(10, self.pack("II", kind, len(data)) + padded(data, 4))

    def custom(self, data: bytes, *, enterprise: int = CUSTOM_ENTERPRISE, copy: bool = True) -> bytes:
        """A custom block; `copy` says whether a program may copy it to a new file."""
        return self.block(0x00000BAD if copy else 0x40000BAD, self.pack("I", enterprise) + data)

    def file(self, frames: Iterable[Frame | bytes | Record], *, link_type: int = 1) -> bytes:
        """A whole file: a section, an interface that counts nanoseconds, an enhanced packet block for each frame."""
        timed = records(frames)
        packets = (self.enhanced(record.frame, record.time, wire_length=record.wire_length) for record in timed)
        return self.section() + self.interface(link_type) + b"".join(packets)
