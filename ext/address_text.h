/* Addresses as text: 192.0.2.1, 2001:db8::1, 02:00:5e:10:00:00.
 *
 * specification: RFC 5952 section 4 and, for IPv4 inside IPv6, section 5; where it leaves a choice, as inet_ntop() has it
 */
#ifndef SPANLINE_ADDRESS_TEXT_H
#define SPANLINE_ADDRESS_TEXT_H

#include "bytes.h"

enum { ADDRESS_TEXT_MAX = 45, MAC_TEXT = 17 };

ALWAYS_INLINE char hex_digit(uint32_t value) { return (char)(value < 10 ? '0' + value : 'a' + value - 10); }

/* Writes 0 to 255 without leading zeros; returns how many letters that were. */
ALWAYS_INLINE uint32_t decimal_text(uint32_t value, char *text) {
    uint32_t at = 0;
    if (value >= 100) {
        text[at++] = (char)('0' + value / 100);
    }
    if (value >= 10) {
        text[at++] = (char)('0' + value / 10 % 10);
    }
    text[at++] = (char)('0' + value % 10);
    return at;
}

ALWAYS_INLINE uint32_t ipv4_text(const uint8_t octets[4], char *text) {
    uint32_t at = 0;
    for (uint32_t n = 0; n < 4; n++) {
        if (n) {
            text[at++] = '.';
        }
        at += decimal_text(octets[n], text + at);
    }
    return at;
}

/* Writes 0 to ffff without leading zeros. */
ALWAYS_INLINE uint32_t group_text(uint32_t value, char *text) {
    uint32_t at = 0;
    for (uint32_t shift = 16; shift > 0;) {
        shift -= 4;
        if (at || shift == 0 || value >> shift) {
            text[at++] = hex_digit(value >> shift & 15);
        }
    }
    return at;
}

/* Writes an IPv6 address. "::" stands for the longest run of at least two zero groups, the first of equal ones. */
static inline uint32_t ipv6_text(const uint8_t octets[16], char *text) {
    const bytes_view view = {octets, 16};
    uint32_t groups[8];
    uint32_t run_start = 8, run_length = 1, length = 0;
    for (uint32_t n = 0; n < 8; n++) {
        groups[n] = view_be16(view, 2 * n);
        length = groups[n] ? 0 : length + 1;
        if (length > run_length) {
            run_length = length;
            run_start = n + 1 - length;
        }
    }
    /* ::192.0.2.1, IPv4 compatible; and mapped, which only a caller that wants ::ffff:192.0.2.1 sees here. */
    const int has_ipv4 = run_start == 0 && (run_length == 6 || (run_length == 5 && groups[5] == 0xFFFF));
    const uint32_t end = has_ipv4 ? 6 : 8;
    uint32_t at = 0;
    for (uint32_t n = 0; n < end; n++) {
        if (n == run_start) {
            text[at++] = ':';
            n += run_length - 1;
            if (n == 7 || (has_ipv4 && n == 5)) {
                text[at++] = ':';
            }
            continue;
        }
        if (n) {
            text[at++] = ':';
        }
        at += group_text(groups[n], text + at);
    }
    if (has_ipv4) {
        if (run_length == 5) {
            text[at++] = ':';
        }
        at += ipv4_text(octets + 12, text + at);
    }
    return at;
}

/* Writes at most ADDRESS_TEXT_MAX letters, of an IPv4 address where one is mapped; returns how many. */
ALWAYS_INLINE uint32_t address_text(const uint8_t octets[16], char *text) {
    static const uint8_t mapped[12] = {0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xFF, 0xFF};
    return memcmp(octets, mapped, sizeof mapped) ? ipv6_text(octets, text) : ipv4_text(octets + 12, text);
}

/* Writes MAC_TEXT letters. */
ALWAYS_INLINE uint32_t mac_text(const uint8_t octets[6], char *text) {
    for (uint32_t n = 0; n < 6; n++) {
        text[3 * n] = hex_digit(octets[n] >> 4U);
        text[3 * n + 1] = hex_digit(octets[n] & 15U);
        if (n < 5) {
            text[3 * n + 2] = ':';
        }
    }
    return MAC_TEXT;
}

#endif
