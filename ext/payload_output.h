/* What is handed out: heads to look at, and pieces of the conversations that were claimed. */
#ifndef SPANLINE_PAYLOAD_OUTPUT_H
#define SPANLINE_PAYLOAD_OUTPUT_H

#include "payload_ends.h"

#ifndef COALESCED_BYTES /* less makes the ends of things come soon: for fuzzing */
#define COALESCED_BYTES 256 /* pieces as long as that may be joined */
#define MAX_COALESCED (1 << 16)
#endif

/* Where rows and their bytes go. */
typedef struct {
    payload_head_row *heads; /* or */
    payload_piece_row *pieces;
    uint8_t *bytes;
    uint32_t capacity; /* of rows */
    uint32_t count;
    uint64_t byte_capacity;
    uint64_t byte_count;
} payload_output;

ALWAYS_INLINE uint32_t head_length(const payload_table *t, const payload_way *d) {
    return d->kept < t->head_bytes ? d->kept : t->head_bytes;
}

/* Whether a head is to be handed out: 0, or how long it is. */
static inline uint32_t head_wanted(const payload_table *t, const payload_record *r, int way) {
    const payload_way *d = &r->way[way];
    const uint32_t length = head_length(t, d);
    const int is_due = d->bits & WAY_FINAL ? !(d->bits & WAY_GIVEN) : r->bits & PAYLOAD_EARLY_DUE;
    return is_due && length > d->given && !(r->bits & (PAYLOAD_CLAIMED | PAYLOAD_IGNORED)) ? length : 0;
}

/* Asks for a conversation that is looked at soon: its bits and its log, and both directions. */
ALWAYS_INLINE void prefetch_due(const payload_table *t, uint32_t n) {
    if (LIKELY(n < t->due.count)) {
        const payload_record *r = payload_at(t, t->due.slots[n]);
        PREFETCH(&r->bits);
        PREFETCH(&r->way[0]);
        PREFETCH(&r->way[1]);
    }
}

/* How many conversations of those that are due fit into so many bytes, at least one; *bytes is how many they need. */
static inline uint32_t heads_due(const payload_table *t, uint64_t most, uint64_t *bytes) {
    enum { AHEAD = 8 };
    uint32_t n = 0;
    for (*bytes = 0; n < t->due.count && (*bytes < most || n == 0); n++) {
        const payload_record *r = payload_at(t, t->due.slots[n]);
        prefetch_due(t, n + AHEAD);
        *bytes += (uint64_t)head_wanted(t, r, 0) + head_wanted(t, r, 1);
    }
    return n;
}

/* Hands out the heads of the first `count` conversations that are due; there is room. */
static inline void heads_give(payload_table *t, payload_output *out, uint32_t count) {
    enum { AHEAD = 3 };
    for (uint32_t n = 0; n < count; n++) {
        const uint32_t slot = t->due.slots[n];
        payload_record *r = payload_at(t, slot);
        if (LIKELY(n + AHEAD < count)) {
            prefetch_block(&t->pool, payload_at(t, t->due.slots[n + AHEAD])->log.first);
        }
        for (int way = 0; way < 2; way++) {
            payload_way *d = &r->way[way];
            const uint32_t wanted = head_wanted(t, r, way);
            if (wanted && out->count < out->capacity && wanted <= out->byte_capacity - out->byte_count) {
                int gap;
                const uint32_t length = log_copy_head(t, r, way, out->bytes + out->byte_count, wanted, &gap);
                uint32_t flags = wanted == t->head_bytes ? HEAD_FULL : 0;
                flags |= r->bits & PAYLOAD_ENDED ? HEAD_ENDED : 0U;
                flags |= r->bits & PAYLOAD_EVICTED ? HEAD_EVICTED : 0U;
                flags |= d->bits & WAY_FINAL ? 0 : HEAD_EARLY;
                flags |= gap ? HEAD_GAP : 0U;
                const payload_head_row row = {r->serial, slot, (uint32_t)out->byte_count, length, (uint8_t)way,
                                              (uint8_t)flags, {0}};
                out->heads[out->count++] = row;
                out->byte_count += length;
                d->given = wanted;
            }
            d->bits |= d->bits & WAY_FINAL ? WAY_GIVEN : 0;
        }
        r->bits &= (uint16_t)~(PAYLOAD_IN_DUE | PAYLOAD_EARLY_DUE);
        payload_put(t, &t->chance, PAYLOAD_IN_CHANCE, slot);
    }
    t->due.count -= count;
    memmove(t->due.slots, t->due.slots + count, t->due.count * sizeof *t->due.slots);
}

/* How many rows, and bytes, the pieces need at most. */
static inline uint64_t pieces_due(const payload_table *t, uint64_t *bytes) {
    uint64_t rows = 0;
    *bytes = 0;
    for (uint32_t n = 0; n < t->pieces.count; n++) {
        const payload_record *r = payload_at(t, t->pieces.slots[n]);
        rows += r->entries + 1ULL;
        *bytes += r->log_bytes;
    }
    return rows;
}

/* Whether the entry goes on where the last row ends, and both are long. */
ALWAYS_INLINE int piece_continues(const payload_piece_row *last, const log_entry *entry) {
    const uint32_t length = entry_length(entry);
    return last->sender == entry_way(entry) && entry->gap == 0 && last->length >= COALESCED_BYTES &&
           length >= COALESCED_BYTES && last->length + length <= MAX_COALESCED &&
           (last->flags & ~(uint32_t)PIECE_LISTENED) == 0 &&
           (entry_flags(entry) & ~(uint32_t)ENTRY_SENDER) == 0;
}

/* Hands out the entry whose bytes come next: joined to `last`, or as a row of its own. Null when there is no room. */
static inline payload_piece_row *piece_give(const payload_record *r, uint32_t slot, const log_entry *entry, uint64_t *offset,
                                            payload_reader *reader, payload_piece_row *last, payload_output *out) {
    const uint32_t length = entry_length(entry), start = (uint32_t)out->byte_count;
    if (out->count == out->capacity || length > out->byte_capacity - out->byte_count) {
        return NULL;
    }
    const uint32_t taken = chain_take(reader, out->bytes + start, length);
    if (last && piece_continues(last, entry)) {
        last->length += taken;
        last->time = entry->time;
        last->frame = entry->frame;
    } else {
        const uint32_t flags = entry_flags(entry) & ~(uint32_t)ENTRY_SENDER;
        const payload_piece_row row = {r->serial, *offset + entry->gap, entry->time, entry->frame, slot, start, taken,
                                       entry->gap, (uint8_t)entry_way(entry),
                                       (uint8_t)(flags | (r->listened ? PIECE_LISTENED : 0U)), {0}};
        last = &out->pieces[out->count++];
        *last = row;
    }
    out->byte_count += taken;
    *offset += (uint64_t)entry->gap + taken;
    return last;
}

/* What one direction said, where only that is handed out; the log stays, as long as there is anything to hand out. Pieces
 * are what they are when both are: those between which the other one said something are not joined. */
static inline void pieces_give_listened(payload_table *t, payload_record *r, uint32_t slot, payload_output *out) {
    const uint32_t listened = r->listened - 1U;
    payload_reader reader = chain_reader(&t->pool, &r->log);
    uint64_t offset = r->log_from[listened];
    payload_piece_row *last = NULL;
    log_entry entry;
    for (uint32_t n = 0; n < r->entries && chain_read_head(&reader, &entry, sizeof entry); n++) {
        if (entry_way(&entry) != listened) {
            chain_take(&reader, NULL, entry_length(&entry));
            last = NULL;
            continue;
        }
        last = piece_give(r, slot, &entry, &offset, &reader, last, out);
        if (last == NULL) {
            break;
        }
        r->held = 1;
    }
    if (!r->held) {
        log_pass(t, r);
    }
}

static inline void pieces_give_log(payload_table *t, payload_record *r, uint32_t slot, payload_output *out) {
    payload_reader reader = chain_reader(&t->pool, &r->log);
    payload_piece_row *last = NULL;
    log_entry entry;
    for (uint32_t n = 0; n < r->entries && chain_read_head(&reader, &entry, sizeof entry); n++) {
        last = piece_give(r, slot, &entry, &r->log_from[entry_way(&entry)], &reader, last, out);
        if (last == NULL) {
            break;
        }
    }
    log_drop(t, r);
}

/* Hands out all pieces there are, by conversation and in their order; there is room. */
static inline void pieces_give(payload_table *t, payload_output *out) {
    const uint32_t count = t->pieces.count;
    t->pieces.count = 0; /* those that are held go back to its beginning */
    for (uint32_t n = 0; n < count; n++) {
        const uint32_t slot = t->pieces.slots[n];
        payload_record *r = payload_at(t, slot);
        r->bits &= (uint16_t)~PAYLOAD_IN_PIECES;
        if (r->bits & PAYLOAD_CLAIMED) {
            const uint32_t listened = r->listened ? PIECE_LISTENED : 0U;
            if (listened) {
                pieces_give_listened(t, r, slot, out);
            } else {
                pieces_give_log(t, r, slot, out);
            }
            if (r->held) {
                payload_put(t, &t->pieces, PAYLOAD_IN_PIECES, slot);
            }
            if ((r->bits & (PAYLOAD_ENDED | PAYLOAD_TOLD)) == PAYLOAD_ENDED && out->count < out->capacity) {
                uint32_t flags = PIECE_ENDED | listened;
                flags |= r->bits & PAYLOAD_LIMIT ? PIECE_LIMIT : 0U;
                flags |= r->bits & PAYLOAD_EVICTED ? PIECE_EVICTED : 0U;
                const payload_piece_row row = {r->serial, r->log_from[0], 0, 0, slot, (uint32_t)out->byte_count, 0, 0, 0,
                                               (uint8_t)flags, {0}};
                out->pieces[out->count++] = row;
                r->bits |= PAYLOAD_TOLD;
                payload_put(t, &t->chance, PAYLOAD_IN_CHANCE, slot);
            }
        } else if (payload_is_over(r)) {
            payload_free(t, slot);
        }
    }
}

/* Who the conversation at `slot` is between; zeros when there is none. */
static inline void payload_describe(const payload_table *t, uint32_t slot, payload_conversation_row *row) {
    memset(row, 0, sizeof *row);
    if (slot >= t->record_count || !(payload_at(t, slot)->bits & PAYLOAD_LIVE)) {
        return;
    }
    const payload_record *r = payload_at(t, slot);
    memcpy(row->source, r->source, 16);
    memcpy(row->destination, r->destination, 16);
    row->first_seen = r->first_seen;
    row->serial = r->serial;
    row->vni = r->vni;
    row->source_port = r->source_port;
    row->destination_port = r->destination_port;
    row->vlan = r->vlan;
    row->protocol = r->protocol;
    row->client = r->client;
    row->client_known = (r->bits & PAYLOAD_CLIENT) != 0;
}

#endif
