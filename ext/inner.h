/* Where the innermost frame of each captured frame begins: what is inside its last tunnel. */
#ifndef SPANLINE_INNER_H
#define SPANLINE_INNER_H

#include "layers.h"

/* Fills inner[0…count) for rows that were decoded, and went on in `datagrams`, which are in `assembled`. A frame without
 * a tunnel, and one whose inner frame is not there again, is its own. */
static inline void find_inner(const decoder *d, const uint8_t *data, const frame_record *records, uint32_t count,
                              const packet_row *rows, const uint8_t *assembled, const datagram_row *datagrams,
                              uint32_t datagram_count, inner_row *inner) {
    layer_row headers[LAYERS_PER_FRAME];
    layer_output layers = {.rows = headers, .capacity = LAYERS_PER_FRAME, .wanted = UINT64_MAX};
    packet_row scratch;
    frame f;
    uint32_t next = 0;
    frame_prepare(&f, d, data);
    f.layers = &layers;
    f.row = &scratch;
    f.verify_checksums = 0;
    for (uint32_t n = 0; n < count; n++) {
        memset(&inner[n], 0, sizeof inner[n]);
        inner[n].offset = records[n].offset;
        inner[n].captured_length = records[n].captured_length;
        inner[n].wire_length = records[n].wire_length;
        if (LIKELY(!rows[n].tunnel_count)) {
            continue;
        }
        layers.count = 0;
        decode_frame(d, &f, &records[n], n);
        while (next < datagram_count && datagrams[next].packet < n) {
            next++;
        }
        for (; UNLIKELY(next < datagram_count && datagrams[next].packet == n); next++) {
            continue_frame(&f, assembled, &datagrams[next]);
        }
        layer_close(&layers);
        if (scratch.tunnel_count && f.frame_layer < layers.count) {
            inner[n].offset = f.frame_start;
            inner[n].captured_length = f.frame_end > f.frame_start ? f.frame_end - f.frame_start : 0;
            inner[n].wire_length = rows[n].inner_length;
            inner[n].protocol = headers[f.frame_layer].protocol;
            inner[n].buffer = f.frame_buffer;
        }
        f.c.data = data;
        f.buffer = f.assembled = 0;
    }
}

#endif
