/* The input is a list of packets of a few conversations, 8 bytes each (`fuzzed` below). The bytes of a TCP segment follow
 * from their sequence numbers, unless the sender lies: then whatever the segments, and in whatever order they come, every
 * byte that is handed out is the one that belongs there.
 *
 * In small groups, with memory that grows by one slab at a time, and with the table saved and loaded on the way, the pieces
 * of conversations that are claimed, and the last heads of the others, are those of one table with room for all that takes
 * everything at once; unless memory was limited, and then all is still in its place, and given back in the end.
 */
#define PAYLOAD_BLOCK_BYTES 60 /* the ends of things come soon */
#define PAYLOAD_BLOCK_SLAB_BITS 5
#define PAYLOAD_SLAB_BITS 2
#define PAYLOAD_SYN_BITS 2
#define MAX_WAITING 4
#define MAX_WAITING_BYTES 300
#define COALESCED_BYTES 30
#define MAX_COALESCED 300

#include "payloads.h"
#include "payload_output.h"
#include "payload_state.h"
#include "input.h"

typedef struct {
    uint8_t ends;   /* 1 back, 2 and 4 the port, 8 another tunnel, 16 UDP, 32 half was captured, 64 far,
                     * 128 it lies, or begins as TLS does */
    uint8_t flags;  /* TCP's, below 64: see FLAGS */
    uint8_t length; /* of the payload */
    int8_t step;    /* time since the packet before, in 20 ms */
    int16_t seq;
    int16_t ack;
} fuzzed;
STATIC_ASSERT(sizeof(fuzzed) == 8, "fuzzed");

enum {
    MOST_PACKETS = 64,
    MOST_RECORDS = MOST_PACKETS + PAYLOAD_SLAB_RECORDS,
    MOST_BLOCKS = 32 << PAYLOAD_BLOCK_SLAB_BITS,
    MOST_ROWS = 4 * MOST_PACKETS,
    MOST_BYTES = 256 * MOST_PACKETS,
};

static const uint32_t bases[] = {0xFFFFFFC0U, 0x7FFFFFE0U}; /* numbers wrap, and change their sign */

static inline uint8_t octet_at(uint32_t seq) { return (uint8_t)((seq * 0x9E3779B1U) >> 24); }

/* What is known of one side of a conversation. */
typedef struct {
    uint64_t digest; /* of all its pieces, however they are cut */
    uint64_t head;   /* of its last head */
    uint64_t end;    /* the offset behind the last piece */
    uint32_t head_length;
    uint32_t head_count;
    int is_missed; /* pieces of it were not handed out, as only the other side was listened to */
} side;

typedef struct {
    payload_table table;
    uint32_t slab_limit;
    uint32_t block_slab_limit;
    uint8_t claims; /* which conversations are claimed, by their number */
    uint8_t releases;
    uint8_t listens; /* of those that are claimed, to which only one side is listened */
    int starved;
    int lies;
    int ended[MOST_PACKETS + 1];
    side sides[MOST_PACKETS + 1][2];
} tracked;

static inline uint64_t mixed(uint64_t digest, uint64_t value) { return hash_mix(digest ^ value, 0x9E3779B97F4A7C15ULL); }

UNCOVERED static void start_table(tracked *k, const payload_table *like) {
    payload_table *t = &k->table;
    memset(t, 0, sizeof *t);
    t->seed = like->seed;
    t->head_bytes = like->head_bytes;
    t->claimed_bytes = like->claimed_bytes;
    t->key_vni = like->key_vni;
    t->skip_silent = like->skip_silent;
    t->shards = 1;
    t->slabs = room(MOST_RECORDS / PAYLOAD_SLAB_RECORDS, sizeof *t->slabs);
    t->pool.slabs = room(MOST_BLOCKS / PAYLOAD_SLAB_BLOCKS, sizeof *t->pool.slabs);
    t->syns = room(PAYLOAD_SYNS, sizeof *t->syns);
    memset(t->syns, 0, PAYLOAD_SYNS * sizeof *t->syns);
    t->due.slots = room(MOST_RECORDS, sizeof(uint32_t));
    t->chance.slots = room(MOST_RECORDS, sizeof(uint32_t));
    t->pieces.slots = room(MOST_RECORDS, sizeof(uint32_t));
    uint64_t *index = room(2 * MOST_PACKETS, sizeof *index);
    memset(index, 0, 2 * MOST_PACKETS * sizeof *index);
    payload_index_replace(t, index, 2 * MOST_PACKETS - 1);
    const int is_limited = k->slab_limit < MOST_RECORDS / PAYLOAD_SLAB_RECORDS;
    t->live_limit = is_limited ? k->slab_limit * PAYLOAD_SLAB_RECORDS * 3 / 4 : UINT32_MAX;
    t->block_limit = k->block_slab_limit * PAYLOAD_SLAB_BLOCKS * 3 / 4;
}

UNCOVERED static void free_table(payload_table *t) {
    for (uint32_t n = 0; n < t->slab_count; n++) {
        free(t->slabs[n]);
    }
    for (uint32_t n = 0; n < t->pool.slab_count; n++) {
        free(t->pool.slabs[n]);
    }
    free(t->slabs);
    free(t->pool.slabs);
    free(t->syns);
    free(t->due.slots);
    free(t->chance.slots);
    free(t->pieces.slots);
    free(t->index);
}

static void add_slab(payload_table *t) {
    CHECK(t->slab_count < MOST_RECORDS / PAYLOAD_SLAB_RECORDS);
    t->slabs[t->slab_count++] = room(PAYLOAD_SLAB_RECORDS, sizeof **t->slabs);
}

static void add_blocks(payload_table *t) {
    CHECK(t->pool.slab_count < MOST_BLOCKS / PAYLOAD_SLAB_BLOCKS);
    t->pool.slabs[t->pool.slab_count++] = room(PAYLOAD_SLAB_BLOCKS, sizeof **t->pool.slabs);
}

static void evict(tracked *k, int for_blocks) {
    payload_table *t = &k->table;
    uint32_t *ages = room(t->record_count, sizeof *ages), oldest = 0;
    k->starved = 1;
    if (payload_ages(t, for_blocks, ages) == 0) {
        t->promised = UINT32_MAX;
    }
    for (uint32_t n = 0; n < t->record_count; n++) {
        oldest = ages[n] > oldest ? ages[n] : oldest;
    }
    if (oldest) {
        payload_evict(t, for_blocks, ages, oldest);
    }
    free(ages);
}

/* Does what the table asks for. 1: the packet is given up. */
static int make_room(tracked *k, int wants) {
    payload_table *t = &k->table;
    if (wants == PAYLOADS_MANY_RECORDS || wants == PAYLOADS_MANY_BLOCKS) {
        evict(k, wants == PAYLOADS_MANY_BLOCKS);
    } else if (wants == PAYLOADS_WANT_BLOCKS) {
        if (t->pool.slab_count < k->block_slab_limit) {
            add_blocks(t);
        } else {
            t->is_full = 1;
            k->starved = 1;
        }
    } else if (t->slab_count < k->slab_limit) {
        add_slab(t);
    } else {
        t->counters.refused++;
        k->starved = 1;
        return 1;
    }
    return 0;
}

/* Bytes of `way` from `offset` on are those that belong there. */
UNCOVERED static void check_bytes(const tracked *k, uint32_t slot, int way, uint64_t offset, const uint8_t *bytes,
                                  uint32_t length) {
    const payload_record *r = payload_at(&k->table, slot);
    for (uint32_t n = 0; n < length && r->protocol == IP_TCP && !k->lies; n++) {
        CHECK(bytes[n] == octet_at(r->way[way].base + (uint32_t)offset + n));
    }
}

UNCOVERED static void take_head(tracked *k, const payload_head_row *row, const uint8_t *bytes) {
    CHECK(row->serial >= 1 && row->serial <= MOST_PACKETS && row->sender <= 1 && row->length);
    CHECK(row->length <= k->table.head_bytes && row->serial == payload_at(&k->table, row->slot)->serial);
    side *s = &k->sides[row->serial][row->sender];
    if (!(row->flags & HEAD_GAP)) {
        check_bytes(k, row->slot, row->sender, 0, bytes, row->length);
    }
    CHECK(row->length > s->head_length && ++s->head_count <= 2);
    s->head_length = row->length;
    s->head = 0;
    for (uint32_t n = 0; n < row->length; n++) {
        s->head = mixed(s->head, bytes[n] + 1U);
    }
}

UNCOVERED static void take_piece(tracked *k, const payload_piece_row *row, const uint8_t *bytes) {
    CHECK(row->serial >= 1 && row->serial <= MOST_PACKETS && row->sender <= 1 && !k->ended[row->serial]);
    CHECK(row->length <= MAX_COALESCED);
    if (row->flags & PIECE_ENDED) {
        k->ended[row->serial] = 1;
        return;
    }
    side *s = &k->sides[row->serial][row->sender];
    CHECK((row->offset == s->end + row->gap || s->is_missed) && (row->length || row->gap));
    check_bytes(k, row->slot, row->sender, row->offset, bytes, row->length);
    for (uint32_t n = 0; n < row->length; n++) {
        s->digest = mixed(s->digest, (row->offset + n) << 8 | bytes[n]);
    }
    s->end = row->offset + row->length;
}

/* Where some are released, others are claimed late: once the second side's head came. */
static inline int is_claimed_now(const tracked *k, const payload_head_row *row) {
    const int is_late = k->releases && row->serial & 1 && row->sender == 0;
    return k->claims >> row->serial % 8 & 1 && !is_late;
}

/* Takes all pieces there are, and wakes some of those that are listened to: whether there are any. What these said is
 * handed out once more, then `again`, and is forgotten before that: both sides are what they were `before`. */
UNCOVERED static int hand_out_pieces(tracked *k, side before[][2], int again) {
    payload_table *t = &k->table;
    payload_output out = {0};
    uint64_t size;
    int woken = 0;
    pieces_settle(t);
    out.capacity = (uint32_t)pieces_due(t, &size);
    if (out.capacity == 0) {
        return 0;
    }
    out.pieces = room(out.capacity, sizeof *out.pieces);
    out.bytes = room(size, 1);
    out.byte_capacity = size;
    pieces_give(t, &out);
    for (uint32_t n = 0; n < out.count; n++) {
        const payload_piece_row *row = &out.pieces[n];
        const int is_listened = (row->flags & PIECE_LISTENED) != 0, had_ended = k->ended[row->serial];
        CHECK(!again || !(row->flags & (PIECE_ENDED | PIECE_LISTENED)));
        CHECK(!is_listened || (row->flags & PIECE_ENDED) || row->sender == row->serial / 8 % 2);
        k->ended[row->serial] &= !again;
        take_piece(k, row, out.bytes + row->start);
        k->ended[row->serial] |= had_ended;
        if (k->releases >> row->serial % 8 & 1) {
            payload_release(t, row->slot);
        }
    }
    for (uint32_t n = 0; n < out.count; n++) {
        const payload_piece_row *row = &out.pieces[n];
        if ((row->flags & PIECE_LISTENED) && row->length % 4 == 1 && !(k->releases >> row->serial % 8 & 1)) {
            payload_wake(t, row->slot);
            memcpy(k->sides[row->serial], before[row->serial], sizeof before[row->serial]);
            woken = 1;
        }
    }
    free(out.pieces);
    free(out.bytes);
    return woken;
}

UNCOVERED static uint32_t hand_out(tracked *k) {
    payload_table *t = &k->table;
    payload_output out = {0};
    uint64_t size;
    payload_settle(t);
    const uint32_t count = heads_due(t, 1 + k->releases, &size);
    if (count) {
        out.heads = room(2 * count, sizeof *out.heads);
        out.bytes = room(size, 1);
        out.capacity = 2 * count;
        out.byte_capacity = size;
        heads_give(t, &out, count);
        for (uint32_t n = 0; n < out.count; n++) {
            const payload_head_row *row = &out.heads[n];
            take_head(k, row, out.bytes + row->start);
            if (is_claimed_now(k, row)) {
                const uint32_t listened = k->listens >> row->serial % 8 & 1 ? 1 + row->serial / 8 % 2 : 0;
                payload_claim(t, row->slot, listened);
                if (listened) {
                    k->sides[row->serial][2 - listened].is_missed = 1;
                }
                if ((uint32_t)(k->releases >> row->serial % 8) & row->length & 1U) { /* before it said anything */
                    payload_release(t, row->slot);
                }
            }
        }
        free(out.heads);
        free(out.bytes);
    }
    side before[MOST_PACKETS + 1][2];
    memcpy(before, k->sides, sizeof before);
    if (hand_out_pieces(k, before, 0)) {
        hand_out_pieces(k, before, 1);
        pieces_settle(t);
    }
    for (uint32_t n = 0; n < t->pieces.count; n++) {
        CHECK(payload_at(t, t->pieces.slots[n])->held);
    }
    return count;
}

/* Every block is in one log, waits once, or is free; lists are whole. */
UNCOVERED static void check_table(const payload_table *t) {
    uint32_t blocks = 0, live = 0, detached = 0;
    for (uint32_t slot = 0; slot < t->record_count; slot++) {
        const payload_record *r = payload_at(t, slot);
        if (!(r->bits & PAYLOAD_LIVE)) {
            continue;
        }
        live++;
        detached += (r->bits & PAYLOAD_DETACHED) != 0;
        uint32_t count = 0;
        for (uint32_t block = r->log.first; block; block = payload_block_at(&t->pool, block)->next) {
            count++;
        }
        CHECK(count == r->log.count);
        blocks += count;
        for (int way = 0; way < 2; way++) {
            const payload_way *d = &r->way[way];
            uint32_t bytes = 0, segments = 0, before = d->next;
            for (uint32_t block = d->waiting; block;) {
                const waiting_segment w = waiting_at(t, block);
                CHECK(sequence_difference(w.seq, before) >= (segments == 0) && w.wire);
                before = w.seq + w.wire;
                bytes += w.wire;
                segments++;
                blocks += w.blocks;
                block = w.next;
            }
            CHECK(bytes == d->waiting_bytes && segments == d->waiting_count && segments <= MAX_WAITING);
            CHECK(bytes <= MAX_WAITING_BYTES && d->kept <= t->claimed_bytes);
        }
    }
    CHECK(live == t->live && detached == t->detached && blocks == t->pool.taken);
    CHECK(links_are_sound(t) && list_is_sound(t, &t->due, PAYLOAD_IN_DUE));
    CHECK(list_is_sound(t, &t->chance, PAYLOAD_IN_CHANCE) && list_is_sound(t, &t->pieces, PAYLOAD_IN_PIECES));
}

/* Another table that goes on from what this one saves. */
UNCOVERED static void hand_over(tracked *k) {
    payload_table old = k->table;
    const uint64_t size = payloads_content(&old);
    payload_record *records = room(old.record_count, sizeof *records);
    uint8_t *content = room(size, 1);
    payloads_save(&old, records, content);
    start_table(k, &old);
    payload_table *t = &k->table;
    while (t->slab_count << PAYLOAD_SLAB_BITS < old.record_count) {
        add_slab(t);
    }
    while (t->pool.slab_count << PAYLOAD_BLOCK_SLAB_BITS < old.pool.taken) {
        add_blocks(t);
    }
    t->free_first = old.free_first;
    t->clock = old.clock;
    t->promised = old.promised;
    t->waits_first = old.waits_first;
    t->waits_last = old.waits_last;
    t->serial = old.serial;
    t->counters = old.counters;
    memcpy(t->syns, old.syns, PAYLOAD_SYNS * sizeof *t->syns);
    const payload_list *lists[] = {&old.due, &old.chance, &old.pieces};
    payload_list *own[] = {&t->due, &t->chance, &t->pieces};
    for (int n = 0; n < 3; n++) {
        own[n]->count = lists[n]->count;
        memcpy(own[n]->slots, lists[n]->slots, lists[n]->count * sizeof(uint32_t));
    }
    const bytes_view view = {content, (uint32_t)size};
    CHECK(payloads_load(t, records, old.record_count, view));
    CHECK(t->live == old.live && t->detached == old.detached && t->pool.taken == old.pool.taken);
    free(records);
    free(content);
    free_table(&old);
}

UNCOVERED static void run(tracked *k, const payload_table *like, const packet_row *rows, uint32_t count,
                          bytes_view buffer, uint32_t group, uint32_t groups) {
    uint64_t numbers[MOST_PACKETS];
    uint32_t done = 0;
    for (uint32_t n = 0; n < count; n++) {
        numbers[n] = n + 1;
    }
    start_table(k, like);
    for (uint32_t from = 0, size; from < count; from += size) {
        size = group < count - from ? group : count - from;
        packet_row *some = copy_of(rows + from, size * sizeof *rows);
        payloads_work w = {some, numbers + from, &buffer, size, 1, 0};
        payload_settle(&k->table);
        for (int wants; (wants = payloads_update(&k->table, &w)) != PAYLOADS_DONE;) {
            w.packet += (uint32_t)make_room(k, wants);
        }
        free(some);
        if (groups) {
            check_table(&k->table);
        }
        if (groups && ++done % groups == 0) {
            hand_over(k);
        }
        if (group < count) {
            hand_out(k);
        }
    }
    payload_settle(&k->table);
    uint32_t slot = 0;
    for (int wants; (wants = payloads_finish(&k->table, &slot)) != PAYLOADS_DONE;) {
        make_room(k, wants);
    }
    while (hand_out(k)) {
    }
    payload_settle(&k->table);
    check_table(&k->table);
    CHECK(k->table.pool.taken == 0);
}

/* A row as its packet says; its payload is put at `*at` of the bytes. */
UNCOVERED static void make_row(packet_row *row, const fuzzed *f, int64_t time, const hash_seed *seed, uint8_t *bytes,
                               uint32_t *at, int lies, int encrypts) {
    /* What connections are made of comes often. */
    static const uint8_t FLAGS[] = {TCP_ACK, TCP_ACK, TCP_SYN, TCP_SYN | TCP_ACK, TCP_FIN | TCP_ACK, TCP_RST,
                                    TCP_ACK | TCP_PSH, 0};
    const int way = f->ends & 1;
    const uint32_t scale = f->ends & 64 ? 65536 : 1;
    memset(row, 0, sizeof *row);
    row->timestamp = time;
    row->source[15] = (uint8_t)way;
    row->destination[15] = (uint8_t)!way;
    row->source_port = way ? 23 : f->ends >> 1 & 3;
    row->destination_port = way ? f->ends >> 1 & 3 : 23;
    row->tunnel_id = f->ends >> 3 & 1;
    row->vlan = NO_VLAN;
    row->ip_version = 4;
    row->ip_protocol = f->ends & 16 ? IP_UDP : IP_TCP;
    row->transport_length = f->ends & 16 ? 8 : 20;
    row->flags = PACKET_HAS_TRANSPORT;
    row->tcp_flags = f->flags & 64 ? f->flags & 63 : FLAGS[f->flags & 7];
    const uint32_t seq = (uint16_t)f->seq, ack = (uint16_t)f->ack; /* from -32768 on */
    row->tcp_seq = bases[way] + ((seq ^ 0x8000U) - 0x8000U) * scale;
    row->tcp_ack = bases[1 - way] + (ack ^ 0x8000U) - 0x8000U;
    row->payload_offset = row->frame_offset = *at;
    row->payload_length = row->wire_length = f->length;
    row->captured_length = f->ends & 32 ? f->length / 2U : f->length;
    row->flow_hash = flow_hash(seed, row);
    static const uint8_t RECORD[] = {23, 3, 3, 1, 0, 0}; /* TLS: application data */
    const uint32_t first = row->tcp_seq + ((row->tcp_flags & TCP_SYN) != 0);
    for (uint32_t n = 0; n < row->captured_length; n++) {
        const int is_record = encrypts && f->ends & 128 && n < sizeof RECORD;
        bytes[(*at)++] = is_record ? RECORD[n] : (uint8_t)(octet_at(first + n) ^ (lies ? f->ends >> 7 : 0));
    }
}

UNCOVERED static void compare(const tracked *whole, const tracked *pieces) {
    CHECK(whole->table.serial == pieces->table.serial);
    for (uint64_t serial = 1; serial <= whole->table.serial; serial++) {
        const int is_claimed = whole->claims >> serial % 8 & 1;
        CHECK(whole->ended[serial] == pieces->ended[serial] || pieces->releases);
        for (int way = 0; way < 2; way++) {
            const side *a = &whole->sides[serial][way], *b = &pieces->sides[serial][way];
            if (is_claimed && !pieces->releases && !b->is_missed) {
                CHECK(a->digest == b->digest && a->end == b->end);
            } else if (!is_claimed) {
                CHECK(a->head == b->head && a->head_length == b->head_length);
            }
        }
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    uint8_t steering[STEERING];
    size = take_steering(data, size, steering);
    const uint32_t most = (uint32_t)(size / sizeof(fuzzed)), count = most < MOST_PACKETS ? most : MOST_PACKETS;
    packet_row *rows = room(count, sizeof *rows);
    uint8_t *bytes = room(MOST_BYTES, 1);
    payload_table like = {.head_bytes = 1 + steering[6] % 128U, .key_vni = steering[0] >> 3 & 1,
                          .skip_silent = steering[0] >> 5 & 1};
    like.claimed_bytes = like.head_bytes + steering[4] * 4U;
    const int lies = (steering[0] >> 2 & 1) || like.skip_silent;
    for (uint32_t n = 0; n < 4; n++) { /* zeros, which are rare in life, make many hashes equal */
        like.seed.key[n] = steering[2] >> n & 1 ? 0 : n + 1;
    }
    int64_t time = 1700000000000000000;
    uint32_t length = 0;
    for (uint32_t n = 0; n < count; n++) {
        fuzzed f;
        memcpy(&f, data + n * sizeof f, sizeof f);
        time += f.step * 20000000LL;
        make_row(&rows[n], &f, time, &like.seed, bytes, &length, lies, like.skip_silent);
    }
    uint8_t *own = copy_of(bytes, length);
    const bytes_view buffer = {own, length};
    tracked *whole = room(2, sizeof *whole), *pieces = whole + 1;
    memset(whole, 0, 2 * sizeof *whole);
    whole->slab_limit = pieces->slab_limit = MOST_RECORDS / PAYLOAD_SLAB_RECORDS;
    whole->block_slab_limit = pieces->block_slab_limit = MOST_BLOCKS / PAYLOAD_SLAB_BLOCKS;
    whole->claims = pieces->claims = steering[5];
    whole->lies = pieces->lies = lies;
    if (steering[0] & 1) {
        pieces->slab_limit = 1 + (steering[7] & 1);
    }
    if (steering[0] & 2) {
        pieces->block_slab_limit = 1 + (steering[7] >> 1 & 3);
    }
    pieces->releases = steering[0] & 16 ? steering[7] : 0;
    pieces->listens = steering[0] & 64 ? steering[7] | 0x11 : 0;
    run(whole, &like, rows, count, buffer, count, 0);
    run(pieces, &like, rows, count, buffer, 1 + steering[1] % 16U, steering[3] % 4U);
    CHECK(!whole->starved);
    CHECK(lies || (whole->table.counters.conflicts == 0 && pieces->table.counters.conflicts == 0));
    if (!pieces->starved) {
        compare(whole, pieces);
    }
    free_table(&whole->table);
    free_table(&pieces->table);
    free(whole);
    free(own);
    free(bytes);
    free(rows);
    return 0;
}
