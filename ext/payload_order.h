/* Puts the segments of one direction of a TCP connection in order. What comes before its turn waits, up to MAX_WAITING;
 * of bytes that come twice the first copy counts.
 *
 * specification: RFC 9293 section 3.4 (sequence numbers)
 */
#ifndef SPANLINE_PAYLOAD_ORDER_H
#define SPANLINE_PAYLOAD_ORDER_H

#include "payload_log.h"

#ifndef MAX_WAITING /* less makes the ends of things come soon: for fuzzing */
#define MAX_WAITING 64
#define MAX_WAITING_BYTES (64 * 1024)
#endif

enum {
    FAR_PAYLOAD = 1 << 30, /* no segment of the connection has a sequence number so far off */
    /* Blocks that may be needed at once beside those of the segment itself: what waits goes to the log, which may begin a
     * block more for each of its segments. */
    WAITING_BLOCKS = 2 * (MAX_WAITING_BYTES / PAYLOAD_BLOCK_BYTES + 2 * MAX_WAITING) + 8,
};
#define HOLE_TIME 100000000LL /* ns: a hole that the receiver acknowledged is given up after that */

/* A segment that waits: its chain of blocks begins with this. */
typedef struct {
    int64_t time;
    uint64_t frame;
    uint32_t seq;
    uint32_t wire;
    uint32_t captured;
    uint32_t flags;
    uint32_t next; /* by sequence number: its first block */
    uint32_t blocks;
} waiting_segment;
STATIC_ASSERT(sizeof(waiting_segment) == 40, "waiting_segment");

ALWAYS_INLINE waiting_segment waiting_at(const payload_table *t, uint32_t block) {
    waiting_segment segment;
    memcpy(&segment, payload_block_at(&t->pool, block)->bytes, sizeof segment);
    return segment;
}

ALWAYS_INLINE void waiting_set(payload_table *t, uint32_t block, const waiting_segment *segment) {
    memcpy(payload_block_at(&t->pool, block)->bytes, segment, sizeof *segment);
}

/* The part of an arrival from its byte `from` up to `to`. */
static inline payload_arrival arrival_part(const payload_arrival *a, uint32_t from, uint32_t to) {
    payload_arrival part = *a;
    const uint32_t length = a->bytes.length;
    const uint32_t first = from < length ? from : length, last = to < length ? to : length;
    if (length) {
        part.bytes.data = a->bytes.data + first;
    }
    part.bytes.length = last - first;
    part.wire = to - from;
    return part;
}

/* Bytes that came in order: they go to the log as far as they are kept. */
static inline void order_deliver(payload_table *t, payload_record *r, int way, const payload_arrival *a) {
    payload_way *d = &r->way[way];
    const uint32_t room = log_room(t, d);
    d->delivered += a->wire;
    d->next += a->wire;
    d->bits &= (uint8_t)~WAY_TENTATIVE;
    if (UNLIKELY(room == 0)) {
        d->gap = saturating_add(d->gap, a->wire);
        t->counters.beyond += a->wire;
        r->bits |= PAYLOAD_LIMIT;
        return;
    }
    uint32_t kept = a->bytes.length, done = 0;
    if (UNLIKELY(kept > room)) {
        t->counters.beyond += kept - room;
        r->bits |= PAYLOAD_LIMIT;
        kept = room;
    }
    const int is_cut = a->bytes.length < a->wire;
    while (done < kept) { /* in more than one entry when it is longer than MAX_ENTRY */
        const bytes_view rest = {a->bytes.data + done, kept - done};
        const uint32_t count = log_append(t, r, way, a, is_cut ? PIECE_CUT : 0, rest);
        if (UNLIKELY(count == 0)) {
            break;
        }
        done += count;
    }
    if (UNLIKELY(done < a->wire)) {
        d->gap = saturating_add(d->gap, a->wire - done);
        if (is_cut || done < kept) {
            t->counters.gaps++;
            t->counters.missing += a->wire - done;
        }
    }
}

/* Takes the first segment that waits out of its room. */
static inline void waiting_drop(payload_table *t, payload_way *d, const waiting_segment *first) {
    payload_chain chain = {d->waiting, d->waiting, 0, first->blocks};
    for (uint32_t next; (next = payload_block_at(&t->pool, chain.last)->next) != 0;) {
        chain.last = next;
    }
    d->waiting = first->next;
    d->waiting_bytes -= first->wire;
    d->waiting_blocks -= first->blocks;
    d->waiting_count--;
    chain_release(&t->pool, &chain);
}

static inline void waiting_drop_all(payload_table *t, payload_way *d) {
    while (d->waiting) {
        const waiting_segment first = waiting_at(t, d->waiting);
        waiting_drop(t, d, &first);
    }
}

/* Delivers the first segment that waits, whose turn it is. */
static inline void waiting_deliver(payload_table *t, payload_record *r, int way) {
    payload_way *d = &r->way[way];
    const waiting_segment first = waiting_at(t, d->waiting);
    payload_chain chain = {d->waiting, d->waiting, 0, first.blocks};
    payload_reader reader = chain_reader(&t->pool, &chain);
    waiting_segment head;
    uint8_t bytes[MAX_WAITING_BYTES];
    payload_arrival a = {{bytes, 0}, first.wire, first.flags, first.time, first.frame};
    if (chain_read_head(&reader, &head, sizeof head)) {
        a.bytes.length = chain_take(&reader, bytes, first.captured < sizeof bytes ? first.captured : sizeof bytes);
    }
    waiting_drop(t, d, &first);
    order_deliver(t, r, way, &a);
}

/* Passes over what is missing before `seq`. */
static inline void order_skip(payload_table *t, payload_way *d, uint32_t seq) {
    log_miss(t, d, seq - d->next);
    d->delivered += seq - d->next;
    d->next = seq;
    d->bits &= (uint8_t)~WAY_TENTATIVE;
}

/* What is missing before the first segment that waits will not come. */
static inline void hole_give_up(payload_table *t, payload_record *r, int way) {
    payload_way *d = &r->way[way];
    order_skip(t, d, waiting_at(t, d->waiting).seq);
}

/* Delivers what waits and has its turn now. */
static inline void waiting_continue(payload_table *t, payload_record *r, int way) {
    payload_way *d = &r->way[way];
    while (d->waiting && waiting_at(t, d->waiting).seq == d->next) {
        waiting_deliver(t, r, way);
    }
    if (d->waiting) {
        d->hole_time = waiting_at(t, d->waiting).time;
    }
}

/* Everything that waits is delivered, with what is missing between. */
static inline void waiting_finish(payload_table *t, payload_record *r, int way) {
    while (r->way[way].waiting) {
        hole_give_up(t, r, way);
        waiting_continue(t, r, way);
    }
}

/* Puts a segment before `next` in the room, behind `previous` or first. 0 when there are no blocks. */
static inline int waiting_insert(payload_table *t, payload_way *d, uint32_t previous, uint32_t next, uint32_t seq,
                                 const payload_arrival *a) {
    payload_chain chain = {0, 0, 0, 0};
    waiting_segment segment = {a->time, a->frame, seq, a->wire, a->bytes.length, a->flags, next, 0};
    if (chain_room(&t->pool, &chain) < (uint64_t)a->bytes.length + sizeof segment + PAYLOAD_BLOCK_BYTES) {
        return 0;
    }
    chain_write_head(&t->pool, &chain, &segment, sizeof segment);
    chain_write(&t->pool, &chain, a->bytes);
    segment.blocks = chain.count;
    waiting_set(t, chain.first, &segment);
    if (previous) {
        waiting_segment before = waiting_at(t, previous);
        before.next = chain.first;
        waiting_set(t, previous, &before);
    } else {
        d->waiting = chain.first;
    }
    d->waiting_count++;
    d->waiting_bytes += segment.wire;
    d->waiting_blocks += segment.blocks;
    return 1;
}

/* Whether the segment that waits at `block` has other bytes than the arrival, which begins at `seq`. */
static inline int waiting_differs(const payload_table *t, const waiting_segment *w, uint32_t block, uint32_t seq,
                                  const payload_arrival *a) {
    const payload_chain chain = {block, block, 0, w->blocks};
    payload_reader reader = chain_reader(&t->pool, &chain);
    waiting_segment head;
    int32_t at = (int32_t)(w->seq - seq); /* of the next byte that waits, in the arrival */
    chain_read_head(&reader, &head, sizeof head);
    for (uint32_t left = w->captured; left;) {
        const bytes_view kept = chain_read(&reader, left);
        if (kept.length == 0) {
            return 0;
        }
        for (uint32_t n = 0; n < kept.length; n++, at++) {
            if (at >= 0 && (uint32_t)at < a->bytes.length && kept.data[n] != a->bytes.data[at]) {
                return 1;
            }
        }
        left -= kept.length;
    }
    return 0;
}

static inline void note_overlap(payload_table *t, payload_arrival *a, int differs) {
    t->counters.overlaps += !(a->flags & PIECE_OVERLAP);
    t->counters.conflicts += differs && !(a->flags & PIECE_CONFLICT);
    a->flags |= PIECE_OVERLAP | (differs ? PIECE_CONFLICT : 0U);
}

/* The arrival, which begins at `seq` behind a hole, waits: those parts of it that do not wait already. */
static inline void order_wait(payload_table *t, payload_record *r, int way, uint32_t seq, payload_arrival a) {
    payload_way *d = &r->way[way];
    if (d->waiting == 0) {
        d->hole_time = a.time;
    }
    a.bytes.length = log_room(t, d) ? a.bytes.length : 0; /* when the connection ends depends on the order even so */
    uint32_t at = 0, previous = 0, block = d->waiting;
    while (block && at < a.wire) {
        const waiting_segment w = waiting_at(t, block);
        const int32_t before = (int32_t)(w.seq - (seq + at)), behind = (int32_t)(w.seq + w.wire - (seq + at));
        if (before > 0 && d->waiting_count < MAX_WAITING) {
            const uint32_t left = a.wire - at, until = at + ((uint32_t)before < left ? (uint32_t)before : left);
            const payload_arrival part = arrival_part(&a, at, until);
            if (!waiting_insert(t, d, previous, block, seq + at, &part)) {
                return;
            }
            at = until;
        }
        if (behind > 0 && at < a.wire) {
            note_overlap(t, &a, waiting_differs(t, &w, block, seq, &a));
            at = (uint32_t)((int32_t)(w.seq + w.wire - seq));
        }
        previous = block;
        block = w.next;
    }
    if (at < a.wire && d->waiting_count < MAX_WAITING) {
        const payload_arrival part = arrival_part(&a, at, a.wire);
        waiting_insert(t, d, previous, block, seq + at, &part);
    }
}

/* What repeats bytes that were delivered: it is compared with what is still kept of them. A keep-alive's byte says
 * nothing. */
static inline int order_differs(const payload_table *t, const payload_record *r, int way, uint32_t seq,
                                const payload_arrival *a) {
    const payload_way *d = &r->way[way];
    const uint32_t back = d->next - seq;
    return a->wire > 1 && a->bytes.length && back <= d->delivered &&
           log_differs(t, r, way, d->delivered - back, a->bytes);
}

/* Makes room for `length` bytes that begin at `seq`, behind a hole: as long as there is too little, the hole is given up.
 * Returns how far they are ahead then. */
static inline int32_t order_make_room(payload_table *t, payload_record *r, int way, uint32_t seq, uint32_t length) {
    payload_way *d = &r->way[way];
    int32_t ahead = sequence_difference(seq, d->next);
    while (ahead > 0 && (d->waiting_count + 2 > MAX_WAITING || d->waiting_bytes + length > MAX_WAITING_BYTES)) {
        if (d->waiting == 0 || sequence_difference(seq, waiting_at(t, d->waiting).seq) < 0) {
            order_skip(t, d, seq);
            return 0;
        }
        hole_give_up(t, r, way);
        waiting_continue(t, r, way);
        ahead = sequence_difference(seq, d->next);
    }
    return ahead;
}

/* A segment from `seq` on that is not just what comes next. */
static inline void order_sort_in(payload_table *t, payload_record *r, int way, uint32_t seq, payload_arrival a) {
    payload_way *d = &r->way[way];
    int32_t ahead = sequence_difference(seq, d->next);
    if (UNLIKELY((d->bits & WAY_TENTATIVE) && d->delivered == 0 && d->waiting == 0 &&
                 (ahead == 1 || (ahead < 0 && a.wire > 1)))) {
        d->base = d->next = seq; /* a keep-alive was one too low, or a segment that came late says where it began */
        ahead = 0;
    }
    if (UNLIKELY(ahead > 0)) {
        ahead = order_make_room(t, r, way, seq, a.wire);
    }
    if (UNLIKELY(ahead < 0)) {
        const uint32_t back = (uint32_t)-ahead, old = back < a.wire ? back : a.wire;
        const payload_arrival again = arrival_part(&a, 0, old);
        const int differs = order_differs(t, r, way, seq, &again);
        t->counters.retransmitted += old;
        if (old == a.wire) {
            if (differs) {
                t->counters.conflicts++;
                d->marks |= PIECE_CONFLICT;
            }
            return;
        }
        note_overlap(t, &a, differs);
        a = arrival_part(&a, old, a.wire);
        seq = d->next;
    } else if (UNLIKELY(ahead > 0)) {
        order_wait(t, r, way, seq, a);
        return;
    }
    while (UNLIKELY(d->waiting != 0) && a.wire) { /* the copy that waits came first */
        const waiting_segment w = waiting_at(t, d->waiting);
        const uint32_t before = w.seq - d->next;
        if (before >= a.wire) {
            break;
        }
        const payload_arrival part = arrival_part(&a, 0, before);
        note_overlap(t, &a, waiting_differs(t, &w, d->waiting, d->next, &a));
        if (before) {
            order_deliver(t, r, way, &part);
        }
        waiting_deliver(t, r, way);
        const uint32_t gone = before + w.wire < a.wire ? before + w.wire : a.wire;
        a = arrival_part(&a, gone, a.wire);
    }
    if (a.wire) {
        order_deliver(t, r, way, &a);
    }
    waiting_continue(t, r, way);
}

/* A segment with `a->wire` bytes from `seq` on. */
ALWAYS_INLINE void order_take(payload_table *t, payload_record *r, int way, uint32_t seq, const payload_arrival *a) {
    const payload_way *d = &r->way[way];
    if (LIKELY(seq == d->next && d->waiting == 0)) {
        order_deliver(t, r, way, a);
    } else {
        order_sort_in(t, r, way, seq, *a);
    }
}

/* The first that is known of where a direction begins. */
ALWAYS_INLINE void order_start(payload_way *d, uint32_t base, uint32_t bits) {
    if (UNLIKELY(!(d->bits & WAY_BASE))) {
        d->base = d->next = d->acked = d->opening = base;
        d->bits = (uint8_t)(d->bits | WAY_BASE | bits);
    }
}

/* The side that the direction goes to asks for what comes from `ack` on. */
ALWAYS_INLINE void order_acknowledge(payload_way *d, uint32_t ack) {
    const int32_t ahead = sequence_difference(ack, d->acked);
    d->acked = ahead > 0 && ahead < FAR_PAYLOAD ? ack : d->acked;
}

/* A hole that the receiver does not have, or that it had and we did not see, is given up. */
static inline void order_tick(payload_table *t, payload_record *r, int way, int64_t now) {
    payload_way *d = &r->way[way];
    if (LIKELY(d->waiting == 0)) {
        return;
    }
    while (d->waiting && time_between(d->hole_time, now) >= HOLE_TIME &&
           sequence_difference(d->acked, waiting_at(t, d->waiting).seq) >= 0) {
        hole_give_up(t, r, way);
        waiting_continue(t, r, way);
    }
}

#endif
