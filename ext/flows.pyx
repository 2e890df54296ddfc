# cython: language_level=3, boundscheck=False, wraparound=False, initializedcheck=False
"""The flow table: packet rows in, records of finished flows out."""

import numpy as np

from libc.stdint cimport INT64_MAX, INT64_MIN, int64_t, uint8_t, uint32_t, uint64_t, uintptr_t
from libc.stdlib cimport calloc, free, realloc
from libc.string cimport memcpy, memset


cdef extern from "flows.h" nogil:
    ctypedef struct bytes_view:
        const uint8_t *data
        uint32_t length
    ctypedef struct packet_row:
        pass
    ctypedef struct flow_record:
        int64_t last_seen
        uint8_t flags
        uint8_t history_length
    ctypedef struct hash_seed:
        uint64_t key[4]
    ctypedef struct application_set:
        pass
    ctypedef struct flow_head:
        pass
    ctypedef struct flow_names:
        const application_set *set
        flow_head *heads
        uint8_t *bytes
        uint32_t count
    ctypedef struct flow_table:
        flow_names names
        hash_seed seed
        flow_record **slabs
        uint32_t slab_count
        uint32_t record_count
        uint32_t live
        uint64_t *index
        uint32_t index_mask
        flow_record *output
        uint32_t output_count
        uint32_t output_capacity
        int64_t idle_timeout
        int64_t active_timeout
        int64_t next_sweep
        int64_t sweep_floor
        int64_t previous_timestamp
        uint64_t flow_packets
        uint64_t non_flow_packets
        uint64_t evicted
        uint32_t shard
        uint32_t shards
        uint8_t key_vlan
        uint8_t key_vni
        uint8_t whole_frames
    flow_record *flow_at(const flow_table *t, uint32_t number) noexcept
    void index_replace(flow_table *t, uint64_t *index, uint32_t mask) noexcept
    ctypedef struct flow_buffers:
        const bytes_view *buffers
        uint32_t count
    int flows_update(flow_table *t, const packet_row *rows, uint32_t count, flow_buffers buffers, uint32_t *start,
                     uint32_t *sweep_from) noexcept
    void flows_settle(flow_table *t, const uint8_t *patterns) noexcept
    void records_settle(const flow_names *names, const uint8_t *patterns, flow_record *records, size_t count) noexcept
    int flows_advance(flow_table *t, int64_t clock, uint32_t *sweep_from) noexcept
    int flows_end(flow_table *t, int64_t until, uint32_t reason, uint32_t *start, uint32_t stop) noexcept
    int in_shard(const flow_table *t, uint64_t hash) noexcept
    uint64_t record_hash(const flow_table *t, const flow_record *flow) noexcept
    int record_adopt(flow_table *t, const flow_record *flow) noexcept
    enum:
        FLOWS_DONE
        FLOWS_WANT_RECORDS
        FLOWS_WANT_OUTPUT
        FLOWS_WANT_NAMES
        MAX_HEADS
        HEAD_BYTES
        FLOW_LIVE
        SLAB_RECORDS
        END_FORCED
        END_EVICTED
        HISTORY_MAX

cdef extern from "conn_state.h" nogil:
    uint32_t conn_state(const flow_record *flow) noexcept
    uint32_t history_text(const flow_record *flow, char *text) noexcept

PACKET_SIZE = sizeof(packet_row)
RECORD_SIZE = sizeof(flow_record)
# Bytes of memory that a live flow takes: its record, and its share of the index, which is at most three quarters full.
BYTES_PER_FLOW = sizeof(flow_record) + 2 * sizeof(uint64_t)
FLOWS_PER_SLAB = SLAB_RECORDS

cdef enum:
    OUTPUT_RECORDS = 8192
    MAX_BUFFERS = 8


cdef class FlowTable:
    """Flows that live, and the records of those that ended and were not fetched yet."""

    cdef flow_table table
    cdef list slabs
    cdef uint32_t slab_limit
    cdef uint32_t sweep_from
    cdef uint32_t end_from
    cdef uint32_t evict_from
    cdef int64_t evict_until
    cdef object output
    cdef list finished
    cdef uint64_t finished_count
    cdef object applications
    cdef object patterns
    cdef object heads
    cdef uint32_t output_settled
    cdef Py_ssize_t settled  # of `finished`: the records behind them may wait for a name

    def __cinit__(self, *, bytes seed, int64_t idle_timeout, int64_t active_timeout, bint key_vlan, bint key_vni,
                  bint whole_frames, uint64_t max_flows, uint32_t shard, uint32_t shards, applications=None,
                  patterns=None):
        """`applications`: an ApplicationSet, and `patterns`: a function of the heads of flows, uint8[n, 64], that gives
        the number of the name of each, uint8[n], 0 for none."""
        memset(&self.table, 0, sizeof(self.table))
        if len(seed) != sizeof(hash_seed):
            raise ValueError("a hash seed has 32 bytes")
        if shard >= shards:
            raise ValueError("shards are numbered from 0")
        memcpy(&self.table.seed, <const char *>seed, sizeof(hash_seed))
        self.table.idle_timeout = idle_timeout
        self.table.active_timeout = active_timeout
        self.table.key_vlan = key_vlan
        self.table.key_vni = key_vni
        self.table.whole_frames = whole_frames
        self.table.shard = shard
        self.table.shards = shards
        self.table.next_sweep = INT64_MIN
        self.table.sweep_floor = INT64_MIN
        self.table.previous_timestamp = INT64_MIN
        if applications is not None:
            self._look_for(applications, patterns)
        self.slab_limit = <uint32_t>min(max(max_flows // SLAB_RECORDS, 1), 0xFFFFFFFEU // SLAB_RECORDS)
        self.slabs = []
        self.finished = []
        self.evict_until = INT64_MIN
        self._grow_index(2 * SLAB_RECORDS)
        self._new_output()

    cdef int _look_for(self, applications, patterns) except -1:
        cdef uint8_t[::1] heads
        cdef uintptr_t address = applications.address
        self.heads = np.empty(MAX_HEADS * (HEAD_BYTES + sizeof(flow_head)), np.uint8)
        heads = self.heads
        self.applications, self.patterns = applications, patterns
        self.table.names.set = <const application_set *>address
        self.table.names.bytes = &heads[0]
        self.table.names.heads = <flow_head *>&heads[MAX_HEADS * HEAD_BYTES]
        return 0

    cdef int _settle(self) except -1:
        """Looks for patterns in the heads that there are, and names the flows that wait for it."""
        cdef uint32_t count = self.table.names.count
        cdef uint8_t[::1] records
        if count == 0:
            return 0
        cdef const uint8_t[::1] names = self.patterns(self.heads[:count * HEAD_BYTES].reshape(count, HEAD_BYTES))
        if names.shape[0] != count:
            raise ValueError("every head has a name, or 0")
        flows_settle(&self.table, &names[0])
        records_settle(&self.table.names, &names[0], &self.table.output[self.output_settled],
                       self.table.output_count - self.output_settled)
        self.output_settled = self.table.output_count
        for ended in self.finished[self.settled:]:
            records = ended
            records_settle(&self.table.names, &names[0], <flow_record *>&records[0],
                           records.shape[0] // sizeof(flow_record))
        self.settled = len(self.finished)
        self.table.names.count = 0
        return 0

    def __dealloc__(self):
        free(self.table.slabs)
        free(self.table.index)

    cdef int _grow_index(self, uint64_t entries) except -1:
        cdef uint64_t *old = self.table.index
        cdef uint64_t *index = <uint64_t *>calloc(entries, sizeof(uint64_t))
        if index == NULL:
            raise MemoryError
        with nogil:
            index_replace(&self.table, index, <uint32_t>(entries - 1))
        free(old)
        return 0

    cdef int _add_slab(self) except -1:
        """Room for more flows."""
        cdef uint32_t count = self.table.slab_count
        cdef uint64_t entries = self.table.index_mask + 1ULL
        if (count + 1ULL) * SLAB_RECORDS * 4 > entries * 3:
            self._grow_index(entries * 2)
        cdef void *slabs = realloc(self.table.slabs, (count + 1) * sizeof(flow_record *))
        if slabs == NULL:
            raise MemoryError
        self.table.slabs = <flow_record **>slabs
        # From numpy, which asks for huge pages: records are found all over this memory. They are six whole cache lines
        # only if the first one starts on a line.
        slab = np.empty(SLAB_RECORDS * sizeof(flow_record) + 63, np.uint8)
        cdef uint8_t[::1] view = slab
        self.slabs.append(slab)
        self.table.slabs[count] = <flow_record *>((<uintptr_t>&view[0] + 63) & ~(<uintptr_t>63))
        self.table.slab_count = count + 1
        return 0

    cdef int _new_output(self) except -1:
        if self.table.output_count:
            self.finished.append(self.output[:self.table.output_count * sizeof(flow_record)])
            self.finished_count += self.table.output_count
        self.output = np.empty(OUTPUT_RECORDS * sizeof(flow_record), np.uint8)
        cdef uint8_t[::1] view = self.output
        self.table.output = <flow_record *>&view[0]
        self.table.output_count = self.output_settled = 0
        self.table.output_capacity = OUTPUT_RECORDS
        return 0

    cdef int _evict(self) except -1:
        """Makes room at the cap, by one block of output at a time.

        A hand goes round the records and ends those last seen before a time at which an eighth of all were older when
        its round began: who is used meanwhile stays, and to go round costs no more than the flows that it ends.
        """
        cdef uint32_t live = self.table.live
        while self.table.live == live:
            if self.evict_from >= self.table.record_count or self.evict_until == INT64_MIN:
                self._set_evict_until()
                self.evict_from = 0
            self._end(self.evict_until, END_EVICTED, &self.evict_from)
        return 0

    cdef int _set_evict_until(self) except -1:
        times = np.empty(self.table.record_count, np.int64)
        cdef int64_t[::1] view = times
        cdef uint32_t n
        cdef flow_record *flow
        with nogil:
            for n in range(self.table.record_count):
                flow = flow_at(&self.table, n)
                view[n] = flow.last_seen if flow.flags & FLOW_LIVE else INT64_MAX
        eighth = max(1, self.table.live // 8)
        self.evict_until = int(np.partition(times, eighth - 1)[eighth - 1])
        return 0

    cdef bint _end(self, int64_t until, uint32_t reason, uint32_t *start) except -1:
        """Ends flows last seen until then, as many as one output block takes; whether that were all."""
        cdef int wants
        if self.table.output_count == self.table.output_capacity:
            self._new_output()
        with nogil:
            wants = flows_end(&self.table, until, reason, start, self.table.record_count)
        return wants == FLOWS_DONE

    cdef int _make_room(self) except -1:
        if self.table.slab_count < self.slab_limit:
            self._add_slab()
        else:
            self._evict()
        return 0

    def update(self, const uint8_t[::1] packets, list buffers):
        """Adds the rows of a batch. `packets` is the bytes of an array of schema.PACKET, `buffers` the batch's."""
        cdef uint32_t count = <uint32_t>(packets.shape[0] // <Py_ssize_t>sizeof(packet_row))
        cdef bytes_view views[MAX_BUFFERS]
        cdef flow_buffers known
        cdef const uint8_t[::1] buffer
        cdef uint32_t start = 0
        cdef const packet_row *rows = <const packet_row *>(&packets[0] if packets.shape[0] else NULL)
        cdef int wants = FLOWS_WANT_RECORDS
        known.buffers = views
        known.count = 0
        for item in buffers[:MAX_BUFFERS]:
            buffer = item
            views[known.count].data = &buffer[0] if buffer.shape[0] else NULL
            views[known.count].length = <uint32_t>min(buffer.shape[0], 0xFFFFFFFF)
            known.count += 1
        while count:
            with nogil:
                wants = flows_update(&self.table, rows, count, known, &start, &self.sweep_from)
            if wants == FLOWS_WANT_OUTPUT:
                self._new_output()
            elif wants == FLOWS_WANT_RECORDS:
                self._make_room()
            elif wants == FLOWS_WANT_NAMES:
                self._settle()
            else:
                break
        self._settle()

    def advance(self, int64_t clock):
        """No packet of `clock`, in ns, or before will come any more: flows that are idle by then end."""
        cdef int wants = FLOWS_WANT_OUTPUT
        while wants == FLOWS_WANT_OUTPUT:
            with nogil:
                wants = flows_advance(&self.table, clock, &self.sweep_from)
            if wants == FLOWS_WANT_OUTPUT:
                self._new_output()

    def drain(self):
        """The bytes of the records that ended since the last call, an array of schema.FLOW_RECORD."""
        self._new_output()
        finished, self.finished, self.finished_count, self.settled = self.finished, [], 0, 0
        return np.concatenate(finished) if finished else np.empty(0, np.uint8)

    def finish(self, uint64_t limit):
        """Ends flows until about `limit` records wait for drain(); False when more are live. The capture is over."""
        cdef bint all_ended = False
        cdef uint32_t slab
        while not all_ended and self.pending < limit:
            all_ended = self._end(INT64_MAX, END_FORCED, &self.end_from)
            for slab in range(self.end_from // SLAB_RECORDS):
                self.slabs[slab] = None  # nobody will look there again
        return all_ended

    def records(self):
        """The bytes of a copy of all live records, an array of schema.FLOW_RECORD."""
        copy = np.empty(self.table.live * sizeof(flow_record), np.uint8)
        cdef uint8_t[::1] view = copy
        cdef flow_record *out = <flow_record *>(&view[0] if self.table.live else NULL)
        cdef uint32_t n
        cdef flow_record *flow
        with nogil:
            for n in range(self.table.record_count):
                flow = flow_at(&self.table, n)
                if flow.flags & FLOW_LIVE:
                    memcpy(out, flow, sizeof(flow_record))
                    out += 1
        return copy

    def adopt(self, const uint8_t[::1] records, bint all=False):
        """Takes over live flows of another table, what its records() gave; this one must not have them.

        Only those of its own shard, unless it shall take `all`; returns the bytes of the rest.
        """
        cdef const flow_record *flows = <const flow_record *>(&records[0] if records.shape[0] else NULL)
        cdef Py_ssize_t n = 0
        cdef Py_ssize_t count = records.shape[0] // <Py_ssize_t>sizeof(flow_record)
        rest = np.empty(0 if all else records.shape[0], np.uint8)
        cdef uint8_t[::1] view = rest
        cdef flow_record *out = <flow_record *>(&view[0] if rest.size else NULL)
        cdef Py_ssize_t left = 0
        while n < count:
            with nogil:
                while n < count:
                    if not (all or in_shard(&self.table, record_hash(&self.table, &flows[n]))):
                        memcpy(&out[left], &flows[n], sizeof(flow_record))
                        left += 1
                    elif not record_adopt(&self.table, &flows[n]):
                        break
                    n += 1
            if n < count:
                self._make_room()
        return rest[:left * <Py_ssize_t>sizeof(flow_record)]

    def add_finished(self, records):
        """Puts records that ended elsewhere to those that wait for drain()."""
        if len(records):
            self.finished.append(records)
            self.finished_count += len(records) // sizeof(flow_record)
            self.settled = len(self.finished)

    @property
    def clock(self):
        """What the table knows of time: (next sweep, its floor, time of the previous packet), in ns."""
        return self.table.next_sweep, self.table.sweep_floor, self.table.previous_timestamp

    @clock.setter
    def clock(self, times):
        self.table.next_sweep, self.table.sweep_floor, self.table.previous_timestamp = times

    @property
    def counts(self):
        """(flow packets, non-flow packets, evicted flows)."""
        return self.table.flow_packets, self.table.non_flow_packets, self.table.evicted

    @counts.setter
    def counts(self, counts):
        self.table.flow_packets, self.table.non_flow_packets, self.table.evicted = counts

    @property
    def live(self):
        return self.table.live

    @property
    def pending(self):
        """Records that drain() would give now."""
        return self.finished_count + self.table.output_count


def describe(const uint8_t[::1] records):
    """(conn_states, offsets, letters) of flow records.

    conn_states: uint8[n], indices into schema.CONN_STATES. The history of record n is the ASCII letters from offsets[n]
    to offsets[n + 1], int32[n + 1].
    """
    cdef Py_ssize_t count = records.shape[0] // <Py_ssize_t>sizeof(flow_record)
    states = np.empty(count, np.uint8)
    offsets = np.zeros(count + 1, np.int32)
    text = np.empty(count * HISTORY_MAX + 1, np.uint8)
    cdef uint8_t[::1] state = states
    cdef int[::1] ends = offsets
    cdef uint8_t[::1] letters = text
    cdef const flow_record *flows = <const flow_record *>(&records[0] if records.shape[0] else NULL)
    cdef int at = 0
    cdef Py_ssize_t n
    with nogil:
        for n in range(count):
            state[n] = <uint8_t>conn_state(&flows[n])
            at += <int>history_text(&flows[n], <char *>&letters[at])
            ends[n + 1] = at
    return states, offsets, text[:at]
