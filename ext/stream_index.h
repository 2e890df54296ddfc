/* The stream table's memory: slabs of records that never move, and the index that finds them by the ends of a stream. The
 * caller owns all memory and gives more when asked.
 */
#ifndef SPANLINE_STREAM_INDEX_H
#define SPANLINE_STREAM_INDEX_H

#include "hash.h"
#include "hash_index.h"
#include "stream_record.h"

#ifndef STREAM_SLAB_BITS /* fewer make the ends of a table come soon: for fuzzing */
#define STREAM_SLAB_BITS 14
#endif

enum {
    STREAM_SLAB_RECORDS = 1 << STREAM_SLAB_BITS,
    STREAM_CLOCK_PACKETS = 1024,
};

typedef struct {
    hash_seed seed;
    stream_record **slabs;
    uint32_t slab_count;
    uint32_t free_first;   /* list of free records, by number + 1 */
    uint32_t record_count; /* records ever used */
    uint32_t live;
    uint64_t *index; /* tag << 32 | record number + 1; 0 is empty */
    uint32_t index_mask;
    uint32_t clock;      /* goes on by one every STREAM_CLOCK_PACKETS: who was used when */
    uint32_t numbers[2]; /* the next stream's: TCP, UDP */
    uint32_t hand;       /* the next record whose unacknowledged segments are forgotten */
    uint64_t packets;
    uint64_t evicted;   /* streams that were forgotten for others */
    uint64_t forgotten; /* unacknowledged segments */
    segment_pool segments;
} stream_table;

/* The ends of a packet as a stream's key has them. */
typedef struct {
    const uint8_t *source; /* 16 bytes */
    const uint8_t *destination;
    uint16_t source_port;
    uint16_t destination_port;
    uint8_t protocol;
} stream_ends;

ALWAYS_INLINE stream_record *stream_at(const stream_table *t, uint32_t slot) {
    return &t->slabs[slot >> STREAM_SLAB_BITS][slot & (STREAM_SLAB_RECORDS - 1)];
}

/* The direction of a packet between these ends in the stream, or -1 when it is not of it. */
ALWAYS_INLINE int stream_match(const stream_record *stream, const stream_ends *ends) {
    if (UNLIKELY(stream->protocol != ends->protocol || !(stream->bits & STREAM_LIVE))) {
        return -1;
    }
    if (stream->source_port == ends->source_port && stream->destination_port == ends->destination_port &&
        same_address(stream->source, ends->source) && same_address(stream->destination, ends->destination)) {
        return 0;
    }
    if (stream->source_port == ends->destination_port && stream->destination_port == ends->source_port &&
        same_address(stream->source, ends->destination) && same_address(stream->destination, ends->source)) {
        return 1;
    }
    return -1;
}

static inline uint32_t stream_tag(const stream_table *t, const stream_record *stream) {
    return (uint32_t)(key_hash(&t->seed, stream->source, stream->source_port, stream->destination,
                               stream->destination_port, stream->protocol) >> 32);
}

ALWAYS_INLINE void stream_index_insert(stream_table *t, uint32_t tag, uint32_t slot) {
    hash_index_insert(t->index, t->index_mask, tag, slot);
}

/* Moves every entry into a larger index; `index` is zeroed and has mask + 1 entries. */
static inline void stream_index_replace(stream_table *t, uint64_t *index, uint32_t mask) {
    hash_index_copy(t->index, t->index_mask, index, mask);
    t->index = index;
    t->index_mask = mask;
}

ALWAYS_INLINE int stream_has_room(const stream_table *t) {
    return t->free_first || t->record_count < t->slab_count << STREAM_SLAB_BITS;
}

/* The slot of a record for a new stream; there is a free one. */
static inline uint32_t stream_take(stream_table *t) {
    t->live++;
    if (t->free_first) {
        uint32_t slot = t->free_first - 1;
        t->free_first = stream_at(t, slot)->number;
        return slot;
    }
    return t->record_count++;
}

/* Forgets what the stream's ends sent and was not acknowledged. */
static inline uint32_t stream_forget_segments(stream_table *t, stream_record *stream) {
    segment_list *one = &stream->direction[0].sent, *other = &stream->direction[1].sent;
    const uint32_t count = (uint32_t)one->count + other->count;
    segments_drop(&t->segments, one, one->count);
    segments_drop(&t->segments, other, other->count);
    return count;
}

static inline void stream_release(stream_table *t, uint32_t slot) {
    stream_record *stream = stream_at(t, slot);
    hash_index_remove(t->index, t->index_mask, stream_tag(t, stream), slot);
    stream_forget_segments(t, stream);
    stream->bits = 0;
    stream->number = t->free_first;
    t->free_first = slot + 1;
    t->live--;
}

/* Ends the streams that were last used `age` ago or earlier, by the table's clock. */
static inline void streams_evict(stream_table *t, uint32_t age) {
    for (uint32_t slot = 0; slot < t->record_count; slot++) {
        const stream_record *stream = stream_at(t, slot);
        if ((stream->bits & STREAM_LIVE) && t->clock - stream->used >= age) {
            stream_release(t, slot);
            t->evicted++;
        }
    }
}

/* Makes room in the pool: the next stream that has any forgets its segments. All blocks are taken. */
static inline void streams_forget_some(stream_table *t) {
    while (!segments_have_room(&t->segments)) {
        t->hand = t->hand < t->record_count ? t->hand : 0;
        stream_record *stream = stream_at(t, t->hand++);
        if (stream->bits & STREAM_LIVE) {
            t->forgotten += stream_forget_segments(t, stream);
        }
    }
}

#endif
