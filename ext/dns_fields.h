/* Fields of DNS messages (also mDNS, LLMNR). RFC 1035 section 4.1.
 *
 * |identification 2|flags 2|questions 2|answers 2|authorities 2|additionals 2| question… | record…
 * question: name |type 2|class 2|        record: name |type 2|class 2|time to live 4|length 2| data
 */
#ifndef SPANLINE_DNS_FIELDS_H
#define SPANLINE_DNS_FIELDS_H

#include "occurrences.h"

enum { DNS_HEADER = 12, DNS_RESPONSE = 0x8000, DNS_TYPE_A = 1, DNS_TYPE_AAAA = 28 };
/* A name has at most 255 bytes; Wireshark gives up at these. */
enum { DNS_NAME_MAX = 1024, DNS_POINTERS_MAX = 255 };
/* Pointers let a message say much more than it has bytes. Names of one message with more letters are not read. */
enum { DNS_LETTERS_MAX = 1 << 16 };

typedef struct {
    uint8_t letters[DNS_NAME_MAX];
    uint32_t length;
    const char *instead; /* what is said when it is no name */
} dns_name;

/* Reads the name at `at`, following pointers to elsewhere in the message. Returns where it ends, 0 when it is cut off or
 * has bits that no name has. */
static inline uint32_t dns_read_name(bytes_view m, uint32_t at, dns_name *name) {
    uint32_t end = 0, pointers = 0;
    int too_long = 0;
    name->length = 0;
    name->instead = NULL;
    for (;;) {
        if (at >= m.length) {
            return 0;
        }
        const uint8_t size = view_u8(m, at++);
        if (size == 0) {
            end = end ? end : at;
            break;
        }
        if (size >= 0xC0) {
            if (at >= m.length) {
                return 0;
            }
            end = end ? end : at + 1;
            if (too_long) {
                break;
            }
            if (++pointers > DNS_POINTERS_MAX) {
                name->instead = "<Name contains a pointer that loops>";
                return end;
            }
            at = (size & 0x3FU) << 8 | view_u8(m, at);
        } else if (size >= 0x80 || size == 0x41) {
            return 0;
        } else if (size > 0x40) {
            name->instead = "<Unknown extended label>";
            return end ? end : at;
        } else {
            const bytes_view label = view_part(m, at, size);
            const uint32_t dot = name->length > 0;
            if (label.length < size) {
                return 0;
            }
            if (too_long || name->length + dot + size >= DNS_NAME_MAX) {
                too_long = 1; /* where it ends is still to be found, but not what pointers lead to */
                if (end) {
                    break;
                }
            } else {
                name->letters[name->length] = '.';
                view_copy(label, 0, name->letters + name->length + dot, size);
                name->length += dot + size;
            }
            at += size;
        }
    }
    if (too_long) {
        name->instead = "<Name too long>";
    } else if (name->length == 0) {
        name->instead = "<Root>";
    }
    return end;
}

/* How many bytes the UTF-8 character at `at` has (RFC 3629), 0 when it is none. */
static inline uint32_t utf8_length(bytes_view text, uint32_t at) {
    const uint32_t first = view_u8(text, at), second = view_u8(text, at + 1);
    const uint32_t length = first < 0xC2 ? 0 : first < 0xE0 ? 2 : first < 0xF0 ? 3 : first < 0xF5 ? 4 : 0;
    const uint32_t least = first == 0xE0 ? 0xA0 : first == 0xF0 ? 0x90 : 0x80;
    const uint32_t most = first == 0xED ? 0x9F : first == 0xF4 ? 0x8F : 0xBF;
    if (length == 0 || length > text.length - at || second < least || second > most) {
        return 0;
    }
    for (uint32_t n = 2; n < length; n++) {
        if ((view_u8(text, at + n) & 0xC0) != 0x80) {
            return 0;
        }
    }
    return length;
}

/* A name as Wireshark writes it: control characters as in C, with octal numbers. */
static inline void dns_add_name(occurrence_output *out, const dns_name *name) {
    static const char escapes[] = "abtnvfr"; /* of characters 7 to 13 */
    for (const char *letter = name->instead; letter && *letter; letter++) {
        add_octet(out, (uint8_t)*letter);
    }
    const bytes_view text = {name->letters, name->instead ? 0 : name->length};
    for (uint32_t n = 0; n < text.length; n++) {
        const uint8_t letter = view_u8(text, n);
        if (letter >= 0x80) {
            const uint32_t length = utf8_length(text, n);
            if (length == 0) {
                add_replacement(out);
                continue;
            }
            for (uint32_t k = 0; k < length; k++) {
                add_octet(out, view_u8(text, n + k));
            }
            n += length - 1;
        } else if (letter >= 7 && letter <= 13) {
            add_octet(out, '\\');
            add_octet(out, (uint8_t)escapes[letter - 7]);
        } else if (letter < 0x20 || letter == 0x7F) {
            add_octet(out, '\\');
            add_octet(out, (uint8_t)('0' + (letter >> 6)));
            add_octet(out, (uint8_t)('0' + (letter >> 3 & 7)));
            add_octet(out, (uint8_t)('0' + (letter & 7)));
        } else {
            add_octet(out, letter);
        }
    }
    end_octets(out);
}

/* A message's bytes; over TCP its length stands before it. */
static inline bytes_view dns_message(bytes_view m, int over_tcp) {
    return over_tcp ? view_part(m, 2, view_be16(m, 0)) : m;
}

static inline void dns_number(bytes_view m, int over_tcp, uint32_t at, uint32_t mask, int of_responses,
                              occurrence_output *out) {
    m = dns_message(m, over_tcp);
    const uint32_t flags = view_be16(m, 2);
    if (m.length >= 4 && (!of_responses || flags & DNS_RESPONSE)) {
        const uint32_t value = view_be16(m, at) & mask;
        add_number(out, mask == DNS_RESPONSE ? value != 0 : value);
    }
}

/* The names of all questions, or their types. Returns where records begin, 0 when that cannot be told. */
static inline uint32_t dns_questions(bytes_view m, occurrence_output *names, occurrence_output *types) {
    uint32_t at = DNS_HEADER, letters = 0;
    if (m.length < DNS_HEADER) {
        return 0;
    }
    for (uint32_t n = view_be16(m, 4); n; n--) {
        dns_name name;
        at = dns_read_name(m, at, &name);
        letters += name.length;
        if (at == 0 || letters > DNS_LETTERS_MAX || m.length < 4 || at > m.length - 4) {
            return 0;
        }
        if (names) {
            dns_add_name(names, &name);
        }
        if (types) {
            add_number(types, view_be16(m, at));
        }
        at += 4;
    }
    return at;
}

/* The addresses of records of `type`, `width` bytes each. */
static inline void dns_addresses(bytes_view m, int over_tcp, uint32_t type, uint32_t width, occurrence_output *out) {
    m = dns_message(m, over_tcp);
    uint32_t at = dns_questions(m, NULL, NULL);
    uint32_t records = (uint32_t)view_be16(m, 6) + view_be16(m, 8) + view_be16(m, 10);
    for (; at && records; records--) {
        dns_name name;
        at = dns_read_name(m, at, &name);
        if (at == 0 || m.length < 10 || at > m.length - 10) {
            return;
        }
        const uint32_t length = view_be16(m, at + 8), kind = view_be16(m, at);
        at += 10;
        if (kind == type && length) {
            const bytes_view address = view_part(m, at, width);
            if (address.length < width) {
                return;
            }
            add_octets(out, address);
        }
        if (length > m.length - at) {
            return;
        }
        at += length;
    }
}

#endif
