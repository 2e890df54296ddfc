/* Encapsulations: UDP, which may carry one, VXLAN, GENEVE, GRE and ERSPAN. */
#ifndef SPANLINE_TUNNEL_H
#define SPANLINE_TUNNEL_H

#include "link.h"
#include "transport.h"

/* specification: RFC 7348 section 5
 *
 *  |flags 1, of which I = 0x08|reserved 3|VNI 3|reserved 1|an Ethernet frame
 *
 * Without the I flag it stays UDP.
 */
enum { VXLAN_I = 0x08 };

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

/* What GRE and GENEVE may name as their content, and is read there. */
ALWAYS_INLINE int is_carried(uint32_t ether_type) {
    return ether_type == ETHER_TYPE_BRIDGING || ether_type == ETHER_TYPE_IPV4 || ether_type == ETHER_TYPE_IPV6 ||
           ether_type == ETHER_TYPE_ARP;
}

/* Those between `start` and what is unread. */
static inline void list_geneve_options(frame *f, uint32_t start) {
    cursor c = {f->c.data, start, f->c.offset};
    bytes_view option;
    while (cursor_peek(&c, 4, &option)) {
        const uint32_t at = c.offset, size = 4 + (view_u8(option, 3) & 0x1F) * 4U;
        if (!cursor_take(&c, size, &option)) {
            return;
        }
        frame_part(f, PROTOCOL_GENEVE_OPTION, at, size);
    }
}

/* specification: RFC 8926 section 3.4, 3.5 (options)
 *
 *  |version 2 bits, length of options 6 bits, in 4 bytes|O, C, reserved 6 bits|EtherType 2|VNI 3|reserved 1|options|
 *  an option:  |class 2|type 1|reserved 3 bits, length 5 bits, in 4 bytes beyond the first 4|…|
 *
 * Who forwards frames has to know the version and the options that are critical. Who looks on need not: another version
 * is read like version 0, as tshark does.
 */
static inline int decode_geneve(frame *f) {
    const uint32_t start = f->c.offset;
    bytes_view header, options;
    frame_enter(f, PROTOCOL_GENEVE);
    if (!cursor_take(&f->c, 8, &header)) {
        return frame_short(f, PROTOCOL_GENEVE, 8);
    }
    const uint32_t length = (view_u8(header, 0) & 0x3F) * 4U, type = view_be16(header, 2);
    frame_header_length(f, 8 + length);
    if (!cursor_take(&f->c, length, &options)) {
        return frame_short(f, PROTOCOL_GENEVE, length);
    }
    if (f->layers) {
        list_geneve_options(f, start + 8);
    }
    if (!is_carried(type)) {
        f->row->ether_type = (uint16_t)type;
        return frame_stop(f, VERDICT_UNSUPPORTED, PROTOCOL_GENEVE);
    }
    if (!frame_enter_tunnel(f, TUNNEL_GENEVE, view_be32(header, 4) >> 8, 0, view_be16(header, 0))) {
        return frame_stop(f, VERDICT_UNSUPPORTED, PROTOCOL_GENEVE);
    }
    return type == ETHER_TYPE_BRIDGING ? PROTOCOL_ETHERNET : follow_ether_type(f, type, PROTOCOL_GENEVE);
}

/* What a datagram to a port of tunnels carries. By port alone DNS answers to an unlucky client would be VXLAN. */
static inline int follow_tunnel_port(const frame *f) {
    bytes_view header;
    if (frame_wire_left(f) < 8 || !cursor_peek(&f->c, 1, &header)) {
        return PROTOCOL_NONE;
    }
    if (has_port(f->ports->geneve, f->row->destination_port)) {
        return PROTOCOL_GENEVE;
    }
    return view_u8(header, 0) & VXLAN_I ? PROTOCOL_VXLAN : PROTOCOL_NONE;
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
    return UNLIKELY(has_port(f->ports->tunnel, f->row->destination_port)) ? follow_tunnel_port(f) : PROTOCOL_NONE;
}

enum { GRE_HAS_SEQUENCE = 0x1000 };

/* specification: draft-foschiano-erspan-03 section 4
 *
 *  type I    no header: GRE has no sequence number
 *  type II   |version 4 bits, VLAN 12 bits|class 3 bits, encapsulation 2, T 1, session 10|reserved 12 bits, index 20|
 *  type III  |version 4 bits, VLAN 12 bits|class 3 bits, integrity 2, T 1, session 10|timestamp 4|security group 2|
 *            |P 1 bit, frame type 5, hardware 6, direction 1, granularity 2, O 1|, with O 8 bytes of a platform's own
 *
 * The version is 1 in type II and 2 in type III. T says that the mirror cut the frame: what its headers speak of was
 * sent. GRE around it has no tunnel row of its own: a row is what one IP layer carries, and the mirror is one tunnel,
 * which its session tells from others.
 */
static inline int decode_erspan(frame *f) {
    enum { TYPE_II = 1, TYPE_III = 2, FRAME_ETHERNET = 0, FRAME_IP = 2, HAS_SUBHEADER = 1, IS_CUT = 0x0400 };
    packet_row *row = f->row;
    const uint32_t has_header = f->gre_type == ETHER_TYPE_ERSPAN_III || (f->gre_flags & GRE_HAS_SEQUENCE);
    const uint16_t outer_vlan = row->vlan;
    uint32_t id = f->gre_key, flags = 0, frame_type = FRAME_ETHERNET, vlan = outer_vlan;
    bytes_view header, rest;
    frame_enter(f, PROTOCOL_ERSPAN);
    if (has_header) {
        if (!cursor_peek(&f->c, 2, &header)) {
            return frame_short(f, PROTOCOL_ERSPAN, 8);
        }
        const uint32_t version = view_u8(header, 0) >> 4, length = version == TYPE_II ? 8 : 12;
        if (version != TYPE_II && version != TYPE_III) {
            frame_header_length(f, 2);
            row->ether_type = f->gre_type;
            return frame_stop(f, VERDICT_UNSUPPORTED, PROTOCOL_ERSPAN);
        }
        if (!cursor_take(&f->c, length, &header)) {
            return frame_short(f, PROTOCOL_ERSPAN, length);
        }
        vlan = view_be16(header, 0) & 0x0FFF;
        id = view_be16(header, 2) & 0x03FF;
        flags = view_be16(header, 2) & 0xFC00;
        f->cut |= (flags & IS_CUT) != 0;
        const uint32_t end = version == TYPE_III ? view_be16(header, 10) : 0, more = end & HAS_SUBHEADER ? 8 : 0;
        frame_header_length(f, length + more);
        if (!cursor_take(&f->c, more, &rest)) {
            return frame_short(f, PROTOCOL_ERSPAN, more);
        }
        flags |= end & 0x000F;
        frame_type = end >> 10 & 0x1F;
    } else {
        frame_header_length(f, 0);
    }
    frame_payload(f);
    if (frame_type != FRAME_ETHERNET && frame_type != FRAME_IP) {
        row->ether_type = f->gre_type;
        return frame_stop(f, VERDICT_UNSUPPORTED, PROTOCOL_ERSPAN);
    }
    row->vlan = (uint16_t)vlan;
    if (!frame_enter_tunnel(f, TUNNEL_ERSPAN, id, f->gre_sequence, flags)) {
        row->vlan = outer_vlan;
        return frame_stop(f, VERDICT_UNSUPPORTED, PROTOCOL_ERSPAN);
    }
    if (frame_type == FRAME_ETHERNET) {
        return PROTOCOL_ETHERNET;
    }
    const int is_ipv6 = cursor_peek(&f->c, 1, &header) && view_u8(header, 0) >> 4 == 6;
    return follow_ether_type(f, is_ipv6 ? ETHER_TYPE_IPV6 : ETHER_TYPE_IPV4, PROTOCOL_ERSPAN);
}

/* specification: RFC 2784, RFC 2890 (key, sequence), RFC 1701 (routing), RFC 2637 (version 1, acknowledgment),
 * MikroTik's EoIP (version 1 with Ethernet frames)
 *
 *  |C R K S … version 3 bits|EtherType 2|checksum 2, offset 2|key 4|sequence 4|acknowledgment 4|routing|
 */
static inline int decode_gre(frame *f) {
    enum { HAS_CHECKSUM = 0x8000, HAS_ROUTING = 0x4000, HAS_KEY = 0x2000, HAS_ACK = 0x0080 };
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
    if (flags & GRE_HAS_SEQUENCE) {
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
    if (type == ETHER_TYPE_ERSPAN || type == ETHER_TYPE_ERSPAN_III) {
        f->gre_key = key;
        f->gre_sequence = sequence;
        f->gre_type = (uint16_t)type;
        f->gre_flags = (uint16_t)flags;
        return PROTOCOL_ERSPAN;
    }
    if (type == ETHER_TYPE_EOIP && version == 1) {
        type = ETHER_TYPE_BRIDGING;
    }
    if (!is_carried(type)) {
        f->row->ether_type = (uint16_t)type;
        return frame_stop(f, VERDICT_UNSUPPORTED, PROTOCOL_GRE);
    }
    if (!frame_enter_tunnel(f, TUNNEL_GRE, key, sequence, flags)) {
        return frame_stop(f, VERDICT_UNSUPPORTED, PROTOCOL_GRE);
    }
    return type == ETHER_TYPE_BRIDGING ? PROTOCOL_ETHERNET : follow_ether_type(f, type, PROTOCOL_GRE);
}

#endif
