/* The headers of frames that were decoded, listed for whoever wants to read their fields. */
#ifndef SPANLINE_LAYERS_H
#define SPANLINE_LAYERS_H

#include "decode.h"

/* Room that list_layers() wants before it starts a frame: twenty TCP options are the most, and nothing follows TCP; of
 * GENEVE, with 63 options at most, there is one header more than tunnels that are followed. */
enum { LAYERS_PER_FRAME = MAX_LAYERS * 11 };

/* Frames whose headers are listed. */
typedef struct {
    const uint8_t *data;
    const frame_record *records;
    const packet_row *packets; /* the rows that they became, or null */
    const uint8_t *rows;       /* null: all frames; else those where it is not 0 */
    uint32_t count;
    const uint8_t *assembled; /* buffers[1] */
    const datagram_row *datagrams;
    uint32_t datagram_count;
    plain_paths plain; /* of `packets` */
} layer_request;

/* The layers of a plain frame (plain.h) follow from its row. 0 when it is not one, or what was captured ends early. */
ALWAYS_INLINE int list_plain(frame *f, const plain_paths *plain, const packet_row *row) {
    const int is_ipv6 = row->ip_version == 6;
    const uint32_t path = plain->path[is_ipv6][row->ip_protocol == IP_UDP];
    const uint32_t network = row->frame_offset + 14, transport = row->payload_offset - row->transport_length;
    const uint32_t captured = row->frame_offset + row->captured_length, end = row->payload_offset + row->payload_length;
    /* A stack that found no room among the paths is told by its first layers only. */
    if (UNLIKELY(path == 0 || row->path != path || row->tunnel_count != 0 || row->verdict != VERDICT_OK ||
                 row->payload_buffer != 0 || row->payload_offset > captured || transport < network + 20)) {
        return 0;
    }
    cursor ip = {f->c.data, network, captured};
    bytes_view header;
    uint32_t ip_end = end;
    if (row->ip_protocol == IP_UDP && cursor_peek(&ip, 20, &header)) { /* which may end before IP does */
        const uint32_t length = is_ipv6 ? 40U + view_be16(header, 4) : view_be16(header, 2);
        ip_end = length > (is_ipv6 ? 40U : 0U) ? network + length : captured;
    }
    f->buffer = 0;
    layer_open(f, PROTOCOL_ETHERNET, row->frame_offset, row->captured_length);
    frame_header_length(f, 14);
    layer_open(f, is_ipv6 ? PROTOCOL_IPV6 : PROTOCOL_IPV4, network, (ip_end < captured ? ip_end : captured) - network);
    frame_header_length(f, transport - network);
    f->c.end = end < captured ? end : captured;
    layer_open(f, row->ip_protocol == IP_UDP ? PROTOCOL_UDP : PROTOCOL_TCP, transport, f->c.end - transport);
    frame_header_length(f, row->transport_length);
    if (row->ip_protocol == IP_TCP && row->transport_length > 20) {
        list_tcp_options(f, transport + 20, row->payload_offset);
    }
    return 1;
}

/* Lists the headers that `layers` wants of the frames from number `from` on, also of those in their datagrams. Returns
 * how far it came: less than all when the layer rows are full. */
static inline uint32_t list_layers(const decoder *d, const layer_request *request, uint32_t from,
                                   layer_output *layers) {
    const datagram_row *datagrams = request->datagrams;
    packet_row scratch;
    frame f;
    uint32_t n, next = 0;
    frame_prepare(&f, d, request->data);
    f.layers = layers;
    f.row = &scratch;
    f.verify_checksums = 0;
    layers->open = 0;
    while (next < request->datagram_count && datagrams[next].packet < from) {
        next++;
    }
    for (n = from; n < request->count; n++) {
        if (layers->capacity - layers->count < LAYERS_PER_FRAME) {
            break;
        }
        if (request->rows && !request->rows[n]) {
            continue;
        }
        memset(layers->met, 0, sizeof layers->met);
        f.packet = n;
        if (!request->packets || !list_plain(&f, &request->plain, &request->packets[n])) {
            decode_frame(d, &f, &request->records[n], n);
            while (next < request->datagram_count && datagrams[next].packet < n) {
                next++;
            }
            for (; UNLIKELY(next < request->datagram_count && datagrams[next].packet == n); next++) {
                continue_frame(&f, request->assembled, &datagrams[next]);
            }
            f.c.data = request->data;
            f.buffer = f.assembled = 0;
        }
        layer_close(layers);
    }
    return n;
}

#endif
