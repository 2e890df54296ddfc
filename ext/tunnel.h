/* Encapsulations: UDP, which may carry one, VXLAN and GRE. */
#ifndef SPANLINE_TUNNEL_H
#define SPANLINE_TUNNEL_H

#include "link.h"
#include "transport.h"

/* specification: RFC 7348 section 5
 *
 *  |flags 1, of which I = 0x08|reserved 3|VNI 3|reserved 1|an Ethernet frame
 *
 * By port alone DNS answers to an unlucky client would be tunnels: without the I flag it stays UDP.
 */
ALWAYS_INLINE int is_vxlan(const frame *f) {
    bytes_view header;
    return has_port(f->vxlan_ports, f->row->destination_port) && frame_wire_left(f) >= 8 && cursor_peek(&f->c, 1, &header) &&
           (view_u8(header, 0) & 0x08);
}

static inline int decode_vxlan(frame *f) {
    bytes_view header;
    frame_enter(f, PROTOCOL_VXLAN);
    if (!cursor_take(&f->c, 8, &header)) {
        return frame_short(f, PROTOCOL_VXLAN, 8);
    }
    frame_header_length(f, 8);
    if (!frame_enter_tunnel(f, TUNNEL_VXLAN, view_be32(header, 4) >> 8, 0, view_be16(header, 0))) {
        return frame_stop(f, VERDICT_UNSUPPORTED, PROTOCOL_VXLAN);
    }
    return PROTOCOL_ETHERNET;
}

/* specification: RFC 768
 *
 *  |source port 2|destination port 2|length 2|checksum 2|
 */
ALWAYS_INLINE int decode_udp(frame *f) {
    const uint32_t start = f->c.offset;
    bytes_view header;
    frame_enter(f, PROTOCOL_UDP);
    if (UNLIKELY(!read_ports(f) || !cursor_peek(&f->c, 8, &header))) {
        return frame_short(f, PROTOCOL_UDP, 8);
    }
    frame_header_length(f, 8);
    uint32_t length = view_be16(header, 4);
    uint32_t left = frame_wire_left(f);
    if (UNLIKELY(length != 0 && (length < 8 || length > left)) && (length < 8 || !frame_goes_on(f))) {
        return frame_stop(f, VERDICT_MALFORMED, PROTOCOL_UDP);
    }
    if (length != 0 && length <= left) { /* 0: a jumbogram, or segmentation offload */
        frame_limit(f, start, length);
        frame_layer_ends(f);
    }
    if (view_be16(header, 6) != 0) {
        check_checksum(f, PROTOCOL_UDP);
    }
    f->c.offset = start + 8;
    end_transport(f, 8);
    return is_vxlan(f) ? PROTOCOL_VXLAN : PROTOCOL_NONE;
}

/* specification: RFC 2784, RFC 2890 (key, sequence), RFC 1701 (routing), RFC 2637 (version 1, acknowledgment),
 * MikroTik's EoIP (version 1 with Ethernet frames)
 *
 *  |C R K S … version 3 bits|EtherType 2|checksum 2, offset 2|key 4|sequence 4|acknowledgment 4|routing|
 */
static inline int decode_gre(frame *f) {
    enum { HAS_CHECKSUM = 0x8000, HAS_ROUTING = 0x4000, HAS_KEY = 0x2000, HAS_SEQUENCE = 0x1000, HAS_ACK = 0x0080 };
    const uint32_t start = f->c.offset;
    bytes_view header, part;
    frame_enter(f, PROTOCOL_GRE);
    if (!cursor_take(&f->c, 4, &header)) {
        return frame_short(f, PROTOCOL_GRE, 4);
    }
    uint32_t flags = view_be16(header, 0), version = flags & 7, key = NO_TUNNEL_ID, sequence = 0;
    uint32_t key_at = 0, sequence_at = 0;
    if ((flags & (HAS_CHECKSUM | HAS_ROUTING)) && !cursor_take(&f->c, 4, &part)) {
        return frame_short(f, PROTOCOL_GRE, 4);
    }
    if (flags & HAS_KEY) {
        key_at = f->c.offset;
        if (!cursor_take(&f->c, 4, &part)) {
            return frame_short(f, PROTOCOL_GRE, 4);
        }
        key = view_be32(part, 0);
    }
    if (flags & HAS_SEQUENCE) {
        sequence_at = f->c.offset;
        if (!cursor_take(&f->c, 4, &part)) {
            return frame_short(f, PROTOCOL_GRE, 4);
        }
        sequence = view_be32(part, 0);
    }
    if (version == 1 && (flags & HAS_ACK) && !cursor_take(&f->c, 4, &part)) {
        return frame_short(f, PROTOCOL_GRE, 4);
    }
    if (flags & HAS_ROUTING) { /* |address family 2|offset 1|length 1|…|, ended by an empty one */
        uint32_t length;
        do {
            if (!cursor_take(&f->c, 4, &part)) {
                return frame_short(f, PROTOCOL_GRE, 4);
            }
            length = view_u8(part, 3);
            if (!cursor_take(&f->c, length, &part)) {
                return frame_short(f, PROTOCOL_GRE, length);
            }
        } while (length != 0);
    }
    uint32_t type = view_be16(header, 2);
    frame_header_length(f, f->c.offset - start);
    if (key_at && type != ETHER_TYPE_PPP) { /* PPTP keeps a length and a call number there */
        frame_part(f, PROTOCOL_GRE_KEY, key_at, 4);
    }
    if (sequence_at) {
        frame_part(f, PROTOCOL_GRE_SEQUENCE, sequence_at, 4);
    }
    frame_payload(f);
    int bridging = type == ETHER_TYPE_BRIDGING || (type == ETHER_TYPE_EOIP && version == 1);
    if (type != ETHER_TYPE_IPV4 && type != ETHER_TYPE_IPV6 && type != ETHER_TYPE_ARP && !bridging) {
        f->row->ether_type = (uint16_t)type;
        return frame_stop(f, VERDICT_UNSUPPORTED, PROTOCOL_GRE);
    }
    if (!frame_enter_tunnel(f, TUNNEL_GRE, key, sequence, flags)) {
        return frame_stop(f, VERDICT_UNSUPPORTED, PROTOCOL_GRE);
    }
    return bridging ? PROTOCOL_ETHERNET : follow_ether_type(f, type, PROTOCOL_GRE);
}

#endif
