# cython: language_level=3, boundscheck=False, wraparound=False, initializedcheck=False
"""The payload of conversations, in order: packet rows in, heads and pieces out."""

from typing import NamedTuple

import numpy as np

from libc.stdint cimport int64_t, uint8_t, uint32_t, uint64_t, uintptr_t
from libc.stdlib cimport calloc, free, realloc
from libc.string cimport memcpy, memset

from spanline.pool import Pool
from spanline.schema import PAYLOAD_CONVERSATION_DTYPE, PAYLOAD_HEAD_DTYPE, PAYLOAD_PIECE_DTYPE


cdef extern from "payloads.h" nogil:
    ctypedef struct bytes_view:
        const uint8_t *data
        uint32_t length
    ctypedef struct packet_row:
        pass
    ctypedef struct hash_seed:
        uint64_t key[4]
    ctypedef struct payload_record:
        pass
    ctypedef struct payload_block:
        pass
    ctypedef struct payload_syn:
        pass
    ctypedef struct payload_head_row:
        pass
    ctypedef struct payload_piece_row:
        pass
    ctypedef struct payload_conversation_row:
        pass
    ctypedef struct payload_list:
        uint32_t *slots
        uint32_t count
    ctypedef struct payload_pool:
        payload_block **slabs
        uint32_t slab_count
        uint32_t taken
    ctypedef struct payload_counters:
        uint64_t packets
        uint64_t conversations
        uint64_t evicted
        uint64_t refused
        uint64_t far
        uint64_t retransmitted
        uint64_t overlaps
        uint64_t conflicts
        uint64_t gaps
        uint64_t missing
        uint64_t beyond
    ctypedef struct payload_table:
        hash_seed seed
        payload_record **slabs
        uint32_t slab_count
        uint32_t free_first
        uint32_t record_count
        uint32_t live
        uint32_t live_limit
        uint64_t *index
        uint32_t index_mask
        uint32_t clock
        payload_syn *syns
        payload_pool pool
        uint32_t block_limit
        uint32_t promised
        payload_list due
        payload_list chance
        payload_list pieces
        uint32_t waits_first
        uint32_t waits_last
        uint64_t serial
        uint32_t head_bytes
        uint32_t claimed_bytes
        uint32_t shard
        uint32_t shards
        uint8_t key_vlan
        uint8_t key_vni
        uint8_t skip_silent
        uint8_t is_full
        payload_counters counters
    ctypedef struct payloads_work:
        const packet_row *packets
        const uint64_t *numbers
        const bytes_view *buffers
        uint32_t packet_count
        uint32_t buffer_count
        uint32_t packet
    void payload_index_replace(payload_table *t, uint64_t *index, uint32_t mask) noexcept
    void payload_settle(payload_table *t) noexcept
    void payload_claim(payload_table *t, uint32_t slot, uint32_t listened) noexcept
    void payload_wake(payload_table *t, uint32_t slot) noexcept
    void pieces_settle(payload_table *t) noexcept
    void payload_tick(payload_table *t, int64_t now) noexcept
    void payload_release(payload_table *t, uint32_t slot) noexcept
    uint32_t payload_ages(const payload_table *t, int for_blocks, uint32_t *ages) noexcept
    void payload_evict(payload_table *t, int for_blocks, const uint32_t *ages, uint32_t age) noexcept
    int payloads_update(payload_table *t, payloads_work *w) noexcept
    int payloads_finish(payload_table *t, uint32_t *slot) noexcept
    enum:
        PAYLOADS_DONE
        PAYLOADS_WANT_RECORDS
        PAYLOADS_WANT_BLOCKS
        PAYLOADS_MANY_RECORDS
        PAYLOADS_MANY_BLOCKS
        PAYLOAD_SLAB_RECORDS
        PAYLOAD_SLAB_BLOCKS
        PAYLOAD_BLOCK_BYTES
        PAYLOAD_SYNS

cdef extern from "payload_output.h" nogil:
    ctypedef struct payload_output:
        payload_head_row *heads
        payload_piece_row *pieces
        uint8_t *bytes
        uint32_t capacity
        uint32_t count
        uint64_t byte_capacity
        uint64_t byte_count
    uint32_t heads_due(const payload_table *t, uint64_t most, uint64_t *bytes) noexcept
    void heads_give(payload_table *t, payload_output *out, uint32_t count) noexcept
    uint64_t pieces_due(const payload_table *t, uint64_t *bytes) noexcept
    void pieces_give(payload_table *t, payload_output *out) noexcept
    void payload_describe(const payload_table *t, uint32_t slot, payload_conversation_row *row) noexcept

cdef extern from "payload_state.h" nogil:
    uint64_t payloads_content(const payload_table *t) noexcept
    void payloads_save(const payload_table *t, payload_record *records, uint8_t *content) noexcept
    int payloads_load(payload_table *t, const payload_record *records, uint32_t record_count,
                      bytes_view content) noexcept

PACKET_SIZE = sizeof(packet_row)
HEAD_SIZE = sizeof(payload_head_row)
PIECE_SIZE = sizeof(payload_piece_row)
CONVERSATION_SIZE = sizeof(payload_conversation_row)
# Bytes of memory that a conversation takes beside its payload: its record, its share of the index, which is at most
# three quarters full, and of the three lists.
BYTES_PER_CONVERSATION = sizeof(payload_record) + 2 * sizeof(uint64_t) + 3 * sizeof(uint32_t)
LEAST_MEMORY = 16 << 20

cdef enum:
    MAX_BUFFERS = 8
    HEADS_AT_ONCE = 1 << 23
    LEAST_HANDED_OUT = 1 << 20


class PayloadCounters(NamedTuple):
    """What became of packets and bytes.

    packets        TCP and UDP packets and others that were taken in
    conversations  followed, also those that were given up since
    evicted        conversations given up for others, since memory was full
    refused        packets without effect, since there was no memory at all
    far            segments and resets whose sequence numbers are 1 GiB away from where their connection is
    retransmitted  bytes that came again
    overlaps       segments that repeat a part of others
    conflicts      segments that differ from what was kept where they repeat it
    gaps, missing  times that bytes are missing, and how many
    beyond         bytes that were more than is kept of a conversation
    """

    packets: int
    conversations: int
    evicted: int
    refused: int
    far: int
    retransmitted: int
    overlaps: int
    conflicts: int
    gaps: int
    missing: int
    beyond: int


cdef class Payloads:
    """Ordered payload of both directions of every TCP and UDP conversation, in bounded memory.

    memory         bytes for everything, at least LEAST_MEMORY: conversations, their index, and what is kept of them
    head_bytes     how many bytes of each direction are kept to be looked at
    claimed_bytes  how many are kept, of each direction in all, when the conversation is claimed
    seed           of the rows' flow_hash: 32 bytes
    by_vlan        frames of different VLANs are of different conversations
    by_vni         frames of different tunnels (VNI or GRE key) are of different conversations
    skip_silent    what begins as TLS, SSH or QUIC is ignored, and DNS on its UDP port
    shard          (n, of): takes only the conversations of the n-th, from 0, of so many parts

    After each update(): heads(), claim() what is wanted of them, pieces(). What was handed out as a last head and is
    not claimed when update() or heads() is called next is forgotten.
    """

    cdef payload_table table
    cdef list slabs
    cdef list block_slabs
    cdef object handed_out
    cdef uint32_t slab_limit
    cdef uint32_t block_slab_limit

    def __cinit__(self, uint64_t memory=256 << 20, uint32_t head_bytes=4096, uint32_t claimed_bytes=1 << 20, *,
                  bytes seed, bint by_vlan=False, bint by_vni=True, bint skip_silent=False, shard=(0, 1)):
        memset(&self.table, 0, sizeof(self.table))
        if len(seed) != sizeof(hash_seed):
            raise ValueError("a hash seed has 32 bytes")
        if memory < LEAST_MEMORY:
            raise ValueError(f"{memory} bytes are too few for payload: at least {LEAST_MEMORY}")
        if not 0 < head_bytes <= claimed_bytes:
            raise ValueError("a conversation that is claimed has at least its head, and that at least a byte")
        number, of = shard
        if not 0 <= number < of:
            raise ValueError("shards are numbered from 0")
        memcpy(&self.table.seed, <const char *>seed, sizeof(hash_seed))
        self.table.head_bytes = head_bytes
        self.table.claimed_bytes = claimed_bytes
        self.table.key_vlan = by_vlan
        self.table.key_vni = by_vni
        self.table.skip_silent = skip_silent
        self.table.shard, self.table.shards = number, of
        cdef uint64_t slab_bytes = PAYLOAD_SLAB_RECORDS * BYTES_PER_CONVERSATION
        cdef uint64_t block_bytes = PAYLOAD_SLAB_BLOCKS * sizeof(payload_block)
        self.slab_limit = <uint32_t>min(max(memory // 4 // slab_bytes, 1), 0xFFFFFFFEU // PAYLOAD_SLAB_RECORDS)
        self.block_slab_limit = <uint32_t>min(
            (memory * 3 // 4 - PAYLOAD_SYNS * sizeof(payload_syn)) // block_bytes, 0xFFFFFFFEU // PAYLOAD_SLAB_BLOCKS)
        self.slabs = []
        self.block_slabs = []
        self.handed_out = Pool()
        self.table.syns = <payload_syn *>calloc(PAYLOAD_SYNS, sizeof(payload_syn))
        if self.table.syns == NULL:
            raise MemoryError
        self._grow_index(2 * PAYLOAD_SLAB_RECORDS)

    def __dealloc__(self):
        free(self.table.slabs)
        free(self.table.pool.slabs)
        free(self.table.index)
        free(self.table.syns)
        free(self.table.due.slots)
        free(self.table.chance.slots)
        free(self.table.pieces.slots)

    cdef int _grow_index(self, uint64_t entries) except -1:
        cdef uint64_t *old = self.table.index
        cdef uint64_t *index = <uint64_t *>calloc(entries, sizeof(uint64_t))
        if index == NULL:
            raise MemoryError
        with nogil:
            payload_index_replace(&self.table, index, <uint32_t>(entries - 1))
        free(old)
        return 0

    cdef int _grow_list(self, payload_list *which, uint64_t slots) except -1:
        cdef void *memory = realloc(which.slots, slots * sizeof(uint32_t))
        if memory == NULL:
            raise MemoryError
        which.slots = <uint32_t *>memory
        return 0

    cdef int _add_slab(self) except -1:
        """Room for more conversations."""
        cdef uint32_t count = self.table.slab_count
        cdef uint64_t entries = self.table.index_mask + 1ULL
        if (count + 1ULL) * PAYLOAD_SLAB_RECORDS * 4 > entries * 3:
            self._grow_index(entries * 2)
        self._grow_list(&self.table.due, (count + 1ULL) * PAYLOAD_SLAB_RECORDS)
        self._grow_list(&self.table.chance, (count + 1ULL) * PAYLOAD_SLAB_RECORDS)
        self._grow_list(&self.table.pieces, (count + 1ULL) * PAYLOAD_SLAB_RECORDS)
        cdef void *slabs = realloc(self.table.slabs, (count + 1) * sizeof(payload_record *))
        if slabs == NULL:
            raise MemoryError
        self.table.slabs = <payload_record **>slabs
        # From numpy, which asks for huge pages: records are found all over this memory. They are four whole cache
        # lines only if the first one starts on a line.
        slab = np.empty(PAYLOAD_SLAB_RECORDS * sizeof(payload_record) + 63, np.uint8)
        cdef uint8_t[::1] view = slab
        self.slabs.append(slab)
        self.table.slabs[count] = <payload_record *>((<uintptr_t>&view[0] + 63) & ~(<uintptr_t>63))
        self.table.slab_count = count + 1
        return 0

    cdef int _add_blocks(self) except -1:
        """Room for more payload."""
        cdef uint32_t count = self.table.pool.slab_count
        cdef void *slabs = realloc(self.table.pool.slabs, (count + 1) * sizeof(payload_block *))
        if slabs == NULL:
            raise MemoryError
        self.table.pool.slabs = <payload_block **>slabs
        slab = np.empty(PAYLOAD_SLAB_BLOCKS * sizeof(payload_block) + 63, np.uint8)
        cdef uint8_t[::1] view = slab
        self.block_slabs.append(slab)
        self.table.pool.slabs[count] = <payload_block *>((<uintptr_t>&view[0] + 63) & ~(<uintptr_t>63))
        self.table.pool.slab_count = count + 1
        return 0

    cdef int _want_blocks(self) except -1:
        if self.table.pool.slab_count < self.block_slab_limit:
            self._add_blocks()
        else:
            self.table.is_full = 1
        return 0

    cdef int _evict(self, bint for_blocks) except -1:
        """Gives up the eighth of all conversations that was not used for longest."""
        ages = np.empty(self.table.record_count + 1, np.uint32)
        cdef uint32_t[::1] view = ages
        cdef uint32_t count, age
        with nogil:
            count = payload_ages(&self.table, for_blocks, &view[0])
        ages = ages[:self.table.record_count]
        if count == 0:
            self.table.promised = 0xFFFFFFFF  # all that there is is claimed
            return 0
        eighth = max(1, count // 8)
        age = int(np.partition(ages, ages.size - eighth)[ages.size - eighth])
        with nogil:
            payload_evict(&self.table, for_blocks, &view[0], age)
        return 0

    cdef void _reserve(self, uint64_t packets, uint64_t octets):
        """Conversations that are given up keep their memory until their heads were handed out: what a batch may bring
        is to find room beside them."""
        cdef uint64_t records = self.slab_limit * <uint64_t>PAYLOAD_SLAB_RECORDS
        cdef uint64_t blocks = self.block_slab_limit * <uint64_t>PAYLOAD_SLAB_BLOCKS
        cdef uint64_t wanted = octets // PAYLOAD_BLOCK_BYTES + packets
        self.table.live_limit = <uint32_t>(records - min(max(packets, records // 8), records // 2))
        self.table.block_limit = <uint32_t>(blocks - min(max(wanted, blocks // 8), blocks // 2))

    def update(self, const uint8_t[::1] packets, const uint64_t[::1] numbers, list buffers):
        """Takes in the rows of a batch: the bytes of its `packets`, its `numbers` and its `buffers`."""
        cdef payloads_work w
        cdef bytes_view views[MAX_BUFFERS]
        cdef const uint8_t[::1] buffer
        cdef int wants
        cdef uint64_t octets = 0
        memset(&w, 0, sizeof(w))
        w.packet_count = <uint32_t>(packets.shape[0] // <Py_ssize_t>sizeof(packet_row))
        if numbers.shape[0] < w.packet_count:
            raise ValueError("too few numbers")
        with nogil:
            payload_settle(&self.table)
        if w.packet_count == 0:
            return
        w.packets = <const packet_row *>&packets[0]
        w.numbers = &numbers[0]
        w.buffers = views
        for item in buffers[:MAX_BUFFERS]:
            buffer = item
            views[w.buffer_count].data = &buffer[0] if buffer.shape[0] else NULL
            views[w.buffer_count].length = <uint32_t>min(buffer.shape[0], 0xFFFFFFFF)
            w.buffer_count += 1
            octets += views[w.buffer_count - 1].length
        self._reserve(w.packet_count, octets)
        while True:
            with nogil:
                wants = payloads_update(&self.table, &w)
            if wants == PAYLOADS_DONE:
                return
            if wants == PAYLOADS_MANY_RECORDS or wants == PAYLOADS_MANY_BLOCKS:
                self._evict(wants == PAYLOADS_MANY_BLOCKS)
            elif wants == PAYLOADS_WANT_BLOCKS:
                self._want_blocks()
            elif self.table.slab_count < self.slab_limit:
                self._add_slab()
            else:
                self.table.counters.refused += 1
                w.packet += 1

    cdef object _octets(self, size):
        """So many bytes: of few sizes, so that they are used again."""
        return self.handed_out.take(max(LEAST_HANDED_OUT, 1 << (size - 1).bit_length()))[:size]

    def advance(self, int64_t clock):
        """No packet of `clock`, in ns, or before will come any more: heads that are old enough by then are due."""
        with nogil:
            payload_tick(&self.table, clock)

    def heads(self):
        """(heads, bytes): what one side each of some conversations said first, an array of schema.PAYLOAD_HEAD and the
        bytes that they are places in.

        A head comes once it is full, or the conversation is over, and before that once early: when its first byte is a
        second old, or both sides have said something, 512 bytes together. After finish() call it until it gives none:
        it gives about 8 MiB at a time.
        """
        cdef payload_output out
        cdef uint64_t size = 0
        cdef uint32_t count
        memset(&out, 0, sizeof(out))
        with nogil:
            payload_settle(&self.table)
            count = heads_due(&self.table, HEADS_AT_ONCE, &size)
        rows = np.zeros(2 * count, PAYLOAD_HEAD_DTYPE)
        octets = self._octets(size + 1)
        cdef uint8_t[::1] row_bytes = rows.view(np.uint8)
        cdef uint8_t[::1] view = octets
        if count == 0:
            return rows, octets[:0]
        out.heads = <payload_head_row *>&row_bytes[0]
        out.bytes = &view[0]
        out.capacity = 2 * count
        out.byte_capacity = size
        with nogil:
            heads_give(&self.table, &out, count)
        return rows[:out.count], octets[:out.byte_count]

    def claim(self, const uint32_t[::1] slots, const uint8_t[::1] listened=None):
        """Follows these conversations: all that was kept of them so far, and what comes, is handed out by pieces().

        Of those whose `listened` is 1 or 2 only what their source, or their destination, sends is: until wake().
        """
        cdef Py_ssize_t n
        if listened is not None and listened.shape[0] < slots.shape[0]:
            raise ValueError("too few that say who is listened to")
        with nogil:
            for n in range(slots.shape[0]):
                payload_claim(&self.table, slots[n], 0 if listened is None else listened[n])

    def wake(self, const uint32_t[::1] slots):
        """Hands out both sides of these conversations from now on: by another pieces() at once, from the first piece of
        the last one on. What is not wanted then of the others is forgotten by it, or by update()."""
        cdef Py_ssize_t n
        with nogil:
            for n in range(slots.shape[0]):
                payload_wake(&self.table, slots[n])

    def release(self, const uint32_t[::1] slots):
        """Forgets the payload of these conversations, and ignores the rest of them."""
        cdef Py_ssize_t n
        with nogil:
            for n in range(slots.shape[0]):
                payload_release(&self.table, slots[n])

    def pieces(self):
        """(pieces, bytes): what the claimed conversations said since the last call, an array of schema.PAYLOAD_PIECE
        and the bytes that they are places in. By conversation, and in it in the order of delivery; the last piece of
        one says that it is over."""
        cdef payload_output out
        cdef uint64_t size = 0
        cdef uint64_t count
        memset(&out, 0, sizeof(out))
        with nogil:
            pieces_settle(&self.table)
            count = pieces_due(&self.table, &size)
        rows = np.zeros(count, PAYLOAD_PIECE_DTYPE)
        octets = self._octets(size + 1)
        cdef uint8_t[::1] row_bytes = rows.view(np.uint8)
        cdef uint8_t[::1] view = octets
        if count == 0:
            return rows, octets[:0]
        out.pieces = <payload_piece_row *>&row_bytes[0]
        out.bytes = &view[0]
        out.capacity = <uint32_t>min(count, 0xFFFFFFFFU)
        out.byte_capacity = size
        with nogil:
            pieces_give(&self.table, &out)
        return rows[:out.count], octets[:out.byte_count]

    def conversations(self, const uint32_t[::1] slots):
        """Who they are between, an array of schema.PAYLOAD_CONVERSATION; zeros where there is none."""
        rows = np.zeros(slots.shape[0], PAYLOAD_CONVERSATION_DTYPE)
        cdef uint8_t[::1] view = rows.view(np.uint8)
        cdef payload_conversation_row *row = <payload_conversation_row *>(&view[0] if slots.shape[0] else NULL)
        cdef Py_ssize_t n
        with nogil:
            for n in range(slots.shape[0]):
                payload_describe(&self.table, slots[n], &row[n])
        return rows

    def finish(self):
        """The capture is over: what waits is delivered, and every conversation ends. heads() and pieces() give the
        rest."""
        cdef uint32_t slot = 0
        cdef int wants = PAYLOADS_WANT_BLOCKS
        with nogil:
            payload_settle(&self.table)
        while wants != PAYLOADS_DONE:
            with nogil:
                wants = payloads_finish(&self.table, &slot)
            if wants == PAYLOADS_WANT_BLOCKS:
                self._want_blocks()

    def state(self):
        """All that is known, as plain values and bytes: restore() goes on exactly from here."""
        cdef payload_table *t = &self.table
        records = np.empty(t.record_count * sizeof(payload_record) + 1, np.uint8)
        content = np.empty(payloads_content(t) + 1, np.uint8)
        cdef uint8_t[::1] rows = records
        cdef uint8_t[::1] octets = content
        with nogil:
            payloads_save(t, <payload_record *>&rows[0], &octets[0])
        return {
            "options": self._options(),
            "numbers": (t.free_first, t.clock, t.promised, t.waits_first, t.waits_last, t.serial),
            "counters": tuple(self.counters),
            "records": records[:-1].tobytes(),
            "content": content[:-1].tobytes(),
            "syns": (<const uint8_t *>t.syns)[:PAYLOAD_SYNS * sizeof(payload_syn)],
            "due": self._slots(&t.due),
            "chance": self._slots(&t.chance),
            "pieces": self._slots(&t.pieces),
        }

    cdef tuple _options(self):
        cdef payload_table *t = &self.table
        return t.head_bytes, t.claimed_bytes, t.key_vlan, t.key_vni, t.skip_silent, t.shard, t.shards

    cdef bytes _slots(self, payload_list *which):
        return (<const uint8_t *>which.slots)[:which.count * sizeof(uint32_t)] if which.count else b""

    def restore(self, state):
        """Goes on where state() was taken; this one is new. Raises ValueError when the state is damaged, is of others
        with other options, or needs more memory than is allowed. It is of no use then."""
        cdef payload_table *t = &self.table
        cdef payload_counters *c = &t.counters
        if t.record_count or t.counters.packets:
            raise ValueError("only new payloads take over others' state")
        if state["options"] != self._options():
            raise ValueError("this state is of payloads with other options")
        cdef const uint8_t[::1] records = np.frombuffer(state["records"], np.uint8)
        cdef const uint8_t[::1] content = np.frombuffer(state["content"], np.uint8)
        cdef uint64_t record_count = records.shape[0] // <Py_ssize_t>sizeof(payload_record)
        cdef uint64_t blocks = content.shape[0] // PAYLOAD_BLOCK_BYTES
        if (record_count > self.slab_limit * <uint64_t>PAYLOAD_SLAB_RECORDS
                or blocks > self.block_slab_limit * <uint64_t>PAYLOAD_SLAB_BLOCKS):
            raise ValueError("more payload is saved than memory is allowed for")
        while t.slab_count * <uint64_t>PAYLOAD_SLAB_RECORDS < record_count:
            self._add_slab()
        while t.pool.slab_count * <uint64_t>PAYLOAD_SLAB_BLOCKS < blocks:
            self._add_blocks()
        t.free_first, t.clock, t.promised, t.waits_first, t.waits_last, t.serial = state["numbers"]
        (c.packets, c.conversations, c.evicted, c.refused, c.far, c.retransmitted, c.overlaps, c.conflicts, c.gaps,
         c.missing, c.beyond) = state["counters"]
        cdef bytes syns = state["syns"]
        if len(syns) != PAYLOAD_SYNS * sizeof(payload_syn):
            raise ValueError("the saved payload is damaged")
        memcpy(t.syns, <const char *>syns, len(syns))
        self._take_slots(&t.due, state["due"])
        self._take_slots(&t.chance, state["chance"])
        self._take_slots(&t.pieces, state["pieces"])
        cdef bytes_view view
        view.data = &content[0] if content.shape[0] else NULL
        view.length = <uint32_t>min(content.shape[0], 0xFFFFFFFF)
        cdef const payload_record *rows = <const payload_record *>(&records[0] if records.shape[0] else NULL)
        cdef int sound
        with nogil:
            sound = payloads_load(t, rows, <uint32_t>record_count, view)
        if not sound:
            raise ValueError("the saved payload is damaged")

    cdef int _take_slots(self, payload_list *which, bytes slots) except -1:
        if len(slots) > self.table.slab_count * <uint64_t>PAYLOAD_SLAB_RECORDS * sizeof(uint32_t):
            raise ValueError("the saved payload is damaged")
        which.count = <uint32_t>(len(slots) // sizeof(uint32_t))
        if which.count:
            memcpy(which.slots, <const char *>slots, which.count * sizeof(uint32_t))
        return 0

    @property
    def counters(self):
        cdef payload_counters c = self.table.counters
        return PayloadCounters(c.packets, c.conversations, c.evicted, c.refused, c.far, c.retransmitted, c.overlaps,
                               c.conflicts, c.gaps, c.missing, c.beyond)

    @property
    def live(self):
        """Conversations that take a record."""
        return self.table.live

    @property
    def kept(self):
        """Bytes of memory that payload takes."""
        return self.table.pool.taken * sizeof(payload_block)

    @property
    def memory(self):
        """Bytes of memory taken from the system, of those that were allowed."""
        cdef uint64_t slabs = self.table.slab_count * <uint64_t>PAYLOAD_SLAB_RECORDS
        cdef uint64_t lists = 3 * slabs * sizeof(uint32_t) + (self.table.index_mask + 1ULL) * sizeof(uint64_t)
        cdef uint64_t blocks = self.table.pool.slab_count * <uint64_t>PAYLOAD_SLAB_BLOCKS * sizeof(payload_block)
        return slabs * sizeof(payload_record) + lists + blocks + PAYLOAD_SYNS * sizeof(payload_syn)
