/* What record framing keeps between pieces of a file, and what its formats share: clocks, and giving out a record. */
#ifndef SPANLINE_FRAMING_STATE_H
#define SPANLINE_FRAMING_STATE_H

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
    uint64_t far_count, far_first;               /* times that 64 bits of ns do not hold */
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
                                uint32_t wire, uint32_t interface_id, uint32_t options) {
    frame_record *record = &out->records[out->record_count++];
    record->timestamp = timestamp;
    record->offset = offset;
    record->captured_length = captured;
    record->wire_length = wire;
    record->interface_id = (uint16_t)interface_id;
    record->options = (uint16_t)options;
    f->frames++;
    if (UNLIKELY(captured > wire) && f->longer_count++ == 0) {
        f->longer_first = f->frames;
    }
    if (UNLIKELY(timestamp == INT64_MAX || timestamp <= -INT64_MAX) && f->far_count++ == 0) {
        f->far_first = f->frames;
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

#endif
