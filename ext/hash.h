/* The flow hash: keyed, symmetric, 64 bits.
 *
 * Untrusted traffic chooses the keys, so the hash is seeded at random in each process: who does not know the seed cannot
 * aim at one bucket. Each end (address, port) is hashed by itself and the two are added, so that both directions of a
 * flow agree. The mixing step, a 64 × 64 → 128 bit product folded by xor, is that of wyhash (public domain).
 */
#ifndef SPANLINE_HASH_H
#define SPANLINE_HASH_H

#include "transport.h"

typedef struct {
    uint64_t key[4];
} hash_seed;

#if defined(_MSC_VER) && defined(_M_X64)
#include <intrin.h>
ALWAYS_INLINE uint64_t hash_mix(uint64_t a, uint64_t b) {
    uint64_t high, low = _umul128(a, b, &high);
    return low ^ high;
}
#elif defined(__SIZEOF_INT128__)
__extension__ typedef unsigned __int128 hash_product;
ALWAYS_INLINE uint64_t hash_mix(uint64_t a, uint64_t b) {
    hash_product product = (hash_product)a * b;
    return (uint64_t)product ^ (uint64_t)(product >> 64);
}
#else
ALWAYS_INLINE uint64_t hash_mix(uint64_t a, uint64_t b) {
    uint64_t low = (a & 0xFFFFFFFFU) * (b & 0xFFFFFFFFU), high = (a >> 32) * (b >> 32);
    uint64_t left = (a >> 32) * (b & 0xFFFFFFFFU), right = (a & 0xFFFFFFFFU) * (b >> 32);
    uint64_t middle = (low >> 32) + (left & 0xFFFFFFFFU) + (right & 0xFFFFFFFFU);
    low = (middle << 32) | (low & 0xFFFFFFFFU);
    high += (left >> 32) + (right >> 32) + (middle >> 32);
    return low ^ high;
}
#endif

ALWAYS_INLINE uint64_t hash_end(const hash_seed *seed, const uint8_t address[16], uint32_t port) {
    uint64_t high, low;
    memcpy(&high, address, 8);
    memcpy(&low, address + 8, 8);
    return hash_mix(hash_mix(high ^ seed->key[0], low ^ seed->key[1]) ^ port, seed->key[2]);
}

/* What stands for the two ports in the key of a packet's flow. For ICMP a message and its answer belong together, and a
 * message without an answer goes one way: the same from the other side is another flow. */
typedef struct {
    uint32_t source;
    uint32_t destination;
    int one_way;
} flow_key_ports;

ALWAYS_INLINE flow_key_ports flow_ports(const packet_row *row) {
    flow_key_ports ports = {row->source_port, row->destination_port, 0};
    if (UNLIKELY(row->ip_protocol == IP_ICMP || row->ip_protocol == IP_ICMPV6) && (row->flags & PACKET_HAS_TRANSPORT)) {
        int answer = icmp_counterpart(row->ip_protocol, row->source_port);
        ports.one_way = answer < 0;
        ports.destination = answer < 0 ? ports.destination : (uint32_t)answer;
    }
    return ports;
}

ALWAYS_INLINE uint64_t key_hash(const hash_seed *seed, const uint8_t source[16], uint32_t source_port,
                                const uint8_t destination[16], uint32_t destination_port, uint32_t protocol) {
    uint64_t ends = hash_end(seed, source, source_port) + hash_end(seed, destination, destination_port);
    return hash_mix(ends ^ seed->key[3], (protocol + 1U) * 0x9E3779B97F4A7C15ULL);
}

ALWAYS_INLINE uint64_t flow_hash(const hash_seed *seed, const packet_row *row) {
    const flow_key_ports ports = flow_ports(row);
    return key_hash(seed, row->source, ports.source, row->destination, ports.destination, row->ip_protocol);
}

/* The part of a flow's hash that an index keeps, with the tenant that keeps it apart from equal addresses of others. */
ALWAYS_INLINE uint32_t tenant_tag(const hash_seed *seed, uint64_t hash, uint32_t vni, uint32_t vlan) {
    if (vni != NO_TUNNEL_ID) {
        hash = hash_mix(hash ^ seed->key[1], vni ^ seed->key[2]);
    }
    if (vlan != NO_VLAN) {
        hash = hash_mix(hash ^ seed->key[2], vlan ^ seed->key[3]);
    }
    return (uint32_t)(hash >> 32);
}

/* The tunnel that a packet's flow is inside. */
ALWAYS_INLINE uint32_t flow_vni(const packet_row *row) {
    return UNLIKELY(row->flags & PACKET_IS_OUTER) ? NO_TUNNEL_ID : row->tunnel_id;
}

ALWAYS_INLINE int same_address(const uint8_t a[16], const uint8_t b[16]) {
    uint64_t a_high, a_low, b_high, b_low;
    memcpy(&a_high, a, 8);
    memcpy(&a_low, a + 8, 8);
    memcpy(&b_high, b, 8);
    memcpy(&b_low, b + 8, 8);
    return ((a_high ^ b_high) | (a_low ^ b_low)) == 0;
}

#endif
