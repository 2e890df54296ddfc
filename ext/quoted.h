/* The transport headers of the packet that an ICMP error is about, of which it quotes the beginning. */
#ifndef SPANLINE_QUOTED_H
#define SPANLINE_QUOTED_H

#include "decode.h"

enum {
    MAX_QUOTED = 8, /* an error that quotes an error, and so on: more are not looked at */
    MAX_QUOTED_LAYERS = 64,
};

/* What tunnels inside quoted packets are told by. */
static const tunnel_ports quoted_ports = {.tunnel = {[4789 / 8] = 1 << 4789 % 8, [6081 / 8] = 1 << 6081 % 8},
                                          .geneve = {[6081 / 8] = 1 << 6081 % 8}};

typedef struct {
    uint8_t source[16];
    uint8_t destination[16];
    uint32_t tcp_seq;
    uint16_t source_port;
    uint16_t destination_port;
    uint16_t tcp_flags;
    uint8_t protocol; /* by IP's number: TCP or UDP */
} quoted_header;

/* The addresses of an IP layer. */
static inline void read_quoted_ends(quoted_header *quoted, const layer_row *layer, cursor c) {
    bytes_view header;
    const uint32_t is_version4 = layer->protocol == PROTOCOL_IPV4;
    c.offset = layer->offset;
    memset(quoted, 0, sizeof *quoted);
    if (!cursor_take(&c, is_version4 ? 20 : 40, &header)) {
        return;
    }
    if (is_version4) {
        memset(quoted->source + 10, 0xFF, 2);
        memset(quoted->destination + 10, 0xFF, 2);
        view_copy(header, 12, quoted->source + 12, 4);
        view_copy(header, 16, quoted->destination + 12, 4);
    } else {
        view_copy(header, 8, quoted->source, 16);
        view_copy(header, 24, quoted->destination, 16);
    }
}

/* The quoted TCP and UDP headers in the message of `row`, from the outside in. Of TCP 16 bytes must be there, as
 * Wireshark reads them before it looks for the stream. Returns how many. */
static inline uint32_t read_quoted(const packet_row *row, bytes_view buffer, quoted_header quoted[MAX_QUOTED]) {
    layer_row layers[MAX_QUOTED_LAYERS];
    layer_output listed = {.rows = layers, .capacity = MAX_QUOTED_LAYERS, .wanted = UINT64_MAX};
    const uint64_t captured_end = row->payload_buffer ? buffer.length : (uint64_t)row->frame_offset + row->captured_length;
    packet_row scratch;
    frame f;
    memset(&scratch, 0, sizeof scratch);
    memset(&f, 0, sizeof f);
    f.c.data = buffer.data;
    f.c.offset = f.frame_start = row->payload_offset;
    f.wire_end = f.outer_end = (uint64_t)row->payload_offset + row->payload_length;
    f.c.end = (uint32_t)(f.wire_end < captured_end ? f.wire_end : captured_end);
    f.c.end = f.c.end < buffer.length ? f.c.end : buffer.length;
    f.row = &scratch;
    f.layers = &listed;
    f.ports = &quoted_ports;
    const cursor whole = f.c;
    decode_rest(&f, row->ip_protocol == IP_ICMP ? PROTOCOL_IPV4 : PROTOCOL_IPV6);
    layer_close(&listed);
    uint32_t count = 0;
    quoted_header ends;
    memset(&ends, 0, sizeof ends);
    for (uint32_t n = 0; n < listed.count && count < MAX_QUOTED; n++) {
        const uint32_t protocol = layers[n].protocol;
        cursor c = whole;
        bytes_view header;
        c.offset = layers[n].offset;
        if (protocol == PROTOCOL_IPV4 || protocol == PROTOCOL_IPV6) {
            read_quoted_ends(&ends, &layers[n], whole);
        } else if ((protocol == PROTOCOL_TCP && layers[n].length >= 16 && cursor_take(&c, 16, &header)) ||
                   (protocol == PROTOCOL_UDP && layers[n].length >= 8 && cursor_take(&c, 8, &header))) {
            quoted_header *one = &quoted[count++];
            *one = ends;
            one->source_port = view_be16(header, 0);
            one->destination_port = view_be16(header, 2);
            one->protocol = protocol == PROTOCOL_TCP ? IP_TCP : IP_UDP;
            if (protocol == PROTOCOL_TCP) {
                one->tcp_seq = view_be32(header, 4);
                one->tcp_flags = view_be16(header, 12) & 0x0FFF;
            }
        }
    }
    return count;
}

/* Whether the row's message quotes a packet. */
ALWAYS_INLINE int row_quotes(const packet_row *row) {
    const int is_icmp = row->ip_protocol == IP_ICMP || row->ip_protocol == IP_ICMPV6;
    return UNLIKELY(is_icmp) && (row->flags & PACKET_HAS_TRANSPORT) && row->payload_length > 0 &&
           icmp_is_error(row->ip_protocol == IP_ICMP ? PROTOCOL_ICMP : PROTOCOL_ICMPV6, row->source_port);
}

#endif
