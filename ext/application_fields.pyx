# cython: language_level=3, boundscheck=False, wraparound=False, initializedcheck=False
"""Values of fields in messages of applications: messages and buffers in, columns out."""

import numpy as np

from libc.stdint cimport int64_t, uint8_t, uint32_t, uint64_t


cdef extern from "application_fields.h" nogil:
    ctypedef struct bytes_view:
        const uint8_t *data
        uint32_t length
    ctypedef struct field_message:
        bytes_view bytes
        uint8_t flags
    ctypedef struct occurrence_output:
        uint32_t *messages
        uint64_t *numbers
        int64_t *ends
        uint8_t *octets
        size_t capacity
        size_t room
        size_t count
        size_t used
        uint32_t message
        int full
    enum application_field:
        APPLICATION_FIELDS
    bytes_view view_part(bytes_view view, uint32_t at, uint32_t count) noexcept
    void read_field(application_field field, const field_message *message, bytes_view methods, bytes_view header,
                    occurrence_output *out) noexcept

cdef extern from "applications.h" nogil:
    ctypedef struct message_row:
        uint32_t offset
        uint32_t length
        uint8_t buffer

cdef enum:
    MAX_BUFFERS = 8


cdef bytes_view _view(const uint8_t[::1] octets) except *:
    cdef bytes_view view
    if octets.shape[0] > 0xFFFFFFFF:
        raise ValueError("a buffer of more than 4 GiB")
    view.data = &octets[0] if octets.shape[0] else NULL
    view.length = <uint32_t>octets.shape[0]
    return view


def read(int field, const uint8_t[::1] messages, const uint8_t[::1] flags, buffers, bytes methods, bytes header):
    """(message, number, octets, offsets) of each occurrence of a field: uint32[m], uint64[m], uint8[], int64[m + 1].

    `field` is a number of enum application_field. `messages` are rows of schema.MESSAGE as bytes, `flags` what else is
    known of each: 1, it came over TCP; 2, no other segment brings what is missing. `message` is the row's number. A
    field has either numbers, or octets: those of occurrence n are octets[offsets[n] : offsets[n + 1]]. `methods` are
    those of HTTP, each with a space behind it; `header` is the one that is wanted, with a colon. Raises ValueError when
    a number of flags or a buffer is missing.
    """
    cdef uint32_t count = <uint32_t>(messages.shape[0] // <Py_ssize_t>sizeof(message_row))
    cdef bytes_view[MAX_BUFFERS] views
    cdef occurrence_output out
    cdef uint32_t[::1] packets
    cdef uint64_t[::1] values
    cdef int64_t[::1] ends
    cdef uint8_t[::1] letters
    cdef bytes_view method_view = _view(methods), header_view = _view(header)
    cdef const message_row *rows = <const message_row *>&messages[0] if count else NULL
    cdef uint32_t done = 0, buffer_count = <uint32_t>len(buffers)
    if not 0 <= field < APPLICATION_FIELDS or flags.shape[0] < <Py_ssize_t>count or buffer_count > MAX_BUFFERS:
        raise ValueError("a field, flags for each message, and few buffers")
    for n, buffer in enumerate(buffers):
        views[n] = _view(buffer)
    out.count = out.used = 0
    message, number = np.empty(count + 16, np.uint32), np.empty(count + 16, np.uint64)
    offset, octets = np.zeros(count + 17, np.int64), np.empty(32 * <size_t>count + 4096, np.uint8)
    while True:
        packets, values, ends, letters = message, number, offset, octets
        out.messages, out.numbers, out.ends, out.octets = &packets[0], &values[0], &ends[1], &letters[0]
        out.capacity, out.room, out.full = packets.shape[0], letters.shape[0], 0
        with nogil:
            done = _read_all(field, rows, &flags[0] if count else NULL, done, count, views, buffer_count, method_view,
                             header_view, &out)
        if done == count:
            break
        message, number, offset, octets = (np.resize(one, 2 * len(one)) for one in (message, number, offset, octets))
    return message[:out.count], number[:out.count], octets[:out.used], offset[:out.count + 1]


cdef uint32_t _read_all(int field, const message_row *rows, const uint8_t *flags, uint32_t start, uint32_t count,
                        const bytes_view *views, uint32_t buffer_count, bytes_view methods, bytes_view header,
                        occurrence_output *out) noexcept nogil:
    """Reads messages from `start` on. Returns how far it came: less than `count` when there is no room for one."""
    cdef size_t known, used
    cdef field_message message
    cdef uint32_t n
    for n in range(start, count):
        if rows[n].buffer >= buffer_count:
            continue
        message.bytes = view_part(views[rows[n].buffer], rows[n].offset, rows[n].length)
        message.flags = flags[n]
        known, used = out.count, out.used
        out.message = n
        read_field(<application_field>field, &message, methods, header, out)
        if out.full:
            out.count, out.used = known, used
            return n
    return count
