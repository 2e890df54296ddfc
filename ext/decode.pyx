# cython: language_level=3, boundscheck=False, wraparound=False, initializedcheck=False
"""Decoding: the frames of a chunk in, packet, tunnel and layer rows out."""

import os

from libc.stdint cimport int32_t, uint8_t, uint16_t, uint32_t, uint64_t
from libc.stdlib cimport calloc, free
from libc.string cimport memcpy, memset


cdef extern from "decode.h" nogil:
    ctypedef struct frame_record:
        uint32_t offset
        uint32_t captured_length
    ctypedef struct packet_row:
        pass
    ctypedef struct tunnel_row:
        pass
    ctypedef struct layer_row:
        pass
    ctypedef struct path_table:
        uint16_t *next
        uint16_t *parent
        uint8_t *protocol
        uint32_t count
        uint64_t excess
    ctypedef struct decode_counters:
        uint64_t frames
        uint64_t undecodable
        uint64_t too_deep
        uint64_t too_deep_first
    ctypedef struct tunnel_output:
        tunnel_row *rows
        uint32_t count
        uint32_t capacity
    ctypedef struct layer_output:
        layer_row *rows
        uint32_t count
        uint32_t capacity
    ctypedef struct hash_seed:
        uint64_t key[4]
    ctypedef struct decoder:
        hash_seed seed
        path_table *paths
        decode_counters *counters
        const int32_t *link_types
        uint32_t interface_count
        uint16_t vxlan_port
        uint8_t verify_checksums
    uint32_t decode_batch(const decoder *d, const uint8_t *data, const frame_record *records, uint32_t start,
                          uint32_t count, packet_row *rows, tunnel_output *tunnels) noexcept
    uint32_t list_layers(const decoder *d, const uint8_t *data, const frame_record *records, uint32_t start,
                         uint32_t count, layer_output *layers) noexcept
    const char *const PROTOCOL_NAMES[]
    uint32_t PATH_STRIDE
    enum:
        PROTOCOL_COUNT
        MAX_PATHS
        MAX_TUNNELS
        MAX_LAYERS

RECORD_SIZE = sizeof(frame_record)
PACKET_SIZE = sizeof(packet_row)
TUNNEL_SIZE = sizeof(tunnel_row)
LAYER_SIZE = sizeof(layer_row)
# Room that list_layers() wants before it starts a frame.
LAYERS_PER_FRAME = MAX_LAYERS * 11
MOST_TUNNELS = MAX_TUNNELS

PROTOCOLS = tuple(PROTOCOL_NAMES[number].decode() for number in range(PROTOCOL_COUNT))

# The key of the flow hash. All workers of a process share it.
SEED = os.urandom(32)


cdef class Paths:
    """The distinct protocol stacks of a capture, append-only."""

    cdef path_table table

    def __cinit__(self):
        # Zeroed pages cost nothing until they are touched, and a capture has some dozen stacks.
        self.table.next = <uint16_t *>calloc(MAX_PATHS * <size_t>PATH_STRIDE, sizeof(uint16_t))
        self.table.parent = <uint16_t *>calloc(MAX_PATHS, sizeof(uint16_t))
        self.table.protocol = <uint8_t *>calloc(MAX_PATHS, 1)
        self.table.count = 1
        if not (self.table.next and self.table.parent and self.table.protocol):
            raise MemoryError

    def __dealloc__(self):
        free(self.table.next)
        free(self.table.parent)
        free(self.table.protocol)

    def __len__(self):
        return self.table.count

    def __getitem__(self, uint32_t number):
        """The stack of a row's `path`, outermost protocol first: ("eth", "ip", "tcp")."""
        if number >= self.table.count:
            raise IndexError(number)
        names = []
        while number:
            names.append(PROTOCOLS[self.table.protocol[number]])
            number = self.table.parent[number]
        return tuple(reversed(names))

    @property
    def excess(self):
        """Frames whose stack found no room among the 65,535."""
        return self.table.excess


cdef class Decoder:
    """Decodes chunks. One decoder serves one capture: it owns the list of protocol stacks."""

    cdef decoder state
    cdef decode_counters counters
    cdef readonly Paths paths

    def __cinit__(self, *, uint16_t vxlan_port=4789, bint verify_checksums=False, bytes seed=SEED):
        if len(seed) != sizeof(hash_seed):
            raise ValueError("a hash seed has 32 bytes")
        memset(&self.state, 0, sizeof(self.state))
        memset(&self.counters, 0, sizeof(self.counters))
        self.state.counters = &self.counters
        self.paths = Paths()
        self.state.paths = &self.paths.table
        self.state.vxlan_port = vxlan_port
        self.state.verify_checksums = verify_checksums
        memcpy(&self.state.seed, <const char *>seed, sizeof(hash_seed))

    @property
    def undecodable(self):
        """Frames of which nothing up to the network layer could be read to its end."""
        return self.counters.undecodable

    @property
    def too_deep(self):
        """Frames with more tunnels inside one another than are followed: (how many, the first one's number)."""
        return self.counters.too_deep, self.counters.too_deep_first

    cdef int _check(self, const uint8_t[::1] data, const uint8_t[::1] records, const int32_t[::1] link_types) except -1:
        # Framing promises that records lie inside the buffer; a chunk that somebody else made may not keep it.
        cdef const frame_record *rows = <const frame_record *>(&records[0] if records.shape[0] else NULL)
        cdef Py_ssize_t count = records.shape[0] // <Py_ssize_t>sizeof(frame_record)
        cdef uint64_t size = data.shape[0]
        cdef Py_ssize_t n
        cdef bint inside = size <= 0xFFFFFFFFU
        with nogil:
            for n in range(count):
                inside &= <uint64_t>rows[n].offset + rows[n].captured_length <= size
        if not inside:
            raise ValueError("a record reaches beyond its chunk's buffer")
        self.state.link_types = &link_types[0] if link_types.shape[0] else NULL
        self.state.interface_count = <uint32_t>link_types.shape[0]
        return 0

    def decode(self, const uint8_t[::1] data, const uint8_t[::1] records, const int32_t[::1] link_types,
               uint8_t[::1] packets, uint8_t[::1] tunnels, uint32_t start):
        """Fills rows from record `start` on; returns (records done, tunnel rows written).

        Stops early when `tunnels` has no room for another frame's: call again with `start` where it stopped.
        """
        cdef tunnel_output out
        cdef uint32_t count = <uint32_t>(records.shape[0] // <Py_ssize_t>sizeof(frame_record))
        cdef uint32_t done
        if packets.shape[0] < count * <Py_ssize_t>sizeof(packet_row):
            raise ValueError("too few packet rows")
        if start == 0:
            self._check(data, records, link_types)
        out.rows = <tunnel_row *>&tunnels[0]
        out.count = 0
        out.capacity = <uint32_t>(tunnels.shape[0] // <Py_ssize_t>sizeof(tunnel_row))
        if count == 0:
            return 0, 0
        with nogil:
            done = decode_batch(&self.state, &data[0] if data.shape[0] else NULL, <const frame_record *>&records[0],
                                start, count, <packet_row *>&packets[0], &out)
        return done, out.count

    def layers(self, const uint8_t[::1] data, const uint8_t[::1] records, const int32_t[::1] link_types,
               uint8_t[::1] layers, uint32_t start):
        """Lists headers from record `start` on; returns (records done, layer rows written)."""
        cdef layer_output out
        cdef uint32_t count = <uint32_t>(records.shape[0] // <Py_ssize_t>sizeof(frame_record))
        cdef uint32_t done
        if start == 0:
            self._check(data, records, link_types)
        out.rows = <layer_row *>&layers[0]
        out.count = 0
        out.capacity = <uint32_t>(layers.shape[0] // <Py_ssize_t>sizeof(layer_row))
        if count == 0:
            return 0, 0
        cdef decoder state = self.state
        state.paths = NULL
        with nogil:
            done = list_layers(&state, &data[0] if data.shape[0] else NULL, <const frame_record *>&records[0], start,
                               count, &out)
        return done, out.count
