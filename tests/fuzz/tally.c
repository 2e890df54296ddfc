/* The input is a list of frames, some of which are overwritten by rows with whatever values they like; a mask for each
 * path says which of a row's layers count. Tallies of one kind of ends, and trees of counters:
 *
 * in small groups, divided among tables by flow and by time, and put together again, a tally has the entries that one
 * table for all has; and with little room, in entries and others together, its packets and bytes. Its ends sent what its entries did.
 * Saved and loaded in the middle, trees are those that were not, and two trees of parts count what one of all counts. */
#define TALLY_SLAB_BITS 2 /* slabs are full soon */

#include "decode.h"
#include "input.h"
#include "tally_rows.h"
#include "tree_save.h"
#include "tree_tally.h"

enum { OTHER_BUFFER = 64, MOST_SHARDS = 3, MOST_ENDS = MAX_FRAMES * (MAX_TUNNELS + 1) * 2, MASKS = 64 };

static uint16_t path_next[MAX_PATHS * PATH_STRIDE], path_parent[MAX_PATHS];
static uint8_t path_protocol[MAX_PATHS];

/* The bytes of a frame of the undeclared interface: a row that no decoder would make. Few ends, so that rows meet. */
typedef struct {
    int64_t timestamp;
    uint32_t payload_length, payload_offset, wire_length, frame_offset, stream;
    uint16_t path, fragment_offset;
    uint8_t ends, ports, protocol, version, flags, transport_length, verdict, layer, buffer, tunnels;
} hostile_row;

static void make_hostile(packet_row *row, stream_row *stream, const uint8_t *bytes, const hash_seed *seed) {
    hostile_row h;
    memcpy(&h, bytes, sizeof h);
    row->timestamp = h.timestamp;
    row->payload_length = h.payload_length;
    row->payload_offset = h.payload_offset;
    row->payload_buffer = h.buffer & 3; /* there are two */
    row->wire_length = h.wire_length;
    row->frame_offset = h.frame_offset;
    row->path = h.path;
    row->fragment_offset = h.fragment_offset;
    row->source[15] = h.ends >> 4;
    row->destination[15] = h.ends & 15;
    row->eth_source[5] = h.ends >> 4;
    row->eth_destination[5] = h.ends & 15;
    row->source_port = h.ports >> 4;
    row->destination_port = h.ports & 15;
    row->ip_protocol = h.protocol;
    row->ip_version = h.version;
    row->flags = h.flags;
    row->transport_length = h.transport_length;
    row->verdict = h.verdict & 3;
    row->verdict_layer = h.layer;
    row->tunnel_count = h.tunnels;
    row->flow_hash = flow_hash(seed, row);
    stream->stream = h.stream;
}

/* Rows, and what is said of them. */
typedef struct {
    packet_row *rows;
    stream_row *streams;
    uint32_t count;
    tunnel_output tunnels;
    bytes_view buffers[TALLY_BUFFERS];
    uint16_t masks[MASKS];
    tree_weight weights[MASKS];
    hash_seed seed;
} traffic;

/* Some of the rows, with the tunnels that are theirs. */
typedef struct {
    packet_row *rows;
    stream_row *streams;
    uint64_t *numbers;
    tunnel_row *tunnels;
    uint32_t count;
    uint32_t tunnel_count;
} some_rows;

static void take_rows(const traffic *all, uint32_t from, uint32_t count, some_rows *some) {
    uint32_t first = 0, end;
    while (first < all->tunnels.count && all->tunnels.rows[first].packet < from) {
        first++;
    }
    for (end = first; end < all->tunnels.count && all->tunnels.rows[end].packet < from + count; end++) {
    }
    some->rows = copy_of(all->rows + from, count * sizeof *some->rows);
    some->streams = copy_of(all->streams + from, count * sizeof *some->streams);
    some->numbers = room(count, sizeof *some->numbers);
    some->tunnels = copy_of(all->tunnels.rows + first, (end - first) * sizeof *some->tunnels);
    some->count = count;
    some->tunnel_count = end - first;
    for (uint32_t n = 0; n < count; n++) {
        some->numbers[n] = from + n + 1;
    }
    for (uint32_t n = 0; n < some->tunnel_count; n++) {
        some->tunnels[n].packet -= from;
    }
}

static void free_rows(some_rows *some) {
    free(some->rows);
    free(some->streams);
    free(some->numbers);
    free(some->tunnels);
}

static void grow_index(tally_table *t, uint32_t places) {
    uint64_t *old = t->index, *index = room(places, sizeof *index);
    memset(index, 0, places * sizeof *index);
    tally_index_replace(t, index, places - 1);
    free(old);
}

static void start_tally(tally_table *t, const hash_seed *seed, uint32_t kind, uint32_t shard, uint32_t shards) {
    memset(t, 0, sizeof *t);
    t->seed = *seed;
    t->kind = kind;
    t->shard = shard;
    t->shards = shards;
    t->slabs = room(MOST_ENDS / TALLY_SLAB_ENTRIES + TALLY_ITEMS, sizeof *t->slabs);
    grow_index(t, 2 * TALLY_SLAB_ENTRIES);
}

static void free_tally(tally_table *t) {
    for (uint32_t n = 0; n < t->capacity / TALLY_SLAB_ENTRIES; n++) {
        free(t->slabs[n]);
    }
    free(t->slabs);
    free(t->index);
}

static void more_entries(tally_table *t, uint32_t slab_limit) {
    const uint32_t slabs = t->capacity / TALLY_SLAB_ENTRIES;
    CHECK(!t->full);
    if (slabs == slab_limit) {
        t->full = 1;
        return;
    }
    CHECK(slabs < MOST_ENDS / TALLY_SLAB_ENTRIES + TALLY_ITEMS);
    if ((slabs + 1) * TALLY_SLAB_ENTRIES * 2 > t->index_mask + 1) {
        grow_index(t, (t->index_mask + 1) * 2);
    }
    t->slabs[slabs] = room(TALLY_SLAB_ENTRIES, sizeof **t->slabs);
    t->capacity += TALLY_SLAB_ENTRIES;
}

static void count_rows(tally_table *t, const traffic *all, uint32_t from, uint32_t to, uint32_t group,
                       uint32_t slab_limit, int tell_streams) {
    for (uint32_t size; from < to; from += size) {
        some_rows some;
        size = group < to - from ? group : to - from;
        take_rows(all, from, size, &some);
        const tally_batch b = {some.rows, some.numbers, some.tunnels, tell_streams ? some.streams : NULL, all->masks, size,
                               some.tunnel_count, MASKS, {all->buffers[0], all->buffers[1]}};
        for (uint32_t done = 0; !tally_update(t, &b, &done);) {
            CHECK(done < size);
            more_entries(t, slab_limit);
        }
        free_rows(&some);
    }
}

/* Adds what another table has, or its ends. */
static void add_table(tally_table *t, const tally_table *other, int ends, uint32_t slab_limit) {
    tally_entry *entries = room(other->count, sizeof *entries);
    for (uint32_t n = 0; n < other->count; n++) {
        entries[n] = *tally_at(other, n);
    }
    for (uint32_t done = 0; !(ends ? tally_ends : tally_take)(t, entries, other->count, &done);) {
        more_entries(t, slab_limit);
    }
    t->other_packets += (ends ? 2U : 1U) * other->other_packets;
    t->other_bytes += (ends ? 2U : 1U) * other->other_bytes;
    free(entries);
}

typedef struct {
    uint64_t packets, bytes;
} totals;

UNCOVERED static totals totals_of(const tally_table *t) {
    totals sum = {t->other_packets, t->other_bytes};
    CHECK(t->count <= t->capacity);
    for (uint32_t n = 0; n < t->count; n++) {
        const tally_entry *e = tally_at(t, n);
        int way;
        CHECK(e->packets[0] + e->packets[1] && e->first_time <= e->last_time);
        CHECK(tally_find(t, tally_tag(t, tally_hash(t, e), e->stream), e->source, e->source_port, e->destination,
                         e->destination_port, e->stream, &way) == e);
        sum.packets += e->packets[0] + e->packets[1];
        sum.bytes += e->bytes[0] + e->bytes[1];
    }
    return sum;
}

/* Every entry of one is in the other, which has no more of them. */
UNCOVERED static void check_equal(const tally_table *a, const tally_table *b) {
    CHECK(a->count == b->count && a->other_packets == 0 && b->other_packets == 0);
    for (uint32_t n = 0; n < a->count; n++) {
        const tally_entry *one = tally_at(a, n);
        int way;
        const tally_entry *other = tally_find(b, tally_tag(b, tally_hash(b, one), one->stream), one->source,
                                              one->source_port, one->destination, one->destination_port, one->stream, &way);
        CHECK(other != NULL && memcmp(one, other, sizeof *one) == 0);
    }
}

/* A path says which transport its frames have: the innermost layer counts where all of its rows have this one. */
static void set_masks(traffic *all, const uint8_t steering[STEERING], uint32_t kind) {
    for (uint32_t n = 0; n < MASKS; n++) {
        all->masks[n] = n ? (uint16_t)(TALLY_ROW | (steering[n % STEERING] * n % 255)) : 0;
    }
    for (uint32_t n = 0; kind != TALLY_ETHERNET && kind != TALLY_IP && n < all->count; n++) {
        if (all->rows[n].path < MASKS && all->rows[n].ip_protocol != kind) {
            all->masks[all->rows[n].path] &= (uint16_t)~TALLY_ROW;
        }
    }
}

static void check_tallies(const traffic *all, const uint8_t steering[STEERING], uint32_t kind) {
    const uint32_t group = 1 + steering[1] % 80U, shards = 1 + steering[2] % MOST_SHARDS, few = 1 + steering[3] % 4U;
    const uint32_t cut = all->count ? steering[4] % all->count : 0;
    const int tell_streams = steering[0] & 1;
    tally_table whole, joined, part, small, ends;
    start_tally(&whole, &all->seed, kind, 0, 1);
    count_rows(&whole, all, 0, all->count, all->count, UINT32_MAX, tell_streams);
    const totals expected = totals_of(&whole);
    start_tally(&joined, &all->seed, kind, 0, 1);
    for (uint32_t n = 0; n < 2 * shards; n++) { /* what came later first, or in order */
        const int earlier = (n ^ n / 2) & 1;
        start_tally(&part, &all->seed, kind, n / 2, shards);
        count_rows(&part, all, earlier ? 0 : cut, earlier ? cut : all->count, group, UINT32_MAX, tell_streams);
        add_table(&joined, &part, 0, UINT32_MAX);
        free_tally(&part);
    }
    totals_of(&joined);
    check_equal(&whole, &joined);
    start_tally(&small, &all->seed, kind, 0, 1);
    count_rows(&small, all, 0, all->count, group, few, tell_streams);
    const totals found = totals_of(&small);
    CHECK(found.packets == expected.packets && found.bytes == expected.bytes);
    start_tally(&ends, &all->seed, kind, 0, 1);
    add_table(&ends, &small, 1, steering[0] & 2 ? few : UINT32_MAX);
    const totals both = totals_of(&ends);
    CHECK(both.packets == 2 * expected.packets && both.bytes == 2 * expected.bytes);
    free_tally(&whole);
    free_tally(&joined);
    free_tally(&small);
    free_tally(&ends);
}

static void tree_room(tree_tally *t, uint32_t nodes, uint32_t buckets) {
    t->nodes = realloc(t->nodes, nodes * sizeof *t->nodes);
    t->buckets = realloc(t->buckets, buckets * sizeof *t->buckets);
    CHECK(t->nodes != NULL && t->buckets != NULL);
    t->node_capacity = nodes;
    t->bucket_capacity = buckets;
    uint32_t places = 1;
    while (places * 3 < nodes * 4 + 4) {
        places *= 2;
    }
    if (places - 1 != t->index_mask) {
        uint64_t *old = t->index, *index = room(places, sizeof *index);
        memset(index, 0, places * sizeof *index);
        tree_index_replace(t, index, places - 1);
        free(old);
    }
}

static int tree_wants_room(const tree_tally *t) {
    return !t->full && (t->node_capacity - t->node_count < TREE_NODES_PER_BLOCK ||
                        t->bucket_capacity - t->bucket_count < TREE_BUCKETS_PER_BLOCK);
}

static void more_tree(tree_tally *t, uint32_t node_limit) {
    const uint32_t nodes = t->node_count + TREE_NODES_PER_BLOCK, buckets = t->bucket_count + TREE_BUCKETS_PER_BLOCK;
    if (t->node_count > node_limit) {
        t->full = 1;
    } else {
        tree_room(t, nodes > t->node_capacity ? nodes : t->node_capacity,
                  buckets > t->bucket_capacity ? buckets : t->bucket_capacity);
    }
}

/* `nodes`: not zero is all that there ever is. */
static void start_tree(tree_tally *t, const traffic *all, uint8_t kind, uint32_t nodes, uint32_t buckets) {
    memset(t, 0, sizeof *t);
    t->seed = all->seed;
    t->kind = kind;
    t->start[0] = t->start[1] = -1;
    t->epoch = all->count ? all->rows[0].timestamp : 0;
    tree_room(t, nodes ? nodes : TREE_NODES_PER_BLOCK, nodes ? buckets : TREE_BUCKETS_PER_BLOCK);
    t->full = nodes != 0;
}

static void free_tree(tree_tally *t) {
    free(t->nodes);
    free(t->buckets);
    free(t->index);
}

/* Every bucket is in one list, every list is in order, and windows are what is in them. */
UNCOVERED static void check_tree(const tree_tally *t) {
    uint32_t used = 0;
    uint64_t sums[2] = {0, 0};
    CHECK(t->node_count <= t->node_capacity && t->bucket_count <= t->bucket_capacity);
    for (uint32_t n = 0; n < t->node_count; n++) {
        const tree_node *node = &t->nodes[n];
        const uint32_t level = tree_level(node->place);
        uint32_t window = node->newest_count;
        int64_t before = INT64_MIN;
        CHECK((level == TREE_ROOT) == (node->parent == TREE_NO_NUMBER) && node->place >> 5 == 0);
        CHECK(level == TREE_ROOT || (node->parent < n && tree_level(t->nodes[node->parent].place) == level - 1));
        for (uint32_t at = node->older ? t->buckets[node->older - 1].next : 0; at; at = t->buckets[at - 1].next) {
            const tree_bucket *bucket = &t->buckets[at - 1];
            CHECK(at <= t->bucket_count && ++used <= t->bucket_count && bucket->start >= before);
            CHECK(bucket->start <= node->newest_start);
            before = bucket->start;
            window += bucket->count;
            if (at == node->older) {
                break;
            }
        }
        CHECK(window == node->window && node->window <= node->burst && node->burst <= node->count);
        sums[level == TREE_ROOT] += level == TREE_ADDRESS || level == TREE_ROOT ? node->count : 0;
    }
    for (uint32_t at = t->free_bucket; at; at = t->buckets[at - 1].next) {
        CHECK(at <= t->bucket_count && ++used <= t->bucket_count);
    }
    CHECK(used == t->bucket_count);
    /* A host's frame counts once at the root, and at two addresses. */
    CHECK(t->others || sums[0] == sums[1] * (t->kind == TREE_HOSTS ? 2 : 1));
}

static void count_tree(tree_tally *t, const traffic *all, uint32_t from, uint32_t to, uint32_t group) {
    for (uint32_t size; from < to; from += size) {
        some_rows some;
        size = group < to - from ? group : to - from;
        take_rows(all, from, size, &some);
        tree_quote *quotes = room(size, sizeof *quotes);
        uint32_t quote_count = 0, done = 0;
        for (uint32_t n = 0; n < size; n++) {
            if (some.rows[n].ip_protocol == IP_ICMP && some.rows[n].flags & PACKET_HAS_TRANSPORT) {
                quotes[quote_count++] = (tree_quote){n, some.rows[n].ip_id, TREE_TCP, 0};
            }
        }
        tree_extras extras = {some.tunnels, quotes, some.tunnel_count, quote_count, 0, 0};
        while (tree_update(t, some.rows, size, all->weights, MASKS, &extras, &done) != TREE_DONE) {
            CHECK(done < size && tree_wants_room(t));
            more_tree(t, UINT32_MAX);
        }
        CHECK(done == size && extras.tunnel == some.tunnel_count && extras.quote == quote_count);
        free(quotes);
        free_rows(&some);
    }
}

typedef struct {
    tree_node *nodes;
    tree_bucket *buckets;
    uint32_t count, bucket_count;
} saved_tree;

static saved_tree save(const tree_tally *t) {
    saved_tree s = {room(t->node_count, sizeof *s.nodes), NULL, t->node_count, tree_save(t, NULL, NULL, 0)};
    s.buckets = room(s.bucket_count, sizeof *s.buckets);
    CHECK(tree_save(t, s.nodes, s.buckets, s.bucket_count) == s.bucket_count);
    return s;
}

static void merge(tree_tally *t, const saved_tree *s, int64_t shift) {
    const tree_bucket *buckets = s->buckets;
    for (uint32_t n = 0; n < s->count; n++) {
        while (tree_wants_room(t)) {
            more_tree(t, UINT32_MAX);
        }
        tree_merge_node(t, &s->nodes[n], buckets, shift);
        buckets += s->nodes[n].older;
    }
}

static void free_saved(saved_tree *s) {
    free(s->nodes);
    free(s->buckets);
}

/* Another tree that goes on where this one is. */
static void hand_over(tree_tally *t, const traffic *all) {
    saved_tree s = save(t), again;
    CHECK(tree_is_sound(s.nodes, s.count, s.buckets, s.bucket_count));
    tree_tally old = *t;
    start_tree(t, all, old.kind, 0, 0);
    merge(t, &s, 0);
    memcpy(t->start, old.start, sizeof old.start);
    memcpy(t->last, old.last, sizeof old.last);
    again = save(t);
    CHECK(again.count == s.count && again.bucket_count == s.bucket_count);
    CHECK(memcmp(again.nodes, s.nodes, s.count * sizeof *s.nodes) == 0);
    CHECK(memcmp(again.buckets, s.buckets, s.bucket_count * sizeof *s.buckets) == 0);
    free_saved(&s);
    free_saved(&again);
    free_tree(&old);
}

UNCOVERED static void check_same_counts(const tree_tally *a, const tree_tally *b) {
    CHECK(a->node_count == b->node_count);
    for (uint32_t n = 0; n < a->node_count; n++) {
        tree_key key = {.port = a->nodes[n].port, .place = a->nodes[n].place};
        memcpy(key.address, a->nodes[n].address, 16);
        const uint32_t number = tree_find(b, &key, tree_tag(b, &key));
        CHECK(number != TREE_NO_NUMBER && b->nodes[number].count == a->nodes[n].count);
    }
}

static uint64_t ticks_of(const tree_tally *t) {
    const uint32_t level = t->kind == TREE_HOSTS ? TREE_ADDRESS : TREE_PORT;
    uint64_t sum = t->others;
    for (uint32_t n = 0; n < t->node_count; n++) {
        sum += tree_level(t->nodes[n].place) == level ? t->nodes[n].count : 0;
    }
    return sum;
}

static void check_trees(const traffic *all, const uint8_t steering[STEERING], uint8_t kind) {
    const uint32_t group = 1 + steering[1] % 80U, cut = all->count ? steering[4] % all->count : 0;
    const int64_t shift = (int64_t)steering[5] << steering[6] % 56;
    tree_tally whole, pieces, part, small;
    start_tree(&whole, all, kind, 0, 0);
    count_tree(&whole, all, 0, all->count, all->count);
    check_tree(&whole);
    start_tree(&pieces, all, kind, 0, 0);
    count_tree(&pieces, all, 0, cut, group);
    hand_over(&pieces, all);
    check_tree(&pieces);
    count_tree(&pieces, all, cut, all->count, group);
    check_tree(&pieces);
    CHECK(whole.node_count == pieces.node_count && whole.others == 0 && whole.shortened == 0);
    saved_tree one = save(&whole), other = save(&pieces);
    CHECK(one.bucket_count == other.bucket_count && memcmp(one.nodes, other.nodes, one.count * sizeof *one.nodes) == 0);
    CHECK(memcmp(one.buckets, other.buckets, one.bucket_count * sizeof *one.buckets) == 0);
    free_tree(&pieces);
    free_saved(&other);
    start_tree(&part, all, kind, 0, 0);
    start_tree(&pieces, all, kind, 0, 0);
    count_tree(&part, all, 0, cut, group);
    count_tree(&pieces, all, cut, all->count, group);
    tree_shift(&part, -shift);
    other = save(&pieces);
    merge(&part, &other, shift);
    check_same_counts(&whole, &part);
    /* With little room: what is not at a node is counted with the others. */
    start_tree(&small, all, kind, 1 + steering[3] % 16U, steering[2] % 16U);
    count_tree(&small, all, 0, all->count, group);
    check_tree(&small);
    CHECK(ticks_of(&small) == ticks_of(&whole));
    /* Saves that somebody changed are refused, or harmless. */
    if (one.count && steering[7]) {
        uint8_t *bytes = (uint8_t *)one.nodes;
        bytes[(steering[6] | (size_t)steering[5] << 8) % (one.count * sizeof *one.nodes)] ^= steering[7];
        if (tree_is_sound(one.nodes, one.count, one.buckets, one.bucket_count)) {
            merge(&small, &one, shift);
            merge(&pieces, &one, shift);
            saved_tree last = save(&pieces);
            free_saved(&last);
        }
    }
    free_saved(&one);
    free_saved(&other);
    free_tree(&whole);
    free_tree(&pieces);
    free_tree(&part);
    free_tree(&small);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    static const uint32_t kinds[] = {TALLY_ETHERNET, TALLY_IP, TALLY_TCP, TALLY_UDP, TALLY_SCTP};
    uint8_t steering[STEERING];
    frame_list list;
    traffic all;
    memset(&all, 0, sizeof all);
    size = take_steering(data, size, steering);
    take_frames(data, size, &list);
    path_table paths = {.next = path_next, .parent = path_parent, .protocol = path_protocol, .count = 1};
    decode_counters counters = {.frames = 0};
    for (uint32_t n = 0; n < 4; n++) { /* zeros, which are rare in life, make many hashes equal */
        all.seed.key[n] = steering[0] >> (n + 4) & 1 ? 0 : n + 1;
    }
    const decoder d = {.seed = all.seed, .paths = &paths, .counters = &counters, .link_types = link_types,
                       .interface_count = INTERFACES, .ports = ports_of_tunnels()};
    all.count = list.count;
    all.rows = room(list.count, sizeof *all.rows);
    all.streams = room(list.count, sizeof *all.streams);
    all.tunnels.capacity = (list.count + 1) * MAX_TUNNELS;
    all.tunnels.rows = room(all.tunnels.capacity, sizeof *all.tunnels.rows);
    CHECK(decode_batch(&d, list.bytes, list.records, 0, list.count, all.rows, &all.tunnels) == list.count);
    uint32_t length = 0;
    for (uint32_t n = 0; n < list.count; n++) {
        const frame_record *record = &list.records[n];
        all.streams[n] = (stream_row){.stream = all.rows[n].tcp_flags & 1, .slot = 0};
        length += record->captured_length;
        if (record->interface_id == INTERFACES && record->captured_length >= sizeof(hostile_row)) {
            make_hostile(&all.rows[n], &all.streams[n], list.bytes + record->offset, &all.seed);
        }
    }
    for (uint32_t n = 0; n < MASKS; n++) {
        all.weights[n] = (tree_weight){{(uint8_t)(n % 4), (uint8_t)(n / 4 % 3)}};
    }
    uint8_t *other = room(OTHER_BUFFER, 1);
    memset(other, 0, OTHER_BUFFER);
    all.buffers[0] = (bytes_view){list.bytes, length};
    all.buffers[1] = (bytes_view){other, OTHER_BUFFER};
    const uint32_t kind = kinds[(steering[0] >> 2 ^ steering[7]) % 5];
    set_masks(&all, steering, kind);
    check_tallies(&all, steering, kind);
    check_trees(&all, steering, steering[7] & 1 ? TREE_HOSTS : TREE_DESTINATIONS);
    memset(path_next, 0, paths.count * PATH_STRIDE * sizeof *path_next);
    free(other);
    free(all.tunnels.rows);
    free(all.streams);
    free(all.rows);
    free_frames(&list);
    return 0;
}
