/* The flow table: from rows to flows.
 *
 * The functions here stop and say so when they need more memory, and go on at the same packet when they have it.
 */
#ifndef SPANLINE_FLOWS_H
#define SPANLINE_FLOWS_H

#include "flow_index.h"
#include "tcp.h"

enum { NO_FLOW = -1 };

enum flow_wants {
    FLOWS_DONE,
    FLOWS_WANT_RECORDS, /* no free record: another slab, or an eviction */
    FLOWS_WANT_OUTPUT,  /* no room for finished flows */
    FLOWS_WANT_NAMES,   /* no room for heads: settle those that there are */
};

ALWAYS_INLINE uint32_t flow_tag(const flow_table *t, const packet_row *row) {
    return tag_of(t, row->flow_hash, flow_vni(row), row->vlan);
}

/* The direction of `row` in `flow`, or NO_FLOW when it is not of it. */
ALWAYS_INLINE int flow_match(const flow_table *t, const flow_record *flow, const packet_row *row, flow_key_ports ports) {
    const uint32_t source_port = ports.source, destination_port = ports.destination;
    if (flow->protocol != row->ip_protocol || (t->key_vni && flow->vni != flow_vni(row)) ||
        (t->key_vlan && flow->vlan != row->vlan)) {
        return NO_FLOW;
    }
    if (flow->source_port == source_port && flow->destination_port == destination_port &&
        memcmp(flow->source, row->source, 16) == 0 && memcmp(flow->destination, row->destination, 16) == 0) {
        return 0;
    }
    if (!ports.one_way && flow->source_port == destination_port && flow->destination_port == source_port &&
        memcmp(flow->source, row->destination, 16) == 0 && memcmp(flow->destination, row->source, 16) == 0) {
        return 1;
    }
    return NO_FLOW;
}

/* Copies a flow to the output; there is room for it. */
static inline void flow_finish(flow_table *t, flow_record *flow, uint32_t reason) {
    int closed = (flow->direction[0].bits | flow->direction[1].bits) & (DIRECTION_FIN | DIRECTION_RST);
    flow_record *out = &t->output[t->output_count++];
    *out = *flow;
    out->end_reason = (uint8_t)(closed && (reason == END_IDLE || reason == END_FORCED) ? END_CLOSED : reason);
}

/* The record begins here: everything but the key and what TCP knows of the connection. */
static inline void flow_begin(flow_record *flow) {
    flow->first_seen = INT64_MAX;
    flow->syn_retransmissions = flow->synack_retransmissions = 0;
    flow->history_length = 0;
    flow->history[0] = flow->history[1] = flow->history[2] = 0;
    flow->flags &= (uint8_t) ~(FLOW_SYN_AMBIGUOUS | FLOW_TIMING);
    flow->syn_last = flow->synack_last = flow->initial_rtt = NO_TIME;
    flow->syn_synack_rtt = flow->synack_ack_rtt = NO_TIME;
    for (int way = 0; way < 2; way++) {
        flow_direction *d = &flow->direction[way];
        flow_events *e = &flow->events[way];
        flow->started[way] = d->last_seen = NO_TIME;
        d->packets = d->bytes = d->payload_bytes = 0;
        d->ack_packets = d->psh_packets = 0;
        d->ttl_min = UINT8_MAX;
        d->ttl_max = 0;
        d->once = 0;
        memset(e->flag_counts, 0, sizeof e->flag_counts);
        e->retransmissions = 0;
        e->zero_windows = e->gaps = e->bad_checksums = e->tcp_flags = 0;
    }
}

/* A new flow for the packet; a record is free. A SYN-ACK comes from the responder. */
static inline flow_record *flow_create(flow_table *t, const packet_row *row, uint32_t tag, flow_key_ports ports,
                                       uint32_t *place) {
    const uint32_t number = *place = record_take(t);
    flow_record *flow = flow_at(t, number);
    memset(flow, 0, sizeof *flow);
    const uint32_t kind = row->tcp_flags & (TCP_SYN | TCP_ACK | TCP_RST | TCP_FIN);
    int flipped = row->ip_protocol == IP_TCP && !(row->flags & PACKET_BAD_CHECKSUM) && kind == (TCP_SYN | TCP_ACK);
    memcpy(flow->source, flipped ? row->destination : row->source, 16);
    memcpy(flow->destination, flipped ? row->source : row->destination, 16);
    flow->source_port = (uint16_t)(flipped ? ports.destination : ports.source);
    flow->destination_port = (uint16_t)(flipped ? ports.source : ports.destination);
    flow->vni = flow_vni(row);
    flow->vlan = row->vlan;
    flow->protocol = row->ip_protocol;
    flow->flags = FLOW_LIVE;
    flow->last_seen = row->timestamp;
    flow_begin(flow);
    if (flipped) {
        flow->flags |= FLOW_FLIPPED;
        history_add(flow, 1, HISTORY_FLIPPED);
    }
    index_insert(t, tag, number);
    return flow;
}

/* Whether a segment opens another connection between the same ends: as tshark decides it, a SYN with an initial
 * sequence number of its own. */
ALWAYS_INLINE int opens_another(const flow_record *flow, int way, const packet_row *row) {
    if (LIKELY((row->tcp_flags & (TCP_SYN | TCP_ACK)) != TCP_SYN || (row->flags & PACKET_BAD_CHECKSUM))) {
        return 0;
    }
    const flow_direction *d = &flow->direction[way];
    return (d->bits & DIRECTION_STARTED) && d->start != row->tcp_seq;
}

/* Flags beside ACK and PSH. */
static inline void count_events(flow_events *e, uint32_t flags) {
    static const uint8_t bits[] = {TCP_FIN, TCP_SYN, TCP_RST, TCP_URG, TCP_ECE, TCP_CWR};
    e->tcp_flags = (uint16_t)(e->tcp_flags | (flags & ~(uint32_t)(TCP_ACK | TCP_PSH)));
    for (uint32_t n = 0; n < sizeof bits; n++) {
        e->flag_counts[n] += (flags & bits[n]) != 0;
    }
}

ALWAYS_INLINE void flow_count(flow_table *t, flow_record *flow, uint32_t number, int way, const packet_row *row,
                              bytes_view buffer) {
    flow_direction *d = &flow->direction[way];
    const int64_t now = row->timestamp;
    if (UNLIKELY(d->packets == 0)) {
        flow->started[way] = d->last_seen = now;
    } else if (UNLIKELY(now < d->last_seen)) {
        flow->started[way] = now < flow->started[way] ? now : flow->started[way];
    } else {
        d->last_seen = now;
    }
    flow->first_seen = now < flow->first_seen ? now : flow->first_seen;
    flow->last_seen = now > flow->last_seen ? now : flow->last_seen;
    d->packets++;
    d->bytes += t->whole_frames || (row->flags & PACKET_IS_OUTER) ? row->wire_length : row->inner_length;
    d->payload_bytes += row->payload_length;
    d->ttl_min = row->ttl < d->ttl_min ? row->ttl : d->ttl_min;
    d->ttl_max = row->ttl > d->ttl_max ? row->ttl : d->ttl_max;
    if (UNLIKELY(row->flags & PACKET_BAD_CHECKSUM)) {
        flow_events *e = &flow->events[way];
        e->bad_checksums = (uint16_t)(e->bad_checksums + (e->bad_checksums != UINT16_MAX));
        if (row->ip_protocol == IP_TCP || row->ip_protocol == IP_UDP) {
            history_add_scaled(flow, way, e->bad_checksums, HISTORY_CHECKSUM);
        }
        return; /* nothing that it says can be believed */
    }
    if (UNLIKELY(t->names.set && !(d->once & ONCE_HEAD) && row->payload_length)) {
        flow_name(&t->names, flow, number, way, row, buffer);
    }
    if (LIKELY(row->ip_protocol == IP_TCP)) {
        if (UNLIKELY(row->transport_length < 20)) {
            return; /* a fragment, or cut before the end of its header */
        }
        const uint32_t flags = row->tcp_flags;
        d->ack_packets += (flags / TCP_ACK) & 1;
        d->psh_packets += (flags / TCP_PSH) & 1;
        if (UNLIKELY(flags & ~(uint32_t)(TCP_ACK | TCP_PSH))) {
            count_events(&flow->events[way], flags);
        }
        tcp_track(flow, way, row);
        tcp_round_trips(flow, way, row, buffer);
    } else if (row->ip_protocol == IP_UDP) {
        history_add_once(flow, way, ONCE_DATA, HISTORY_DATA);
    }
}

static inline void flows_sweep_after(flow_table *t, int64_t now) {
    t->next_sweep = now > INT64_MAX - t->idle_timeout ? INT64_MAX : now + t->idle_timeout / 4;
    t->sweep_floor = now < t->idle_timeout - INT64_MAX ? INT64_MIN : now - t->idle_timeout;
}

/* Ends the flows that are idle at `now`. `from` is where to go on after the output was full. */
static inline int flows_sweep(flow_table *t, int64_t now, uint32_t *from) {
    for (; *from < t->record_count; (*from)++) {
        flow_record *flow = flow_at(t, *from);
        if ((flow->flags & FLOW_LIVE) && time_between(flow->last_seen, now) >= t->idle_timeout) {
            if (t->output_count == t->output_capacity) {
                return FLOWS_WANT_OUTPUT;
            }
            flow_finish(t, flow, END_IDLE);
            record_release(t, *from);
        }
    }
    *from = 0;
    return FLOWS_DONE;
}

/* Ends the live flows whose last packet is not after `until`, from record *from up to `to`; counted as evicted when that
 * is the reason. */
static inline int flows_end(flow_table *t, int64_t until, uint32_t reason, uint32_t *from, uint32_t to) {
    for (; *from < to; (*from)++) {
        flow_record *flow = flow_at(t, *from);
        if ((flow->flags & FLOW_LIVE) && flow->last_seen <= until) {
            if (t->output_count == t->output_capacity) {
                return FLOWS_WANT_OUTPUT;
            }
            t->evicted += reason == END_EVICTED;
            flow_finish(t, flow, reason);
            record_release(t, *from);
        }
    }
    return FLOWS_DONE;
}

/* What is found out about a packet before its turn, so that its memory is in the cache when that comes. */
typedef struct {
    uint32_t tag;
    uint32_t candidate; /* the record that it probably belongs to, by number + 1 */
} flow_hint;

ALWAYS_INLINE void hint_tag(const flow_table *t, const packet_row *row, flow_hint *hint) {
    hint->tag = flow_tag(t, row);
    PREFETCH(&t->index[hint->tag & t->index_mask]);
}

ALWAYS_INLINE void hint_record(const flow_table *t, flow_hint *hint) {
    hint->candidate = 0;
    for (uint32_t at = hint->tag & t->index_mask; t->index[at]; at = (at + 1) & t->index_mask) {
        if (t->index[at] >> 32 == hint->tag) {
            hint->candidate = (uint32_t)t->index[at];
            const char *record = (const char *)flow_at(t, hint->candidate - 1);
            PREFETCH(record);
            PREFETCH(record + 64);
            PREFETCH(record + 128);
            PREFETCH(record + 256); /* events: of what is sent again, or after a FIN, every packet looks there */
            PREFETCH(record + 320);
            return;
        }
    }
}

/* The flow of `row`, and its direction in *way; NULL when there is none yet. */
ALWAYS_INLINE flow_record *flow_find(const flow_table *t, const packet_row *row, flow_key_ports ports, flow_hint hint,
                                     uint32_t *number, int *way) {
    if (LIKELY(hint.candidate != 0)) { /* which may have ended, or have become another flow, since it was found */
        flow_record *flow = flow_at(t, *number = hint.candidate - 1);
        if (LIKELY((flow->flags & FLOW_LIVE) && (*way = flow_match(t, flow, row, ports)) != NO_FLOW)) {
            return flow;
        }
    }
    for (uint32_t at = hint.tag & t->index_mask; t->index[at]; at = (at + 1) & t->index_mask) {
        if (t->index[at] >> 32 == hint.tag) {
            flow_record *flow = flow_at(t, *number = (uint32_t)t->index[at] - 1);
            if ((*way = flow_match(t, flow, row, ports)) != NO_FLOW) {
                return flow;
            }
        }
    }
    return NULL;
}

/* What time does: flows that are idle end. */
ALWAYS_INLINE int flows_tick(flow_table *t, const packet_row *row, uint32_t *sweep_from) {
    if (UNLIKELY(t->idle_timeout && row->timestamp >= t->next_sweep && t->previous_timestamp >= t->next_sweep)) {
        /* Two packets in a row say so: one with a false clock must not end every flow. */
        int64_t now = row->timestamp < t->previous_timestamp ? row->timestamp : t->previous_timestamp;
        int wants = flows_sweep(t, now, sweep_from);
        if (wants != FLOWS_DONE) {
            return wants;
        }
        flows_sweep_after(t, now);
    } else if (UNLIKELY(row->timestamp < t->sweep_floor && t->previous_timestamp < t->sweep_floor)) {
        flows_sweep_after(t, row->timestamp); /* the clock was set back */
    }
    return FLOWS_DONE;
}

/* What time does on an idle link, where no packet tells it: no packet of `clock` or before comes any more, so flows that
 * are idle by then end as the next packet would have ended them. What is cut for its length waits for that packet: there
 * may be none, and then it was its end. */
static inline int flows_advance(flow_table *t, int64_t clock, uint32_t *sweep_from) {
    if (LIKELY(!t->idle_timeout || clock < t->next_sweep)) {
        return FLOWS_DONE;
    }
    const int wants = flows_sweep(t, clock, sweep_from);
    if (wants == FLOWS_DONE) {
        flows_sweep_after(t, clock);
    }
    return wants;
}

/* Adds one packet of this table's shard. */
ALWAYS_INLINE int flows_add(flow_table *t, const packet_row *row, flow_hint hint, bytes_view buffer) {
    if (UNLIKELY(row->ip_version == 0)) {
        t->non_flow_packets += row->verdict == VERDICT_OK;
        return FLOWS_DONE;
    }
    if (UNLIKELY(t->output_count == t->output_capacity)) {
        return FLOWS_WANT_OUTPUT;
    }
    const flow_key_ports ports = flow_ports(row);
    uint32_t number = 0;
    int way = 0;
    flow_record *flow = flow_find(t, row, ports, hint, &number, &way);
    if (LIKELY(flow != NULL)) {
        if (UNLIKELY(t->idle_timeout && time_between(flow->last_seen, row->timestamp) >= t->idle_timeout)) {
            flow_finish(t, flow, END_IDLE);
            record_release(t, number);
            flow = NULL;
        } else if (UNLIKELY(row->ip_protocol == IP_TCP && opens_another(flow, way, row))) {
            flow_finish(t, flow, END_CLOSED);
            record_release(t, number);
            flow = NULL;
        } else if (UNLIKELY(t->active_timeout &&
                            time_between(flow->first_seen, row->timestamp) >= t->active_timeout)) {
            flow_finish(t, flow, END_ACTIVE);
            flow_begin(flow);
            flow->flags |= FLOW_CONTINUES;
        }
    }
    if (UNLIKELY(flow == NULL)) {
        if (!has_free_record(t)) {
            return FLOWS_WANT_RECORDS;
        }
        flow = flow_create(t, row, hint.tag, ports, &number);
        way = flow->flags & FLOW_FLIPPED ? 1 : 0;
    }
    flow_count(t, flow, number, way, row, buffer);
    t->flow_packets++;
    return FLOWS_DONE;
}

/* Settles the live flows that heads are of. */
static inline void flows_settle(flow_table *t, const uint8_t *patterns) {
    const flow_names *names = &t->names;
    for (uint32_t n = 0; n < names->count; n++) {
        flow_record *flow = flow_at(t, names->heads[n].flow);
        if ((flow->flags & FLOW_LIVE) && (flow->application & FOUND_WAITS)) {
            flow_settle(names, patterns, flow);
        }
    }
}

typedef struct {
    const bytes_view *buffers;
    uint32_t count;
} flow_buffers;

ALWAYS_INLINE bytes_view buffer_of(const packet_row *row, flow_buffers b) {
    const bytes_view none = {NULL, 0};
    return LIKELY(row->payload_buffer < b.count) ? b.buffers[row->payload_buffer] : none;
}

/* Adds rows[*from…to) one by one, each after what time does. */
static inline int flows_update_and_tick(flow_table *t, const packet_row *rows, uint32_t to, flow_buffers buffers,
                                        uint32_t *from, uint32_t *sweep_from) {
    for (; *from < to; (*from)++) {
        const packet_row *row = &rows[*from];
        int wants = flows_tick(t, row, sweep_from);
        if (wants == FLOWS_DONE && in_shard(t, row->flow_hash)) {
            const flow_hint hint = {flow_tag(t, row), 0};
            wants = flows_add(t, row, hint, buffer_of(row, buffers));
        }
        if (wants != FLOWS_DONE) {
            return wants;
        }
        t->previous_timestamp = row->timestamp;
    }
    return FLOWS_DONE;
}

/* Adds rows[*from…count) and says what it needs, with *from where it stopped. Of another shard's rows only the time is
 * looked at, and that only where it may end flows. */
static inline int flows_update(flow_table *t, const packet_row *rows, uint32_t count, flow_buffers buffers,
                               uint32_t *from, uint32_t *sweep_from) {
    enum { BLOCK = 1024, RING = 32, INDEX_AHEAD = 24, RECORD_AHEAD = 12 };
    uint16_t own[BLOCK];
    flow_hint hints[RING];
    while (*from < count) {
        const packet_row *first = &rows[*from];
        const uint32_t room = t->names.set ? MAX_HEADS - t->names.count : BLOCK; /* a row has one head at most */
        const uint32_t most = room < BLOCK ? room : BLOCK;
        const uint32_t length = count - *from < most ? count - *from : most;
        int64_t earliest = INT64_MAX, latest = INT64_MIN;
        uint32_t mine = 0;
        if (UNLIKELY(length == 0)) {
            return FLOWS_WANT_NAMES;
        }
        for (uint32_t n = 0; n < length; n++) {
            earliest = first[n].timestamp < earliest ? first[n].timestamp : earliest;
            latest = first[n].timestamp > latest ? first[n].timestamp : latest;
            own[mine] = (uint16_t)n;
            mine += (uint32_t)in_shard(t, first[n].flow_hash);
        }
        if (UNLIKELY((t->idle_timeout && latest >= t->next_sweep) || earliest < t->sweep_floor)) {
            int wants = flows_update_and_tick(t, rows, *from + length, buffers, from, sweep_from);
            if (wants != FLOWS_DONE) {
                return wants;
            }
            continue;
        }
        for (uint32_t k = 0; k < mine && k < INDEX_AHEAD; k++) {
            hint_tag(t, &first[own[k]], &hints[k % RING]);
        }
        for (uint32_t k = 0; k < mine && k < RECORD_AHEAD; k++) {
            hint_record(t, &hints[k % RING]);
        }
        for (uint32_t k = 0; k < mine; k++) {
            const packet_row *row = &first[own[k]];
            if (LIKELY(k + INDEX_AHEAD < mine)) {
                hint_tag(t, &first[own[k + INDEX_AHEAD]], &hints[(k + INDEX_AHEAD) % RING]);
            }
            if (LIKELY(k + RECORD_AHEAD < mine)) {
                hint_record(t, &hints[(k + RECORD_AHEAD) % RING]);
            }
            int wants = flows_add(t, row, hints[k % RING], buffer_of(row, buffers));
            if (UNLIKELY(wants != FLOWS_DONE)) {
                t->previous_timestamp = own[k] ? row[-1].timestamp : t->previous_timestamp;
                *from += own[k];
                return wants;
            }
        }
        t->previous_timestamp = first[length - 1].timestamp;
        *from += length;
    }
    return FLOWS_DONE;
}

#endif
