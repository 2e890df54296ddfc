/* The input is a list of frames, some of which are overwritten by rows with whatever values they like. In small groups,
 * with an output of few records and small slabs, in several tables that share the flows, and with all live flows handed
 * over to other tables on the way, nothing may be lost or counted twice; and unless flows were evicted, the records are
 * those, byte for byte, of one table with room for all, with the same applications. */
#include "decode.h"
#include "protocols.h"
#include "table.h"

/* The bytes of a frame of the undeclared interface: a row that no decoder would make. Few addresses and ports, so that
 * rows meet in one flow. */
typedef struct {
    int64_t timestamp;
    uint32_t seq, ack, payload_length, payload_offset, wire_length, tunnel_id;
    uint16_t tcp_flags, window, vlan;
    uint8_t ends, ports, protocol, version, flags, ttl, transport_length, verdict, buffer, reserved;
} hostile_row;

enum { OTHER_BUFFER = 64 };

static void make_hostile(packet_row *row, const uint8_t *bytes, const hash_seed *seed) {
    hostile_row h;
    memcpy(&h, bytes, sizeof h);
    row->timestamp = h.timestamp;
    row->tcp_seq = h.seq;
    row->tcp_ack = h.ack;
    row->payload_length = h.payload_length;
    row->payload_buffer = h.buffer & 3; /* there are two */
    row->payload_offset = h.payload_offset;
    row->wire_length = h.wire_length;
    row->inner_length = h.wire_length / 2;
    row->tunnel_id = h.tunnel_id;
    row->tcp_flags = h.tcp_flags;
    row->tcp_window = h.window;
    row->vlan = h.vlan;
    row->source[15] = h.ends >> 4;
    row->destination[15] = h.ends & 15;
    row->source_port = h.ports >> 4;
    row->destination_port = h.ports & 15;
    row->ip_protocol = h.protocol;
    row->ip_version = h.version;
    row->flags = h.flags;
    row->ttl = h.ttl;
    row->transport_length = h.transport_length;
    row->verdict = h.verdict & 3;
    row->flow_hash = flow_hash(seed, row);
}

enum { MOST_SHARDS = 4 };

/* Tables among which the flows are divided. */
typedef struct {
    tracked tables[MOST_SHARDS];
    uint32_t count;
} division;

/* What steering says of a run; the reference is a run without any of it. */
typedef struct {
    flow_table options;
    uint32_t slab_limit;
    uint32_t output_capacity;
    uint32_t stride;
    uint32_t group;    /* rows at a time */
    uint32_t groups;   /* before flows are handed over; 0 is never */
    uint8_t divisions; /* how many tables: two bits each, in turn */
} plan;

static plan reference_plan(const uint8_t steering[STEERING], uint32_t count) {
    static const int64_t timeouts[] = {0, 1000000000, 120000000000, INT64_MAX - 1, INT64_MAX, 1, 1000, 1000000};
    plan p;
    memset(&p, 0, sizeof p);
    flow_table *t = &p.options;
    t->key_vlan = steering[0] >> 1 & 1;
    t->key_vni = steering[0] >> 2 & 1;
    t->whole_frames = steering[0] >> 3 & 1;
    t->names.set = steering[2] >> 6 & 1 ? NULL : all_protocols();
    t->idle_timeout = timeouts[steering[1] & 7];
    t->active_timeout = timeouts[steering[1] >> 3 & 7];
    t->next_sweep = t->sweep_floor = t->previous_timestamp = INT64_MIN;
    for (uint32_t n = 0; n < 4; n++) { /* zeros, which are rare in life, make many hashes equal */
        t->seed.key[n] = steering[2] >> n & 1 ? 0 : n + 1;
    }
    p.slab_limit = MOST_SLABS;
    p.output_capacity = 2 * count + 1;
    p.stride = p.group = count;
    return p;
}

static plan steered_plan(const uint8_t steering[STEERING], uint32_t count) {
    plan p = reference_plan(steering, count);
    p.slab_limit = steering[0] & 1 ? 1U + (steering[0] >> 7) : MOST_SLABS;
    p.output_capacity = 1 + steering[3] % 4U;
    p.group = 1 + steering[4] % 64U;
    p.stride = 1 + steering[7] % 32U;
    p.divisions = steering[5];
    p.groups = steering[6] % 8U;
    return p;
}

/* Another seed made the rows' hashes than the table's: then records are found, and cannot be handed over. */
static int has_foreign_hashes(const uint8_t steering[STEERING]) { return steering[2] >> 4 & 1; }

static void start(division *d, const plan *p, uint32_t turn, const flow_table *clock, totals *ended) {
    d->count = 1 + (p->divisions >> turn % 4 * 2 & 3);
    for (uint32_t n = 0; n < d->count; n++) {
        tracked *k = &d->tables[n];
        k->slab_limit = p->slab_limit;
        k->stride = p->stride;
        k->ended = ended;
        start_table(k, clock, p->output_capacity);
        k->table.shard = n;
        k->table.shards = d->count;
        k->table.flow_packets = k->table.non_flow_packets = k->table.evicted = 0;
    }
}

static void count_all(const division *d, flow_table *sum) {
    sum->flow_packets = sum->non_flow_packets = sum->evicted = sum->live = 0;
    for (uint32_t n = 0; n < d->count; n++) {
        const flow_table *t = &d->tables[n].table;
        sum->flow_packets += t->flow_packets;
        sum->non_flow_packets += t->non_flow_packets;
        sum->evicted += t->evicted;
        sum->live += t->live;
    }
}

static void adopt_by_its_owner(division *to, const flow_table *from, const flow_record *flow) {
    const uint64_t hash = record_hash(from, flow);
    uint32_t owners = 0;
    for (uint32_t n = 0; n < to->count; n++) {
        tracked *k = &to->tables[n];
        if (in_shard(&k->table, hash)) {
            owners++;
            while (!record_adopt(&k->table, flow)) {
                make_room(k);
            }
        }
    }
    CHECK(owners == 1);
}

/* Everything alive goes from one division to another, and the counts to the first table of that. */
static void hand_over(division *from, division *to, const plan *p, uint32_t turn) {
    const flow_table *clock = &from->tables[0].table;
    flow_table sum;
    start(to, p, turn, clock, from->tables[0].ended);
    for (uint32_t n = 0; n < from->count; n++) {
        const flow_table *t = &from->tables[n].table;
        CHECK(t->next_sweep == clock->next_sweep && t->sweep_floor == clock->sweep_floor);
        CHECK(t->previous_timestamp == clock->previous_timestamp);
        for (uint32_t number = 0; number < t->record_count; number++) {
            if (flow_at(t, number)->flags & FLOW_LIVE) {
                adopt_by_its_owner(to, t, flow_at(t, number));
            }
        }
    }
    count_all(from, &sum);
    flow_table *first = &to->tables[0].table;
    first->flow_packets = sum.flow_packets;
    first->non_flow_packets = sum.non_flow_packets;
    first->evicted += sum.evicted;
    for (uint32_t n = 0; n < from->count; n++) {
        drain(&from->tables[n]);
        free_table(&from->tables[n]);
    }
}

UNCOVERED static void check_division(const division *d, const totals *ended) {
    totals sum = *ended;
    flow_table counts;
    count_all(d, &counts);
    for (uint32_t n = 0; n < d->count; n++) {
        check_table(&d->tables[n], &sum);
    }
    CHECK(sum.packets == counts.flow_packets);
}

/* Gives the counts of all tables; the records that ended are in *ended. */
static flow_table run(const plan *p, const packet_row *rows, uint32_t count, const bytes_view *buffers, totals *ended) {
    static division divisions[2];
    uint32_t turn = 0, groups = 0;
    *ended = NOTHING;
    start(&divisions[0], p, 0, &p->options, ended);
    for (uint32_t from = 0, size; from < count; from += size) {
        division *d = &divisions[turn & 1];
        size = p->group < count - from ? p->group : count - from;
        packet_row *group = copy_of(rows + from, size * sizeof *rows); /* nobody looks behind it */
        for (uint32_t n = 0; n < d->count; n++) {
            add_rows(&d->tables[n], group, size, buffers);
        }
        free(group);
        if (++groups == p->groups) {
            groups = 0;
            turn++;
            hand_over(d, &divisions[turn & 1], p, turn);
            check_division(&divisions[turn & 1], ended);
        }
    }
    division *last = &divisions[turn & 1];
    check_division(last, ended);
    for (uint32_t n = 0; n < last->count; n++) {
        end_flows(&last->tables[n], INT64_MAX, END_FORCED);
        drain(&last->tables[n]);
    }
    check_division(last, ended);
    flow_table sum = p->options;
    count_all(last, &sum);
    for (uint32_t n = 0; n < last->count; n++) {
        free_table(&last->tables[n]);
    }
    return sum;
}

/* The books: every row is in a flow, or decoded and without one, or undecodable. */
UNCOVERED static void check_books(const flow_table *counts, const totals *sum, const packet_row *rows, uint32_t count) {
    totals wanted = NOTHING;
    uint64_t others = 0;
    for (uint32_t n = 0; n < count; n++) {
        if (rows[n].ip_version) {
            int whole = counts->whole_frames || (rows[n].flags & PACKET_IS_OUTER);
            wanted.packets++;
            wanted.bytes += whole ? rows[n].wire_length : rows[n].inner_length;
            wanted.payload += rows[n].payload_length;
            wanted.first_seen = rows[n].timestamp < wanted.first_seen ? rows[n].timestamp : wanted.first_seen;
            wanted.last_seen = rows[n].timestamp > wanted.last_seen ? rows[n].timestamp : wanted.last_seen;
        } else {
            others += rows[n].verdict == VERDICT_OK;
        }
    }
    CHECK(counts->live == 0 && counts->flow_packets == wanted.packets && counts->non_flow_packets == others);
    CHECK(sum->packets == wanted.packets && sum->bytes == wanted.bytes && sum->payload == wanted.payload);
    CHECK(sum->first_seen == wanted.first_seen && sum->last_seen == wanted.last_seen);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    uint8_t steering[STEERING];
    frame_list list;
    totals tiny, roomy;
    size = take_steering(data, size, steering);
    take_frames(data, size, &list);
    const uint32_t count = list.count;
    packet_row *rows = room(count, sizeof *rows);
    plan p = steered_plan(steering, count);
    p.groups = has_foreign_hashes(steering) ? 0 : p.groups;
    const plan reference = reference_plan(steering, count);
    decode_counters counters = {.frames = 0};
    const hash_seed seed = {{1, 2, 3, has_foreign_hashes(steering) ? 5 : 4}};
    const decoder d = {.seed = has_foreign_hashes(steering) ? seed : p.options.seed, .counters = &counters,
                       .link_types = link_types, .interface_count = INTERFACES, .ports = ports_of_tunnels(),
                       .verify_checksums = 1, .reassemble = steering[2] >> 5 & 1};
    tunnel_output tunnels = {room((count + 1) * MAX_TUNNELS, sizeof *tunnels.rows), 0, (count + 1) * MAX_TUNNELS};
    CHECK(decode_batch(&d, list.bytes, list.records, 0, count, rows, &tunnels) == count);
    uint32_t length = 0;
    for (uint32_t n = 0; n < count; n++) {
        const frame_record *record = &list.records[n];
        length += record->captured_length;
        if (record->interface_id == INTERFACES && record->captured_length >= sizeof(hostile_row)) {
            make_hostile(&rows[n], list.bytes + record->offset, &d.seed);
        }
    }
    uint8_t *other = room(OTHER_BUFFER, 1);
    memset(other, 8, OTHER_BUFFER); /* kind 8 length 8, again and again: TCP options that go on */
    const bytes_view buffers[] = {{list.bytes, length}, {other, OTHER_BUFFER}};
    flow_table counts = run(&reference, rows, count, buffers, &roomy);
    check_books(&counts, &roomy, rows, count);
    CHECK(counts.evicted == 0);
    counts = run(&p, rows, count, buffers, &tiny);
    check_books(&counts, &tiny, rows, count);
    CHECK(counts.evicted || (tiny.count == roomy.count && tiny.digest == roomy.digest));
    free(other);
    free(tunnels.rows);
    free(rows);
    free_frames(&list);
    return 0;
}
