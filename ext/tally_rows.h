/* From packet rows to tallies: which layers of a frame count, and between which ends.
 *
 * They are those that tshark counts. A frame with tunnels counts once for each of its layers of a kind, a row without
 * them once. Headers quoted in ICMP errors do not count: rows and tunnels do not speak of them.
 */
#ifndef SPANLINE_TALLY_ROWS_H
#define SPANLINE_TALLY_ROWS_H

#include "tally.h"

enum {
    TALLY_BLOCK = 64,                              /* rows that are looked up together */
    TALLY_ITEMS = TALLY_BLOCK * (MAX_TUNNELS + 1), /* the most layers of one kind that they have */
    TALLY_BUFFERS = 2,                             /* of a batch */
};
enum { IP_MOBILITY = 135, IP_HIP = 139, IP_SHIM6 = 140 }; /* extension headers that are not read */

/* Which layers of a row count, by its path: bit k for the layer around tunnel k, and TALLY_ROW for the innermost one.
 * Ethernet: TALLY_OUTERMOST for the header that the frame begins with, where TALLY_ROW is another one. */
enum { TALLY_ROW = 0x8000, TALLY_OUTERMOST = 1 };

/* A batch. */
typedef struct {
    const packet_row *rows;
    const uint64_t *numbers;
    const tunnel_row *tunnels; /* by packet, then level */
    const stream_row *streams; /* by row; NULL: TCP is not told apart */
    const uint16_t *masks;     /* by path */
    uint32_t count;
    uint32_t tunnel_count;
    uint32_t path_count;
    bytes_view buffers[TALLY_BUFFERS];
} tally_batch;

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
        return 1;
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

/* Whether tshark counts a row's UDP header: one that is whole, and whose length is not less than its own. */
ALWAYS_INLINE int tally_counts_udp(const tally_batch *b, const packet_row *row) {
    if (UNLIKELY(row->payload_buffer >= TALLY_BUFFERS || row->payload_offset < row->transport_length)) {
        return 0;
    }
    cursor c = {b->buffers[row->payload_buffer].data, row->payload_offset - row->transport_length,
                b->buffers[row->payload_buffer].length};
    bytes_view header;
    if (UNLIKELY(row->transport_length == 0)) { /* payload is what IP carries */
        const uint32_t end = row->frame_offset + row->captured_length;
        c.end = row->payload_buffer == 0 && end < c.end ? end : c.end;
        if (row->payload_length < 8 || row->verdict != VERDICT_MALFORMED) {
            return 0;
        }
    }
    return cursor_take(&c, 8, &header) && view_be16(header, 4) >= 8;
}

/* Whether tshark counts a row's transport header: one that is whole, and of TCP also its options. */
ALWAYS_INLINE int tally_counts_transport(const tally_batch *b, const packet_row *row, uint32_t kind) {
    if (!(row->flags & PACKET_HAS_TRANSPORT)) {
        return 0;
    }
    if (kind == TALLY_UDP) {
        return tally_counts_udp(b, row);
    }
    return row->transport_length != 0 && (row->verdict == VERDICT_OK || row->verdict_layer != PROTOCOL_TCP);
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
        item->stream = t->kind == TALLY_TCP && b->streams ? b->streams[n].stream : NO_STREAM;
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

#endif
