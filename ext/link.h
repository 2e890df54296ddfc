/* Link layers: what a capture's link type or an inner frame starts with. */
#ifndef SPANLINE_LINK_H
#define SPANLINE_LINK_H

#include "frame.h"

/* specification: https://www.tcpdump.org/linktypes.html */
enum link_type {
    LINK_NULL = 0,
    LINK_ETHERNET = 1,
    LINK_TOKEN_RING = 6, /* LINKTYPE_IEEE802_5 */
    LINK_FDDI = 10,
    LINK_RAW_BSD = 12, /* DLT_RAW as some systems wrote it into files */
    LINK_RAW_OPENBSD = 14,
    LINK_RAW = 101,
    LINK_LOOP = 108,
    LINK_LINUX_SLL = 113,
    LINK_IPV4 = 228,
    LINK_IPV6 = 229,
    LINK_LINUX_SLL2 = 276,
};

/* specification: IEEE 802 numbers (IANA), EtherTypes */
enum ether_type {
    ETHER_TYPE_IPV4 = 0x0800,
    ETHER_TYPE_ARP = 0x0806,
    ETHER_TYPE_BRIDGING = 0x6558, /* a whole Ethernet frame, after GRE */
    ETHER_TYPE_EOIP = 0x6400,     /* the same, as MikroTik numbers it */
    ETHER_TYPE_ERSPAN = 0x88BE,   /* types I and II, after GRE */
    ETHER_TYPE_ERSPAN_III = 0x22EB,
    ETHER_TYPE_RARP = 0x8035,
    ETHER_TYPE_VLAN = 0x8100,
    ETHER_TYPE_IPV6 = 0x86DD,
    ETHER_TYPE_PPP = 0x880B,
    ETHER_TYPE_VLAN_AD = 0x88A8,
    ETHER_TYPE_VLAN_OLD = 0x9100, /* QinQ before 802.1ad */
    ETHER_TYPE_LEAST = 0x0600,    /* smaller values are an 802.3 length */
    SLL_802_2 = 0x0004,
};

static inline int follow_link_type(frame *f, int32_t link_type) {
    switch (link_type) {
    case LINK_ETHERNET:
        return PROTOCOL_ETHERNET;
    case LINK_RAW_BSD:
    case LINK_RAW_OPENBSD:
    case LINK_RAW:
        return PROTOCOL_RAW;
    case LINK_IPV4:
        return PROTOCOL_IPV4;
    case LINK_IPV6:
        return PROTOCOL_IPV6;
    case LINK_NULL:
    case LINK_LOOP:
        return PROTOCOL_NULL_LOOP;
    case LINK_LINUX_SLL:
        return PROTOCOL_SLL;
    case LINK_LINUX_SLL2:
        return PROTOCOL_SLL2;
    case LINK_TOKEN_RING:
        return PROTOCOL_TOKEN_RING;
    case LINK_FDDI:
        return PROTOCOL_FDDI;
    default:
        return frame_stop(f, VERDICT_UNSUPPORTED, PROTOCOL_FRAME);
    }
}

/* What follows is of a protocol that is not read here, and begins at `offset`. */
static inline int frame_stop_at(frame *f, uint32_t offset, uint32_t protocol) {
    if (f->row->ip_version == 0) {
        f->row->payload_offset = offset;
        f->row->payload_length = f->wire_end > offset ? (uint32_t)(f->wire_end - offset) : 0;
    }
    return frame_stop(f, VERDICT_UNSUPPORTED, protocol);
}

/* `protocol` is whose field said it. */
ALWAYS_INLINE int follow_ether_type(frame *f, uint32_t type, uint32_t protocol) {
    f->row->ether_type = (uint16_t)type;
    if (LIKELY(type == ETHER_TYPE_IPV4)) {
        return PROTOCOL_IPV4;
    }
    switch (type) {
    case ETHER_TYPE_IPV6:
        return PROTOCOL_IPV6;
    case ETHER_TYPE_VLAN:
    case ETHER_TYPE_VLAN_OLD:
        return PROTOCOL_VLAN;
    case ETHER_TYPE_VLAN_AD:
        return PROTOCOL_VLAN_AD;
    case ETHER_TYPE_ARP:
    case ETHER_TYPE_RARP:
        return PROTOCOL_ARP;
    default:
        return frame_stop_at(f, f->c.offset, protocol);
    }
}

/* An EtherType, or the length of an 802.3 frame, whose LLC header follows. */
ALWAYS_INLINE int follow_type_or_length(frame *f, uint32_t value, uint32_t protocol) {
    if (UNLIKELY(value < ETHER_TYPE_LEAST)) {
        if (value <= frame_wire_left(f)) { /* what is behind it is padding */
            frame_limit(f, f->c.offset, value);
        }
        return PROTOCOL_LLC;
    }
    return follow_ether_type(f, value, protocol);
}

/* specification: IEEE 802.3 clause 3
 *
 *  |destination 6|source 6|type or length 2|
 */
ALWAYS_INLINE int decode_ethernet(frame *f) {
    bytes_view header;
    frame_enter(f, PROTOCOL_ETHERNET);
    if (UNLIKELY(!cursor_take(&f->c, 14, &header))) {
        frame_header_length(f, 0);
        return frame_short(f, PROTOCOL_ETHERNET, 14);
    }
    frame_header_length(f, 14);
    view_copy(header, 0, f->row->eth_destination, 6);
    view_copy(header, 6, f->row->eth_source, 6);
    return follow_type_or_length(f, view_be16(header, 12), PROTOCOL_ETHERNET);
}

/* specification: IEEE 802.1Q clause 9.6
 *
 *  |priority 3 bits, DEI 1 bit, VLAN 12 bits|type or length 2|
 */
static inline int decode_vlan(frame *f, uint32_t protocol) {
    bytes_view header;
    frame_enter(f, protocol);
    if (!cursor_take(&f->c, 4, &header)) {
        return frame_short(f, protocol, 4);
    }
    frame_header_length(f, 4);
    f->row->vlan = view_be16(header, 0) & 0x0FFF;
    return follow_type_or_length(f, view_be16(header, 2), protocol);
}

/* specification: IEEE 802.2, RFC 1042 (SNAP)
 *
 *  |DSAP 1|SSAP 1|control 1|    and for DSAP 0xAA    |OUI 3|protocol 2|
 */
static inline int decode_llc(frame *f) {
    const uint32_t start = f->c.offset;
    bytes_view header;
    frame_enter(f, PROTOCOL_LLC);
    if (!cursor_take(&f->c, 3, &header)) {
        return frame_short(f, PROTOCOL_LLC, 3);
    }
    uint32_t service = view_be16(header, 0);
    if (service == 0x0606 && view_u8(header, 2) == 0x03) {
        frame_header_length(f, 3);
        return PROTOCOL_IPV4;
    }
    if (service != 0xAAAA || view_u8(header, 2) != 0x03) {
        return frame_stop_at(f, start, PROTOCOL_LLC);
    }
    if (!cursor_take(&f->c, 5, &header)) {
        return frame_short(f, PROTOCOL_LLC, 5);
    }
    frame_header_length(f, 8);
    uint32_t organisation = view_be32(header, 0) >> 8;
    if (organisation != 0 && organisation != 0x0000F8) { /* encapsulated Ethernet, and Cisco's name for the same */
        return frame_stop_at(f, start, PROTOCOL_LLC);
    }
    const int next = follow_ether_type(f, view_be16(header, 3), PROTOCOL_LLC);
    return next == PROTOCOL_NONE ? frame_stop_at(f, start, PROTOCOL_LLC) : next;
}

/* specification: https://www.tcpdump.org/linktypes/LINKTYPE_LINUX_SLL.html
 *
 *  |packet type 2|ARPHRD 2|address length 2|address 8|protocol 2|
 *
 * https://www.tcpdump.org/linktypes/LINKTYPE_LINUX_SLL2.html
 *
 *  |protocol 2|reserved 2|interface 4|ARPHRD 2|packet type 1|address length 1|address 8|
 */
static inline int decode_sll(frame *f, uint32_t protocol) {
    const uint32_t length = protocol == PROTOCOL_SLL ? 16 : 20;
    bytes_view header;
    frame_enter(f, protocol);
    if (!cursor_take(&f->c, length, &header)) {
        return frame_short(f, protocol, length);
    }
    frame_header_length(f, length);
    uint32_t type, hardware, address_length;
    if (protocol == PROTOCOL_SLL) {
        type = view_be16(header, 14);
        hardware = view_be16(header, 2);
        address_length = view_be16(header, 4);
        view_copy(header, 6, f->row->eth_source, 6);
    } else {
        type = view_be16(header, 0);
        hardware = view_be16(header, 8);
        address_length = view_u8(header, 11);
        view_copy(header, 12, f->row->eth_source, 6);
    }
    if (address_length != 6) {
        memset(f->row->eth_source, 0, 6);
    }
    if (hardware == 824) { /* ARPHRD_NETLINK: `protocol` is a netlink family */
        return frame_stop(f, VERDICT_UNSUPPORTED, protocol);
    }
    if (type == SLL_802_2) {
        return PROTOCOL_LLC;
    }
    return follow_ether_type(f, type, protocol);
}

/* specification: IEEE 802.5 section 3.2 and annex C (source routing)
 *
 *  |access control 1|frame control 1|destination 6|source 6|routing, where the source's first bit is set|
 *
 * routing: |broadcast 3 bits, length in bytes 5 bits|control 1|ring and bridge 2|…
 */
static inline int decode_token_ring(frame *f) {
    enum { FRAME_TYPE = 0xC0, LLC_FRAME = 0x40, IS_ROUTED = 0x80, ROUTING_LENGTH = 0x1F };
    bytes_view header, routing;
    frame_enter(f, PROTOCOL_TOKEN_RING);
    if (!cursor_take(&f->c, 14, &header)) {
        return frame_short(f, PROTOCOL_TOKEN_RING, 14);
    }
    uint32_t length = 0;
    if (view_u8(header, 8) & IS_ROUTED) {
        if (!cursor_peek(&f->c, 2, &routing)) {
            return frame_short(f, PROTOCOL_TOKEN_RING, 2);
        }
        length = view_u8(routing, 0) & ROUTING_LENGTH;
        if (!cursor_take(&f->c, length, &routing)) {
            return frame_short(f, PROTOCOL_TOKEN_RING, length);
        }
    }
    frame_header_length(f, 14 + length);
    view_copy(header, 2, f->row->eth_destination, 6);
    view_copy(header, 8, f->row->eth_source, 6);
    f->row->eth_source[0] &= (uint8_t)~IS_ROUTED;
    if ((view_u8(header, 1) & FRAME_TYPE) != LLC_FRAME) {
        return frame_stop_at(f, f->c.offset, PROTOCOL_TOKEN_RING);
    }
    return PROTOCOL_LLC;
}

static inline void reverse_bits(uint8_t *bytes, uint32_t count) {
    for (uint32_t n = 0; n < count; n++) {
        uint32_t reversed = 0;
        for (uint32_t bit = 0; bit < 8; bit++) {
            reversed |= ((uint32_t)bytes[n] >> bit & 1U) << (7 - bit);
        }
        bytes[n] = (uint8_t)reversed;
    }
}

/* specification: ISO 9314-2 section 7.3
 *
 *  |frame control 1|destination 6|source 6|
 *
 * The ring sends the highest bit of a byte first and Ethernet the lowest, so that addresses come with their bits reversed.
 */
static inline int decode_fddi(frame *f) {
    enum { CLASS_AND_FORMAT = 0xF0, ASYNCHRONOUS_LLC = 0x50 };
    bytes_view header;
    frame_enter(f, PROTOCOL_FDDI);
    if (!cursor_take(&f->c, 13, &header)) {
        return frame_short(f, PROTOCOL_FDDI, 13);
    }
    frame_header_length(f, 13);
    view_copy(header, 1, f->row->eth_destination, 6);
    view_copy(header, 7, f->row->eth_source, 6);
    reverse_bits(f->row->eth_destination, 6);
    reverse_bits(f->row->eth_source, 6);
    if ((view_u8(header, 0) & CLASS_AND_FORMAT) != ASYNCHRONOUS_LLC) {
        return frame_stop_at(f, f->c.offset, PROTOCOL_FDDI);
    }
    return PROTOCOL_LLC;
}

/* specification: https://www.tcpdump.org/linktypes.html, LINKTYPE_NULL and LINKTYPE_LOOP
 *
 *  |address family 4|, in the byte order of the machine that captured (NULL) or of the network (LOOP)
 */
static inline int decode_null(frame *f) {
    bytes_view header;
    frame_enter(f, PROTOCOL_NULL_LOOP);
    if (!cursor_take(&f->c, 4, &header)) {
        return frame_short(f, PROTOCOL_NULL_LOOP, 4);
    }
    frame_header_length(f, 4);
    uint32_t family = view_host32(header, 0);
    if (family > 0xFFFF) {
        family = swap32(family);
    }
    switch (family) {
    case 2:
        return PROTOCOL_IPV4;
    case 10: /* AF_INET6 on Linux, Windows, NetBSD and OpenBSD, FreeBSD, Darwin */
    case 23:
    case 24:
    case 28:
    case 30:
        return PROTOCOL_IPV6;
    default:
        return frame_stop(f, VERDICT_UNSUPPORTED, PROTOCOL_NULL_LOOP);
    }
}

/* An IP packet with nothing before it: its version tells which. */
static inline int decode_raw(frame *f) {
    bytes_view header;
    frame_enter(f, PROTOCOL_RAW);
    frame_header_length(f, 0);
    if (!cursor_peek(&f->c, 1, &header)) {
        return frame_short(f, PROTOCOL_RAW, 1);
    }
    switch (view_u8(header, 0) >> 4) {
    case 4:
        return PROTOCOL_IPV4;
    case 6:
        return PROTOCOL_IPV6;
    default:
        return frame_stop(f, VERDICT_UNSUPPORTED, PROTOCOL_RAW);
    }
}

/* specification: RFC 826, RFC 903 (RARP)
 *
 *  |hardware 2|protocol 2|lengths 1, 1|operation 2|sender hardware, protocol|target hardware, protocol|
 */
static inline int decode_arp(frame *f) {
    bytes_view header;
    frame_enter(f, PROTOCOL_ARP);
    if (!cursor_peek(&f->c, 8, &header)) {
        return frame_short(f, PROTOCOL_ARP, 8);
    }
    uint32_t length = 8 + 2U * view_u8(header, 4) + 2U * view_u8(header, 5);
    if (!cursor_take(&f->c, length, &header)) {
        return frame_short(f, PROTOCOL_ARP, length);
    }
    frame_header_length(f, length);
    return PROTOCOL_NONE;
}

#endif
