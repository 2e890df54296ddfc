/* Where an HTTP message ends: RTSP and SIP are written in the same way. specification: RFC 9112 sections 2.1, 6 and 7.1,
 * RFC 2326 section 4, RFC 3261 section 7. What follows when headers do not say is Wireshark's rule. */
#ifndef SPANLINE_HTTP_FRAMING_H
#define SPANLINE_HTTP_FRAMING_H

#include "bytes.h"

enum http_body { HTTP_BODY_NONE, HTTP_BODY_LENGTH, HTTP_BODY_CHUNKED, HTTP_BODY_UNTIL_FIN };

typedef struct {
    uint32_t head;   /* bytes up to the body; 0: the headers do not end here */
    uint32_t length; /* of the body, when that is known */
    uint8_t body;    /* enum http_body */
    uint8_t response;
    uint8_t head_request; /* the answer to HEAD has headers of a body and none; that to CONNECT has neither */
} http_message;

ALWAYS_INLINE uint32_t lower(uint32_t octet) { return octet >= 'A' && octet <= 'Z' ? octet | 0x20U : octet; }

/* Whether the line at `at` begins with `name`, which is in lower case. */
static inline int line_begins(bytes_view bytes, uint32_t at, const char *name) {
    for (; *name; name++, at++) {
        if (at >= bytes.length || lower(view_u8(bytes, at)) != (uint8_t)*name) {
            return 0;
        }
    }
    return 1;
}

static inline int line_has(bytes_view bytes, uint32_t at, uint32_t end, const char *word) {
    for (; at < end; at++) {
        if (line_begins(bytes, at, word)) {
            return 1;
        }
    }
    return 0;
}

static inline uint32_t line_number(bytes_view bytes, uint32_t at, uint32_t end) {
    uint64_t value = 0;
    while (at < end && (view_u8(bytes, at) == ' ' || view_u8(bytes, at) == '\t')) {
        at++;
    }
    for (; at < end && view_u8(bytes, at) >= '0' && view_u8(bytes, at) <= '9' && value <= UINT32_MAX; at++) {
        value = value * 10 + view_u8(bytes, at) - '0';
    }
    return value <= INT32_MAX ? (uint32_t)value : INT32_MAX;
}

/* Where the line at `at` ends: behind its newline. 0 when it does not. */
static inline uint32_t line_end(bytes_view bytes, uint32_t at) {
    if (at >= bytes.length) {
        return 0;
    }
    const uint8_t *newline = memchr(bytes.data + at, '\n', bytes.length - at);
    return newline ? (uint32_t)(newline - bytes.data) + 1 : 0;
}

/* `answers_head`: the request that this may be the response to was HEAD. */
static inline http_message http_read(bytes_view bytes, int answers_head) {
    http_message m = {0, 0, HTTP_BODY_NONE, 0, 0};
    int none;
    uint32_t at = line_end(bytes, 0), status = 0;
    m.response = (uint8_t)line_begins(bytes, 0, "http/");
    if (m.response && at) {
        uint32_t n = 5;
        while (n < at && view_u8(bytes, n) != ' ') {
            n++;
        }
        status = line_number(bytes, n, at);
    }
    m.head_request = (uint8_t)(line_begins(bytes, 0, "head ") || line_begins(bytes, 0, "connect "));
    none = m.response && (answers_head || status / 100 == 1 || status == 204 || status == 304);
    while (at) {
        const uint32_t end = line_end(bytes, at);
        if (end && (view_u8(bytes, at) == '\n' || (view_u8(bytes, at) == '\r' && view_u8(bytes, at + 1) == '\n'))) {
            m.head = end;
            break;
        }
        if (end && line_begins(bytes, at, "content-length:")) {
            m.body = m.body == HTTP_BODY_CHUNKED ? m.body : HTTP_BODY_LENGTH;
            m.length = line_number(bytes, at + 15, end);
        } else if (end && line_begins(bytes, at, "transfer-encoding:") && line_has(bytes, at + 18, end, "chunked")) {
            m.body = HTTP_BODY_CHUNKED;
        }
        at = end;
    }
    if (none) {
        m.body = HTTP_BODY_NONE;
    } else if (m.body == HTTP_BODY_NONE && m.response) {
        m.body = HTTP_BODY_UNTIL_FIN;
    }
    return m;
}

/* Chunks one after another, as bytes come. */
typedef struct {
    uint32_t left;  /* bytes of a chunk, and the end of its line, that have not come */
    uint8_t state;
} chunk_state;

enum { CHUNK_SIZE, CHUNK_EXTENSION, CHUNK_DATA, CHUNK_TRAILER, CHUNK_TRAILER_LINE, CHUNK_DONE };

static inline int hex_digit(uint32_t octet) {
    octet = lower(octet);
    return octet >= '0' && octet <= '9' ? (int)(octet - '0') : octet >= 'a' && octet <= 'f' ? (int)(octet - 'a' + 10) : -1;
}

/* How many of `length` bytes are the body's; of these `bytes` are there. What was not captured is taken for data. */
static inline uint32_t chunks_take(chunk_state *s, bytes_view bytes, uint32_t length) {
    uint32_t at = 0;
    while (at < length && s->state != CHUNK_DONE) {
        if (s->state == CHUNK_DATA) {
            const uint32_t take = s->left < length - at ? s->left : length - at;
            at += take;
            s->left -= take;
            s->state = s->left ? CHUNK_DATA : CHUNK_SIZE;
            continue;
        }
        if (at >= bytes.length) {
            return length;
        }
        const uint32_t octet = view_u8(bytes, at++);
        if (s->state == CHUNK_SIZE && hex_digit(octet) >= 0) {
            s->left = (s->left << 4 | (uint32_t)hex_digit(octet)) & INT32_MAX;
        } else if (s->state <= CHUNK_EXTENSION) {
            s->state = CHUNK_EXTENSION;
            if (octet == '\n') {
                s->state = s->left ? CHUNK_DATA : CHUNK_TRAILER;
                s->left += s->left ? 2 : 0;
            }
        } else if (octet == '\n') {
            s->state = s->state == CHUNK_TRAILER ? CHUNK_DONE : CHUNK_TRAILER;
        } else if (octet != '\r') {
            s->state = CHUNK_TRAILER_LINE;
        }
    }
    return at;
}

#endif
