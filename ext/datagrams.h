/* Datagrams of a UDP socket as frames: the socket keeps the headers to itself, so an IP and a UDP header are made again
 * from what it says of the sender and of the address that the datagram was sent to.
 *
 * specification: RFC 768, RFC 791 section 3.1, RFC 8200 section 3
 */
#ifndef SPANLINE_DATAGRAMS_H
#define SPANLINE_DATAGRAMS_H

#include "checksum.h"
#include "records.h"

enum {
    DATAGRAM_IPV4_HEADERS = 20 + 8,
    DATAGRAM_IPV6_HEADERS = 40 + 8,
    DATAGRAM_LONGEST = 65535 - 8, /* bytes of data, by the length field */
    DATAGRAM_LONGEST_FRAME = DATAGRAM_IPV6_HEADERS + DATAGRAM_LONGEST,
    DATAGRAM_HOPS = 64,
};

/* Addresses are 16 bytes, IPv4 mapped; both of the same version. */
typedef struct {
    int64_t timestamp;
    uint8_t source[16];
    uint8_t destination[16];
    uint16_t source_port;
    uint16_t destination_port;
    bytes_view data;
} datagram;

/* Frames one behind the other, and a row for each. */
typedef struct {
    uint8_t *data;
    uint32_t size;
    uint32_t capacity;
    frame_record *records;
    uint32_t count;
    uint32_t record_capacity;
    uint32_t snaplen; /* bytes kept of a frame */
    uint16_t interface_id;
} datagram_frames;

ALWAYS_INLINE int is_mapped_ipv4(const uint8_t *address) {
    static const uint8_t prefix[12] = {0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xFF, 0xFF};
    return memcmp(address, prefix, sizeof prefix) == 0;
}

ALWAYS_INLINE void put_be16(uint8_t *target, uint32_t value) {
    target[0] = (uint8_t)(value >> 8);
    target[1] = (uint8_t)value;
}

/* Of all data, also what is not kept: RFC 8200 section 8.1 allows no datagram without one, and 0 stands for 0xFFFF. */
static inline uint32_t ipv6_udp_checksum(const uint8_t *headers, bytes_view data) {
    const uint8_t *addresses = headers + 8, *udp = headers + 40;
    uint64_t sum = 17 + 8U + data.length;
    sum = checksum_add(sum, addresses, 32);
    sum = checksum_add(sum, udp, 8);
    sum = checksum_add(sum, data.data, data.length);
    const uint32_t checksum = ~checksum_fold(sum) & 0xFFFF;
    return checksum ? checksum : 0xFFFF;
}

/* Writes the headers to `target` and returns their length. What a socket does not say is: no options, no fragments,
 * identification, traffic class and flow label 0, 64 hops, and in IPv4 no UDP checksum. */
static inline uint32_t write_datagram_headers(uint8_t *target, const datagram *d) {
    const uint32_t udp_length = 8 + d->data.length;
    const int is_ipv4 = is_mapped_ipv4(d->source) && is_mapped_ipv4(d->destination);
    const uint32_t length = is_ipv4 ? DATAGRAM_IPV4_HEADERS : DATAGRAM_IPV6_HEADERS;
    uint8_t *udp = target + length - 8;
    memset(target, 0, length);
    put_be16(udp, d->source_port);
    put_be16(udp + 2, d->destination_port);
    put_be16(udp + 4, udp_length);
    if (is_ipv4) {
        target[0] = 0x45;
        put_be16(target + 2, 20 + udp_length);
        target[6] = 0x40; /* do not fragment */
        target[8] = DATAGRAM_HOPS;
        target[9] = 17;
        memcpy(target + 12, d->source + 12, 4);
        memcpy(target + 16, d->destination + 12, 4);
        put_be16(target + 10, ~checksum_fold(checksum_add(0, target, 20)) & 0xFFFF);
    } else {
        target[0] = 0x60;
        put_be16(target + 4, udp_length);
        target[6] = 17;
        target[7] = DATAGRAM_HOPS;
        memcpy(target + 8, d->source, 16);
        memcpy(target + 24, d->destination, 16);
        put_be16(udp + 6, ipv6_udp_checksum(target, d->data));
    }
    return length;
}

/* Adds the frame of a datagram of at most DATAGRAM_LONGEST bytes; 0 and nothing added when there is no room, and there
 * always is for one in DATAGRAM_LONGEST_FRAME bytes. */
static inline int add_datagram(datagram_frames *out, const datagram *d) {
    uint8_t headers[DATAGRAM_IPV6_HEADERS];
    const size_t needed = (size_t)DATAGRAM_IPV6_HEADERS + d->data.length;
    if (out->count == out->record_capacity || out->capacity - out->size < needed) {
        return 0;
    }
    const uint32_t before = write_datagram_headers(headers, d), wire_length = before + d->data.length;
    const uint32_t captured = wire_length < out->snaplen ? wire_length : out->snaplen;
    const uint32_t kept = captured > before ? captured - before : 0;
    uint8_t *frame = out->data + out->size;
    memcpy(frame, headers, captured - kept);
    view_copy(d->data, 0, frame + before, kept);
    frame_record *record = &out->records[out->count++];
    record->timestamp = d->timestamp;
    record->offset = out->size;
    record->captured_length = captured;
    record->wire_length = wire_length;
    record->interface_id = out->interface_id;
    record->options = 0;
    out->size += captured;
    return 1;
}

#endif
