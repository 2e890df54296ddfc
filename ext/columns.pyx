# cython: language_level=3, boundscheck=False, wraparound=False, initializedcheck=False
"""Records into columns."""

from libc.stdint cimport uint8_t, uint32_t


cdef extern from "columns.h" nogil:
    ctypedef struct record_member:
        uint8_t *column
        uint32_t offset
        uint32_t width
    void column_take(const uint8_t *records, uint32_t record_size, uint32_t count,
                     const record_member *member) noexcept

cdef enum:
    MOST_MEMBERS = 128

_WIDTHS = (1, 2, 4, 8, 16)


def take(const uint8_t[:, ::1] records, list members, Py_ssize_t row):
    """Copies members of records, uint8[n, size], into columns, from their row `row` on.

    `members` are (offset in the record, width in bytes: 1, 2, 4, 8 or 16, column: bytes of at least row + n such
    values). Raises ValueError for what is not inside records and columns.
    """
    cdef Py_ssize_t count = records.shape[0]
    cdef Py_ssize_t size = records.shape[1]
    cdef record_member taken[MOST_MEMBERS]
    cdef uint8_t[::1] column
    cdef Py_ssize_t offset, width
    cdef int used = 0
    cdef int n
    if len(members) > MOST_MEMBERS or row < 0 or count > 0xFFFFFFFF or size > 0xFFFFFFFF:
        raise ValueError(f"{len(members)} members of {count} records of {size} bytes, from row {row}")
    if not count:
        return
    for offset, width, column in members:
        if width not in _WIDTHS or not 0 <= offset <= size - width or column.shape[0] // width < row + count:
            raise ValueError(f"no member of {width} bytes at {offset}, or no room for it")
        taken[used].column = &column[row * width]
        taken[used].offset = <uint32_t>offset
        taken[used].width = <uint32_t>width
        used += 1
    with nogil:
        for n in range(used):
            column_take(&records[0, 0], <uint32_t>size, <uint32_t>count, &taken[n])
