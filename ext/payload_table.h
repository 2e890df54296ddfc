/* The table of conversations whose payload is kept: slabs of records that never move, the index that finds them, and the
 * SYNs that were not answered yet, which take no records. The caller owns all memory and gives more when asked.
 */
#ifndef SPANLINE_PAYLOAD_TABLE_H
#define SPANLINE_PAYLOAD_TABLE_H

#include "hash.h"
#include "hash_index.h"
#include "payload_record.h"

#ifndef PAYLOAD_SLAB_BITS /* fewer make the ends of a table come soon: for fuzzing */
#define PAYLOAD_SLAB_BITS 14
#define PAYLOAD_SYN_BITS 13
#endif

enum {
    PAYLOAD_SLAB_RECORDS = 1 << PAYLOAD_SLAB_BITS,
    PAYLOAD_SYNS = 1 << PAYLOAD_SYN_BITS,
    PAYLOAD_CLOCK_PACKETS = 1024,
};

/* A SYN; a later one may take its place. */
typedef struct {
    uint8_t source[16];
    uint8_t destination[16];
    int64_t time;
    uint32_t seq;
    uint32_t vni;
    uint16_t source_port;
    uint16_t destination_port;
    uint16_t vlan;
    uint8_t used;
    uint8_t reserved[9];
} payload_syn;
STATIC_ASSERT(sizeof(payload_syn) == 64, "payload_syn");

/* What became of packets and bytes. */
typedef struct {
    uint64_t packets;       /* taken in */
    uint64_t conversations; /* followed */
    uint64_t evicted;       /* conversations given up for others */
    uint64_t refused;       /* packets without effect, since there was no memory at all */
    uint64_t far;           /* segments and resets with sequence numbers beyond belief */
    uint64_t retransmitted; /* bytes that came again */
    uint64_t overlaps;      /* segments that repeat a part of others */
    uint64_t conflicts;     /* and differ there */
    uint64_t gaps;          /* times that bytes are missing */
    uint64_t missing;       /* bytes */
    uint64_t beyond;        /* bytes behind what is kept of a conversation */
} payload_counters;

/* Slots, each of them once. */
typedef struct {
    uint32_t *slots; /* room for every record */
    uint32_t count;
} payload_list;

typedef struct {
    hash_seed seed;
    payload_record **slabs;
    uint32_t slab_count;
    uint32_t free_first;   /* list of free records, by number + 1 */
    uint32_t record_count; /* records ever used */
    uint32_t live;
    uint32_t detached; /* of these, those that wait to be free */
    uint32_t live_limit; /* others beyond that are given up */
    uint64_t *index; /* tag << 32 | record number + 1; 0 is empty */
    uint32_t index_mask;
    uint32_t clock; /* goes on by one every PAYLOAD_CLOCK_PACKETS: who was used when */
    payload_syn *syns;
    payload_pool pool;
    uint32_t block_limit; /* conversations are given up when more blocks are taken */
    uint32_t promised;    /* blocks that are free once heads were handed out */
    payload_list due;    /* heads to hand out */
    payload_list chance; /* handed out, and not claimed yet */
    payload_list pieces; /* claimed, with pieces to hand out, or an end */
    uint32_t waits_first; /* list of conversations with payload that was not handed out early, by number + 1 */
    uint32_t waits_last;
    uint64_t serial;
    uint32_t head_bytes;
    uint32_t claimed_bytes;
    uint32_t shard; /* of `shards`: which conversations are this table's, by their hash */
    uint32_t shards;
    uint8_t key_vlan;
    uint8_t key_vni;
    uint8_t is_full; /* there is no more memory to ask for */
    uint8_t skip_silent; /* what begins as TLS, SSH or QUIC is ignored, and DNS on its port */
    payload_counters counters;
} payload_table;

ALWAYS_INLINE payload_record *payload_at(const payload_table *t, uint32_t slot) {
    return &t->slabs[slot >> PAYLOAD_SLAB_BITS][slot & (PAYLOAD_SLAB_RECORDS - 1)];
}

ALWAYS_INLINE int payload_has_record(const payload_table *t) {
    return t->free_first || t->record_count < t->slab_count << PAYLOAD_SLAB_BITS;
}

ALWAYS_INLINE int payload_in_shard(const payload_table *t, uint64_t hash) {
    return (((hash & 0xFFFFFFFFU) * t->shards) >> 32) == t->shard;
}

ALWAYS_INLINE uint32_t payload_tag(const payload_table *t, uint64_t hash, uint32_t vni, uint32_t vlan) {
    return tenant_tag(&t->seed, hash, t->key_vni ? vni : NO_TUNNEL_ID, t->key_vlan ? vlan : NO_VLAN);
}

static inline uint32_t payload_record_tag(const payload_table *t, const payload_record *r) {
    const uint64_t hash = key_hash(&t->seed, r->source, r->source_port, r->destination, r->destination_port, r->protocol);
    return payload_tag(t, hash, r->vni, r->vlan);
}

ALWAYS_INLINE void payload_index_insert(payload_table *t, uint32_t tag, uint32_t slot) {
    hash_index_insert(t->index, t->index_mask, tag, slot);
}

/* Moves every entry into a larger index; `index` is zeroed and has mask + 1 entries. */
static inline void payload_index_replace(payload_table *t, uint64_t *index, uint32_t mask) {
    hash_index_copy(t->index, t->index_mask, index, mask);
    t->index = index;
    t->index_mask = mask;
}

/* The direction of `row` in the conversation, or -1 when it is not of it. */
ALWAYS_INLINE int payload_match(const payload_table *t, const payload_record *r, const packet_row *row) {
    if (UNLIKELY(!(r->bits & PAYLOAD_LIVE) || (r->bits & PAYLOAD_DETACHED) || r->protocol != row->ip_protocol ||
                 (t->key_vni && r->vni != flow_vni(row)) || (t->key_vlan && r->vlan != row->vlan))) {
        return -1;
    }
    if (r->source_port == row->source_port && r->destination_port == row->destination_port &&
        same_address(r->source, row->source) && same_address(r->destination, row->destination)) {
        return 0;
    }
    if (r->source_port == row->destination_port && r->destination_port == row->source_port &&
        same_address(r->source, row->destination) && same_address(r->destination, row->source)) {
        return 1;
    }
    return -1;
}

ALWAYS_INLINE payload_syn *payload_syn_at(const payload_table *t, uint32_t tag) {
    return &t->syns[tag >> (32 - PAYLOAD_SYN_BITS)];
}

static inline void payload_remember_syn(payload_table *t, uint32_t tag, const packet_row *row) {
    payload_syn *syn = payload_syn_at(t, tag);
    memcpy(syn->source, row->source, 16);
    memcpy(syn->destination, row->destination, 16);
    syn->time = row->timestamp;
    syn->seq = row->tcp_seq;
    syn->vni = flow_vni(row);
    syn->source_port = row->source_port;
    syn->destination_port = row->destination_port;
    syn->vlan = row->vlan;
    syn->used = 1;
}

/* The SYN of the packet's connection, and in *way whether the packet's source (0) or destination (1) sent it; or NULL. */
static inline payload_syn *payload_recall_syn(const payload_table *t, uint32_t tag, const packet_row *row, int *way) {
    payload_syn *syn = payload_syn_at(t, tag);
    if (!syn->used || (t->key_vni && syn->vni != flow_vni(row)) || (t->key_vlan && syn->vlan != row->vlan)) {
        return NULL;
    }
    if (syn->source_port == row->source_port && syn->destination_port == row->destination_port &&
        same_address(syn->source, row->source) && same_address(syn->destination, row->destination)) {
        *way = 0;
        return syn;
    }
    *way = 1;
    return syn->source_port == row->destination_port && syn->destination_port == row->source_port &&
                   same_address(syn->source, row->destination) && same_address(syn->destination, row->source)
               ? syn
               : NULL;
}

/* A list has each slot once; `bit` of the record says that it is in it. */
ALWAYS_INLINE void payload_put(payload_table *t, payload_list *list, uint32_t bit, uint32_t slot) {
    payload_record *r = payload_at(t, slot);
    if (!(r->bits & bit)) {
        r->bits = (uint16_t)(r->bits | bit);
        list->slots[list->count++] = slot;
    }
}

/* The conversation waits to be handed out early. */
static inline void payload_wait(payload_table *t, payload_record *r, uint32_t slot) {
    r->waits_previous = t->waits_last;
    r->waits_next = 0;
    if (t->waits_last) {
        payload_at(t, t->waits_last - 1)->waits_next = slot + 1;
    } else {
        t->waits_first = slot + 1;
    }
    t->waits_last = slot + 1;
    r->bits |= PAYLOAD_WAITS;
}

static inline void payload_wait_no_more(payload_table *t, payload_record *r) {
    r->bits |= PAYLOAD_EARLY;
    if (!(r->bits & PAYLOAD_WAITS)) {
        return;
    }
    r->bits &= (uint16_t)~PAYLOAD_WAITS;
    if (r->waits_previous) {
        payload_at(t, r->waits_previous - 1)->waits_next = r->waits_next;
    } else {
        t->waits_first = r->waits_next;
    }
    if (r->waits_next) {
        payload_at(t, r->waits_next - 1)->waits_previous = r->waits_previous;
    } else {
        t->waits_last = r->waits_previous;
    }
}

/* The slot of a record for a new conversation, in the index; there is a free one. */
static inline uint32_t payload_take(payload_table *t, uint32_t tag) {
    uint32_t slot = t->record_count;
    t->live++;
    if (t->free_first) {
        slot = t->free_first - 1;
        t->free_first = payload_at(t, slot)->used;
    } else {
        t->record_count++;
    }
    payload_index_insert(t, tag, slot);
    return slot;
}

/* Frees a record that is out of the index, in no list, and keeps nothing. */
static inline void payload_free(payload_table *t, uint32_t slot) {
    payload_record *r = payload_at(t, slot);
    r->bits = 0;
    r->used = t->free_first;
    t->free_first = slot + 1;
    t->live--;
    t->detached--;
}

#endif
