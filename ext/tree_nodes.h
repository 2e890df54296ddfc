/* Trees of counters as Wireshark's statistics trees keep them: destinations with protocols and ports, or hosts.
 *
 * Each node has how often it was met, and its burst: the most that came within a window of 100 ms. Wireshark (epan/
 * stats_tree.c, update_burst_calc) counts in buckets of 5 ms that stand in a list at each node; a new bucket pushes those
 * out that are 20 older, and a late packet still finds its place in what is left. The same is done here.
 *
 * Nodes and buckets are numbered and stand in two arrays, which the caller owns and makes larger when asked; a parent's
 * number is less than its children's. The index is open-addressed, of 8-byte entries (32 bits of hash, 32 bits of node
 * number).
 */
#ifndef SPANLINE_TREE_NODES_H
#define SPANLINE_TREE_NODES_H

#include "hash.h"

enum { TREE_DESTINATIONS = 0, TREE_HOSTS = 1 };
/* tree_node.level: a tree's root, an address in it, a transport below an address, a port below that. */
enum { TREE_ROOT = 0, TREE_ADDRESS = 1, TREE_TRANSPORT = 2, TREE_PORT = 3 };
/* tree_node.transport */
enum { TREE_NONE = 0, TREE_SCTP = 1, TREE_TCP = 2, TREE_UDP = 3 };

#define TREE_NO_NUMBER 0xFFFFFFFFU
#define TREE_BUCKET_NS 5000000
#define TREE_WINDOW 20 /* buckets */

/* What came within the 5 ms that `start` is in. */
typedef struct {
    int64_t start; /* of its earliest packet, in ns since the first frame */
    uint32_t count;
    uint32_t next; /* the next later bucket of the node, by number + 1; after the latest comes the earliest */
} tree_bucket;
STATIC_ASSERT(sizeof(tree_bucket) == 16, "tree_bucket");

typedef struct {
    uint8_t address[16];
    uint64_t count;
    int64_t burst_start; /* ns since the first frame */
    int64_t newest_start; /* the node's latest bucket stands in the node: most have no other */
    uint32_t newest_count;
    uint32_t older;  /* the latest of the others, by number + 1 */
    uint32_t window; /* sum of all its buckets */
    uint32_t burst;  /* the largest that this ever was */
    uint32_t parent;
    uint16_t port;
    uint8_t place; /* tree << 4 | level << 2 | transport; tree 0 is of IPv4 layers, 1 of IPv6 layers */
    uint8_t reserved;
} tree_node;
STATIC_ASSERT(sizeof(tree_node) == 64, "tree_node");

typedef struct {
    hash_seed seed;
    tree_node *nodes;
    tree_bucket *buckets;
    uint64_t *index; /* tag << 32 | node number + 1; 0 is empty */
    int64_t epoch;   /* time of the first frame */
    int64_t start[2]; /* of each tree's first tick, and of its last one, in ns since the first frame */
    int64_t last[2];
    uint64_t others;    /* ticks of nodes that there was no room for */
    uint64_t shortened; /* windows that ended early, for there was no bucket */
    uint32_t index_mask;
    uint32_t node_count;
    uint32_t node_capacity;
    uint32_t bucket_count; /* ever used */
    uint32_t bucket_capacity;
    uint32_t free_bucket; /* list of unused ones, by number + 1 */
    uint8_t kind;
    uint8_t full; /* no room will come */
} tree_tally;

/* What names a node. */
typedef struct {
    uint8_t address[16];
    uint16_t port;
    uint8_t place;
} tree_key;

ALWAYS_INLINE uint8_t tree_place(uint32_t tree, uint32_t level, uint32_t transport) {
    return (uint8_t)(tree << 4 | level << 2 | transport);
}

ALWAYS_INLINE uint32_t tree_level(uint8_t place) { return place >> 2 & 3; }

ALWAYS_INLINE uint32_t tree_tag(const tree_tally *t, const tree_key *key) {
    return (uint32_t)(hash_end(&t->seed, key->address, (uint32_t)key->port | (uint32_t)key->place << 16) >> 32);
}

ALWAYS_INLINE int tree_is(const tree_node *node, const tree_key *key) {
    return memcmp(node->address, key->address, 16) == 0 && node->port == key->port && node->place == key->place;
}

ALWAYS_INLINE uint32_t tree_find(const tree_tally *t, const tree_key *key, uint32_t tag) {
    for (uint32_t at = tag & t->index_mask; t->index[at]; at = (at + 1) & t->index_mask) {
        const uint32_t number = (uint32_t)t->index[at] - 1;
        if ((uint32_t)(t->index[at] >> 32) == tag && tree_is(&t->nodes[number], key)) {
            return number;
        }
    }
    return TREE_NO_NUMBER;
}

ALWAYS_INLINE void tree_index_insert(tree_tally *t, uint32_t tag, uint32_t number) {
    uint32_t at = tag & t->index_mask;
    while (t->index[at]) {
        at = (at + 1) & t->index_mask;
    }
    t->index[at] = (uint64_t)tag << 32 | (number + 1);
}

/* Moves every entry into a larger index; `index` is zeroed and has mask + 1 entries. */
static inline void tree_index_replace(tree_tally *t, uint64_t *index, uint32_t mask) {
    uint64_t *old = t->index;
    const uint32_t old_mask = t->index_mask;
    t->index = index;
    t->index_mask = mask;
    for (uint64_t n = 0; old && n <= old_mask; n++) {
        if (old[n]) {
            tree_index_insert(t, (uint32_t)(old[n] >> 32), (uint32_t)old[n] - 1);
        }
    }
}

/* Times may be further apart than 64 bits can say: the difference is then wrong, and nothing else. */
ALWAYS_INLINE int64_t tree_later(int64_t time, int64_t shift) { return (int64_t)((uint64_t)time + (uint64_t)shift); }

/* Floor of the quotient: time may run backwards, before the first frame. */
ALWAYS_INLINE int64_t tree_bucket_number(int64_t time) {
    const int64_t quotient = time / TREE_BUCKET_NS;
    return quotient - (time % TREE_BUCKET_NS < 0);
}

/* A bucket, by number + 1; 0 when there is none. */
static inline uint32_t tree_bucket_take(tree_tally *t) {
    const uint32_t taken = t->free_bucket;
    if (taken) {
        t->free_bucket = t->buckets[taken - 1].next;
        if (t->free_bucket) { /* it lay there since its node was met last */
            PREFETCH(&t->buckets[t->free_bucket - 1]);
        }
        return taken;
    }
    return t->bucket_count < t->bucket_capacity ? ++t->bucket_count : 0;
}

/* The window begins anew, with nothing but the latest bucket. */
ALWAYS_INLINE void tree_forget_older(tree_tally *t, tree_node *node) {
    if (node->older) {
        tree_bucket *latest = &t->buckets[node->older - 1];
        const uint32_t earliest = latest->next;
        latest->next = t->free_bucket;
        t->free_bucket = earliest;
        node->older = 0;
    }
    node->window = node->newest_count;
}

/* The earliest of the older buckets, of which there are some, leaves the window. */
ALWAYS_INLINE void tree_drop_earliest(tree_tally *t, tree_node *node) {
    tree_bucket *latest = &t->buckets[node->older - 1];
    const uint32_t dropped = latest->next;
    tree_bucket *bucket = &t->buckets[dropped - 1];
    node->window -= bucket->count;
    latest->next = bucket->next;
    node->older = dropped == node->older ? 0 : node->older;
    bucket->next = t->free_bucket;
    t->free_bucket = dropped;
}

/* A bucket behind `before`, a number + 1 of one of the older ones; 0 when there is none yet. Gives its number + 1, or 0
 * when there was no room for it, and the window then begins anew. */
static inline uint32_t tree_insert(tree_tally *t, tree_node *node, uint32_t before, int64_t start, uint32_t count) {
    const uint32_t taken = tree_bucket_take(t);
    if (UNLIKELY(!taken)) {
        t->shortened++;
        tree_forget_older(t, node);
        return 0;
    }
    tree_bucket *bucket = &t->buckets[taken - 1];
    bucket->start = start;
    bucket->count = count;
    if (before) {
        bucket->next = t->buckets[before - 1].next;
        t->buckets[before - 1].next = taken;
    } else {
        bucket->next = taken;
        node->older = taken;
    }
    return taken;
}

/* Packets that came before the node's latest bucket. */
static inline void tree_add_late(tree_tally *t, tree_node *node, int64_t now, int64_t number, uint32_t count) {
    uint32_t before = 0; /* the last bucket that is not later */
    for (uint32_t at = node->older ? t->buckets[node->older - 1].next : 0; at && before != node->older;) {
        if (tree_bucket_number(t->buckets[at - 1].start) > number) {
            break;
        }
        before = at;
        at = t->buckets[at - 1].next;
    }
    if (before == 0 && number + TREE_WINDOW <= tree_bucket_number(node->newest_start)) {
        return; /* older than all, and too old */
    }
    node->window += count;
    if (before && tree_bucket_number(t->buckets[before - 1].start) == number) {
        tree_bucket *bucket = &t->buckets[before - 1];
        bucket->count += count;
        bucket->start = now < bucket->start ? now : bucket->start;
        return;
    }
    const uint32_t made = tree_insert(t, node, before ? before : node->older, now, count);
    if (made && before && before == node->older) {
        node->older = made;
    }
}

/* The first packets after the node's latest bucket: that becomes one of the others, and those leave that are too old. */
ALWAYS_INLINE void tree_add_newest(tree_tally *t, tree_node *node, int64_t now, int64_t number, int64_t newest,
                                   uint32_t count) {
    if (number >= newest + TREE_WINDOW) {
        node->newest_count = 0;
        tree_forget_older(t, node);
    } else {
        const uint32_t made = tree_insert(t, node, node->older, node->newest_start, node->newest_count);
        node->window -= made ? 0 : node->newest_count;
        node->older = made;
        while (node->older && number >= tree_bucket_number(t->buckets[t->buckets[node->older - 1].next - 1].start) +
                                            TREE_WINDOW) {
            tree_drop_earliest(t, node);
        }
    }
    node->window += count;
    node->newest_start = now;
    node->newest_count = count;
}

/* Puts packets into the window that ends with the latest of them. */
ALWAYS_INLINE void tree_window_add(tree_tally *t, tree_node *node, int64_t now, int64_t number, uint32_t count) {
    const int64_t newest = tree_bucket_number(node->newest_start);
    if (number > newest) {
        tree_add_newest(t, node, now, number, newest, count);
    } else if (LIKELY(number == newest)) {
        node->window += count;
        node->newest_count += count;
        node->newest_start = now < node->newest_start ? now : node->newest_start;
    } else {
        tree_add_late(t, node, now, number, count);
    }
}

/* Where the window begins. */
ALWAYS_INLINE int64_t tree_window_start(const tree_tally *t, const tree_node *node) {
    return node->older ? t->buckets[t->buckets[node->older - 1].next - 1].start : node->newest_start;
}

ALWAYS_INLINE void tree_count(tree_tally *t, tree_node *node, int64_t now, int64_t number, uint32_t count) {
    node->count += count;
    tree_window_add(t, node, now, number, count);
    if (node->window > node->burst) {
        node->burst = node->window;
        node->burst_start = tree_window_start(t, node);
    }
}

/* A new node. Its first bucket is an empty one at the time of the first frame: so does Wireshark, and a burst in the
 * first 100 ms begins there. TREE_NO_NUMBER when there is no room. */
static inline uint32_t tree_add(tree_tally *t, const tree_key *key, uint32_t tag, uint32_t parent) {
    if (t->node_count == t->node_capacity) {
        return TREE_NO_NUMBER;
    }
    const uint32_t number = t->node_count++;
    tree_node *node = &t->nodes[number];
    memset(node, 0, sizeof *node);
    memcpy(node->address, key->address, 16);
    node->port = key->port;
    node->place = key->place;
    node->parent = parent;
    tree_index_insert(t, tag, number);
    return number;
}

/* The key of the node around that of `key`. */
ALWAYS_INLINE tree_key tree_key_around(const tree_key *key) {
    const uint32_t level = tree_level(key->place) - 1;
    tree_key around = *key;
    around.port = 0;
    around.place = tree_place(key->place >> 4, level, level == TREE_TRANSPORT ? key->place & 3 : TREE_NONE);
    if (level == TREE_ROOT) {
        memset(around.address, 0, 16);
    }
    return around;
}

/* The node of `key`, made with those around it where they are missing. When there is no room, the nearest around it
 * that is there, and its level tells. */
static inline uint32_t tree_reach(tree_tally *t, const tree_key *key) {
    tree_key keys[4];
    uint32_t tags[4];
    uint32_t missing = 0, number = TREE_NO_NUMBER;
    keys[0] = *key;
    for (;;) {
        tags[missing] = tree_tag(t, &keys[missing]);
        number = tree_find(t, &keys[missing], tags[missing]);
        if (number != TREE_NO_NUMBER || tree_level(keys[missing].place) == TREE_ROOT) {
            break;
        }
        keys[missing + 1] = tree_key_around(&keys[missing]);
        missing++;
    }
    if (number == TREE_NO_NUMBER) {
        number = tree_add(t, &keys[missing], tags[missing], TREE_NO_NUMBER);
        if (number == TREE_NO_NUMBER) {
            return number;
        }
    }
    while (missing > 0) {
        missing--;
        const uint32_t made = tree_add(t, &keys[missing], tags[missing], number);
        if (made == TREE_NO_NUMBER) {
            break;
        }
        number = made;
    }
    return number;
}

#endif
