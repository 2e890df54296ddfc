/* Community ID: the same short name for a flow in every tool.
 *
 * specification: Community ID Flow Hashing, version 1 (https://github.com/corelight/community-id-spec)
 *
 *     "1:" base64( SHA-1( seed 2 | source 4 or 16 | destination | protocol 1 | zero 1 | ports 2, 2 if it has any ))
 *
 * The smaller end, address before port, stands first.
 */
#ifndef SPANLINE_COMMUNITY_H
#define SPANLINE_COMMUNITY_H

#include "sha1.h"

enum { COMMUNITY_ID = 30 }; /* letters of an ID */
enum { COMMUNITY_ICMP = 1, COMMUNITY_TCP = 6, COMMUNITY_UDP = 17, COMMUNITY_ICMPV6 = 58, COMMUNITY_SCTP = 132 };

/* Whether a message of this type has an answer, in either protocol: only these have two directions. */
ALWAYS_INLINE int community_answered(uint8_t protocol, uint16_t type) {
    if (protocol == COMMUNITY_ICMP) {
        return type == 0 || (type >= 8 && type <= 10) || (type >= 13 && type <= 18);
    }
    return (type >= 128 && type <= 131) || (type >= 133 && type <= 136) || type == 139 || type == 140 ||
           type == 144 || type == 145;
}

ALWAYS_INLINE int community_has_ports(uint8_t protocol) {
    return protocol == COMMUNITY_TCP || protocol == COMMUNITY_UDP || protocol == COMMUNITY_SCTP ||
           protocol == COMMUNITY_ICMP || protocol == COMMUNITY_ICMPV6;
}

ALWAYS_INLINE int community_is_mapped(const uint8_t address[16]) {
    static const uint8_t mapped[12] = {0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xFF, 0xFF};
    return memcmp(address, mapped, sizeof mapped) == 0;
}

/* 28 letters for 20 bytes (RFC 4648 section 4). */
ALWAYS_INLINE void community_base64(const uint8_t digest[SHA1_DIGEST], char text[28]) {
    static const char letters[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    uint8_t padded[SHA1_DIGEST + 1];
    memcpy(padded, digest, SHA1_DIGEST);
    padded[SHA1_DIGEST] = 0;
    for (uint32_t n = 0; n < 7; n++) {
        const uint8_t *from = padded + 3 * n;
        const uint32_t bits = (uint32_t)from[0] << 16 | (uint32_t)from[1] << 8 | from[2];
        text[4 * n] = letters[bits >> 18];
        text[4 * n + 1] = letters[bits >> 12 & 63];
        text[4 * n + 2] = letters[bits >> 6 & 63];
        text[4 * n + 3] = letters[bits & 63];
    }
    text[27] = '=';
}

/* Columns of flows: addresses of 16 bytes, IPv4 mapped, after one another; ICMP has types for ports. */
typedef struct {
    const uint8_t *source;
    const uint8_t *destination;
    const uint16_t *source_port;
    const uint16_t *destination_port;
    const uint8_t *protocol;
} community_flows;

/* The block that is hashed for flow n. */
ALWAYS_INLINE void community_block(const community_flows *flows, size_t n, uint16_t seed, uint8_t block[SHA1_BLOCK]) {
    const uint8_t *source = flows->source + 16 * n;
    const uint8_t *destination = flows->destination + 16 * n;
    const uint16_t source_port = flows->source_port[n];
    const uint16_t destination_port = flows->destination_port[n];
    const uint8_t protocol = flows->protocol[n];
    const int order = memcmp(source, destination, 16);
    const int is_icmp = protocol == COMMUNITY_ICMP || protocol == COMMUNITY_ICMPV6;
    const int turn = (order > 0 || (order == 0 && source_port > destination_port)) &&
                     (!is_icmp || community_answered(protocol, source_port));
    const uint32_t skip = community_is_mapped(source) && community_is_mapped(destination) ? 12 : 0;
    const uint16_t ports[2] = {
        swap16(turn ? destination_port : source_port),
        swap16(turn ? source_port : destination_port),
    };
    uint32_t at = 2;
    block[0] = (uint8_t)(seed >> 8);
    block[1] = (uint8_t)seed;
    memcpy(block + at, (turn ? destination : source) + skip, 16 - skip);
    at += 16 - skip;
    memcpy(block + at, (turn ? source : destination) + skip, 16 - skip);
    at += 16 - skip;
    block[at++] = protocol;
    block[at++] = 0;
    if (community_has_ports(protocol)) {
        memcpy(block + at, ports, sizeof ports);
        at += sizeof ports;
    }
    sha1_pad(block, at);
}

/* Writes the COMMUNITY_ID letters of each of `count` flows, after one another. */
static inline void community_ids(const community_flows *flows, size_t count, uint16_t seed, char *text) {
    uint8_t blocks[SHA1_LANES][SHA1_BLOCK] = {{0}};
    uint8_t digests[SHA1_LANES][SHA1_DIGEST];
    for (size_t from = 0; from < count; from += SHA1_LANES) {
        const size_t lanes = count - from < SHA1_LANES ? count - from : SHA1_LANES;
        for (size_t lane = 0; lane < lanes; lane++) {
            community_block(flows, from + lane, seed, blocks[lane]);
        }
        sha1_of_blocks(blocks, digests);
        for (size_t lane = 0; lane < lanes; lane++) {
            text[0] = '1';
            text[1] = ':';
            community_base64(digests[lane], text + 2);
            text += COMMUNITY_ID;
        }
    }
}

#endif
