/* Blocks of a pcapng file.
 *
 * specification: draft-ietf-opsawg-pcapng
 */
#ifndef SPANLINE_FRAMING_PCAPNG_H
#define SPANLINE_FRAMING_PCAPNG_H

#include "framing_state.h"

/* |link type 2|reserved 2|snaplen 4|options: code 2, length 2, value padded to 4| */
static inline int framing_interface_block(framing *f, bytes_view body, uint64_t position) {
    framing_interface *i = &f->interfaces[f->interface_count];
    memset(i, 0, sizeof *i);
    framing_set_resolution(i, 6);
    i->link_type = framing_u16(f, body, 0);
    i->snaplen = framing_u32(f, body, 4);
    cursor options = {body.data, 8, body.length};
    bytes_view head, value;
    while (cursor_take(&options, 4, &head)) {
        uint32_t code = framing_u16(f, head, 0), length = framing_u16(f, head, 2);
        if (code == 0) {
            break;
        }
        if (!cursor_take(&options, length, &value)) {
            if (f->options_count++ == 0) {
                f->options_first = position;
            }
            break;
        }
        if (code == 9 && length == 1) {
            framing_set_resolution(i, view_u8(value, 0));
        } else if (code == 14 && length == 8) {
            uint64_t raw = view_host64(value, 0);
            int64_t seconds = (int64_t)(f->swapped ? swap64(raw) : raw);
            int64_t ns = saturating_multiply((uint64_t)(seconds < 0 ? -(seconds + 1) : seconds), 1000000000U);
            i->offset_ns = seconds < 0 ? saturating_add(-ns, ns == INT64_MAX ? 0 : -1000000000) : ns;
        }
        uint32_t padding = (0U - length) & 3U;
        options.offset += padding < cursor_left(&options) ? padding : cursor_left(&options);
    }
    f->interface_count++;
    return FRAMING_MORE;
}

/* A block with a frame in it. `at` is where the block's body stands in the buffer. */
ALWAYS_INLINE int framing_packet_block(framing *f, framing_output *out, uint32_t type, bytes_view body, uint32_t at) {
    uint32_t head = type == BLOCK_SIMPLE_PACKET ? 4 : 20;
    uint32_t captured, wire, interface_id = 0;
    uint64_t ticks = 0;
    if (UNLIKELY(body.length < head)) {
        return framing_damaged(f, FAULT_BLOCK_TOO_SHORT, type);
    }
    if (LIKELY(type == BLOCK_ENHANCED_PACKET)) { /* |interface 4|ticks high 4, low 4|captured 4|wire 4| */
        interface_id = framing_u32(f, body, 0);
    } else if (type == BLOCK_PACKET) { /* |interface 2|drops 2|the rest alike| */
        interface_id = framing_u16(f, body, 0);
    }
    int declared = interface_id < f->interface_count - f->section_base;
    if (type == BLOCK_SIMPLE_PACKET) { /* |wire 4|: no time, and the snaplen tells what was captured */
        wire = captured = framing_u32(f, body, 0);
        uint32_t snaplen = declared ? f->interfaces[f->section_base].snaplen : 0;
        if (snaplen && captured > snaplen) {
            captured = snaplen;
        }
    } else {
        ticks = ((uint64_t)framing_u32(f, body, 4) << 32) | framing_u32(f, body, 8);
        captured = framing_u32(f, body, 12);
        wire = framing_u32(f, body, 16);
    }
    if (UNLIKELY(captured > MAX_FRAME || captured > body.length - head)) {
        return framing_damaged(f, FAULT_FRAME_LENGTH, captured);
    }
    int64_t timestamp;
    if (UNLIKELY(!declared)) {
        /* The frame is whole, but its link type and clock are unknown: a row that says so. */
        timestamp = f->last_timestamp;
        interface_id = MAX_INTERFACES;
        if (f->undeclared_count++ == 0) {
            f->undeclared_first = f->frames + 1;
        }
    } else {
        interface_id += f->section_base;
        /* A simple packet has no time: it was seen after the one before it. */
        timestamp = type == BLOCK_SIMPLE_PACKET ? f->last_timestamp : framing_time(&f->interfaces[interface_id], ticks);
    }
    /* What is behind the frame, whose padding is less than 4 bytes. Beyond 256 KiB of options the rest is left. */
    uint32_t options = (body.length - head - captured) >> 2;
    options = UNLIKELY(options > 0xFFFF) ? 0xFFFF : options;
    framing_emit(f, out, timestamp, at + head, captured, wire, interface_id, options);
    return FRAMING_MORE;
}

/* |byte-order magic 4|major 2|minor 2|section length 8|options| */
static inline int framing_section_block(framing *f, bytes_view body) {
    f->section_base = f->interface_count;
    uint32_t major = framing_u16(f, body, 4);
    return major == 1 ? FRAMING_MORE : framing_damaged(f, FAULT_VERSION, major);
}

static inline int framing_mark(framing *f, framing_output *out, uint32_t type, bytes_view body, uint32_t at) {
    uint32_t interface_id = f->interface_count;
    if (type == BLOCK_STATISTICS) {
        interface_id = framing_u32(f, body, 0);
        if (interface_id >= f->interface_count - f->section_base) {
            return FRAMING_MORE;
        }
        interface_id += f->section_base;
    }
    block_mark *mark = &out->marks[out->mark_count++];
    mark->offset = at;
    mark->length = body.length;
    mark->type = type;
    mark->interface_id = interface_id;
    mark->swapped = f->swapped;
    return FRAMING_MORE;
}

/* |type 4|total length 4|body|total length 4|, the byte order given by the section's header block */
static inline int framing_scan_pcapng(framing *f, cursor *c, framing_output *out) {
    bytes_view header, body, tail;
    while (cursor_peek(c, 8, &header)) {
        uint32_t type = framing_u32(f, header, 0);
        int wanted = 1, is_packet = 0;
        if (UNLIKELY(type == BLOCK_SECTION)) {
            if (!cursor_peek(c, 12, &header)) {
                break;
            }
            uint32_t order = view_host32(header, 8);
            if (order != 0x1A2B3C4DU && order != 0x4D3C2B1AU) {
                return framing_damaged(f, FAULT_BYTE_ORDER, order);
            }
            f->swapped = order != 0x1A2B3C4DU;
        } else if (LIKELY(type == BLOCK_ENHANCED_PACKET || type == BLOCK_SIMPLE_PACKET || type == BLOCK_PACKET)) {
            is_packet = 1;
        } else if (type == BLOCK_INTERFACE) {
            if (f->interface_count == MAX_INTERFACES) {
                return framing_damaged(f, FAULT_TOO_MANY_INTERFACES, MAX_INTERFACES);
            }
            if (f->interface_count == f->interface_capacity) {
                return FRAMING_FULL;
            }
        } else {
            wanted = type == BLOCK_STATISTICS;
        }
        uint32_t total = framing_u32(f, header, 4);
        uint32_t least = type == BLOCK_SECTION ? 28 : type == BLOCK_INTERFACE ? 20 : 12;
        if (UNLIKELY(total < least || total % 4 != 0 || (wanted && total > MAX_BLOCK))) {
            return framing_damaged(f, FAULT_BLOCK_LENGTH, total);
        }
        if (!wanted) { /* name resolution, decryption secrets, custom and unknown blocks: skipped by their length */
            uint32_t here = cursor_left(c) < total ? cursor_left(c) : total;
            f->skip_from = f->position + c->offset;
            c->offset += here;
            f->skip = total - here;
            continue;
        }
        if (cursor_left(c) < total) {
            break;
        }
        if (is_packet ? out->record_count == out->record_capacity : out->mark_count == out->mark_capacity) {
            return FRAMING_FULL;
        }
        uint32_t at = c->offset + 8;
        cursor inside = {c->data, at, c->offset + total};
        cursor_take(&inside, total - 12, &body);
        cursor_take(&inside, 4, &tail);
        if (UNLIKELY(framing_u32(f, tail, 0) != total)) {
            return framing_damaged(f, FAULT_BLOCK_LENGTHS_DIFFER, framing_u32(f, tail, 0));
        }
        int status = FRAMING_MORE;
        if (LIKELY(is_packet)) {
            status = framing_packet_block(f, out, type, body, at);
        } else {
            framing_mark(f, out, type, body, at);
            if (type == BLOCK_SECTION) {
                status = framing_section_block(f, body);
            } else if (type == BLOCK_INTERFACE) {
                status = framing_interface_block(f, body, f->position + c->offset);
            }
        }
        if (UNLIKELY(status != FRAMING_MORE)) {
            return status;
        }
        c->offset += total;
    }
    return FRAMING_MORE;
}

#endif
