/* The transport layer: TCP, UDP, SCTP, ICMP, ICMPv6. */
#ifndef SPANLINE_TRANSPORT_H
#define SPANLINE_TRANSPORT_H

#include "checksum.h"
#include "network.h"

/* What is behind a transport header belongs to the flow: how long that header was, and where the payload is. */
ALWAYS_INLINE void end_transport(frame *f, uint32_t length) {
    f->row->transport_length = (uint8_t)length;
    frame_payload(f);
}

/* Ports stand first in TCP, UDP and SCTP, and four captured bytes are enough to know the flow. */
ALWAYS_INLINE int read_ports(frame *f) {
    bytes_view ports;
    if (UNLIKELY(!cursor_peek(&f->c, 4, &ports))) {
        return 0;
    }
    f->row->source_port = view_be16(ports, 0);
    f->row->destination_port = view_be16(ports, 2);
    f->row->flags |= PACKET_HAS_TRANSPORT;
    return 1;
}

/* Whether the transport checksum of a whole, unfragmented datagram is wrong. A checksum that was never computed because
 * the sender's hardware would have (offload) is wrong too: only the user knows whether to ask. */
static inline int checksum_is_wrong(const frame *f, uint32_t protocol) {
    const packet_row *row = f->row;
    uint32_t length = frame_wire_left(f);
    bytes_view whole;
    int is_part = (row->fragment_offset || (row->flags & PACKET_MORE_FRAGMENTS)) && !f->assembled;
    if (f->routed || is_part || !cursor_peek(&f->c, length, &whole)) {
        return 0;
    }
    uint64_t sum = checksum_add(0, whole.data, whole.length);
    if (protocol != PROTOCOL_ICMP) { /* the pseudo-header */
        uint32_t from = row->ip_version == 4 ? 12 : 0;
        sum = checksum_add(sum, row->source + from, 16 - from);
        sum = checksum_add(sum, row->destination + from, 16 - from);
        sum += (uint64_t)row->ip_protocol + length;
    }
    return checksum_fold(sum) != 0xFFFF;
}

ALWAYS_INLINE void check_checksum(frame *f, uint32_t protocol) {
    if (UNLIKELY(f->verify_checksums) && checksum_is_wrong(f, protocol)) {
        f->row->flags |= PACKET_BAD_CHECKSUM;
    }
}

/* specification: RFC 9293 section 3.2, RFC 7323 (window scale, timestamps), RFC 2018 (SACK)
 *
 *  |kind 1|length 1|value|, except kinds 0 (end) and 1 (nothing), which are one byte
 */
static inline void list_tcp_options(frame *f, uint32_t start, uint32_t end) {
    cursor c = {f->c.data, start, end};
    bytes_view option;
    while (cursor_peek(&c, 1, &option) && view_u8(option, 0) != 0) {
        uint32_t kind = view_u8(option, 0), length = 1, protocol = PROTOCOL_NONE;
        if (kind != 1) {
            if (!cursor_peek(&c, 2, &option) || view_u8(option, 1) < 2) {
                return;
            }
            length = view_u8(option, 1);
        }
        uint32_t at = c.offset;
        if (!cursor_take(&c, length, &option)) {
            return;
        }
        switch (kind << 8 | length) {
        case 2 << 8 | 4:
            protocol = PROTOCOL_TCP_MSS;
            break;
        case 3 << 8 | 3:
            protocol = PROTOCOL_TCP_WINDOW_SCALE;
            break;
        case 4 << 8 | 2:
            protocol = PROTOCOL_TCP_SACK_PERMITTED;
            break;
        case 8 << 8 | 10:
            protocol = PROTOCOL_TCP_TIMESTAMPS;
            break;
        default: /* SACK's length goes by the number of its blocks */
            if (kind != 5) {
                continue;
            }
            protocol = PROTOCOL_TCP_SACK;
        }
        frame_part(f, protocol, at, length);
    }
}

/* Part of a TCP header: what was captured of it counts. What was not is no payload. */
static inline int cut_tcp(frame *f) {
    const uint32_t start = f->c.offset;
    uint32_t length = 20;
    bytes_view part;
    if (cursor_peek(&f->c, 8, &part)) {
        f->row->tcp_seq = view_be32(part, 4);
    }
    if (cursor_peek(&f->c, 12, &part)) {
        f->row->tcp_ack = view_be32(part, 8);
    }
    if (cursor_peek(&f->c, 14, &part)) {
        f->row->tcp_flags = view_be16(part, 12) & 0x0FFF;
    }
    if (cursor_peek(&f->c, 16, &part)) {
        f->row->tcp_window = view_be16(part, 14);
    }
    if (cursor_peek(&f->c, 13, &part) && view_u8(part, 12) >> 4 > 5) {
        length = (view_u8(part, 12) >> 4) * 4U;
    }
    frame_short(f, PROTOCOL_TCP, 20);
    f->c.offset = start + length;
    frame_payload(f);
    return PROTOCOL_NONE;
}

/* specification: RFC 9293 section 3.1
 *
 *  |source port 2|destination port 2|sequence 4|acknowledgment 4|
 *  |data offset 4 bits, reserved 4 bits, flags 8 bits|window 2|checksum 2|urgent 2|options|
 */
ALWAYS_INLINE int decode_tcp(frame *f) {
    packet_row *row = f->row;
    const uint32_t start = f->c.offset;
    bytes_view header, whole;
    frame_enter(f, PROTOCOL_TCP);
    if (UNLIKELY(!read_ports(f) || !cursor_peek(&f->c, 20, &header))) {
        return cut_tcp(f);
    }
    row->tcp_seq = view_be32(header, 4);
    row->tcp_ack = view_be32(header, 8);
    uint32_t bits = view_be16(header, 12);
    row->tcp_flags = bits & 0x0FFF;
    row->tcp_window = view_be16(header, 14);
    uint32_t length = (bits >> 12) * 4;
    if (UNLIKELY(length < 20)) {
        frame_header_length(f, 8);
        return frame_stop(f, VERDICT_MALFORMED, PROTOCOL_TCP);
    }
    check_checksum(f, PROTOCOL_TCP);
    int cut = !cursor_peek(&f->c, length, &whole);
    frame_header_length(f, length);
    if (UNLIKELY(cut)) { /* inside the options: all that matters is there */
        frame_short(f, PROTOCOL_TCP, length);
    }
    f->c.offset = start + length;
    end_transport(f, length);
    if (UNLIKELY(f->layers != NULL)) {
        list_tcp_options(f, start + 20, cut ? f->c.end : start + length);
    }
    return PROTOCOL_NONE;
}

/* specification: RFC 9260 section 3
 *
 *  |source port 2|destination port 2|verification tag 4|checksum 4|chunks|
 */
static inline int decode_sctp(frame *f) {
    bytes_view header;
    frame_enter(f, PROTOCOL_SCTP);
    if (!read_ports(f) || !cursor_take(&f->c, 12, &header)) {
        return frame_short(f, PROTOCOL_SCTP, 12);
    }
    frame_header_length(f, 12);
    end_transport(f, 12);
    return PROTOCOL_NONE;
}

/* The type of the answer to an ICMP message, or -1 where there is none. A conversation's two directions carry types that
 * belong together; in Zeek and Community ID these stand where ports would. */
static inline int icmp_counterpart(uint32_t ip_protocol, uint32_t type) {
    static const uint8_t pairs[][3] = {
        {IP_ICMP, 8, 0},        {IP_ICMP, 9, 10},       {IP_ICMP, 13, 14},      {IP_ICMP, 15, 16},
        {IP_ICMP, 17, 18},      {IP_ICMPV6, 128, 129},  {IP_ICMPV6, 130, 131},  {IP_ICMPV6, 133, 134},
        {IP_ICMPV6, 135, 136},  {IP_ICMPV6, 139, 140},  {IP_ICMPV6, 144, 145},
    };
    for (size_t n = 0; n < sizeof pairs / sizeof pairs[0]; n++) {
        if (pairs[n][0] == ip_protocol && pairs[n][1] == type) {
            return pairs[n][2];
        }
        if (pairs[n][0] == ip_protocol && pairs[n][2] == type) {
            return pairs[n][1];
        }
    }
    return -1;
}

ALWAYS_INLINE int icmp_is_error(uint32_t protocol, uint32_t type) {
    if (protocol == PROTOCOL_ICMPV6) {
        return type >= 1 && type <= 4;
    }
    return type == 3 || type == 4 || type == 5 || type == 11 || type == 12;
}

/* specification: RFC 792, RFC 4443 section 2.1
 *
 *  |type 1|code 1|checksum 2|by type 4|, then for an error the packet that it is about
 *
 * Headers quoted inside an error are layers, never the innermost: the row speaks of the ICMP message.
 */
static inline int decode_icmp(frame *f, uint32_t protocol) {
    packet_row *row = f->row;
    bytes_view header;
    frame_enter(f, protocol);
    if (!cursor_peek(&f->c, 2, &header)) {
        return frame_short(f, protocol, 8);
    }
    row->source_port = view_u8(header, 0);
    row->destination_port = view_u8(header, 1);
    row->flags |= PACKET_HAS_TRANSPORT;
    check_checksum(f, protocol);
    if (!cursor_take(&f->c, 8, &header)) {
        return frame_short(f, protocol, 8);
    }
    frame_header_length(f, 8);
    end_transport(f, 8);
    if (f->layers && icmp_is_error(protocol, view_u8(header, 0))) {
        return protocol == PROTOCOL_ICMP ? PROTOCOL_IPV4 : PROTOCOL_IPV6;
    }
    return PROTOCOL_NONE;
}

#endif
