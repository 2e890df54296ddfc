# cython: language_level=3, boundscheck=False, wraparound=False, initializedcheck=False
"""Frames into the bytes of capture files."""

from libc.stdint cimport uint8_t, uint32_t


cdef extern from "writing.h" nogil:
    ctypedef struct frame_record:
        pass
    ctypedef struct written_interface:
        uint32_t tick_ns
    ctypedef struct frame_sink:
        uint8_t *data
        size_t size
        size_t capacity
    uint32_t write_frames(const uint8_t *data, uint32_t size, const frame_record *records, uint32_t start,
                          uint32_t count, const written_interface *interfaces, uint32_t interface_count, int format,
                          frame_sink *out) noexcept
    enum:
        WRITTEN_PCAP
        WRITTEN_PCAPNG
        WRITTEN_OVERHEAD

PCAP = WRITTEN_PCAP
PCAPNG = WRITTEN_PCAPNG
INTERFACE_SIZE = sizeof(written_interface)
# Room that every frame has beside its own bytes and options.
OVERHEAD = WRITTEN_OVERHEAD


def frames(const uint8_t[::1] data, const uint8_t[::1] records, const uint8_t[::1] interfaces, int format,
           uint32_t start, uint8_t[::1] out):
    """Writes the frames of `records` (schema.RECORD) from row `start` on, which lie in `data`, into `out`.

    `interfaces` is schema.WRITTEN_INTERFACE by number; frames of others are left out. Returns (records done, bytes
    written); fewer than all when there is no room.
    """
    cdef uint32_t count = <uint32_t>(records.shape[0] // <Py_ssize_t>sizeof(frame_record))
    cdef uint32_t interface_count = <uint32_t>(interfaces.shape[0] // <Py_ssize_t>sizeof(written_interface))
    cdef const written_interface *known = <const written_interface *>(&interfaces[0] if interface_count else NULL)
    cdef frame_sink sink
    cdef uint32_t n, done
    for n in range(interface_count):
        if not 0 < known[n].tick_ns <= 1_000_000_000:
            raise ValueError(f"interface {n} has no clock")
    if <size_t>data.shape[0] > 0xFFFFFFFFU:
        raise ValueError("a chunk is at most 4 GiB")
    if start >= count or not out.shape[0]:
        return start, 0
    sink.data = &out[0]
    sink.size = 0
    sink.capacity = <size_t>out.shape[0]
    with nogil:
        done = write_frames(&data[0] if data.shape[0] else NULL, <uint32_t>data.shape[0],
                            <const frame_record *>&records[0], start, count, known, interface_count, format, &sink)
    return done, sink.size
