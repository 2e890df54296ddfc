# cython: language_level=3, boundscheck=False, wraparound=False, initializedcheck=False
"""Values of display-filter fields: headers and buffers in, columns out."""

import numpy as np

from libc.stdint cimport int64_t, uint8_t, uint32_t, uint64_t


cdef extern from "gather.h" nogil:
    ctypedef struct bytes_view:
        const uint8_t *data
        uint32_t length
    ctypedef struct layer_row:
        pass
    ctypedef struct field_place:
        uint32_t offset
        uint32_t width
        uint32_t when_offset
        uint32_t when_width
        uint64_t when_mask
        uint64_t least
        uint64_t most
        uint64_t among
    ctypedef struct field_values:
        uint32_t *packets
        uint8_t *ordinals
        uint64_t *numbers
        uint8_t *octets
    uint32_t gather(const layer_row *layers, uint32_t count, const bytes_view *buffers, const field_place *place,
                    const field_values *values) noexcept
    uint64_t gather_spans(const bytes_view *buffers, const uint8_t *numbers, const int64_t *starts,
                          const int64_t *lengths, size_t count, uint8_t *data, int64_t *offsets) noexcept


cdef bytes_view _view(const uint8_t[::1] buffer) except *:
    cdef bytes_view view
    if buffer.shape[0] > 0xFFFFFFFF:
        raise ValueError("a buffer of more than 4 GiB")
    view.data = &buffer[0] if buffer.shape[0] else NULL
    view.length = <uint32_t>buffer.shape[0]
    return view


cdef class Place:
    """Where a field stands in the headers of its protocol: `width` bytes at `offset`.

    `when` is None or (offset, width, mask, least, most, among): a header has the field only when the number there is in
    that range, or with least > most not between these, and, unless `among` is 0, one of the bits set in it.
    """

    cdef field_place place

    def __cinit__(self, uint32_t offset, uint32_t width, when=None):
        self.place.offset, self.place.width = offset, width
        self.place.when_width = 0
        if when is not None:
            self.place.when_offset, self.place.when_width, self.place.when_mask = when[:3]
            self.place.least, self.place.most, self.place.among = when[3:]

    def numbers(self, const uint8_t[::1] layers, const uint8_t[::1] buffer, const uint8_t[::1] assembled):
        """(packet, ordinal, value) of each occurrence: uint32[m], uint8[m], uint64[m].

        `layers` are rows of schema.LAYER, all of the field's protocol, as bytes; the buffers those of their batch.
        """
        if not 0 < self.place.width <= 8:
            raise ValueError("a number has 1 to 8 bytes")
        cdef uint32_t count = <uint32_t>(layers.shape[0] // <Py_ssize_t>sizeof(layer_row))
        values = np.empty(count + 1, np.uint64)
        cdef uint64_t[::1] numbers = values
        cdef field_values out
        out.numbers, out.octets = &numbers[0], NULL
        packet, ordinal, found = self._gather(layers, count, buffer, assembled, &out)
        return packet, ordinal, values[:found]

    def octets(self, const uint8_t[::1] layers, const uint8_t[::1] buffer, const uint8_t[::1] assembled):
        """The same with values as they stand there: uint8[m, width]."""
        cdef uint32_t count = <uint32_t>(layers.shape[0] // <Py_ssize_t>sizeof(layer_row))
        values = np.empty((count + 1, self.place.width), np.uint8)
        cdef uint8_t[:, ::1] octets = values
        cdef field_values out
        out.numbers, out.octets = NULL, &octets[0, 0]
        packet, ordinal, found = self._gather(layers, count, buffer, assembled, &out)
        return packet, ordinal, values[:found]

    cdef tuple _gather(self, const uint8_t[::1] layers, uint32_t count, const uint8_t[::1] buffer,
                       const uint8_t[::1] assembled, field_values *out):
        packet, ordinal = np.empty(count + 1, np.uint32), np.empty(count + 1, np.uint8)
        cdef uint32_t[::1] packets = packet
        cdef uint8_t[::1] ordinals = ordinal
        cdef bytes_view[2] buffers
        cdef uint32_t found = 0
        buffers[0], buffers[1] = _view(buffer), _view(assembled)
        out.packets, out.ordinals = &packets[0], &ordinals[0]
        if count:
            with nogil:
                found = gather(<const layer_row *>&layers[0], count, buffers, &self.place, out)
        return packet[:found], ordinal[:found], found


def spans(const uint8_t[::1] buffer, const uint8_t[::1] assembled, const uint8_t[::1] numbers,
          const int64_t[::1] starts, const int64_t[::1] lengths):
    """(data, offsets) of parts of buffers, one behind another: part n is data[offsets[n] : offsets[n + 1]].

    Part n is `lengths[n]` bytes from `starts[n]` on in the buffer that numbers[n] tells, 0 or 1; empty when they do not
    lie inside it. Raises ValueError when the columns are not of one length.
    """
    cdef Py_ssize_t count = numbers.shape[0]
    if starts.shape[0] != count or lengths.shape[0] != count:
        raise ValueError("not one number, start and length for each part")
    total = int(np.maximum(lengths, 0).sum())
    data, offsets = np.empty(total + 1, np.uint8), np.zeros(count + 1, np.int64)
    cdef uint8_t[::1] octets = data
    cdef int64_t[::1] ends = offsets
    cdef bytes_view[2] buffers
    cdef uint64_t used = 0
    buffers[0], buffers[1] = _view(buffer), _view(assembled)
    if count:
        with nogil:
            used = gather_spans(buffers, &numbers[0], &starts[0], &lengths[0], <size_t>count, &octets[0], &ends[0])
    return data[:used], offsets
