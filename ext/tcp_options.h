/* The options of a row's TCP header. */
#ifndef SPANLINE_TCP_OPTIONS_H
#define SPANLINE_TCP_OPTIONS_H

#include "records.h"

/* A view of the first option with this kind and length, in the buffer of the row's payload; 0 when there is none.
 * specification: RFC 9293 section 3.2 */
static inline int tcp_option(const packet_row *row, bytes_view buffer, uint32_t kind, uint32_t length, bytes_view *option) {
    if (row->transport_length < 20 || row->transport_length > row->payload_offset) {
        return 0;
    }
    uint64_t frame_end = (uint64_t)row->frame_offset + row->captured_length; /* maybe before the end of the header */
    cursor c = {buffer.data, row->payload_offset - row->transport_length + 20, row->payload_offset};
    if (row->payload_buffer == 0 && c.end > frame_end) {
        c.end = (uint32_t)frame_end;
    }
    if (c.end > buffer.length) { /* a row that no decoder made */
        c.end = buffer.length;
    }
    while (cursor_peek(&c, 1, option) && view_u8(*option, 0) != 0) {
        uint32_t this_kind = view_u8(*option, 0), this_length = 1;
        if (this_kind != 1) {
            if (!cursor_peek(&c, 2, option) || view_u8(*option, 1) < 2) {
                return 0;
            }
            this_length = view_u8(*option, 1);
        }
        if (!cursor_take(&c, this_length, option)) {
            return 0;
        }
        if (this_kind == kind && this_length == length) {
            return 1;
        }
    }
    return 0;
}

#endif
