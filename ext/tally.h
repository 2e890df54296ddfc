/* A tally: how many frames and bytes went between two ends, for each pair of ends that there is.
 *
 * One table serves one kind of ends: Ethernet addresses, addresses of one IP version, or addresses and ports of one
 * transport. tally_rows.h finds them in packet rows.
 *
 * The index is open-addressed as the flow table's is, and entries never move. Nothing is ever taken out: at the cap, what
 * is new is counted together as `others`. The caller owns all memory and gives more when asked.
 */
#ifndef SPANLINE_TALLY_H
#define SPANLINE_TALLY_H

#include "hash.h"
#include "stream_row.h"

#ifndef TALLY_SLAB_BITS /* fewer make the ends of a table come soon: for fuzzing */
#define TALLY_SLAB_BITS 12
#endif

enum { TALLY_SLAB_ENTRIES = 1 << TALLY_SLAB_BITS };

/* Of what layer the ends are. The transports are numbered as IP does. */
enum tally_kind { TALLY_ETHERNET, TALLY_IP, TALLY_TCP = IP_TCP, TALLY_UDP = IP_UDP, TALLY_SCTP = IP_SCTP };

/* Two ends, and what they sent. Direction 0 is from `source`, which is who was seen to send first. Ethernet addresses
 * are the first six of their sixteen bytes. */
typedef struct {
    uint64_t first; /* where it was first seen: the frame's number << 8 | the layer's place in the frame */
    int64_t first_time;
    int64_t last_time;
    uint64_t packets[2];
    uint64_t bytes[2]; /* of whole frames */
    uint8_t source[16];
    uint8_t destination[16];
    uint16_t source_port;
    uint16_t destination_port;
    uint32_t stream; /* that keeps TCP connections between the same ends apart; NO_STREAM elsewhere */
} tally_entry;
STATIC_ASSERT(sizeof(tally_entry) == 96, "tally_entry");

typedef struct {
    hash_seed seed;
    tally_entry **slabs;
    uint64_t *index; /* tag << 32 | entry number + 1; 0 is empty */
    uint32_t index_mask;
    uint32_t count;
    uint32_t capacity;
    uint32_t kind;
    uint32_t shard; /* of `shards`: which rows are this table's, by their flow hash */
    uint32_t shards;
    uint8_t full; /* there is no more memory than this */
    uint64_t other_packets;
    uint64_t other_bytes;
} tally_table;

ALWAYS_INLINE tally_entry *tally_at(const tally_table *t, uint32_t number) {
    return &t->slabs[number >> TALLY_SLAB_BITS][number & (TALLY_SLAB_ENTRIES - 1)];
}

/* For a transport without streams, what a packet row has as its flow_hash. */
ALWAYS_INLINE uint64_t tally_hash(const tally_table *t, const tally_entry *e) {
    return key_hash(&t->seed, e->source, e->source_port, e->destination, e->destination_port, t->kind);
}

ALWAYS_INLINE uint32_t tally_tag(const tally_table *t, uint64_t hash, uint32_t stream) {
    if (stream != NO_STREAM) {
        hash = hash_mix(hash ^ t->seed.key[1], stream ^ t->seed.key[2]);
    }
    return (uint32_t)(hash >> 32);
}

static inline void tally_index_insert(uint64_t *index, uint32_t mask, uint32_t tag, uint32_t number) {
    uint32_t at = tag & mask;
    while (index[at]) {
        at = (at + 1) & mask;
    }
    index[at] = (uint64_t)tag << 32 | (number + 1);
}

/* Moves every entry into a larger index; `index` is zeroed and has mask + 1 places. */
static inline void tally_index_replace(tally_table *t, uint64_t *index, uint32_t mask) {
    for (uint64_t n = 0; t->index && n <= t->index_mask; n++) {
        if (t->index[n]) {
            tally_index_insert(index, mask, (uint32_t)(t->index[n] >> 32), (uint32_t)t->index[n] - 1);
        }
    }
    t->index = index;
    t->index_mask = mask;
}

/* The direction in `entry` of what one end sends to the other, or -1 when it is between other ends. */
ALWAYS_INLINE int tally_match(const tally_entry *entry, const uint8_t source[16], uint32_t source_port,
                              const uint8_t destination[16], uint32_t destination_port, uint32_t stream) {
    if (UNLIKELY(entry->stream != stream)) {
        return -1;
    }
    if (entry->source_port == source_port && entry->destination_port == destination_port &&
        memcmp(entry->source, source, 16) == 0 && memcmp(entry->destination, destination, 16) == 0) {
        return 0;
    }
    if (entry->source_port == destination_port && entry->destination_port == source_port &&
        memcmp(entry->source, destination, 16) == 0 && memcmp(entry->destination, source, 16) == 0) {
        return 1;
    }
    return -1;
}

/* The entry of two ends, and the direction in it of what the first one sends; NULL when there is none yet. */
ALWAYS_INLINE tally_entry *tally_find(const tally_table *t, uint32_t tag, const uint8_t source[16],
                                      uint32_t source_port, const uint8_t destination[16], uint32_t destination_port,
                                      uint32_t stream, int *way) {
    for (uint32_t at = tag & t->index_mask; t->index[at]; at = (at + 1) & t->index_mask) {
        if (LIKELY(t->index[at] >> 32 == tag)) {
            tally_entry *entry = tally_at(t, (uint32_t)t->index[at] - 1);
            *way = tally_match(entry, source, source_port, destination, destination_port, stream);
            if (LIKELY(*way >= 0)) {
                return entry;
            }
        }
    }
    return NULL;
}

/* Makes an entry, or counts it to the others where there is no room. */
static inline void tally_insert(tally_table *t, const tally_entry *one, uint32_t tag) {
    if (UNLIKELY(t->count == t->capacity)) {
        t->other_packets += one->packets[0] + one->packets[1];
        t->other_bytes += one->bytes[0] + one->bytes[1];
        return;
    }
    *tally_at(t, t->count) = *one;
    tally_index_insert(t->index, t->index_mask, tag, t->count);
    t->count++;
}

/* Adds what another table counted between two ends, which may have seen them earlier. */
static inline void tally_add(tally_table *t, const tally_entry *one) {
    const uint32_t tag = tally_tag(t, tally_hash(t, one), one->stream);
    int way = 0;
    tally_entry *entry = tally_find(t, tag, one->source, one->source_port, one->destination, one->destination_port,
                                    one->stream, &way);
    if (entry == NULL) {
        tally_insert(t, one, tag);
        return;
    }
    tally_entry sum = one->first < entry->first ? *one : *entry; /* its source is who sent first */
    const int one_way = one->first < entry->first ? 0 : way, entry_way = one->first < entry->first ? way : 0;
    for (int n = 0; n < 2; n++) {
        sum.packets[n] = one->packets[n ^ one_way] + entry->packets[n ^ entry_way];
        sum.bytes[n] = one->bytes[n ^ one_way] + entry->bytes[n ^ entry_way];
    }
    sum.first_time = one->first_time < entry->first_time ? one->first_time : entry->first_time;
    sum.last_time = one->last_time > entry->last_time ? one->last_time : entry->last_time;
    *entry = sum;
}

/* Whether `count` more entries may be made, or none can be and what is new goes to the others. */
ALWAYS_INLINE int tally_has_room(const tally_table *t, uint32_t count) {
    return t->full || t->capacity - t->count >= count;
}

/* Adds entries[*from…count), of another table or of tally_ends(); and returns 0 where it
 * wants room, with *from where to go on. */
static inline int tally_take(tally_table *t, const tally_entry *entries, uint32_t count, uint32_t *from) {
    for (; *from < count; (*from)++) {
        if (!tally_has_room(t, 1)) {
            return 0;
        }
        tally_add(t, &entries[*from]);
    }
    return 1;
}

/* Adds both ends of each of entries[*from…count), which are in the order in which they were first seen: then so are the
 * ends. An end is an entry without destination, whose directions are what it sent and what it got. */
static inline int tally_ends(tally_table *t, const tally_entry *entries, uint32_t count, uint32_t *from) {
    for (; *from < count; (*from)++) {
        if (!tally_has_room(t, 2)) {
            return 0;
        }
        for (int way = 0; way < 2; way++) {
            tally_entry end = entries[*from];
            memcpy(end.source, way ? entries[*from].destination : entries[*from].source, 16);
            end.source_port = way ? end.destination_port : end.source_port;
            memset(end.destination, 0, 16);
            end.destination_port = 0;
            end.stream = NO_STREAM;
            end.packets[0] = entries[*from].packets[way];
            end.packets[1] = entries[*from].packets[!way];
            end.bytes[0] = entries[*from].bytes[way];
            end.bytes[1] = entries[*from].bytes[!way];
            tally_add(t, &end);
        }
    }
    return 1;
}

#endif
