# cython: language_level=3, boundscheck=False, wraparound=False, initializedcheck=False
"""The owners of frames, and frames on their way to them."""

from libc.stdint cimport uint8_t, uint32_t, uint64_t
from libc.string cimport memset


cdef extern from "exchange.h" nogil:
    ctypedef struct frame_record:
        pass
    ctypedef struct packet_row:
        pass
    ctypedef struct owner_totals:
        uint64_t frames[64]
        uint64_t octets[64]
    void owners_find(const packet_row *rows, uint32_t count, uint32_t workers, uint8_t *owners,
                     owner_totals *totals) noexcept
    void rows_of_owner(const packet_row *rows, uint32_t count, uint32_t workers, uint32_t number,
                       uint8_t *own) noexcept
    uint32_t frames_gather(const uint8_t *data, uint32_t size, const frame_record *records, uint32_t count,
                           const uint8_t *owners, uint8_t owner, frame_record *out, uint32_t capacity,
                           uint8_t *octets, uint32_t room) noexcept
    enum:
        C_MOST_WORKERS "MOST_WORKERS"
        OWNER_ALL
        OWNER_HERE
        EXCHANGE_PORT
        EXCHANGE_END

MOST_WORKERS = C_MOST_WORKERS
ALL = OWNER_ALL
HERE = OWNER_HERE
PORT_FACTOR = <uint32_t>EXCHANGE_PORT
END_FACTOR = <uint32_t>EXCHANGE_END


def owners(const uint8_t[::1] packets, uint32_t workers, uint8_t[::1] out, uint64_t[:, ::1] totals):
    """The owner of each frame that was decoded for reassembly: a worker's number, ALL or HERE.

    `packets` is the bytes of an array of schema.PACKET, `out` uint8[n]. totals, uint64[2, 64], are frames and captured
    bytes by owner. Raises ValueError for numbers that do not fit.
    """
    cdef Py_ssize_t count = packets.shape[0] // <Py_ssize_t>sizeof(packet_row)
    if not 0 < workers <= C_MOST_WORKERS or out.shape[0] != count or totals.shape[0] != 2 or totals.shape[1] != 64:
        raise ValueError(f"{workers} workers, {out.shape[0]} owners of {count} frames")
    cdef owner_totals *sums = <owner_totals *>&totals[0, 0]
    memset(sums, 0, sizeof(owner_totals))
    if count:
        with nogil:
            owners_find(<const packet_row *>&packets[0], <uint32_t>count, workers, &out[0], sums)


def own_rows(const uint8_t[::1] packets, uint32_t workers, uint8_t number, uint8_t[::1] out):
    """Sets out[n], uint8[n], to 1 where worker `number` is the owner of what reassembly made of the frame, or where
    nobody else has it, and else to 0."""
    cdef Py_ssize_t count = packets.shape[0] // <Py_ssize_t>sizeof(packet_row)
    if not 0 < workers <= C_MOST_WORKERS or out.shape[0] != count:
        raise ValueError(f"{workers} workers, {out.shape[0]} owners of {count} frames")
    if count:
        with nogil:
            rows_of_owner(<const packet_row *>&packets[0], <uint32_t>count, workers, number, &out[0])


def gather(const uint8_t[::1] data, const uint8_t[::1] records, const uint8_t[::1] owners, uint8_t owner,
           uint8_t[::1] out_records, uint8_t[::1] out):
    """Copies the frames of `owner`, and those of ALL, one after another into `out`, and their records, with the places
    that they have there, into `out_records`. Returns how many: as many as there is room for.

    Raises ValueError when there are not as many owners as records.
    """
    cdef Py_ssize_t count = records.shape[0] // <Py_ssize_t>sizeof(frame_record)
    cdef uint32_t capacity = <uint32_t>(out_records.shape[0] // <Py_ssize_t>sizeof(frame_record))
    cdef uint32_t copied
    if owners.shape[0] != count or data.shape[0] > 0xFFFFFFFF or out.shape[0] > 0xFFFFFFFF:
        raise ValueError(f"{owners.shape[0]} owners of {count} frames")
    if not count or not capacity or not data.shape[0] or not out.shape[0]:
        return 0
    with nogil:
        copied = frames_gather(&data[0], <uint32_t>data.shape[0], <const frame_record *>&records[0], <uint32_t>count,
                               &owners[0], owner, <frame_record *>&out_records[0], capacity, &out[0],
                               <uint32_t>out.shape[0])
    return copied
