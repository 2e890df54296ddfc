"""spanline._applications: which application protocols frames have, by the tables that spanline.protocols makes."""

from libc.stdint cimport uint8_t, uint16_t, uint32_t, uint64_t, uintptr_t
from libc.stdlib cimport calloc, free, malloc, realloc
from libc.string cimport memcpy, memset

import numpy as np

cdef extern from "annotate.h" nogil:
    ctypedef struct packet_row:
        pass

    ctypedef struct stream_row:
        pass

    ctypedef struct bytes_view:
        const uint8_t *data
        uint32_t length

    ctypedef struct instruction:
        pass

    ctypedef struct program:
        const instruction *code
        uint32_t count
        const uint8_t *texts
        const uint32_t *text_ends
        uint32_t text_count
        const uint64_t *sets
        uint32_t set_count

    ctypedef struct application:
        pass

    ctypedef struct carried_rule:
        pass

    ctypedef struct heuristic:
        pass

    ctypedef struct announced_end:
        pass

    ctypedef struct announced_table:
        announced_end *ends
        uint32_t count

    enum:
        ANNOUNCED_ENDS
        ANNOUNCED_KINDS

    ctypedef struct application_set:
        program program
        const application *applications
        uint32_t count
        const carried_rule *carried
        uint32_t carried_count
        const heuristic *heuristics[2]
        uint32_t heuristic_count[2]
        const uint8_t *ports[2]
        const uint8_t *ip_protocols
        const uint8_t *ether_types
        const uint8_t *llc_services
        const uint8_t *snap_protocols
        uint8_t *announced

    ctypedef struct stack_table:
        uint16_t *next
        uint16_t *parent
        uint8_t *name
        uint32_t count
        uint64_t excess

    ctypedef struct message_row:
        pass

    ctypedef struct message_output:
        message_row *rows
        uint32_t count
        uint32_t capacity

    ctypedef struct message_block:
        uint32_t next

    ctypedef struct block_pool:
        message_block *blocks
        uint32_t count
        uint32_t used
        uint32_t free
        uint64_t refused

    ctypedef struct application_stream:
        pass

    ctypedef struct application_engine:
        const application_set *set
        stack_table *stacks
        application_stream *streams
        uint32_t slots
        block_pool pool
        announced_table announced
        message_output messages
        uint8_t *assembled
        uint32_t assembled_size
        uint32_t assembled_capacity

    ctypedef struct annotate_input:
        const bytes_view *buffers
        uint32_t buffer_count
        const uint8_t *last_protocols
        uint32_t path_count

    enum:
        MAX_APPLICATIONS
        MAX_STACKS
        MOST_ASSEMBLED
        MOST_MESSAGES
        FIRST_APPLICATION

    uint32_t stack_push(stack_table *t, uint32_t stack, uint32_t name) noexcept
    int application_streams_are_whole(const uint8_t *streams, size_t size, const uint8_t *blocks, size_t block_bytes,
                                      uint32_t free, uint32_t names, uint8_t *seen) noexcept
    uint32_t annotate_batch(application_engine *e, packet_row *rows, const stream_row *streams, uint32_t start,
                            uint32_t count, const annotate_input *source) noexcept

PACKET_SIZE = sizeof(packet_row)
STREAM_SIZE = sizeof(stream_row)
MESSAGE_SIZE = sizeof(message_row)
APPLICATION_SIZE = sizeof(application)
BLOCK_SIZE = sizeof(message_block)
BYTES_PER_STREAM = sizeof(application_stream)

cdef enum:
    MAX_BUFFERS = 8


cdef class ApplicationSet:
    """The tables, as spanline.protocols.compiling made them. `parts` holds the arrays that they are in."""

    cdef application_set state
    cdef object parts
    cdef readonly tuple names

    @property
    def address(self):
        """Where the tables are, for other modules; valid as long as this is held."""
        return <uintptr_t>&self.state

    def __cinit__(self, names, const uint8_t[::1] code, const uint8_t[::1] texts, const uint32_t[::1] text_ends,
                  const uint64_t[::1] sets, const uint8_t[::1] applications, const uint32_t[:, ::1] carried,
                  heuristics, ports, const uint8_t[::1] ip_protocols, const uint8_t[::1] ether_types,
                  const uint8_t[::1] llc_services, const uint8_t[::1] snap_protocols, announced):
        cdef application_set *s = &self.state
        cdef const uint32_t[:, ::1] rules
        cdef const uint8_t[::1] numbers
        memset(s, 0, sizeof(application_set))
        if len(names) * sizeof(application) != applications.shape[0] or not FIRST_APPLICATION <= len(names) <= 256:
            raise ValueError("every application has a name")
        if (min(ether_types.shape[0], snap_protocols.shape[0]) < 65536 or
                min(ip_protocols.shape[0], llc_services.shape[0]) < 256):
            raise ValueError("a table of numbers is too short")
        self.names = tuple(names)
        self.parts = [code, texts, text_ends, sets, applications, carried, ip_protocols, ether_types, llc_services,
                      snap_protocols]
        s.program.code = <const instruction *>&code[0]
        s.program.count = <uint32_t>(code.shape[0] // <Py_ssize_t>sizeof(instruction))
        s.program.texts = &texts[0]
        s.program.text_ends = &text_ends[0]
        s.program.text_count = <uint32_t>text_ends.shape[0]
        s.program.sets = &sets[0]
        s.program.set_count = <uint32_t>(sets.shape[0] // 4)
        if texts.shape[0] < text_ends[text_ends.shape[0] - 1]:
            raise ValueError("literals end behind their bytes")
        s.applications = <const application *>&applications[0]
        s.count = <uint32_t>len(names)
        s.carried = <const carried_rule *>&carried[0, 0]
        s.carried_count = <uint32_t>carried.shape[0]
        s.ip_protocols = &ip_protocols[0]
        s.ether_types = &ether_types[0]
        s.llc_services = &llc_services[0]
        s.snap_protocols = &snap_protocols[0]
        for n in range(ANNOUNCED_KINDS):
            s.announced[n] = announced[n]
        for n in range(2):
            rules = heuristics[n]
            numbers = ports[n]
            if numbers.shape[0] < 65536:
                raise ValueError("a table of ports is too short")
            if rules.shape[1] * <Py_ssize_t>sizeof(uint32_t) != <Py_ssize_t>sizeof(heuristic):
                raise ValueError("a heuristic has another size")
            self.parts += [rules, numbers]
            s.heuristics[n] = <const heuristic *>&rules[0, 0] if rules.shape[0] else NULL
            s.heuristic_count[n] = <uint32_t>rules.shape[0]
            s.ports[n] = &numbers[0]


cdef class Applications:
    """Looks at frames. One of them serves one capture: it owns the list of stacks, and what waits in streams.

    `memory` in bytes is what the beginnings of unfinished messages may take.
    """

    cdef ApplicationSet set
    cdef application_engine engine
    cdef stack_table stacks

    def __cinit__(self, ApplicationSet set, uint64_t memory):
        cdef application_engine *e = &self.engine
        memset(e, 0, sizeof(application_engine))
        memset(&self.stacks, 0, sizeof(stack_table))
        self.set = set
        e.set = &set.state
        e.stacks = &self.stacks
        # Zeroed pages cost nothing until they are touched.
        self.stacks.next = <uint16_t *>calloc(MAX_STACKS * <size_t>MAX_APPLICATIONS, sizeof(uint16_t))
        self.stacks.parent = <uint16_t *>calloc(MAX_STACKS, sizeof(uint16_t))
        self.stacks.name = <uint8_t *>calloc(MAX_STACKS, 1)
        self.stacks.count = 1
        e.pool.count = <uint32_t>max(min(memory // sizeof(message_block), 1 << 22), 2)
        e.pool.blocks = <message_block *>malloc(e.pool.count * sizeof(message_block))
        e.announced.ends = <announced_end *>calloc(ANNOUNCED_ENDS, sizeof(announced_end))
        if not (e.announced.ends and self.stacks.next and self.stacks.parent and self.stacks.name and e.pool.blocks):
            raise MemoryError

    def __dealloc__(self):
        free(self.stacks.next)
        free(self.stacks.parent)
        free(self.stacks.name)
        free(self.engine.pool.blocks)
        free(self.engine.streams)
        free(self.engine.announced.ends)

    def __len__(self):
        return self.stacks.count

    def __getitem__(self, uint32_t number):
        """The names of a row's `application`, in order: ("tls", "tcp.segments")."""
        if number >= self.stacks.count:
            raise IndexError(number)
        names = []
        while number:
            names.append(self.set.names[self.stacks.name[number]])
            number = self.stacks.parent[number]
        return tuple(reversed(names))

    @property
    def refused(self):
        """Times that there was no memory for the beginning of a message."""
        return self.engine.pool.refused

    def save(self):
        """(streams, blocks, announced, stacks, counts): all that is known, to be given to load()."""
        cdef application_engine *e = &self.engine
        streams = (<const char *>e.streams)[:e.slots * sizeof(application_stream)] if e.slots else b""
        blocks = (<const char *>e.pool.blocks)[:(e.pool.used + 1) * sizeof(message_block)]
        stacks = [(self.stacks.parent[n], self.stacks.name[n]) for n in range(1, self.stacks.count)]
        announced = (<const char *>e.announced.ends)[:ANNOUNCED_ENDS * sizeof(announced_end)]
        return streams, blocks, announced, stacks, (e.pool.free, e.pool.refused, e.announced.count, self.stacks.excess)

    def load(self, const uint8_t[::1] streams, const uint8_t[::1] blocks, const uint8_t[::1] announced, stacks, counts):
        """Goes on where another with the same protocols and memory left its save()."""
        cdef application_engine *e = &self.engine
        cdef uint8_t[::1] seen = np.zeros(blocks.shape[0] // sizeof(message_block) + 1, np.uint8)
        if (streams.shape[0] % sizeof(application_stream) or blocks.shape[0] % sizeof(message_block) or
                announced.shape[0] != ANNOUNCED_ENDS * sizeof(announced_end) or
                not 0 < blocks.shape[0] <= <Py_ssize_t>(e.pool.count * sizeof(message_block)) or
                not application_streams_are_whole(&streams[0] if streams.shape[0] else NULL, streams.shape[0],
                                                  &blocks[0], blocks.shape[0], counts[0], self.set.state.count,
                                                  &seen[0])):
            raise ValueError("the saved messages are not whole")
        self._grow(<uint32_t>(streams.shape[0] // sizeof(application_stream)))
        if streams.shape[0]:
            memcpy(e.streams, &streams[0], streams.shape[0])
        memcpy(e.pool.blocks, &blocks[0], blocks.shape[0])
        e.pool.used = <uint32_t>(blocks.shape[0] // sizeof(message_block)) - 1
        memcpy(e.announced.ends, &announced[0], announced.shape[0])
        e.pool.free, e.pool.refused, e.announced.count, self.stacks.excess = counts
        for parent, name in stacks:
            if not parent < self.stacks.count or stack_push(&self.stacks, parent, name) != self.stacks.count - 1:
                raise ValueError("the saved stacks are not whole")

    cdef int _grow(self, uint32_t slots) except -1:
        if slots <= self.engine.slots:
            return 0
        cdef uint32_t count = max(slots, 2 * self.engine.slots)
        cdef void *streams = realloc(self.engine.streams, count * sizeof(application_stream))
        if streams == NULL:
            raise MemoryError
        self.engine.streams = <application_stream *>streams
        memset(&self.engine.streams[self.engine.slots], 0, (count - self.engine.slots) * sizeof(application_stream))
        self.engine.slots = count
        return 0

    def update(self, uint8_t[::1] packets, const uint8_t[::1] streams, uint32_t slots, buffers,
               const uint8_t[::1] last_protocols, bint want_messages):
        """Sets `application` in `packets`. `slots`: how many the stream table has; `last_protocols`: by path.

        Returns (messages, assembled): rows of schema.MESSAGE, and the bytes of those that came in several segments,
        both uint8; or None when messages are not wanted.
        """
        cdef application_engine *e = &self.engine
        cdef bytes_view views[MAX_BUFFERS]
        cdef annotate_input source
        cdef const uint8_t[::1] octets
        cdef uint8_t[::1] assembled, rows
        cdef uint32_t done = 0, count = <uint32_t>(packets.shape[0] // <Py_ssize_t>sizeof(packet_row))
        if streams.shape[0] // <Py_ssize_t>sizeof(stream_row) < count or len(buffers) > MAX_BUFFERS:
            raise ValueError("every packet has a stream row")
        self._grow(slots)
        for n, buffer in enumerate(buffers):
            octets = buffer
            views[n].data = &octets[0] if octets.shape[0] else NULL
            views[n].length = <uint32_t>octets.shape[0]
        source.buffers = views
        source.buffer_count = <uint32_t>len(buffers)
        source.last_protocols = &last_protocols[0]
        source.path_count = <uint32_t>last_protocols.shape[0]
        whole = np.empty(2 * MOST_ASSEMBLED, np.uint8)
        messages = np.empty((MOST_MESSAGES + 2 * count if want_messages else 1) * sizeof(message_row), np.uint8)
        e.assembled_size = e.messages.count = 0
        while count:
            assembled, rows = whole, messages
            e.assembled = &assembled[0]
            e.assembled_capacity = <uint32_t>assembled.shape[0]
            e.messages.rows = <message_row *>&rows[0] if want_messages else NULL
            e.messages.capacity = <uint32_t>(rows.shape[0] // <Py_ssize_t>sizeof(message_row))
            with nogil:
                done = annotate_batch(e, <packet_row *>&packets[0], <const stream_row *>&streams[0], done, count,
                                      &source)
            if done == count:
                break
            whole = np.concatenate([whole, np.empty_like(whole)])
            messages = np.concatenate([messages, np.empty_like(messages)])
        if want_messages:
            return messages[:e.messages.count * sizeof(message_row)], whole[:e.assembled_size]
        return None
