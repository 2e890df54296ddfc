# cython: language_level=3, boundscheck=False, wraparound=False, initializedcheck=False
"""The stream table: packet rows in, stream numbers and TCP analysis out."""

import numpy as np

from libc.stdint cimport uint8_t, uint32_t, uint64_t, uintptr_t
from libc.stdlib cimport calloc, free, realloc
from libc.string cimport memcpy, memset


cdef extern from "streams.h" nogil:
    ctypedef struct bytes_view:
        const uint8_t *data
        uint32_t length
    ctypedef struct packet_row:
        pass
    ctypedef struct tunnel_row:
        pass
    ctypedef struct stream_row:
        pass
    ctypedef struct analysis_row:
        pass
    ctypedef struct other_stream_row:
        pass
    ctypedef struct sent_segment:
        pass
    ctypedef struct segment_block:
        pass
    ctypedef struct segment_pool:
        segment_block *blocks
        uint32_t capacity
    ctypedef struct stream_record:
        uint32_t used
        uint8_t bits
    ctypedef struct hash_seed:
        uint64_t key[4]
    ctypedef struct stream_table:
        hash_seed seed
        stream_record **slabs
        uint32_t slab_count
        uint32_t record_count
        uint32_t live
        uint64_t *index
        uint32_t index_mask
        uint32_t clock
        uint32_t numbers[2]
        uint32_t hand
        uint64_t packets
        uint64_t evicted
        uint64_t forgotten
        segment_pool segments
    ctypedef struct streams_work:
        const packet_row *packets
        const uint64_t *numbers
        const tunnel_row *tunnels
        const bytes_view *buffers
        stream_row *streams
        analysis_row *analysis
        other_stream_row *other
        uint32_t packet_count
        uint32_t tunnel_count
        uint32_t buffer_count
        uint32_t other_capacity
        uint32_t other_count
    stream_record *stream_at(const stream_table *t, uint32_t slot) noexcept
    void stream_index_replace(stream_table *t, uint64_t *index, uint32_t mask) noexcept
    void streams_evict(stream_table *t, uint32_t age) noexcept
    void streams_forget_some(stream_table *t) noexcept
    int streams_update(stream_table *t, streams_work *w) noexcept
    enum:
        STREAMS_DONE
        STREAMS_WANT_RECORDS
        STREAMS_WANT_SEGMENTS
        STREAMS_WANT_OTHER
        STREAM_LIVE
        STREAM_SLAB_RECORDS
        BLOCK_SEGMENTS

cdef extern from "stream_state.h" nogil:
    uint64_t streams_count_segments(const stream_table *t) noexcept
    void streams_save(const stream_table *t, stream_record *records, sent_segment *segments) noexcept
    int streams_load(stream_table *t, const stream_record *records, uint32_t record_count,
                     const sent_segment *segments, uint64_t count) noexcept

PACKET_SIZE = sizeof(packet_row)
TUNNEL_SIZE = sizeof(tunnel_row)
STREAM_SIZE = sizeof(stream_row)
ANALYSIS_SIZE = sizeof(analysis_row)
OTHER_STREAM_SIZE = sizeof(other_stream_row)
RECORD_SIZE = sizeof(stream_record)
SEGMENT_SIZE = sizeof(sent_segment)
# Bytes of memory that a stream takes: its record, and its share of the index, which is at most three quarters full.
BYTES_PER_STREAM = sizeof(stream_record) + 2 * sizeof(uint64_t)
STREAMS_PER_SLAB = STREAM_SLAB_RECORDS

cdef enum:
    MAX_BUFFERS = 8


cdef class StreamTable:
    """Streams, in bounded memory: about `memory` bytes, of which a quarter is for unacknowledged segments."""

    cdef stream_table table
    cdef list slabs
    cdef uint32_t slab_limit
    cdef uint32_t block_limit

    def __cinit__(self, uint64_t memory, *, bytes seed):
        memset(&self.table, 0, sizeof(self.table))
        if len(seed) != sizeof(hash_seed):
            raise ValueError("a hash seed has 32 bytes")
        memcpy(&self.table.seed, <const char *>seed, sizeof(hash_seed))
        cdef uint64_t slab_bytes = STREAM_SLAB_RECORDS * BYTES_PER_STREAM
        self.slab_limit = <uint32_t>min(max(memory * 3 // 4 // slab_bytes, 1), 0xFFFFFFFEU // STREAM_SLAB_RECORDS)
        self.block_limit = <uint32_t>min(max(memory // 4 // sizeof(segment_block), 16), 0xFFFFFFFEU)
        self.slabs = []
        self._grow_index(2 * STREAM_SLAB_RECORDS)

    def __dealloc__(self):
        free(self.table.slabs)
        free(self.table.index)
        free(self.table.segments.blocks)

    cdef int _grow_index(self, uint64_t entries) except -1:
        cdef uint64_t *old = self.table.index
        cdef uint64_t *index = <uint64_t *>calloc(entries, sizeof(uint64_t))
        if index == NULL:
            raise MemoryError
        with nogil:
            stream_index_replace(&self.table, index, <uint32_t>(entries - 1))
        free(old)
        return 0

    cdef int _add_slab(self) except -1:
        """Room for more streams."""
        cdef uint32_t count = self.table.slab_count
        cdef uint64_t entries = self.table.index_mask + 1ULL
        if (count + 1ULL) * STREAM_SLAB_RECORDS * 4 > entries * 3:
            self._grow_index(entries * 2)
        cdef void *slabs = realloc(self.table.slabs, (count + 1) * sizeof(stream_record *))
        if slabs == NULL:
            raise MemoryError
        self.table.slabs = <stream_record **>slabs
        # From numpy, which asks for huge pages: records are found all over this memory. They are three whole cache
        # lines only if the first one starts on a line.
        slab = np.empty(STREAM_SLAB_RECORDS * sizeof(stream_record) + 63, np.uint8)
        cdef uint8_t[::1] view = slab
        self.slabs.append(slab)
        self.table.slabs[count] = <stream_record *>((<uintptr_t>&view[0] + 63) & ~(<uintptr_t>63))
        self.table.slab_count = count + 1
        return 0

    cdef int _add_blocks(self, uint64_t wanted) except -1:
        """Room for more segments."""
        cdef segment_pool *pool = &self.table.segments
        cdef uint32_t capacity = <uint32_t>min(max(wanted, 2ULL * pool.capacity, 4096ULL), <uint64_t>self.block_limit)
        cdef void *blocks = realloc(pool.blocks, capacity * sizeof(segment_block))
        if blocks == NULL:
            raise MemoryError
        pool.blocks = <segment_block *>blocks
        pool.capacity = capacity
        return 0

    cdef int _evict(self) except -1:
        """Makes room at the cap: the eighth of all streams that was not used for longest goes."""
        ages = np.empty(self.table.record_count, np.uint32)
        cdef uint32_t[::1] view = ages
        cdef uint32_t n
        cdef stream_record *stream
        with nogil:
            for n in range(self.table.record_count):
                stream = stream_at(&self.table, n)
                view[n] = self.table.clock - stream.used if stream.bits & STREAM_LIVE else 0
        eighth = max(1, self.table.live // 8)
        cdef uint32_t age = int(np.partition(ages, ages.size - eighth)[ages.size - eighth])
        with nogil:
            streams_evict(&self.table, age)
        return 0

    def update(self, const uint8_t[::1] packets, const uint64_t[::1] numbers, const uint8_t[::1] tunnels, list buffers,
               uint8_t[::1] streams, uint8_t[::1] analysis):
        """Takes in the rows of a batch and fills a row of `streams` for each, and one of `analysis` unless it is None.

        `packets` and `tunnels` are the bytes of arrays of schema.PACKET and TUNNEL, the second in the order of packets.
        Returns the bytes of an array of schema.OTHER_STREAM: the streams of headers that no row speaks of.
        """
        cdef streams_work w
        cdef bytes_view views[MAX_BUFFERS]
        cdef const uint8_t[::1] buffer
        cdef int wants
        memset(&w, 0, sizeof(w))
        w.packet_count = <uint32_t>(packets.shape[0] // <Py_ssize_t>sizeof(packet_row))
        w.tunnel_count = <uint32_t>(tunnels.shape[0] // <Py_ssize_t>sizeof(tunnel_row))
        if w.packet_count == 0:
            return np.empty(0, np.uint8)
        if (numbers.shape[0] < w.packet_count
                or streams.shape[0] < w.packet_count * <Py_ssize_t>sizeof(stream_row)
                or (analysis is not None
                    and analysis.shape[0] < w.packet_count * <Py_ssize_t>sizeof(analysis_row))):
            raise ValueError("too few rows")
        w.packets = <const packet_row *>&packets[0]
        w.numbers = &numbers[0]
        w.tunnels = <const tunnel_row *>(&tunnels[0] if w.tunnel_count else NULL)
        w.streams = <stream_row *>&streams[0]
        w.analysis = <analysis_row *>(&analysis[0] if analysis is not None else NULL)
        w.buffers = views
        for item in buffers[:MAX_BUFFERS]:
            buffer = item
            views[w.buffer_count].data = &buffer[0] if buffer.shape[0] else NULL
            views[w.buffer_count].length = <uint32_t>min(buffer.shape[0], 0xFFFFFFFF)
            w.buffer_count += 1
        other = np.empty((w.tunnel_count + 64) * sizeof(other_stream_row), np.uint8)
        cdef uint8_t[::1] rows
        while True:
            rows = other
            w.other = <other_stream_row *>&rows[0]
            w.other_capacity = <uint32_t>(rows.shape[0] // <Py_ssize_t>sizeof(other_stream_row))
            with nogil:
                wants = streams_update(&self.table, &w)
            if wants == STREAMS_DONE:
                return other[:w.other_count * sizeof(other_stream_row)]
            if wants == STREAMS_WANT_OTHER:
                other = np.concatenate([other, np.empty_like(other)])
            else:
                self._make_room(wants)

    cdef int _make_room(self, int wants) except -1:
        if wants == STREAMS_WANT_RECORDS:
            if self.table.slab_count < self.slab_limit:
                self._add_slab()
            else:
                self._evict()
        elif self.table.segments.capacity < self.block_limit:
            self._add_blocks(0)
        else:
            with nogil:
                streams_forget_some(&self.table)
        return 0

    @property
    def live(self):
        return self.table.live

    @property
    def counters(self):
        """(TCP streams, UDP streams, evicted streams, forgotten segments, packets, clock, hand)"""
        cdef stream_table *t = &self.table
        return t.numbers[0], t.numbers[1], t.evicted, t.forgotten, t.packets, t.clock, t.hand

    def save(self):
        """(records, segments): all that is known, as the bytes of schema.STREAM_RECORD and SEGMENT, for load()."""
        records = np.empty(self.table.record_count * sizeof(stream_record), np.uint8)
        segments = np.empty(streams_count_segments(&self.table) * sizeof(sent_segment), np.uint8)
        cdef uint8_t[::1] rows = records
        cdef uint8_t[::1] sent = segments
        cdef stream_record *record = <stream_record *>(&rows[0] if rows.shape[0] else NULL)
        cdef sent_segment *segment = <sent_segment *>(&sent[0] if sent.shape[0] else NULL)
        with nogil:
            streams_save(&self.table, record, segment)
        return records, segments

    def load(self, const uint8_t[::1] records, const uint8_t[::1] segments, counters):
        """Goes on where another table's save() was; this one is new. Raises ValueError when it is damaged."""
        cdef stream_table *t = &self.table
        cdef uint64_t record_count = records.shape[0] // <Py_ssize_t>sizeof(stream_record)
        cdef uint64_t segment_count = segments.shape[0] // <Py_ssize_t>sizeof(sent_segment)
        if t.packets or t.record_count:
            raise ValueError("only a new table takes over another one's streams")
        if record_count > <uint64_t>self.slab_limit * STREAM_SLAB_RECORDS:
            raise ValueError("more streams are saved than memory is allowed for")
        while <uint64_t>t.slab_count * STREAM_SLAB_RECORDS < record_count:
            self._add_slab()
        # Each of a record's two lists may begin a block of its own.
        self._add_blocks(segment_count // BLOCK_SEGMENTS + 2 * record_count + 1)
        cdef const stream_record *record = <const stream_record *>(&records[0] if records.shape[0] else NULL)
        cdef const sent_segment *segment = <const sent_segment *>(&segments[0] if segments.shape[0] else NULL)
        cdef int sound
        with nogil:
            sound = streams_load(t, record, <uint32_t>record_count, segment, segment_count)
        if not sound:
            raise ValueError("the saved streams are damaged")
        t.numbers[0], t.numbers[1], t.evicted, t.forgotten, t.packets, t.clock, t.hand = counters
