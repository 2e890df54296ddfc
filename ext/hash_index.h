/* The index that finds records by a hash of their key: open-addressed, of 8-byte entries, 32 bits of hash (the tag) above
 * 32 bits of record number + 1. An entry of 0 is empty. `mask` is the number of entries, a power of two, minus 1; the
 * caller keeps some of them empty.
 */
#ifndef SPANLINE_HASH_INDEX_H
#define SPANLINE_HASH_INDEX_H

#include "bytes.h"

ALWAYS_INLINE void hash_index_insert(uint64_t *index, uint32_t mask, uint32_t tag, uint32_t number) {
    uint32_t at = tag & mask;
    while (index[at]) {
        at = (at + 1) & mask;
    }
    index[at] = (uint64_t)tag << 32 | (number + 1);
}

/* Copies every entry of an index, or of none, into a larger one, which is zeroed. */
static inline void hash_index_copy(const uint64_t *old, uint32_t old_mask, uint64_t *index, uint32_t mask) {
    for (uint64_t n = 0; old && n <= old_mask; n++) {
        if (old[n]) {
            hash_index_insert(index, mask, (uint32_t)(old[n] >> 32), (uint32_t)old[n] - 1);
        }
    }
}

/* Takes an entry out and closes the hole, so that probing needs no tombstones. */
static inline void hash_index_remove(uint64_t *index, uint32_t mask, uint32_t tag, uint32_t number) {
    uint32_t hole = tag & mask;
    while ((uint32_t)index[hole] != number + 1) { /* beyond a gap only if its row was hashed with another seed */
        hole = (hole + 1) & mask;
    }
    for (uint32_t at = (hole + 1) & mask; index[at]; at = (at + 1) & mask) {
        uint32_t home = (uint32_t)(index[at] >> 32) & mask;
        if (((at - home) & mask) >= ((at - hole) & mask)) {
            index[hole] = index[at];
            hole = at;
        }
    }
    index[hole] = 0;
}

#endif
