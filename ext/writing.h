/* Frames into capture files: records of pcap, enhanced packet blocks of pcapng, in the machine's byte order.
 *
 * specification: draft-ietf-opsawg-pcap, draft-ietf-opsawg-pcapng sections 3.5 and 4.3
 */
#ifndef SPANLINE_WRITING_H
#define SPANLINE_WRITING_H

#include "records.h"

/* How the frames of an interface are written, and what their options are copied from. */
typedef struct {
    int64_t offset_ns; /* taken from every time (if_tsoffset) */
    uint32_t tick_ns;
    uint32_t swapped; /* the options are not in the machine's byte order */
} written_interface;
STATIC_ASSERT(sizeof(written_interface) == 16, "written_interface");

enum written_format { WRITTEN_PCAP, WRITTEN_PCAPNG };

/* What a record may take beside its frame and options: a block's 32 bytes, padding, and the end of options. */
enum { WRITTEN_OVERHEAD = 32 + 3 + 4 };

/* Room is looked for before a frame is written. */
typedef struct {
    uint8_t *data;
    size_t size;
    size_t capacity;
} frame_sink;

ALWAYS_INLINE void sink_u32(frame_sink *out, uint32_t value) {
    memcpy(out->data + out->size, &value, 4);
    out->size += 4;
}

/* With zeros up to a multiple of 4 when `padded`. */
ALWAYS_INLINE void sink_bytes(frame_sink *out, bytes_view bytes, int padded) {
    view_copy(bytes, 0, out->data + out->size, bytes.length);
    out->size += bytes.length;
    const uint32_t padding = padded ? (0U - bytes.length) & 3U : 0;
    memset(out->data + out->size, 0, padding);
    out->size += padding;
}

/* The number in an option's value that has to change its byte order; its length, or 0. */
static inline uint32_t option_number_length(uint32_t code, uint32_t length) {
    switch (code) {
    case 2: /* epb_flags */
    case 6: /* epb_queue */
        return length == 4 ? 4 : 0;
    case 4: /* epb_dropcount */
    case 5: /* epb_packetid */
        return length == 8 ? 8 : 0;
    case 2988: /* custom options begin with the number of an enterprise */
    case 2989:
    case 19372:
    case 19373:
        return length >= 4 ? 4 : 0;
    default:
        return 0;
    }
}

/* |code 2|length 2|value padded to 4|…, each that is whole; then the end of options, if there was any. */
static inline void write_options(frame_sink *out, bytes_view options, int swapped) {
    cursor c = {options.data, 0, options.length};
    bytes_view head, value;
    const size_t begin = out->size;
    while (cursor_take(&c, 4, &head)) {
        uint32_t code = view_host16(head, 0), length = view_host16(head, 2);
        code = swapped ? swap16((uint16_t)code) : code;
        length = swapped ? swap16((uint16_t)length) : length;
        if (code == 0 || cursor_left(&c) < ((length + 3) & ~3U)) {
            break;
        }
        cursor_take(&c, length, &value);
        c.offset += (0U - length) & 3U;
        sink_u32(out, code | length << 16);
        uint8_t *written = out->data + out->size;
        sink_bytes(out, value, 1);
        const uint32_t number = swapped ? option_number_length(code, length) : 0;
        if (number == 4) {
            uint32_t turned = swap32(view_host32(value, 0));
            memcpy(written, &turned, 4);
        } else if (number == 8) {
            uint64_t turned = swap64(view_host64(value, 0));
            memcpy(written, &turned, 8);
        }
    }
    if (out->size != begin) {
        sink_u32(out, 0);
    }
}

ALWAYS_INLINE uint64_t written_ticks(const written_interface *i, int64_t timestamp) {
    /* Times that 64 bits of nanoseconds did not hold may lie before the offset. */
    return timestamp < i->offset_ns ? 0 : ((uint64_t)timestamp - (uint64_t)i->offset_ns) / i->tick_ns;
}

/* |seconds 4|µs or ns 4|captured length 4|wire length 4|frame| */
static inline void write_pcap_record(frame_sink *out, const written_interface *i, const frame_record *record,
                                     bytes_view frame) {
    const uint32_t second = 1000000000U / i->tick_ns;
    const uint64_t ticks = written_ticks(i, record->timestamp);
    sink_u32(out, (uint32_t)(ticks / second));
    sink_u32(out, (uint32_t)(ticks % second));
    sink_u32(out, frame.length);
    sink_u32(out, record->wire_length);
    sink_bytes(out, frame, 0);
}

/* |type 4|total 4|interface 4|ticks high 4, low 4|captured 4|wire 4|frame padded to 4|options|total 4| */
static inline void write_enhanced_packet(frame_sink *out, const written_interface *i, const frame_record *record,
                                         bytes_view frame, bytes_view options) {
    const size_t begin = out->size;
    const uint64_t ticks = written_ticks(i, record->timestamp);
    sink_u32(out, 6);
    sink_u32(out, 0);
    sink_u32(out, record->interface_id);
    sink_u32(out, (uint32_t)(ticks >> 32));
    sink_u32(out, (uint32_t)ticks);
    sink_u32(out, frame.length);
    sink_u32(out, record->wire_length);
    sink_bytes(out, frame, 1);
    write_options(out, options, (int)i->swapped);
    const uint32_t total = (uint32_t)(out->size - begin) + 4;
    sink_u32(out, total);
    memcpy(out->data + begin + 4, &total, 4);
}

/* Writes records[from…count), which lie in the `size` bytes at `data`, and returns how far it came: less than `count`
 * when there is no room. Frames of an interface that is not among `interfaces` are left out. */
static inline uint32_t write_frames(const uint8_t *data, uint32_t size, const frame_record *records, uint32_t from,
                                    uint32_t count, const written_interface *interfaces, uint32_t interface_count,
                                    int format, frame_sink *out) {
    uint32_t n;
    for (n = from; n < count; n++) {
        const frame_record *record = &records[n];
        cursor c = {data, record->offset, size};
        bytes_view frame, options = {data, 0};
        if (record->interface_id >= interface_count || !cursor_take(&c, record->captured_length, &frame)) {
            continue;
        }
        uint32_t padding = (0U - frame.length) & 3U;
        if (record->options && cursor_left(&c) >= padding) {
            c.offset += padding;
            uint32_t all = 4U * record->options;
            cursor_take(&c, cursor_left(&c) < all ? cursor_left(&c) : all, &options);
        }
        if (out->capacity - out->size < (size_t)frame.length + options.length + WRITTEN_OVERHEAD) {
            break;
        }
        const written_interface *i = &interfaces[record->interface_id];
        if (format == WRITTEN_PCAP) {
            write_pcap_record(out, i, record, frame);
        } else {
            write_enhanced_packet(out, i, record, frame, options);
        }
    }
    return n;
}

#endif
