/* SHA-1 of messages that fit into one block. Not for secrets: Community IDs are made of it.
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

/* Of so many messages at once: each step is the same for all, and compilers make one vector instruction of four. */
enum { SHA1_LANES = 4 };
#define SHA1_EACH for (uint32_t lane = 0; lane < SHA1_LANES; lane++)

/* A step; instead of moving five values on, the next one is given them in another order. */
#define SHA1_STEP(function, constant, a, b, c, d, e, word)                                                             \
    SHA1_EACH {                                                                                                        \
        e[lane] += sha1_rotated(a[lane], 5) + function(b[lane], c[lane], d[lane]) + (constant) + (word)[lane];         \
        b[lane] = sha1_rotated(b[lane], 30);                                                                           \
    }
#define SHA1_ROUND(function, constant, from)                                                                           \
    for (uint32_t t = (from); t < (from) + 20; t += 5) {                                                               \
        SHA1_STEP(function, constant, a, b, c, d, e, words[t])                                                         \
        SHA1_STEP(function, constant, e, a, b, c, d, words[t + 1])                                                     \
        SHA1_STEP(function, constant, d, e, a, b, c, words[t + 2])                                                     \
        SHA1_STEP(function, constant, c, d, e, a, b, words[t + 3])                                                     \
        SHA1_STEP(function, constant, b, c, d, e, a, words[t + 4])                                                     \
    }

/* Makes a block of the message that is its first `length` bytes, at most SHA1_LONGEST (section 4). */
ALWAYS_INLINE void sha1_pad(uint8_t block[SHA1_BLOCK], uint32_t length) {
    memset(block + length, 0, SHA1_BLOCK - length);
    block[length] = 0x80;
    block[SHA1_BLOCK - 2] = (uint8_t)(length >> 5);
    block[SHA1_BLOCK - 1] = (uint8_t)(length << 3);
}

/* The digests of messages of one block each. */
static inline void sha1_of_blocks(uint8_t (*blocks)[SHA1_BLOCK], uint8_t (*digests)[SHA1_DIGEST]) {
    static const uint32_t begin[5] = {0x67452301U, 0xEFCDAB89U, 0x98BADCFEU, 0x10325476U, 0xC3D2E1F0U};
    uint32_t words[80][SHA1_LANES];
    uint32_t a[SHA1_LANES], b[SHA1_LANES], c[SHA1_LANES], d[SHA1_LANES], e[SHA1_LANES];
    SHA1_EACH {
        const bytes_view view = {blocks[lane], SHA1_BLOCK};
        for (uint32_t t = 0; t < 16; t++) {
            words[t][lane] = view_be32(view, 4 * t);
        }
        a[lane] = begin[0];
        b[lane] = begin[1];
        c[lane] = begin[2];
        d[lane] = begin[3];
        e[lane] = begin[4];
    }
    for (uint32_t t = 16; t < 80; t++) {
        SHA1_EACH {
            words[t][lane] =
                sha1_rotated(words[t - 3][lane] ^ words[t - 8][lane] ^ words[t - 14][lane] ^ words[t - 16][lane], 1);
        }
    }
    SHA1_ROUND(sha1_choice, 0x5A827999U, 0)
    SHA1_ROUND(sha1_parity, 0x6ED9EBA1U, 20)
    SHA1_ROUND(sha1_majority, 0x8F1BBCDCU, 40)
    SHA1_ROUND(sha1_parity, 0xCA62C1D6U, 60)
    SHA1_EACH {
        const uint32_t sums[5] = {
            swap32(a[lane] + begin[0]), swap32(b[lane] + begin[1]), swap32(c[lane] + begin[2]),
            swap32(d[lane] + begin[3]), swap32(e[lane] + begin[4]),
        };
        memcpy(digests[lane], sums, sizeof sums);
    }
}
#undef SHA1_ROUND
#undef SHA1_STEP
#undef SHA1_EACH

#endif
