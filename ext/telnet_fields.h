/* What telnet says between its commands, a line at a time. RFC 854. */
#ifndef SPANLINE_TELNET_FIELDS_H
#define SPANLINE_TELNET_FIELDS_H

#include "occurrences.h"

enum { TELNET_IAC = 255, TELNET_DONT = 254, TELNET_WILL = 251, TELNET_SB = 250 };

/* Where the next IAC stands that is no doubled one, which means itself. */
static inline uint32_t telnet_command(bytes_view m, uint32_t at) {
    for (;;) {
        at = view_find(m, at, TELNET_IAC, TELNET_IAC);
        if (at >= m.length || at + 1 >= m.length || view_u8(m, at + 1) != TELNET_IAC) {
            return at;
        }
        at += 2;
    }
}

/* Where the command at `at` ends; behind the message when it is cut off. */
static inline uint32_t telnet_command_end(bytes_view m, uint32_t at) {
    const uint8_t command = view_u8(m, at + 1);
    if (command == TELNET_SB) {
        return telnet_command(m, at + 3) + 2;
    }
    return at + (command >= TELNET_WILL && command <= TELNET_DONT ? 3 : 2);
}

/* Where the line at `at` ends: behind an LF, or a CR with what ends it. A CR alone is none: it ends with LF or NUL. */
static inline uint32_t telnet_line_end(bytes_view text, uint32_t at) {
    uint32_t next, end = line_of(text, at, &next);
    if (next != end + 1 || view_u8(text, end) != '\r') {
        return next;
    }
    for (int behind_cr = 1; next < text.length;) {
        const uint8_t letter = view_u8(text, next++);
        if (letter == '\n' || (letter == 0 && behind_cr)) {
            break;
        }
        behind_cr = letter == '\r';
    }
    return next;
}

static inline void telnet_lines(bytes_view m, occurrence_output *out) {
    for (uint32_t at = 0; at < m.length;) {
        const uint32_t command = telnet_command(m, at);
        if (command < m.length && command + 1 >= m.length) {
            return; /* nobody knows what this one says */
        }
        const bytes_view text = view_part(m, at, command - at);
        for (uint32_t start = 0; start < text.length;) {
            const uint32_t end = telnet_line_end(text, start);
            add_ascii(out, view_part(text, start, end - start));
            start = end;
        }
        at = command < m.length ? telnet_command_end(m, command) : m.length;
    }
}

#endif
