/* The bytes that conversations keep: chains of small blocks from one pool. Blocks never move; the caller owns their slabs
 * and gives more when asked. Numbers of blocks are counted from 1, and 0 is none.
 */
#ifndef SPANLINE_PAYLOAD_BLOCKS_H
#define SPANLINE_PAYLOAD_BLOCKS_H

#include "bytes.h"

#ifndef PAYLOAD_BLOCK_BYTES /* less makes the ends of things come soon: for fuzzing */
#define PAYLOAD_BLOCK_BYTES 252
#define PAYLOAD_BLOCK_SLAB_BITS 14
#endif

enum { PAYLOAD_SLAB_BLOCKS = 1 << PAYLOAD_BLOCK_SLAB_BITS };

typedef struct {
    uint32_t next;
    uint8_t bytes[PAYLOAD_BLOCK_BYTES];
} payload_block;

typedef struct {
    payload_block **slabs;
    uint32_t slab_count;
    uint32_t used;       /* blocks ever used */
    uint32_t free_first; /* chain of those that were given back */
    uint32_t taken;
} payload_pool;

/* Blocks in order, all full but the last one. */
typedef struct {
    uint32_t first;
    uint32_t last;
    uint32_t filled; /* bytes of the last one */
    uint32_t count;
} payload_chain;

/* A place in a chain. */
typedef struct {
    const payload_pool *pool;
    uint32_t block;
    uint32_t at;
} payload_reader;

ALWAYS_INLINE payload_block *payload_block_at(const payload_pool *p, uint32_t number) {
    return &p->slabs[(number - 1) >> PAYLOAD_BLOCK_SLAB_BITS][(number - 1) & (PAYLOAD_SLAB_BLOCKS - 1)];
}

/* Asks for a block, or none. */
ALWAYS_INLINE void prefetch_block(const payload_pool *p, uint32_t number) {
    if (LIKELY(number != 0)) {
        const char *block = (const char *)payload_block_at(p, number);
        for (uint32_t at = 0; at < sizeof(payload_block); at += 64) {
            PREFETCH(block + at);
        }
    }
}

ALWAYS_INLINE uint32_t payload_blocks_left(const payload_pool *p) {
    return (p->slab_count << PAYLOAD_BLOCK_SLAB_BITS) - p->taken;
}

/* Another block at the chain's end; 0 when there is none. */
static inline int chain_extend(payload_pool *p, payload_chain *c) {
    uint32_t number = p->free_first;
    if (number) {
        p->free_first = payload_block_at(p, number)->next;
    } else if (p->used < p->slab_count << PAYLOAD_BLOCK_SLAB_BITS) {
        number = ++p->used;
    } else {
        return 0;
    }
    p->taken++;
    payload_block_at(p, number)->next = 0;
    if (c->last) {
        payload_block_at(p, c->last)->next = number;
    } else {
        c->first = number;
    }
    c->last = number;
    c->filled = 0;
    c->count++;
    return 1;
}

static inline void chain_release(payload_pool *p, payload_chain *c) {
    if (c->last) {
        payload_block_at(p, c->last)->next = p->free_first;
        p->free_first = c->first;
        p->taken -= c->count;
    }
    memset(c, 0, sizeof *c);
}

/* How many bytes fit into a chain, at most. */
ALWAYS_INLINE uint64_t chain_room(const payload_pool *p, const payload_chain *c) {
    const uint32_t here = c->last ? PAYLOAD_BLOCK_BYTES - c->filled : 0;
    return here + (uint64_t)payload_blocks_left(p) * PAYLOAD_BLOCK_BYTES;
}

/* Puts bytes at the chain's end: there is room. */
ALWAYS_INLINE void chain_write(payload_pool *p, payload_chain *c, bytes_view bytes) {
    for (uint32_t at = 0; at < bytes.length;) {
        if (UNLIKELY((c->last == 0 || c->filled == PAYLOAD_BLOCK_BYTES) && !chain_extend(p, c))) {
            return;
        }
        const uint32_t room = PAYLOAD_BLOCK_BYTES - c->filled, left = bytes.length - at;
        const uint32_t count = left < room ? left : room;
        view_copy(bytes, at, payload_block_at(p, c->last)->bytes + c->filled, count);
        c->filled += count;
        at += count;
    }
}

/* Puts a head at the chain's end, in one piece: what is too small for it in the last block stays empty. */
ALWAYS_INLINE int chain_write_head(payload_pool *p, payload_chain *c, const void *head, uint32_t size) {
    if (UNLIKELY((c->last == 0 || PAYLOAD_BLOCK_BYTES - c->filled < size) && !chain_extend(p, c))) {
        return 0;
    }
    memcpy(payload_block_at(p, c->last)->bytes + c->filled, head, size);
    c->filled += size;
    return 1;
}

ALWAYS_INLINE payload_reader chain_reader(const payload_pool *p, const payload_chain *c) {
    const payload_reader reader = {p, c->first, 0};
    return reader;
}

/* The next bytes that lie in one block, at most `most`; none at the chain's end. */
ALWAYS_INLINE bytes_view chain_read(payload_reader *r, uint32_t most) {
    bytes_view bytes = {NULL, 0};
    if (r->block && r->at == PAYLOAD_BLOCK_BYTES) {
        r->block = payload_block_at(r->pool, r->block)->next;
        r->at = 0;
    }
    if (r->block && r->at == 0) {
        prefetch_block(r->pool, payload_block_at(r->pool, r->block)->next);
    }
    if (r->block && most) {
        const uint32_t room = PAYLOAD_BLOCK_BYTES - r->at;
        bytes.data = payload_block_at(r->pool, r->block)->bytes + r->at;
        bytes.length = most < room ? most : room;
        r->at += bytes.length;
    }
    return bytes;
}

/* The next head; 0 at the chain's end. */
ALWAYS_INLINE int chain_read_head(payload_reader *r, void *head, uint32_t size) {
    if (PAYLOAD_BLOCK_BYTES - r->at < size) {
        r->at = PAYLOAD_BLOCK_BYTES;
    }
    const bytes_view bytes = chain_read(r, size);
    if (bytes.length != size) {
        return 0;
    }
    memcpy(head, bytes.data, size);
    return 1;
}

/* Puts bytes of the chain, or others, in place of what a place in it has; they may overlap when they come from behind. */
static inline void chain_rewrite(payload_reader *to, bytes_view bytes) {
    for (uint32_t at = 0; at < bytes.length;) {
        const uint32_t count = chain_read(to, bytes.length - at).length;
        if (count == 0) {
            return;
        }
        memmove(payload_block_at(to->pool, to->block)->bytes + to->at - count, bytes.data + at, count);
        at += count;
    }
}

/* The same with a head, as chain_write_head() puts it. */
static inline void chain_rewrite_head(payload_reader *to, const void *head, uint32_t size) {
    const bytes_view bytes = {head, size};
    if (PAYLOAD_BLOCK_BYTES - to->at < size) {
        to->at = PAYLOAD_BLOCK_BYTES;
    }
    chain_rewrite(to, bytes);
}

/* Ends a chain at a place in it. */
static inline void chain_cut(payload_pool *p, payload_chain *c, const payload_reader *end) {
    payload_chain rest = {0, c->last, c->filled, 0};
    if (end->at == 0) {
        chain_release(p, c);
        return;
    }
    payload_block *last = payload_block_at(p, end->block);
    rest.first = last->next;
    for (uint32_t block = rest.first; block; block = payload_block_at(p, block)->next) {
        rest.count++;
    }
    last->next = 0;
    c->last = end->block;
    c->filled = end->at;
    c->count -= rest.count;
    if (rest.count) {
        chain_release(p, &rest);
    }
}

/* Passes over `count` bytes, and copies them to `to` unless it is null. Returns how many there were. */
static inline uint32_t chain_take(payload_reader *r, uint8_t *to, uint32_t count) {
    uint32_t done = 0;
    while (done < count) {
        const bytes_view bytes = chain_read(r, count - done);
        if (bytes.length == 0) {
            break;
        }
        if (to) {
            memcpy(to + done, bytes.data, bytes.length);
        }
        done += bytes.length;
    }
    return done;
}

#endif
