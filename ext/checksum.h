/* The Internet checksum. specification: RFC 1071 */
#ifndef SPANLINE_CHECKSUM_H
#define SPANLINE_CHECKSUM_H

#include "bytes.h"

/* The one's complement sum of bytes in network order, to be folded. */
static inline uint64_t checksum_add(uint64_t sum, const uint8_t *data, uint32_t length) {
    uint32_t at = 0;
    for (; at + 4 <= length; at += 4) {
        uint32_t word;
        memcpy(&word, data + at, 4);
        sum += swap32(word);
    }
    for (; at < length; at++) {
        sum += (uint64_t)data[at] << (8 * (3 - at % 4));
    }
    return sum;
}

static inline uint32_t checksum_fold(uint64_t sum) {
    while (sum >> 16) {
        sum = (sum & 0xFFFF) + (sum >> 16);
    }
    return (uint32_t)sum;
}

#endif
