/* What a packet's row says of its transport header and payload. */
#ifndef SPANLINE_ROW_TRANSPORT_H
#define SPANLINE_ROW_TRANSPORT_H

#include "transport.h"

enum transport_part {
    TRANSPORT_NONE,
    TRANSPORT_ENDS,   /* the ends are known, and TCP's flags */
    TRANSPORT_SEGMENT /* and how long the TCP segment is */
};

/* What there is of the row's transport header. One that lies about its length is of a stream, one that was cut off is not. */
ALWAYS_INLINE int row_transport(const packet_row *row) {
    const int is_tcp = row->ip_protocol == IP_TCP;
    if (UNLIKELY(!(row->flags & PACKET_HAS_TRANSPORT) || (!is_tcp && row->ip_protocol != IP_UDP))) {
        return TRANSPORT_NONE;
    }
    const int layer = is_tcp ? PROTOCOL_TCP : PROTOCOL_UDP;
    const int is_malformed = UNLIKELY(row->verdict == VERDICT_MALFORMED) && row->verdict_layer == layer;
    if (UNLIKELY(row->transport_length == 0)) { /* where it lies, the payload is taken to start where the header does */
        return is_malformed && row->payload_length >= (is_tcp ? 20U : 8U) ? TRANSPORT_ENDS : TRANSPORT_NONE;
    }
    const int is_first_fragment = (row->flags & PACKET_MORE_FRAGMENTS) && row->payload_buffer == 0;
    return UNLIKELY(is_malformed || is_first_fragment) ? TRANSPORT_ENDS : TRANSPORT_SEGMENT;
}

/* How long the payload is. Where IP says more than the frame had, the frame is right. */
ALWAYS_INLINE uint32_t row_payload_length(const packet_row *row) {
    const uint32_t longest = row->wire_length > row->captured_length ? row->wire_length : row->captured_length;
    const uint64_t end = (uint64_t)row->frame_offset + longest;
    if (UNLIKELY(row->payload_buffer == 0 && (uint64_t)row->payload_offset + row->payload_length > end)) {
        return end > row->payload_offset ? (uint32_t)(end - row->payload_offset) : 0;
    }
    return row->payload_length;
}

/* What was captured of a payload of `length` bytes; `buffer` is the row's. */
ALWAYS_INLINE bytes_view row_payload_bytes(const packet_row *row, bytes_view buffer, uint32_t length) {
    bytes_view bytes = {NULL, 0};
    if (UNLIKELY(buffer.data == NULL)) {
        return bytes;
    }
    uint64_t end = row->payload_buffer ? buffer.length : (uint64_t)row->frame_offset + row->captured_length;
    end = end < buffer.length ? end : buffer.length;
    bytes.data = buffer.data + (row->payload_offset < buffer.length ? row->payload_offset : buffer.length);
    const uint64_t there = row->payload_offset < end ? end - row->payload_offset : 0;
    bytes.length = there < length ? (uint32_t)there : length;
    return bytes;
}

#endif
