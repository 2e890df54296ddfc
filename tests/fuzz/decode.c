/* The input is a list of frames of many link types. Decoded together, with so few tunnel rows that it stops and goes on,
 * each must give what it gives alone in a buffer that ends where the frame does. Rows point into their frame, or behind
 * it where a header was cut; tunnel and layer rows agree with the packet rows; layers that follow from those rows, and
 * those of some protocols only, are those of decoding again; the tree of stacks is a tree; fragments are left alone
 * where reassembly is to take them, and counted. */
#include "layers.h"
#include "input.h"

static uint16_t path_next[MAX_PATHS * PATH_STRIDE], path_parent[MAX_PATHS];
static uint8_t path_protocol[MAX_PATHS];
static decode_counters counters;

UNCOVERED static void check_paths(const path_table *paths, uint32_t first) {
    CHECK(paths->count >= first && paths->count <= MAX_PATHS);
    for (uint32_t n = first; n < paths->count; n++) {
        const uint32_t parent = path_parent[n], protocol = path_protocol[n];
        CHECK((parent == 0 || parent >= first) && parent < n && protocol > PROTOCOL_FRAME && protocol < PROTOCOL_COUNT);
        CHECK(path_next[parent * PATH_STRIDE + protocol] == n);
    }
}

UNCOVERED static void check_row(const decoder *d, const packet_row *row, const frame_record *record) {
    const uint64_t begin = record->offset, end = begin + record->captured_length, payload = row->payload_offset;
    CHECK(row->frame_offset == begin && row->captured_length == record->captured_length);
    CHECK(row->timestamp == record->timestamp && row->wire_length == record->wire_length);
    CHECK(row->interface_id == record->interface_id && row->payload_buffer == 0);
    /* A header may go on behind the last captured byte, and with it the place where its payload would be. */
    CHECK(payload == 0 || (payload >= begin + row->transport_length && payload <= end + 60));
    CHECK(row->verdict <= VERDICT_UNSUPPORTED && row->verdict_layer < PROTOCOL_COUNT);
    CHECK(row->ip_version == 0 || row->ip_version == 4 || row->ip_version == 6);
    CHECK(row->ip_version != 0 || row->flow_hash == 0);
    CHECK(row->transport_length == 0 || (row->flags & PACKET_HAS_TRANSPORT));
    CHECK(row->fragment_offset == 0 || !(row->flags & PACKET_HAS_TRANSPORT));
    CHECK(row->tunnel_count != 0 || row->inner_length == record->wire_length);
    if (row->flags & PACKET_IS_FRAGMENT) { /* all of it is there */
        CHECK(d->reassemble && row->ip_version != 0 && !(row->flags & PACKET_HAS_TRANSPORT));
        CHECK(row->payload_length != 0 && payload + row->payload_length <= end);
        CHECK(row->fragment_offset != 0 || (row->flags & PACKET_MORE_FRAGMENTS));
    }
}

/* The tunnels of one frame stand together, outermost first. */
UNCOVERED static void check_tunnels(const tunnel_row *tunnels, uint32_t count, const packet_row *row, uint32_t packet) {
    CHECK(count == row->tunnel_count && count <= MAX_TUNNELS);
    uint32_t id = NO_TUNNEL_ID;
    for (uint32_t n = 0; n < count; n++) {
        CHECK(tunnels[n].packet == packet && tunnels[n].level == n + 1);
        CHECK(tunnels[n].kind >= TUNNEL_VXLAN && tunnels[n].kind <= TUNNEL_ERSPAN);
        id = tunnels[n].id == NO_TUNNEL_ID ? id : tunnels[n].id;
    }
    CHECK(row->tunnel_id == id);
}

/* The same frame with nothing around it; `row` is what the batch said of it. */
static void check_alone(decoder d, const frame_list *list, uint32_t n, const packet_row *row, const tunnel_row *tunnels) {
    const frame_record *record = &list->records[n];
    frame_record alone = *record;
    packet_row *other = room(1, sizeof *other);
    tunnel_output out = {room(MAX_TUNNELS, sizeof *out.rows), 0, MAX_TUNNELS};
    uint8_t *bytes = copy_of(list->bytes + record->offset, record->captured_length);
    d.verify_checksums = !d.verify_checksums;
    alone.offset = 0;
    CHECK(decode_batch(&d, bytes, &alone, 0, 1, other, &out) == 1);
    other->frame_offset = record->offset;
    other->payload_offset += other->payload_offset ? record->offset : 0;
    other->flags = (uint8_t)((other->flags & ~PACKET_BAD_CHECKSUM) | (row->flags & PACKET_BAD_CHECKSUM));
    CHECK(memcmp(row, other, sizeof *row) == 0);
    CHECK(out.count == row->tunnel_count);
    for (uint32_t level = 0; level < out.count; level++) {
        out.rows[level].packet = n;
    }
    CHECK(memcmp(tunnels, out.rows, out.count * sizeof *tunnels) == 0);
    free(bytes);
    free(out.rows);
    free(other);
}

/* Layers lie inside their frame, and the row's stack is where they begin: quoted ones and parts come on top. */
static void check_layers(const layer_row *layers, uint32_t count, const packet_row *row, uint32_t packet) {
    uint8_t stack[MAX_LAYERS];
    uint32_t depth = 0, stacked = 0;
    for (uint32_t node = row->path; node; node = path_parent[node]) {
        CHECK(depth < MAX_LAYERS);
        stack[depth++] = path_protocol[node];
    }
    for (uint32_t n = 0; n < count; n++) {
        const uint64_t end = (uint64_t)layers[n].offset + layers[n].length;
        CHECK(layers[n].packet == packet && layers[n].protocol < PROTOCOL_COUNT && layers[n].buffer == 0);
        CHECK(layers[n].offset >= row->frame_offset && end <= (uint64_t)row->frame_offset + row->captured_length);
        if (layers[n].protocol < PROTOCOL_GRE_KEY && stacked < depth) {
            CHECK(layers[n].protocol == stack[depth - ++stacked]);
        }
    }
    CHECK(stacked == depth);
}

/* Layers that follow from the rows of plain frames are those that decoding again lists. */
static void check_plain_layers(const decoder *d, const decoder *without_paths, layer_request request, uint32_t from,
                               uint32_t done, const layer_output *expected) {
    layer_output out = {.rows = room(expected->capacity, sizeof *out.rows), .capacity = expected->capacity,
                        .wanted = expected->wanted};
    plain_paths_find(&request.plain, d->paths);
    CHECK(list_layers(without_paths, &request, from, &out) == done && out.count == expected->count);
    CHECK(out.count == 0 || memcmp(out.rows, expected->rows, out.count * sizeof *out.rows) == 0);
    free(out.rows);
}

static void check_all_layers(const decoder *d, const frame_list *list, const packet_row *rows, uint64_t wanted) {
    const uint32_t capacity = LAYERS_PER_FRAME + 3;
    layer_output out = {.rows = room(capacity, sizeof *out.rows), .capacity = capacity, .wanted = wanted};
    layer_request request = {.data = list->bytes, .records = list->records, .count = list->count};
    decoder without_paths = *d;
    without_paths.paths = NULL;
    for (uint32_t from = 0; from < list->count;) {
        out.count = 0;
        request.packets = NULL;
        uint32_t done = list_layers(&without_paths, &request, from, &out);
        uint32_t at = 0;
        CHECK(done > from && done <= list->count && out.count <= capacity);
        request.packets = rows;
        check_plain_layers(d, &without_paths, request, from, done, &out);
        for (; from < done; from++) {
            uint32_t first = at;
            while (at < out.count && out.rows[at].packet == from) {
                CHECK(wanted >> out.rows[at].protocol & 1);
                at++;
            }
            if (wanted == ~(uint64_t)0) {
                check_layers(out.rows + first, at - first, &rows[from], from);
            }
        }
        CHECK(at == out.count);
    }
    free(out.rows);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    uint8_t steering[STEERING];
    frame_list list;
    size = take_steering(data, size, steering);
    take_frames(data, size, &list);
    /* Nearly full at times: what happens to the 65,536th stack is decided by who sends the frames. */
    const uint32_t first = steering[0] < 128 ? 1 : MAX_PATHS - steering[0] % 8U;
    path_table paths = {.next = path_next, .parent = path_parent, .protocol = path_protocol, .count = first};
    memset(&counters, 0, sizeof counters);
    decoder d = {.seed = {{1, 2, 3, 4}}, .paths = &paths, .counters = &counters, .link_types = link_types,
                 .interface_count = INTERFACES, .ports = ports_of_tunnels(), .verify_checksums = steering[1] & 1,
                 .reassemble = steering[1] >> 1 & 1};
    packet_row *rows = room(list.count, sizeof *rows);
    tunnel_row *all = room(list.count * MAX_TUNNELS, sizeof *all);
    const uint32_t capacity = MAX_TUNNELS + steering[2] % 16U;
    tunnel_output out = {room(capacity, sizeof *out.rows), 0, capacity};
    uint32_t from = 0, tunnel_count = 0, undecodable = 0, fragments = 0;
    while (from < list.count) {
        out.count = 0;
        uint32_t done = decode_batch(&d, list.bytes, list.records, from, list.count, rows, &out);
        CHECK(done > from && done <= list.count && out.count <= capacity);
        memcpy(all + tunnel_count, out.rows, out.count * sizeof *all);
        tunnel_count += out.count;
        from = done;
    }
    CHECK(counters.frames == list.count);
    check_paths(&paths, first);
    const decode_counters seen = counters;
    uint32_t at = 0;
    for (uint32_t n = 0; n < list.count; n++) {
        uint32_t count = 0;
        while (at + count < tunnel_count && all[at + count].packet == n) {
            count++;
        }
        CHECK(rows[n].path == 0 || (rows[n].path >= first && rows[n].path < paths.count));
        check_row(&d, &rows[n], &list.records[n]);
        check_tunnels(all + at, count, &rows[n], n);
        check_alone(d, &list, n, &rows[n], all + at);
        fragments += (rows[n].flags & PACKET_IS_FRAGMENT) != 0;
        undecodable += rows[n].ip_version == 0 && rows[n].verdict != VERDICT_OK;
        at += count;
    }
    CHECK(at == tunnel_count && seen.undecodable == undecodable && seen.fragments == fragments);
    CHECK(seen.too_deep <= list.count);
    CHECK(seen.too_deep == 0 || (seen.too_deep_first >= 1 && seen.too_deep_first <= list.count));
    check_all_layers(&d, &list, rows, ~(uint64_t)0);
    check_all_layers(&d, &list, rows, (uint64_t)1 << steering[2] % PROTOCOL_COUNT | (uint64_t)1 << PROTOCOL_TCP_MSS);
    memset(path_next, 0, PATH_STRIDE * sizeof *path_next);
    memset(path_next + first * PATH_STRIDE, 0, (paths.count - first) * PATH_STRIDE * sizeof *path_next);
    free(out.rows);
    free(all);
    free(rows);
    free_frames(&list);
    return 0;
}
