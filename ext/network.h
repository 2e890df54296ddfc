/* The network layer: IPv4, and IPv6 with its chain of extension headers. */
#ifndef SPANLINE_NETWORK_H
#define SPANLINE_NETWORK_H

#include "frame.h"

/* specification: Assigned Internet Protocol Numbers (IANA) */
enum ip_protocol {
    IP_HOP_BY_HOP = 0,
    IP_ICMP = 1,
    IP_IPV4 = 4,
    IP_TCP = 6,
    IP_UDP = 17,
    IP_IPV6 = 41,
    IP_ROUTING = 43,
    IP_FRAGMENT = 44,
    IP_GRE = 47,
    IP_AH = 51,
    IP_ICMPV6 = 58,
    IP_NO_NEXT_HEADER = 59,
    IP_DESTINATION = 60,
    IP_SCTP = 132,
};

/* What stands behind an IP header; `protocol` is whose field said it. */
ALWAYS_INLINE int follow_ip_protocol(frame *f, uint32_t number, uint32_t protocol) {
    f->row->ip_protocol = (uint8_t)number;
    frame_payload(f);
    if (LIKELY(number == IP_TCP)) {
        return PROTOCOL_TCP;
    }
    switch (number) {
    case IP_UDP:
        return PROTOCOL_UDP;
    case IP_ICMP:
        return PROTOCOL_ICMP;
    case IP_ICMPV6:
        return PROTOCOL_ICMPV6;
    case IP_SCTP:
        return PROTOCOL_SCTP;
    case IP_GRE:
        return PROTOCOL_GRE;
    case IP_AH:
        return PROTOCOL_AH;
    case IP_IPV4:
    case IP_IPV6:
        if (!frame_enter_tunnel(f, TUNNEL_IP_IN_IP, NO_TUNNEL_ID, 0, 0)) {
            return frame_stop(f, VERDICT_UNSUPPORTED, protocol);
        }
        return number == IP_IPV4 ? PROTOCOL_IPV4 : PROTOCOL_IPV6;
    case IP_NO_NEXT_HEADER:
        if (protocol != PROTOCOL_IPV4) {
            return PROTOCOL_NONE;
        }
        break;
    default:
        break;
    }
    if (protocol != PROTOCOL_IPV4) {
        switch (number) {
        case IP_HOP_BY_HOP:
            return PROTOCOL_IPV6_HOP_BY_HOP;
        case IP_ROUTING:
            return PROTOCOL_IPV6_ROUTING;
        case IP_FRAGMENT:
            return PROTOCOL_IPV6_FRAGMENT;
        case IP_DESTINATION:
            return PROTOCOL_IPV6_DESTINATION;
        default:
            break;
        }
    }
    return frame_stop(f, VERDICT_UNSUPPORTED, protocol);
}

/* A fragment that was captured whole waits for the others: a port read from the first of them would be without its
 * datagram. One that the mirror cut can never be part of one, so that what is there is read. */
static inline int follow_fragment(frame *f, uint32_t number, uint32_t protocol) {
    packet_row *row = f->row;
    uint32_t length = frame_wire_left(f);
    int waits = f->reassemble && length != 0 && length <= cursor_left(&f->c);
    f->cut |= row->flags & PACKET_MORE_FRAGMENTS;
    f->assembled = 0;
    if (!waits && row->fragment_offset == 0) {
        return follow_ip_protocol(f, number, protocol);
    }
    if (waits) {
        row->flags |= PACKET_IS_FRAGMENT;
        f->waiting++;
    }
    row->ip_protocol = (uint8_t)number;
    frame_payload(f);
    return PROTOCOL_NONE;
}

/* The row speaks of this IP layer from now on: nothing of an outer one may stay. */
ALWAYS_INLINE void reset_network(frame *f, uint32_t version) {
    packet_row *row = f->row;
    f->routed = 0;
    f->network_level = row->tunnel_count;
    row->ip_version = (uint8_t)version;
    row->ip_id = 0;
    row->fragment_offset = 0;
    row->flags = 0;
    row->source_port = row->destination_port = 0;
    row->tcp_seq = row->tcp_ack = 0;
    row->tcp_flags = row->tcp_window = 0;
    row->transport_length = 0;
}

/* specification: RFC 791 section 3.1, RFC 2474 (tos)
 *
 *  |version 4 bits, header length 4 bits|tos 1|total length 2|
 *  |identification 2|flags 3 bits, fragment offset 13 bits|
 *  |ttl 1|protocol 1|checksum 2|source 4|destination 4|options|
 */
ALWAYS_INLINE int decode_ipv4(frame *f) {
    packet_row *row = f->row;
    const uint32_t start = f->c.offset;
    bytes_view header, whole;
    frame_enter(f, PROTOCOL_IPV4);
    if (UNLIKELY(!cursor_peek(&f->c, 20, &header))) {
        return frame_short(f, PROTOCOL_IPV4, 20);
    }
    uint32_t first = view_u8(header, 0);
    uint32_t header_length = (first & 15) * 4;
    uint32_t total = view_be16(header, 2);
    if (total == 0) { /* segmentation offload: the sender's kernel had not filled it in yet */
        total = frame_wire_left(f);
    }
    if (UNLIKELY(first >> 4 != 4 || header_length < 20 || total < header_length)) {
        frame_header_length(f, 0);
        /* Whoever announced IPv4 may have meant IP. */
        return first >> 4 == 6 ? PROTOCOL_IPV6 : frame_stop(f, VERDICT_MALFORMED, PROTOCOL_IPV4);
    }
    reset_network(f, 4);
    static const uint8_t mapped[12] = {0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xFF, 0xFF};
    memcpy(row->source, mapped, 12);
    view_copy(header, 12, row->source + 12, 4);
    memcpy(row->destination, mapped, 12);
    view_copy(header, 16, row->destination + 12, 4);
    row->ip_id = view_be16(header, 4);
    row->ttl = view_u8(header, 8);
    row->tos = view_u8(header, 1);
    row->ip_protocol = view_u8(header, 9);
    frame_limit(f, start, total);
    frame_layer_ends(f);
    uint32_t fragment = view_be16(header, 6);
    row->fragment_offset = (uint16_t)((fragment & 0x1FFF) * 8);
    row->flags = (uint8_t)(((fragment >> 13) & 1) | ((fragment >> 13) & 2));
    if (UNLIKELY(!cursor_take(&f->c, header_length, &whole))) { /* inside the options */
        frame_short(f, PROTOCOL_IPV4, header_length);
        f->c.offset = start + header_length;
        frame_payload(f);
        return PROTOCOL_NONE;
    }
    frame_header_length(f, header_length);
    if (UNLIKELY(fragment & 0x3FFF)) {
        return follow_fragment(f, view_u8(header, 9), PROTOCOL_IPV4);
    }
    return follow_ip_protocol(f, view_u8(header, 9), PROTOCOL_IPV4);
}

/* specification: RFC 8200 section 3
 *
 *  |version 4 bits, class 8 bits, flow label 20 bits|payload length 2|next header 1|hop limit 1|
 *  |source 16|destination 16|
 */
static inline int decode_ipv6(frame *f) {
    packet_row *row = f->row;
    bytes_view header;
    frame_enter(f, PROTOCOL_IPV6);
    if (!cursor_take(&f->c, 40, &header)) {
        return frame_short(f, PROTOCOL_IPV6, 40);
    }
    frame_header_length(f, 40);
    if (view_u8(header, 0) >> 4 != 6) {
        frame_header_length(f, 0);
        return frame_stop(f, VERDICT_MALFORMED, PROTOCOL_IPV6);
    }
    reset_network(f, 6);
    view_copy(header, 8, row->source, 16);
    view_copy(header, 24, row->destination, 16);
    row->tos = (uint8_t)(view_be16(header, 0) >> 4);
    row->ttl = view_u8(header, 7);
    uint32_t length = view_be16(header, 4);
    if (length != 0) { /* 0: a jumbogram, or segmentation offload */
        frame_limit(f, f->c.offset, length);
        frame_layer_ends(f);
    }
    return follow_ip_protocol(f, view_u8(header, 6), PROTOCOL_IPV6);
}

/* specification: RFC 8200 section 4.3 (hop-by-hop), 4.4 (routing), 4.6 (destination); RFC 4302 (AH)
 *
 *  |next header 1|length 1, in 8 bytes beyond the first 8 (AH: in 4 beyond 8)|…|
 */
static inline int decode_ipv6_extension(frame *f, uint32_t protocol) {
    bytes_view header;
    frame_enter(f, protocol);
    if (!cursor_peek(&f->c, 8, &header)) {
        return frame_short(f, protocol, 8);
    }
    uint32_t units = view_u8(header, 1);
    uint32_t length = protocol == PROTOCOL_AH ? (units + 2) * 4 : (units + 1) * 8;
    uint32_t next = view_u8(header, 0);
    f->routed |= protocol == PROTOCOL_IPV6_ROUTING && view_u8(header, 3) != 0;
    if (!cursor_take(&f->c, length, &header)) {
        return frame_short(f, protocol, length);
    }
    frame_header_length(f, length);
    /* AH follows IPv4 as well, and there the numbers of IPv6 extension headers mean nothing. */
    return follow_ip_protocol(f, next, f->row->ip_version == 4 ? PROTOCOL_IPV4 : protocol);
}

/* specification: RFC 8200 section 4.5
 *
 *  |next header 1|reserved 1|offset 13 bits, reserved 2 bits, more 1 bit|identification 4|
 */
static inline int decode_ipv6_fragment(frame *f) {
    packet_row *row = f->row;
    bytes_view header;
    frame_enter(f, PROTOCOL_IPV6_FRAGMENT);
    if (!cursor_take(&f->c, 8, &header)) {
        return frame_short(f, PROTOCOL_IPV6_FRAGMENT, 8);
    }
    frame_header_length(f, 8);
    uint32_t fragment = view_be16(header, 2);
    row->fragment_offset = (uint16_t)(fragment & 0xFFF8);
    row->ip_id = (uint16_t)view_be32(header, 4);
    row->flags = (uint8_t)(row->flags | (fragment & 1));
    if (fragment & 0xFFF9) {
        return follow_fragment(f, view_u8(header, 0), PROTOCOL_IPV6_FRAGMENT);
    }
    return follow_ip_protocol(f, view_u8(header, 0), PROTOCOL_IPV6_FRAGMENT); /* atomic: RFC 6946 */
}

#endif
