/* The log of a conversation: what both sides said, in the order in which it could be delivered. Heads are read from its
 * beginning; pieces take it away.
 */
#ifndef SPANLINE_PAYLOAD_LOG_H
#define SPANLINE_PAYLOAD_LOG_H

#include "payload_table.h"

/* Before its bytes, in the log. */
typedef struct {
    int64_t time;
    uint64_t frame;
    uint32_t gap;
    uint32_t length_and_flags; /* flags << 24 | length */
} log_entry;
STATIC_ASSERT(sizeof(log_entry) == 24, "log_entry");

enum { MAX_ENTRY = 0xFFFFFF };

/* What arrived, or waited. */
typedef struct {
    bytes_view bytes; /* what was captured */
    uint32_t wire;    /* how many bytes there were */
    uint32_t flags;   /* PIECE_… */
    int64_t time;
    uint64_t frame;
} payload_arrival;

ALWAYS_INLINE uint32_t saturating_add(uint32_t a, uint32_t b) { return a > UINT32_MAX - b ? UINT32_MAX : a + b; }

ALWAYS_INLINE uint32_t entry_length(const log_entry *e) { return e->length_and_flags & MAX_ENTRY; }
ALWAYS_INLINE uint32_t entry_flags(const log_entry *e) { return e->length_and_flags >> 24; }
ALWAYS_INLINE uint32_t entry_way(const log_entry *e) { return e->length_and_flags >> 31; }

/* How many of the bytes that `way` sends next are kept. */
ALWAYS_INLINE uint32_t log_room(const payload_table *t, const payload_way *d) {
    return d->bits & WAY_CLOSED || d->kept >= t->claimed_bytes ? 0 : t->claimed_bytes - d->kept;
}

/* Bytes of one side that nobody will see. */
ALWAYS_INLINE void log_miss(payload_table *t, payload_way *d, uint32_t count) {
    d->gap = saturating_add(d->gap, count);
    t->counters.missing += count;
    t->counters.gaps++;
}

/* Appends `bytes` of `way`, which came with that arrival; returns how many of them, as far as there is memory. */
static inline uint32_t log_append(payload_table *t, payload_record *r, int way, const payload_arrival *a, uint32_t flags,
                                  bytes_view bytes) {
    payload_way *d = &r->way[way];
    const uint64_t room = chain_room(&t->pool, &r->log);
    const uint64_t most = room > 2 * PAYLOAD_BLOCK_BYTES ? room - 2 * PAYLOAD_BLOCK_BYTES : 0;
    bytes.length = bytes.length < most ? bytes.length : (uint32_t)most;
    bytes.length = bytes.length < MAX_ENTRY ? bytes.length : MAX_ENTRY;
    if (UNLIKELY(bytes.length == 0 && !(d->gap && most))) {
        return 0;
    }
    flags |= a->flags | d->marks | (way ? ENTRY_SENDER : 0U);
    const log_entry entry = {a->time, a->frame, d->gap, flags << 24 | bytes.length};
    chain_write_head(&t->pool, &r->log, &entry, sizeof entry);
    chain_write(&t->pool, &r->log, bytes);
    d->gap = 0;
    d->marks = 0;
    d->kept += bytes.length;
    r->entries++;
    r->log_bytes += bytes.length;
    return bytes.length;
}

static inline void log_drop(payload_table *t, payload_record *r) {
    chain_release(&t->pool, &r->log);
    r->entries = r->log_bytes = 0;
}

/* Passes over all that the log has. */
static inline void log_pass(payload_table *t, payload_record *r) {
    r->log_from[0] = r->way[0].delivered - r->way[0].gap;
    r->log_from[1] = r->way[1].delivered - r->way[1].gap;
    log_drop(t, r);
}

/* Copies the first `length` bytes of `way` from the log. Returns how many there are; *gap: some are missing between. */
static inline uint32_t log_copy_head(const payload_table *t, const payload_record *r, int way, uint8_t *to,
                                     uint32_t length, int *gap) {
    payload_reader reader = chain_reader(&t->pool, &r->log);
    log_entry entry;
    uint32_t done = 0;
    *gap = 0;
    for (uint32_t n = 0; n < r->entries && done < length && chain_read_head(&reader, &entry, sizeof entry); n++) {
        const uint32_t size = entry_length(&entry), left = length - done;
        if (entry_way(&entry) != (uint32_t)way) {
            chain_take(&reader, NULL, size);
            continue;
        }
        *gap |= entry.gap != 0;
        done += chain_take(&reader, to + done, size < left ? size : left);
        if (size > left) {
            break;
        }
    }
    return done;
}

/* Keeps of each direction that is closed only its head. It is done in place: there may be no other memory. */
static inline void log_shorten(payload_table *t, payload_record *r) {
    payload_reader from = chain_reader(&t->pool, &r->log), to = from;
    const uint32_t entries = r->entries;
    uint32_t kept[2] = {0, 0}, lost[2] = {0, 0};
    log_entry entry;
    r->entries = r->log_bytes = 0;
    for (uint32_t n = 0; n < entries && chain_read_head(&from, &entry, sizeof entry); n++) {
        const uint32_t way = entry_way(&entry), length = entry_length(&entry);
        const uint32_t most = r->way[way].bits & WAY_CLOSED ? t->head_bytes - kept[way] : UINT32_MAX;
        uint32_t left = length < most ? length : most;
        const uint32_t rest = length - left;
        if (left == 0) {
            lost[way] = saturating_add(lost[way], saturating_add(entry.gap, length));
        } else {
            entry.gap = saturating_add(entry.gap, lost[way]);
            entry.length_and_flags = entry_flags(&entry) << 24 | left;
            chain_rewrite_head(&to, &entry, sizeof entry);
            r->entries++;
            r->log_bytes += left;
            kept[way] += left;
            lost[way] = rest;
        }
        for (bytes_view bytes; left && (bytes = chain_read(&from, left)).length; left -= bytes.length) {
            chain_rewrite(&to, bytes);
        }
        chain_take(&from, NULL, rest);
    }
    for (int way = 0; way < 2; way++) {
        r->way[way].kept = kept[way];
        r->way[way].gap = saturating_add(r->way[way].gap, lost[way]);
    }
    chain_cut(&t->pool, &r->log, &to);
}

/* Whether `bytes`, which stand at `offset` of what `way` sent, differ from what the log has there. Only its first
 * MAX_COMPARED entries are looked at. */
static inline int log_differs(const payload_table *t, const payload_record *r, int way, uint64_t offset, bytes_view bytes) {
    enum { MAX_COMPARED = 64 };
    payload_reader reader = chain_reader(&t->pool, &r->log);
    uint64_t at = r->log_from[way];
    log_entry entry;
    for (uint32_t n = 0; n < r->entries && n < MAX_COMPARED && chain_read_head(&reader, &entry, sizeof entry); n++) {
        uint32_t left = entry_length(&entry);
        if (entry_way(&entry) != (uint32_t)way || at + entry.gap + left <= offset) {
            at += entry_way(&entry) == (uint32_t)way ? (uint64_t)entry.gap + left : 0;
            chain_take(&reader, NULL, left);
            continue;
        }
        at += entry.gap;
        if (at >= offset + bytes.length) {
            return 0;
        }
        while (left) {
            const bytes_view kept = chain_read(&reader, left);
            if (kept.length == 0) {
                return 0;
            }
            const uint64_t from = at > offset ? at : offset;
            const uint64_t end = at + kept.length < offset + bytes.length ? at + kept.length : offset + bytes.length;
            if (from < end && memcmp(kept.data + (from - at), bytes.data + (from - offset), (size_t)(end - from))) {
                return 1;
            }
            at += kept.length;
            left -= kept.length;
        }
    }
    return 0;
}

#endif
