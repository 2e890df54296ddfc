/* How conversations end, are claimed and let go, and what is handed out of them when. */
#ifndef SPANLINE_PAYLOAD_ENDS_H
#define SPANLINE_PAYLOAD_ENDS_H

#include "payload_order.h"

enum { EARLY_BYTES = 512 }; /* of both sides together: enough to look at them for the first time */
#define EARLY_TIME 1000000000LL /* ns: or when the first byte is as old as that */

/* Forgets what was kept of a conversation, and takes no more. */
static inline void payload_ignore(payload_table *t, payload_record *r) {
    payload_wait_no_more(t, r);
    log_drop(t, r);
    waiting_drop_all(t, &r->way[0]);
    waiting_drop_all(t, &r->way[1]);
    r->bits = (uint16_t)((r->bits | PAYLOAD_IGNORED) & ~PAYLOAD_CLAIMED);
}

/* Whether a record that is out of the index can be free at once: nobody is told of it any more. */
ALWAYS_INLINE int payload_is_over(const payload_record *r) {
    return (r->bits & PAYLOAD_DETACHED) && (r->bits & PAYLOAD_IGNORED) &&
           !(r->bits & (PAYLOAD_IN_DUE | PAYLOAD_IN_CHANCE | PAYLOAD_IN_PIECES));
}

/* The heads of both sides are to be handed out for the last time, and after a chance to claim them no more is kept. */
static inline void payload_finalise(payload_table *t, uint32_t slot) {
    payload_record *r = payload_at(t, slot);
    r->way[0].bits |= WAY_FINAL;
    r->way[1].bits |= WAY_FINAL;
    payload_wait_no_more(t, r);
    payload_put(t, &t->due, PAYLOAD_IN_DUE, slot);
}

/* Nothing more comes. */
static inline void payload_end(payload_table *t, uint32_t slot) {
    payload_record *r = payload_at(t, slot);
    if (r->bits & PAYLOAD_ENDED) {
        return;
    }
    r->bits |= PAYLOAD_ENDED;
    if (r->bits & PAYLOAD_IGNORED) {
        return;
    }
    for (int way = 0; way < 2; way++) {
        payload_way *d = &r->way[way];
        waiting_finish(t, r, way);
        if (d->gap && log_room(t, d)) { /* missing at the end */
            const payload_arrival nothing = {{NULL, 0}, 0, 0, r->first_seen, 0};
            log_append(t, r, way, &nothing, 0, nothing.bytes);
        }
    }
    if (r->bits & PAYLOAD_CLAIMED) {
        payload_put(t, &t->pieces, PAYLOAD_IN_PIECES, slot);
    } else if (r->log_bytes) {
        payload_finalise(t, slot);
    } else if (!(r->bits & PAYLOAD_IN_CHANCE)) {
        payload_ignore(t, r);
    }
}

/* Another connection takes the place of this one, or the record is wanted. */
static inline void payload_detach(payload_table *t, uint32_t slot) {
    payload_record *r = payload_at(t, slot);
    payload_end(t, slot);
    hash_index_remove(t->index, t->index_mask, payload_record_tag(t, r), slot);
    r->bits |= PAYLOAD_DETACHED;
    t->detached++;
    if (payload_is_over(r)) {
        payload_free(t, slot);
    }
}

/* Nobody wanted what the other side said of those of which one side was handed out: what is still there goes. */
static inline void pieces_settle(payload_table *t) {
    uint32_t left = 0;
    for (uint32_t n = 0; n < t->pieces.count; n++) {
        const uint32_t slot = t->pieces.slots[n];
        payload_record *r = payload_at(t, slot);
        if (!r->held) {
            t->pieces.slots[left++] = slot;
            continue;
        }
        r->held = 0;
        log_pass(t, r);
        r->bits &= (uint16_t)~PAYLOAD_IN_PIECES;
        if (payload_is_over(r)) {
            payload_free(t, slot);
        }
    }
    t->pieces.count = left;
}

/* Whoever had the chance to claim what was handed out, and did not, does not want it. */
static inline void payload_settle(payload_table *t) {
    pieces_settle(t);
    const uint32_t count = t->chance.count;
    t->chance.count = 0;
    t->promised = 0;
    t->is_full = 0;
    for (uint32_t n = 0; n < count; n++) {
        const uint32_t slot = t->chance.slots[n];
        payload_record *r = payload_at(t, slot);
        r->bits &= (uint16_t)~PAYLOAD_IN_CHANCE;
        if ((r->bits & PAYLOAD_TOLD) || ((r->bits & PAYLOAD_ENDED) && !(r->bits & PAYLOAD_CLAIMED))) {
            payload_ignore(t, r);
        }
        int shorten = 0, closed = 0;
        for (int way = 0; way < 2 && !(r->bits & (PAYLOAD_CLAIMED | PAYLOAD_IGNORED)); way++) {
            payload_way *d = &r->way[way];
            if (d->bits & WAY_GIVEN) {
                d->bits |= WAY_CLOSED;
                shorten |= d->kept > t->head_bytes;
                closed++;
            }
        }
        if (closed == 2) {
            payload_ignore(t, r);
        } else if (shorten) {
            log_shorten(t, r);
        }
        if (payload_is_over(r)) {
            payload_free(t, slot);
        }
    }
}

/* From now on all that a conversation says is handed out, or only what one of its directions does: `listened` is that by
 * number + 1, or 0. */
static inline void payload_claim(payload_table *t, uint32_t slot, uint32_t listened) {
    if (slot >= t->record_count || !(payload_at(t, slot)->bits & PAYLOAD_LIVE)) {
        return;
    }
    payload_record *r = payload_at(t, slot);
    if (!(r->bits & (PAYLOAD_CLAIMED | PAYLOAD_IGNORED))) {
        r->bits |= PAYLOAD_CLAIMED;
        r->listened = listened <= 2 ? (uint8_t)listened : 0;
        r->way[0].bits &= (uint8_t)~WAY_CLOSED;
        r->way[1].bits &= (uint8_t)~WAY_CLOSED;
        payload_wait_no_more(t, r);
        payload_put(t, &t->pieces, PAYLOAD_IN_PIECES, slot);
    }
}

/* From now on both directions are handed out, beginning once more with what the last pieces were of. */
static inline void payload_wake(payload_table *t, uint32_t slot) {
    if (slot < t->record_count && (payload_at(t, slot)->bits & (PAYLOAD_LIVE | PAYLOAD_CLAIMED)) ==
                                      (PAYLOAD_LIVE | PAYLOAD_CLAIMED)) {
        payload_record *r = payload_at(t, slot);
        r->listened = r->held = 0;
        payload_put(t, &t->pieces, PAYLOAD_IN_PIECES, slot);
    }
}

/* Forgets a conversation's payload, and what is still to come. */
static inline void payload_release(payload_table *t, uint32_t slot) {
    if (slot < t->record_count && (payload_at(t, slot)->bits & PAYLOAD_LIVE)) {
        payload_ignore(t, payload_at(t, slot));
        payload_put(t, &t->chance, PAYLOAD_IN_CHANCE, slot);
    }
}

/* What more of a conversation brings about. */
ALWAYS_INLINE void payload_progress(payload_table *t, payload_record *r, uint32_t slot, int64_t now) {
    if (r->bits & PAYLOAD_CLAIMED) {
        payload_put(t, &t->pieces, PAYLOAD_IN_PIECES, slot);
        if (UNLIKELY(!log_room(t, &r->way[0]) && !log_room(t, &r->way[1]))) {
            payload_end(t, slot);
        }
        return;
    }
    for (int way = 0; way < 2; way++) {
        payload_way *d = &r->way[way];
        if (UNLIKELY(d->kept >= t->head_bytes && !(d->bits & WAY_FINAL))) {
            d->bits |= WAY_FINAL;
            payload_put(t, &t->due, PAYLOAD_IN_DUE, slot);
        }
    }
    if (UNLIKELY(!(r->bits & PAYLOAD_EARLY)) && r->log_bytes) {
        if (!(r->bits & PAYLOAD_WAITS)) {
            r->first_payload = now;
            payload_wait(t, r, slot);
        }
        if (r->way[0].kept && r->way[1].kept && r->log_bytes >= EARLY_BYTES) {
            payload_wait_no_more(t, r);
            r->bits |= PAYLOAD_EARLY_DUE;
            payload_put(t, &t->due, PAYLOAD_IN_DUE, slot);
        }
    }
}

/* Heads that are old enough to be handed out early. A clock that is set forth or back is no reason to wait. */
ALWAYS_INLINE void payload_tick(payload_table *t, int64_t now) {
    while (t->waits_first) {
        const uint32_t slot = t->waits_first - 1;
        payload_record *r = payload_at(t, slot);
        const int64_t age = time_between(r->first_payload, now);
        if (LIKELY(age < EARLY_TIME && age > -EARLY_TIME)) {
            return;
        }
        payload_wait_no_more(t, r);
        r->bits |= PAYLOAD_EARLY_DUE;
        payload_put(t, &t->due, PAYLOAD_IN_DUE, slot);
    }
}

/* How long ago each conversation was used, by the table's clock; 0 for those that cannot be given up. To free blocks, a
 * conversation has to have some, and nobody to have claimed it. Returns how many of them there are. */
static inline uint32_t payload_ages(const payload_table *t, int for_blocks, uint32_t *ages) {
    uint32_t count = 0;
    for (uint32_t slot = 0; slot < t->record_count; slot++) {
        const payload_record *r = payload_at(t, slot);
        uint32_t is_one = (r->bits & PAYLOAD_LIVE) && !(r->bits & PAYLOAD_DETACHED);
        if (for_blocks) {
            is_one = is_one && r->log.count && !(r->bits & (PAYLOAD_CLAIMED | PAYLOAD_EVICTED));
        }
        ages[slot] = is_one ? t->clock - r->used + 1 : 0;
        count += is_one;
    }
    return count;
}

/* Gives up conversations of at least that age: what was not handed out of them is, and then their memory is free. */
static inline void payload_evict(payload_table *t, int for_blocks, const uint32_t *ages, uint32_t age) {
    for (uint32_t slot = 0, count = t->record_count; slot < count; slot++) {
        if (ages[slot] == 0 || ages[slot] < age) {
            continue;
        }
        payload_record *r = payload_at(t, slot);
        const uint32_t is_wanted = !(r->bits & PAYLOAD_IGNORED);
        t->counters.evicted += is_wanted;
        r->bits |= is_wanted ? PAYLOAD_EVICTED : 0;
        if (for_blocks) {
            waiting_finish(t, r, 0);
            waiting_finish(t, r, 1);
            r->way[0].bits |= WAY_CLOSED;
            r->way[1].bits |= WAY_CLOSED;
            t->promised += r->log.count;
            payload_finalise(t, slot);
        } else {
            payload_detach(t, slot);
        }
    }
}

#endif
