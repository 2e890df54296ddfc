/* The flow table: from rows to flows.
 *
 * An open-addressed index of 8-byte entries (32 bits of hash, 32 bits of record number) finds records of 384 bytes,
 * which stand in slabs that never move. The caller owns all memory: the functions here stop and say so when they need
 * more, and go on at the same packet when they have it.
 */
#ifndef SPANLINE_FLOWS_H
#define SPANLINE_FLOWS_H

#include "hash.h"
#include "tcp.h"

enum {
    SLAB_BITS = 12,
    SLAB_RECORDS = 1 << SLAB_BITS,
    NO_FLOW = -1,
};

enum flow_wants {
    FLOWS_DONE,
    FLOWS_WANT_RECORDS, /* no free record: another slab, or an eviction */
    FLOWS_WANT_OUTPUT,  /* no room for finished flows */
};

typedef struct {
    hash_seed seed;
    flow_record **slabs;
    uint32_t slab_count;
    uint32_t free_first; /* list of free records, by number + 1 */
    uint32_t record_count; /* records ever used */
    uint32_t live;
    uint64_t *index; /* tag << 32 | record number + 1; 0 is empty */
    uint32_t index_mask;
    flow_record *output;
    uint32_t output_count;
    uint32_t output_capacity;
    int64_t idle_timeout;   /* ns; 0 is off */
    int64_t active_timeout; /* ns; 0 is off */
    int64_t next_sweep;
    int64_t sweep_floor; /* no clock that was right when next_sweep was set can be before it */
    int64_t previous_timestamp;
    uint64_t flow_packets;
    uint64_t non_flow_packets; /* decoded, and without an IP layer */
    uint64_t evicted;
    uint8_t key_vlan;
    uint8_t key_vni;
    uint8_t whole_frames; /* count bytes of the whole frame, not of the innermost one */
} flow_table;

ALWAYS_INLINE flow_record *flow_at(const flow_table *t, uint32_t number) {
    return &t->slabs[number >> SLAB_BITS][number & (SLAB_RECORDS - 1)];
}

/* The tunnel that a packet's flow is inside. */
ALWAYS_INLINE uint32_t flow_vni(const packet_row *row) {
    return UNLIKELY(row->flags & PACKET_IS_OUTER) ? NO_TUNNEL_ID : row->tunnel_id;
}

ALWAYS_INLINE uint32_t flow_tag(const flow_table *t, const packet_row *row) {
    uint64_t hash = row->flow_hash;
    if (t->key_vni) {
        hash = hash_mix(hash ^ t->seed.key[1], flow_vni(row) ^ t->seed.key[2]);
    }
    if (t->key_vlan) {
        hash = hash_mix(hash ^ t->seed.key[2], row->vlan ^ t->seed.key[3]);
    }
    return (uint32_t)(hash >> 32);
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

ALWAYS_INLINE void index_insert(flow_table *t, uint32_t tag, uint32_t number) {
    uint32_t at = tag & t->index_mask;
    while (t->index[at]) {
        at = (at + 1) & t->index_mask;
    }
    t->index[at] = (uint64_t)tag << 32 | (number + 1);
}

/* Moves every entry into a larger index; `index` is zeroed and has mask + 1 entries. */
static inline void index_replace(flow_table *t, uint64_t *index, uint32_t mask) {
    uint64_t *old = t->index;
    uint32_t old_mask = t->index_mask;
    t->index = index;
    t->index_mask = mask;
    for (uint64_t n = 0; old && n <= old_mask; n++) {
        if (old[n]) {
            index_insert(t, (uint32_t)(old[n] >> 32), (uint32_t)old[n] - 1);
        }
    }
}

/* Takes an entry out and closes the hole, so that probing needs no tombstones. */
static inline void index_remove(flow_table *t, uint32_t tag, uint32_t number) {
    const uint64_t entry = (uint64_t)tag << 32 | (number + 1);
    uint32_t hole = tag & t->index_mask;
    while (t->index[hole] != entry) {
        hole = (hole + 1) & t->index_mask;
    }
    for (uint32_t at = (hole + 1) & t->index_mask; t->index[at]; at = (at + 1) & t->index_mask) {
        uint32_t home = (uint32_t)(t->index[at] >> 32) & t->index_mask;
        if (((at - home) & t->index_mask) >= ((at - hole) & t->index_mask)) {
            t->index[hole] = t->index[at];
            hole = at;
        }
    }
    t->index[hole] = 0;
}

/* Copies a flow to the output; there is room for it. */
static inline void flow_finish(flow_table *t, flow_record *flow, uint32_t reason) {
    int closed = (flow->direction[0].bits | flow->direction[1].bits) & (DIRECTION_FIN | DIRECTION_RST);
    flow_record *out = &t->output[t->output_count++];
    *out = *flow;
    out->end_reason = (uint8_t)(closed && (reason == END_IDLE || reason == END_FORCED) ? END_CLOSED : reason);
}

static inline void flow_release(flow_table *t, uint32_t number) {
    flow_record *flow = flow_at(t, number);
    index_remove(t, flow->tag, number);
    flow->flags = 0;
    flow->tag = t->free_first;
    t->free_first = number + 1;
    t->live--;
}

/* The record begins here: everything but the key and what TCP knows of the connection. */
static inline void flow_begin(flow_record *flow) {
    flow->syn_retransmissions = flow->synack_retransmissions = 0;
    flow->history_length = 0;
    flow->history[0] = flow->history[1] = flow->history[2] = 0;
    flow->flags &= (uint8_t)~FLOW_SYN_AMBIGUOUS;
    flow->syn_last = flow->synack_last = flow->initial_rtt = NO_TIME;
    flow->syn_synack_rtt = flow->synack_ack_rtt = NO_TIME;
    for (int way = 0; way < 2; way++) {
        flow_direction *d = &flow->direction[way];
        d->first_seen = d->last_seen = NO_TIME;
        d->packets = d->bytes = d->payload_bytes = 0;
        memset(d->flag_counts, 0, sizeof d->flag_counts);
        d->retransmissions = 0;
        d->zero_windows = d->gaps = d->bad_checksums = d->tcp_flags = 0;
        d->ttl_min = UINT8_MAX;
        d->ttl_max = 0;
        d->once = 0;
    }
}

/* A new flow for the packet; a record is free. A SYN-ACK comes from the responder. */
static inline flow_record *flow_create(flow_table *t, const packet_row *row, uint32_t tag, flow_key_ports ports) {
    uint32_t number;
    if (t->free_first) {
        number = t->free_first - 1;
        t->free_first = flow_at(t, number)->tag;
    } else {
        number = t->record_count++;
    }
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
    flow->ip_version = row->ip_version;
    flow->tag = tag;
    flow->flags = FLOW_LIVE;
    flow->last_seen = row->timestamp;
    flow_begin(flow);
    if (flipped) {
        flow->flags |= FLOW_FLIPPED;
        history_add(flow, 1, HISTORY_FLIPPED);
    }
    index_insert(t, tag, number);
    t->live++;
    return flow;
}

ALWAYS_INLINE int64_t flow_first_seen(const flow_record *flow) {
    const flow_direction *there = &flow->direction[0], *back = &flow->direction[1];
    if (!there->packets || !back->packets) {
        return there->packets ? there->first_seen : back->first_seen;
    }
    return there->first_seen < back->first_seen ? there->first_seen : back->first_seen;
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

ALWAYS_INLINE void flow_count(const flow_table *t, flow_record *flow, int way, const packet_row *row,
                              const uint8_t *buffer) {
    flow_direction *d = &flow->direction[way];
    const int64_t now = row->timestamp;
    if (UNLIKELY(d->packets == 0)) {
        d->first_seen = d->last_seen = now;
    }
    d->first_seen = now < d->first_seen ? now : d->first_seen;
    d->last_seen = now > d->last_seen ? now : d->last_seen;
    flow->last_seen = now > flow->last_seen ? now : flow->last_seen;
    d->packets++;
    d->bytes += t->whole_frames || (row->flags & PACKET_IS_OUTER) ? row->wire_length : row->inner_length;
    d->payload_bytes += row->payload_length;
    d->ttl_min = row->ttl < d->ttl_min ? row->ttl : d->ttl_min;
    d->ttl_max = row->ttl > d->ttl_max ? row->ttl : d->ttl_max;
    if (UNLIKELY(row->flags & PACKET_BAD_CHECKSUM)) {
        d->bad_checksums = (uint16_t)(d->bad_checksums + (d->bad_checksums != UINT16_MAX));
        if (row->ip_protocol == IP_TCP || row->ip_protocol == IP_UDP) {
            history_add_scaled(flow, way, d->bad_checksums, HISTORY_CHECKSUM);
        }
        return; /* nothing that it says can be believed */
    }
    if (LIKELY(row->ip_protocol == IP_TCP)) {
        if (UNLIKELY(row->transport_length < 20)) {
            return; /* a fragment, or cut before the end of its header */
        }
        const uint32_t flags = row->tcp_flags;
        d->tcp_flags |= row->tcp_flags;
        for (uint32_t bit = 0; bit < 8; bit++) {
            d->flag_counts[bit] += (flags >> bit) & 1;
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
            flow_release(t, *from);
        }
    }
    *from = 0;
    return FLOWS_DONE;
}

/* Ends the live flows whose last packet is not after `until`, counted as evicted when that is the reason. */
static inline int flows_end(flow_table *t, int64_t until, uint32_t reason, uint32_t *from) {
    for (; *from < t->record_count; (*from)++) {
        flow_record *flow = flow_at(t, *from);
        if ((flow->flags & FLOW_LIVE) && flow->last_seen <= until) {
            if (t->output_count == t->output_capacity) {
                return FLOWS_WANT_OUTPUT;
            }
            t->evicted += reason == END_EVICTED;
            flow_finish(t, flow, reason);
            flow_release(t, *from);
        }
    }
    *from = 0;
    return FLOWS_DONE;
}

/* Asks the cache for the index entry, and later for the record, of a packet that comes soon. */
ALWAYS_INLINE void flow_prefetch_index(const flow_table *t, const packet_row *row) {
    PREFETCH(&t->index[flow_tag(t, row) & t->index_mask]);
}

ALWAYS_INLINE void flow_prefetch_record(const flow_table *t, const packet_row *row) {
    const uint32_t tag = flow_tag(t, row);
    for (uint32_t at = tag & t->index_mask; t->index[at]; at = (at + 1) & t->index_mask) {
        if (t->index[at] >> 32 == tag) {
            const char *record = (const char *)flow_at(t, (uint32_t)t->index[at] - 1);
            for (uint32_t line = 0; line < sizeof(flow_record); line += 64) {
                PREFETCH(record + line);
            }
            return;
        }
    }
}

/* Whether a row belongs to a flow: it has an IP layer. */
ALWAYS_INLINE int is_flow_packet(const packet_row *row) { return row->ip_version != 0; }

/* Adds one packet. */
ALWAYS_INLINE int flows_add(flow_table *t, const packet_row *row, const uint8_t *buffer, uint32_t *sweep_from) {
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
    if (UNLIKELY(!is_flow_packet(row))) {
        t->previous_timestamp = row->timestamp;
        t->non_flow_packets += row->verdict == VERDICT_OK;
        return FLOWS_DONE;
    }
    if (UNLIKELY(t->output_count == t->output_capacity)) {
        return FLOWS_WANT_OUTPUT;
    }
    const flow_key_ports ports = flow_ports(row);
    const uint32_t tag = flow_tag(t, row);
    flow_record *flow = NULL;
    int way = NO_FLOW;
    uint32_t at = tag & t->index_mask, number = 0;
    for (; t->index[at]; at = (at + 1) & t->index_mask) {
        if (LIKELY(t->index[at] >> 32 == tag)) {
            number = (uint32_t)t->index[at] - 1;
            flow = flow_at(t, number);
            way = flow_match(t, flow, row, ports);
            if (LIKELY(way != NO_FLOW)) {
                break;
            }
        }
    }
    if (LIKELY(way != NO_FLOW)) {
        if (UNLIKELY(t->idle_timeout && time_between(flow->last_seen, row->timestamp) >= t->idle_timeout)) {
            flow_finish(t, flow, END_IDLE);
            flow_release(t, number);
            way = NO_FLOW;
        } else if (UNLIKELY(row->ip_protocol == IP_TCP && opens_another(flow, way, row))) {
            flow_finish(t, flow, END_CLOSED);
            flow_release(t, number);
            way = NO_FLOW;
        } else if (t->active_timeout) {
            if (UNLIKELY(time_between(flow_first_seen(flow), row->timestamp) >= t->active_timeout)) {
                flow_finish(t, flow, END_ACTIVE);
                flow_begin(flow);
                flow->flags |= FLOW_CONTINUES;
            }
        }
    }
    if (UNLIKELY(way == NO_FLOW)) {
        if (!t->free_first && t->record_count == t->slab_count << SLAB_BITS) {
            return FLOWS_WANT_RECORDS;
        }
        flow = flow_create(t, row, tag, ports);
        way = flow->flags & FLOW_FLIPPED ? 1 : 0;
    }
    flow_count(t, flow, way, row, buffer);
    t->flow_packets++;
    t->previous_timestamp = row->timestamp;
    return FLOWS_DONE;
}

/* Adds rows[*from…count) and says what it needs, with *from where it stopped. */
static inline int flows_update(flow_table *t, const packet_row *rows, uint32_t count, const uint8_t *const *buffers,
                               uint32_t buffer_count, uint32_t *from, uint32_t *sweep_from) {
    enum { INDEX_AHEAD = 16, RECORD_AHEAD = 8 };
    for (; *from < count; (*from)++) {
        const packet_row *row = &rows[*from];
        if (LIKELY(*from + INDEX_AHEAD < count)) {
            flow_prefetch_index(t, row + INDEX_AHEAD);
            flow_prefetch_record(t, row + RECORD_AHEAD);
        }
        const uint8_t *buffer = buffers[row->payload_buffer < buffer_count ? row->payload_buffer : 0];
        int wants = flows_add(t, row, buffer, sweep_from);
        if (UNLIKELY(wants != FLOWS_DONE)) {
            return wants;
        }
    }
    return FLOWS_DONE;
}

#endif
