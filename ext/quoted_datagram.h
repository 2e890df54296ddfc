/* The UDP datagram that an ICMP error is about, as far as it quotes it. specification: RFC 792, RFC 4443 section 3; how much
 * is quoted: RFC 1812 section 4.3.2.3. Behind a quoted TCP header nearly nobody quotes data, and Wireshark shows none of
 * it. */
#ifndef SPANLINE_QUOTED_DATAGRAM_H
#define SPANLINE_QUOTED_DATAGRAM_H

#include "program.h"
#include "transport.h"

typedef struct {
    uint8_t source[16];
    uint8_t destination[16];
    message payload;
} quoted_datagram;

/* `m`: what stands behind the eight bytes of the ICMP header. 0 when it quotes no UDP datagram with a payload. */
static inline int quoted_udp(const message *m, uint32_t ip_version, quoted_datagram *q) {
    uint32_t header = 40, protocol = view_u8(m->bytes, 6), offset = 0;
    memset(q, 0, sizeof *q);
    if (ip_version == 4) {
        header = (view_u8(m->bytes, 0) & 0xFU) * 4U;
        protocol = view_u8(m->bytes, 9);
        offset = view_be16(m->bytes, 6) & 0x1FFFU;
        memset(q->source + 10, 0xFF, 2);
        memset(q->destination + 10, 0xFF, 2);
        view_copy(m->bytes, 12, q->source + 12, 4);
        view_copy(m->bytes, 16, q->destination + 12, 4);
    } else {
        view_copy(m->bytes, 8, q->source, 16);
        view_copy(m->bytes, 24, q->destination, 16);
    }
    const message udp = message_from(m, header);
    const uint32_t length = view_be16(udp.bytes, 4);
    if (view_u8(m->bytes, 0) >> 4 != ip_version || header < 20 || protocol != IP_UDP || offset || length <= 8) {
        return 0;
    }
    q->payload = message_from(&udp, 8);
    q->payload.wire = q->payload.wire < length - 8 ? q->payload.wire : length - 8;
    q->payload.bytes.length = q->payload.bytes.length < q->payload.wire ? q->payload.bytes.length : q->payload.wire;
    q->payload.source_port = view_be16(udp.bytes, 0);
    q->payload.destination_port = view_be16(udp.bytes, 2);
    return q->payload.bytes.length != 0;
}

#endif
