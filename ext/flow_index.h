/* The flow table's memory: slabs of records that never move, and the index that finds them. The caller owns all memory and
 * gives more when asked.
 */
#ifndef SPANLINE_FLOW_INDEX_H
#define SPANLINE_FLOW_INDEX_H

#include "flow_names.h"
#include "hash.h"
#include "hash_index.h"

#ifndef FLOW_SLAB_BITS /* fewer make the ends of a table come soon: for fuzzing */
#define FLOW_SLAB_BITS 14
#endif

enum {
    SLAB_BITS = FLOW_SLAB_BITS,
    SLAB_RECORDS = 1 << SLAB_BITS,
};

typedef struct {
    hash_seed seed;
    flow_record **slabs;
    uint32_t slab_count;
    uint32_t free_first; /* list of free records, by number + 1 */
    uint32_t record_count; /* records ever used */
    uint32_t live;
    uint64_t *index; /* tag << 32 | record number + 1; 0 is empty */
    uint32_t index_mask;
    flow_record *output;
    uint32_t output_count;
    uint32_t output_capacity;
    int64_t idle_timeout;   /* ns; 0 is off */
    int64_t active_timeout; /* ns; 0 is off */
    int64_t next_sweep;
    int64_t sweep_floor; /* no clock that was right when next_sweep was set can be before it */
    int64_t previous_timestamp;
    uint64_t flow_packets;
    uint64_t non_flow_packets; /* decoded, and without an IP layer */
    uint64_t evicted;
    uint32_t shard; /* of `shards`: which flows are this table's, by their hash */
    uint32_t shards;
    flow_names names;
    uint8_t key_vlan;
    uint8_t key_vni;
    uint8_t whole_frames; /* count bytes of the whole frame, not of the innermost one */
} flow_table;

ALWAYS_INLINE flow_record *flow_at(const flow_table *t, uint32_t number) {
    return &t->slabs[number >> SLAB_BITS][number & (SLAB_RECORDS - 1)];
}

/* The part of a flow's hash that the index keeps, with the tenant where tenants are kept apart. The other 32 bits choose
 * the shard. */
ALWAYS_INLINE uint32_t tag_of(const flow_table *t, uint64_t hash, uint32_t vni, uint32_t vlan) {
    return tenant_tag(&t->seed, hash, t->key_vni ? vni : NO_TUNNEL_ID, t->key_vlan ? vlan : NO_VLAN);
}

/* flow_hash() of a record's key. */
static inline uint64_t record_hash(const flow_table *t, const flow_record *flow) {
    return key_hash(&t->seed, flow->source, flow->source_port, flow->destination, flow->destination_port,
                    flow->protocol);
}

static inline uint32_t record_tag(const flow_table *t, const flow_record *flow) {
    return tag_of(t, record_hash(t, flow), flow->vni, flow->vlan);
}

ALWAYS_INLINE int in_shard(const flow_table *t, uint64_t hash) {
    return (((hash & 0xFFFFFFFFU) * t->shards) >> 32) == t->shard;
}

ALWAYS_INLINE void index_insert(flow_table *t, uint32_t tag, uint32_t number) {
    hash_index_insert(t->index, t->index_mask, tag, number);
}

/* Moves every entry into a larger index; `index` is zeroed and has mask + 1 entries. */
static inline void index_replace(flow_table *t, uint64_t *index, uint32_t mask) {
    hash_index_copy(t->index, t->index_mask, index, mask);
    t->index = index;
    t->index_mask = mask;
}

ALWAYS_INLINE int has_free_record(const flow_table *t) {
    return t->free_first || t->record_count < t->slab_count << SLAB_BITS;
}

/* A record for a new flow; there is a free one. */
static inline uint32_t record_take(flow_table *t) {
    t->live++;
    if (t->free_first) {
        uint32_t number = t->free_first - 1;
        t->free_first = flow_at(t, number)->vni;
        return number;
    }
    return t->record_count++;
}

static inline void record_release(flow_table *t, uint32_t number) {
    flow_record *flow = flow_at(t, number);
    hash_index_remove(t->index, t->index_mask, record_tag(t, flow), number);
    flow->flags = 0;
    flow->vni = t->free_first;
    t->free_first = number + 1;
    t->live--;
}

/* Takes over a flow that lived in another table. 0 when no record is free. */
static inline int record_adopt(flow_table *t, const flow_record *flow) {
    if (!has_free_record(t)) {
        return 0;
    }
    uint32_t number = record_take(t);
    *flow_at(t, number) = *flow;
    index_insert(t, record_tag(t, flow), number);
    return 1;
}

#endif
