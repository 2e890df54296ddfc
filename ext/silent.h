/* Beginnings of what tells no secret: nearly all that is captured is encrypted, or asks for a name. */
#ifndef SPANLINE_SILENT_H
#define SPANLINE_SILENT_H

#include "bytes.h"

enum { DNS_PORT = 53 };

/* Whether these bytes begin as TLS does, in its middle, too, as SSH, or as QUIC.
 *
 * specification: RFC 8446 section 5.1 (records) and 4 (handshakes), RFC 4253 section 4.2, RFC 9000 section 17.2, RFC 9369
 */
static inline int begins_encrypted(bytes_view b) {
    enum { NEEDED = 6, CHANGE_CIPHER_SPEC = 20, HANDSHAKE = 22, APPLICATION_DATA = 23, CLIENT_HELLO = 1, SERVER_HELLO = 2 };
    if (b.length < NEEDED) {
        return 0;
    }
    const uint32_t kind = view_u8(b, 0), word = view_be32(b, 1), message = view_u8(b, 5);
    if (kind >= 0xC0) {
        return word == 1 || word == 0x6B3343CF;
    }
    if (kind == 'S') {
        return word == 0x53482D32; /* SH-2 */
    }
    const int is_hello = kind == HANDSHAKE && (message == CLIENT_HELLO || message == SERVER_HELLO);
    return (is_hello || kind == CHANGE_CIPHER_SPEC || kind == APPLICATION_DATA) && view_u8(b, 1) == 3 && view_u8(b, 2) <= 4;
}

/* Whether these bytes begin as a usual question of DNS, or the answer to one.
 *
 * specification: RFC 1035 section 4.1.1
 */
static inline int begins_as_dns(bytes_view b) {
    enum { HEADER = 12, SHORTEST_QUESTION = 5, IS_ANSWER = 0x8000, OPCODE_AND_RESERVED = 0x7840 };
    if (b.length < HEADER + SHORTEST_QUESTION) {
        return 0;
    }
    const uint32_t flags = view_be16(b, 2);
    const int is_alone = view_be16(b, 6) == 0 && view_be16(b, 8) == 0; /* without answers and authorities */
    return !(flags & OPCODE_AND_RESERVED) && view_be16(b, 4) == 1 && (is_alone || (flags & IS_ANSWER));
}

#endif
