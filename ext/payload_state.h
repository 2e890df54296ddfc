/* The table of conversations as plain bytes, to go on elsewhere: its records, each in its slot, and what they keep: block
 * by block the log of each, and then what waits of each direction. Whatever comes back is looked at before it is believed.
 */
#ifndef SPANLINE_PAYLOAD_STATE_H
#define SPANLINE_PAYLOAD_STATE_H

#include "payload_order.h"

/* How many bytes all that is kept takes. */
static inline uint64_t payloads_content(const payload_table *t) {
    return (uint64_t)t->pool.taken * PAYLOAD_BLOCK_BYTES;
}

/* Copies the blocks from `block` on to `to`; returns the place behind them. */
static inline uint8_t *blocks_save(const payload_pool *p, uint32_t block, uint8_t *to) {
    for (; block; block = payload_block_at(p, block)->next, to += PAYLOAD_BLOCK_BYTES) {
        memcpy(to, payload_block_at(p, block)->bytes, PAYLOAD_BLOCK_BYTES);
    }
    return to;
}

/* Copies all records and what they keep; there is room for them. */
static inline void payloads_save(const payload_table *t, payload_record *records, uint8_t *content) {
    for (uint32_t slot = 0; slot < t->record_count; slot++) {
        payload_record *r = &records[slot];
        *r = *payload_at(t, slot);
        if (!(r->bits & PAYLOAD_LIVE)) {
            continue;
        }
        content = blocks_save(&t->pool, r->log.first, content);
        r->log.first = r->log.last = 0;
        for (int way = 0; way < 2; way++) {
            for (uint32_t block = r->way[way].waiting; block; block = waiting_at(t, block).next) {
                content = blocks_save(&t->pool, block, content);
            }
            r->way[way].waiting = 0;
        }
    }
}

/* A chain of `count` blocks of the content; 0 when there are not so many. */
static inline int blocks_load(payload_pool *p, payload_chain *c, uint32_t count, cursor *content) {
    bytes_view bytes;
    for (uint32_t n = 0; n < count; n++) {
        if (!cursor_take(content, PAYLOAD_BLOCK_BYTES, &bytes) || !chain_extend(p, c)) {
            return 0;
        }
        view_copy(bytes, 0, payload_block_at(p, c->last)->bytes, PAYLOAD_BLOCK_BYTES);
        c->filled = PAYLOAD_BLOCK_BYTES;
    }
    return 1;
}

/* A log with as many entries and bytes as its record says, that end where it ends. */
static inline int log_load(payload_table *t, payload_record *r, cursor *content) {
    const payload_chain saved = r->log;
    log_entry entry;
    uint32_t bytes = 0;
    memset(&r->log, 0, sizeof r->log);
    if (saved.filled > PAYLOAD_BLOCK_BYTES || !blocks_load(&t->pool, &r->log, saved.count, content)) {
        return 0;
    }
    payload_reader reader = chain_reader(&t->pool, &r->log);
    for (uint32_t n = 0; n < r->entries; n++) {
        if (!chain_read_head(&reader, &entry, sizeof entry) ||
            chain_take(&reader, NULL, entry_length(&entry)) != entry_length(&entry)) {
            return 0;
        }
        bytes += entry_length(&entry);
    }
    r->log.filled = saved.filled;
    if (r->entries == 0) {
        return bytes == r->log_bytes && saved.count == 0;
    }
    return bytes == r->log_bytes && reader.block == r->log.last && reader.at == saved.filled;
}

/* What waits, in order and apart, behind the next byte. */
static inline int waiting_load(payload_table *t, payload_way *d, cursor *content) {
    const payload_way saved = *d;
    uint32_t last = 0, place = 0;
    d->waiting_bytes = d->waiting_blocks = d->waiting_count = 0;
    if (saved.waiting_count > MAX_WAITING) {
        return 0;
    }
    while (d->waiting_count < saved.waiting_count) {
        waiting_segment w;
        bytes_view first;
        payload_chain chain = {0, 0, 0, 0};
        if (!cursor_peek(content, sizeof w, &first)) {
            return 0;
        }
        memcpy(&w, first.data, sizeof w);
        const uint32_t ahead = w.seq - saved.next; /* and from there on they go up */
        if (w.captured > w.wire || w.wire > MAX_WAITING_BYTES || w.wire == 0 ||
            ahead == 0 || ahead < place || ahead > INT32_MAX - w.wire || w.blocks == 0 ||
            (uint64_t)w.blocks * PAYLOAD_BLOCK_BYTES < sizeof w + (uint64_t)w.captured ||
            !blocks_load(&t->pool, &chain, w.blocks, content)) {
            chain_release(&t->pool, &chain);
            return 0;
        }
        place = ahead + w.wire;
        w.next = 0;
        waiting_set(t, chain.first, &w);
        if (last) {
            waiting_segment before = waiting_at(t, last);
            before.next = chain.first;
            waiting_set(t, last, &before);
        } else {
            d->waiting = chain.first;
        }
        last = chain.first;
        d->waiting_count++;
        d->waiting_bytes += w.wire;
        d->waiting_blocks += w.blocks;
    }
    return d->waiting_bytes == saved.waiting_bytes && d->waiting_blocks == saved.waiting_blocks &&
           d->waiting_bytes <= MAX_WAITING_BYTES;
}

static inline int payload_is_sound(const payload_table *t, const payload_record *r) {
    int sound = (r->protocol == IP_TCP || r->protocol == IP_UDP) && r->client <= 1 && r->listened <= 2;
    sound &= r->held <= 1 && (!r->held || (r->bits & PAYLOAD_IN_PIECES));
    for (int way = 0; way < 2; way++) {
        const payload_way *d = &r->way[way];
        sound &= d->kept <= t->claimed_bytes && (d->waiting_count == 0 || (d->bits & WAY_BASE));
        sound &= d->waiting_count == 0 || !(r->bits & (PAYLOAD_ENDED | PAYLOAD_IGNORED));
    }
    return sound && (r->log.count == 0 || !(r->bits & PAYLOAD_IGNORED)) &&
           (!(r->bits & PAYLOAD_DETACHED) || (r->bits & PAYLOAD_ENDED));
}

/* Whether a list has every record once that says so, and no others. */
static inline int list_is_sound(const payload_table *t, const payload_list *list, uint32_t bit) {
    uint32_t count = 0;
    for (uint32_t slot = 0; slot < t->record_count; slot++) {
        const payload_record *r = payload_at(t, slot);
        count += (r->bits & PAYLOAD_LIVE) && (r->bits & bit);
    }
    for (uint32_t n = 0; n < list->count; n++) {
        if (list->slots[n] >= t->record_count) {
            return 0;
        }
        payload_record *r = payload_at(t, list->slots[n]);
        if (!(r->bits & PAYLOAD_LIVE) || !(r->bits & bit)) {
            return 0;
        }
        r->bits &= (uint16_t)~bit; /* it is not met twice */
    }
    for (uint32_t n = 0; n < list->count; n++) {
        payload_record *r = payload_at(t, list->slots[n]);
        r->bits = (uint16_t)(r->bits | bit);
    }
    return count == list->count;
}

/* Whether the list of those that wait, and that of free records, are whole. */
static inline int links_are_sound(const payload_table *t) {
    uint32_t waits = 0, unused = 0, before = 0;
    for (uint32_t slot = 0; slot < t->record_count; slot++) {
        const payload_record *r = payload_at(t, slot);
        waits += (r->bits & PAYLOAD_LIVE) && (r->bits & PAYLOAD_WAITS);
        unused += !(r->bits & PAYLOAD_LIVE);
    }
    for (uint32_t next = t->waits_first; next; before = next, next = payload_at(t, next - 1)->waits_next) {
        if (next > t->record_count || waits == 0) {
            return 0;
        }
        const payload_record *r = payload_at(t, next - 1);
        if (!(r->bits & PAYLOAD_LIVE) || !(r->bits & PAYLOAD_WAITS) || r->waits_previous != before) {
            return 0;
        }
        waits--;
    }
    for (uint32_t next = t->free_first; next; next = payload_at(t, next - 1)->used) {
        if (next > t->record_count || (payload_at(t, next - 1)->bits & PAYLOAD_LIVE) || unused == 0) {
            return 0;
        }
        unused--;
    }
    return waits == 0 && unused == 0 && before == t->waits_last;
}

/* Puts saved records into an empty table that has room for them, for all that they keep, and has the saved lists and
 * numbers already. 0, and the table is of no use, when they do not fit together. */
static inline int payloads_load(payload_table *t, const payload_record *records, uint32_t record_count,
                                bytes_view content) {
    cursor c = {content.data, 0, content.length};
    t->record_count = record_count;
    for (uint32_t slot = 0; slot < record_count; slot++) {
        payload_record *r = payload_at(t, slot);
        *r = records[slot];
        r->log.first = r->log.last = r->way[0].waiting = r->way[1].waiting = 0;
        if (!(r->bits & PAYLOAD_LIVE)) {
            r->bits = 0;
            continue;
        }
        t->live++;
        t->detached += (r->bits & PAYLOAD_DETACHED) != 0;
        if (!payload_is_sound(t, r) || !log_load(t, r, &c) || !waiting_load(t, &r->way[0], &c) ||
            !waiting_load(t, &r->way[1], &c)) {
            return 0;
        }
        if (!(r->bits & PAYLOAD_DETACHED)) {
            payload_index_insert(t, payload_record_tag(t, r), slot);
        }
    }
    return cursor_left(&c) == 0 && links_are_sound(t) && list_is_sound(t, &t->due, PAYLOAD_IN_DUE) &&
           list_is_sound(t, &t->chance, PAYLOAD_IN_CHANCE) && list_is_sound(t, &t->pieces, PAYLOAD_IN_PIECES);
}

#endif
