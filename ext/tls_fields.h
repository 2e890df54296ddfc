/* Fields of TLS records. RFC 8446 sections 5.1 (records), 4 (handshake), 4.1.2 (ClientHello); RFC 6066 section 3 (server name).
 *
 * record: |type 1|version 2|length 2| handshake: |type 1|length 3|
 */
#ifndef SPANLINE_TLS_FIELDS_H
#define SPANLINE_TLS_FIELDS_H

#include "occurrences.h"

enum { TLS_HANDSHAKE = 22, TLS_CLIENT_HELLO = 1, TLS_SERVER_NAME = 0, TLS_RECORD_HEADER = 5, TLS_JOINED_MAX = 4096 };
enum { TLS_MESSAGE_MAX = 0x20000 };

enum tls_wanted { TLS_WANTS_TYPES, TLS_WANTS_NAMES };

/* A handshake message that several records carry. Of a long one only the beginning is kept: a hello is short. */
typedef struct {
    uint32_t length; /* 0: not known yet */
    uint32_t have;
    uint8_t bytes[TLS_JOINED_MAX];
} tls_joined;

static inline int tls_is_type(uint32_t type) {
    /* RFC 8446 and its forerunners, and drafts of them that Wireshark knows. */
    return type <= 6 || type == 8 || (type >= 11 && type <= 16) || (type >= 20 && type <= 25) || type == 67 || type == 254;
}

static inline uint32_t tls_be24(bytes_view m, uint32_t at) {
    return (uint32_t)view_u8(m, at) << 16 | view_be16(m, at + 1);
}

/* The server names of a ClientHello; `m` begins behind the handshake header. */
static inline void tls_server_names(bytes_view m, occurrence_output *out) {
    uint32_t at = 34;
    at += 1U + view_u8(m, at);
    at += 2U + view_be16(m, at);
    at += 1U + view_u8(m, at);
    const bytes_view extensions = view_part(m, at + 2, view_be16(m, at));
    for (at = 0; at + 4 <= extensions.length;) {
        const uint32_t length = view_be16(extensions, at + 2);
        if (view_be16(extensions, at) == TLS_SERVER_NAME) {
            const bytes_view extension = view_part(extensions, at + 4, length);
            const bytes_view names = view_part(extension, 2, view_be16(extension, 0));
            for (uint32_t n = 0; n + 3 <= names.length;) {
                const uint32_t size = view_be16(names, n + 1);
                const bytes_view name = view_part(names, n + 3, size);
                if (name.length < size) {
                    return;
                }
                add_ascii(out, name);
                n += 3 + size;
            }
        }
        at += 4 + length;
    }
}

static inline void tls_handshake(bytes_view m, enum tls_wanted wanted, occurrence_output *out) {
    if (wanted == TLS_WANTS_TYPES) {
        add_number(out, view_u8(m, 0));
    } else if (view_u8(m, 0) == TLS_CLIENT_HELLO) {
        tls_server_names(view_part(m, 4, tls_be24(m, 1)), out);
    }
}

/* Whether a handshake message begins at `at`. Bytes of an encrypted one have no type that exists, or no possible length;
 * only many zeros look like greetings, which are not sent with anything behind them. */
static inline int tls_begins(bytes_view record, uint32_t at) {
    const uint32_t type = view_u8(record, at);
    if (record.length - at < 4) {
        return tls_is_type(type);
    }
    return tls_is_type(type) && tls_be24(record, at + 1) <= TLS_MESSAGE_MAX && (type || record.length - at == 4);
}

/* Adds what `record` has of the message that other records began. Returns how much that was. */
static inline uint32_t tls_join(tls_joined *joined, bytes_view record) {
    uint32_t used = 0;
    while (used < record.length && (joined->have < 4 || joined->have < joined->length)) {
        if (joined->have < TLS_JOINED_MAX) {
            joined->bytes[joined->have] = view_u8(record, used);
        }
        joined->have++;
        used++;
        if (joined->have == 4) {
            joined->length = 4 + tls_be24((bytes_view){joined->bytes, 4}, 1);
        }
    }
    return used;
}

static inline void tls_record(bytes_view record, int cut, enum tls_wanted wanted, tls_joined *joined,
                              occurrence_output *out) {
    uint32_t at = 0;
    if (joined->have) {
        at = tls_join(joined, record);
        if (joined->have < 4 || joined->have < joined->length) {
            return;
        }
        const uint32_t kept = joined->have < TLS_JOINED_MAX ? joined->have : (uint32_t)TLS_JOINED_MAX;
        tls_handshake((bytes_view){joined->bytes, kept}, wanted, out);
        joined->have = joined->length = 0;
    }
    while (record.length - at >= 4) {
        const uint32_t length = tls_be24(record, at + 1);
        if (!tls_begins(record, at)) {
            return;
        }
        if (length > record.length - at - 4 && !cut) {
            break;
        }
        tls_handshake(view_behind(record, at), wanted, out);
        at += length > record.length - at - 4 ? record.length - at : 4 + length;
    }
    if (at < record.length && tls_begins(record, at)) {
        tls_join(joined, view_behind(record, at));
    }
}

/* `cut`: no segment brings what is missing. */
static inline void tls_handshakes(bytes_view m, int cut, enum tls_wanted wanted, occurrence_output *out) {
    tls_joined joined;
    joined.have = joined.length = 0;
    /* A hello of SSL 2 that offers later versions: |1 length 15|type 1|version 2|, RFC 5246 appendix E.2. */
    if (wanted == TLS_WANTS_TYPES && view_u8(m, 0) & 0x80 && view_u8(m, 2) == TLS_CLIENT_HELLO) {
        add_number(out, TLS_CLIENT_HELLO);
    }
    for (uint32_t at = 0; m.length - at >= TLS_RECORD_HEADER && view_u8(m, at + 1) == 3;) {
        const uint32_t length = view_be16(m, at + 3);
        const bytes_view record = view_part(m, at + TLS_RECORD_HEADER, length);
        if (record.length < length && !cut) {
            return;
        }
        if (view_u8(m, at) == TLS_HANDSHAKE) {
            tls_record(record, record.length < length, wanted, &joined, out);
        } else {
            joined.have = joined.length = 0;
        }
        at += TLS_RECORD_HEADER + record.length;
    }
}

#endif
