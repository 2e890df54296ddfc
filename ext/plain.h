/* The frames that most traffic consists of, read in one go: Ethernet, IPv4 without options or IPv6 without extension
 * headers, and TCP or UDP, whole and in one piece.
 *
 * What is read here, the decoders of link.h, network.h and transport.h would read in the same way: this saves their
 * steps, and a test holds both against each other. Whatever is not plain is left to them.
 */
#ifndef SPANLINE_PLAIN_H
#define SPANLINE_PLAIN_H

#include "hash.h"
#include "tunnel.h"

/* The path of each plain stack, by IP version (0: 4, 1: 6) and transport (0: TCP, 1: UDP); 0 where none was met yet,
 * and such frames are then not read here. */
typedef struct {
    uint16_t path[2][2];
} plain_paths;

static inline uint16_t path_of(const path_table *paths, const uint8_t *protocols, uint32_t count) {
    uint32_t path = 0;
    for (uint32_t n = 0; n < count; n++) {
        path = paths->next[path * PATH_STRIDE + protocols[n]];
        if (path == 0) {
            return 0;
        }
    }
    return (uint16_t)path;
}

static inline void plain_paths_find(plain_paths *plain, const path_table *paths) {
    static const uint8_t network[] = {PROTOCOL_IPV4, PROTOCOL_IPV6}, transport[] = {PROTOCOL_TCP, PROTOCOL_UDP};
    for (uint32_t n = 0; n < 4; n++) {
        const uint8_t stack[] = {PROTOCOL_ETHERNET, network[n >> 1], transport[n & 1]};
        plain->path[n >> 1][n & 1] = path_of(paths, stack, 3);
    }
}

/* The row of a plain frame. `at` is where its transport header starts, `left` how many bytes of the IP packet are there
 * from then on, all of them captured. 0, and nothing that matters written, when it is not plain. */
ALWAYS_INLINE int plain_transport(packet_row *row, cursor c, uint32_t left, uint32_t protocol,
                                   const tunnel_ports *ports) {
    bytes_view header;
    uint32_t length = 8;
    if (protocol == IP_TCP) {
        if (UNLIKELY(left < 20 || !cursor_peek(&c, 20, &header))) {
            return 0;
        }
        const uint32_t bits = view_be16(header, 12);
        length = (bits >> 12) * 4;
        if (UNLIKELY(length < 20 || length > left)) {
            return 0;
        }
        row->tcp_seq = view_be32(header, 4);
        row->tcp_ack = view_be32(header, 8);
        row->tcp_flags = bits & 0x0FFF;
        row->tcp_window = view_be16(header, 14);
    } else {
        if (UNLIKELY(protocol != IP_UDP || left < 8 || !cursor_peek(&c, 8, &header) || view_be16(header, 4) != left ||
                     has_port(ports->tunnel, view_be16(header, 2)))) {
            return 0;
        }
        row->tcp_seq = row->tcp_ack = 0;
        row->tcp_flags = row->tcp_window = 0;
    }
    row->source_port = view_be16(header, 0);
    row->destination_port = view_be16(header, 2);
    row->payload_offset = c.offset + length;
    row->payload_length = left - length;
    row->transport_length = (uint8_t)length;
    return 1;
}

/* Fills the row of an Ethernet frame when it is plain; 0 when it is not, and the row is to be made otherwise. */
ALWAYS_INLINE int decode_plain(const hash_seed *seed, const plain_paths *plain, const tunnel_ports *ports,
                               const uint8_t *data, const frame_record *record, packet_row *row) {
    cursor c = {data, record->offset, record->offset + record->captured_length};
    bytes_view header;
    if (UNLIKELY(record->captured_length > record->wire_length || !cursor_take(&c, 34, &header))) {
        return 0;
    }
    const uint32_t type = view_be16(header, 12);
    const uint32_t captured = record->captured_length - 14;
    uint32_t version, left, protocol;
    if (LIKELY(type == ETHER_TYPE_IPV4)) {
        const uint32_t total = view_be16(header, 16), fragment = view_be16(header, 20);
        if (UNLIKELY(view_u8(header, 14) != 0x45 || (fragment & 0x3FFF) || total < 20 || total > captured)) {
            return 0;
        }
        const uint64_t mapped = 0xFFFF0000U;
        const uint64_t source = (uint64_t)view_host32(header, 26) << 32 | mapped;
        const uint64_t destination = (uint64_t)view_host32(header, 30) << 32 | mapped;
        memset(row->source, 0, 8);
        memcpy(row->source + 8, &source, 8);
        memset(row->destination, 0, 8);
        memcpy(row->destination + 8, &destination, 8);
        row->ip_id = view_be16(header, 18);
        row->tos = view_u8(header, 15);
        row->ttl = view_u8(header, 22);
        row->flags = (uint8_t)(((fragment >> 13) & PACKET_DONT_FRAGMENT) | PACKET_HAS_TRANSPORT);
        protocol = view_u8(header, 23);
        version = 4;
        left = total - 20;
    } else if (type == ETHER_TYPE_IPV6) {
        bytes_view rest;
        const uint32_t length = view_be16(header, 18);
        if (UNLIKELY(view_u8(header, 14) >> 4 != 6 || length == 0 || length + 40 > captured || !cursor_take(&c, 20, &rest))) {
            return 0;
        }
        view_copy(header, 22, row->source, 12);
        view_copy(rest, 0, row->source + 12, 4);
        view_copy(rest, 4, row->destination, 16);
        row->ip_id = 0;
        row->tos = (uint8_t)(view_be16(header, 14) >> 4);
        row->ttl = view_u8(header, 21);
        row->flags = PACKET_HAS_TRANSPORT;
        protocol = view_u8(header, 20);
        version = 6;
        left = length;
    } else {
        return 0;
    }
    row->path = plain->path[version == 6][protocol == IP_UDP];
    if (UNLIKELY(row->path == 0 || !plain_transport(row, c, left, protocol, ports))) {
        return 0;
    }
    row->timestamp = record->timestamp;
    row->frame_offset = record->offset;
    row->captured_length = record->captured_length;
    row->wire_length = record->wire_length;
    row->tunnel_id = NO_TUNNEL_ID;
    row->inner_length = record->wire_length;
    row->interface_id = record->interface_id;
    row->vlan = NO_VLAN;
    row->ether_type = (uint16_t)type;
    row->fragment_offset = 0;
    row->ip_version = (uint8_t)version;
    row->ip_protocol = (uint8_t)protocol;
    row->tunnel_count = row->verdict = row->verdict_layer = row->payload_buffer = 0;
    view_copy(header, 0, row->eth_destination, 6);
    view_copy(header, 6, row->eth_source, 6);
    row->application = 0;
    row->flow_hash = key_hash(seed, row->source, row->source_port, row->destination, row->destination_port, protocol);
    return 1;
}

#endif
