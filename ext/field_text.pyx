# cython: language_level=3, boundscheck=False, wraparound=False, initializedcheck=False
"""Values of fields as text, and lines of them: a call a column, without the interpreter.

Texts are (letters, offsets): that of occurrence n is letters[offsets[n] : offsets[n + 1]], uint8[] and int64[m + 1].
"""

import numpy as np

from libc.stdint cimport int64_t, uint8_t, uint32_t, uint64_t
from libc.stdlib cimport free, malloc


cdef extern from "field_text.h" nogil:
    enum:
        NUMBER_TEXT_MAX
        TIME_TEXT_MAX
        ADDRESS_TEXT_MAX
    ctypedef struct text_column:
        const uint32_t *packets
        const int64_t *offsets
        const uint8_t *letters
        size_t count
        size_t at
    ctypedef struct line_style:
        uint8_t separator
        uint8_t aggregator
        uint8_t quote
        uint8_t occurrence
    ctypedef struct fixed_text:
        const uint8_t *data
        size_t length
    ctypedef struct object_style:
        fixed_text begin
        fixed_text between
        fixed_text end
        fixed_text first
        fixed_text next
        fixed_text last
    size_t write_objects(text_column *columns, const fixed_text *names, size_t column_count, uint32_t rows,
                         const object_style *style, uint32_t occurrence, uint8_t *out) noexcept
    char hex_digit(uint32_t value) noexcept
    uint32_t number_text(uint64_t value, uint32_t digits, char *text) noexcept
    uint32_t signed_text(int64_t value, char *text) noexcept
    uint32_t time_text(int64_t nanoseconds, char *text) noexcept
    void padded_text(uint32_t value, uint32_t count, char *text) noexcept
    uint32_t ipv4_text(const uint8_t *octets, char *text) noexcept
    uint32_t ipv6_text(const uint8_t *octets, char *text) noexcept
    uint32_t mac_text(const uint8_t *octets, char *text) noexcept
    uint64_t escaped_text(const uint8_t *letters, uint64_t count, uint8_t *text) noexcept
    size_t write_lines(text_column *columns, size_t column_count, uint32_t rows, const line_style *style,
                       uint8_t *out) noexcept

cdef extern from "local_time.h" nogil:
    cdef struct tm:
        int tm_sec
        int tm_min
        int tm_hour
        int tm_mday
        int tm_mon
        int tm_year
    const char *local_time(int64_t second, tm *out) noexcept

ctypedef uint32_t (*written)(const uint8_t *octets, char *text) noexcept nogil

cdef enum:
    ZONE_MOST = 16
cdef const char *MONTHS = "JanFebMarAprMayJunJulAugSepOctNovDec"


def numbers(const uint64_t[::1] values, uint32_t digits):
    """Unsigned numbers, uint64[m]: decimal, or with `digits`, at most 16, 0x and at least as many hexadecimal ones."""
    cdef Py_ssize_t count = values.shape[0], n
    letters, offsets = np.empty(count * NUMBER_TEXT_MAX + 1, np.uint8), np.zeros(count + 1, np.int64)
    cdef uint8_t[::1] text = letters
    cdef int64_t[::1] ends = offsets
    cdef int64_t at = 0
    if digits > 16:
        raise ValueError("a number of 64 bits has at most 16 hexadecimal digits")
    with nogil:
        for n in range(count):
            at += number_text(values[n], digits, <char *>&text[at])
            ends[n + 1] = at
    return letters[:at], offsets


def signed(const int64_t[::1] values):
    """Signed numbers, int64[m], decimal."""
    cdef Py_ssize_t count = values.shape[0], n
    letters, offsets = np.empty(count * NUMBER_TEXT_MAX + 1, np.uint8), np.zeros(count + 1, np.int64)
    cdef uint8_t[::1] text = letters
    cdef int64_t[::1] ends = offsets
    cdef int64_t at = 0
    with nogil:
        for n in range(count):
            at += signed_text(values[n], <char *>&text[at])
            ends[n + 1] = at
    return letters[:at], offsets


def seconds(const int64_t[::1] values):
    """Times in ns, int64[m], as seconds: 1700000000.123456789."""
    cdef Py_ssize_t count = values.shape[0], n
    letters, offsets = np.empty(count * TIME_TEXT_MAX + 1, np.uint8), np.zeros(count + 1, np.int64)
    cdef uint8_t[::1] text = letters
    cdef int64_t[::1] ends = offsets
    cdef int64_t at = 0
    with nogil:
        for n in range(count):
            at += time_text(values[n], <char *>&text[at])
            ends[n + 1] = at
    return letters[:at], offsets


def local_times(const int64_t[::1] values):
    """Times in ns since the epoch, int64[m], in the machine's time zone: Nov 14, 2023 22:13:20.123456789 UTC."""
    cdef Py_ssize_t count = values.shape[0], n, zone
    # Mon dd, yyyyyyyyyyyy hh:mm:ss.nnnnnnnnn and the zone
    letters, offsets = np.empty(count * (48 + ZONE_MOST) + 1, np.uint8), np.zeros(count + 1, np.int64)
    cdef uint8_t[::1] text = letters
    cdef int64_t[::1] ends = offsets
    cdef int64_t at = 0
    cdef int64_t second, last = 0
    cdef int64_t rest
    cdef tm broken
    cdef const char *name = NULL
    cdef bint known = False
    cdef char *out
    with nogil:
        for n in range(count):
            second = values[n] // 1000000000
            rest = values[n] - second * 1000000000
            if rest < 0:
                second -= 1
                rest += 1000000000
            if not known or second != last:
                name = local_time(second, &broken)
                known = name != NULL
                last = second
            if known:
                out = <char *>&text[at]
                out[0], out[1], out[2], out[3] = (
                    MONTHS[3 * broken.tm_mon], MONTHS[3 * broken.tm_mon + 1], MONTHS[3 * broken.tm_mon + 2], b" "
                )
                padded_text(<uint32_t>broken.tm_mday, 2, out + 4)
                if broken.tm_mday < 10:
                    out[4] = b" "
                out[6], out[7] = b",", b" "
                out += 8
                out += signed_text(<int64_t>broken.tm_year + 1900, out)
                out[0], out[3], out[6], out[9] = b" ", b":", b":", b"."
                padded_text(<uint32_t>broken.tm_hour, 2, out + 1)
                padded_text(<uint32_t>broken.tm_min, 2, out + 4)
                padded_text(<uint32_t>broken.tm_sec, 2, out + 7)
                out[9] = b"."
                padded_text(<uint32_t>rest, 9, out + 10)
                out += 19
                out[0] = b" "
                out += 1
                zone = 0
                while zone < ZONE_MOST and name[zone]:
                    out[0] = name[zone]
                    out += 1
                    zone += 1
                at = <uint8_t *>out - &text[0]
            ends[n + 1] = at
    return letters[:at], offsets


def ipv4(const uint8_t[:, ::1] octets):
    """Addresses, uint8[m, 4]: 192.0.2.1."""
    return _addresses(octets, 4, 15, ipv4_text)


def ipv6(const uint8_t[:, ::1] octets):
    """Addresses, uint8[m, 16]: 2001:db8::1 (RFC 5952)."""
    return _addresses(octets, 16, ADDRESS_TEXT_MAX, ipv6_text)


def ether(const uint8_t[:, ::1] octets):
    """Addresses, uint8[m, 6]: 02:00:5e:10:00:00."""
    return _addresses(octets, 6, 17, mac_text)


cdef tuple _addresses(const uint8_t[:, ::1] octets, Py_ssize_t width, Py_ssize_t longest, written write):
    cdef Py_ssize_t count = octets.shape[0], n
    if octets.shape[1] != width:
        raise ValueError(f"not rows of {width} bytes")
    letters, offsets = np.empty(count * longest + 1, np.uint8), np.zeros(count + 1, np.int64)
    cdef uint8_t[::1] text = letters
    cdef int64_t[::1] ends = offsets
    cdef int64_t at = 0
    with nogil:
        for n in range(count):
            at += write(&octets[n, 0], <char *>&text[at])
            ends[n + 1] = at
    return letters[:at], offsets


def hexadecimal(const uint8_t[::1] data, const int64_t[::1] offsets):
    """Bytes as hexadecimal digits: 474554."""
    cdef Py_ssize_t count = data.shape[0], n
    letters = np.empty(2 * count + 1, np.uint8)
    cdef uint8_t[::1] text = letters
    with nogil:
        for n in range(count):
            text[2 * n] = <uint8_t>hex_digit(data[n] >> 4)
            text[2 * n + 1] = <uint8_t>hex_digit(data[n] & 15)
    return letters[:2 * count], 2 * np.asarray(offsets)


def escaped(const uint8_t[::1] data, const int64_t[::1] offsets):
    """Texts with line ends, tabs, backspaces and form feeds as \\n, \\r, \\t, \\b and \\f; nothing else is changed."""
    cdef Py_ssize_t count = offsets.shape[0] - 1, n
    letters, wider = np.empty(2 * data.shape[0] + 1, np.uint8), np.zeros(count + 1, np.int64)
    cdef uint8_t[::1] text = letters
    cdef int64_t[::1] ends = wider
    cdef int64_t at = 0
    _check(data.shape[0], offsets)
    with nogil:
        for n in range(count):
            if offsets[n + 1] > offsets[n]:
                at += <int64_t>escaped_text(&data[offsets[n]], <uint64_t>(offsets[n + 1] - offsets[n]), &text[at])
            ends[n + 1] = at
    return letters[:at], wider


cdef int _check(Py_ssize_t size, const int64_t[::1] offsets) except -1:
    cdef Py_ssize_t n
    cdef bint ascend = offsets.shape[0] > 0 and offsets[0] >= 0 and offsets[offsets.shape[0] - 1] <= size
    for n in range(offsets.shape[0] - 1):
        ascend &= offsets[n] <= offsets[n + 1]
    if not ascend:
        raise ValueError("offsets do not ascend inside the letters")
    return 0


cdef class _Columns:
    """Columns (packet, letters, offsets) where C finds them, with room for what they say."""

    cdef text_column *all
    cdef size_t width
    cdef size_t letters
    cdef size_t occurrences
    cdef list held

    def __cinit__(self, columns):
        cdef size_t n
        cdef const uint32_t[::1] packets
        cdef const int64_t[::1] offsets
        cdef const uint8_t[::1] letters
        self.width = len(columns)
        self.held = []
        self.all = <text_column *>malloc((self.width + 1) * sizeof(text_column))
        if self.all == NULL:
            raise MemoryError
        for n in range(self.width):
            packets, letters, offsets = columns[n]
            _check(letters.shape[0], offsets)
            if offsets.shape[0] != packets.shape[0] + 1:
                raise ValueError("not one text for each occurrence")
            self.held.append((packets, letters, offsets))
            self.all[n].packets = &packets[0] if packets.shape[0] else NULL
            self.all[n].letters = &letters[0] if letters.shape[0] else NULL
            self.all[n].offsets = &offsets[0]
            self.all[n].count = <size_t>packets.shape[0]
            self.all[n].at = 0
            self.letters += <size_t>letters.shape[0]
            self.occurrences += <size_t>packets.shape[0]

    def __dealloc__(self):
        free(self.all)


def lines(columns, uint32_t rows, uint8_t separator, uint8_t aggregator, uint8_t quote, uint8_t occurrence):
    """`rows` lines, uint8[]: of each column (packet, letters, offsets) the texts whose packet is the line's number.

    `separator` stands between columns, `aggregator` between texts of one column, `quote` (0: none) around them, where
    there are any. `occurrence` is 0 for all texts, 1 for the first, 2 for the last. Packets ascend.
    """
    cdef _Columns all_columns = _Columns(columns)
    cdef size_t room = rows * (3 * all_columns.width + 1) + all_columns.letters + all_columns.occurrences, used
    cdef line_style style
    style.separator, style.aggregator, style.quote, style.occurrence = separator, aggregator, quote, occurrence
    made = np.empty(room + 1, np.uint8)
    cdef uint8_t[::1] text = made
    with nogil:
        used = write_lines(all_columns.all, all_columns.width, rows, &style, &text[0])
    return made[:used]


cdef fixed_text _fixed(bytes text):
    cdef fixed_text fixed
    fixed.data, fixed.length = <const uint8_t *><const char *>text, <size_t>len(text)
    return fixed


def objects(columns, names, uint32_t rows, parts, uint8_t occurrence):
    """`rows` objects, uint8[], of columns as lines() has them, each behind its name, bytes, where it has a text.

    `parts` are six texts: what begins an object, stands between columns, ends an object, and what stands before the
    first text of a column, between two and behind the last.
    """
    cdef _Columns all_columns = _Columns(columns)
    cdef list held = [bytes(name) for name in names], around = [bytes(part) for part in parts]
    cdef fixed_text *heads = <fixed_text *>malloc((all_columns.width + 1) * sizeof(fixed_text))
    cdef object_style style
    cdef size_t n, used, room, of_row
    cdef uint8_t[::1] text
    if heads == NULL:
        raise MemoryError
    try:
        if len(held) != all_columns.width or len(around) != 6:
            raise ValueError("not a name for each column and six parts")
        style.begin, style.between, style.end = _fixed(around[0]), _fixed(around[1]), _fixed(around[2])
        style.first, style.next, style.last = _fixed(around[3]), _fixed(around[4]), _fixed(around[5])
        of_row = style.begin.length + style.end.length
        for n in range(all_columns.width):
            heads[n] = _fixed(held[n])
            of_row += heads[n].length + style.between.length + style.first.length + style.last.length
        room = rows * of_row + all_columns.letters + all_columns.occurrences * style.next.length
        made = np.empty(room + 1, np.uint8)
        text = made
        with nogil:
            used = write_objects(all_columns.all, heads, all_columns.width, rows, &style, occurrence, &text[0])
    finally:
        free(heads)
    return made[:used]
