/* Fields of HTTP/1 messages, read as Wireshark reads them: RFC 9112 sections 3 and 5, and less strict. */
#ifndef SPANLINE_HTTP_FIELDS_H
#define SPANLINE_HTTP_FIELDS_H

#include "occurrences.h"

enum http_wanted { HTTP_WANTS_METHOD, HTTP_WANTS_URI, HTTP_WANTS_CODE };

ALWAYS_INLINE uint8_t lower_case(uint8_t letter) { return letter >= 'A' && letter <= 'Z' ? letter | 0x20 : letter; }

/* Whether `text` begins with `start`, letters in any case when `any_case`. */
static inline int text_begins(bytes_view text, bytes_view start, int any_case) {
    uint32_t n = 0;
    if (start.length > text.length) {
        return 0;
    }
    while (n < start.length) {
        const uint8_t one = view_u8(text, n), other = view_u8(start, n);
        if (any_case ? lower_case(one) != lower_case(other) : one != other) {
            return 0;
        }
        n++;
    }
    return 1;
}

/* How long the method is that `line` begins with, of `methods`, each with a space behind it; 0 when it has none. */
static inline uint32_t http_method(bytes_view line, bytes_view methods) {
    const uint32_t length = view_find(line, 0, ' ', ' ');
    for (uint32_t at = 0; at < methods.length;) {
        const uint32_t end = view_find(methods, at, ' ', ' ');
        if (end - at == length && text_begins(line, view_part(methods, at, length), 0)) {
            return length;
        }
        at = end + 1;
    }
    return 0;
}

static const bytes_view http_version = {(const uint8_t *)"HTTP/", 5};

/* The message's first line, and where the next one begins. */
static inline bytes_view http_first_line(bytes_view m, uint32_t *next) {
    uint32_t at = 0;
    while (at < m.length && (view_u8(m, at) == '\r' || view_u8(m, at) == '\n')) {
        at++;
    }
    return view_part(m, at, line_of(m, at, next) - at);
}

static inline void http_response_code(bytes_view line, occurrence_output *out) {
    uint32_t at = view_find(line, 0, ' ', ' ');
    while (view_u8(line, at) == ' ') {
        at++;
    }
    const bytes_view digits = view_part(line, at, 3);
    uint32_t code = 0;
    for (uint32_t n = 0; n < digits.length && view_u8(digits, n) >= '0' && view_u8(digits, n) <= '9'; n++) {
        code = 10 * code + view_u8(digits, n) - '0';
    }
    if (digits.length == 3) {
        add_number(out, code);
    }
}

static inline void http_start(bytes_view m, bytes_view methods, enum http_wanted wanted, occurrence_output *out) {
    uint32_t next;
    const bytes_view line = http_first_line(m, &next);
    if (wanted == HTTP_WANTS_CODE) {
        if (text_begins(line, http_version, 0)) {
            http_response_code(line, out);
        }
        return;
    }
    const uint32_t length = http_method(line, methods);
    if (length == 0) {
        return;
    }
    if (wanted == HTTP_WANTS_METHOD) {
        add_ascii(out, view_part(line, 0, length));
        return;
    }
    const bytes_view uri = view_behind(line, length + 1);
    add_ascii(out, view_part(uri, 0, view_find(uri, 0, ' ', ' ')));
}

/* The values of the headers of this name, which ends with a colon. A line without one ends the headers. */
static inline void http_header(bytes_view m, bytes_view methods, bytes_view name, occurrence_output *out) {
    uint32_t at;
    const bytes_view first = http_first_line(m, &at);
    if (!text_begins(first, http_version, 0) && !http_method(first, methods)) {
        return;
    }
    while (at < m.length) {
        uint32_t next;
        const bytes_view line = view_part(m, at, line_of(m, at, &next) - at);
        if (view_find(line, 0, ':', ':') == line.length) {
            return;
        }
        if (text_begins(line, name, 1)) {
            uint32_t value = name.length;
            while (view_u8(line, value) == ' ' || view_u8(line, value) == '\t') {
                value++;
            }
            add_ascii(out, view_behind(line, value));
        }
        at = next;
    }
}

#endif
