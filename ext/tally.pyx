# cython: language_level=3, boundscheck=False, wraparound=False, initializedcheck=False
"""Tallies: packet rows in, frames and bytes between each pair of ends out."""

import numpy as np

from libc.stdint cimport uint8_t, uint16_t, uint32_t, uint64_t, uintptr_t
from libc.stdlib cimport calloc, free, realloc
from libc.string cimport memcpy, memset


cdef extern from "tally_rows.h" nogil:
    ctypedef struct bytes_view:
        const uint8_t *data
        uint32_t length
    ctypedef struct packet_row:
        pass
    ctypedef struct tunnel_row:
        pass
    ctypedef struct stream_row:
        pass
    ctypedef struct hash_seed:
        uint64_t key[4]
    ctypedef struct tally_entry:
        pass
    ctypedef struct tally_table:
        hash_seed seed
        tally_entry **slabs
        uint64_t *index
        uint32_t index_mask
        uint32_t count
        uint32_t capacity
        uint32_t kind
        uint32_t shard
        uint32_t shards
        uint8_t full
        uint64_t other_packets
        uint64_t other_bytes
    ctypedef struct tally_batch:
        const packet_row *rows
        const uint64_t *numbers
        const tunnel_row *tunnels
        const stream_row *streams
        const uint16_t *masks
        uint32_t count
        uint32_t tunnel_count
        uint32_t path_count
        bytes_view buffers[2]
    void tally_index_replace(tally_table *t, uint64_t *index, uint32_t mask) noexcept
    int tally_update(tally_table *t, const tally_batch *batch, uint32_t *start) noexcept
    int tally_take(tally_table *t, const tally_entry *entries, uint32_t count, uint32_t *start) noexcept
    int tally_ends(tally_table *t, const tally_entry *entries, uint32_t count, uint32_t *start) noexcept
    enum:
        TALLY_BUFFERS
        TALLY_SLAB_ENTRIES
        TALLY_ETHERNET
        TALLY_IP
        TALLY_TCP
        TALLY_UDP
        TALLY_SCTP
        TALLY_ROW
        TALLY_OUTERMOST

ENTRY_SIZE = sizeof(tally_entry)
# Bytes of memory that an entry takes: itself, and its share of the index, which is at most half full.
BYTES_PER_ENTRY = sizeof(tally_entry) + 4 * sizeof(uint64_t)
ETHERNET, IP, TCP, UDP, SCTP = TALLY_ETHERNET, TALLY_IP, TALLY_TCP, TALLY_UDP, TALLY_SCTP
# Bits of the masks that update() takes: the innermost layer, and an Ethernet header at the beginning of the frame.
ROW, OUTERMOST = TALLY_ROW, TALLY_OUTERMOST


cdef class Tally:
    """Entries (schema.TALLY) of one kind of ends, at most `most` of them; what is new beyond is counted as others."""

    cdef tally_table table
    cdef list slabs
    cdef uint32_t slab_limit

    def __cinit__(self, *, bytes seed, uint32_t kind, uint64_t most, uint32_t shard=0, uint32_t shards=1):
        memset(&self.table, 0, sizeof(self.table))
        if len(seed) != sizeof(hash_seed):
            raise ValueError("a hash seed has 32 bytes")
        if shard >= shards:
            raise ValueError("shards are numbered from 0")
        memcpy(&self.table.seed, <const char *>seed, sizeof(hash_seed))
        self.table.kind = kind
        self.table.shard = shard
        self.table.shards = shards
        self.slab_limit = <uint32_t>min(max(most // TALLY_SLAB_ENTRIES, 1), 0x7FFFFFFFU // TALLY_SLAB_ENTRIES)
        self.slabs = []
        self._grow_index(2 * TALLY_SLAB_ENTRIES)

    def __dealloc__(self):
        free(self.table.slabs)
        free(self.table.index)

    cdef int _grow_index(self, uint64_t places) except -1:
        cdef uint64_t *old = self.table.index
        cdef uint64_t *index = <uint64_t *>calloc(places, sizeof(uint64_t))
        if index == NULL:
            raise MemoryError
        with nogil:
            tally_index_replace(&self.table, index, <uint32_t>(places - 1))
        free(old)
        return 0

    cdef int _make_room(self) except -1:
        """Another slab, or none ever after."""
        cdef uint32_t count = <uint32_t>len(self.slabs)
        if count == self.slab_limit:
            self.table.full = 1
            return 0
        cdef uint64_t places = self.table.index_mask + 1ULL
        if (count + 1ULL) * TALLY_SLAB_ENTRIES * 2 > places:
            self._grow_index(places * 2)
        cdef void *slabs = realloc(self.table.slabs, (count + 1) * sizeof(tally_entry *))
        if slabs == NULL:
            raise MemoryError
        self.table.slabs = <tally_entry **>slabs
        # Entries lie on two cache lines, and not on three, only if the first one starts on a line.
        slab = np.empty(TALLY_SLAB_ENTRIES * sizeof(tally_entry) + 63, np.uint8)
        cdef uint8_t[::1] view = slab
        self.slabs.append(slab)
        self.table.slabs[count] = <tally_entry *>((<uintptr_t>&view[0] + 63) & ~(<uintptr_t>63))
        self.table.capacity = (count + 1) * TALLY_SLAB_ENTRIES
        return 0

    def update(self, const uint8_t[::1] packets, const uint64_t[::1] numbers, const uint8_t[::1] tunnels,
               list buffers, const uint16_t[::1] masks, const uint8_t[::1] streams):
        """Counts the rows of a batch.

        `packets` and `tunnels` are the bytes of its arrays. `masks` tells of each path
        which of its layers count: bit k the one around tunnel k, ROW the innermost one; for Ethernet OUTERMOST the one
        that the frame begins with. TCP is told apart by the batch's `streams`, where it has some.
        """
        cdef tally_batch batch
        cdef const uint8_t[::1] buffer
        cdef Py_ssize_t n
        cdef uint32_t start = 0
        cdef int done = 0
        memset(&batch, 0, sizeof(batch))
        batch.count = <uint32_t>(packets.shape[0] // <Py_ssize_t>sizeof(packet_row))
        if not batch.count:
            return
        if numbers.shape[0] != batch.count:
            raise ValueError("not a number for each packet")
        batch.rows = <const packet_row *>&packets[0]
        batch.numbers = &numbers[0]
        batch.tunnel_count = <uint32_t>(tunnels.shape[0] // <Py_ssize_t>sizeof(tunnel_row))
        batch.tunnels = <const tunnel_row *>(&tunnels[0] if batch.tunnel_count else NULL)
        for n, item in enumerate(buffers[:TALLY_BUFFERS]):
            buffer = item
            batch.buffers[n].length = <uint32_t>min(buffer.shape[0], 0xFFFFFFFF)
            batch.buffers[n].data = &buffer[0] if buffer.shape[0] else NULL
        batch.path_count = <uint32_t>masks.shape[0]
        batch.masks = &masks[0] if batch.path_count else NULL
        if streams.shape[0]:
            if streams.shape[0] // <Py_ssize_t>sizeof(stream_row) != batch.count:
                raise ValueError("not a stream for each packet")
            batch.streams = <const stream_row *>&streams[0]
        while not done:
            with nogil:
                done = tally_update(&self.table, &batch, &start)
            if not done:
                self._make_room()

    def take(self, const uint8_t[::1] entries):
        """Adds entries of another tally of this kind: both counted parts of the same traffic."""
        self._add(entries, tally_take)

    def take_ends(self, const uint8_t[::1] entries):
        """Adds both ends of entries, which stand in the order in which they were first seen.

        An end is an entry without destination; its packets and bytes are what it sent and what it got.
        """
        self._add(entries, tally_ends)

    cdef int _add(self, const uint8_t[::1] entries,
                  int (*add)(tally_table *, const tally_entry *, uint32_t, uint32_t *) noexcept nogil) except -1:
        cdef uint32_t count = <uint32_t>(entries.shape[0] // <Py_ssize_t>sizeof(tally_entry))
        cdef const tally_entry *first = <const tally_entry *>(&entries[0] if count else NULL)
        cdef uint32_t start = 0
        cdef int done = 0
        while not done:
            with nogil:
                done = add(&self.table, first, count, &start)
            if not done:
                self._make_room()
        return 0

    def entries(self):
        """All entries as bytes, uint8[n], in the order in which they were made."""
        cdef uint32_t count = self.table.count
        made = np.empty(count * sizeof(tally_entry), np.uint8)
        cdef uint8_t[::1] view = made
        cdef uint32_t done = 0
        cdef uint32_t part
        while done < count:
            part = min(count - done, <uint32_t>TALLY_SLAB_ENTRIES)
            memcpy(&view[done * sizeof(tally_entry)], self.table.slabs[done // TALLY_SLAB_ENTRIES],
                   part * sizeof(tally_entry))
            done += part
        return made

    @property
    def others(self):
        """(packets, bytes) that found no room, of all directions."""
        return self.table.other_packets, self.table.other_bytes

    @others.setter
    def others(self, others):
        self.table.other_packets, self.table.other_bytes = others

    def __len__(self):
        return self.table.count
