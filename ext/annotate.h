/* The applications of a batch: what each frame has behind its last decoded header. */
#ifndef SPANLINE_ANNOTATE_H
#define SPANLINE_ANNOTATE_H

#include "messages.h"
#include "network.h"
#include "quoted_datagram.h"
#include "tcp.h"

/* Wireshark does not look at the payload of a segment that came again or late (tcp.no_subdissector_on_error). */
enum {
    ANALYSIS_NOT_READ = ANALYSIS_RETRANSMISSION | ANALYSIS_FAST_RETRANSMISSION | ANALYSIS_SPURIOUS_RETRANSMISSION |
                        ANALYSIS_OUT_OF_ORDER,
};

typedef struct {
    const bytes_view *buffers;
    uint32_t buffer_count;
    const uint8_t *last_protocols; /* by path: the last decoded protocol */
    uint32_t path_count;
} annotate_input;

static inline message payload_of(const packet_row *row, const annotate_input *in) {
    const bytes_view none = {NULL, 0};
    return payload_message(row, row->payload_buffer < in->buffer_count ? in->buffers[row->payload_buffer] : none);
}

/* A protocol right above IP or a link layer. */
static inline uint32_t by_network(const application_set *set, const packet_row *row, uint32_t last, const message *m) {
    if (row->ip_version) {
        return row->fragment_offset || (row->flags & PACKET_IS_FRAGMENT) ? (uint32_t)NAME_NONE
                                                                        : set->ip_protocols[row->ip_protocol];
    }
    if (last == PROTOCOL_LLC) {
        if (view_be16(m->bytes, 0) == 0xAAAA) { /* SNAP: an organisation and its number for the protocol */
            const uint32_t number = view_be16(m->bytes, 6);
            return view_be32(m->bytes, 2) & 0xFFFFFF ? set->snap_protocols[number] : set->ether_types[number];
        }
        return set->llc_services[view_u8(m->bytes, 0)];
    }
    return set->ether_types[row->ether_type];
}

ALWAYS_INLINE application_stream *stream_at(application_engine *e, const stream_row *stream) {
    if (stream->slot >= e->slots) {
        return NULL;
    }
    application_stream *s = &e->streams[stream->slot];
    if (stream->begins) {
        drop_message(&e->pool, &s->way[0]);
        drop_message(&e->pool, &s->way[1]);
        memset(s, 0, sizeof *s);
    }
    return s;
}

/* A protocol that was read goes on behind what was captured. */
ALWAYS_INLINE void found_cut(finding *f, const message *m) {
    if (UNLIKELY(m->bytes.length < m->wire) && f->stack && f->stacks->name[f->stack] != NAME_DATA) {
        found(f, NAME_SHORT, m);
    }
}

ALWAYS_INLINE void annotate_tcp(application_engine *e, finding *f, const packet_row *row, const stream_row *stream,
                                const annotate_input *in) {
    application_stream *s = stream_at(e, stream);
    if (UNLIKELY(s == NULL)) {
        return;
    }
    if (UNLIKELY(row->tcp_flags & TCP_SYN)) {
        s->server_port = row->tcp_flags & TCP_ACK ? row->source_port : row->destination_port;
    }
    if (row->payload_length == 0 && !(row->tcp_flags & TCP_FIN)) {
        return;
    }
    if (stream->analysis & ANALYSIS_NOT_READ) {
        return;
    }
    const message m = payload_of(row, in);
    if (UNLIKELY(m.wire && m.bytes.length == 0)) {
        return;
    }
    if (UNLIKELY(stream->analysis & ANALYSIS_KEEP_ALIVE) && m.wire == 1) { /* the byte says nothing */
        found(f, NAME_DATA, &m);
        return;
    }
    if (UNLIKELY(stream->analysis & ANALYSIS_LOST_SEGMENT)) {
        s->http_seen |= (uint8_t)(1U << (stream->direction & 1));
    }
    f->carried = &s->carried;
    expect(e, s, row, 0);
    find_in_segment(e, f, s, stream->direction & 1, m, row->tcp_seq + ((row->tcp_flags & TCP_SYN) != 0),
                    row->tcp_flags & TCP_FIN);
    found_cut(f, &m);
}

ALWAYS_INLINE void annotate_udp(application_engine *e, finding *f, const packet_row *row, const stream_row *stream,
                                const annotate_input *in) {
    application_stream nobody = {0}, *s = stream_at(e, stream);
    const message m = payload_of(row, in);
    if (m.wire == 0) {
        return;
    }
    s = s ? s : &nobody;
    f->carried = &s->carried;
    expect(e, s, row, 1);
    const uint32_t name = choose(e->set, 1, s, &m);
    if (m.bytes.length == 0) {
        found(f, NAME_SHORT, &m);
    } else if (name == NAME_NONE) {
        found(f, NAME_DATA, &m);
    } else {
        find_in_message(f, name, m);
        hear(e, f, name, m.bytes);
        found_cut(f, &m);
    }
}

/* The datagram that an ICMP error quotes. Its conversation is not asked: what is announced, ports and content decide. */
static inline void annotate_icmp(application_engine *e, finding *f, const packet_row *row, const annotate_input *in) {
    const uint32_t protocol = row->ip_protocol == IP_ICMP ? PROTOCOL_ICMP : PROTOCOL_ICMPV6;
    const message m = payload_of(row, in);
    application_stream stream = {0};
    quoted_datagram quoted;
    if (icmp_is_error(protocol, row->source_port) && quoted_udp(&m, row->ip_version, &quoted)) {
        packet_row about = *row;
        memcpy(about.source, quoted.source, 16);
        memcpy(about.destination, quoted.destination, 16);
        about.source_port = quoted.payload.source_port;
        about.destination_port = quoted.payload.destination_port;
        expect(e, &stream, &about, 1);
        const uint32_t name = choose(e->set, 1, &stream, &quoted.payload);
        find_in_message(f, name == NAME_NONE ? (uint32_t)NAME_DATA : name, quoted.payload);
    }
}

/* Whether a row of UDP speaks of a tunnel that ends in the midst of a header, or in ARP: nobody is asked about the rest. */
ALWAYS_INLINE int ends_in_tunnel(const packet_row *row, const annotate_input *in) {
    if (LIKELY(row->verdict == VERDICT_OK && !(row->flags & PACKET_IS_OUTER))) {
        return 0;
    }
    if (row->verdict == VERDICT_TRUNCATED || row->verdict == VERDICT_MALFORMED) {
        return row->verdict_layer != PROTOCOL_UDP;
    }
    return (row->flags & PACKET_IS_OUTER) && row->path < in->path_count && in->last_protocols[row->path] == PROTOCOL_ARP;
}

/* Asks for what a packet will need: its stream, and the beginning of its payload. */
ALWAYS_INLINE void annotate_hint(const application_engine *e, const packet_row *row, const stream_row *stream,
                                 const annotate_input *in) {
    if (stream->slot < e->slots) {
        PREFETCH(&e->streams[stream->slot]);
    }
    if (row->payload_buffer < in->buffer_count && row->payload_offset < in->buffers[row->payload_buffer].length) {
        PREFETCH(in->buffers[row->payload_buffer].data + row->payload_offset);
    }
}

/* Sets rows[from…count).application. Returns how far it came: less than `count` when there is no room left for what is
 * assembled or for messages, and is then called again with more. */
static inline uint32_t annotate_batch(application_engine *e, packet_row *rows, const stream_row *streams, uint32_t from,
                                      uint32_t count, const annotate_input *in) {
    enum { AHEAD = 8 };
    uint32_t n;
    for (n = from; n < count; n++) {
        packet_row *row = &rows[n];
        if (LIKELY(n + AHEAD < count)) {
            annotate_hint(e, &rows[n + AHEAD], &streams[n + AHEAD], in);
        }
        if (e->messages.rows == NULL) {
            e->assembled_size = 0; /* nobody refers to it */
        } else if (e->messages.capacity - e->messages.count < MOST_MESSAGES) {
            break;
        }
        if (e->assembled_capacity - e->assembled_size < MOST_ASSEMBLED) {
            break;
        }
        const bytes_view buffer =
            row->payload_buffer < in->buffer_count ? in->buffers[row->payload_buffer] : (bytes_view){NULL, 0};
        uint8_t carried = NAME_NONE;
        finding f = {e->set, e->stacks, &e->messages, 0, n, e->messages.count + MOST_MESSAGES, row->payload_buffer,
                     buffer.data, 0, &carried, row};
        if (LIKELY(row->flags & PACKET_HAS_TRANSPORT)) {
            if (row->ip_protocol == IP_TCP && row->transport_length >= 20) {
                annotate_tcp(e, &f, row, &streams[n], in);
            } else if (row->ip_protocol == IP_UDP && row->transport_length == 8 && !ends_in_tunnel(row, in)) {
                annotate_udp(e, &f, row, &streams[n], in);
            } else if (row->ip_protocol == IP_ICMP || row->ip_protocol == IP_ICMPV6) {
                annotate_icmp(e, &f, row, in);
            }
        } else if ((row->verdict == VERDICT_OK || row->verdict == VERDICT_UNSUPPORTED) && !(row->flags & PACKET_IS_OUTER)) {
            const uint32_t last = row->path < in->path_count ? in->last_protocols[row->path] : PROTOCOL_NONE;
            const message m = payload_of(row, in);
            if (last != PROTOCOL_ARP && m.bytes.length) {
                uint32_t name = by_network(e->set, row, last, &m);
                name = accepts(e->set, name, &m) ? name : (uint32_t)NAME_NONE;
                found(&f, name == NAME_NONE ? (uint32_t)NAME_DATA : name, &m);
            }
        }
        row->application = (uint16_t)f.stack;
    }
    return n;
}

#endif
