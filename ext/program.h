/* What distinguishes an application protocol, as a program over the first bytes of a message: src/spanline/protocols/
 * says it in Python, protocols/compiling.py makes the instructions, and this runs them. A stack machine without loops:
 * jumps go forward, so a program ends after at most as many steps as it has instructions. */
#ifndef SPANLINE_PROGRAM_H
#define SPANLINE_PROGRAM_H

#include "bytes.h"

enum { PROGRAM_STACK = 16, NO_PROGRAM = 0xFFFFFFFF };

enum instruction_code {
    CODE_END,
    CODE_CONSTANT,     /* push `value` */
    CODE_CAPTURED,     /* push how many bytes of the message are there */
    CODE_WIRE,         /* push how many bytes there were on the wire */
    CODE_SOURCE_PORT,
    CODE_DESTINATION_PORT,
    CODE_READ,         /* pop an offset, add `value`, push `width` bytes from there in network order */
    CODE_READ_LITTLE,  /* the same, little-endian */
    CODE_TEXT,         /* pop an offset, push whether literal `value` stands there */
    CODE_TEXT_ANY_CASE,
    CODE_FIND,         /* pop an offset, push where literal `value` first stands from there on, -1 for nowhere */
    CODE_HEADER,       /* pop an offset, push where the value of header `value` of the lines from there on is, -1 for nowhere */
    CODE_BER,          /* pop an offset, push where the BER element there ends */
    CODE_VARINT,       /* pop an offset, push the number of 7 bits a byte there, least significant first (MQTT) */
    CODE_VARINT_END,   /* pop an offset, push where that number ends */
    CODE_QUIC,         /* the same two for the numbers of RFC 9000 section 16 */
    CODE_QUIC_END,
    CODE_ADD,
    CODE_SUBTRACT,
    CODE_MULTIPLY,
    CODE_BIT_AND,
    CODE_SHIFT_RIGHT,
    CODE_EQUAL,
    CODE_UNEQUAL,
    CODE_LESS,
    CODE_LESS_EQUAL,
    CODE_IN,           /* pop a number, push whether bit set `value` has it */
    CODE_NOT,
    CODE_AND_JUMP,     /* jump to `value` when the top is 0, else pop */
    CODE_OR_JUMP,      /* jump to `value` when the top is not 0, else pop */
};

typedef struct {
    uint16_t code;
    uint16_t width;
    uint32_t value;
} instruction;
STATIC_ASSERT(sizeof(instruction) == 8, "instruction");

typedef struct {
    const instruction *code;
    uint32_t count;
    const uint8_t *texts;       /* literals, one after another */
    const uint32_t *text_ends;  /* of each */
    uint32_t text_count;
    const uint64_t *sets;       /* four words each: the numbers below 256 */
    uint32_t set_count;
} program;

/* A message, or the beginning of one. */
typedef struct {
    bytes_view bytes;
    uint32_t wire; /* its length on the wire, as far as it came */
    uint16_t source_port;
    uint16_t destination_port;
} message;

enum outcome { OUTCOME_SHORT, OUTCOME_VALUE };

ALWAYS_INLINE message message_from(const message *m, uint32_t at) {
    message rest = *m;
    const uint32_t there = at < rest.bytes.length ? at : rest.bytes.length;
    rest.bytes.data += there;
    rest.bytes.length -= there;
    rest.wire = rest.wire > at ? rest.wire - at : 0;
    return rest;
}

static inline bytes_view program_text(const program *p, uint32_t number) {
    const uint32_t start = number && number < p->text_count ? p->text_ends[number - 1] : 0;
    const bytes_view text = {p->texts + start, number < p->text_count ? p->text_ends[number] - start : 0};
    return text;
}

/* 1 and 0 are known as soon as the bytes that are there decide. */
static inline enum outcome text_stands(bytes_view bytes, int64_t at, bytes_view text, int any_case, int64_t *result) {
    *result = 0;
    for (uint32_t n = 0; n < text.length; n++) {
        if (at < 0 || at + n >= bytes.length) {
            return OUTCOME_SHORT;
        }
        uint32_t octet = view_u8(bytes, (uint32_t)at + n), wanted = view_u8(text, n);
        if (any_case) {
            octet |= octet >= 'A' && octet <= 'Z' ? 0x20U : 0;
        }
        if (octet != wanted) {
            return OUTCOME_VALUE;
        }
    }
    *result = 1;
    return OUTCOME_VALUE;
}

static inline int64_t text_find(bytes_view bytes, int64_t from, bytes_view text) {
    for (int64_t at = from < 0 ? 0 : from; text.length && at + text.length <= bytes.length; at++) {
        const uint8_t *found = memchr(bytes.data + at, text.data[0], (size_t)(bytes.length - text.length + 1U - (uint64_t)at));
        if (!found) {
            return -1;
        }
        at = found - bytes.data;
        if (memcmp(found, text.data, text.length) == 0) {
            return at;
        }
    }
    return -1;
}

/* Where the value begins of the line "name: value" among the lines from `from` up to the first empty one; -1 without it.
 * `name` is in lower case. */
static inline int64_t header_value(bytes_view bytes, int64_t from, bytes_view name) {
    while (from >= 0 && from < bytes.length) {
        int64_t there = 0;
        if (text_stands(bytes, from, name, 1, &there) == OUTCOME_VALUE && there && view_u8(bytes, (uint32_t)from + name.length) == ':') {
            from += name.length + 1;
            while (view_u8(bytes, (uint32_t)from) == ' ') {
                from++;
            }
            return from;
        }
        const uint8_t *newline = memchr(bytes.data + from, '\n', (size_t)(bytes.length - from));
        if (!newline) {
            break;
        }
        from = newline - bytes.data + 1;
        const uint32_t next = view_u8(bytes, (uint32_t)from);
        if (next == '\r' || next == '\n') {
            break;
        }
    }
    return -1;
}

/* specification: ITU-T X.690 section 8.1.3; the end of the element at `at` */
static inline enum outcome ber_end(bytes_view bytes, int64_t at, int64_t *end) {
    if (at < 0 || at + 2 > bytes.length) {
        return OUTCOME_SHORT;
    }
    uint32_t first = view_u8(bytes, (uint32_t)at + 1), octets = first & 0x7F;
    if (first < 0x80) {
        *end = at + 2 + first;
        return OUTCOME_VALUE;
    }
    *end = -1; /* indefinite, or longer than anything */
    if (octets == 0 || octets > 4) {
        return OUTCOME_VALUE;
    }
    if (at + 2 + octets > bytes.length) {
        return OUTCOME_SHORT;
    }
    int64_t length = 0;
    for (uint32_t n = 0; n < octets; n++) {
        length = length << 8 | view_u8(bytes, (uint32_t)at + 2 + n);
    }
    *end = at + 2 + octets + length;
    return OUTCOME_VALUE;
}

/* specification: MQTT 5.0 section 1.5.5 */
static inline enum outcome varint(bytes_view bytes, int64_t at, int64_t *value, int64_t *end) {
    *value = 0;
    for (uint32_t n = 0; n < 4; n++) {
        if (at < 0 || at + n >= bytes.length) {
            return OUTCOME_SHORT;
        }
        uint32_t octet = view_u8(bytes, (uint32_t)at + n);
        *value |= (int64_t)(octet & 0x7F) << (7 * n);
        *end = at + n + 1;
        if (octet < 0x80) {
            return OUTCOME_VALUE;
        }
    }
    *value = -1;
    return OUTCOME_VALUE;
}

/* specification: RFC 9000 section 16 */
static inline enum outcome quic_number(bytes_view bytes, int64_t at, int64_t *value, int64_t *end) {
    if (at < 0 || at >= bytes.length) {
        return OUTCOME_SHORT;
    }
    uint32_t first = view_u8(bytes, (uint32_t)at), octets = 1U << (first >> 6);
    if (at + octets > bytes.length) {
        return OUTCOME_SHORT;
    }
    *value = first & 0x3F;
    for (uint32_t n = 1; n < octets; n++) {
        *value = *value << 8 | view_u8(bytes, (uint32_t)at + n);
    }
    *end = at + octets;
    return OUTCOME_VALUE;
}

static inline enum outcome read_number(bytes_view bytes, int64_t at, uint32_t width, int little, int64_t *value) {
    if (at < 0 || at + width > bytes.length) {
        return OUTCOME_SHORT;
    }
    uint64_t number = 0;
    for (uint32_t n = 0; n < width; n++) {
        number = number << 8 | view_u8(bytes, (uint32_t)at + (little ? width - 1 - n : n));
    }
    *value = (int64_t)number;
    return OUTCOME_VALUE;
}

/* Runs the program at `at`. OUTCOME_SHORT when it would have to read behind the end of the message. */
static inline enum outcome program_run(const program *p, uint32_t at, const message *m, int64_t *result) {
    int64_t stack[PROGRAM_STACK + 2], other;
    uint32_t top = 1; /* stack[0] and stack[1] are there, so that nothing is read before the stack */
    stack[0] = stack[1] = 0;
    enum outcome outcome = OUTCOME_VALUE;
    for (; at < p->count && p->code[at].code != CODE_END; at++) {
        const instruction i = p->code[at];
        int64_t *const x = &stack[top];
        if (i.code >= CODE_READ && i.code <= CODE_QUIC_END && (*x < 0 || *x > UINT32_MAX)) {
            return OUTCOME_SHORT;
        }
        if (i.code >= CODE_ADD && i.code <= CODE_LESS_EQUAL) {
            top = top > 1 ? top - 1 : 1;
        }
        switch (i.code) {
        case CODE_CONSTANT:
        case CODE_CAPTURED:
        case CODE_WIRE:
        case CODE_SOURCE_PORT:
        case CODE_DESTINATION_PORT:
            top = top < PROGRAM_STACK + 1 ? top + 1 : top;
            stack[top] = i.code == CODE_CONSTANT      ? (int64_t)i.value
                         : i.code == CODE_CAPTURED    ? (int64_t)m->bytes.length
                         : i.code == CODE_WIRE        ? (int64_t)m->wire
                         : i.code == CODE_SOURCE_PORT ? m->source_port
                                                      : m->destination_port;
            break;
        case CODE_READ:
        case CODE_READ_LITTLE:
            outcome = read_number(m->bytes, *x + i.value, i.width, i.code == CODE_READ_LITTLE, x);
            break;
        case CODE_TEXT:
        case CODE_TEXT_ANY_CASE:
            outcome = text_stands(m->bytes, *x, program_text(p, i.value), i.code == CODE_TEXT_ANY_CASE, x);
            break;
        case CODE_FIND:
            *x = text_find(m->bytes, *x, program_text(p, i.value));
            break;
        case CODE_HEADER:
            *x = header_value(m->bytes, *x, program_text(p, i.value));
            break;
        case CODE_BER:
            outcome = ber_end(m->bytes, *x, x);
            break;
        case CODE_VARINT:
            outcome = varint(m->bytes, *x, x, &other);
            break;
        case CODE_VARINT_END:
            outcome = varint(m->bytes, *x, &other, x);
            break;
        case CODE_QUIC:
            outcome = quic_number(m->bytes, *x, x, &other);
            break;
        case CODE_QUIC_END:
            outcome = quic_number(m->bytes, *x, &other, x);
            break;
        case CODE_ADD:
            x[-1] = (int64_t)((uint64_t)x[-1] + (uint64_t)x[0]);
            break;
        case CODE_SUBTRACT:
            x[-1] = (int64_t)((uint64_t)x[-1] - (uint64_t)x[0]);
            break;
        case CODE_MULTIPLY:
            x[-1] = (int64_t)((uint64_t)x[-1] * (uint64_t)x[0]);
            break;
        case CODE_BIT_AND:
            x[-1] &= x[0];
            break;
        case CODE_SHIFT_RIGHT:
            x[-1] >>= x[0] & 63;
            break;
        case CODE_EQUAL:
            x[-1] = x[-1] == x[0];
            break;
        case CODE_UNEQUAL:
            x[-1] = x[-1] != x[0];
            break;
        case CODE_LESS:
            x[-1] = x[-1] < x[0];
            break;
        case CODE_LESS_EQUAL:
            x[-1] = x[-1] <= x[0];
            break;
        case CODE_IN:
            *x = *x >= 0 && *x < 256 && i.value < p->set_count && (p->sets[i.value * 4 + (uint64_t)(*x >> 6)] >> (*x & 63) & 1);
            break;
        case CODE_NOT:
            *x = !*x;
            break;
        case CODE_AND_JUMP:
        case CODE_OR_JUMP:
            if ((*x != 0) == (i.code == CODE_OR_JUMP)) {
                at = i.value > at ? i.value - 1 : p->count - 1;
            } else {
                top = top > 1 ? top - 1 : 1;
            }
            break;
        default:
            return OUTCOME_SHORT;
        }
        if (outcome == OUTCOME_SHORT) {
            return OUTCOME_SHORT;
        }
    }
    *result = stack[top];
    return OUTCOME_VALUE;
}

/* Whether the condition at `at` holds; one that would have to read behind the end does not. */
static inline int program_holds(const program *p, uint32_t at, const message *m) {
    int64_t value = 0;
    return program_run(p, at, m, &value) == OUTCOME_VALUE && value != 0;
}

#endif
