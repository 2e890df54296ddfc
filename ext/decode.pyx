# cython: language_level=3, boundscheck=False, wraparound=False, initializedcheck=False
"""Decoding: the frames of a chunk in, packet, tunnel and layer rows out."""

import os

from libc.stdint cimport int32_t, uint8_t, uint16_t, uint32_t, uint64_t
from libc.stdlib cimport calloc, free
from libc.string cimport memcpy, memset


cdef extern from "inner.h" nogil:
    ctypedef struct inner_row:
        pass

cdef extern from "reassemble.h" nogil:
    ctypedef struct frame_record:
        uint32_t offset
        uint32_t captured_length
    ctypedef struct bytes_view:
        const uint8_t *data
        uint32_t length
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
        uint64_t fragments
    ctypedef struct tunnel_output:
        tunnel_row *rows
        uint32_t count
        uint32_t capacity
    ctypedef struct layer_output:
        layer_row *rows
        uint32_t count
        uint32_t capacity
        uint64_t wanted
    ctypedef struct datagram_row:
        uint32_t packet
        uint32_t offset
        uint32_t length
    ctypedef struct hash_seed:
        uint64_t key[4]
    ctypedef struct tunnel_ports:
        uint8_t *tunnel
        uint8_t *geneve
    ctypedef struct decoder:
        hash_seed seed
        path_table *paths
        decode_counters *counters
        const int32_t *link_types
        uint32_t interface_count
        const tunnel_ports *ports
        uint8_t verify_checksums
        uint8_t reassemble
    ctypedef struct fragment_row:
        uint16_t offset
        uint16_t length
    ctypedef struct defrag_block:
        pass
    ctypedef struct defrag_datagram:
        pass
    ctypedef struct defrag_table:
        hash_seed seed
        defrag_datagram *datagrams
        defrag_block *blocks
        uint32_t *buckets
        uint32_t datagram_capacity
        uint32_t block_capacity
        uint32_t bucket_count
        uint32_t pending
        uint64_t timeout
        uint64_t completed
        uint64_t timed_out
        uint64_t evicted
        uint64_t overlapping
        uint64_t refused
    ctypedef struct reassembly_position:
        uint32_t whole
    ctypedef struct reassembly_output:
        uint8_t *bytes
        uint32_t size
        uint32_t capacity
        datagram_row *datagrams
        uint32_t datagram_count
        uint32_t datagram_capacity
        tunnel_output tunnels
    uint32_t decode_batch(const decoder *d, const uint8_t *data, const frame_record *records, uint32_t start,
                          uint32_t count, packet_row *rows, tunnel_output *tunnels) noexcept
    void find_inner(const decoder *d, const uint8_t *data, const frame_record *records, uint32_t count,
                    const packet_row *rows, const uint8_t *assembled, const datagram_row *datagrams,
                    uint32_t datagram_count, inner_row *inner) noexcept
    void defrag_begin(defrag_table *t) noexcept
    void defrag_clear(defrag_table *t) noexcept
    uint32_t defrag_store(defrag_table *t, const fragment_row *x, bytes_view data) noexcept
    void defrag_list(const defrag_table *t, fragment_row *rows, uint8_t *data, size_t *count, size_t *size) noexcept
    int reassemble_batch "reassemble"(defrag_table *t, const decoder *d, const uint8_t *data, uint32_t size,
                                      const frame_record *records, const uint64_t *numbers, uint32_t count,
                                      packet_row *rows, reassembly_position *p, reassembly_output *out) noexcept
    uint32_t NO_INDEX
    const char *const PROTOCOL_NAMES[]
    uint32_t PATH_STRIDE
    enum:
        PROTOCOL_COUNT
        MAX_PATHS
        MAX_TUNNELS

cdef extern from "layers.h" nogil:
    ctypedef struct plain_paths:
        pass
    ctypedef struct layer_request:
        const uint8_t *data
        const frame_record *records
        const packet_row *packets
        const uint8_t *rows
        uint32_t count
        const uint8_t *assembled
        const datagram_row *datagrams
        uint32_t datagram_count
        plain_paths plain
    void plain_paths_find(plain_paths *plain, const path_table *paths) noexcept
    uint32_t list_layers(const decoder *d, const layer_request *request, uint32_t start,
                         layer_output *layers) noexcept
    enum:
        MOST_OF_A_FRAME "LAYERS_PER_FRAME"

RECORD_SIZE = sizeof(frame_record)
PACKET_SIZE = sizeof(packet_row)
TUNNEL_SIZE = sizeof(tunnel_row)
LAYER_SIZE = sizeof(layer_row)
INNER_SIZE = sizeof(inner_row)
DATAGRAM_SIZE = sizeof(datagram_row)
FRAGMENT_SIZE = sizeof(fragment_row)
# Room that list_layers() wants before it starts a frame.
LAYERS_PER_FRAME = MOST_OF_A_FRAME
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

    def last_protocols(self):
        """The last protocol of each stack, uint8: an index into PROTOCOLS."""
        cdef uint8_t[::1] last = bytearray(self.table.count)
        memcpy(&last[0], self.table.protocol, self.table.count)
        return last

    @property
    def excess(self):
        """Frames whose stack found no room among the 65,535."""
        return self.table.excess


cdef class Decoder:
    """Decodes chunks. One decoder serves one capture: it owns the list of protocol stacks."""

    cdef decoder state
    cdef decode_counters counters
    cdef tunnel_ports ports
    cdef readonly Paths paths

    def __cinit__(self, *, vxlan_port=4789, geneve_port=6081, bint verify_checksums=False, bint reassemble=False,
                  bytes seed=SEED):
        if len(seed) != sizeof(hash_seed):
            raise ValueError("a hash seed has 32 bytes")
        memset(&self.state, 0, sizeof(self.state))
        memset(&self.counters, 0, sizeof(self.counters))
        self.state.counters = &self.counters
        self.paths = Paths()
        self.state.paths = &self.paths.table
        memset(&self.ports, 0, sizeof(self.ports))
        self._mark(self.ports.tunnel, geneve_port)
        self._mark(self.ports.geneve, geneve_port)
        self._mark(self.ports.tunnel, vxlan_port)
        self.state.ports = &self.ports
        self.state.verify_checksums = verify_checksums
        self.state.reassemble = reassemble
        memcpy(&self.state.seed, <const char *>seed, sizeof(hash_seed))

    cdef int _mark(self, uint8_t *bits, ports) except -1:
        for port in (ports,) if isinstance(ports, int) else ports:
            if not 0 <= port <= 65535:
                raise ValueError(f"{port} is not a port")
            bits[<uint32_t>port >> 3] |= <uint8_t>(1 << (<uint32_t>port & 7))
        return 0

    @property
    def undecodable(self):
        """Frames of which nothing up to the network layer could be read to its end."""
        return self.counters.undecodable

    @property
    def too_deep(self):
        """Frames with more tunnels inside one another than are followed: (how many, the first one's number)."""
        return self.counters.too_deep, self.counters.too_deep_first

    @property
    def fragments(self):
        """Rows that stopped at a fragment, for a Reassembly to go on."""
        return self.counters.fragments

    cdef decoder _for(self, const int32_t[::1] link_types) noexcept:
        """The decoder for one call: threads may decode and list layers at the same time."""
        cdef decoder d = self.state
        d.link_types = &link_types[0] if link_types.shape[0] else NULL
        d.interface_count = <uint32_t>link_types.shape[0]
        return d

    cdef int _check(self, const uint8_t[::1] data, const uint8_t[::1] records) except -1:
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
        return 0

    cdef const datagram_row *_parts(self, const uint8_t[::1] assembled, const uint8_t[::1] datagrams) except? NULL:
        cdef const datagram_row *parts = <const datagram_row *>(&datagrams[0] if datagrams.shape[0] else NULL)
        cdef Py_ssize_t n
        for n in range(datagrams.shape[0] // <Py_ssize_t>sizeof(datagram_row)):
            if <uint64_t>parts[n].offset + parts[n].length > <uint64_t>assembled.shape[0]:
                raise ValueError("a datagram reaches beyond its buffer")
        return parts

    def decode(self, const uint8_t[::1] data, const uint8_t[::1] records, const int32_t[::1] link_types,
               uint8_t[::1] packets, uint8_t[::1] tunnels, uint32_t start):
        """Fills rows from record `start` on; returns (records done, tunnel rows written).

        Stops early when `tunnels` has no room for another frame's: call again with `start` where it stopped.
        """
        cdef tunnel_output out
        cdef decoder d = self._for(link_types)
        cdef uint32_t count = <uint32_t>(records.shape[0] // <Py_ssize_t>sizeof(frame_record))
        cdef uint32_t done
        if packets.shape[0] < count * <Py_ssize_t>sizeof(packet_row):
            raise ValueError("too few packet rows")
        if start == 0:
            self._check(data, records)
        out.rows = <tunnel_row *>&tunnels[0]
        out.count = 0
        out.capacity = <uint32_t>(tunnels.shape[0] // <Py_ssize_t>sizeof(tunnel_row))
        if count == 0:
            return 0, 0
        with nogil:
            done = decode_batch(&d, &data[0] if data.shape[0] else NULL, <const frame_record *>&records[0],
                                start, count, <packet_row *>&packets[0], &out)
        return done, out.count

    def layers(self, const uint8_t[::1] data, const uint8_t[::1] records, const int32_t[::1] link_types,
               const uint8_t[::1] packets, const uint8_t[::1] rows, const uint8_t[::1] assembled,
               const uint8_t[::1] datagrams, uint64_t wanted, uint8_t[::1] layers, uint32_t start):
        """Lists headers from record `start` on, also those of `datagrams`, which are in `assembled`.

        Only of the protocols whose bit, 1 << number, is set in `wanted`, and only of frames where `rows`, unless it is
        None, is not 0. `packets` are the rows of the records. Returns (records done, layer rows written).
        """
        cdef layer_output out
        cdef layer_request request
        cdef const datagram_row *parts = self._parts(assembled, datagrams)
        cdef uint32_t part_count = <uint32_t>(datagrams.shape[0] // <Py_ssize_t>sizeof(datagram_row))
        cdef uint32_t count = <uint32_t>(records.shape[0] // <Py_ssize_t>sizeof(frame_record))
        cdef uint32_t done
        if packets.shape[0] < count * <Py_ssize_t>sizeof(packet_row) or (rows is not None and rows.shape[0] < count):
            raise ValueError("too few packet rows")
        if start == 0:
            self._check(data, records)
        if count == 0:
            return 0, 0
        memset(&out, 0, sizeof(layer_output))
        out.rows = <layer_row *>&layers[0]
        out.capacity = <uint32_t>(layers.shape[0] // <Py_ssize_t>sizeof(layer_row))
        out.wanted = wanted
        cdef decoder state = self._for(link_types)
        plain_paths_find(&request.plain, state.paths)
        state.paths = NULL
        request.data = &data[0] if data.shape[0] else NULL
        request.records = <const frame_record *>&records[0]
        request.packets = <const packet_row *>&packets[0]
        request.rows = NULL if rows is None else &rows[0]
        request.count = count
        request.assembled = &assembled[0] if assembled.shape[0] else NULL
        request.datagrams = parts
        request.datagram_count = part_count
        with nogil:
            done = list_layers(&state, &request, start, &out)
        return done, out.count

    def inner(self, const uint8_t[::1] data, const uint8_t[::1] records, const int32_t[::1] link_types,
              const uint8_t[::1] packets, const uint8_t[::1] assembled, const uint8_t[::1] datagrams,
              uint8_t[::1] inner):
        """Fills rows of schema.INNER_FRAME for `records` that were decoded into `packets`, and into `datagrams`."""
        cdef uint32_t count = <uint32_t>(records.shape[0] // <Py_ssize_t>sizeof(frame_record))
        cdef uint32_t part_count = <uint32_t>(datagrams.shape[0] // <Py_ssize_t>sizeof(datagram_row))
        cdef const datagram_row *parts = self._parts(assembled, datagrams)
        cdef decoder state = self._for(link_types)
        if packets.shape[0] < count * <Py_ssize_t>sizeof(packet_row) or inner.shape[0] < count * <Py_ssize_t>sizeof(
            inner_row
        ):
            raise ValueError("too few rows")
        self._check(data, records)
        state.paths = NULL
        if count:
            with nogil:
                find_inner(&state, &data[0] if data.shape[0] else NULL, <const frame_record *>&records[0], count,
                           <const packet_row *>&packets[0], &assembled[0] if assembled.shape[0] else NULL, parts,
                           part_count, <inner_row *>&inner[0])


cdef class Reassembly:
    """Unfinished datagrams, in bounded memory.

    `memory` in bytes is what fragments may take; each of the memory / 2048 datagrams that may be unfinished at a time
    takes another 1.1 KiB. `timeout` in nanoseconds is how long one may stay unfinished, by the packets' own time.
    """

    cdef defrag_table table
    cdef reassembly_position position
    cdef reassembly_output out

    def __cinit__(self, uint64_t memory, uint64_t timeout, *, bytes seed=SEED):
        if not 1 << 18 <= memory <= 1 << 36:
            raise ValueError("memory for fragments is 256 KiB to 64 GiB")
        if len(seed) != sizeof(hash_seed):
            raise ValueError("a hash seed has 32 bytes")
        cdef defrag_table *t = &self.table
        t.block_capacity = <uint32_t>(memory // sizeof(defrag_block))
        t.datagram_capacity = t.block_capacity // 4
        t.bucket_count = 1
        while t.bucket_count < 2 * t.datagram_capacity:
            t.bucket_count *= 2
        t.timeout = timeout
        memcpy(&t.seed, <const char *>seed, sizeof(hash_seed))
        t.blocks = <defrag_block *>calloc(t.block_capacity, sizeof(defrag_block))
        t.datagrams = <defrag_datagram *>calloc(t.datagram_capacity, sizeof(defrag_datagram))
        t.buckets = <uint32_t *>calloc(t.bucket_count, sizeof(uint32_t))
        if not (t.blocks and t.datagrams and t.buckets):
            raise MemoryError
        defrag_begin(t)

    def __dealloc__(self):
        free(self.table.blocks)
        free(self.table.datagrams)
        free(self.table.buckets)

    @property
    def counters(self):
        """(completed, timed out, evicted, overlapping, refused, pending)"""
        cdef defrag_table *t = &self.table
        return t.completed, t.timed_out, t.evicted, t.overlapping, t.refused, t.pending

    def update(self, Decoder maker, const uint8_t[::1] data, const uint8_t[::1] records,
               const int32_t[::1] link_types, const uint64_t[::1] numbers, uint8_t[::1] packets, uint8_t[::1] assembled,
               uint8_t[::1] datagrams, uint8_t[::1] tunnels, bint start):
        """Takes the fragments of a batch, and changes the rows of the frames that complete a datagram.

        Returns (done, bytes, datagram rows and tunnel rows written). Stops when `assembled`, `datagrams` or `tunnels`
        have no room: call again, without `start`, with larger ones that have the same content.
        """
        cdef reassembly_output *out = &self.out
        cdef decoder d = maker._for(link_types)
        cdef uint32_t count = <uint32_t>(records.shape[0] // <Py_ssize_t>sizeof(frame_record))
        cdef int wants
        if packets.shape[0] < count * <Py_ssize_t>sizeof(packet_row) or numbers.shape[0] < count:
            raise ValueError("too few packet rows")
        if assembled.shape[0] > 0xFFFFFFFF:
            raise ValueError("more than 4 GiB of datagrams in one batch")
        if start:
            maker._check(data, records)
            memset(&self.position, 0, sizeof(reassembly_position))
            self.position.whole = NO_INDEX
            memset(out, 0, sizeof(reassembly_output))
        if count == 0 or data.shape[0] == 0:
            return True, 0, 0, 0
        out.bytes = &assembled[0]
        out.capacity = <uint32_t>assembled.shape[0]
        out.datagrams = <datagram_row *>&datagrams[0]
        out.datagram_capacity = <uint32_t>(datagrams.shape[0] // <Py_ssize_t>sizeof(datagram_row))
        out.tunnels.rows = <tunnel_row *>&tunnels[0]
        out.tunnels.capacity = <uint32_t>(tunnels.shape[0] // <Py_ssize_t>sizeof(tunnel_row))
        with nogil:
            wants = reassemble_batch(&self.table, &d, &data[0], <uint32_t>data.shape[0],
                                     <const frame_record *>&records[0], &numbers[0], count,
                                     <packet_row *>&packets[0], &self.position, out)
        return wants == 0, out.size, out.datagram_count, out.tunnels.count

    def save(self):
        """(fragments, bytes): all that is unfinished, to be given to load()."""
        cdef size_t count = 0, size = 0
        defrag_list(&self.table, NULL, NULL, &count, &size)
        cdef bytearray rows = bytearray(count * sizeof(fragment_row) + 1)
        cdef bytearray data = bytearray(size + 1)
        cdef uint8_t[::1] row_view = rows, data_view = data
        defrag_list(&self.table, <fragment_row *>&row_view[0], &data_view[0], &count, &size)
        return bytes(rows[:count * sizeof(fragment_row)]), bytes(data[:size])

    def load(self, const uint8_t[::1] fragments, const uint8_t[::1] data, counters):
        """Forgets everything and goes on where another left its save() and counters."""
        cdef defrag_table *t = &self.table
        cdef Py_ssize_t count = fragments.shape[0] // <Py_ssize_t>sizeof(fragment_row), n, at = 0
        cdef const fragment_row *row
        cdef bytes_view part
        defrag_clear(t)
        t.completed, t.timed_out, t.evicted, t.overlapping, t.refused = counters[:5]
        for n in range(count):
            row = <const fragment_row *>&fragments[n * <Py_ssize_t>sizeof(fragment_row)]
            if row.length == 0 or row.offset % 8 or row.offset + row.length > 0xFFFF or at + row.length > data.shape[0]:
                raise ValueError("the saved fragments are not whole")
            part.data = &data[at]
            part.length = row.length
            at += row.length
            if defrag_store(t, row, part) != NO_INDEX:
                defrag_clear(t)
                raise ValueError("a saved datagram is not unfinished")
