/* Ends that a conversation announces for another one: RTP and RTCP in SDP (RFC 8866 sections 5.7 and 5.14) and in RTSP's
 * Transport header (RFC 2326 section 12.39), FTP's data connections (RFC 959 section 4.1.2, RFC 2428), and the port that a
 * TFTP client asks from (RFC 1350 section 4). */
#ifndef SPANLINE_ANNOUNCED_H
#define SPANLINE_ANNOUNCED_H

#include "http_framing.h"

/* Ends are kept in groups; in a full group the oldest makes room. */
#ifndef ANNOUNCED_ENDS /* fewer make groups full soon: for fuzzing */
#define ANNOUNCED_ENDS 16384
#endif

enum { ANNOUNCED_GROUP = 8, MOST_MEDIA = 16 };

/* Which applications are announced. */
enum { ANNOUNCED_MEDIA, ANNOUNCED_MEDIA_CONTROL, ANNOUNCED_FILES, ANNOUNCED_KINDS };

/* What a message announces, and in which words. */
enum announcement { ANNOUNCES_NOTHING, ANNOUNCES_SDP, ANNOUNCES_TRANSPORT, ANNOUNCES_FTP, ANNOUNCES_ITSELF };

typedef struct {
    uint8_t address[16];
    uint32_t number; /* of the announcement, from 1 on; 0: nothing is here */
    uint16_t port;
    uint8_t transport; /* 0 TCP, 1 UDP */
    uint8_t application;
} announced_end;
STATIC_ASSERT(sizeof(announced_end) == 24, "announced_end");

typedef struct {
    announced_end *ends; /* ANNOUNCED_ENDS */
    uint32_t count;      /* announcements ever */
} announced_table;

/* Who announces, to whom, and which applications are meant. */
typedef struct {
    announced_table *table;
    const uint8_t *source;
    const uint8_t *destination;
    uint16_t source_port;
    const uint8_t *announced; /* by kind */
    uint8_t itself;
} announcer;

ALWAYS_INLINE announced_end *announced_group(const announced_table *t, const uint8_t address[16], uint32_t port) {
    uint64_t low, high;
    memcpy(&high, address, 8);
    memcpy(&low, address + 8, 8);
    const uint64_t mixed = ((high ^ low) + port) * 0x9E3779B97F4A7C15ULL;
    return &t->ends[(mixed >> 40) % (ANNOUNCED_ENDS / ANNOUNCED_GROUP) * ANNOUNCED_GROUP];
}

ALWAYS_INLINE int is_end(const announced_end *end, const uint8_t address[16], uint32_t port, int transport) {
    return end->number && end->port == port && end->transport == transport && memcmp(end->address, address, 16) == 0;
}

static inline uint32_t announced_at(const announced_table *t, const uint8_t address[16], uint32_t port, int transport) {
    const announced_end *group = announced_group(t, address, port);
    for (uint32_t n = 0; n < ANNOUNCED_GROUP; n++) {
        if (is_end(&group[n], address, port, transport)) {
            return group[n].application;
        }
    }
    return 0;
}

static inline void announce(announced_table *t, const uint8_t address[16], uint32_t port, int transport, uint32_t application) {
    static const uint8_t any[16] = {0}, any_ipv4[16] = {0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xFF, 0xFF};
    if (port == 0 || port > 0xFFFF || application == 0 || memcmp(address, any, 16) == 0 || memcmp(address, any_ipv4, 16) == 0) {
        return;
    }
    announced_end *group = announced_group(t, address, port), *place = group;
    for (uint32_t n = 0; n < ANNOUNCED_GROUP; n++) {
        if (is_end(&group[n], address, port, transport)) {
            place = &group[n];
            break;
        }
        place = group[n].number < place->number ? &group[n] : place;
    }
    t->count = t->count == UINT32_MAX ? 1 : t->count + 1;
    memcpy(place->address, address, 16);
    place->number = t->count;
    place->port = (uint16_t)port;
    place->transport = (uint8_t)transport;
    place->application = (uint8_t)application;
}

/* A decimal number at *at, which then is behind it. */
static inline uint32_t text_number(bytes_view bytes, uint32_t *at, uint32_t end) {
    uint32_t value = 0;
    for (; *at < end && view_u8(bytes, *at) >= '0' && view_u8(bytes, *at) <= '9'; ++*at) {
        value = value < 100000 ? value * 10 + view_u8(bytes, *at) - '0' : value;
    }
    return value;
}

/* "10.0.0.1", or with commas as FTP writes it. */
static inline int text_ipv4(bytes_view bytes, uint32_t *at, uint32_t end, uint32_t separator, uint8_t address[16]) {
    memset(address, 0, 10);
    memset(address + 10, 0xFF, 2);
    for (uint32_t n = 0; n < 4; n++) {
        const uint32_t start = *at, number = text_number(bytes, at, end);
        if (*at == start || number > 255 || (n < 3 && view_u8(bytes, (*at)++) != separator)) {
            return 0;
        }
        address[12 + n] = (uint8_t)number;
    }
    return 1;
}

/* specification: RFC 4291 section 2.2 */
static inline int text_ipv6(bytes_view bytes, uint32_t *at, uint32_t end, uint8_t address[16]) {
    uint8_t words[16] = {0};
    uint32_t count = 0, gap = 16;
    while (*at < end && count < 16) {
        uint32_t value = 0, digits = 0;
        for (; *at < end && hex_digit(view_u8(bytes, *at)) >= 0 && digits < 5; ++*at, digits++) {
            value = value << 4 | (uint32_t)hex_digit(view_u8(bytes, *at));
        }
        if (digits) {
            words[count++] = (uint8_t)(value >> 8);
            words[count++] = (uint8_t)value;
        }
        if (digits > 4 || *at >= end || view_u8(bytes, *at) != ':') {
            break;
        }
        ++*at;
        if (view_u8(bytes, *at) == ':') {
            if (gap != 16) {
                return 0;
            }
            gap = count;
            ++*at;
        }
    }
    if ((gap == 16) != (count == 16)) {
        return 0;
    }
    memset(address, 0, 16);
    memcpy(address, words, gap);
    memcpy(address + 16 - (count - gap), words + gap, count - gap);
    return 1;
}

static inline int text_address(bytes_view bytes, uint32_t at, uint32_t end, uint8_t address[16]) {
    uint32_t from = at;
    return text_ipv4(bytes, &from, end, '.', address) || (from = at, text_ipv6(bytes, &from, end, address));
}

static inline void announce_media(const announcer *a, const uint8_t address[16], uint32_t port, uint32_t control) {
    announce(a->table, address, port, 1, a->announced[ANNOUNCED_MEDIA]);
    announce(a->table, address, control, 1, a->announced[ANNOUNCED_MEDIA_CONTROL]);
}

/* Lines "c=IN IP4 address" hold for the media behind them ("m=audio port RTP/…"), or for the one medium above them. */
static inline void announce_sdp(const announcer *a, bytes_view bytes) {
    uint8_t session[16] = {0}, medium[16];
    uint32_t port = 0, control = 0, media = 0;
    for (uint32_t at = 0, end; (end = line_end(bytes, at)) != 0 || at < bytes.length; at = end) {
        end = end ? end : bytes.length;
        if (line_begins(bytes, at, "c=in ip")) {
            text_address(bytes, at + 9, end, port ? medium : session);
        } else if (line_begins(bytes, at, "a=rtcp:")) {
            uint32_t from = at + 7;
            control = text_number(bytes, &from, end);
        } else if (line_begins(bytes, at, "m=")) {
            if (port) {
                announce_media(a, medium, port, control);
            }
            port = control = 0;
            memcpy(medium, session, 16);
            uint32_t from = at + 2;
            while (from < end && view_u8(bytes, from) != ' ') {
                from++;
            }
            from++;
            if (line_has(bytes, from, end, " rtp/") && ++media <= MOST_MEDIA) {
                port = text_number(bytes, &from, end);
                control = port + 1;
            }
        }
    }
    if (port) {
        announce_media(a, medium, port, control);
    }
}

/* "client_port=a-b" is the receiver's of the answer, "server_port=c-d" its sender's. */
static inline void announce_transport(const announcer *a, bytes_view bytes) {
    for (uint32_t at = 0, end; (end = line_end(bytes, at)) != 0; at = end) {
        if (!line_begins(bytes, at, "transport:")) {
            continue;
        }
        for (uint32_t n = at; n < end; n++) {
            const int client = line_begins(bytes, n, "client_port=");
            if (client || line_begins(bytes, n, "server_port=")) {
                n += 12;
                const uint32_t port = text_number(bytes, &n, end);
                uint32_t control = port + 1;
                if (view_u8(bytes, n) == '-') {
                    n++;
                    control = text_number(bytes, &n, end);
                }
                announce_media(a, client ? a->destination : a->source, port, control);
            }
        }
    }
}

/* "PORT 10,0,0,1,4,5", "227 … (10,0,0,1,4,5)", "EPRT |1|10.0.0.1|1029|", "229 … (|||1029|)" */
static inline void announce_ftp(const announcer *a, bytes_view bytes) {
    uint8_t address[16];
    uint32_t at = 0, port;
    const uint32_t end = line_end(bytes, 0);
    if (line_begins(bytes, 0, "port ") || line_begins(bytes, 0, "227 ")) {
        for (at = 4; at < end && (view_u8(bytes, at) < '0' || view_u8(bytes, at) > '9'); at++) {
        }
        if (text_ipv4(bytes, &at, end, ',', address) && view_u8(bytes, at++) == ',') {
            port = text_number(bytes, &at, end) << 8;
            if (view_u8(bytes, at++) == ',') {
                announce(a->table, address, port + text_number(bytes, &at, end), 0, a->announced[ANNOUNCED_FILES]);
            }
        }
    } else if (line_begins(bytes, 0, "eprt |")) {
        at = 8;
        if (text_address(bytes, at, end, address)) {
            while (at < end && view_u8(bytes, at++) != '|') {
            }
            announce(a->table, address, text_number(bytes, &at, end), 0, a->announced[ANNOUNCED_FILES]);
        }
    } else if (line_begins(bytes, 0, "229 ")) {
        while (at < end && !line_begins(bytes, at, "|||")) {
            at++;
        }
        at += 3;
        announce(a->table, a->source, text_number(bytes, &at, end), 0, a->announced[ANNOUNCED_FILES]);
    }
}

static inline void announce_in(const announcer *a, uint32_t what, bytes_view bytes) {
    switch (what) {
    case ANNOUNCES_SDP:
        announce_sdp(a, bytes);
        break;
    case ANNOUNCES_TRANSPORT:
        announce_transport(a, bytes);
        announce_sdp(a, bytes);
        break;
    case ANNOUNCES_FTP:
        announce_ftp(a, bytes);
        break;
    case ANNOUNCES_ITSELF:
        announce(a->table, a->source, a->source_port, 1, a->itself);
        break;
    default:
        break;
    }
}

#endif
