/* Segments that were sent and not acknowledged yet, of all streams, in one pool.
 *
 * The list of one direction is a chain of blocks, one cache line each, oldest segment first; all blocks but the first and
 * the last are full. Mostly sequence numbers go up along a list, and an acknowledgment then looks only at what it
 * acknowledges.
 */
#ifndef SPANLINE_SEGMENTS_H
#define SPANLINE_SEGMENTS_H

#include "flow_record.h"

enum {
    BLOCK_SEGMENTS = 3,
    MAX_SEGMENTS = 10000,      /* of one direction; Wireshark stores no more either */
    SORTED_STEP = 0x20000,     /* MAX_SEGMENTS steps of this size stay on one half of the circle of numbers */
    MAX_SEGMENTS_MOVED = 16,
};

typedef struct {
    uint32_t seq;
    uint32_t next; /* the sequence number behind it */
    int64_t time;
} sent_segment;

typedef struct {
    sent_segment segments[BLOCK_SEGMENTS];
    uint32_t following; /* block; when free, the next free one by number + 1 */
    uint32_t reserved[3];
} segment_block;
STATIC_ASSERT(sizeof(segment_block) == 64, "segment_block");

typedef struct {
    segment_block *blocks;
    uint32_t capacity;
    uint32_t used;       /* blocks ever used */
    uint32_t free_first; /* by number + 1 */
    uint32_t taken;
} segment_pool;

/* The list of one direction. */
typedef struct {
    uint32_t first; /* block */
    uint32_t last;
    uint16_t count;
    uint8_t start;    /* place of the oldest segment in the first block */
    uint8_t unsorted; /* sequence numbers do not go up everywhere */
} segment_list;
STATIC_ASSERT(sizeof(segment_list) == 12, "segment_list");

/* A place in a list. */
typedef struct {
    uint32_t block;
    uint32_t at;
} segment_place;

ALWAYS_INLINE segment_place segments_first(const segment_list *l) {
    const segment_place place = {l->first, l->start};
    return place;
}

ALWAYS_INLINE sent_segment *segment_at(const segment_pool *p, segment_place place) {
    return &p->blocks[place.block].segments[place.at];
}

/* To the next place; the caller knows that there is a segment or that none is asked for. */
ALWAYS_INLINE void segments_step(const segment_pool *p, segment_place *place) {
    if (++place->at == BLOCK_SEGMENTS) {
        place->at = 0;
        place->block = p->blocks[place->block].following;
    }
}

ALWAYS_INLINE int segments_have_room(const segment_pool *p) { return p->free_first || p->used < p->capacity; }

ALWAYS_INLINE uint32_t block_take(segment_pool *p) {
    p->taken++;
    if (p->free_first) {
        const uint32_t number = p->free_first - 1;
        p->free_first = p->blocks[number].following;
        return number;
    }
    return p->used++;
}

ALWAYS_INLINE void block_release(segment_pool *p, uint32_t number) {
    p->blocks[number].following = p->free_first;
    p->free_first = number + 1;
    p->taken--;
}

/* Puts a segment at the end, unless the list is full; the pool has room. */
ALWAYS_INLINE void segments_add(segment_pool *p, segment_list *l, uint32_t seq, uint32_t next, int64_t time) {
    if (UNLIKELY(l->count == MAX_SEGMENTS)) {
        return;
    }
    uint32_t at = (l->start + (uint32_t)l->count) % BLOCK_SEGMENTS;
    if (l->count == 0) {
        l->first = l->last = block_take(p);
        l->start = l->unsorted = 0;
        at = 0;
    } else {
        const uint32_t before = (at ? at : BLOCK_SEGMENTS) - 1;
        l->unsorted |= seq - p->blocks[l->last].segments[before].seq > SORTED_STEP;
        if (at == 0) {
            const uint32_t number = block_take(p);
            p->blocks[l->last].following = number;
            l->last = number;
        }
    }
    sent_segment *segment = &p->blocks[l->last].segments[at];
    segment->seq = seq;
    segment->next = next;
    segment->time = time;
    l->count++;
}

/* Forgets the oldest `count` segments. */
ALWAYS_INLINE void segments_drop(segment_pool *p, segment_list *l, uint32_t count) {
    const uint32_t left = l->count - count;
    uint32_t at = l->start + count;
    while (at >= BLOCK_SEGMENTS || (left == 0 && at > 0)) {
        const uint32_t number = l->first, gone = at < BLOCK_SEGMENTS ? at : BLOCK_SEGMENTS;
        at -= gone;
        l->first = p->blocks[number].following;
        block_release(p, number);
    }
    l->start = (uint8_t)at;
    l->count = (uint16_t)left;
}

/* Forgets all but the oldest `count` segments, more than one. */
static inline void segments_cut(segment_pool *p, segment_list *l, uint32_t count) {
    uint32_t places = l->start + count, all = l->start + (uint32_t)l->count, number = l->first;
    for (; places > BLOCK_SEGMENTS; places -= BLOCK_SEGMENTS, all -= BLOCK_SEGMENTS) {
        number = p->blocks[number].following;
    }
    l->last = number;
    for (uint32_t beyond = p->blocks[number].following; all > BLOCK_SEGMENTS; all -= BLOCK_SEGMENTS) {
        const uint32_t gone = beyond;
        beyond = p->blocks[gone].following;
        block_release(p, gone);
    }
    l->count = (uint16_t)count;
}

/* Takes out what `ack` acknowledges. Returns when the oldest segment was sent that ends just there, or NO_TIME. Of one
 * that is acknowledged in part the rest stays. */
static inline int64_t segments_acknowledge(segment_pool *p, segment_list *l, uint32_t ack) {
    int64_t sent = NO_TIME;
    segment_place from = segments_first(l), to = from;
    uint32_t n = 0, kept = 0;
    for (; n < l->count; n++, segments_step(p, &from)) {
        sent_segment *segment = segment_at(p, from);
        const int32_t begin = sequence_difference(segment->seq, ack);
        const int32_t end = sequence_difference(ack, segment->next);
        if (begin >= 0 && !l->unsorted && kept <= MAX_SEGMENTS_MOVED) {
            break;
        }
        if (end == 0) {
            sent = sent == NO_TIME ? segment->time : sent;
        } else if (end < 0) {
            segment->seq = begin < 0 ? ack : segment->seq;
            *segment_at(p, to) = *segment;
            segments_step(p, &to);
            kept++;
        }
    }
    if (n == l->count) {
        if (kept == 0) {
            segments_drop(p, l, n);
        } else if (kept < n) {
            segments_cut(p, l, kept);
        }
        return sent;
    }
    sent_segment moved[MAX_SEGMENTS_MOVED + 1];
    segment_place place = segments_first(l);
    for (uint32_t k = 0; k < kept; k++, segments_step(p, &place)) {
        moved[k] = *segment_at(p, place);
    }
    segments_drop(p, l, n - kept);
    place = segments_first(l);
    for (uint32_t k = 0; k < kept; k++, segments_step(p, &place)) {
        *segment_at(p, place) = moved[k];
    }
    return sent;
}

#endif
