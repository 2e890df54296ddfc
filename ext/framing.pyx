# cython: language_level=3, boundscheck=False, wraparound=False, initializedcheck=False
"""Record framing: file bytes in, frame records out."""

from libc.stdint cimport int32_t, int64_t, uint8_t, uint32_t, uint64_t
from libc.stdlib cimport free, realloc
from libc.string cimport memset


cdef extern from "framing.h" nogil:
    ctypedef struct frame_record:
        pass
    ctypedef struct block_mark:
        pass
    ctypedef struct framing_interface:
        int64_t offset_ns
        int32_t link_type
        uint32_t snaplen
        uint32_t resolution
    ctypedef struct framing:
        framing_interface *interfaces
        uint32_t interface_capacity
        uint32_t interface_count
        uint32_t format
        uint32_t swapped
        uint32_t fault
        uint64_t fault_value
        uint64_t position
        uint64_t skip
        uint64_t skip_from
        uint64_t frames
        uint64_t backwards_count
        uint64_t backwards_first
        int64_t backwards_worst
        uint64_t far_count
        uint64_t far_first
        uint64_t longer_count
        uint64_t longer_first
        uint64_t undeclared_count
        uint64_t undeclared_first
        uint64_t options_count
        uint64_t options_first
    ctypedef struct framing_output:
        frame_record *records
        block_mark *marks
        uint32_t record_capacity
        uint32_t mark_capacity
        uint32_t record_count
        uint32_t mark_count
    int frames_copy(const uint8_t *data, uint64_t size, const frame_record *records, uint32_t count,
                    uint8_t *target) noexcept
    int framing_scan(framing *f, const uint8_t *data, uint32_t length, framing_output *out,
                     uint32_t *consumed) noexcept
    enum:
        FRAMING_MORE
        FRAMING_FULL
        FRAMING_DAMAGED
        MAX_INTERFACES

MORE = FRAMING_MORE
FULL = FRAMING_FULL
DAMAGED = FRAMING_DAMAGED
UNDECLARED = MAX_INTERFACES
RECORD_SIZE = sizeof(frame_record)
MARK_SIZE = sizeof(block_mark)

FORMATS = ("", "pcap", "pcapng")


def copy_frames(const uint8_t[::1] data, const uint8_t[::1] records, uint8_t[::1] target):
    """Copies the bytes of frames to the same places of `target`: `records`, rows of schema.RECORD, list them in `data`.

    Raises ValueError for frames that are not inside both.
    """
    cdef uint64_t size = min(data.shape[0], target.shape[0])
    cdef uint32_t count = <uint32_t>(records.shape[0] // <Py_ssize_t>sizeof(frame_record))
    cdef bint inside = True
    if count and size:
        with nogil:
            inside = frames_copy(&data[0], size, <const frame_record *>&records[0], count, &target[0])
    if not inside:
        raise ValueError("a frame reaches beyond its buffer")


cdef class Framer:
    """Finds the records of one capture file, fed in pieces of any size."""

    cdef framing state

    def __cinit__(self):
        memset(&self.state, 0, sizeof(self.state))
        self._grow()

    def __dealloc__(self):
        free(self.state.interfaces)

    cdef int _grow(self) except -1:
        cdef uint32_t capacity = min(MAX_INTERFACES, max(4, 2 * self.state.interface_capacity))
        cdef void *grown = realloc(self.state.interfaces, capacity * sizeof(framing_interface))
        if grown == NULL:
            raise MemoryError
        self.state.interfaces = <framing_interface *>grown
        self.state.interface_capacity = capacity
        return 0

    def scan(self, const uint8_t[::1] data, uint8_t[::1] records, uint8_t[::1] marks):
        """Takes the whole records at the start of `data`.

        `records` and `marks` are the bytes of arrays of schema.RECORD and schema.MARK. Returns (status, records
        written, marks written, bytes consumed); what was not consumed has to come again, with more behind it.
        """
        cdef framing_output out
        cdef uint32_t consumed = 0
        cdef int status
        if <uint64_t>data.shape[0] > 0xFFFFFFFFU:
            raise ValueError("a piece of a capture file is at most 4 GiB")
        if self.state.interface_count == self.state.interface_capacity:
            self._grow()
        out.records = <frame_record *>(&records[0] if records.shape[0] else NULL)
        out.marks = <block_mark *>(&marks[0] if marks.shape[0] else NULL)
        out.record_capacity = <uint32_t>(records.shape[0] // <Py_ssize_t>sizeof(frame_record))
        out.mark_capacity = <uint32_t>(marks.shape[0] // <Py_ssize_t>sizeof(block_mark))
        with nogil:
            status = framing_scan(&self.state, &data[0] if data.shape[0] else NULL, <uint32_t>data.shape[0], &out,
                                  &consumed)
        return status, out.record_count, out.mark_count, consumed

    def interface(self, uint32_t number):
        """(link type, snaplen, if_tsresol, if_tsoffset in seconds) of one declared interface."""
        if number >= self.state.interface_count:
            raise IndexError(number)
        cdef framing_interface *i = &self.state.interfaces[number]
        return i.link_type, i.snaplen, i.resolution, i.offset_ns // 1_000_000_000

    @property
    def interface_count(self):
        return self.state.interface_count

    @property
    def format(self):
        return FORMATS[self.state.format]

    @property
    def swapped(self):
        return bool(self.state.swapped)

    @property
    def position(self):
        """Where in the file the first record or block begins that was not consumed as a whole."""
        return self.state.skip_from if self.state.skip else self.state.position

    @property
    def skipping(self):
        """Bytes that are still missing of a block that is only skipped."""
        return self.state.skip

    @property
    def frames(self):
        return self.state.frames

    @property
    def fault(self):
        """(number of the fault in framing.h, the value that was wrong), (0, 0) without one."""
        return self.state.fault, self.state.fault_value

    @property
    def backwards(self):
        """Frames older than one before them: (how many, the first one's number, the largest step in ns)."""
        return self.state.backwards_count, self.state.backwards_first, self.state.backwards_worst

    @property
    def far(self):
        """Frames of a time that int64 ns do not hold, and that was brought back to the limit: (how many, the first)."""
        return self.state.far_count, self.state.far_first

    @property
    def longer(self):
        """Frames with more bytes captured than were on the wire: (how many, the first one's number)."""
        return self.state.longer_count, self.state.longer_first

    @property
    def undeclared(self):
        """Frames of an interface that the file never declares: (how many, the first one's number)."""
        return self.state.undeclared_count, self.state.undeclared_first

    @property
    def unended_options(self):
        """Interface blocks with an option that goes on past the block: (how many, where in the file the first is)."""
        return self.state.options_count, self.state.options_first
