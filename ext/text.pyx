# cython: language_level=3, boundscheck=False, wraparound=False, initializedcheck=False
"""Columns of text, made of columns of octets and numbers: a call a column, without the interpreter."""

import numpy as np

from libc.stdint cimport int32_t, uint8_t, uint16_t, uint32_t
from libc.string cimport memcpy


cdef extern from "address_text.h" nogil:
    enum:
        ADDRESS_TEXT_MAX
        MAC_TEXT
    uint32_t address_text(const uint8_t *octets, char *text) noexcept
    uint32_t mac_text(const uint8_t *octets, char *text) noexcept

cdef extern from "community.h" nogil:
    enum:
        COMMUNITY_ID
    ctypedef struct community_flows:
        const uint8_t *source
        const uint8_t *destination
        const uint16_t *source_port
        const uint16_t *destination_port
        const uint8_t *protocol
    void write_community_ids "community_ids"(const community_flows *flows, size_t count, uint16_t seed,
                                             char *text) noexcept

# Texts of so many rows have offsets that fit into 32 bits.
MOST_ROWS = 1 << 24

ctypedef uint32_t (*written)(const uint8_t *octets, char *text) noexcept nogil


def addresses(const uint8_t[:, ::1] octets):
    """(offsets, letters) of the texts of addresses, uint8[n, 16], IPv4 mapped: 192.0.2.1, 2001:db8::1 (RFC 5952).

    The text of row n is the ASCII letters from offsets[n] to offsets[n + 1]; int32[n + 1]. Raises ValueError for
    another width, and for more than MOST_ROWS.
    """
    return _texts(octets, 16, ADDRESS_TEXT_MAX, address_text)


def macs(const uint8_t[:, ::1] octets):
    """(offsets, letters) of the texts of MAC addresses, uint8[n, 6], as addresses() gives them."""
    return _texts(octets, 6, MAC_TEXT, mac_text)


cdef tuple _texts(const uint8_t[:, ::1] octets, Py_ssize_t width, Py_ssize_t longest, written write):
    cdef Py_ssize_t count = octets.shape[0]
    if octets.shape[1] != width or count > MOST_ROWS:
        raise ValueError(f"not at most {MOST_ROWS} rows of {width} bytes")
    offsets = np.zeros(count + 1, np.int32)
    text = np.empty(count * longest + 1, np.uint8)
    cdef int32_t[::1] ends = offsets
    cdef uint8_t[::1] letters = text
    cdef uint32_t at = 0
    cdef Py_ssize_t n
    with nogil:
        for n in range(count):
            at += write(&octets[n, 0], <char *>&letters[at])
            ends[n + 1] = <int32_t>at
    return offsets, text[:at]


def community_ids(const uint8_t[:, ::1] source, const uint8_t[:, ::1] destination, const uint16_t[::1] source_port,
                  const uint16_t[::1] destination_port, const uint8_t[::1] protocol, uint16_t seed):
    """(offsets, letters) of the Community IDs of flows: addresses uint8[n, 16], IPv4 mapped; ports; IP protocols.

    Raises ValueError when the columns are not of one length, or their texts too long for offsets of 32 bits.
    """
    cdef Py_ssize_t count = source.shape[0]
    if source.shape[1] != 16 or destination.shape[1] != 16 or count > 0x7FFFFFFF // COMMUNITY_ID or not (
        count == destination.shape[0] == source_port.shape[0] == destination_port.shape[0] == protocol.shape[0]
    ):
        raise ValueError("not one number of addresses of 16 bytes, ports and protocols, or too many")
    text = np.empty(count * COMMUNITY_ID + 1, np.uint8)
    cdef uint8_t[::1] letters = text
    cdef community_flows flows
    if count:
        flows.source = &source[0, 0]
        flows.destination = &destination[0, 0]
        flows.source_port = &source_port[0]
        flows.destination_port = &destination_port[0]
        flows.protocol = &protocol[0]
        with nogil:
            write_community_ids(&flows, <size_t>count, seed, <char *>&letters[0])
    return np.arange(0, count * COMMUNITY_ID + 1, COMMUNITY_ID, dtype=np.int32), text[:count * COMMUNITY_ID]


def labels(const int32_t[::1] codes, const int32_t[::1] starts, const uint8_t[::1] names):
    """(offsets, letters) of one of few names for each row: name n is from starts[n] to starts[n + 1] of `names`, UTF-8.

    A code that is no name's number stands for no letters. Raises ValueError for starts that do not ascend in `names`,
    and when all the letters are too many for offsets of 32 bits.
    """
    cdef Py_ssize_t count = codes.shape[0]
    cdef int32_t name_count = <int32_t>(starts.shape[0] - 1)
    cdef int32_t longest = 0
    cdef int32_t code, length
    cdef Py_ssize_t n
    for n in range(name_count):
        if not 0 <= starts[n] <= starts[n + 1] <= names.shape[0]:
            raise ValueError(f"name {n} is not inside {names.shape[0]} letters")
        longest = max(longest, starts[n + 1] - starts[n])
    if count * longest > 0x7FFFFFFF:
        raise ValueError(f"{count} labels of {longest} letters")
    offsets = np.zeros(count + 1, np.int32)
    text = np.empty(count * longest + 1, np.uint8)
    cdef int32_t[::1] ends = offsets
    cdef uint8_t[::1] letters = text
    cdef int32_t at = 0
    with nogil:
        for n in range(count):
            code = codes[n]
            if 0 <= code < name_count:
                length = starts[code + 1] - starts[code]
                if length:
                    memcpy(&letters[at], &names[starts[code]], <size_t>length)
                at += length
            ends[n + 1] = at
    return offsets, text[:at]
