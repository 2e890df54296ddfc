/* A flow table with the memory its caller owes it, as flows.pyx gives it but in miniature; and what must hold of it.
 *
 * A slab has 4,096 records, more than an input has packets. So that the first slab is full soon, all but a few of its
 * records are taken as used once and dead: the only thing here that flows.pyx never does.
 */
#ifndef SPANLINE_FUZZ_TABLE_H
#define SPANLINE_FUZZ_TABLE_H

#include "conn_state.h"
#include "flows.h"
#include "input.h"

typedef struct {
    uint64_t packets;
    uint64_t bytes;
    uint64_t payload;
    int64_t first_seen;
    int64_t last_seen;
} totals;

static const totals NOTHING = {0, 0, 0, INT64_MAX, INT64_MIN};

typedef struct {
    flow_table table;
    flow_record *slabs[2];
    uint32_t slab_limit;
    uint32_t dead; /* records that were never in the index */
    uint32_t most; /* rows that will come: as many flows at most */
    uint32_t sweep_from;
    flow_record *finished;
    uint32_t finished_count;
    totals ended;
} tracked;

static inline void add_totals(totals *sum, const flow_record *flow) {
    for (int way = 0; way < 2; way++) {
        const flow_direction *d = &flow->direction[way];
        sum->packets += d->packets;
        sum->bytes += d->bytes;
        sum->payload += d->payload_bytes;
        sum->first_seen = d->packets && d->first_seen < sum->first_seen ? d->first_seen : sum->first_seen;
        sum->last_seen = d->packets && d->last_seen > sum->last_seen ? d->last_seen : sum->last_seen;
    }
}

static inline void grow_index(tracked *k, uint32_t flows) {
    uint32_t entries = 4;
    while (entries < 2 * flows) {
        entries *= 2;
    }
    uint64_t *old = k->table.index, *index = room(entries, sizeof *index);
    memset(index, 0, entries * sizeof *index);
    index_replace(&k->table, index, entries - 1);
    free(old);
}

static inline void add_slab(tracked *k) {
    static flow_record *slabs[2]; /* a megabyte each: kept from input to input, with every record dead in between */
    flow_table *t = &k->table;
    flow_record **slab = &slabs[t->slab_count];
    if (!*slab) {
        *slab = calloc(SLAB_RECORDS, sizeof **slab);
        CHECK(*slab != NULL);
    }
    k->slabs[t->slab_count++] = *slab;
    t->slabs = k->slabs;
    uint32_t records = t->slab_count * SLAB_RECORDS - k->dead;
    grow_index(k, records < k->most ? records : k->most);
}

/* What everybody may rely on of a record that ended. */
static inline void check_record(const flow_record *flow) {
    char text[HISTORY_MAX];
    CHECK(flow->end_reason >= END_IDLE && flow->end_reason <= END_EVICTED && (flow->flags & FLOW_LIVE));
    CHECK(flow->history_length <= HISTORY_MAX && conn_state(flow) <= CONN_OTH);
    for (uint32_t n = 0, length = history_text(flow, text); n < length; n++) {
        CHECK(text[n] == '^' || (text[n] >= 'A' && text[n] <= 'Z') || (text[n] >= 'a' && text[n] <= 'z'));
    }
    for (int way = 0; way < 2; way++) {
        const flow_direction *d = &flow->direction[way];
        CHECK(d->packets == 0 || (d->first_seen <= d->last_seen && d->last_seen <= flow->last_seen));
        CHECK(d->packets == 0 || d->ttl_min <= d->ttl_max);
        CHECK(d->packets != 0 || (d->first_seen == NO_TIME && d->bytes == 0 && d->tcp_flags == 0));
    }
    CHECK(!(flow->flags & FLOW_SYNACK) || flow->syn_synack_rtt == NO_TIME || flow->syn_synack_rtt >= 0);
    CHECK(!(flow->flags & FLOW_HANDSHAKE) || flow->synack_ack_rtt == NO_TIME || flow->synack_ack_rtt >= 0);
}

static inline void drain(tracked *k) {
    flow_table *t = &k->table;
    CHECK(t->output_count <= t->output_capacity && k->finished_count + t->output_count <= 2 * k->most);
    for (uint32_t n = 0; n < t->output_count; n++) {
        check_record(&t->output[n]);
        add_totals(&k->ended, &t->output[n]);
        k->finished[k->finished_count++] = t->output[n];
    }
    t->output_count = 0;
}

/* Ends flows as the capture's end and the memory cap do, however small the output is. */
static inline void end_flows(tracked *k, int64_t until, uint32_t reason) {
    uint32_t from = k->dead;
    while (flows_end(&k->table, until, reason, &from) != FLOWS_DONE) {
        CHECK(k->table.output_count == k->table.output_capacity);
        drain(k);
    }
}

static inline void evict_oldest(tracked *k) {
    const uint64_t before = k->table.evicted;
    int64_t oldest = INT64_MAX;
    for (uint32_t n = k->dead; n < k->table.record_count; n++) {
        const flow_record *flow = flow_at(&k->table, n);
        oldest = (flow->flags & FLOW_LIVE) && flow->last_seen < oldest ? flow->last_seen : oldest;
    }
    end_flows(k, oldest, END_EVICTED);
    CHECK(k->table.evicted > before);
}

/* Adds rows, doing whatever the table asks for. */
static inline void add_rows(tracked *k, const packet_row *rows, uint32_t count, const uint8_t *const *buffers) {
    uint32_t from = 0;
    int wants;
    while ((wants = flows_update(&k->table, rows, count, buffers, 2, &from, &k->sweep_from)) != FLOWS_DONE) {
        CHECK(from < count);
        if (wants == FLOWS_WANT_OUTPUT) {
            CHECK(k->table.output_count == k->table.output_capacity);
            drain(k);
        } else if (k->table.slab_count < k->slab_limit) {
            add_slab(k);
        } else {
            evict_oldest(k);
        }
    }
    CHECK(from == count);
}

/* The index names every live record once, where probing finds it; the free list has the others. */
static inline totals check_table(const tracked *k) {
    const flow_table *t = &k->table;
    totals sum = k->ended;
    uint32_t live = 0, unused = 0;
    for (uint64_t n = 0; n <= t->index_mask; n++) {
        if (t->index[n]) {
            const uint32_t tag = (uint32_t)(t->index[n] >> 32), number = (uint32_t)t->index[n] - 1;
            CHECK(number >= k->dead && number < t->record_count);
            CHECK((flow_at(t, number)->flags & FLOW_LIVE) && flow_at(t, number)->tag == tag);
            for (uint32_t at = tag & t->index_mask; at != n; at = (at + 1) & t->index_mask) {
                CHECK(t->index[at] != 0);
            }
            add_totals(&sum, flow_at(t, number));
            live++;
        }
    }
    for (uint32_t next = t->free_first; next; next = flow_at(t, next - 1)->tag) {
        CHECK(!(flow_at(t, next - 1)->flags & FLOW_LIVE) && ++unused <= t->record_count);
    }
    CHECK(live == t->live && live + unused + k->dead == t->record_count);
    for (uint32_t n = 0; n < t->output_count; n++) {
        add_totals(&sum, &t->output[n]);
    }
    CHECK(sum.packets == t->flow_packets);
    return sum;
}

#endif
