/* The input is a list of frames, some of which are overwritten by rows with whatever values they like. They are looked at
 * with the tables of all protocols; or, when steering says so, with tables whose programs are the bytes of the first
 * frame, and whose protocols are those of the second one. In small groups, with an output that is full at once, and with
 * all that waits saved and loaded on the way, each packet has the stack, and the messages with the bytes, that it has in
 * one batch with room for all; messages lie inside their buffers, and every block is in one chain. A save that somebody
 * changed is refused, or harmless. */
#define MAX_STACKS 200
#define ANNOUNCED_ENDS 32
#define BLOCK_BYTES 28
#define KEPT_BYTES 128
#define SEGMENT_BYTES 90 /* less than many frames have */
#define MOST_MESSAGES 24

#include "annotate.h"
#include "decode.h"
#include "input.h"
#include "protocols.h"

enum { SLOTS = 6, OTHER_BUFFER = 64, BUFFERS = 2, MOST_OWN = 12, MOST_RULES = 8, INSTRUCTION_BYTES = 4 };

static uint16_t path_next[MAX_PATHS * PATH_STRIDE], path_parent[MAX_PATHS];
static uint8_t path_protocol[MAX_PATHS];

/* The bytes of a frame of the undeclared interface, before its payload: rows that no decoder and no table would make. */
typedef struct {
    uint32_t seq, payload_length, payload_offset;
    uint16_t source_port, destination_port, tcp_flags, analysis, fragment_offset, path;
    uint8_t protocol, version, flags, transport_length, verdict, buffer, slot, bits;
} hostile_row;

enum { HOSTILE_WAY = 1, HOSTILE_BEGINS = 2, HOSTILE_OWN_PAYLOAD = 4, HOSTILE_BACK = 8 };

static void make_hostile(packet_row *row, stream_row *stream, const frame_record *record, const uint8_t *bytes) {
    hostile_row h;
    memcpy(&h, bytes, sizeof h);
    row->tcp_seq = h.seq;
    row->payload_length = h.payload_length;
    row->payload_offset = h.payload_offset;
    row->payload_buffer = h.buffer & 3; /* there are two */
    if (h.bits & HOSTILE_OWN_PAYLOAD) {
        row->payload_buffer = 0;
        row->payload_offset = record->offset + (uint32_t)sizeof h;
        row->payload_length = record->captured_length - (uint32_t)sizeof h;
    }
    row->source[15] = 1 + (h.bits & HOSTILE_BACK);
    row->destination[15] = 1 + (~h.bits & HOSTILE_BACK);
    row->source_port = h.source_port;
    row->destination_port = h.destination_port;
    row->tcp_flags = h.tcp_flags;
    row->fragment_offset = h.fragment_offset;
    row->path = h.path;
    row->ip_protocol = h.protocol;
    row->ip_version = h.version;
    row->flags = h.flags;
    row->transport_length = h.transport_length;
    row->verdict = h.verdict & 3;
    *stream = (stream_row){.slot = h.slot % (SLOTS + 2), .analysis = h.analysis, .direction = h.bits & HOSTILE_WAY,
                           .begins = (h.bits & HOSTILE_BEGINS) != 0};
}

/* A stream for each pair of ends, as long as no other pair wants its slot. */
static void find_streams(const packet_row *rows, stream_row *streams, uint32_t count) {
    const packet_row *first[SLOTS] = {NULL};
    for (uint32_t n = 0; n < count; n++) {
        const packet_row *row = &rows[n];
        const uint32_t slot = (uint32_t)(row->flow_hash % SLOTS);
        streams[n] = (stream_row){.stream = NO_STREAM, .slot = NO_STREAM};
        if ((row->flags & PACKET_HAS_TRANSPORT) && (row->ip_protocol == IP_TCP || row->ip_protocol == IP_UDP)) {
            streams[n].stream = streams[n].slot = slot;
            streams[n].begins = !first[slot] || first[slot]->flow_hash != row->flow_hash;
            first[slot] = streams[n].begins ? row : first[slot];
            streams[n].direction = row->source_port != first[slot]->source_port ||
                                   memcmp(row->source, first[slot]->source, 16) != 0;
        }
    }
}

/* Bytes one after another, and again from the beginning. */
typedef struct {
    bytes_view bytes;
    uint32_t at;
} supply;

static uint32_t next_of(supply *s) { return s->bytes.length ? view_u8(s->bytes, s->at++ % s->bytes.length) : 0; }

static uint32_t next_program(supply *s, uint32_t count) {
    const uint32_t octet = next_of(s);
    return octet < 160 ? octet % (count + 2) : NO_PROGRAM;
}

/* Tables of which ApplicationSet would say nothing. */
typedef struct {
    application_set set;
    instruction *code;
    uint8_t *texts;
    uint32_t *text_ends;
    uint64_t *sets;
    application *applications;
    carried_rule *carried;
    heuristic *heuristics;
} own_tables;

static void make_tables(own_tables *own, bytes_view programs, bytes_view protocols) {
    static uint8_t numbers[ALL_NUMBERS];
    supply s = {protocols, 0};
    application_set *set = &own->set;
    memset(own, 0, sizeof *own);
    set->program.count = programs.length / INSTRUCTION_BYTES;
    own->code = room(set->program.count, sizeof *own->code);
    for (uint32_t n = 0; n < set->program.count; n++) {
        const uint32_t at = n * INSTRUCTION_BYTES, width = view_u8(programs, at + 1), value = view_host16(programs, at + 2);
        own->code[n] = (instruction){(uint16_t)(view_u8(programs, at) % (CODE_OR_JUMP + 2)),
                                     (uint16_t)(width < 250 ? width % 9 : width * width),
                                     value < 0xFF00 ? value : value << 16 | value};
    }
    set->program.text_count = protocols.length / 3 + 1;
    own->texts = copy_of(protocols.data, protocols.length);
    own->text_ends = room(set->program.text_count, sizeof *own->text_ends);
    for (uint32_t n = 0; n < set->program.text_count; n++) {
        own->text_ends[n] = n * 3;
    }
    set->program.set_count = protocols.length / 32;
    own->sets = copy_of(protocols.data, set->program.set_count * 32U);
    set->count = FIRST_APPLICATION + 1 + next_of(&s) % MOST_OWN;
    own->applications = room(set->count, sizeof *own->applications);
    for (uint32_t n = 0; n < set->count; n++) {
        application *a = &own->applications[n];
        const uint32_t count = n < FIRST_APPLICATION ? 0 : set->program.count;
        memset(a, 0, sizeof *a);
        a->accept = a->length = a->next = a->wraps = a->becomes = a->silent = a->confirm = NO_PROGRAM;
        if (count) {
            a->accept = next_program(&s, count);
            a->length = next_program(&s, count);
            a->next = next_program(&s, count);
            a->wraps = next_program(&s, count);
            a->becomes = next_program(&s, count);
            a->silent = next_program(&s, count);
            a->confirm = next_program(&s, count);
            a->first_carried = next_of(&s) % (MOST_RULES + 1);
            a->carried_count = (uint16_t)(next_of(&s) % (MOST_RULES + 1));
            a->framing = (uint8_t)(next_of(&s) % (FRAMING_HTTP + 1));
            a->announces = (uint8_t)(next_of(&s) % (ANNOUNCES_ITSELF + 1));
        }
    }
    own->carried = room(MOST_RULES, sizeof *own->carried);
    own->heuristics = room(MOST_RULES, sizeof *own->heuristics);
    for (uint32_t n = 0; n < MOST_RULES; n++) {
        own->carried[n] = (carried_rule){next_of(&s), next_of(&s), next_of(&s) % set->count};
        const uint32_t when = next_of(&s), name = next_of(&s) % set->count;
        own->heuristics[n] = (heuristic){.when = when, .application = name};
        memset(own->heuristics[n].first_bytes, n % 2 ? 0xFF : 0x5A, sizeof own->heuristics[n].first_bytes);
    }
    for (uint32_t n = 0; n < 16; n++) {
        numbers[n] = (uint8_t)(next_of(&s) % set->count);
    }
    for (uint32_t n = 16; n < ALL_NUMBERS; n++) {
        numbers[n] = numbers[n & 15];
    }
    for (uint32_t n = 0; n < ANNOUNCED_KINDS; n++) {
        set->announced[n] = (uint8_t)(next_of(&s) % set->count);
    }
    set->program.code = own->code;
    set->program.texts = own->texts;
    set->program.text_ends = own->text_ends;
    set->program.sets = own->sets;
    set->applications = own->applications;
    set->carried = own->carried;
    set->carried_count = MOST_RULES;
    set->heuristics[0] = set->heuristics[1] = own->heuristics;
    set->heuristic_count[0] = set->heuristic_count[1] = MOST_RULES;
    set->ports[0] = set->ports[1] = set->ip_protocols = set->ether_types = numbers;
    set->llc_services = set->snap_protocols = numbers;
}

static void free_tables(own_tables *own) {
    free(own->code);
    free(own->texts);
    free(own->text_ends);
    free(own->sets);
    free(own->applications);
    free(own->carried);
    free(own->heuristics);
}

/* What all runs share. */
typedef struct {
    const application_set *set;
    const packet_row *rows;
    const stream_row *streams;
    uint32_t count;
    uint32_t blocks;
    annotate_input in;
    const uint8_t *damage; /* of a save: where, and what with */
} work;

typedef struct {
    application_engine engine;
    stack_table stacks;
    uint16_t *applications; /* by packet */
    uint64_t digest;        /* of the messages and their bytes */
    uint64_t message_count;
} looked_at;

static void start(looked_at *k, const work *w) {
    application_engine *e = &k->engine;
    memset(k, 0, sizeof *k);
    k->stacks.next = room(MAX_STACKS * MAX_APPLICATIONS, sizeof *k->stacks.next);
    memset(k->stacks.next, 0, MAX_APPLICATIONS * sizeof *k->stacks.next * MAX_STACKS);
    k->stacks.parent = room(MAX_STACKS, sizeof *k->stacks.parent);
    k->stacks.name = room(MAX_STACKS, 1);
    k->stacks.parent[0] = k->stacks.name[0] = 0;
    k->stacks.count = 1;
    k->applications = room(w->count, sizeof *k->applications);
    e->set = w->set;
    e->stacks = &k->stacks;
    e->streams = room(SLOTS, sizeof *e->streams);
    memset(e->streams, 0, SLOTS * sizeof *e->streams);
    e->slots = SLOTS;
    e->pool.count = w->blocks;
    e->pool.blocks = room(w->blocks, sizeof *e->pool.blocks);
    e->announced.ends = room(ANNOUNCED_ENDS, sizeof *e->announced.ends);
    memset(e->announced.ends, 0, ANNOUNCED_ENDS * sizeof *e->announced.ends);
}

static void finish(looked_at *k) {
    free(k->stacks.next);
    free(k->stacks.parent);
    free(k->stacks.name);
    free(k->applications);
    free(k->engine.streams);
    free(k->engine.pool.blocks);
    free(k->engine.announced.ends);
}

UNCOVERED static void digest(looked_at *k, uint64_t value) {
    k->digest = hash_mix(k->digest ^ value ^ 0x9E3779B97F4A7C15ULL, 0xD1342543DE82EF95ULL);
}

UNCOVERED static void take_messages(looked_at *k, const work *w, uint32_t from, uint32_t count) {
    const application_engine *e = &k->engine;
    uint32_t before = 0, in_frame = 0;
    CHECK(e->messages.count <= e->messages.capacity && e->assembled_size <= e->assembled_capacity);
    for (uint32_t n = 0; n < e->messages.count; n++) {
        const message_row *m = &e->messages.rows[n];
        const bytes_view nothing = {NULL, 0}, assembled = {e->assembled, e->assembled_size};
        const bytes_view buffer = m->buffer < BUFFERS ? w->in.buffers[m->buffer] : m->buffer == 2 ? assembled : nothing;
        CHECK(m->packet >= before && m->packet < count && m->application < w->set->count && m->reserved == 0);
        CHECK(m->offset <= buffer.length && m->length <= buffer.length - m->offset);
        in_frame = n && m->packet == before ? in_frame + 1 : 1;
        CHECK(in_frame <= MOST_MESSAGES);
        before = m->packet;
        digest(k, from + m->packet);
        digest(k, (uint64_t)m->application << 32 | m->buffer);
        digest(k, (uint64_t)m->length << 32 | (m->buffer == 2 ? 0 : m->offset));
        for (uint32_t at = 0; at < m->length; at++) {
            digest(k, buffer.data[m->offset + at]);
        }
    }
    k->message_count += e->messages.count;
}

UNCOVERED static void check_engine(const looked_at *k, const work *w) {
    const application_engine *e = &k->engine;
    const stack_table *t = &k->stacks;
    uint32_t blocks = 0;
    CHECK(t->count <= MAX_STACKS && e->pool.used < e->pool.count);
    for (uint32_t n = 1; n < t->count; n++) {
        CHECK(t->parent[n] < n && t->name[n] < w->set->count && t->next[t->parent[n] * MAX_APPLICATIONS + t->name[n]] == n);
    }
    for (uint32_t slot = 0; slot < SLOTS; slot++) {
        for (int way = 0; way < 2; way++) {
            const message_state *s = &e->streams[slot].way[way];
            uint32_t chain = 0;
            for (uint32_t block = s->block; block != NO_BLOCK; block = e->pool.blocks[block].next) {
                CHECK(block <= e->pool.used && ++chain <= e->pool.used);
            }
            CHECK(s->kept <= KEPT_BYTES && chain == (s->kept + BLOCK_BYTES - 1) / BLOCK_BYTES);
            CHECK(s->waiting != WAITING_NONE || chain == 0);
            blocks += chain;
        }
    }
    for (uint32_t block = e->pool.free; block != NO_BLOCK; block = e->pool.blocks[block].next) {
        CHECK(block <= e->pool.used && ++blocks <= e->pool.used);
    }
    CHECK(blocks == e->pool.used);
}

/* Another engine that goes on from what this one saves, unless that was changed and is refused. */
static void hand_over(looked_at *k, const work *w) {
    looked_at old = *k;
    application_engine *e = &k->engine;
    const size_t stream_bytes = SLOTS * sizeof *e->streams, block_bytes = (old.engine.pool.used + 1) * sizeof(message_block);
    memset(&old.engine.pool.blocks[0], 0, sizeof(message_block));
    uint8_t *streams = copy_of(old.engine.streams, stream_bytes), *blocks = copy_of(old.engine.pool.blocks, block_bytes);
    uint8_t *seen = room(old.engine.pool.used + 1, 1);
    uint32_t free_block = old.engine.pool.free;
    memset(seen, 0, old.engine.pool.used + 1);
    if (w->damage) {
        const size_t at = w->damage[0] | (size_t)w->damage[1] << 8;
        streams[at % stream_bytes] ^= w->damage[2];
        memcpy(blocks + at % (old.engine.pool.used + 1) * sizeof(message_block), &w->damage[3], 1);
        free_block ^= w->damage[4];
    }
    const int whole = application_streams_are_whole(streams, stream_bytes, blocks, block_bytes, free_block, w->set->count, seen);
    CHECK(whole || w->damage);
    if (whole) {
        start(k, w);
        memcpy(e->streams, streams, stream_bytes);
        memcpy(e->pool.blocks, blocks, block_bytes);
        e->pool.used = old.engine.pool.used;
        e->pool.free = free_block;
        e->pool.refused = old.engine.pool.refused;
        memcpy(e->announced.ends, old.engine.announced.ends, ANNOUNCED_ENDS * sizeof *e->announced.ends);
        e->announced.count = old.engine.announced.count;
        for (uint32_t n = 1; n < old.stacks.count; n++) {
            CHECK(stack_push(&k->stacks, old.stacks.parent[n], old.stacks.name[n]) == n);
        }
        k->stacks.excess = old.stacks.excess;
        memcpy(k->applications, old.applications, w->count * sizeof *k->applications);
        k->digest = old.digest;
        k->message_count = old.message_count;
        finish(&old);
    }
    free(streams);
    free(blocks);
    free(seen);
}

/* Looks at all rows, `group` at a time, with `spare` more room than is asked for. */
static void run(looked_at *k, const work *w, uint32_t group, uint32_t groups, uint32_t spare, int want_messages) {
    application_engine *e = &k->engine;
    uint32_t turn = 0;
    for (uint32_t from = 0, size; from < w->count; from += size) {
        size = group < w->count - from ? group : w->count - from;
        packet_row *rows = copy_of(w->rows + from, size * sizeof *rows);
        stream_row *streams = copy_of(w->streams + from, size * sizeof *streams);
        e->assembled_size = e->messages.count = 0;
        e->assembled_capacity = MOST_ASSEMBLED + spare * MOST_ASSEMBLED;
        e->messages.capacity = MOST_MESSAGES + spare * MOST_MESSAGES;
        e->assembled = room(e->assembled_capacity, 1);
        e->messages.rows = want_messages ? room(e->messages.capacity, sizeof *e->messages.rows) : NULL;
        for (uint32_t done = 0; (done = annotate_batch(e, rows, streams, done, size, &w->in)) != size;) {
            CHECK(want_messages);
            e->assembled_capacity += MOST_ASSEMBLED / 2;
            e->messages.capacity += MOST_MESSAGES / 2;
            e->assembled = realloc(e->assembled, e->assembled_capacity);
            e->messages.rows = realloc(e->messages.rows, e->messages.capacity * sizeof *e->messages.rows);
            CHECK(e->assembled != NULL && e->messages.rows != NULL);
        }
        for (uint32_t n = 0; n < size; n++) {
            CHECK(rows[n].application < k->stacks.count);
            k->applications[from + n] = rows[n].application;
        }
        take_messages(k, w, from, size);
        check_engine(k, w);
        free(e->assembled);
        free(e->messages.rows);
        free(rows);
        free(streams);
        if (groups && ++turn % groups == 0) {
            hand_over(k, w);
        }
    }
}

static void compare(const work *w, const uint8_t steering[STEERING]) {
    const uint32_t group = 1 + steering[1] % 32U, groups = steering[2] % 4U;
    looked_at whole, pieces;
    start(&whole, w);
    start(&pieces, w);
    run(&whole, w, w->count, 0, w->count, 1);
    run(&pieces, w, group, w->damage && groups == 0 ? 1 : groups, 0, steering[3] & 1);
    if (!w->damage) {
        CHECK(memcmp(whole.applications, pieces.applications, w->count * sizeof *whole.applications) == 0);
        CHECK(whole.stacks.count == pieces.stacks.count && whole.stacks.excess == pieces.stacks.excess);
        CHECK(whole.engine.pool.refused == pieces.engine.pool.refused);
        if (steering[3] & 1) {
            CHECK(whole.message_count == pieces.message_count && whole.digest == pieces.digest);
        }
    }
    finish(&whole);
    finish(&pieces);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    uint8_t steering[STEERING];
    frame_list list;
    size = take_steering(data, size, steering);
    take_frames(data, size, &list);
    path_table paths = {.next = path_next, .parent = path_parent, .protocol = path_protocol, .count = 1};
    decode_counters counters = {.frames = 0};
    const decoder d = {.seed = {{1, 2, 3, 4}}, .paths = &paths, .counters = &counters, .link_types = link_types,
                       .interface_count = INTERFACES, .ports = ports_of_tunnels()};
    packet_row *rows = room(list.count, sizeof *rows);
    stream_row *streams = room(list.count, sizeof *streams);
    tunnel_output tunnels = {room((list.count + 1) * MAX_TUNNELS, sizeof *tunnels.rows), 0,
                             (list.count + 1) * MAX_TUNNELS};
    CHECK(decode_batch(&d, list.bytes, list.records, 0, list.count, rows, &tunnels) == list.count);
    find_streams(rows, streams, list.count);
    uint32_t length = 0, skipped = 0;
    for (uint32_t n = 0; n < list.count; n++) {
        const frame_record *record = &list.records[n];
        length += record->captured_length;
        if (record->interface_id == INTERFACES && record->captured_length >= sizeof(hostile_row)) {
            make_hostile(&rows[n], &streams[n], record, list.bytes + record->offset);
        }
    }
    uint8_t *other = room(OTHER_BUFFER, 1), *last = copy_of(path_protocol, paths.count);
    memset(other, '\n', OTHER_BUFFER);
    const bytes_view buffers[BUFFERS] = {{list.bytes, length}, {other, OTHER_BUFFER}};
    own_tables own;
    const int has_tables = (steering[0] & 1) && list.count >= 2;
    if (has_tables) {
        const frame_record *one = &list.records[0], *two = &list.records[1];
        make_tables(&own, (bytes_view){list.bytes + one->offset, one->captured_length},
                    (bytes_view){list.bytes + two->offset, two->captured_length});
        skipped = 2;
    }
    const work w = {.set = has_tables ? &own.set : all_protocols(), .rows = rows + skipped, .streams = streams + skipped,
                    .count = list.count - skipped, .blocks = 2 + steering[4] % 32U,
                    .in = {buffers, BUFFERS, last, paths.count}, .damage = steering[0] & 2 ? &steering[3] : NULL};
    compare(&w, steering);
    if (has_tables) {
        free_tables(&own);
    }
    memset(path_next, 0, paths.count * PATH_STRIDE * sizeof *path_next);
    free(last);
    free(other);
    free(tunnels.rows);
    free(streams);
    free(rows);
    free_frames(&list);
    return 0;
}
