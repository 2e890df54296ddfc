/* Record framing: where each captured frame lies in a block of file bytes, and when it was captured.
 *
 * One scanner reads pcap and pcapng and keeps its place between calls, so a file may come in pieces of any size. It
 * never copies and never allocates: the caller gives arrays and calls again when one is full. It stops at the first
 * byte that cannot be framed and says where that is; everything before stands.
 *
 * specification: draft-ietf-opsawg-pcap, draft-ietf-opsawg-pcapng
 */
#ifndef SPANLINE_FRAMING_H
#define SPANLINE_FRAMING_H

#include "bytes.h"
#include "records.h"

enum {
    /* A longer record is damage, not a frame: the same limit as tshark and libpcap (MAXIMUM_SNAPLEN). */
    MAX_FRAME = 262144,
    /* A longer block that has to be read, rather than skipped, is damage (tshark and libpcap: 16 MiB). */
    MAX_BLOCK = 16 * 1024 * 1024,
    MAX_INTERFACES = 65535,
    LINK_TYPE_UNDECLARED = -1,
};

enum framing_format { FORMAT_UNKNOWN, FORMAT_PCAP, FORMAT_PCAPNG };

enum framing_status {
    FRAMING_MORE,    /* all whole records of the buffer were taken */
    FRAMING_FULL,    /* an array is full: call again with the rest */
    FRAMING_DAMAGED, /* `fault` says what cannot be read; nothing further can */
};

enum framing_fault {
    FAULT_NONE,
    FAULT_NOT_A_CAPTURE,
    FAULT_FRAME_LENGTH,
    FAULT_BLOCK_LENGTH,
    FAULT_BLOCK_LENGTHS_DIFFER,
    FAULT_BLOCK_TOO_SHORT,
    FAULT_BYTE_ORDER,
    FAULT_VERSION,
    FAULT_TOO_MANY_INTERFACES,
};

enum pcapng_block {
    BLOCK_SECTION = 0x0A0D0D0A,
    BLOCK_INTERFACE = 1,
    BLOCK_PACKET = 2,
    BLOCK_SIMPLE_PACKET = 3,
    BLOCK_STATISTICS = 5,
    BLOCK_ENHANCED_PACKET = 6,
};

typedef struct {
    int64_t offset_ns;   /* added to every timestamp (if_tsoffset) */
    uint64_t multiplier; /* ns = ticks × multiplier ÷ divisor, or ticks × 10^9 >> shift */
    uint64_t divisor;
    uint32_t shift;
    int32_t link_type;
    uint32_t snaplen;
    uint32_t resolution; /* if_tsresol as it stands in the file: 6 is µs, 9 is ns, 0x80 | n is 2^-n */
} framing_interface;

/* A block with something for people in it (section, interface, statistics), for Python to read. */
typedef struct {
    uint32_t offset; /* of the block's body, in the buffer */
    uint32_t length;
    uint32_t type;
    uint32_t interface_id;
    uint32_t swapped;
} block_mark;

typedef struct {
    framing_interface *interfaces; /* the caller's, with room for interface_capacity */
    uint32_t interface_capacity;
    uint32_t interface_count;
    uint32_t section_base; /* the first interface of the current section */
    uint32_t format;
    uint32_t swapped; /* the file's byte order is not the machine's */
    uint32_t fault;
    uint64_t fault_value;
    uint64_t position; /* of the buffer's first byte, in the file */
    uint64_t skip;     /* bytes of an uninteresting block that are still to come */
    uint64_t skip_from; /* where in the file that block begins */
    uint64_t frames;
    int64_t last_timestamp;
    int64_t newest_timestamp;
    /* What is odd, but not wrong enough to stop. `first` is a frame number from 1. */
    uint64_t backwards_count, backwards_first;
    int64_t backwards_worst; /* ns behind the newest timestamp before it */
    uint64_t longer_count, longer_first;         /* captured length > wire length */
    uint64_t undeclared_count, undeclared_first; /* interface that was never declared */
    uint64_t options_count, options_first;       /* interface blocks whose options do not end; a place in the file */
} framing;

typedef struct {
    frame_record *records;
    block_mark *marks;
    uint32_t record_capacity;
    uint32_t mark_capacity;
    uint32_t record_count;
    uint32_t mark_count;
} framing_output;

ALWAYS_INLINE uint32_t framing_u32(const framing *f, bytes_view view, uint32_t at) {
    uint32_t value = view_host32(view, at);
    return f->swapped ? swap32(value) : value;
}

ALWAYS_INLINE uint16_t framing_u16(const framing *f, bytes_view view, uint32_t at) {
    uint16_t value = view_host16(view, at);
    return f->swapped ? swap16(value) : value;
}

/* a + b, kept within what a time may be: INT64_MIN stands for "not known". */
ALWAYS_INLINE int64_t saturating_add(int64_t a, int64_t b) {
    if (b > 0 && a > INT64_MAX - b) {
        return INT64_MAX;
    }
    if (b < 0 && a < -INT64_MAX - b) {
        return -INT64_MAX;
    }
    return a + b;
}

/* value × multiplier, and INT64_MAX where that does not fit: a timestamp past the year 2262. */
ALWAYS_INLINE int64_t saturating_multiply(uint64_t value, uint64_t multiplier) {
    return value > (uint64_t)INT64_MAX / multiplier ? INT64_MAX : (int64_t)(value * multiplier);
}

/* ticks × 10^9 >> shift, for clocks that count in powers of two: the product has up to 94 bits. */
static inline int64_t binary_ticks_to_ns(uint64_t ticks, uint32_t shift) {
    uint64_t seconds = shift < 64 ? ticks >> shift : 0;
    uint64_t fraction = shift < 64 ? ticks & ((1ULL << shift) - 1) : ticks;
    uint64_t low = (fraction & 0xFFFFFFFFU) * 1000000000U;
    uint64_t high = (fraction >> 32) * 1000000000U + (low >> 32);
    uint64_t ns = 0;
    if (shift < 32) {
        ns = (high << (32 - shift)) | ((low & 0xFFFFFFFFU) >> shift);
    } else if (shift < 96) {
        ns = high >> (shift - 32);
    }
    return saturating_add(saturating_multiply(seconds, 1000000000U), (int64_t)ns);
}

ALWAYS_INLINE int64_t framing_time(const framing_interface *i, uint64_t ticks) {
    int64_t ns = 0;
    if (LIKELY(i->multiplier != 0)) {
        ns = saturating_multiply(ticks, i->multiplier);
    } else if (i->divisor != 0) {
        ns = (int64_t)(ticks / i->divisor);
    } else {
        ns = binary_ticks_to_ns(ticks, i->shift);
    }
    return saturating_add(ns, i->offset_ns);
}

static inline void framing_set_resolution(framing_interface *i, uint32_t resolution) {
    uint32_t exponent = resolution & 0x7F;
    uint64_t power = 1;
    i->resolution = resolution;
    i->multiplier = i->divisor = 0;
    i->shift = exponent;
    if (resolution & 0x80) {
        return;
    }
    if (exponent > 28) { /* 2^64 such ticks are less than a nanosecond */
        i->shift = 96;
        return;
    }
    for (uint32_t n = exponent < 9 ? exponent : 9; n < (exponent < 9 ? 9 : exponent); n++) {
        power *= 10;
    }
    if (exponent <= 9) {
        i->multiplier = power;
    } else {
        i->divisor = power;
    }
}

static inline int framing_damaged(framing *f, uint32_t fault, uint64_t value) {
    f->fault = fault;
    f->fault_value = value;
    return FRAMING_DAMAGED;
}

ALWAYS_INLINE void framing_emit(framing *f, framing_output *out, int64_t timestamp, uint32_t offset, uint32_t captured,
                                uint32_t wire, uint32_t interface_id) {
    frame_record *record = &out->records[out->record_count++];
    record->timestamp = timestamp;
    record->offset = offset;
    record->captured_length = captured;
    record->wire_length = wire;
    record->interface_id = (uint16_t)interface_id;
    record->reserved = 0;
    f->frames++;
    if (UNLIKELY(captured > wire) && f->longer_count++ == 0) {
        f->longer_first = f->frames;
    }
    f->last_timestamp = timestamp;
    if (LIKELY(timestamp >= f->newest_timestamp)) {
        f->newest_timestamp = timestamp;
    } else if (f->frames > 1) {
        int64_t step = saturating_add(f->newest_timestamp, timestamp == INT64_MIN ? INT64_MAX : -timestamp);
        if (step > f->backwards_worst) {
            f->backwards_worst = step;
        }
        if (f->backwards_count++ == 0) {
            f->backwards_first = f->frames;
        }
    }
}

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

/* Recognises the format; FRAMING_MORE with f->format still FORMAT_UNKNOWN when there are too few bytes to tell. */
static inline int framing_start(framing *f, cursor *c) {
    static const struct {
        uint32_t magic;
        uint32_t resolution;
    } known[] = {{0xA1B2C3D4U, 6}, {0xA1B23C4DU, 9}};
    bytes_view header;
    f->newest_timestamp = INT64_MIN;
    if (!cursor_peek(c, 4, &header)) {
        return FRAMING_MORE;
    }
    uint32_t magic = view_host32(header, 0);
    if (magic == BLOCK_SECTION) {
        f->format = FORMAT_PCAPNG;
        return FRAMING_MORE;
    }
    for (size_t n = 0; n < sizeof known / sizeof known[0]; n++) {
        if (magic == known[n].magic || magic == swap32(known[n].magic)) {
            if (cursor_take(c, 24, &header)) {
                f->swapped = magic != known[n].magic;
                framing_start_pcap(f, header, known[n].resolution);
            }
            return FRAMING_MORE;
        }
    }
    return framing_damaged(f, FAULT_NOT_A_CAPTURE, magic);
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
        framing_emit(f, out, framing_time(i, ticks), c->offset + 16, captured, framing_u32(f, header, 12), 0);
        c->offset += 16 + captured;
    }
    return FRAMING_MORE;
}

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
    framing_emit(f, out, timestamp, at + head, captured, wire, interface_id);
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

/* Takes the whole records of `length` bytes at `data`, which continue where the last call stopped consuming. */
static inline int framing_scan(framing *f, const uint8_t *data, uint32_t length, framing_output *out,
                               uint32_t *consumed) {
    cursor c = {data, 0, length};
    int status = FRAMING_MORE;
    out->record_count = out->mark_count = 0;
    if (f->skip) {
        uint32_t here = f->skip < length ? (uint32_t)f->skip : length;
        c.offset = here;
        f->skip -= here;
    }
    if (f->format == FORMAT_UNKNOWN) {
        status = framing_start(f, &c);
    }
    if (status == FRAMING_MORE && f->format == FORMAT_PCAP) {
        status = framing_scan_pcap(f, &c, out);
    } else if (status == FRAMING_MORE && f->format == FORMAT_PCAPNG) {
        status = framing_scan_pcapng(f, &c, out);
    }
    f->position += c.offset;
    *consumed = c.offset;
    return status;
}

#endif
