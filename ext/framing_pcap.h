/* Records of a pcap file.
 *
 * specification: draft-ietf-opsawg-pcap
 */
#ifndef SPANLINE_FRAMING_PCAP_H
#define SPANLINE_FRAMING_PCAP_H

#include "framing_state.h"

/* The pcap file header, after its magic has been recognised.
 *
 *  |magic 4|major 2|minor 2|reserved 8|snaplen 4|FCS and link type 4|
 */
static inline void framing_start_pcap(framing *f, bytes_view header, uint32_t resolution) {
    framing_interface *i = &f->interfaces[0];
    f->format = FORMAT_PCAP;
    f->interface_count = 1;
    memset(i, 0, sizeof *i);
    i->snaplen = framing_u32(f, header, 16);
    i->link_type = (int32_t)(framing_u32(f, header, 20) & 0x03FFFFFF);
    framing_set_resolution(i, resolution);
}

/* |seconds 4|µs or ns 4|captured length 4|wire length 4|frame| */
static inline int framing_scan_pcap(framing *f, cursor *c, framing_output *out) {
    const framing_interface *i = &f->interfaces[0];
    const uint64_t second = i->resolution == 9 ? 1000000000U : 1000000U;
    bytes_view header;
    while (cursor_peek(c, 16, &header)) {
        uint32_t captured = framing_u32(f, header, 8);
        if (UNLIKELY(captured > MAX_FRAME)) {
            return framing_damaged(f, FAULT_FRAME_LENGTH, captured);
        }
        if (cursor_left(c) - 16 < captured) {
            break;
        }
        if (out->record_count == out->record_capacity) {
            return FRAMING_FULL;
        }
        uint64_t ticks = framing_u32(f, header, 0) * second + framing_u32(f, header, 4);
        framing_emit(f, out, framing_time(i, ticks), c->offset + 16, captured, framing_u32(f, header, 12), 0, 0);
        c->offset += 16 + captured;
    }
    return FRAMING_MORE;
}

#endif
