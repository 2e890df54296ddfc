/* Reassembly of IP: fragments in, whole datagrams out, in memory that never grows.
 *
 * Fragments lie in blocks of one pool until their datagram is whole. When the pool is empty the datagram that was begun
 * first goes, and so does one whose first fragment is too long ago. Nothing here is quadratic, whatever arrives: which
 * bytes are there is a bit for each 8 of them, and a datagram's fragments are put in order once, by merging.
 */
#ifndef SPANLINE_DEFRAG_H
#define SPANLINE_DEFRAG_H

#include "hash.h"

#define NO_INDEX 0xFFFFFFFFU

enum {
    BLOCK_BYTES = 496, /* three hold what an Ethernet frame carries of a datagram */
    DATAGRAM_LONGEST = 65535,
    DATAGRAM_UNITS = 8192, /* a fragment begins at a multiple of 8 bytes */
};

/* Fragments with the same key belong together. specification: RFC 791 section 2.3, RFC 8200 section 4.5
 * Tenants behind tunnels and on VLANs have identifications of their own. */
typedef struct {
    uint8_t source[16];
    uint8_t destination[16];
    uint32_t identification;
    uint32_t tunnel_id;
    uint16_t vlan;
    uint8_t ip_version;
    uint8_t protocol; /* IPv4 only */
} defrag_key;
STATIC_ASSERT(sizeof(defrag_key) == 44, "defrag_key has no holes");

/* A fragment; its bytes stand elsewhere. Also how unfinished datagrams are saved. */
typedef struct {
    int64_t timestamp;
    defrag_key key;
    uint16_t offset;
    uint16_t length;
    uint8_t protocol; /* that the datagram begins with, as this fragment's header says */
    uint8_t more;
    uint8_t reserved[6];
} fragment_row;
STATIC_ASSERT(sizeof(fragment_row) == 64, "fragment_row");

/* Part of a fragment: the first block of each tells about it, the others go on with its bytes. */
typedef struct {
    uint32_t next;     /* of the same datagram in order of arrival, or of the free ones */
    uint32_t follower; /* first block of another fragment: in order of arrival, then of offset */
    uint16_t offset;
    uint16_t length; /* of the fragment; 0 in blocks that go on */
    uint8_t protocol;
    uint8_t more;
    uint8_t reserved[2];
    uint8_t data[BLOCK_BYTES];
} defrag_block;
STATIC_ASSERT(sizeof(defrag_block) == 512, "defrag_block");

typedef struct {
    int64_t created; /* time of the fragment that came first */
    defrag_key key;
    uint32_t chain; /* next in the same bucket; of the free ones when free */
    uint32_t bucket;
    uint32_t older;
    uint32_t newer;
    uint32_t first_block;
    uint32_t last_block;
    uint32_t last_fragment; /* first block of the one that came last */
    uint32_t block_count;
    uint32_t length;  /* 0 as long as no last fragment told it */
    uint32_t covered; /* whole units before `length`, once that is known */
    uint8_t protocol; /* by the fragment at offset 0 */
    uint8_t begins;   /* that one is there */
    uint8_t reserved[2];
    uint64_t units[DATAGRAM_UNITS / 64];
} defrag_datagram;

/* The caller owns the memory. Zeroed arrays are ready, and untouched ones cost nothing. */
typedef struct {
    hash_seed seed;
    defrag_datagram *datagrams;
    defrag_block *blocks;
    uint32_t *buckets; /* index + 1 of a datagram, or 0; their number is a power of two */
    uint32_t datagram_capacity;
    uint32_t block_capacity;
    uint32_t bucket_count;
    uint32_t datagrams_touched; /* those behind were never used */
    uint32_t blocks_touched;
    uint32_t free_datagram;
    uint32_t free_block;
    uint32_t free_blocks; /* how many there are in the list of free_block */
    uint32_t oldest;
    uint32_t newest;
    uint32_t pending;
    uint32_t reserved;
    uint64_t timeout; /* ns */
    uint64_t completed;
    uint64_t timed_out;
    uint64_t evicted;
    uint64_t overlapping; /* of the completed: with fragments that overlap */
    uint64_t refused;     /* would be longer than DATAGRAM_LONGEST, or is too deep inside others */
} defrag_table;

/* With buckets that are zeroed. */
static inline void defrag_begin(defrag_table *t) {
    t->free_datagram = t->free_block = t->oldest = t->newest = NO_INDEX;
    t->datagrams_touched = t->blocks_touched = t->free_blocks = t->pending = 0;
}

static inline void defrag_clear(defrag_table *t) {
    memset(t->buckets, 0, t->bucket_count * sizeof *t->buckets);
    defrag_begin(t);
}

static inline uint32_t defrag_bucket(const defrag_table *t, const defrag_key *key) {
    const uint64_t *seed = t->seed.key;
    uint64_t words[5] = {0, 0, 0, 0, 0}, rest;
    memcpy(words, key, sizeof words);
    memcpy(&rest, (const uint8_t *)key + sizeof *key - sizeof rest, sizeof rest);
    uint64_t source = hash_mix(words[0] ^ seed[0], words[1] ^ seed[1]);
    uint64_t destination = hash_mix(words[2] ^ seed[2], words[3] ^ seed[3]);
    uint64_t numbers = hash_mix(words[4] ^ seed[1], rest ^ seed[2]);
    return (uint32_t)hash_mix(source ^ numbers, destination ^ seed[3]) & (t->bucket_count - 1);
}

static inline uint32_t defrag_find(const defrag_table *t, const defrag_key *key, uint32_t bucket) {
    uint32_t n = t->buckets[bucket] - 1; /* 0 becomes NO_INDEX */
    while (n != NO_INDEX && memcmp(&t->datagrams[n].key, key, sizeof *key) != 0) {
        n = t->datagrams[n].chain;
    }
    return n;
}

/* Forgets a datagram; its blocks are free again. */
static inline void defrag_drop(defrag_table *t, uint32_t number) {
    defrag_datagram *g = &t->datagrams[number];
    uint32_t before = t->buckets[g->bucket] - 1;
    if (before == number) {
        t->buckets[g->bucket] = g->chain + 1;
    } else {
        while (t->datagrams[before].chain != number) {
            before = t->datagrams[before].chain;
        }
        t->datagrams[before].chain = g->chain;
    }
    *(g->older == NO_INDEX ? &t->oldest : &t->datagrams[g->older].newer) = g->newer;
    *(g->newer == NO_INDEX ? &t->newest : &t->datagrams[g->newer].older) = g->older;
    t->blocks[g->last_block].next = t->free_block;
    t->free_block = g->first_block;
    t->free_blocks += g->block_count;
    g->chain = t->free_datagram;
    t->free_datagram = number;
    t->pending--;
}

static inline uint32_t defrag_create(defrag_table *t, const fragment_row *x, uint32_t bucket) {
    uint32_t number = t->free_datagram;
    if (number != NO_INDEX) {
        t->free_datagram = t->datagrams[number].chain;
    } else {
        number = t->datagrams_touched++;
    }
    defrag_datagram *g = &t->datagrams[number];
    memset(g, 0, sizeof *g);
    g->created = x->timestamp;
    g->key = x->key;
    g->protocol = x->protocol;
    g->bucket = bucket;
    g->chain = t->buckets[bucket] - 1;
    t->buckets[bucket] = number + 1;
    g->first_block = g->last_block = g->last_fragment = g->newer = NO_INDEX;
    g->older = t->newest;
    *(t->newest == NO_INDEX ? &t->oldest : &t->datagrams[t->newest].newer) = number;
    t->newest = number;
    t->pending++;
    return number;
}

static inline void defrag_copy(defrag_table *t, defrag_datagram *g, const fragment_row *x, bytes_view bytes) {
    for (uint32_t at = 0; at < x->length; at += BLOCK_BYTES) {
        uint32_t number = t->free_block;
        if (number != NO_INDEX) {
            t->free_block = t->blocks[number].next;
            t->free_blocks--;
        } else {
            number = t->blocks_touched++;
        }
        defrag_block *b = &t->blocks[number];
        b->next = b->follower = NO_INDEX;
        b->offset = x->offset;
        b->length = at == 0 ? x->length : 0;
        b->protocol = x->protocol;
        b->more = x->more;
        view_copy(bytes, at, b->data, x->length - at < BLOCK_BYTES ? x->length - at : BLOCK_BYTES);
        *(g->last_block == NO_INDEX ? &g->first_block : &t->blocks[g->last_block].next) = number;
        g->last_block = number;
        g->block_count++;
        if (at == 0) {
            if (g->last_fragment != NO_INDEX) {
                t->blocks[g->last_fragment].follower = number;
            }
            g->last_fragment = number;
        }
    }
}

static inline uint32_t count_bits(uint64_t bits) {
    bits -= (bits >> 1) & 0x5555555555555555ULL;
    bits = (bits & 0x3333333333333333ULL) + ((bits >> 2) & 0x3333333333333333ULL);
    bits = (bits + (bits >> 4)) & 0x0F0F0F0F0F0F0F0FULL;
    return (uint32_t)((bits * 0x0101010101010101ULL) >> 56);
}

/* The bits of units [from, to) that are in word `n`. */
static inline uint64_t unit_mask(uint32_t n, uint32_t from, uint32_t to) {
    uint64_t mask = ~0ULL;
    if (from > n * 64) {
        mask &= ~0ULL << (from - n * 64);
    }
    if (to < n * 64 + 64) {
        mask &= ~(~0ULL << (to - n * 64));
    }
    return mask;
}

/* Notes the bytes of a fragment. Whether the datagram is whole now.
 * Part of a unit at a fragment's end needs no bit: the last fragment ends with the datagram, and has it to its end. */
static inline int defrag_cover(defrag_datagram *g, const fragment_row *x) {
    uint32_t from = x->offset / 8U, end = (uint32_t)x->offset + x->length, to = end / 8;
    int tells = !x->more && g->length == 0;
    if (g->length != 0 && to > g->length / 8) {
        to = g->length / 8;
    }
    for (uint32_t n = from / 64; n * 64 < to; n++) {
        uint64_t fresh = unit_mask(n, from, to) & ~g->units[n];
        g->units[n] |= fresh;
        g->covered += count_bits(fresh);
    }
    if (tells) { /* what came before may lie behind it */
        g->length = end;
        g->covered = 0;
        for (uint32_t n = 0; n * 64 < end / 8; n++) {
            g->covered += count_bits(g->units[n] & unit_mask(n, 0, end / 8));
        }
    }
    return g->length != 0 && g->covered == g->length / 8;
}

static inline int defrag_is_over(const defrag_table *t, uint32_t number, int64_t now) {
    int64_t created = t->datagrams[number].created;
    return now > created && (uint64_t)now - (uint64_t)created > t->timeout;
}

/* Takes a fragment in. Gives its datagram's number when that is whole, else NO_INDEX. */
static inline uint32_t defrag_store(defrag_table *t, const fragment_row *x, bytes_view bytes) {
    uint32_t bucket = defrag_bucket(t, &x->key), number = defrag_find(t, &x->key, bucket);
    if ((uint32_t)x->offset + x->length > DATAGRAM_LONGEST) { /* ping of death: nobody takes such a datagram */
        if (number != NO_INDEX) {
            defrag_drop(t, number);
        }
        t->refused++;
        return NO_INDEX;
    }
    uint32_t wanted = (x->length + BLOCK_BYTES - 1U) / BLOCK_BYTES;
    while (t->free_blocks + (t->block_capacity - t->blocks_touched) < wanted ||
           (number == NO_INDEX && t->pending == t->datagram_capacity)) {
        number = t->oldest == number ? NO_INDEX : number;
        defrag_drop(t, t->oldest);
        t->evicted++;
    }
    if (number == NO_INDEX) {
        number = defrag_create(t, x, bucket);
    }
    defrag_datagram *g = &t->datagrams[number];
    if (x->offset == 0 && !g->begins) {
        g->protocol = x->protocol;
        g->begins = 1;
    }
    defrag_copy(t, g, x, bytes);
    return defrag_cover(g, x) ? number : NO_INDEX;
}

/* The same, after what is too old by this fragment's time was given up. */
static inline uint32_t defrag_add(defrag_table *t, const fragment_row *x, bytes_view bytes) {
    while (t->oldest != NO_INDEX && defrag_is_over(t, t->oldest, x->timestamp)) {
        defrag_drop(t, t->oldest);
        t->timed_out++;
    }
    /* Where clocks went back, one behind the oldest may be older. */
    uint32_t number = defrag_find(t, &x->key, defrag_bucket(t, &x->key));
    if (number != NO_INDEX && defrag_is_over(t, number, x->timestamp)) {
        defrag_drop(t, number);
        t->timed_out++;
    }
    return defrag_store(t, x, bytes);
}

/* Two lists of fragments by offset become one; `first` has those that came first. */
static inline uint32_t defrag_merge(defrag_table *t, uint32_t first, uint32_t second) {
    uint32_t merged = NO_INDEX, *end = &merged;
    while (first != NO_INDEX && second != NO_INDEX) {
        uint32_t *from = t->blocks[second].offset < t->blocks[first].offset ? &second : &first;
        *end = *from;
        end = &t->blocks[*from].follower;
        *from = *end;
    }
    *end = first != NO_INDEX ? first : second;
    return merged;
}

/* Puts fragments in order of offset and, among equal ones, of arrival. */
static inline uint32_t defrag_sort(defrag_table *t, uint32_t list) {
    uint32_t runs[32]; /* runs[n] is empty, or a sorted list of 2^n fragments */
    memset(runs, 0xFF, sizeof runs);
    while (list != NO_INDEX) {
        uint32_t run = list, n = 0;
        list = t->blocks[run].follower;
        t->blocks[run].follower = NO_INDEX;
        for (; n < 31 && runs[n] != NO_INDEX; n++) {
            run = defrag_merge(t, runs[n], run);
            runs[n] = NO_INDEX;
        }
        runs[n] = run;
    }
    for (uint32_t n = 0; n < 32; n++) {
        list = defrag_merge(t, runs[n], list);
    }
    return list;
}

/* Writes a whole datagram's bytes, of which `target` has room for, and forgets it. Where fragments overlap, the one that
 * begins first has its way, and of several that begin together the one that came first; nothing goes beyond the end
 * that the first of the last fragments told. That is what Wireshark does. Gives PACKET_OVERLAP… flags. */
static inline uint32_t defrag_take(defrag_table *t, uint32_t number, uint8_t *target) {
    defrag_datagram *g = &t->datagrams[number];
    uint32_t filled = 0, flags = 0;
    for (uint32_t n = defrag_sort(t, g->first_block); n != NO_INDEX; n = t->blocks[n].follower) {
        uint32_t at = t->blocks[n].offset, end = at + t->blocks[n].length;
        end = end < g->length ? end : g->length;
        flags |= at < filled && at < end ? PACKET_OVERLAP : 0U;
        for (uint32_t b = n; at < end; at += BLOCK_BYTES, b = t->blocks[b].next) {
            uint32_t stop = end - at < BLOCK_BYTES ? end : at + BLOCK_BYTES;
            uint32_t known = filled < at ? at : filled < stop ? filled : stop;
            flags |= memcmp(target + at, t->blocks[b].data, known - at) ? PACKET_OVERLAP_DIFFERS : 0U;
            memcpy(target + known, t->blocks[b].data + (known - at), stop - known);
        }
        filled = end > filled ? end : filled;
    }
    t->completed++;
    t->overlapping += flags != 0;
    defrag_drop(t, number);
    return flags;
}

/* Lists the fragments of unfinished datagrams, and their bytes one after another: defrag_store() of each, in this order,
 * into an empty table gives the same table. Without `rows` only counts. */
static inline void defrag_list(const defrag_table *t, fragment_row *rows, uint8_t *bytes, size_t *count, size_t *size) {
    *count = *size = 0;
    for (uint32_t number = t->oldest; number != NO_INDEX; number = t->datagrams[number].newer) {
        const defrag_datagram *g = &t->datagrams[number];
        for (uint32_t n = g->first_block; n != NO_INDEX; n = t->blocks[n].follower) {
            const defrag_block *first = &t->blocks[n];
            for (uint32_t b = n, at = 0; rows && at < first->length; at += BLOCK_BYTES, b = t->blocks[b].next) {
                uint32_t left = first->length - at;
                memcpy(bytes + *size + at, t->blocks[b].data, left < BLOCK_BYTES ? left : BLOCK_BYTES);
            }
            if (rows) {
                fragment_row *x = &rows[*count];
                memset(x, 0, sizeof *x);
                x->timestamp = g->created;
                x->key = g->key;
                x->offset = first->offset;
                x->length = first->length;
                x->protocol = first->protocol;
                x->more = first->more;
            }
            *size += first->length;
            ++*count;
        }
    }
}

#endif
