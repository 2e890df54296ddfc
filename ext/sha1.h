/* SHA-1 of a message that fits into one block. Not for secrets: Community IDs are made of it.
 *
 * specification: RFC 3174
 */
#ifndef SPANLINE_SHA1_H
#define SPANLINE_SHA1_H

#include "bytes.h"

enum { SHA1_BLOCK = 64, SHA1_DIGEST = 20, SHA1_LONGEST = SHA1_BLOCK - 9 };

ALWAYS_INLINE uint32_t sha1_rotated(uint32_t value, unsigned by) { return (value << by) | (value >> (32 - by)); }

/* The functions of section 5, with fewer operations than they are written with there. */
ALWAYS_INLINE uint32_t sha1_choice(uint32_t b, uint32_t c, uint32_t d) { return d ^ (b & (c ^ d)); }
ALWAYS_INLINE uint32_t sha1_parity(uint32_t b, uint32_t c, uint32_t d) { return b ^ c ^ d; }
ALWAYS_INLINE uint32_t sha1_majority(uint32_t b, uint32_t c, uint32_t d) { return (b & c) | (d & (b | c)); }

/* A step; instead of moving five values on, the next one is given them in another order. */
#define SHA1_STEP(function, constant, a, b, c, d, e, word)                                                             \
    do {                                                                                                               \
        e += sha1_rotated(a, 5) + function(b, c, d) + (constant) + (word);                                             \
        b = sha1_rotated(b, 30);                                                                                       \
    } while (0)
#define SHA1_ROUND(function, constant, from)                                                                           \
    for (uint32_t t = (from); t < (from) + 20; t += 5) {                                                               \
        SHA1_STEP(function, constant, a, b, c, d, e, words[t]);                                                        \
        SHA1_STEP(function, constant, e, a, b, c, d, words[t + 1]);                                                    \
        SHA1_STEP(function, constant, d, e, a, b, c, words[t + 2]);                                                    \
        SHA1_STEP(function, constant, c, d, e, a, b, words[t + 3]);                                                    \
        SHA1_STEP(function, constant, b, c, d, e, a, words[t + 4]);                                                    \
    }

/* The digest of the first `length` bytes of `block`, at most SHA1_LONGEST; the rest of the block is overwritten. */
static inline void sha1_of_block(uint8_t block[SHA1_BLOCK], uint32_t length, uint8_t digest[SHA1_DIGEST]) {
    const bytes_view view = {block, SHA1_BLOCK};
    uint32_t words[80];
    uint32_t a = 0x67452301U, b = 0xEFCDAB89U, c = 0x98BADCFEU, d = 0x10325476U, e = 0xC3D2E1F0U;
    memset(block + length, 0, SHA1_BLOCK - length);
    block[length] = 0x80;
    for (uint32_t t = 0; t < 15; t++) {
        words[t] = view_be32(view, 4 * t);
    }
    words[15] = 8 * length;
    for (uint32_t t = 16; t < 80; t++) {
        words[t] = sha1_rotated(words[t - 3] ^ words[t - 8] ^ words[t - 14] ^ words[t - 16], 1);
    }
    SHA1_ROUND(sha1_choice, 0x5A827999U, 0)
    SHA1_ROUND(sha1_parity, 0x6ED9EBA1U, 20)
    SHA1_ROUND(sha1_majority, 0x8F1BBCDCU, 40)
    SHA1_ROUND(sha1_parity, 0xCA62C1D6U, 60)
    const uint32_t sums[5] = {
        swap32(a + 0x67452301U), swap32(b + 0xEFCDAB89U), swap32(c + 0x98BADCFEU),
        swap32(d + 0x10325476U), swap32(e + 0xC3D2E1F0U),
    };
    memcpy(digest, sums, sizeof sums);
}
#undef SHA1_ROUND
#undef SHA1_STEP

#endif
