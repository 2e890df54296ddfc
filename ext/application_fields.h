/* Fields of application protocols, read from their messages. */
#ifndef SPANLINE_APPLICATION_FIELDS_H
#define SPANLINE_APPLICATION_FIELDS_H

#include "dns_fields.h"
#include "http_fields.h"
#include "telnet_fields.h"
#include "tls_fields.h"

enum application_field {
    FIELD_BYTES,  /* the message as it is */
    FIELD_LENGTH, /* how many bytes it has */
    FIELD_DNS_ID,
    FIELD_DNS_RESPONSE,
    FIELD_DNS_RCODE,
    FIELD_DNS_NAME,
    FIELD_DNS_TYPE,
    FIELD_DNS_A,
    FIELD_DNS_AAAA,
    FIELD_TLS_TYPE,
    FIELD_TLS_NAME,
    FIELD_HTTP_METHOD,
    FIELD_HTTP_URI,
    FIELD_HTTP_CODE,
    FIELD_HTTP_HEADER, /* `words`: its name, with a colon */
    FIELD_TELNET_DATA,
    APPLICATION_FIELDS,
};

/* What is known of a message beside its bytes. */
enum { MESSAGE_OVER_TCP = 1, MESSAGE_CUT = 2 };

typedef struct {
    bytes_view bytes;
    uint8_t flags;
} field_message;

static inline void read_field(enum application_field field, const field_message *message, bytes_view methods,
                              bytes_view header, occurrence_output *out) {
    const bytes_view m = message->bytes;
    const int over_tcp = message->flags & MESSAGE_OVER_TCP, cut = message->flags & MESSAGE_CUT;
    switch (field) {
    case FIELD_BYTES:
        add_octets(out, m);
        break;
    case FIELD_LENGTH:
        add_number(out, m.length);
        break;
    case FIELD_DNS_ID:
        dns_number(m, over_tcp, 0, 0xFFFF, 0, out);
        break;
    case FIELD_DNS_RESPONSE:
        dns_number(m, over_tcp, 2, DNS_RESPONSE, 0, out);
        break;
    case FIELD_DNS_RCODE:
        dns_number(m, over_tcp, 2, 0x000F, 1, out);
        break;
    case FIELD_DNS_NAME:
        dns_questions(dns_message(m, over_tcp), out, NULL);
        break;
    case FIELD_DNS_TYPE:
        dns_questions(dns_message(m, over_tcp), NULL, out);
        break;
    case FIELD_DNS_A:
        dns_addresses(m, over_tcp, DNS_TYPE_A, 4, out);
        break;
    case FIELD_DNS_AAAA:
        dns_addresses(m, over_tcp, DNS_TYPE_AAAA, 16, out);
        break;
    case FIELD_TLS_TYPE:
        tls_handshakes(m, cut, TLS_WANTS_TYPES, out);
        break;
    case FIELD_TLS_NAME:
        tls_handshakes(m, cut, TLS_WANTS_NAMES, out);
        break;
    case FIELD_HTTP_METHOD:
        http_start(m, methods, HTTP_WANTS_METHOD, out);
        break;
    case FIELD_HTTP_URI:
        http_start(m, methods, HTTP_WANTS_URI, out);
        break;
    case FIELD_HTTP_CODE:
        http_start(m, methods, HTTP_WANTS_CODE, out);
        break;
    case FIELD_HTTP_HEADER:
        http_header(m, methods, header, out);
        break;
    case FIELD_TELNET_DATA:
        telnet_lines(m, out);
        break;
    case APPLICATION_FIELDS:
        break;
    }
}

#endif
