/* Members of records, each into a column of its own. */
#ifndef SPANLINE_COLUMNS_H
#define SPANLINE_COLUMNS_H

#include "bytes.h"

/* A member: `width` bytes (1, 2, 4, 8 or 16) at `offset` of each record, and where its column goes on. */
typedef struct {
    uint8_t *column;
    uint32_t offset;
    uint32_t width;
} record_member;

#define COLUMN_COPY(width)                                                                                             \
    for (uint32_t n = 0; n < count; n++) {                                                                             \
        memcpy(column + (size_t)n * (width), from + (size_t)n * record_size, width);                                   \
    }

/* Takes one member of `count` records that follow one another. */
ALWAYS_INLINE void column_take(const uint8_t *records, uint32_t record_size, uint32_t count,
                               const record_member *member) {
    const uint8_t *from = records + member->offset;
    uint8_t *column = member->column;
    switch (member->width) {
    case 1: COLUMN_COPY(1) break;
    case 2: COLUMN_COPY(2) break;
    case 4: COLUMN_COPY(4) break;
    case 8: COLUMN_COPY(8) break;
    case 16: COLUMN_COPY(16) break;
    default: break;
    }
}
#undef COLUMN_COPY

#endif
