# cython: language_level=3, boundscheck=False, wraparound=False, initializedcheck=False
"""Trees of counters with bursts: packet rows in, nodes out."""

import numpy as np

from libc.stdint cimport int64_t, uint8_t, uint32_t, uint64_t
from libc.stdlib cimport calloc, free, realloc
from libc.string cimport memcpy, memset


cdef extern from "tree_tally.h" nogil:
    ctypedef struct packet_row:
        pass
    ctypedef struct tunnel_row:
        pass
    ctypedef struct hash_seed:
        uint64_t key[4]
    ctypedef struct tree_bucket:
        pass
    ctypedef struct tree_node:
        uint32_t older
    ctypedef struct tree_weight:
        pass
    ctypedef struct tree_quote:
        pass
    ctypedef struct tree_extras:
        const tunnel_row *tunnels
        const tree_quote *quotes
        uint32_t tunnel_count
        uint32_t quote_count
        uint32_t tunnel
        uint32_t quote
    ctypedef struct tree_tally:
        hash_seed seed
        tree_node *nodes
        tree_bucket *buckets
        uint64_t *index
        int64_t epoch
        int64_t start[2]
        int64_t last[2]
        uint64_t others
        uint64_t shortened
        uint32_t index_mask
        uint32_t node_count
        uint32_t node_capacity
        uint32_t bucket_count
        uint32_t bucket_capacity
        uint8_t kind
        uint8_t full
    void tree_index_replace(tree_tally *t, uint64_t *index, uint32_t mask) noexcept
    int tree_update(tree_tally *t, const packet_row *rows, uint32_t count, const tree_weight *weights, uint32_t paths,
                    tree_extras *extras, uint32_t *start) noexcept
    enum:
        TREE_DONE
        TREE_DESTINATIONS
        TREE_HOSTS
        TREE_NODES_PER_BLOCK
        TREE_BUCKETS_PER_BLOCK

cdef extern from "tree_save.h" nogil:
    uint32_t tree_save(const tree_tally *t, tree_node *nodes, tree_bucket *buckets, uint32_t room) noexcept
    int tree_is_sound(const tree_node *nodes, uint32_t node_count, const tree_bucket *buckets,
                      uint32_t bucket_count) noexcept
    void tree_shift(tree_tally *t, int64_t shift) noexcept
    void tree_merge_node(tree_tally *t, const tree_node *saved, const tree_bucket *buckets, int64_t shift) noexcept

NODE_SIZE = sizeof(tree_node)
BUCKET_SIZE = sizeof(tree_bucket)
QUOTE_SIZE = sizeof(tree_quote)
DESTINATIONS = TREE_DESTINATIONS
HOSTS = TREE_HOSTS


cdef class TreeTally:
    """The trees of IPv4 and of IPv6 layers. `memory` is the most that they may take, in bytes."""

    cdef tree_tally table
    cdef uint64_t memory

    def __cinit__(self, int kind, *, uint64_t memory, bytes seed):
        memset(&self.table, 0, sizeof(self.table))
        if len(seed) != sizeof(hash_seed):
            raise ValueError("a hash seed has 32 bytes")
        memcpy(&self.table.seed, <const char *>seed, sizeof(hash_seed))
        self.table.kind = kind
        self.table.start[0] = self.table.start[1] = -1
        self.memory = memory
        self._grow(2 * TREE_NODES_PER_BLOCK, 2 * TREE_BUCKETS_PER_BLOCK)

    def __dealloc__(self):
        free(self.table.nodes)
        free(self.table.buckets)
        free(self.table.index)

    cdef int _grow(self, uint64_t nodes, uint64_t buckets) except -1:
        cdef tree_tally *t = &self.table
        cdef uint64_t entries = 1
        while entries * 3 < nodes * 4 + 4:
            entries *= 2
        cdef void *memory = realloc(t.nodes, nodes * sizeof(tree_node))
        if memory == NULL:
            raise MemoryError
        t.nodes = <tree_node *>memory
        t.node_capacity = <uint32_t>nodes
        memory = realloc(t.buckets, buckets * sizeof(tree_bucket))
        if memory == NULL:
            raise MemoryError
        t.buckets = <tree_bucket *>memory
        t.bucket_capacity = <uint32_t>buckets
        cdef uint64_t *index
        cdef uint64_t *old
        if entries - 1 != t.index_mask:
            index = <uint64_t *>calloc(entries, sizeof(uint64_t))
            if index == NULL:
                raise MemoryError
            old = t.index
            with nogil:
                tree_index_replace(t, index, <uint32_t>(entries - 1))
            free(old)
        return 0

    cdef int _make_room(self) except -1:
        """Half as much again of what is short, as long as `memory` allows."""
        cdef tree_tally *t = &self.table
        cdef uint64_t nodes = t.node_capacity, buckets = t.bucket_capacity
        if nodes - t.node_count < TREE_NODES_PER_BLOCK:
            nodes += nodes // 2 + TREE_NODES_PER_BLOCK
        if buckets - t.bucket_count < TREE_BUCKETS_PER_BLOCK:
            buckets += buckets // 2 + TREE_BUCKETS_PER_BLOCK
        # An index entry for at most 1 ⅓ nodes, twice that just after it grew.
        if nodes * (sizeof(tree_node) + 24) + buckets * sizeof(tree_bucket) > self.memory or nodes > 0x7FFFFFFF:
            t.full = 1
            return 0
        self._grow(nodes, buckets)
        return 0

    def update(self, const uint8_t[::1] packets, const uint8_t[::1] tunnels, const uint8_t[::1] quotes,
               const uint8_t[::1] weights):
        """Counts packet rows.

        packets  uint8, rows of schema.PACKET
        tunnels  uint8, rows of schema.TUNNEL, by packet
        quotes   uint8, rows of schema.TREE_QUOTE, by packet
        weights  uint8, two for each path: how many IPv4 layers and how many IPv6 layers are in it
        """
        cdef const packet_row *rows = <const packet_row *>(&packets[0] if packets.shape[0] else NULL)
        cdef uint32_t count = <uint32_t>(packets.shape[0] // <Py_ssize_t>sizeof(packet_row))
        cdef tree_extras extras
        memset(&extras, 0, sizeof(extras))
        extras.tunnels = <const tunnel_row *>(&tunnels[0] if tunnels.shape[0] else NULL)
        extras.tunnel_count = <uint32_t>(tunnels.shape[0] // <Py_ssize_t>sizeof(tunnel_row))
        extras.quotes = <const tree_quote *>(&quotes[0] if quotes.shape[0] else NULL)
        extras.quote_count = <uint32_t>(quotes.shape[0] // <Py_ssize_t>sizeof(tree_quote))
        cdef const tree_weight *known = <const tree_weight *>(&weights[0] if weights.shape[0] else NULL)
        cdef uint32_t paths = <uint32_t>(weights.shape[0] // <Py_ssize_t>sizeof(tree_weight))
        cdef uint32_t start = 0
        cdef int wants
        while count:
            with nogil:
                wants = tree_update(&self.table, rows, count, known, paths, &extras, &start)
            if wants == TREE_DONE:
                break
            self._make_room()

    def save(self):
        """(nodes, buckets): uint8, rows of schema.TREE_NODE, parents first, and their older buckets."""
        cdef uint32_t count
        with nogil:
            count = tree_save(&self.table, NULL, NULL, 0)
        nodes = np.empty(self.table.node_count * sizeof(tree_node), np.uint8)
        buckets = np.empty(count * sizeof(tree_bucket), np.uint8)
        cdef uint8_t[::1] node_view = nodes
        cdef uint8_t[::1] bucket_view = buckets
        if self.table.node_count:
            with nogil:
                tree_save(&self.table, <tree_node *>&node_view[0],
                          <tree_bucket *>(&bucket_view[0] if count else NULL), count)
        return nodes, buckets

    def merge(self, const uint8_t[::1] nodes, const uint8_t[::1] buckets, int64_t shift):
        """Adds what another one's save() gave; `shift` is added to its times. Raises ValueError when it is damaged."""
        cdef const tree_node *rows = <const tree_node *>(&nodes[0] if nodes.shape[0] else NULL)
        cdef const tree_bucket *parts = <const tree_bucket *>(&buckets[0] if buckets.shape[0] else NULL)
        cdef uint32_t count = <uint32_t>(nodes.shape[0] // <Py_ssize_t>sizeof(tree_node))
        cdef uint32_t part_count = <uint32_t>(buckets.shape[0] // <Py_ssize_t>sizeof(tree_bucket))
        cdef uint32_t n = 0
        if not tree_is_sound(rows, count, parts, part_count):
            raise ValueError("a saved tree is damaged")
        while n < count:
            if not self.table.full and (self.table.node_capacity - self.table.node_count < TREE_NODES_PER_BLOCK or
                                        self.table.bucket_capacity - self.table.bucket_count < TREE_BUCKETS_PER_BLOCK):
                self._make_room()
                continue
            with nogil:
                tree_merge_node(&self.table, &rows[n], parts, shift)
            parts += rows[n].older
            n += 1

    def shift(self, int64_t shift):
        """Adds `shift` to all times: the first frame is another one."""
        with nogil:
            tree_shift(&self.table, shift)

    @property
    def epoch(self):
        """Time of the first frame, in ns."""
        return self.table.epoch

    @epoch.setter
    def epoch(self, int64_t epoch):
        self.table.epoch = epoch

    @property
    def clocks(self):
        """For either tree, (first tick, last tick), in ns since the first frame; the first is negative without one."""
        cdef tree_tally *t = &self.table
        return (t.start[0], t.last[0]), (t.start[1], t.last[1])

    @clocks.setter
    def clocks(self, clocks):
        for tree in range(2):
            self.table.start[tree], self.table.last[tree] = clocks[tree]

    @property
    def losses(self):
        """(ticks of nodes that there was no room for, windows that ended early because there was no room)."""
        return self.table.others, self.table.shortened

    @losses.setter
    def losses(self, losses):
        self.table.others, self.table.shortened = losses
