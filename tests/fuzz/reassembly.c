/* The input is a list of frames, or with steering a list of fragments as such. Their bytes go into a table that is full
 * soon, and whose datagrams come out, time out and are evicted as in the plainest model. Frames give the same in one
 * batch as in several, with outputs that have to grow each time, and with the table saved and loaded in between. What
 * rows, layers and tunnels point at lies inside the buffers. */
#include "datagrams.h"

#define defrag_add fed
#define defrag_take taken
#define defrag_drop dropped
#include "layers.h"
#include "reassemble.h"
#undef defrag_add
#undef defrag_take
#undef defrag_drop

enum { LONGEST = DATAGRAM_LONGEST + 1, DIRECT = 8 };

static uint16_t path_next[MAX_PATHS * PATH_STRIDE], path_parent[MAX_PATHS];
static uint8_t path_protocol[MAX_PATHS];

static void take_memory(defrag_table *t) {
    t->datagrams = room(t->datagram_capacity, sizeof *t->datagrams);
    t->blocks = room(t->block_capacity, sizeof *t->blocks);
    t->buckets = room(t->bucket_count, sizeof *t->buckets);
    defrag_clear(t);
}

static void free_memory(defrag_table *t) {
    free(t->datagrams);
    free(t->blocks);
    free(t->buckets);
}

static void start(defrag_table *t, const uint8_t steering[STEERING], uint32_t blocks) {
    static const uint64_t timeouts[] = {60000000000, 0, 1, 1000, 1000000, 1000000000, INT64_MAX, UINT64_MAX};
    memset(t, 0, sizeof *t);
    t->seed.key[1] = steering[2] >> 3;
    t->timeout = timeouts[steering[2] & 7];
    t->bucket_count = 1U << (steering[0] >> 1 & 3);
    t->datagram_capacity = 8 - (steering[0] >> 3 & 7);
    t->block_capacity = blocks;
    take_memory(t);
}

static void finish(defrag_table *t) {
    if (t == watched.table) {
        check_memory(t);
        unwatch();
    }
    free_memory(t);
}

/* Into other memory and back, as a state that was saved is loaded. */
static void save_and_load(defrag_table *t) {
    size_t count, size, rows, bytes, at = 0;
    defrag_list(t, NULL, NULL, &count, &size);
    fragment_row *list = room(count, sizeof *list);
    uint8_t *data = room(size, 1);
    defrag_list(t, list, data, &rows, &bytes);
    CHECK(rows == count && bytes == size);
    free_memory(t);
    take_memory(t);
    for (size_t n = 0; n < count; n++) {
        const bytes_view part = {data + at, list[n].length};
        CHECK(defrag_store(t, &list[n], part) == NO_INDEX);
        at += list[n].length;
    }
    CHECK(at == size);
    check_counters(t);
    check_memory(t);
    free(list);
    free(data);
}

/* |key 1|offset 1|length 1|flags 1|step 4|: a fragment IP could bring, mostly small, of bytes that mostly agree. */
static void take_fragment(bytes_view h, int64_t *now, uint32_t most, fragment_row *x, bytes_view *bytes) {
    static uint8_t pattern[2 * LONGEST + 8];
    static int is_filled;
    for (uint32_t n = 0; !is_filled && n < sizeof pattern; n++) {
        pattern[n] = (uint8_t)(n * 31 + (n >> 8));
    }
    is_filled = 1;
    const uint32_t key = view_u8(h, 0), offset = view_u8(h, 1), length = view_u8(h, 2), flags = view_u8(h, 3);
    const int32_t step = (int32_t)view_host32(h, 4);
    *now = (int64_t)((uint64_t)*now + (uint64_t)step * 1000);
    memset(x, 0, sizeof *x);
    x->timestamp = flags & 128 ? (step < 0 ? INT64_MIN : INT64_MAX) : *now;
    x->key.identification = key & 7;
    x->key.vlan = key >> 3 & 1;
    x->key.tunnel_id = key >> 4 & 1;
    x->key.ip_version = key & 32 ? 6 : 4;
    x->key.source[15] = (uint8_t)(key >> 6);
    x->offset = (uint16_t)(offset < 224 ? offset * 8 : ((offset - 223) * 2047) & ~7U);
    uint32_t size = length < 128 ? length * 8 + 8 : length < 192 ? length - 127 : (length - 191) * 1024 - 1;
    x->length = (uint16_t)(size < most ? size : most);
    x->more = flags & 1;
    x->protocol = flags >> 1 & 3;
    const bytes_view part = {pattern + x->offset + (flags >> 3 & 7), x->length};
    *bytes = part;
}

static void feed_fragments(const uint8_t *data, size_t size, const uint8_t steering[STEERING]) {
    const uint32_t blocks = steering[1] < 224 ? 1 + steering[1] % 32U : 140;
    const uint32_t look = 1 + steering[4] % 16U, save = steering[5] % 32U, most = blocks * BLOCK_BYTES;
    uint8_t *target = room(LONGEST, 1);
    int64_t now = 0;
    cursor c = {data, 0, (uint32_t)size};
    bytes_view head, bytes;
    fragment_row x;
    defrag_table t;
    start(&t, steering, blocks);
    watch(&t);
    for (uint32_t n = 1; n <= MAX_FRAMES && cursor_take(&c, DIRECT, &head); n++) {
        take_fragment(head, &now, most < DATAGRAM_LONGEST ? most : DATAGRAM_LONGEST, &x, &bytes);
        const uint32_t whole = fed(&t, &x, bytes);
        if (whole != NO_INDEX) {
            taken(&t, whole, target);
        }
        if (n % look == 0) {
            check_memory(&t);
        }
        if (save && n % save == 0) {
            save_and_load(&t);
        }
    }
    finish(&t);
    free(target);
}

/* All that a run gave, its places counted through all batches. */
typedef struct {
    packet_row *rows;
    uint8_t *bytes;
    datagram_row *datagrams;
    tunnel_row *tunnels;
    uint32_t size;
    uint32_t datagram_count;
    uint32_t tunnel_count;
    uint32_t overlaps; /* rows that say so */
    decode_counters counters;
} outcome;

/* Other memory with room for more, so that who kept the old address is caught. */
static void *moved(void *old, size_t used, size_t more, size_t size) {
    uint8_t *memory = room(used + more, size);
    memcpy(memory, old, used * size);
    free(old);
    return memory;
}

/* Headers of frames, and of the datagrams that they completed, lie inside them. */
static void check_layers(const decoder *d, const frame_list *list, uint32_t from, uint32_t count,
                         const reassembly_output *out) {
    enum { CAPACITY = MAX_LAYERS * 22 };
    layer_output layers = {.rows = room(CAPACITY, sizeof *layers.rows), .capacity = CAPACITY, .wanted = ~(uint64_t)0};
    const layer_request request = {.data = list->bytes, .records = list->records + from, .count = count,
                                   .assembled = out->bytes, .datagrams = out->datagrams,
                                   .datagram_count = out->datagram_count};
    decoder lister = *d;
    lister.paths = NULL;
    for (uint32_t done = 0, next = 0; done < count;) {
        const uint32_t before = done;
        layers.count = 0;
        done = list_layers(&lister, &request, done, &layers);
        CHECK(done > before && done <= count);
        for (uint32_t n = 0; n < layers.count; n++) {
            const layer_row *layer = &layers.rows[n];
            const uint64_t end = (uint64_t)layer->offset + layer->length;
            CHECK(layer->packet < count && layer->buffer <= 1);
            const frame_record *record = &list->records[from + layer->packet];
            if (layer->buffer == 0) {
                CHECK(layer->offset >= record->offset && end <= (uint64_t)record->offset + record->captured_length);
                continue;
            }
            while (next < out->datagram_count && (out->datagrams[next].packet < layer->packet ||
                                                  out->datagrams[next].offset + out->datagrams[next].length < end)) {
                next++;
            }
            CHECK(next < out->datagram_count && out->datagrams[next].packet == layer->packet);
            CHECK(layer->offset >= out->datagrams[next].offset);
        }
    }
    free(layers.rows);
}

/* Frames [from, from + count) as a batch of their own; `spare` is how much more room there is than needed. */
static void feed_batch(defrag_table *t, const decoder *d, const frame_list *list, uint32_t length, uint32_t from,
                       uint32_t count, uint32_t spare, outcome *all) {
    reassembly_position position;
    reassembly_output out;
    uint64_t *numbers = room(count, sizeof *numbers);
    memset(&position, 0, sizeof position);
    memset(&out, 0, sizeof out);
    position.whole = NO_INDEX;
    out.bytes = room(out.capacity = spare, 1);
    out.datagrams = room(out.datagram_capacity = spare, sizeof *out.datagrams);
    out.tunnels.rows = room(out.tunnels.capacity = spare, sizeof *out.tunnels.rows);
    for (uint32_t n = 0; n < count; n++) {
        numbers[n] = from + n + 1;
    }
    int wants, asked = 0;
    while ((wants = reassemble(t, d, list->bytes, length, list->records + from, numbers, count, all->rows + from,
                               &position, &out)) != REASSEMBLED) {
        CHECK(position.row < count && out.size <= out.capacity);
        if (wants == REASSEMBLE_WANTS_BYTES) {
            asked = !asked; /* one byte too few is not enough */
            const uint32_t more = t->datagrams[position.whole].length - (uint32_t)asked;
            out.bytes = moved(out.bytes, out.size, more, 1);
            out.capacity = out.size + more;
        } else {
            out.datagrams = moved(out.datagrams, out.datagram_count, 1 + spare, sizeof *out.datagrams);
            out.datagram_capacity = out.datagram_count + 1 + spare;
            const uint32_t more = MAX_TUNNELS + spare;
            out.tunnels.rows = moved(out.tunnels.rows, out.tunnels.count, more, sizeof *out.tunnels.rows);
            out.tunnels.capacity = out.tunnels.count + more;
        }
    }
    for (uint32_t n = MAX_REASSEMBLIES; n <= out.datagram_count; n++) { /* four inside one another, not the last */
        const datagram_row *first = &out.datagrams[n - MAX_REASSEMBLIES], *last = &out.datagrams[n - 1];
        const packet_row *row = &all->rows[from + last->packet];
        watched.m.refused += t == watched.table && first->packet == last->packet && (row->flags & PACKET_IS_FRAGMENT);
    }
    CHECK(position.row == count && position.whole == NO_INDEX && out.tunnels.count <= out.tunnels.capacity);
    check_layers(d, list, from, count, &out);
    all->bytes = moved(all->bytes, all->size, out.size, 1);
    all->datagrams = moved(all->datagrams, all->datagram_count, out.datagram_count, sizeof *out.datagrams);
    all->tunnels = moved(all->tunnels, all->tunnel_count, out.tunnels.count, sizeof *out.tunnels.rows);
    memcpy(all->bytes + all->size, out.bytes, out.size);
    for (uint32_t n = 0, end = 0; n < out.datagram_count; n++) {
        datagram_row *datagram = &all->datagrams[all->datagram_count++];
        *datagram = out.datagrams[n];
        CHECK(datagram->offset == end && datagram->length <= out.size - end && datagram->packet < count);
        end += datagram->length;
        datagram->packet += from;
        datagram->offset += all->size;
    }
    for (uint32_t n = 0; n < out.tunnels.count; n++) {
        tunnel_row *tunnel = &all->tunnels[all->tunnel_count++];
        *tunnel = out.tunnels.rows[n];
        tunnel->packet += from;
    }
    for (uint32_t n = from; n < from + count; n++) {
        all->rows[n].payload_offset += all->rows[n].payload_buffer ? all->size : 0;
    }
    all->size += out.size;
    free(numbers);
    free(out.bytes);
    free(out.datagrams);
    free(out.tunnels.rows);
}

/* Rows that stayed are as they were; payloads of the others are in the last datagram that their frame completed. */
UNCOVERED static void check_rows(const packet_row *before, uint32_t count, outcome *all, int hostile) {
    uint32_t at = 0;
    for (uint32_t n = 0; n < count; n++) {
        const packet_row *row = &all->rows[n];
        const uint32_t first = at;
        while (at < all->datagram_count && all->datagrams[at].packet == n) {
            at++;
        }
        CHECK(at - first <= MAX_REASSEMBLIES && row->payload_buffer == (at > first));
        if (at == first) {
            CHECK(hostile || memcmp(row, &before[n], sizeof *row) == 0);
            continue;
        }
        const datagram_row *last = &all->datagrams[at - 1];
        CHECK(row->timestamp == before[n].timestamp || hostile);
        CHECK(row->payload_offset >= last->offset && row->payload_offset <= last->offset + last->length + 60);
        CHECK(!(row->flags & PACKET_OVERLAP_DIFFERS) || (row->flags & PACKET_OVERLAP));
        all->overlaps += (row->flags & PACKET_OVERLAP) != 0;
    }
    CHECK(at == all->datagram_count);
}

static void feed_frames(const decoder *d, const frame_list *list, uint32_t length, const packet_row *rows,
                        const uint8_t steering[STEERING], int whole, outcome *all) {
    const uint32_t size = whole ? list->count : 1 + steering[3] % 32U, save = steering[5] % 8U;
    const int hostile = steering[6] & 1;
    defrag_table t;
    /* One fragment has to fit: each is inside a frame, or inside a datagram that fitted. */
    start(&t, steering, blocks_of(length) + 1 + (31 - steering[1] % 32U));
    if (!whole) { /* one is enough: both must give the same */
        watch(&t);
    }
    memset(all, 0, sizeof *all);
    all->rows = copy_of(rows, list->count * sizeof *rows);
    all->bytes = room(0, 1);
    all->datagrams = room(0, 1);
    all->tunnels = room(0, 1);
    decoder own = *d;
    own.counters = &all->counters;
    for (uint32_t from = 0, turn = 1; from < list->count; from += size, turn++) {
        const uint32_t left = list->count - from;
        feed_batch(&t, &own, list, length, from, size < left ? size : left, whole ? 4096 : steering[7] % 4U, all);
        if (!whole && save && turn % save == 0) {
            save_and_load(&t);
        }
    }
    check_rows(rows, list->count, all, hostile);
    CHECK(t.completed == all->datagram_count && (t.overlapping != 0) == (all->overlaps != 0));
    finish(&t);
}

/* What decoding left is a fragment: its bytes are in its frame, and it has the identification that the row has. */
static void check_fragment(const frame_list *list, uint32_t n, const packet_row *row, uint32_t length) {
    const uint8_t *frame = list->bytes + list->records[n].offset, *end = frame + list->records[n].captured_length;
    fragment_row x;
    bytes_view bytes;
    CHECK(row_fragment(row, list->bytes, length, &x, &bytes) && x.offset % 8 == 0 && x.length == bytes.length);
    CHECK(bytes.data >= frame && bytes.length <= end - bytes.data && (uint16_t)x.key.identification == row->ip_id);
}

/* Protocol stacks are forgotten down to the first `count`. */
static void forget_paths(path_table *paths, uint32_t count) {
    while (paths->count > count) {
        paths->count--;
        paths->next[paths->parent[paths->count] * PATH_STRIDE + paths->protocol[paths->count]] = 0;
    }
    paths->excess = 0;
}

static void free_outcome(outcome *all) {
    free(all->rows);
    free(all->bytes);
    free(all->datagrams);
    free(all->tunnels);
}

/* A row that somebody changed between decoding and reassembly, by the bytes of a frame of the undeclared interface. */
static void make_hostile(packet_row *row, bytes_view h) {
    row->source[15] = view_u8(h, 0) & 3;
    row->ip_version = view_u8(h, 0) & 4 ? 6 : 4;
    row->ip_id = view_u8(h, 1) & 3;
    row->ip_protocol = view_u8(h, 2);
    row->flags = view_u8(h, 3) | PACKET_IS_FRAGMENT;
    row->payload_offset = view_host32(h, 4);
    row->payload_length = view_host32(h, 8);
    row->fragment_offset = (uint16_t)(view_host16(h, 12) * 8);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    uint8_t steering[STEERING];
    size = take_steering(data, size, steering);
    if (steering[0] & 1) {
        feed_fragments(data, size, steering);
        return 0;
    }
    frame_list list;
    outcome whole, several;
    decode_counters counters = {.frames = 0};
    take_frames(data, size, &list);
    const uint32_t first = steering[7] < 128 ? 1 : MAX_PATHS - steering[7] % 16U; /* nearly full */
    path_table paths = {.next = path_next, .parent = path_parent, .protocol = path_protocol, .count = first};
    const decoder d = {.seed = {{1, 2, 3, 4}}, .paths = &paths, .counters = &counters, .link_types = link_types,
                       .interface_count = INTERFACES, .ports = ports_of_tunnels(), .verify_checksums = steering[6] >> 1 & 1,
                       .reassemble = 1};
    packet_row *rows = room(list.count, sizeof *rows);
    const uint32_t capacity = (list.count + 1) * MAX_TUNNELS;
    tunnel_output tunnels = {room(capacity, sizeof *tunnels.rows), 0, capacity};
    CHECK(decode_batch(&d, list.bytes, list.records, 0, list.count, rows, &tunnels) == list.count);
    uint32_t length = 0;
    for (uint32_t n = 0; n < list.count; n++) {
        const frame_record *record = &list.records[n];
        const bytes_view bytes = {list.bytes + length, record->captured_length};
        if ((steering[6] & 1) && record->interface_id == INTERFACES && n && bytes.length >= 14) {
            make_hostile(&rows[view_u8(bytes, 13) & 1 ? n : n - 1], bytes);
        }
        length += record->captured_length;
    }
    for (uint32_t n = 0; n < list.count && !(steering[6] & 1); n++) {
        if (rows[n].flags & PACKET_IS_FRAGMENT) {
            check_fragment(&list, n, &rows[n], length);
        }
    }
    const uint32_t known = paths.count;
    const uint64_t excess = paths.excess;
    feed_frames(&d, &list, length, rows, steering, 1, &whole);
    const uint64_t more = paths.excess - excess;
    forget_paths(&paths, known);
    feed_frames(&d, &list, length, rows, steering, 0, &several);
    CHECK(paths.excess == more && excess + more <= list.count);
    CHECK(whole.size == several.size && whole.datagram_count == several.datagram_count);
    CHECK(whole.tunnel_count == several.tunnel_count);
    CHECK(memcmp(whole.rows, several.rows, list.count * sizeof *rows) == 0);
    CHECK(memcmp(whole.bytes, several.bytes, whole.size) == 0);
    CHECK(memcmp(whole.datagrams, several.datagrams, whole.datagram_count * sizeof *whole.datagrams) == 0);
    CHECK(memcmp(whole.tunnels, several.tunnels, whole.tunnel_count * sizeof *whole.tunnels) == 0);
    CHECK(memcmp(&whole.counters, &several.counters, sizeof whole.counters) == 0);
    forget_paths(&paths, first);
    free_outcome(&whole);
    free_outcome(&several);
    free(tunnels.rows);
    free(rows);
    free_frames(&list);
    return 0;
}
