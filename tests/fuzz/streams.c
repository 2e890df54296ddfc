/* The input is a list of frames, some of which are overwritten by rows with whatever values they like. In small groups,
 * with memory that grows by one slab or a few blocks at a time, and with the table saved and loaded on the way, each
 * packet's rows are those, byte for byte, of one table with room for all; unless streams or segments were forgotten, and
 * then numbers still go up by one and slots stay inside the table. */
#define STREAM_SLAB_BITS 4 /* slabs are full soon */

#include "stream_state.h"
#include "streams.h"
#include "input.h"

enum {
    MOST_OTHERS = MAX_FRAMES * (MAX_QUOTED + MAX_TUNNELS),
    MOST_SLABS = ((MAX_FRAMES + MOST_OTHERS) >> STREAM_SLAB_BITS) + 1,
};

/* The bytes of a frame of the undeclared interface: a row that no decoder would make. */
typedef struct {
    int64_t timestamp;
    uint32_t seq, ack, payload_length, payload_offset;
    uint16_t tcp_flags, window;
    uint8_t ends, protocol, flags, transport_length, verdict, layer, buffer, reserved;
} hostile_row;

static void make_hostile(packet_row *row, const uint8_t *bytes, const hash_seed *seed) {
    hostile_row h;
    memcpy(&h, bytes, sizeof h);
    row->timestamp = h.timestamp;
    row->tcp_seq = h.seq;
    row->tcp_ack = h.ack;
    row->payload_length = h.payload_length;
    row->payload_offset = h.payload_offset;
    row->payload_buffer = h.buffer & 1; /* there is one */
    row->tcp_flags = h.tcp_flags;
    row->tcp_window = h.window;
    row->source_port = h.ends >> 6;
    row->destination_port = h.ends >> 4 & 3;
    row->source[15] = h.ends >> 2 & 3;
    row->destination[15] = h.ends & 3;
    row->ip_protocol = h.protocol & 0x80 ? IP_TCP : h.protocol;
    row->flags = h.flags;
    row->transport_length = h.transport_length;
    row->verdict = h.verdict & 3;
    row->verdict_layer = h.layer;
    row->flow_hash = flow_hash(seed, row);
}

typedef struct {
    stream_table table;
    uint32_t slab_limit;
    uint32_t block_limit;
    stream_row *streams;
    analysis_row *analysis;
    other_stream_row *other;
    uint32_t other_count;
} tracked;

static void start_table(tracked *k, const hash_seed *seed) {
    memset(&k->table, 0, sizeof k->table);
    k->table.seed = *seed;
    k->table.slabs = room(MOST_SLABS, sizeof *k->table.slabs);
    uint64_t *index = room(2 * MOST_SLABS * STREAM_SLAB_RECORDS, sizeof *index);
    memset(index, 0, 2 * MOST_SLABS * STREAM_SLAB_RECORDS * sizeof *index);
    uint32_t mask = 1;
    while (mask * 2 + 1 < 2 * MOST_SLABS * STREAM_SLAB_RECORDS) {
        mask = mask * 2 + 1;
    }
    stream_index_replace(&k->table, index, mask);
}

static void free_table(stream_table *t) {
    for (uint32_t n = 0; n < t->slab_count; n++) {
        free(t->slabs[n]);
    }
    free(t->slabs);
    free(t->index);
    free(t->segments.blocks);
}

static void add_slab(stream_table *t) {
    t->slabs[t->slab_count++] = room(STREAM_SLAB_RECORDS, sizeof **t->slabs);
}

static void set_blocks(segment_pool *pool, uint32_t capacity) {
    segment_block *blocks = room(capacity, sizeof *blocks);
    if (pool->used) {
        memcpy(blocks, pool->blocks, pool->used * sizeof *blocks);
    }
    free(pool->blocks);
    pool->blocks = blocks;
    pool->capacity = capacity;
}

static void make_room(tracked *k, int wants) {
    stream_table *t = &k->table;
    if (wants == STREAMS_WANT_SEGMENTS) {
        if (t->segments.capacity < k->block_limit) {
            set_blocks(&t->segments, t->segments.capacity + 1);
        } else {
            streams_forget_some(t);
        }
    } else if (t->slab_count < k->slab_limit) {
        add_slab(t);
    } else {
        const uint32_t live = t->live;
        for (uint32_t age = t->clock; t->live == live; age--) {
            streams_evict(t, age);
        }
    }
}

/* Another table that goes on from what this one saves. */
static void hand_over(tracked *k) {
    stream_table old = k->table;
    const uint64_t count = streams_count_segments(&old);
    stream_record *records = room(old.record_count, sizeof *records);
    sent_segment *segments = room(count, sizeof *segments);
    streams_save(&old, records, segments);
    start_table(k, &old.seed);
    while (k->table.slab_count << STREAM_SLAB_BITS < old.record_count) {
        add_slab(&k->table);
    }
    set_blocks(&k->table.segments, (uint32_t)count + 1);
    CHECK(streams_load(&k->table, records, old.record_count, segments, count));
    CHECK(k->table.live == old.live && streams_count_segments(&k->table) == count);
    k->block_limit = k->block_limit > k->table.segments.capacity ? k->block_limit : k->table.segments.capacity;
    k->table.clock = old.clock;
    k->table.packets = old.packets;
    k->table.hand = old.hand;
    k->table.evicted = old.evicted;
    k->table.forgotten = old.forgotten;
    memcpy(k->table.numbers, old.numbers, sizeof old.numbers);
    free(records);
    free(segments);
    free_table(&old);
}

static void run(tracked *k, const packet_row *rows, uint32_t count, const tunnel_output *tunnels, bytes_view buffer,
                uint32_t group, uint32_t groups) {
    k->streams = room(count, sizeof *k->streams);
    k->analysis = room(count, sizeof *k->analysis);
    k->other = room(MOST_OTHERS, sizeof *k->other);
    k->other_count = 0;
    uint32_t tunnel = 0, done = 0;
    for (uint32_t from = 0, size; from < count; from += size) {
        size = group < count - from ? group : count - from;
        packet_row *some = copy_of(rows + from, size * sizeof *rows);
        uint32_t first = tunnel;
        while (tunnel < tunnels->count && tunnels->rows[tunnel].packet < from + size) {
            tunnel++;
        }
        tunnel_row *around = copy_of(tunnels->rows + first, (tunnel - first) * sizeof *around);
        for (uint32_t n = 0; n < tunnel - first; n++) {
            around[n].packet -= from;
        }
        uint64_t *numbers = room(size, sizeof *numbers);
        for (uint32_t n = 0; n < size; n++) {
            numbers[n] = from + n + 1;
        }
        streams_work w = {.packets = some, .numbers = numbers, .tunnels = around, .buffers = &buffer,
                          .streams = k->streams + from, .analysis = k->analysis + from,
                          .other = k->other + k->other_count, .packet_count = size, .tunnel_count = tunnel - first,
                          .buffer_count = 1, .other_capacity = 0};
        for (int wants; (wants = streams_update(&k->table, &w)) != STREAMS_DONE;) {
            if (wants == STREAMS_WANT_OTHER) {
                CHECK(++w.other_capacity <= MOST_OTHERS - k->other_count);
            } else {
                make_room(k, wants);
            }
        }
        for (uint32_t n = 0; n < w.other_count; n++) {
            w.other[n].packet += from;
        }
        k->other_count += w.other_count;
        free(some);
        free(around);
        free(numbers);
        if (groups && ++done % groups == 0) {
            hand_over(k);
        }
    }
}

/* Numbers begin at 0 and go up by one, of each protocol; every live stream is in the table once. */
UNCOVERED static void check_table(const tracked *k, uint32_t count) {
    const stream_table *t = &k->table;
    uint32_t live = 0, taken = 0;
    for (uint32_t slot = 0; slot < t->record_count; slot++) {
        const stream_record *stream = stream_at(t, slot);
        live += stream->bits & STREAM_LIVE;
        for (int way = 0; way < 2 && (stream->bits & STREAM_LIVE); way++) {
            const segment_list *l = &stream->direction[way].sent;
            taken += l->count ? (l->start + (uint32_t)l->count + BLOCK_SEGMENTS - 1) / BLOCK_SEGMENTS : 0;
        }
    }
    CHECK(live == t->live && taken == t->segments.taken && taken <= t->segments.used);
    for (uint32_t n = 0; n < count; n++) {
        const stream_row *row = &k->streams[n];
        CHECK((row->stream == NO_STREAM) == (row->slot == NO_STREAM));
        CHECK(row->slot == NO_STREAM || row->slot < t->slab_count << STREAM_SLAB_BITS);
        CHECK(row->stream == NO_STREAM || row->stream < t->numbers[0] || row->stream < t->numbers[1]);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    uint8_t steering[STEERING];
    frame_list list;
    size = take_steering(data, size, steering);
    take_frames(data, size, &list);
    const uint32_t count = list.count;
    packet_row *rows = room(count, sizeof *rows);
    decode_counters counters = {.frames = 0};
    hash_seed seed;
    for (uint32_t n = 0; n < 4; n++) { /* zeros, which are rare in life, make many hashes equal */
        seed.key[n] = steering[2] >> n & 1 ? 0 : n + 1;
    }
    const decoder d = {.seed = seed, .counters = &counters, .link_types = link_types, .interface_count = INTERFACES,
                       .ports = ports_of_tunnels()};
    tunnel_output tunnels = {room((count + 1) * MAX_TUNNELS, sizeof *tunnels.rows), 0, (count + 1) * MAX_TUNNELS};
    CHECK(decode_batch(&d, list.bytes, list.records, 0, count, rows, &tunnels) == count);
    uint32_t length = 0;
    for (uint32_t n = 0; n < count; n++) {
        const frame_record *record = &list.records[n];
        length += record->captured_length;
        if (record->interface_id == INTERFACES && record->captured_length >= sizeof(hostile_row)) {
            make_hostile(&rows[n], list.bytes + record->offset, &seed);
        }
    }
    const bytes_view buffer = {list.bytes, length};
    tracked whole = {.slab_limit = MOST_SLABS, .block_limit = UINT32_MAX};
    tracked pieces = {.slab_limit = steering[0] & 1 ? 1 : MOST_SLABS, .block_limit = steering[0] & 2 ? 2 : UINT32_MAX};
    start_table(&whole, &seed);
    start_table(&pieces, &seed);
    run(&whole, rows, count, &tunnels, buffer, count, 0);
    run(&pieces, rows, count, &tunnels, buffer, 1 + steering[1] % 64U, steering[3] % 4U);
    check_table(&whole, count);
    check_table(&pieces, count);
    CHECK(whole.table.evicted == 0 && whole.table.forgotten == 0);
    if (pieces.table.evicted == 0 && pieces.table.forgotten == 0) {
        CHECK(memcmp(whole.streams, pieces.streams, count * sizeof *whole.streams) == 0);
        CHECK(memcmp(whole.analysis, pieces.analysis, count * sizeof *whole.analysis) == 0);
        CHECK(whole.other_count == pieces.other_count);
        CHECK(memcmp(whole.other, pieces.other, whole.other_count * sizeof *whole.other) == 0);
    }
    for (tracked *k = &whole; k; k = k == &whole ? &pieces : NULL) {
        free_table(&k->table);
        free(k->streams);
        free(k->analysis);
        free(k->other);
    }
    free(tunnels.rows);
    free(rows);
    free_frames(&list);
    return 0;
}
