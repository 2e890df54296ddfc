/* Occurrences of fields in messages of application protocols, as they are found: numbers, or octets one behind another. */
#ifndef SPANLINE_OCCURRENCES_H
#define SPANLINE_OCCURRENCES_H

#include "bytes.h"

typedef struct {
    uint32_t *messages; /* by occurrence: which message it is in, */
    uint64_t *numbers;  /* its value, */
    int64_t *ends;      /* or where its octets end */
    uint8_t *octets;
    size_t capacity;
    size_t room; /* for octets */
    size_t count;
    size_t used;
    uint32_t message; /* that is being read */
    int full;         /* there was no room: what is known of this message counts for nothing */
} occurrence_output;

static inline void add_number(occurrence_output *out, uint64_t value) {
    if (out->count >= out->capacity) {
        out->full = 1;
        return;
    }
    out->messages[out->count] = out->message;
    out->numbers[out->count] = value;
    out->ends[out->count++] = (int64_t)out->used;
}

ALWAYS_INLINE void add_octet(occurrence_output *out, uint8_t octet) {
    if (out->used >= out->room) {
        out->full = 1;
        return;
    }
    out->octets[out->used++] = octet;
}

/* The octets added since the last occurrence are one. */
static inline void end_octets(occurrence_output *out) { add_number(out, 0); }

static inline void add_octets(occurrence_output *out, bytes_view octets) {
    if (octets.length > out->room - out->used) {
        out->full = 1;
        return;
    }
    view_copy(octets, 0, out->octets + out->used, octets.length);
    out->used += octets.length;
    end_octets(out);
}

static inline void add_replacement(occurrence_output *out) { /* U+FFFD */
    add_octet(out, 0xEF);
    add_octet(out, 0xBF);
    add_octet(out, 0xBD);
}

/* ASCII as Wireshark reads it: up to a NUL, and what is no ASCII is replaced. */
static inline void add_ascii(occurrence_output *out, bytes_view text) {
    for (uint32_t n = 0; n < text.length && view_u8(text, n); n++) {
        if (view_u8(text, n) < 0x80) {
            add_octet(out, view_u8(text, n));
        } else {
            add_replacement(out);
        }
    }
    end_octets(out);
}

/* `count` bytes from `at` on, or as many of them as there are. */
ALWAYS_INLINE bytes_view view_part(bytes_view view, uint32_t at, uint32_t count) {
    const uint32_t start = at < view.length ? at : view.length, left = view.length - start;
    bytes_view part = {NULL, 0};
    if (view.length) {
        part.data = view.data + start;
        part.length = count < left ? count : left;
    }
    return part;
}

ALWAYS_INLINE bytes_view view_behind(bytes_view view, uint32_t at) { return view_part(view, at, UINT32_MAX); }

/* Where the first of the bytes `one` and `other` is, from `at` on; the view's length when there is none. */
static inline uint32_t view_find(bytes_view view, uint32_t at, uint8_t one, uint8_t other) {
    while (at < view.length && view_u8(view, at) != one && view_u8(view, at) != other) {
        at++;
    }
    return at < view.length ? at : view.length;
}

/* Where the line that begins at `at` ends, with CR, LF or both, and where the next one begins. */
static inline uint32_t line_of(bytes_view view, uint32_t at, uint32_t *next) {
    const uint32_t end = view_find(view, at, '\r', '\n');
    *next = end < view.length ? end + 1 : end;
    if (view_u8(view, end) == '\r' && view_u8(view, *next) == '\n' && *next < view.length) {
        ++*next;
    }
    return end;
}

#endif
