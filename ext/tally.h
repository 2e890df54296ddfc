/* A tally: how many frames and bytes went between two ends, for each pair of ends that there is.
 *
 * One table serves one kind of ends: Ethernet addresses, addresses of one IP version, or addresses and ports of one
 * transport. A frame with tunnels counts once for each of its layers of that kind, a row without them once. Headers
 * quoted in ICMP errors do not count: rows and tunnels do not speak of them.
 *
 * The index is open-addressed as the flow table's is, and entries never move. Nothing is ever taken out: at the cap, what
 * is new is counted together as `others`. The caller owns all memory and gives more when asked.
 */
#ifndef SPANLINE_TALLY_H
#define SPANLINE_TALLY_H

#include "hash.h"

#ifndef TALLY_SLAB_BITS /* fewer make the ends of a table come soon: for fuzzing */
#define TALLY_SLAB_BITS 12
#endif

enum {
    TALLY_SLAB_ENTRIES = 1 << TALLY_SLAB_BITS,
    TALLY_BLOCK = 64,                                /* rows that are looked up together */
    TALLY_ITEMS = TALLY_BLOCK * (MAX_TUNNELS + 1), /* the most layers of one kind that they have */
};
enum { TALLY_BUFFERS = 2 }; /* of a batch */
enum { IP_MOBILITY = 135, IP_HIP = 139, IP_SHIM6 = 140 }; /* extension headers that are not read */
#define NO_STREAM 0xFFFFFFFFU

/* Of what layer the ends are. The transports are numbered as IP does. */
enum tally_kind { TALLY_ETHERNET, TALLY_IP, TALLY_TCP = IP_TCP, TALLY_UDP = IP_UDP, TALLY_SCTP = IP_SCTP };

/* Which layers of a row count, by its path: bit k for the layer around tunnel k, and TALLY_ROW for the innermost one.
 * Ethernet: TALLY_OUTERMOST for the header that the frame begins with, where TALLY_ROW is another one. */
enum { TALLY_ROW = 0x8000, TALLY_OUTERMOST = 1 };

/* Two ends, and what they sent. Direction 0 is from `source`, which is who was seen to send first. Ethernet addresses
 * are the first six of their sixteen bytes. */
typedef struct {
    uint64_t first; /* where it was first seen: the frame's number << 8 | the layer's place in the frame */
    int64_t first_time;
    int64_t last_time;
    uint64_t packets[2];
    uint64_t bytes[2]; /* of whole frames */
    uint8_t source[16];
    uint8_t destination[16];
    uint16_t source_port;
    uint16_t destination_port;
    uint32_t stream; /* that keeps TCP connections between the same ends apart; NO_STREAM elsewhere */
} tally_entry;
STATIC_ASSERT(sizeof(tally_entry) == 96, "tally_entry");

typedef struct {
    hash_seed seed;
    tally_entry **slabs;
    uint64_t *index; /* tag << 32 | entry number + 1; 0 is empty */
    uint32_t index_mask;
    uint32_t count;
    uint32_t capacity;
    uint32_t kind;
    uint32_t shard; /* of `shards`: which rows are this table's, by their flow hash */
    uint32_t shards;
    uint8_t full; /* there is no more memory than this */
    uint64_t other_packets;
    uint64_t other_bytes;
} tally_table;

/* A batch. */
typedef struct {
    const packet_row *rows;
    const uint64_t *numbers;
    const tunnel_row *tunnels; /* by packet, then level */
    const uint32_t *streams;   /* by row; NULL: there are none */
    const uint16_t *masks;     /* by path */
    uint32_t count;
    uint32_t tunnel_count;
    uint32_t path_count;
    bytes_view buffers[TALLY_BUFFERS];
} tally_batch;

ALWAYS_INLINE tally_entry *tally_at(const tally_table *t, uint32_t number) {
    return &t->slabs[number >> TALLY_SLAB_BITS][number & (TALLY_SLAB_ENTRIES - 1)];
}

/* For a transport without streams, what a packet row has as its flow_hash. */
ALWAYS_INLINE uint64_t tally_hash(const tally_table *t, const tally_entry *e) {
    return key_hash(&t->seed, e->source, e->source_port, e->destination, e->destination_port, t->kind);
}

ALWAYS_INLINE uint32_t tally_tag(const tally_table *t, uint64_t hash, uint32_t stream) {
    if (stream != NO_STREAM) {
        hash = hash_mix(hash ^ t->seed.key[1], stream ^ t->seed.key[2]);
    }
    return (uint32_t)(hash >> 32);
}

static inline void tally_index_insert(uint64_t *index, uint32_t mask, uint32_t tag, uint32_t number) {
    uint32_t at = tag & mask;
    while (index[at]) {
        at = (at + 1) & mask;
    }
    index[at] = (uint64_t)tag << 32 | (number + 1);
}

/* Moves every entry into a larger index; `index` is zeroed and has mask + 1 places. */
static inline void tally_index_replace(tally_table *t, uint64_t *index, uint32_t mask) {
    for (uint64_t n = 0; t->index && n <= t->index_mask; n++) {
        if (t->index[n]) {
            tally_index_insert(index, mask, (uint32_t)(t->index[n] >> 32), (uint32_t)t->index[n] - 1);
        }
    }
    t->index = index;
    t->index_mask = mask;
}

/* The direction in `entry` of what one end sends to the other, or -1 when it is between other ends. */
ALWAYS_INLINE int tally_match(const tally_entry *entry, const uint8_t source[16], uint32_t source_port,
                              const uint8_t destination[16], uint32_t destination_port, uint32_t stream) {
    if (UNLIKELY(entry->stream != stream)) {
        return -1;
    }
    if (entry->source_port == source_port && entry->destination_port == destination_port &&
        memcmp(entry->source, source, 16) == 0 && memcmp(entry->destination, destination, 16) == 0) {
        return 0;
    }
    if (entry->source_port == destination_port && entry->destination_port == source_port &&
        memcmp(entry->source, destination, 16) == 0 && memcmp(entry->destination, source, 16) == 0) {
        return 1;
    }
    return -1;
}

/* The entry of two ends, and the direction in it of what the first one sends; NULL when there is none yet. */
ALWAYS_INLINE tally_entry *tally_find(const tally_table *t, uint32_t tag, const uint8_t source[16],
                                      uint32_t source_port, const uint8_t destination[16], uint32_t destination_port,
                                      uint32_t stream, int *way) {
    for (uint32_t at = tag & t->index_mask; t->index[at]; at = (at + 1) & t->index_mask) {
        if (LIKELY(t->index[at] >> 32 == tag)) {
            tally_entry *entry = tally_at(t, (uint32_t)t->index[at] - 1);
            *way = tally_match(entry, source, source_port, destination, destination_port, stream);
            if (LIKELY(*way >= 0)) {
                return entry;
            }
        }
    }
    return NULL;
}

/* Makes an entry, or counts it to the others where there is no room. */
static inline void tally_insert(tally_table *t, const tally_entry *one, uint32_t tag) {
    if (UNLIKELY(t->count == t->capacity)) {
        t->other_packets += one->packets[0] + one->packets[1];
        t->other_bytes += one->bytes[0] + one->bytes[1];
        return;
    }
    *tally_at(t, t->count) = *one;
    tally_index_insert(t->index, t->index_mask, tag, t->count);
    t->count++;
}

/* Adds what another table counted between two ends, which may have seen them earlier. */
static inline void tally_add(tally_table *t, const tally_entry *one) {
    const uint32_t tag = tally_tag(t, tally_hash(t, one), one->stream);
    int way = 0;
    tally_entry *entry = tally_find(t, tag, one->source, one->source_port, one->destination, one->destination_port,
                                    one->stream, &way);
    if (entry == NULL) {
        tally_insert(t, one, tag);
        return;
    }
    tally_entry sum = one->first < entry->first ? *one : *entry; /* its source is who sent first */
    const int one_way = one->first < entry->first ? 0 : way, entry_way = one->first < entry->first ? way : 0;
    for (int n = 0; n < 2; n++) {
        sum.packets[n] = one->packets[n ^ one_way] + entry->packets[n ^ entry_way];
        sum.bytes[n] = one->bytes[n ^ one_way] + entry->bytes[n ^ entry_way];
    }
    sum.first_time = one->first_time < entry->first_time ? one->first_time : entry->first_time;
    sum.last_time = one->last_time > entry->last_time ? one->last_time : entry->last_time;
    *entry = sum;
}

/* Whether `count` more entries may be made, or none can be and what is new goes to the others. */
ALWAYS_INLINE int tally_has_room(const tally_table *t, uint32_t count) {
    return t->full || t->capacity - t->count >= count;
}

/* One layer of a row. */
typedef struct {
    const uint8_t *source;
    const uint8_t *destination;
    uint64_t hash;
    uint16_t source_port;
    uint16_t destination_port;
    uint32_t stream;
    uint32_t row;
    uint32_t layer;
    uint32_t tag;
} tally_item;

ALWAYS_INLINE tally_item *tally_ethernet_item(const tally_table *t, uint8_t ends[2][16], const uint8_t *source,
                                              const uint8_t *destination, tally_item *item) {
    memset(ends, 0, 32);
    memcpy(ends[0], source, 6);
    memcpy(ends[1], destination, 6);
    *item = (tally_item){.source = ends[0], .destination = ends[1], .stream = NO_STREAM};
    item->hash = key_hash(&t->seed, ends[0], 0, ends[1], 0, t->kind);
    return item;
}

/* `ends` has room for the addresses of two headers. */
ALWAYS_INLINE void tally_ethernet_items(const tally_table *t, const tally_batch *b, uint32_t n, uint32_t mask,
                                        uint8_t ends[4][16], tally_item *items, uint32_t *count) {
    const packet_row *row = &b->rows[n];
    if (UNLIKELY(mask & TALLY_OUTERMOST)) {
        cursor c = {b->buffers[0].data, row->frame_offset, b->buffers[0].length};
        bytes_view header;
        if (cursor_take(&c, 12, &header)) {
            tally_ethernet_item(t, ends, header.data + 6, header.data, &items[(*count)++])->row = n;
        }
    }
    /* The last header may be cut, and then the row has the one before it. */
    if ((mask & TALLY_ROW) && LIKELY(row->verdict == VERDICT_OK || row->verdict_layer != PROTOCOL_ETHERNET ||
                                     row->verdict == VERDICT_UNSUPPORTED)) {
        tally_item *item = tally_ethernet_item(t, ends + 2, row->eth_source, row->eth_destination, &items[(*count)++]);
        item->row = n;
        item->layer = MAX_TUNNELS;
    }
}

/* Whether tshark counts a row's IP layer: IPv4 when its header is whole, IPv6 when something beyond the extension headers
 * is there, which a fragment that completes nothing does not have. */
ALWAYS_INLINE int tally_counts_network(const packet_row *row) {
    if (LIKELY(row->verdict == VERDICT_OK && !(row->flags & PACKET_IS_FRAGMENT) && row->fragment_offset == 0)) {
        return row->ip_version == 4 || row->ip_protocol != IP_NO_NEXT_HEADER;
    }
    if (row->ip_version == 4) {
        return row->verdict_layer != PROTOCOL_IPV4 || row->verdict == VERDICT_UNSUPPORTED;
    }
    switch (row->verdict_layer) {
    case PROTOCOL_IPV6:
    case PROTOCOL_IPV6_HOP_BY_HOP:
    case PROTOCOL_IPV6_ROUTING:
    case PROTOCOL_IPV6_FRAGMENT:
    case PROTOCOL_IPV6_DESTINATION:
    case PROTOCOL_AH:
        if (row->verdict != VERDICT_UNSUPPORTED || row->ip_protocol == IP_MOBILITY || row->ip_protocol == IP_HIP ||
            row->ip_protocol == IP_SHIM6) {
            return 0;
        }
        break;
    default:
        break;
    }
    return !(row->flags & PACKET_IS_FRAGMENT) && (row->fragment_offset == 0 || row->payload_buffer != 0);
}

/* Whether tshark counts a row's transport header: one that is whole. Of UDP the length field may say more than there is,
 * but not less than the header. */
ALWAYS_INLINE int tally_counts_transport(const tally_batch *b, const packet_row *row, uint32_t kind) {
    if (!(row->flags & PACKET_HAS_TRANSPORT)) {
        return 0;
    }
    if (LIKELY(row->transport_length != 0)) {
        return kind == TALLY_UDP ? row->payload_length <= UINT16_MAX - 8U
                                 : row->verdict == VERDICT_OK || row->verdict_layer != PROTOCOL_TCP;
    }
    if (kind != TALLY_UDP || row->verdict != VERDICT_MALFORMED || row->payload_buffer >= TALLY_BUFFERS) {
        return 0;
    }
    const bytes_view buffer = b->buffers[row->payload_buffer];
    const uint32_t frame_end = row->frame_offset + row->captured_length;
    cursor c = {buffer.data, row->payload_offset, buffer.length};
    bytes_view header;
    if (row->payload_buffer == 0 && frame_end < c.end) {
        c.end = frame_end;
    }
    return row->payload_length >= 8 && cursor_take(&c, 8, &header) && view_be16(header, 4) >= 8;
}

ALWAYS_INLINE void tally_ip_items(const tally_table *t, const tally_batch *b, uint32_t n, uint32_t mask,
                                  const tunnel_row **tunnel, tally_item *items, uint32_t *count) {
    const packet_row *row = &b->rows[n];
    const int has_ports = t->kind != TALLY_IP;
    if (UNLIKELY(row->tunnel_count)) {
        const tunnel_row *end = b->tunnels + b->tunnel_count;
        while (*tunnel < end && (*tunnel)->packet < n) {
            (*tunnel)++;
        }
        for (uint32_t level = 0; *tunnel < end && (*tunnel)->packet == n && level < MAX_TUNNELS; (*tunnel)++, level++) {
            const tunnel_row *outer = *tunnel;
            if (mask >> level & 1) {
                tally_item *item = &items[(*count)++];
                *item = (tally_item){.source = outer->source, .destination = outer->destination, .row = n};
                item->source_port = has_ports ? outer->source_port : 0;
                item->destination_port = has_ports ? outer->destination_port : 0;
                item->stream = NO_STREAM;
                item->layer = level;
                item->hash = key_hash(&t->seed, outer->source, item->source_port, outer->destination,
                                      item->destination_port, t->kind);
            }
        }
    }
    if (!(mask & TALLY_ROW) || row->ip_version == 0 || (row->flags & PACKET_IS_OUTER)) {
        return; /* what is around the innermost tunnel counted above */
    }
    if (!(has_ports ? tally_counts_transport(b, row, t->kind) : tally_counts_network(row))) {
        return;
    }
    tally_item *item = &items[(*count)++];
    *item = (tally_item){.source = row->source, .destination = row->destination, .row = n, .layer = MAX_TUNNELS};
    item->stream = NO_STREAM;
    if (has_ports) {
        item->source_port = row->source_port;
        item->destination_port = row->destination_port;
        item->hash = row->flow_hash;
        item->stream = t->kind == TALLY_TCP && b->streams ? b->streams[n] : NO_STREAM;
    } else {
        item->hash = key_hash(&t->seed, row->source, 0, row->destination, 0, t->kind);
    }
}

/* Counts a block's items: each is looked for before its turn, so that its memory is in the cache when that comes. */
static inline void tally_items(tally_table *t, const tally_batch *b, const tally_item *items, uint32_t count) {
    for (uint32_t n = 0; n < count; n++) {
        for (uint32_t at = items[n].tag & t->index_mask; t->index[at]; at = (at + 1) & t->index_mask) {
            if (LIKELY(t->index[at] >> 32 == items[n].tag)) {
                const char *entry = (const char *)tally_at(t, (uint32_t)t->index[at] - 1);
                PREFETCH(entry);
                PREFETCH(entry + 64);
                break;
            }
        }
    }
    for (uint32_t n = 0; n < count; n++) {
        const tally_item *item = &items[n];
        const packet_row *row = &b->rows[item->row];
        const int64_t now = row->timestamp;
        int way = 0;
        tally_entry *entry = tally_find(t, item->tag, item->source, item->source_port, item->destination,
                                        item->destination_port, item->stream, &way);
        if (LIKELY(entry != NULL)) {
            entry->packets[way]++;
            entry->bytes[way] += row->wire_length;
            entry->first_time = now < entry->first_time ? now : entry->first_time;
            entry->last_time = now > entry->last_time ? now : entry->last_time;
            continue;
        }
        tally_entry one = {.first = b->numbers[item->row] << 8 | item->layer,
                           .first_time = now,
                           .last_time = now,
                           .packets = {1, 0},
                           .bytes = {row->wire_length, 0},
                           .source_port = item->source_port,
                           .destination_port = item->destination_port,
                           .stream = item->stream};
        memcpy(one.source, item->source, 16);
        memcpy(one.destination, item->destination, 16);
        tally_insert(t, &one, item->tag);
    }
}

/* Counts rows[*from…count). Returns 0, with *from where to go on, when it wants room for entries of TALLY_ITEMS layers. */
static inline int tally_update(tally_table *t, const tally_batch *b, uint32_t *from) {
    tally_item items[TALLY_ITEMS];
    uint8_t ends[TALLY_BLOCK][4][16]; /* Ethernet addresses, which are shorter where they stand */
    const tunnel_row *tunnel = b->tunnels;
    while (*from < b->count) {
        const uint32_t end = b->count - *from < TALLY_BLOCK ? b->count : *from + TALLY_BLOCK;
        uint32_t count = 0;
        for (uint32_t n = *from; n < end; n++) {
            const packet_row *row = &b->rows[n];
            const uint32_t mask = row->path < b->path_count ? b->masks[row->path] : 0;
            if (!mask || (((row->flow_hash & 0xFFFFFFFFU) * t->shards) >> 32) != t->shard) {
                continue;
            }
            uint32_t have = count;
            if (t->kind == TALLY_ETHERNET) {
                tally_ethernet_items(t, b, n, mask, ends[n - *from], items, &count);
            } else {
                tally_ip_items(t, b, n, mask, &tunnel, items, &count);
            }
            for (; have < count; have++) {
                items[have].tag = tally_tag(t, items[have].hash, items[have].stream);
                PREFETCH(&t->index[items[have].tag & t->index_mask]);
            }
        }
        if (!tally_has_room(t, count)) {
            return 0;
        }
        tally_items(t, b, items, count);
        *from = end;
    }
    return 1;
}

/* Adds entries[*from…count), of another table or of tally_ends(); as tally_update() otherwise. */
static inline int tally_take(tally_table *t, const tally_entry *entries, uint32_t count, uint32_t *from) {
    for (; *from < count; (*from)++) {
        if (!tally_has_room(t, 1)) {
            return 0;
        }
        tally_add(t, &entries[*from]);
    }
    return 1;
}

/* Adds both ends of each of entries[*from…count), which are in the order in which they were first seen: then so are the
 * ends. An end is an entry without destination, whose directions are what it sent and what it got. */
static inline int tally_ends(tally_table *t, const tally_entry *entries, uint32_t count, uint32_t *from) {
    for (; *from < count; (*from)++) {
        if (!tally_has_room(t, 2)) {
            return 0;
        }
        for (int way = 0; way < 2; way++) {
            tally_entry end = entries[*from];
            memcpy(end.source, way ? entries[*from].destination : entries[*from].source, 16);
            end.source_port = way ? end.destination_port : end.source_port;
            memset(end.destination, 0, 16);
            end.destination_port = 0;
            end.stream = NO_STREAM;
            end.packets[0] = entries[*from].packets[way];
            end.packets[1] = entries[*from].packets[!way];
            end.bytes[0] = entries[*from].bytes[way];
            end.bytes[1] = entries[*from].bytes[!way];
            tally_add(t, &end);
        }
    }
    return 1;
}

#endif
