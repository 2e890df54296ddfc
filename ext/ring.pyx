# cython: language_level=3, boundscheck=False, wraparound=False, initializedcheck=False
"""The kernel's ring of blocks of frames: blocks are lent, and go back when nobody refers to them any more."""

from cpython.buffer cimport PyBuffer_FillInfo
from libc.errno cimport errno
from libc.stdint cimport int64_t, uint8_t, uint16_t, uint32_t, uint64_t
from libc.string cimport memset


cdef extern from "ring.h" nogil:
    ctypedef struct frame_record:
        pass
    ctypedef struct ring_block:
        uint8_t *data
        uint32_t length
        uint32_t snaplen
        uint32_t longest
        uint16_t interface_id
        uint16_t is_ethernet
    cdef struct sock_filter:
        pass
    ctypedef struct ring:
        int socket
        uint8_t *blocks
        uint32_t block_bytes
        uint64_t offered
        uint64_t dropped
        uint64_t frozen
    ctypedef struct ring_origin:
        int interface_index
        int promiscuous
        const sock_filter *program
        uint16_t program_length
        int64_t fanout
    int ring_open(ring *r, uint32_t block_bytes, uint32_t block_count, uint32_t retire_ms,
                  int ignore_outgoing) noexcept
    int ring_bind(ring *r, const ring_origin *origin) noexcept
    int ring_refuse(const ring *r) noexcept
    void ring_settle() noexcept
    void ring_close(ring *r) noexcept
    void ring_free(ring *r) noexcept
    int ring_has_begun(const ring *r) noexcept
    int64_t ring_take(ring *r) noexcept
    void ring_take_over(ring *r, int gives_up) noexcept
    void ring_return(const ring *r, uint32_t number) noexcept
    int ring_count(ring *r) noexcept
    int ring_error(const ring *r) noexcept
    uint8_t *ring_block_at(const ring *r, uint32_t number) noexcept
    uint32_t ring_block_frames(const ring_block *block) noexcept
    ctypedef struct ring_counts:
        uint64_t longer
        uint64_t wire
        uint64_t captured
    uint32_t ring_block_list(const ring_block *block, frame_record *records, uint32_t capacity,
                             ring_counts *counts) noexcept
    enum:
        RING_BLOCK_HEADER
        RING_FRAME_HEADER

FAULTS = ("", "socket", "setup", "memory", "filter", "interface", "fanout")


cdef class Ring:
    """A ring of `blocks` times `block_bytes` bytes, a multiple of the page size; nothing comes before bind().

    retire_ms        after which a block goes out that has frames and is not full
    ignore_outgoing  leave out what this machine sends: on a loopback interface, that comes a second time

    Raises OSError with what failed, one of FAULTS, as its text, and ValueError for impossible sizes.
    """

    cdef ring state

    def __cinit__(self, int64_t block_bytes, int64_t blocks, uint32_t retire_ms, bint ignore_outgoing):
        cdef int fault
        self.state.socket = -1
        if not (4096 <= block_bytes < 1 << 31 and block_bytes % 4096 == 0 and 2 <= blocks < 1 << 20):
            raise ValueError(f"no ring can have {blocks} blocks of {block_bytes} bytes")
        with nogil:
            fault = ring_open(&self.state, <uint32_t>block_bytes, <uint32_t>blocks, retire_ms, ignore_outgoing)
        _check(fault)

    def __dealloc__(self):
        ring_free(&self.state)

    def fileno(self):
        """The socket's; wait for it edge-triggered, as it is readable as long as the block given out last is lent."""
        return self.state.socket

    def bind(self, int interface_index, bint promiscuous, const uint8_t[::1] program, fanout=None):
        """Frames of an interface come from now on; again when it was deleted and made anew.

        program  of classic BPF, uint8[8 n], which also says how many bytes of a frame to keep; None for all
        fanout   (group, mode) of PACKET_FANOUT; a ring of a group cannot be bound again

        Raises OSError as above.
        """
        cdef ring_origin origin
        cdef int fault
        origin.interface_index = interface_index
        origin.promiscuous = promiscuous
        origin.program = NULL
        origin.program_length = 0
        if program is not None:
            if not 0 < program.shape[0] <= 8 * 0xFFFF or program.shape[0] % 8:
                raise ValueError(f"{program.shape[0]} bytes are no program")
            origin.program = <const sock_filter *>&program[0]
            origin.program_length = <uint16_t>(program.shape[0] // 8)
        origin.fanout = -1
        if fanout is not None:
            origin.fanout = <int64_t>fanout[0] | <int64_t>fanout[1] << 16
        self._is_open()
        with nogil:
            fault = ring_bind(&self.state, &origin)
        _check(fault)

    def refuse(self):
        """Nothing comes any more; what has come until now can be taken, and statistics() are final."""
        cdef bint failed
        self._is_open()
        with nogil:
            failed = ring_refuse(&self.state) != 0
            if not failed:
                ring_settle()
        if failed:
            raise OSError(errno, "filter")

    def close(self):
        """Gives the socket back; the memory follows with the last block that is lent."""
        with nogil:
            ring_close(&self.state)

    def take_over(self, bint gives_up):
        """This process reads the ring from now on, which was forked from the one that opened it.

        gives_up  another one has read it since, and is no more: what it had taken, and what waits, is not read
        """
        self._is_open()
        with nogil:
            ring_take_over(&self.state, gives_up)

    def take(self):
        """The next block that is full, or old enough; None when there is none yet."""
        cdef int64_t number = ring_take(&self.state)
        return None if number < 0 else Block(self, number)

    @property
    def has_begun(self):
        """Whether there are frames in the block that is filled now; it goes out before long."""
        return bool(ring_has_begun(&self.state))

    def statistics(self):
        """(offered, dropped, frozen) since the beginning: frames that passed the program, those of them for which there
        was no room, and how often that began. Ask often enough for 32 bits to hold what comes in between.
        """
        if self.state.socket >= 0 and ring_count(&self.state):
            raise OSError(errno, "statistics")
        return self.state.offered, self.state.dropped, self.state.frozen

    def error(self):
        """errno of what became of the interface since the last time: ENETDOWN; 0 for nothing."""
        self._is_open()
        return ring_error(&self.state)

    cdef int _is_open(self) except -1:
        if self.state.socket < 0:
            raise ValueError("the ring is closed")
        return 0


cdef class Block:
    """A block that is lent, as bytes that may not be changed. It goes back to the kernel with its last reference."""

    cdef Ring owner
    cdef ring_block block
    cdef uint32_t number
    cdef bint listed

    def __cinit__(self, Ring owner not None, uint32_t number):
        self.owner = owner
        self.number = number
        self.block.data = ring_block_at(&owner.state, number)
        self.block.length = owner.state.block_bytes

    def __dealloc__(self):
        ring_return(&self.owner.state, self.number)

    def __getbuffer__(self, Py_buffer *buffer, int flags):
        PyBuffer_FillInfo(buffer, self, self.block.data, self.block.length, 1, flags)

    @property
    def frames(self):
        """How many frames the kernel says there are, as far as a block can have them."""
        return min(ring_block_frames(&self.block), self.block.length // RING_FRAME_HEADER)

    def list(self, uint8_t[::1] records, uint16_t interface, bint is_ethernet, uint32_t snaplen, uint32_t longest):
        """Fills rows of schema.RECORD; frames get the VLAN tags back that the kernel took out. To be called once.

        Returns (rows filled, how many frames were longer than `longest`, their bytes on the wire, bytes that are here),
        of all frames that were listed. Fewer rows than `frames` when a header in the block is wrong.
        """
        cdef uint32_t capacity = <uint32_t>(records.shape[0] // <Py_ssize_t>sizeof(frame_record))
        cdef uint32_t count = 0
        cdef ring_counts counts
        memset(&counts, 0, sizeof(counts))
        if self.listed:
            raise ValueError("the frames of a block are listed once")
        self.listed = True
        self.block.interface_id = interface
        self.block.is_ethernet = is_ethernet
        self.block.snaplen = snaplen
        self.block.longest = longest
        if capacity:
            with nogil:
                count = ring_block_list(&self.block, <frame_record *>&records[0], capacity, &counts)
        return count, counts.longer, counts.wire, counts.captured


cdef int _check(int fault) except -1:
    if fault:
        raise OSError(errno, FAULTS[fault])
    return 0
