/* Adding packets to the flow table: established connections in turn, UDP, handshakes, and the end of all. */
#include "flows.h"
#include "jobs.h"

enum { PACKETS = 8192, FLOWS = 512, ENTRIES = 4 * FLOWS, HANDSHAKE = 8 };

static packet_row rows[PACKETS];
static uint8_t buffer[64];
static flow_record slab[SLAB_RECORDS], output[FLOWS], *slabs[] = {slab};
static uint64_t entries[ENTRIES];
static flow_table table;

static void add(const packet_row *first, uint32_t count) {
    const bytes_view views[] = {{buffer, sizeof buffer}};
    const flow_buffers buffers = {views, 1};
    uint32_t from = 0, sweep_from = 0;
    flows_update(&table, first, count, buffers, &from, &sweep_from);
}

/* One segment of a flow with 32 bytes of header: timestamps in `buffer`. */
static void put_row(packet_row *row, uint32_t flow, uint32_t way, uint32_t flags, uint32_t seq, uint32_t ack) {
    row->source[15] = (uint8_t)(way ? 1 : 2);
    row->destination[15] = (uint8_t)(way ? 2 : 1);
    row->source_port = (uint16_t)(way ? 443 : 1024 + flow);
    row->destination_port = (uint16_t)(way ? 1024 + flow : 443);
    row->ip_version = 4;
    row->ip_protocol = IP_TCP;
    row->ttl = 64;
    row->flags = PACKET_HAS_TRANSPORT;
    row->tcp_flags = (uint16_t)flags;
    row->tcp_seq = seq;
    row->tcp_ack = ack;
    row->tcp_window = 1000;
    row->transport_length = 32;
    row->captured_length = row->payload_offset = sizeof buffer;
    row->payload_length = flags == (TCP_ACK | 8) ? 100 : 0;
    row->wire_length = row->inner_length = 66 + row->payload_length;
    row->timestamp = 1000 + (row - rows) * 1000;
    row->flow_hash = flow_hash(&table.seed, row);
}

static void prepare(void) {
    static const uint8_t options[12] = {1, 1, 8, 10, 0, 0, 0, 1, 0, 0, 0, 1};
    memcpy(buffer + sizeof buffer - sizeof options, options, sizeof options);
    for (uint64_t n = 0; n < 4; n++) {
        table.seed.key[n] = n + 1;
    }
    table.slabs = slabs;
    table.slab_count = 1;
    table.shards = 1;
    table.index = entries;
    table.index_mask = ENTRIES - 1;
    table.output = output;
    table.output_capacity = FLOWS;
    table.idle_timeout = 120000000000;
    table.next_sweep = table.sweep_floor = table.previous_timestamp = INT64_MIN;
}

/* A question there, an answer back. */
static void prepare_udp(void) {
    prepare();
    for (uint32_t n = 0; n < PACKETS; n++) {
        packet_row *row = &rows[n];
        put_row(row, n % FLOWS, n / FLOWS & 1, 0, 0, 0);
        row->ip_protocol = IP_UDP;
        row->tcp_window = 0;
        row->transport_length = 8;
        row->payload_length = 100;
        row->wire_length = row->inner_length = 142;
        row->flow_hash = flow_hash(&table.seed, row);
    }
}

/* Data there, an acknowledgment back, and that in every flow before the next of the first. */
static void prepare_update(void) {
    prepare();
    for (uint32_t n = 0; n < PACKETS; n++) {
        const uint32_t flow = n % FLOWS, turn = n / FLOWS, way = turn & 1, seq = 1000 + (turn + 1) / 2 * 100;
        put_row(&rows[n], flow, way, way ? TCP_ACK : TCP_ACK | 8, way ? 5000 : seq, way ? seq : 5000);
    }
}

/* SYN twice, SYN-ACK, ACK, data, its acknowledgment, FIN and FIN, of HANDSHAKE packets each. */
static void prepare_round_trips(void) {
    static const uint8_t ways[HANDSHAKE] = {0, 0, 1, 0, 0, 1, 0, 1};
    static const uint16_t flags[HANDSHAKE] = {2, 2, 0x12, 0x10, 0x18, 0x10, 0x11, 0x11};
    static const uint32_t seqs[HANDSHAKE] = {7, 7, 70, 8, 8, 71, 108, 71}, acks[HANDSHAKE] = {0, 0, 8, 71, 71, 108, 71, 109};
    prepare();
    for (uint32_t n = 0; n < FLOWS * HANDSHAKE; n++) {
        const uint32_t step = n % HANDSHAKE;
        put_row(&rows[n], n / HANDSHAKE, ways[step], flags[step], seqs[step], acks[step]);
    }
}

static void prepare_end(void) {
    prepare_update();
    add(rows, PACKETS);
}

static void update(void) { add(rows, PACKETS); }
static void round_trips(void) { add(rows, FLOWS * HANDSHAKE); }

static void end(void) {
    uint32_t from = 0;
    flows_end(&table, INT64_MAX, END_FORCED, &from, table.record_count);
}

static int is_updated(void) { return table.live == FLOWS && table.flow_packets == PACKETS; }
static int is_ended(void) { return table.live == 0 && table.output_count == FLOWS; }
static int has_round_trips(void) {
    for (uint32_t n = 0; n < FLOWS; n++) {
        if (slab[n].syn_synack_rtt != 1000 || slab[n].synack_ack_rtt != 1000 || slab[n].syn_retransmissions != 1) {
            return 0;
        }
    }
    return table.live == FLOWS;
}

int main(int arguments, char **names) {
    static const job jobs[] = {
        {"flows-update", PACKETS, prepare_update, update, is_updated},
        {"flows-update-udp", PACKETS, prepare_udp, update, is_updated},
        {"flows-round-trips", FLOWS * HANDSHAKE, prepare_round_trips, round_trips, has_round_trips},
        {"flows-end", FLOWS, prepare_end, end, is_ended},
    };
    return run_job(jobs, sizeof jobs / sizeof jobs[0], arguments, names);
}
