/* Frames to rows: the table of who follows whom, and the loop that fills a batch. */
#ifndef SPANLINE_DECODE_H
#define SPANLINE_DECODE_H

#include "plain.h"

typedef struct {
    hash_seed seed;
    path_table *paths;
    decode_counters *counters;
    const int32_t *link_types; /* by interface */
    uint32_t interface_count;
    const tunnel_ports *ports;
    uint8_t verify_checksums;
    uint8_t reassemble; /* fragments are left to a defrag_table */
} decoder;

ALWAYS_INLINE int decode_one(frame *f, int protocol) {
    switch (protocol) {
    case PROTOCOL_ETHERNET:
        return decode_ethernet(f);
    case PROTOCOL_IPV4:
        return decode_ipv4(f);
    case PROTOCOL_TCP:
        return decode_tcp(f);
    case PROTOCOL_UDP:
        return decode_udp(f);
    case PROTOCOL_IPV6:
        return decode_ipv6(f);
    case PROTOCOL_VLAN:
    case PROTOCOL_VLAN_AD:
        return decode_vlan(f, (uint32_t)protocol);
    case PROTOCOL_VXLAN:
        return decode_vxlan(f);
    case PROTOCOL_GENEVE:
        return decode_geneve(f);
    case PROTOCOL_GRE:
        return decode_gre(f);
    case PROTOCOL_ERSPAN:
        return decode_erspan(f);
    case PROTOCOL_ICMP:
    case PROTOCOL_ICMPV6:
        return decode_icmp(f, (uint32_t)protocol);
    case PROTOCOL_SCTP:
        return decode_sctp(f);
    case PROTOCOL_ARP:
        return decode_arp(f);
    case PROTOCOL_LLC:
        return decode_llc(f);
    case PROTOCOL_SLL:
    case PROTOCOL_SLL2:
        return decode_sll(f, (uint32_t)protocol);
    case PROTOCOL_NULL_LOOP:
        return decode_null(f);
    case PROTOCOL_RAW:
        return decode_raw(f);
    case PROTOCOL_TOKEN_RING:
        return decode_token_ring(f);
    case PROTOCOL_FDDI:
        return decode_fddi(f);
    case PROTOCOL_IPV6_HOP_BY_HOP:
    case PROTOCOL_IPV6_ROUTING:
    case PROTOCOL_IPV6_DESTINATION:
    case PROTOCOL_AH:
        return decode_ipv6_extension(f, (uint32_t)protocol);
    case PROTOCOL_IPV6_FRAGMENT:
        return decode_ipv6_fragment(f);
    default:
        return PROTOCOL_NONE;
    }
}

ALWAYS_INLINE void decode_rest(frame *f, int next) {
    while (next != PROTOCOL_NONE) {
        if (UNLIKELY(f->depth == MAX_LAYERS)) {
            frame_stop(f, VERDICT_UNSUPPORTED, (uint32_t)next);
            break;
        }
        next = decode_one(f, next);
    }
}

/* What stays the same for all frames of a batch. */
ALWAYS_INLINE void frame_prepare(frame *f, const decoder *d, const uint8_t *data) {
    memset(f, 0, sizeof *f);
    f->c.data = data;
    f->ports = d->ports;
    f->verify_checksums = d->verify_checksums;
    f->reassemble = d->reassemble;
}

ALWAYS_INLINE int32_t link_type_of(const decoder *d, const frame_record *record) {
    return record->interface_id < d->interface_count ? d->link_types[record->interface_id] : -1;
}

ALWAYS_INLINE void decode_frame(const decoder *d, frame *f, const frame_record *record, uint32_t packet) {
    packet_row *row = f->row;
    memset(row, 0, sizeof *row);
    row->timestamp = record->timestamp;
    row->frame_offset = record->offset;
    row->captured_length = record->captured_length;
    row->wire_length = record->wire_length;
    row->interface_id = record->interface_id;
    row->tunnel_id = NO_TUNNEL_ID;
    row->vlan = NO_VLAN;
    f->c.offset = record->offset;
    f->c.end = record->offset + record->captured_length;
    /* A record that says it is longer than its frame was: what is there is read. */
    f->wire_end = (uint64_t)record->offset +
                  (record->wire_length > record->captured_length ? record->wire_length : record->captured_length);
    f->outer_end = f->wire_end;
    f->packet = packet;
    f->frame_start = record->offset;
    f->depth = 0;
    f->path = 0;
    f->cut = f->routed = f->too_deep = 0;
    f->paths = d->paths;
    const int32_t link_type = link_type_of(d, record);
    decode_rest(f, LIKELY(link_type == LINK_ETHERNET) ? PROTOCOL_ETHERNET : follow_link_type(f, link_type));
}

/* The same frame goes on in the datagram that its last layer, a fragment, completed; `data` is buffers[1]. The row keeps
 * the marks of that fragment until an IP layer inside replaces them. */
static inline void continue_frame(frame *f, const uint8_t *data, const datagram_row *datagram) {
    packet_row *row = f->row;
    f->c.data = data;
    f->c.offset = datagram->offset;
    f->c.end = datagram->offset + datagram->length;
    f->wire_end = f->c.end;
    f->buffer = row->payload_buffer = 1;
    f->assembled = 1;
    f->cut = 0;
    row->flags &= (uint8_t)~PACKET_IS_FRAGMENT;
    decode_rest(f, follow_ip_protocol(f, datagram->protocol & 0xFF,
                                      row->ip_version == 4 ? PROTOCOL_IPV4 : PROTOCOL_IPV6_FRAGMENT));
}

static inline void count_verdict(decode_counters *counters, const frame *f, uint64_t number) {
    counters->undecodable += f->row->ip_version == 0;
    if (f->too_deep && counters->too_deep++ == 0) {
        counters->too_deep_first = number;
    }
}

/* The wire length of the innermost frame. Inside a tunnel the layers around it tell; a mirror that cuts frames may leave
 * those too short, and then the inner IP length does. */
ALWAYS_INLINE uint32_t inner_length(const frame *f, uint32_t wire_length) {
    if (LIKELY(f->row->tunnel_count == 0)) {
        return wire_length;
    }
    uint64_t end = f->wire_end > f->outer_end ? f->wire_end : f->outer_end;
    return end > f->frame_start ? (uint32_t)(end - f->frame_start) : 0;
}

/* What a row says of the whole stack, when its last layer was read. */
ALWAYS_INLINE void finish_row(const decoder *d, const frame *f) {
    packet_row *row = f->row;
    row->path = (uint16_t)f->path;
    if (LIKELY(row->ip_version != 0)) {
        row->flags |= f->network_level != row->tunnel_count ? PACKET_IS_OUTER : 0;
        row->flow_hash = flow_hash(&d->seed, row);
    }
}

/* Decodes records[from…count) of the bytes at `data` into rows. Returns how far it came: less than `count` when the
 * tunnel rows are full, and is then called again with more room. Records lie inside the buffer (framing's promise). */
static inline uint32_t decode_batch(const decoder *d, const uint8_t *data, const frame_record *records, uint32_t from,
                                    uint32_t count, packet_row *rows, tunnel_output *tunnels) {
    enum { AHEAD = 8, PLAIN_HEADERS = 54 /* of Ethernet, IPv4 and TCP */ };
    const hash_seed seed = d->seed;
    plain_paths plain = {{{0}}};
    uint32_t n, known = 0;
    frame f;
    frame_prepare(&f, d, data);
    f.tunnels = tunnels;
    for (n = from; n < count; n++) {
        if (n + AHEAD < count) {
            const uint8_t *ahead = data + records[n + AHEAD].offset;
            PREFETCH(ahead);
            PREFETCH(ahead + PLAIN_HEADERS - 1);
        }
        if (d->paths && UNLIKELY(known != d->paths->count)) {
            plain_paths_find(&plain, d->paths);
            known = d->paths->count;
        }
        if (LIKELY(link_type_of(d, &records[n]) == LINK_ETHERNET && !d->verify_checksums &&
                   decode_plain(&seed, &plain, d->ports, data, &records[n], &rows[n]))) {
            continue;
        }
        if (UNLIKELY(tunnels->capacity - tunnels->count < MAX_TUNNELS)) {
            break;
        }
        f.row = &rows[n];
        decode_frame(d, &f, &records[n], n);
        if (UNLIKELY(rows[n].verdict != VERDICT_OK)) {
            count_verdict(d->counters, &f, d->counters->frames + (n - from) + 1);
        }
        rows[n].inner_length = inner_length(&f, records[n].wire_length);
        finish_row(d, &f);
    }
    d->counters->frames += n - from;
    d->counters->fragments += f.waiting;
    return n;
}

#endif
