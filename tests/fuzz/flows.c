/* The input is a list of frames, some of which are overwritten by rows with whatever values they like. With an output of
 * one record, one slab that is nearly full, and packets in small groups, nothing may be lost or counted twice; and
 * unless flows were evicted, the records are those, byte for byte, of a table with room for all. */
#include "decode.h"
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
    /* What buffer 1 holds was put together by us: there, and only there, nobody else chooses the place. */
    row->payload_buffer = h.buffer & 1;
    row->payload_offset = row->payload_buffer ? h.payload_offset % (OTHER_BUFFER + 1) : h.payload_offset;
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

/* A table as the first steering bytes say; with `roomy` one that never has to ask for anything. */
static void run(tracked *k, const packet_row *rows, uint32_t count, const uint8_t *const *buffers,
                const uint8_t steering[STEERING], int roomy) {
    static const int64_t timeouts[] = {0, 1000000000, 120000000000, INT64_MAX - 1, INT64_MAX, 1, 1000, 1000000};
    flow_table *t = &k->table;
    memset(k, 0, sizeof *k);
    k->ended = NOTHING;
    k->most = count;
    k->slab_limit = roomy ? 1 : 1 + (steering[0] & 1);
    k->dead = roomy || (steering[6] & 1) ? 0 : SLAB_RECORDS - 1 - (uint32_t)(steering[0] >> 4);
    k->finished = room(2 * count, sizeof *k->finished);
    t->record_count = k->dead;
    t->key_vlan = steering[0] >> 1 & 1;
    t->key_vni = steering[0] >> 2 & 1;
    t->whole_frames = steering[0] >> 3 & 1;
    /* Short ones sweep at each packet, which takes its time where there are thousands of dead records. */
    t->idle_timeout = timeouts[(steering[1] & 7) % (steering[6] & 1 ? 8 : 5)];
    t->active_timeout = timeouts[steering[1] >> 3 & 7];
    t->next_sweep = t->sweep_floor = t->previous_timestamp = INT64_MIN;
    t->seed.key[0] = t->seed.key[1] = t->seed.key[2] = t->seed.key[3] = 1 + steering[2];
    t->output_capacity = roomy ? 2 * count + 1 : 1 + steering[3] % 4U;
    t->output = room(t->output_capacity, sizeof *t->output);
    add_slab(k);
    for (uint32_t from = 0, size; from < count; from += size) {
        size = roomy ? count : 1 + steering[4] % 64U;
        size = size < count - from ? size : count - from;
        packet_row *group = copy_of(rows + from, size * sizeof *rows);
        add_rows(k, group, size, buffers);
        check_table(k);
        free(group);
    }
    end_flows(k, INT64_MAX, END_FORCED);
    drain(k);
    free(t->output);
}

/* The books: every row is in a flow, or decoded and without one, or undecodable. */
static void check_books(const tracked *k, const packet_row *rows, uint32_t count) {
    totals wanted = NOTHING;
    uint64_t others = 0;
    for (uint32_t n = 0; n < count; n++) {
        if (rows[n].ip_version) {
            int whole = k->table.whole_frames || (rows[n].flags & PACKET_IS_OUTER);
            wanted.packets++;
            wanted.bytes += whole ? rows[n].wire_length : rows[n].inner_length;
            wanted.payload += rows[n].payload_length;
            wanted.first_seen = rows[n].timestamp < wanted.first_seen ? rows[n].timestamp : wanted.first_seen;
            wanted.last_seen = rows[n].timestamp > wanted.last_seen ? rows[n].timestamp : wanted.last_seen;
        } else {
            others += rows[n].verdict == VERDICT_OK;
        }
    }
    const totals sum = check_table(k);
    CHECK(k->table.live == 0 && k->table.flow_packets == wanted.packets && k->table.non_flow_packets == others);
    CHECK(sum.packets == wanted.packets && sum.bytes == wanted.bytes && sum.payload == wanted.payload);
    CHECK(sum.first_seen == wanted.first_seen && sum.last_seen == wanted.last_seen);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    uint8_t steering[STEERING];
    frame_list list;
    tracked tiny, roomy;
    size = take_steering(data, size, steering);
    take_frames(data, size, &list);
    const uint32_t count = list.count;
    packet_row *rows = room(count, sizeof *rows);
    decode_counters counters = {.frames = 0};
    const decoder d = {.seed = {{1, 2, 3, 4}}, .counters = &counters, .link_types = link_types,
                       .interface_count = INTERFACES, .vxlan_port = 4789, .verify_checksums = 1};
    tunnel_output tunnels = {room((count + 1) * MAX_TUNNELS, sizeof *tunnels.rows), 0, (count + 1) * MAX_TUNNELS};
    CHECK(decode_batch(&d, list.bytes, list.records, 0, count, rows, &tunnels) == count);
    for (uint32_t n = 0; n < count; n++) {
        const frame_record *record = &list.records[n];
        if (record->interface_id == INTERFACES && record->captured_length >= sizeof(hostile_row)) {
            make_hostile(&rows[n], list.bytes + record->offset, &d.seed);
        }
        /* Equal hashes of different keys are rare in life. */
        rows[n].flow_hash &= steering[5] < 128 ? UINT64_MAX : (uint64_t)(steering[5] & 7) << 32;
    }
    uint8_t *other = room(OTHER_BUFFER, 1);
    memset(other, 8, OTHER_BUFFER); /* kind 8 length 8, again and again: TCP options that go on */
    const uint8_t *const buffers[] = {list.bytes, other};
    run(&tiny, rows, count, buffers, steering, 0);
    check_books(&tiny, rows, count);
    run(&roomy, rows, count, buffers, steering, 1);
    check_books(&roomy, rows, count);
    if (!tiny.table.evicted) {
        CHECK(tiny.finished_count == roomy.finished_count);
        CHECK(!memcmp(tiny.finished, roomy.finished, tiny.finished_count * sizeof *tiny.finished));
    }
    free(tiny.finished);
    free(tiny.table.index);
    free(roomy.finished);
    free(roomy.table.index);
    free(other);
    free(tunnels.rows);
    free(rows);
    free_frames(&list);
    return 0;
}
