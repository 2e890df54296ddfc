/* Which of several workers a frame belongs to, and frames on their way to others.
 *
 * Both directions of a flow belong to one worker: each end is mixed by itself and the two are added. The rule takes the
 * innermost addresses, and the ports of TCP and UDP; so it is never finer than the key of a flow. It has to be a program
 * of the kernel's packet filter too (workers/kernel_rule.py), which has 32 bits and no secret: who aims at one worker
 * only loads it.
 */
#ifndef SPANLINE_EXCHANGE_H
#define SPANLINE_EXCHANGE_H

#include "transport.h"

enum {
    MOST_WORKERS = 62,
    OWNER_ALL = 62,  /* fragments: only the first of a datagram has ports */
    OWNER_HERE = 63, /* no flow: stays with the worker that it came to */
    OWNERS = 64,
    EXCHANGE_PORT = 0x61C88647,
    EXCHANGE_END = 0x5BD1E995,
};

/* One end. IPv6 addresses are folded. */
ALWAYS_INLINE uint32_t exchange_end(const uint8_t address[16], uint32_t version, uint32_t port) {
    const bytes_view words = {address, 16};
    uint32_t mixed = view_be32(words, 12);
    if (version == 6) {
        mixed ^= view_be32(words, 0) ^ view_be32(words, 4) ^ view_be32(words, 8);
    }
    mixed += port * EXCHANGE_PORT;
    mixed ^= mixed >> 15;
    mixed *= EXCHANGE_END;
    return mixed ^ (mixed >> 13);
}

ALWAYS_INLINE uint8_t flow_owner(const packet_row *row, uint32_t workers) {
    const int has_ports = row->ip_protocol == IP_TCP || row->ip_protocol == IP_UDP;
    uint32_t mixed = exchange_end(row->source, row->ip_version, has_ports ? row->source_port : 0) +
                     exchange_end(row->destination, row->ip_version, has_ports ? row->destination_port : 0);
    mixed ^= mixed >> 16;
    return (uint8_t)(mixed % workers);
}

/* The owner of a row that was decoded for reassembly. */
ALWAYS_INLINE uint8_t frame_owner(const packet_row *row, uint32_t workers) {
    if (UNLIKELY(row->flags & PACKET_IS_FRAGMENT)) {
        return OWNER_ALL;
    }
    return LIKELY(row->ip_version != 0) ? flow_owner(row, workers) : OWNER_HERE;
}

/* Frames and their bytes by owner. */
typedef struct {
    uint64_t frames[OWNERS];
    uint64_t octets[OWNERS];
} owner_totals;
STATIC_ASSERT(sizeof(owner_totals) == 16 * OWNERS, "owner_totals");

static inline void owners_find(const packet_row *rows, uint32_t count, uint32_t workers, uint8_t *owners,
                               owner_totals *totals) {
    for (uint32_t n = 0; n < count; n++) {
        const uint8_t owner = owners[n] = frame_owner(&rows[n], workers);
        totals->frames[owner]++;
        totals->octets[owner] += rows[n].captured_length;
    }
}

/* Which rows are the worker's after reassembly: own[n] is 1 for them. A fragment that completed no datagram is one of a
 * flow without ports. */
static inline void rows_of_owner(const packet_row *rows, uint32_t count, uint32_t workers, uint32_t number, uint8_t *own) {
    for (uint32_t n = 0; n < count; n++) {
        const uint8_t owner = rows[n].ip_version ? flow_owner(&rows[n], workers) : OWNER_HERE;
        own[n] = owner == number || owner == OWNER_HERE;
    }
}

/* Copies the frames of `owner` and those of all, one after another, as far as there is room for `capacity` records and
 * `room` bytes; returns how many. Frames that are not inside `data` are left out. */
static inline uint32_t frames_gather(const uint8_t *data, uint32_t size, const frame_record *records, uint32_t count,
                                     const uint8_t *owners, uint8_t owner, frame_record *out, uint32_t capacity,
                                     uint8_t *octets, uint32_t room) {
    uint32_t copied = 0, used = 0;
    bytes_view frame;
    for (uint32_t n = 0; n < count && copied < capacity; n++) {
        if (owners[n] != owner && owners[n] != OWNER_ALL) {
            continue;
        }
        cursor c = {data, records[n].offset, size};
        if (!cursor_take(&c, records[n].captured_length, &frame) || frame.length > room - used) {
            continue;
        }
        view_copy(frame, 0, octets + used, frame.length);
        out[copied] = records[n];
        out[copied].offset = used;
        out[copied].options = 0; /* those of a file's block, which are not copied */
        used += frame.length;
        copied++;
    }
    return copied;
}

#endif
