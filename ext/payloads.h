/* The payload of conversations, in order: from rows to heads and pieces.
 *
 * A conversation is what two ends say to one another by TCP or UDP, inside one tunnel. Its log has, of each direction, what
 * came in sequence order, once each. The first bytes of each direction are handed out as a head; who claims the
 * conversation then is given all of it, piece by piece.
 *
 * The functions here stop and say so when they need more memory, and go on at the same packet when they have it.
 */
#ifndef SPANLINE_PAYLOADS_H
#define SPANLINE_PAYLOADS_H

#include "payload_ends.h"
#include "row_transport.h"
#include "silent.h"

enum payload_wants {
    PAYLOADS_DONE,
    PAYLOADS_WANT_RECORDS,  /* no free record: another slab, or is_full */
    PAYLOADS_WANT_BLOCKS,   /* few free blocks: another slab, or is_full */
    PAYLOADS_MANY_RECORDS,  /* more than live_limit: some are to be given up */
    PAYLOADS_MANY_BLOCKS,   /* more than block_limit */
};

/* What payloads_update() works on. */
typedef struct {
    const packet_row *packets;
    const uint64_t *numbers; /* of the frames */
    const bytes_view *buffers;
    uint32_t packet_count;
    uint32_t buffer_count;
    uint32_t packet; /* how far it came */
} payloads_work;

/* What is found out about a packet before its turn, so that its memory is in the cache when that comes. */
typedef struct {
    uint32_t tag;
    uint32_t candidate; /* the record that it probably belongs to, by number + 1 */
} payload_hint;

/* The conversation of a row, and its direction in it; -1 when there is none. */
ALWAYS_INLINE int payload_find(const payload_table *t, const packet_row *row, payload_hint hint, uint32_t *slot) {
    int way = -1;
    if (LIKELY(hint.candidate != 0)) { /* which may have ended, or have become another, since it was found */
        way = payload_match(t, payload_at(t, *slot = hint.candidate - 1), row);
    }
    for (uint32_t at = hint.tag & t->index_mask; UNLIKELY(way < 0) && t->index[at]; at = (at + 1) & t->index_mask) {
        if (t->index[at] >> 32 == hint.tag) {
            way = payload_match(t, payload_at(t, *slot = (uint32_t)t->index[at] - 1), row);
        }
    }
    return way;
}

/* A new conversation between the ends of the row; a record is free. `flipped`: the row's destination is the client. */
static inline uint32_t payload_begin(payload_table *t, const packet_row *row, uint32_t tag, int flipped) {
    const uint32_t slot = payload_take(t, tag);
    payload_record *r = payload_at(t, slot);
    memset(r, 0, sizeof *r);
    memcpy(r->source, flipped ? row->destination : row->source, 16);
    memcpy(r->destination, flipped ? row->source : row->destination, 16);
    r->source_port = flipped ? row->destination_port : row->source_port;
    r->destination_port = flipped ? row->source_port : row->destination_port;
    r->first_seen = row->timestamp;
    r->vni = flow_vni(row);
    r->vlan = row->vlan;
    r->protocol = row->ip_protocol;
    r->bits = PAYLOAD_LIVE;
    r->serial = ++t->serial;
    t->counters.conversations++;
    return slot;
}

/* A new TCP conversation, with what its SYN said if that was seen. *way is the direction of the row. */
static inline uint32_t payload_begin_tcp(payload_table *t, const packet_row *row, uint32_t tag, int *way) {
    enum { NEAR_SYN = 1 << 20 }; /* a SYN that is farther away was another connection's */
    const uint32_t kind = row->tcp_flags & (TCP_SYN | TCP_ACK);
    int sender = 0;
    payload_syn *syn = payload_recall_syn(t, tag, row, &sender);
    if (syn) {
        const uint32_t reached = sender ? row->tcp_ack : row->tcp_seq + (kind == TCP_SYN);
        const int is_told = sender == 0 || (row->tcp_flags & TCP_ACK);
        syn->used = 0;
        syn = is_told && reached - (syn->seq + 1) < NEAR_SYN ? syn : NULL;
    }
    const int flipped = syn ? sender : kind == (TCP_SYN | TCP_ACK);
    const uint32_t slot = payload_begin(t, row, tag, flipped);
    payload_record *r = payload_at(t, slot);
    *way = flipped;
    if (syn) {
        r->first_seen = syn->time;
        order_start(&r->way[0], syn->seq + 1, 0);
    }
    if (syn || (kind & TCP_SYN)) {
        r->bits |= PAYLOAD_CLIENT;
    }
    return slot;
}

/* Whether a SYN or SYN-ACK opens another connection than this one. */
ALWAYS_INLINE int payload_opens_another(const payload_record *r, int way, const packet_row *row) {
    const payload_way *d = &r->way[way];
    if (LIKELY(!(row->tcp_flags & TCP_SYN)) || (row->tcp_flags & TCP_RST)) {
        return 0;
    }
    return d->bits & WAY_BASE ? d->opening != row->tcp_seq + 1 : !(row->tcp_flags & TCP_ACK);
}

/* What a segment says of where both directions begin: for sure in a handshake. */
ALWAYS_INLINE void payload_learn(payload_record *r, int way, const packet_row *row) {
    const uint32_t flags = row->tcp_flags, is_syn = (flags & TCP_SYN) != 0;
    if (LIKELY((r->bits & PAYLOAD_LEARNED) && !is_syn)) {
        return;
    }
    order_start(&r->way[way], row->tcp_seq + is_syn, is_syn ? 0 : WAY_TENTATIVE);
    if (LIKELY(flags & TCP_ACK)) {
        order_start(&r->way[1 - way], row->tcp_ack, is_syn ? 0 : WAY_TENTATIVE);
    }
    r->bits |= r->way[0].bits & r->way[1].bits & WAY_BASE ? PAYLOAD_LEARNED : 0;
    if (UNLIKELY(is_syn) && !(r->bits & PAYLOAD_CLIENT) && !(flags & TCP_RST)) {
        r->bits |= PAYLOAD_CLIENT;
        r->client = (uint8_t)(flags & TCP_ACK ? 1 - way : way);
    }
}

/* Both sides finished, or the only one that is mirrored: of a connection whose beginning was seen, the other would have
 * been heard of. */
ALWAYS_INLINE int payload_is_finished(const payload_record *r) {
    int open = 0;
    for (int way = 0; way < 2; way++) {
        const uint32_t bits = r->way[way].bits;
        open |= !(bits & WAY_FIN_DONE) && ((bits & WAY_SEEN) || !(r->bits & PAYLOAD_CLIENT));
    }
    return !open;
}

/* Ignores a conversation that begins, with `a`, as what tells nothing. Only the first to speak is asked: by the time
 * the other one does, somebody may have claimed the conversation, or not, as it happens to be looked at. */
ALWAYS_INLINE int payload_skips(payload_table *t, payload_record *r, const payload_arrival *a) {
    const int is_first = (r->way[0].delivered | r->way[1].delivered) == 0 && !r->way[0].waiting && !r->way[1].waiting;
    if (LIKELY(!t->skip_silent || !is_first)) {
        return 0;
    }
    const int is_named = r->protocol == IP_UDP && (r->source_port == DNS_PORT || r->destination_port == DNS_PORT);
    if (!begins_encrypted(a->bytes) && !(is_named && begins_as_dns(a->bytes))) {
        return 0;
    }
    payload_ignore(t, r);
    return 1;
}

/* A TCP segment of a conversation that is followed. */
static inline void payload_take_segment(payload_table *t, uint32_t slot, int way, const packet_row *row, uint32_t length,
                                        bytes_view buffer, uint64_t frame) {
    payload_record *r = payload_at(t, slot);
    payload_way *d = &r->way[way], *o = &r->way[1 - way];
    const uint32_t flags = row->tcp_flags, seq = row->tcp_seq + ((flags & TCP_SYN) != 0), before = r->log_bytes;
    d->bits |= WAY_SEEN;
    const int32_t ahead = sequence_difference(seq, d->next);
    if (UNLIKELY(ahead >= FAR_PAYLOAD || ahead <= -FAR_PAYLOAD || length >= FAR_PAYLOAD)) {
        t->counters.far++;
        return;
    }
    if (LIKELY(flags & TCP_ACK)) {
        order_acknowledge(o, row->tcp_ack);
        order_tick(t, r, 1 - way, row->timestamp);
    }
    order_tick(t, r, way, row->timestamp);
    if (length && !(d->bits & WAY_FIN_DONE)) {
        const payload_arrival a = {row_payload_bytes(row, buffer, length), length, 0, row->timestamp, frame};
        if (UNLIKELY(payload_skips(t, r, &a))) {
            return;
        }
        order_take(t, r, way, seq, &a);
    }
    if (UNLIKELY(flags & TCP_FIN) && sequence_difference(seq + length, d->next) >= 0) {
        d->fin = seq + length;
        d->bits |= WAY_FIN;
    }
    if (UNLIKELY((d->bits & WAY_FIN) && sequence_difference(d->next, d->fin) >= 0)) {
        d->bits |= WAY_FIN_DONE;
    }
    if (r->log_bytes != before) {
        payload_progress(t, r, slot, row->timestamp);
    }
    if (UNLIKELY((flags & TCP_RST) || ((d->bits & WAY_FIN_DONE) && payload_is_finished(r)))) {
        payload_end(t, slot);
    }
}

ALWAYS_INLINE int payloads_need_record(const payload_table *t) {
    if (UNLIKELY(t->live - t->detached > t->live_limit)) {
        return PAYLOADS_MANY_RECORDS;
    }
    return UNLIKELY(!payload_has_record(t)) ? PAYLOADS_WANT_RECORDS : PAYLOADS_DONE;
}

/* What the pool needs before `length` bytes of a conversation may come. */
ALWAYS_INLINE int payloads_need_blocks(const payload_table *t, uint32_t length) {
    const uint32_t most = length / PAYLOAD_BLOCK_BYTES + 4 + WAITING_BLOCKS;
    return UNLIKELY(payload_blocks_left(&t->pool) < most && !t->is_full) ? PAYLOADS_WANT_BLOCKS : PAYLOADS_DONE;
}

/* The same, and whether conversations are to be given up for their blocks, beside those that are already: what waits of
 * them is delivered first, which takes free blocks too. */
ALWAYS_INLINE int payloads_want_blocks(const payload_table *t, uint32_t length) {
    const int wants = payloads_need_blocks(t, length);
    const int are_many = t->pool.taken > t->block_limit && t->pool.taken - t->block_limit > t->promised;
    return UNLIKELY(are_many) && wants == PAYLOADS_DONE ? PAYLOADS_MANY_BLOCKS : wants;
}

/* Ends all that lives, from record *slot on. */
static inline int payloads_finish(payload_table *t, uint32_t *slot) {
    for (; *slot < t->record_count; (*slot)++) {
        if (payloads_need_blocks(t, 0) == PAYLOADS_WANT_BLOCKS) {
            return PAYLOADS_WANT_BLOCKS;
        }
        if (payload_at(t, *slot)->bits & PAYLOAD_LIVE) {
            payload_end(t, *slot);
        }
    }
    return PAYLOADS_DONE;
}

ALWAYS_INLINE int payloads_add_tcp(payload_table *t, const packet_row *row, payload_hint hint, bytes_view buffer,
                                   uint64_t frame) {
    const uint32_t length = row_payload_length(row);
    uint32_t slot = 0;
    int way = payload_find(t, row, hint, &slot), is_another = 0;
    if (LIKELY(way >= 0)) {
        payload_record *r = payload_at(t, slot);
        r->used = t->clock;
        is_another = payload_opens_another(r, way, row);
        if (LIKELY(!is_another)) {
            payload_learn(r, way, row);
            if (r->bits & (PAYLOAD_ENDED | PAYLOAD_IGNORED)) {
                return PAYLOADS_DONE;
            }
        }
    }
    const int wants = payloads_want_blocks(t, length);
    if (UNLIKELY(wants != PAYLOADS_DONE)) {
        return wants;
    }
    if (UNLIKELY(is_another)) {
        payload_detach(t, slot);
        way = -1;
    }
    if (UNLIKELY(way < 0)) {
        if (row->tcp_flags & TCP_RST) {
            return PAYLOADS_DONE;
        }
        if ((row->tcp_flags & (TCP_SYN | TCP_ACK)) == TCP_SYN && length == 0) {
            payload_remember_syn(t, hint.tag, row);
            return PAYLOADS_DONE;
        }
        const int record = payloads_need_record(t);
        if (UNLIKELY(record != PAYLOADS_DONE)) {
            return record;
        }
        slot = payload_begin_tcp(t, row, hint.tag, &way);
        payload_learn(payload_at(t, slot), way, row);
        payload_at(t, slot)->used = t->clock;
    }
    payload_take_segment(t, slot, way, row, length, buffer, frame);
    return PAYLOADS_DONE;
}

ALWAYS_INLINE int payloads_add_udp(payload_table *t, const packet_row *row, payload_hint hint, bytes_view buffer,
                                   uint64_t frame) {
    const uint32_t length = row_payload_length(row);
    uint32_t slot = 0;
    int way = payload_find(t, row, hint, &slot);
    if (length == 0 || (way >= 0 && (payload_at(t, slot)->bits & PAYLOAD_IGNORED))) {
        return PAYLOADS_DONE;
    }
    const int wants = payloads_want_blocks(t, length);
    if (UNLIKELY(wants != PAYLOADS_DONE)) {
        return wants;
    }
    if (UNLIKELY(way < 0)) {
        const int record = payloads_need_record(t);
        if (UNLIKELY(record != PAYLOADS_DONE)) {
            return record;
        }
        slot = payload_begin(t, row, hint.tag, 0);
        way = 0;
    }
    payload_record *r = payload_at(t, slot);
    r->used = t->clock;
    r->way[way].bits |= WAY_SEEN;
    const payload_arrival a = {row_payload_bytes(row, buffer, length), length, PIECE_MESSAGE, row->timestamp, frame};
    if (LIKELY(!payload_skips(t, r, &a))) {
        order_deliver(t, r, way, &a);
        payload_progress(t, r, slot, row->timestamp);
    }
    return PAYLOADS_DONE;
}

/* Adds one packet of this table's shard. */
ALWAYS_INLINE int payloads_add(payload_table *t, const payloads_work *w, uint32_t packet, payload_hint hint) {
    const packet_row *row = &w->packets[packet];
    if (UNLIKELY(row_transport(row) != TRANSPORT_SEGMENT || (row->flags & PACKET_BAD_CHECKSUM))) {
        return PAYLOADS_DONE;
    }
    const bytes_view none = {NULL, 0};
    const bytes_view buffer = LIKELY(row->payload_buffer < w->buffer_count) ? w->buffers[row->payload_buffer] : none;
    payload_tick(t, row->timestamp);
    return row->ip_protocol == IP_TCP ? payloads_add_tcp(t, row, hint, buffer, w->numbers[packet])
                                      : payloads_add_udp(t, row, hint, buffer, w->numbers[packet]);
}

ALWAYS_INLINE void payload_hint_tag(const payload_table *t, const packet_row *row, payload_hint *hint) {
    hint->tag = payload_tag(t, row->flow_hash, flow_vni(row), row->vlan);
    PREFETCH(&t->index[hint->tag & t->index_mask]);
}

ALWAYS_INLINE void payload_hint_record(const payload_table *t, payload_hint *hint) {
    hint->candidate = 0;
    for (uint32_t at = hint->tag & t->index_mask; t->index[at]; at = (at + 1) & t->index_mask) {
        if (t->index[at] >> 32 == hint->tag) {
            hint->candidate = (uint32_t)t->index[at];
            const char *record = (const char *)payload_at(t, hint->candidate - 1);
            PREFETCH(record);
            PREFETCH(record + 64);
            return;
        }
    }
}

/* Both directions, and where the packet's payload goes; of most conversations nothing is kept any more. */
ALWAYS_INLINE void payload_hint_log(const payload_table *t, const payload_hint *hint) {
    if (hint->candidate) {
        const payload_record *r = payload_at(t, hint->candidate - 1);
        if (!(r->bits & PAYLOAD_IGNORED)) {
            PREFETCH(&r->way[0]);
            PREFETCH(&r->way[1]);
            if (r->log.last) {
                PREFETCH(payload_block_at(&t->pool, r->log.last)->bytes + r->log.filled);
            }
        }
    }
}

/* Adds packets [w->packet…w->packet_count) and says what it needs, with w->packet where it stopped. */
static inline int payloads_update(payload_table *t, payloads_work *w) {
    enum { BLOCK = 1024, RING = 32, INDEX_AHEAD = 24, RECORD_AHEAD = 12, LOG_AHEAD = 6 };
    uint16_t own[BLOCK];
    payload_hint hints[RING];
    while (w->packet < w->packet_count) {
        const packet_row *first = &w->packets[w->packet];
        const uint32_t left = w->packet_count - w->packet, length = left < BLOCK ? left : BLOCK;
        uint32_t mine = 0;
        for (uint32_t n = 0; n < length; n++) {
            own[mine] = (uint16_t)n;
            mine += (uint32_t)payload_in_shard(t, first[n].flow_hash);
        }
        for (uint32_t k = 0; k < mine && k < INDEX_AHEAD; k++) {
            payload_hint_tag(t, &first[own[k]], &hints[k % RING]);
        }
        for (uint32_t k = 0; k < mine && k < RECORD_AHEAD; k++) {
            payload_hint_record(t, &hints[k % RING]);
        }
        for (uint32_t k = 0; k < mine; k++) {
            if (LIKELY(k + INDEX_AHEAD < mine)) {
                payload_hint_tag(t, &first[own[k + INDEX_AHEAD]], &hints[(k + INDEX_AHEAD) % RING]);
            }
            if (LIKELY(k + RECORD_AHEAD < mine)) {
                payload_hint_record(t, &hints[(k + RECORD_AHEAD) % RING]);
            }
            if (LIKELY(k + LOG_AHEAD < mine)) {
                payload_hint_log(t, &hints[(k + LOG_AHEAD) % RING]);
            }
            const int wants = payloads_add(t, w, w->packet + own[k], hints[k % RING]);
            if (UNLIKELY(wants != PAYLOADS_DONE)) {
                w->packet += own[k];
                return wants;
            }
            t->clock += (++t->counters.packets % PAYLOAD_CLOCK_PACKETS) == 0;
        }
        w->packet += length;
    }
    return PAYLOADS_DONE;
}

#endif
