# cython: language_level=3, boundscheck=False, wraparound=False, initializedcheck=False
"""Datagrams of a UDP socket in, frames out."""

from libc.stdint cimport int64_t, uint8_t, uint16_t, uint32_t
from libc.stdlib cimport calloc, free
from libc.string cimport memcpy


cdef extern from "datagram_socket.h" nogil:
    """
    #ifndef __linux__
    enum { SOCKET_MESSAGES = 0 };
    typedef struct { int descriptor; uint16_t port; } datagram_socket;
    static inline int receive_datagrams(datagram_socket *s, int64_t wait, int64_t nap, datagram_frames *out) {
        (void)s, (void)wait, (void)nap, (void)out;
        return 1;
    }
    #endif
    """
    ctypedef struct bytes_view:
        const uint8_t *data
        uint32_t length
    ctypedef struct frame_record:
        pass
    ctypedef struct datagram:
        int64_t timestamp
        uint8_t source[16]
        uint8_t destination[16]
        uint16_t source_port
        uint16_t destination_port
        bytes_view data
    ctypedef struct datagram_frames:
        uint8_t *data
        uint32_t size
        uint32_t capacity
        frame_record *records
        uint32_t count
        uint32_t record_capacity
        uint32_t snaplen
        uint16_t interface_id
    ctypedef struct datagram_socket:
        int descriptor
        uint16_t port
    int add_datagram(datagram_frames *out, const datagram *d) noexcept
    int receive_datagrams(datagram_socket *s, int64_t wait, int64_t nap, datagram_frames *out) noexcept
    enum:
        DATAGRAM_LONGEST
        DATAGRAM_LONGEST_FRAME
        SOCKET_MESSAGES

LONGEST = DATAGRAM_LONGEST
# Bytes of room in which there is room for any datagram.
LONGEST_FRAME = DATAGRAM_LONGEST_FRAME
# Whether there is a Receiver.
HAS_RECEIVER = SOCKET_MESSAGES > 0


cdef class Frames:
    """Room for frames, one behind the other in `data`, with a row in `records` (schema.RECORD) for each.

    count  frames that are there
    size   bytes that they take
    """

    cdef datagram_frames state
    cdef uint8_t[::1] data
    cdef uint8_t[::1] records

    def __cinit__(self, uint8_t[::1] data not None, uint8_t[::1] records not None, uint32_t snaplen,
                  uint16_t interface):
        if data.shape[0] < DATAGRAM_LONGEST_FRAME or <size_t>data.shape[0] > 0xFFFFFFFFU:
            raise ValueError(f"{data.shape[0]} bytes are no room for frames")
        if records.shape[0] < <Py_ssize_t>sizeof(frame_record):
            raise ValueError("no room for a record")
        self.data = data
        self.records = records
        self.state.data = &data[0]
        self.state.capacity = <uint32_t>data.shape[0]
        self.state.records = <frame_record *>&records[0]
        self.state.record_capacity = <uint32_t>min(records.shape[0] // <Py_ssize_t>sizeof(frame_record), 0xFFFFFFFF)
        self.state.snaplen = snaplen
        self.state.interface_id = interface

    @property
    def count(self):
        return self.state.count

    @property
    def size(self):
        return self.state.size

    def add(self, const uint8_t[::1] data not None, int64_t timestamp, const uint8_t[::1] source not None,
            uint16_t source_port, const uint8_t[::1] destination not None, uint16_t destination_port):
        """Adds a datagram of at most LONGEST bytes. Addresses are uint8[16], IPv4 mapped.

        Returns whether there was room.
        """
        cdef datagram one
        if data.shape[0] > DATAGRAM_LONGEST:
            raise ValueError(f"no datagram has {data.shape[0]} bytes")
        if source.shape[0] != 16 or destination.shape[0] != 16:
            raise ValueError("an address has 16 bytes")
        one.timestamp = timestamp
        memcpy(one.source, &source[0], 16)
        memcpy(one.destination, &destination[0], 16)
        one.source_port = source_port
        one.destination_port = destination_port
        one.data.data = &data[0] if data.shape[0] else NULL
        one.data.length = <uint32_t>data.shape[0]
        return bool(add_datagram(&self.state, &one))


cdef class Receiver:
    """Takes datagrams from a socket that is bound to `port`, and has SO_TIMESTAMPNS and IP_PKTINFO or IPV6_RECVPKTINFO.

    It does not own the socket.
    """

    cdef datagram_socket *state

    def __cinit__(self, int descriptor, uint16_t port):
        if not SOCKET_MESSAGES:
            raise OSError("this system has no recvmmsg")
        self.state = <datagram_socket *>calloc(1, sizeof(datagram_socket))
        if not self.state:
            raise MemoryError
        self.state.descriptor = descriptor
        self.state.port = port

    def __dealloc__(self):
        free(self.state)

    def receive(self, Frames frames not None, int64_t wait, int64_t nap):
        """Adds the datagrams that are there and those that come in the next `wait` ns, and looks every `nap` ns.

        Returns whether the socket was empty at last; else there is no more room. Raises OSError.
        """
        cdef int status
        if not 0 <= nap < 1_000_000_000:
            raise ValueError(f"a nap of {nap} ns")
        with nogil:
            status = receive_datagrams(self.state, wait, nap, &frames.state)
        if status < 0:
            raise OSError(-status, "recvmmsg")
        return bool(status)
