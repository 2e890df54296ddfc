/* A flow table with the memory its caller owes it, as flows.pyx gives it but in miniature; and what must hold of it. */
#ifndef SPANLINE_FUZZ_TABLE_H
#define SPANLINE_FUZZ_TABLE_H

#define FLOW_SLAB_BITS 4 /* slabs are full soon */
#define MAX_HEADS 5      /* and heads */

#include "conn_state.h"
#include "flows.h"
#include "input.h"

enum { MOST_SLABS = MAX_FRAMES >> FLOW_SLAB_BITS };

/* What records say together. */
typedef struct {
    uint64_t count;
    uint64_t packets;
    uint64_t bytes;
    uint64_t payload;
    uint64_t digest; /* of all their bytes, in whatever order they ended */
    int64_t first_seen;
    int64_t last_seen;
} totals;

static const totals NOTHING = {0, 0, 0, 0, 0, INT64_MAX, INT64_MIN};

typedef struct {
    flow_table table;
    flow_head heads[MAX_HEADS];
    uint8_t head_bytes[MAX_HEADS * HEAD_BYTES];
    flow_record *slabs[MOST_SLABS];
    uint32_t slab_limit;
    uint32_t stride; /* records looked at before flows_end() pauses */
    uint32_t sweep_from;
    totals *ended;
} tracked;

UNCOVERED static void add_totals(totals *sum, const flow_record *flow) {
    for (int way = 0; way < 2; way++) {
        const flow_direction *d = &flow->direction[way];
        sum->packets += d->packets;
        sum->bytes += d->bytes;
        sum->payload += d->payload_bytes;
        sum->last_seen = d->packets && d->last_seen > sum->last_seen ? d->last_seen : sum->last_seen;
    }
    sum->first_seen = flow->first_seen < sum->first_seen ? flow->first_seen : sum->first_seen;
    sum->count++;
}

UNCOVERED static uint64_t digest_of(const flow_record *flow) {
    uint64_t words[sizeof *flow / 8], digest = 0;
    memcpy(words, flow, sizeof *flow);
    for (uint32_t n = 0; n < sizeof *flow / 8; n++) {
        digest = hash_mix(digest ^ words[n] ^ 0x9E3779B97F4A7C15ULL, 0xD1342543DE82EF95ULL + n);
    }
    return digest;
}

static inline void grow_index(flow_table *t, uint32_t entries) {
    uint64_t *old = t->index, *index = room(entries, sizeof *index);
    memset(index, 0, entries * sizeof *index);
    index_replace(t, index, entries - 1);
    free(old);
}

/* Room for more flows, with an index at most three quarters full. */
static inline void add_slab(tracked *k) {
    flow_table *t = &k->table;
    CHECK(t->slab_count < MOST_SLABS);
    if ((t->slab_count + 1) * SLAB_RECORDS * 4 > (t->index_mask + 1) * 3) {
        grow_index(t, (t->index_mask + 1) * 2);
    }
    k->slabs[t->slab_count++] = room(SLAB_RECORDS, sizeof **k->slabs);
    t->slabs = k->slabs;
}

/* A table with the options of `like` and nothing in it. */
static inline void start_table(tracked *k, const flow_table *like, uint32_t output_capacity) {
    flow_table *t = &k->table;
    *t = *like;
    t->slab_count = t->free_first = t->record_count = t->live = t->output_count = 0;
    t->index = NULL;
    t->names.heads = k->heads;
    t->names.bytes = k->head_bytes;
    t->names.count = 0;
    t->output = room(t->output_capacity = output_capacity, sizeof *t->output);
    grow_index(t, 2 * SLAB_RECORDS);
    k->sweep_from = 0;
}

static inline void free_table(tracked *k) {
    for (uint32_t n = 0; n < k->table.slab_count; n++) {
        free(k->slabs[n]);
    }
    free(k->table.index);
    free(k->table.output);
}

/* Looks for patterns in heads, each a name or 0: all that matters of it is that equal heads have equal names. */
static inline void settle(tracked *k) {
    flow_table *t = &k->table;
    uint8_t patterns[MAX_HEADS];
    CHECK(t->names.count <= MAX_HEADS);
    for (uint32_t n = 0; n < t->names.count; n++) {
        const uint8_t *bytes = k->head_bytes + n * HEAD_BYTES;
        CHECK(bytes[0] == '\n' && t->names.heads[n].flow < t->record_count && t->names.heads[n].port_name < t->names.set->count);
        patterns[n] = (uint8_t)(bytes[1] % 3 ? NAME_NONE : bytes[2] % t->names.set->count);
    }
    flows_settle(t, patterns);
    records_settle(&t->names, patterns, t->output, t->output_count);
    t->names.count = 0;
}

/* A name with what is known of how it was found. */
UNCOVERED static void check_name(const flow_table *t, const flow_record *flow) {
    const uint32_t name = flow->application & 0xFF, how = flow->application & ~0xFFU;
    CHECK(t->names.set ? name < t->names.set->count : flow->application == 0);
    CHECK(how == 0 || how == FOUND_BY_CONTENT || how == (FOUND_BY_CONTENT | FOUND_FOREIGN));
}

/* What everybody may rely on of a record that ended. */
UNCOVERED static void check_record(const flow_record *flow) {
    char text[HISTORY_MAX];
    CHECK(flow->end_reason >= END_IDLE && flow->end_reason <= END_EVICTED && (flow->flags & FLOW_LIVE));
    CHECK(flow->history_length <= HISTORY_MAX && conn_state(flow) <= CONN_OTH);
    for (uint32_t n = 0, length = history_text(flow, text); n < length; n++) {
        CHECK(text[n] == '^' || (text[n] >= 'A' && text[n] <= 'Z') || (text[n] >= 'a' && text[n] <= 'z'));
    }
    int64_t first_seen = INT64_MAX;
    for (int way = 0; way < 2; way++) {
        const flow_direction *d = &flow->direction[way];
        const flow_events *e = &flow->events[way];
        if (d->packets) {
            CHECK(flow->started[way] <= d->last_seen && d->last_seen <= flow->last_seen && d->ttl_min <= d->ttl_max);
            CHECK(d->ack_packets <= d->packets && d->psh_packets <= d->packets && e->bad_checksums <= d->packets);
            first_seen = flow->started[way] < first_seen ? flow->started[way] : first_seen;
        } else {
            CHECK(flow->started[way] == NO_TIME && d->bytes == 0 && d->ack_packets == 0 && e->tcp_flags == 0);
        }
        CHECK((e->tcp_flags & (TCP_ACK | TCP_PSH)) == 0);
    }
    CHECK(flow->first_seen == first_seen && (flow->direction[0].packets || flow->direction[1].packets));
    CHECK(!(flow->flags & FLOW_SYNACK) || flow->syn_synack_rtt == NO_TIME || flow->syn_synack_rtt >= 0);
    CHECK(!(flow->flags & FLOW_HANDSHAKE) || flow->synack_ack_rtt == NO_TIME || flow->synack_ack_rtt >= 0);
}

static inline void drain(tracked *k) {
    flow_table *t = &k->table;
    CHECK(t->output_count <= t->output_capacity);
    settle(k);
    for (uint32_t n = 0; n < t->output_count; n++) {
        check_record(&t->output[n]);
        check_name(t, &t->output[n]);
        add_totals(k->ended, &t->output[n]);
        k->ended->digest += digest_of(&t->output[n]);
    }
    t->output_count = 0;
}

/* Ends flows as the capture's end and the memory cap do, however small the output is and however often it pauses. */
static inline void end_flows(tracked *k, int64_t until, uint32_t reason) {
    flow_table *t = &k->table;
    for (uint32_t from = 0; from < t->record_count;) {
        const uint32_t left = t->record_count - from, to = from + (k->stride < left ? k->stride : left);
        while (flows_end(t, until, reason, &from, to) != FLOWS_DONE) {
            CHECK(t->output_count == t->output_capacity);
            drain(k);
        }
        CHECK(from == to);
    }
}

static inline void evict_oldest(tracked *k) {
    const uint64_t before = k->table.evicted;
    int64_t oldest = INT64_MAX;
    for (uint32_t n = 0; n < k->table.record_count; n++) {
        const flow_record *flow = flow_at(&k->table, n);
        oldest = (flow->flags & FLOW_LIVE) && flow->last_seen < oldest ? flow->last_seen : oldest;
    }
    end_flows(k, oldest, END_EVICTED);
    CHECK(k->table.evicted > before);
}

static inline void make_room(tracked *k) {
    CHECK(!has_free_record(&k->table));
    if (k->table.slab_count < k->slab_limit) {
        add_slab(k);
    } else {
        evict_oldest(k);
    }
}

/* Adds rows, doing whatever the table asks for. */
static inline void add_rows(tracked *k, const packet_row *rows, uint32_t count, const bytes_view *buffers) {
    const flow_buffers both = {buffers, 2};
    uint32_t from = 0;
    int wants;
    while ((wants = flows_update(&k->table, rows, count, both, &from, &k->sweep_from)) != FLOWS_DONE) {
        CHECK(from < count);
        if (wants == FLOWS_WANT_OUTPUT) {
            CHECK(k->table.output_count == k->table.output_capacity);
            drain(k);
        } else if (wants == FLOWS_WANT_NAMES) {
            CHECK(k->table.names.count == MAX_HEADS);
            settle(k);
        } else {
            make_room(k);
        }
    }
    settle(k);
    CHECK(from == count && k->sweep_from == 0);
}

/* The index names every live record once, where probing finds it; the free list has the others. */
UNCOVERED static void check_table(const tracked *k, totals *sum) {
    const flow_table *t = &k->table;
    uint32_t live = 0, unused = 0;
    for (uint64_t n = 0; n <= t->index_mask; n++) {
        if (t->index[n]) {
            const uint32_t tag = (uint32_t)(t->index[n] >> 32), number = (uint32_t)t->index[n] - 1;
            CHECK(number < t->record_count && (flow_at(t, number)->flags & FLOW_LIVE));
            check_name(t, flow_at(t, number));
            for (uint32_t at = tag & t->index_mask; at != n; at = (at + 1) & t->index_mask) {
                CHECK(t->index[at] != 0);
            }
            add_totals(sum, flow_at(t, number));
            live++;
        }
    }
    for (uint32_t next = t->free_first; next; next = flow_at(t, next - 1)->vni) {
        CHECK(next <= t->record_count && !(flow_at(t, next - 1)->flags & FLOW_LIVE) && ++unused <= t->record_count);
    }
    CHECK(live == t->live && live + unused == t->record_count && t->record_count <= t->slab_count << SLAB_BITS);
    for (uint32_t n = 0; n < t->output_count; n++) {
        add_totals(sum, &t->output[n]);
    }
}

#endif
