/* Values of fields as tshark writes them, and lines of them. */
#ifndef SPANLINE_FIELD_TEXT_H
#define SPANLINE_FIELD_TEXT_H

#include "address_text.h"

enum { NUMBER_TEXT_MAX = 20, TIME_TEXT_MAX = 21 };

/* Decimal, or with `digits` 0x and at least so many hexadecimal digits; at most NUMBER_TEXT_MAX letters. */
ALWAYS_INLINE uint32_t number_text(uint64_t value, uint32_t digits, char *text) {
    char reversed[NUMBER_TEXT_MAX];
    const uint32_t base = digits ? 16 : 10;
    uint32_t count = 0, at = 0;
    do {
        reversed[count++] = hex_digit((uint32_t)(value % base));
        value /= base;
    } while (value != 0);
    if (digits) {
        text[at++] = '0';
        text[at++] = 'x';
        for (uint32_t n = count; n < digits && n < NUMBER_TEXT_MAX - 2; n++) {
            text[at++] = '0';
        }
    }
    while (count) {
        text[at++] = reversed[--count];
    }
    return at;
}

ALWAYS_INLINE uint64_t magnitude(int64_t value) { return value < 0 ? 0 - (uint64_t)value : (uint64_t)value; }

ALWAYS_INLINE uint32_t signed_text(int64_t value, char *text) {
    text[0] = '-';
    return (value < 0) + number_text(magnitude(value), 0, text + (value < 0));
}

/* `count` digits, with leading zeros. */
ALWAYS_INLINE void padded_text(uint32_t value, uint32_t count, char *text) {
    for (uint32_t n = count; n > 0; n--) {
        text[n - 1] = (char)('0' + value % 10);
        value /= 10;
    }
}

/* Seconds with nine digits after the point, of nanoseconds. */
ALWAYS_INLINE uint32_t time_text(int64_t nanoseconds, char *text) {
    const uint64_t value = magnitude(nanoseconds);
    uint32_t at = nanoseconds < 0;
    text[0] = '-';
    at += number_text(value / 1000000000U, 0, text + at);
    text[at++] = '.';
    padded_text((uint32_t)(value % 1000000000U), 9, text + at);
    return at + 9;
}

/* Text with line ends, tabs, backspaces and form feeds escaped, nothing else: tshark does so. At most two letters each. */
static inline uint64_t escaped_text(const uint8_t *letters, uint64_t count, uint8_t *text) {
    static const char names[] = {'b', 't', 'n', 0, 'f', 'r'};
    uint64_t at = 0;
    for (uint64_t n = 0; n < count; n++) {
        const uint8_t letter = letters[n];
        if (letter >= 8 && letter <= 13 && names[letter - 8]) {
            text[at++] = '\\';
            text[at++] = (uint8_t)names[letter - 8];
        } else {
            text[at++] = letter;
        }
    }
    return at;
}

/* The texts of a field: that of occurrence n is letters[offsets[n]…offsets[n + 1]), and it stands in row packets[n]. */
typedef struct {
    const uint32_t *packets;
    const int64_t *offsets;
    const uint8_t *letters;
    size_t count;
    size_t at; /* the first occurrence of a row that was not written yet */
} text_column;

enum { EVERY_OCCURRENCE, FIRST_OCCURRENCE, LAST_OCCURRENCE };

/* How lines are written; quote 0 is none. */
typedef struct {
    uint8_t separator;
    uint8_t aggregator;
    uint8_t quote;
    uint8_t occurrence;
} line_style;

ALWAYS_INLINE size_t write_text(const text_column *column, size_t n, uint8_t *out) {
    const size_t length = (size_t)(column->offsets[n + 1] - column->offsets[n]);
    if (length) {
        memcpy(out, column->letters + column->offsets[n], length);
    }
    return length;
}

/* The occurrences of one row. */
ALWAYS_INLINE size_t write_cell(text_column *column, uint32_t row, const line_style *style, uint8_t *out) {
    size_t first = column->at, end = first, at = 0;
    while (end < column->count && column->packets[end] == row) {
        end++;
    }
    column->at = end;
    if (first == end) {
        return 0;
    }
    if (style->occurrence == FIRST_OCCURRENCE) {
        end = first + 1;
    } else if (style->occurrence == LAST_OCCURRENCE) {
        first = end - 1;
    }
    if (style->quote) {
        out[at++] = style->quote;
    }
    for (size_t n = first; n < end; n++) {
        if (n > first) {
            out[at++] = style->aggregator;
        }
        at += write_text(column, n, out + at);
    }
    if (style->quote) {
        out[at++] = style->quote;
    }
    return at;
}

/* A line for each of `rows` rows. `out` has room for all letters, one more for each occurrence, three more for each
 * column of each row and one for each row. */
static inline size_t write_lines(text_column *columns, size_t column_count, uint32_t rows, const line_style *style,
                                 uint8_t *out) {
    size_t at = 0;
    for (uint32_t row = 0; row < rows; row++) {
        for (size_t n = 0; n < column_count; n++) {
            if (n) {
                out[at++] = style->separator;
            }
            at += write_cell(&columns[n], row, style, out + at);
        }
        out[at++] = '\n';
    }
    return at;
}

/* Bytes of text that stand as they are. */
typedef struct {
    const uint8_t *data;
    size_t length;
} fixed_text;

ALWAYS_INLINE size_t write_fixed(const fixed_text *text, uint8_t *out) {
    memcpy(out, text->data, text->length);
    return text->length;
}

/* What stands in an object around the texts of its columns. */
typedef struct {
    fixed_text begin;   /* before the first column */
    fixed_text between; /* columns */
    fixed_text end;
    fixed_text first;   /* before the first text of a column, behind the column's own name */
    fixed_text next;    /* between two */
    fixed_text last;
} object_style;

/* The occurrences of one row behind `name`; nothing where there are none. */
static inline size_t write_member(text_column *column, uint32_t row, const fixed_text *name, const object_style *style,
                                  uint32_t occurrence, int follows, uint8_t *out) {
    size_t first = column->at, end = first, at = 0;
    while (end < column->count && column->packets[end] == row) {
        end++;
    }
    column->at = end;
    if (first == end) {
        return 0;
    }
    if (occurrence == FIRST_OCCURRENCE) {
        end = first + 1;
    } else if (occurrence == LAST_OCCURRENCE) {
        first = end - 1;
    }
    if (follows) {
        at += write_fixed(&style->between, out + at);
    }
    at += write_fixed(name, out + at);
    at += write_fixed(&style->first, out + at);
    for (size_t n = first; n < end; n++) {
        if (n > first) {
            at += write_fixed(&style->next, out + at);
        }
        at += write_text(column, n, out + at);
    }
    return at + write_fixed(&style->last, out + at);
}

/* An object for each of `rows` rows. `out` has room for all letters; for each occurrence as much as `next`; for each column
 * of each row its name, `between`, `first` and `last`; and for each row `begin` and `end`. */
static inline size_t write_objects(text_column *columns, const fixed_text *names, size_t column_count, uint32_t rows,
                                   const object_style *style, uint32_t occurrence, uint8_t *out) {
    size_t at = 0;
    for (uint32_t row = 0; row < rows; row++) {
        int follows = 0;
        at += write_fixed(&style->begin, out + at);
        for (size_t n = 0; n < column_count; n++) {
            const size_t wrote = write_member(&columns[n], row, &names[n], style, occurrence, follows, out + at);
            follows |= wrote != 0;
            at += wrote;
        }
        at += write_fixed(&style->end, out + at);
    }
    return at;
}

#endif
