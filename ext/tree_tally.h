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
#ifndef SPANLINE_TREE_TALLY_H
#define SPANLINE_TREE_TALLY_H

#include "hash.h"

enum { TREE_DESTINATIONS = 0, TREE_HOSTS = 1 };
/* tree_node.level: a tree's root, an address in it, a transport below an address, a port below that. */
enum { TREE_ROOT = 0, TREE_ADDRESS = 1, TREE_TRANSPORT = 2, TREE_PORT = 3 };
/* tree_node.transport */
enum { TREE_NONE = 0, TREE_SCTP = 1, TREE_TCP = 2, TREE_UDP = 3 };

enum {
    TREE_BLOCK = 64,                         /* rows that are worked on at a time */
    TREE_TICKS = TREE_BLOCK * 4,             /* both trees, both addresses */
    TREE_NODES_PER_BLOCK = TREE_BLOCK * 8,   /* that a block may need: in both trees four */
    TREE_BUCKETS_PER_BLOCK = TREE_BLOCK * 16 /* and each begins with two */
};
enum { TREE_DONE = 0, TREE_WANT_ROOM = 1 };

#define TREE_NO_NUMBER 0xFFFFFFFFU
#define TREE_BUCKET_NS 5000000
#define TREE_WINDOW 20 /* buckets */

/* What came within the 5 ms that `start` is in. */
typedef struct {
    int64_t start; /* of its earliest packet, in ns since the first frame */
    uint32_t count;
    uint32_t next; /* the next later bucket of the node */
} tree_bucket;
STATIC_ASSERT(sizeof(tree_bucket) == 16, "tree_bucket");

typedef struct {
    uint8_t address[16];
    uint64_t count;
    int64_t burst_start; /* ns since the first frame */
    uint32_t burst;      /* the most in a window */
    uint32_t window;     /* in the window that ends now */
    uint32_t oldest;     /* of its buckets; there is always one */
    uint32_t newest;
    uint32_t parent;
    uint32_t tag; /* 32 bits of the key's hash */
    uint16_t port;
    uint8_t tree; /* 0: of IPv4 layers, 1: of IPv6 layers */
    uint8_t level;
    uint8_t transport;
    uint8_t reserved[3];
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
    uint8_t tree;
    uint8_t level;
    uint8_t transport;
} tree_key;

typedef struct {
    tree_key key;
    int64_t now;
    uint32_t tag;
    uint32_t number; /* a guess */
    uint16_t count;
    uint8_t with_root;
} tree_tick;

ALWAYS_INLINE uint32_t tree_tag(const tree_tally *t, const tree_key *key) {
    const uint32_t rest = (uint32_t)key->port | (uint32_t)key->tree << 16 | (uint32_t)key->level << 18 |
                          (uint32_t)key->transport << 20;
    return (uint32_t)(hash_end(&t->seed, key->address, rest) >> 32);
}

ALWAYS_INLINE int tree_is(const tree_node *node, const tree_key *key) {
    return memcmp(node->address, key->address, 16) == 0 && node->port == key->port && node->tree == key->tree &&
           node->level == key->level && node->transport == key->transport;
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

/* Makes a zeroed `index` of mask + 1 entries the index. */
static inline void tree_index_replace(tree_tally *t, uint64_t *index, uint32_t mask) {
    t->index = index;
    t->index_mask = mask;
    for (uint32_t n = 0; n < t->node_count; n++) {
        tree_index_insert(t, t->nodes[n].tag, n);
    }
}

/* Times may be further apart than 64 bits can say: the difference is then wrong, and nothing else. */
ALWAYS_INLINE int64_t tree_later(int64_t time, int64_t shift) { return (int64_t)((uint64_t)time + (uint64_t)shift); }

/* Floor of the quotient: time may run backwards, before the first frame. */
ALWAYS_INLINE int64_t tree_bucket_number(int64_t time) {
    const int64_t quotient = time / TREE_BUCKET_NS;
    return quotient - (time % TREE_BUCKET_NS < 0);
}

static inline uint32_t tree_bucket_take(tree_tally *t) {
    if (t->free_bucket) {
        const uint32_t number = t->free_bucket - 1;
        t->free_bucket = t->buckets[number].next;
        return number;
    }
    return t->bucket_count < t->bucket_capacity ? t->bucket_count++ : TREE_NO_NUMBER;
}

/* The oldest bucket leaves the window; there is another one. */
static inline uint32_t tree_bucket_drop(tree_tally *t, tree_node *node) {
    const uint32_t number = node->oldest;
    node->window -= t->buckets[number].count;
    node->oldest = t->buckets[number].next;
    return number;
}

static inline void tree_bucket_release(tree_tally *t, uint32_t number) {
    t->buckets[number].next = t->free_bucket;
    t->free_bucket = number + 1;
}

/* Puts `count` packets that came at `now` into the window of `node`. */
static inline void tree_window_add(tree_tally *t, tree_node *node, int64_t now, uint32_t count) {
    const int64_t number = tree_bucket_number(now);
    tree_bucket *newest = &t->buckets[node->newest];
    const int64_t last = tree_bucket_number(newest->start);
    if (LIKELY(number == last)) {
        newest->count += count;
        newest->start = now < newest->start ? now : newest->start;
        node->window += count;
        return;
    }
    uint32_t before = TREE_NO_NUMBER; /* the bucket that the new one follows */
    if (number > last) {
        before = node->newest;
    } else if (number >= tree_bucket_number(t->buckets[node->oldest].start)) {
        for (uint32_t at = node->oldest; tree_bucket_number(t->buckets[at].start) <= number; at = t->buckets[at].next) {
            before = at;
        }
        tree_bucket *found = &t->buckets[before];
        if (tree_bucket_number(found->start) == number) {
            found->count += count;
            found->start = now < found->start ? now : found->start;
            node->window += count;
            return;
        }
    } else if (number + TREE_WINDOW <= last) {
        return; /* too old */
    }
    const uint32_t fresh = tree_bucket_take(t);
    if (UNLIKELY(fresh == TREE_NO_NUMBER)) { /* the window begins anew */
        while (node->oldest != node->newest) {
            tree_bucket_release(t, tree_bucket_drop(t, node));
        }
        t->buckets[node->oldest].start = now;
        t->buckets[node->oldest].count = node->window = count;
        t->shortened++;
        return;
    }
    t->buckets[fresh].start = now;
    t->buckets[fresh].count = count;
    if (before == TREE_NO_NUMBER) {
        t->buckets[fresh].next = node->oldest;
        node->oldest = fresh;
    } else {
        t->buckets[fresh].next = t->buckets[before].next;
        t->buckets[before].next = fresh;
        node->newest = before == node->newest ? fresh : node->newest;
    }
    node->window += count;
    if (number > last) {
        while (number >= tree_bucket_number(t->buckets[node->oldest].start) + TREE_WINDOW) {
            tree_bucket_release(t, tree_bucket_drop(t, node));
        }
    }
}

ALWAYS_INLINE void tree_count(tree_tally *t, tree_node *node, int64_t now, uint32_t count) {
    node->count += count;
    tree_window_add(t, node, now, count);
    if (node->window > node->burst) {
        node->burst = node->window;
        node->burst_start = t->buckets[node->oldest].start;
    }
}

/* A new node. Its first bucket is an empty one at the time of the first frame: so does Wireshark, and a burst in the
 * first 100 ms begins there. TREE_NO_NUMBER when there is no room. */
static inline uint32_t tree_add(tree_tally *t, const tree_key *key, uint32_t tag, uint32_t parent) {
    if (t->node_count == t->node_capacity || 4 * (uint64_t)t->node_count >= 3 * (uint64_t)t->index_mask) {
        return TREE_NO_NUMBER;
    }
    const uint32_t bucket = tree_bucket_take(t);
    if (bucket == TREE_NO_NUMBER) {
        return TREE_NO_NUMBER;
    }
    memset(&t->buckets[bucket], 0, sizeof t->buckets[bucket]);
    const uint32_t number = t->node_count++;
    tree_node *node = &t->nodes[number];
    memset(node, 0, sizeof *node);
    memcpy(node->address, key->address, 16);
    node->port = key->port;
    node->tree = key->tree;
    node->level = key->level;
    node->transport = key->transport;
    node->parent = parent;
    node->tag = tag;
    node->oldest = node->newest = bucket;
    tree_index_insert(t, tag, number);
    return number;
}

/* The key of the node around that of `key`. */
ALWAYS_INLINE tree_key tree_key_around(const tree_key *key) {
    tree_key around = *key;
    around.port = 0;
    if (key->level == TREE_PORT) {
        around.level = TREE_TRANSPORT;
    } else {
        around.transport = TREE_NONE;
        around.level = key->level == TREE_TRANSPORT ? TREE_ADDRESS : TREE_ROOT;
    }
    if (around.level == TREE_ROOT) {
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
        if (number != TREE_NO_NUMBER || keys[missing].level == TREE_ROOT) {
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

/* The transport header that an ICMP error quotes, of the row `packet`. */
typedef struct {
    uint32_t packet;
    uint16_t destination_port;
    uint8_t transport;
    uint8_t reserved;
} tree_quote;
STATIC_ASSERT(sizeof(tree_quote) == 8, "tree_quote");

/* What belongs to rows, each by packet, and how much of it belongs to rows that were counted. */
typedef struct {
    const tunnel_row *tunnels;
    const tree_quote *quotes;
    uint32_t tunnel_count;
    uint32_t quote_count;
    uint32_t tunnel;
    uint32_t quote;
} tree_extras;

/* The transport and port that Wireshark has in mind when a frame was read to its end: of the last header that has some,
 * which may be a quoted one. */
ALWAYS_INLINE void tree_transport(tree_key *key, const packet_row *row, const tree_quote *quote,
                                  const tunnel_row *tunnels, uint32_t count) {
    if (UNLIKELY(quote != NULL)) {
        key->transport = quote->transport;
        key->port = quote->destination_port;
        return;
    }
    /* Of a UDP header Wireshark takes the ports when it was read to its end. */
    const int cut = row->verdict_layer == PROTOCOL_UDP &&
                    (row->verdict == VERDICT_TRUNCATED || (row->verdict == VERDICT_MALFORMED && row->payload_length < 8));
    if (LIKELY((row->flags & PACKET_HAS_TRANSPORT) && !cut)) {
        const uint32_t protocol = row->ip_protocol;
        const uint32_t transport = protocol == IP_TCP    ? TREE_TCP
                                   : protocol == IP_UDP  ? TREE_UDP
                                   : protocol == IP_SCTP ? TREE_SCTP
                                                         : TREE_NONE;
        if (LIKELY(transport != TREE_NONE)) {
            key->transport = (uint8_t)transport;
            key->port = row->destination_port;
            return;
        }
    }
    for (uint32_t n = count; n > 0; n--) {
        if (tunnels[n - 1].kind == TUNNEL_VXLAN) {
            key->transport = TREE_UDP;
            key->port = tunnels[n - 1].destination_port;
            return;
        }
    }
}

/* How many IPv4 and IPv6 layers are in the frames of each path. */
typedef struct {
    uint8_t layers[2];
} tree_weight;

/* The ticks of one row. */
ALWAYS_INLINE uint32_t tree_ticks_of(tree_tally *t, const packet_row *row, uint32_t packet, tree_weight weight,
                                     tree_extras *extras, tree_tick *ticks) {
    const tunnel_row *tunnels = extras->tunnels + extras->tunnel;
    const tree_quote *quote = NULL;
    uint32_t count = 0, tunnel_count = 0;
    while (UNLIKELY(extras->tunnel < extras->tunnel_count && extras->tunnels[extras->tunnel].packet <= packet)) {
        extras->tunnel++;
        tunnel_count++;
    }
    while (UNLIKELY(extras->quote < extras->quote_count && extras->quotes[extras->quote].packet <= packet)) {
        quote = &extras->quotes[extras->quote++];
    }
    if (UNLIKELY(row->verdict == VERDICT_TRUNCATED || row->verdict == VERDICT_MALFORMED)) {
        /* Of a header that was cut nobody is told. */
        const uint32_t tree = row->verdict_layer == PROTOCOL_IPV6;
        if ((tree || row->verdict_layer == PROTOCOL_IPV4) && weight.layers[tree]) {
            weight.layers[tree]--;
        }
    }
    if (UNLIKELY(weight.layers[0] + weight.layers[1] > row->tunnel_count + 1 && weight.layers[0])) {
        weight.layers[0]--; /* announced as IPv4, and IPv6 */
    }
    for (uint8_t tree = 0; tree < 2; tree++) {
        if (weight.layers[tree] == 0) {
            continue;
        }
        tree_tick *tick = &ticks[count++];
        memset(tick, 0, sizeof *tick);
        tick->now = tree_later(row->timestamp, (int64_t)(0 - (uint64_t)t->epoch));
        tick->count = weight.layers[tree];
        tick->key.tree = tree;
        tick->with_root = 1;
        memcpy(tick->key.address, row->destination, 16);
        if (t->kind == TREE_DESTINATIONS) {
            tick->key.level = TREE_PORT;
            tree_transport(&tick->key, row, quote, tunnels, tunnel_count);
        } else {
            tick->key.level = TREE_ADDRESS;
            ticks[count] = *tick;
            memcpy(ticks[count].key.address, row->source, 16);
            ticks[count++].with_root = 0;
        }
        /* Wireshark's clock of a tree starts anew while it is before the first frame. */
        t->start[tree] = t->start[tree] < 0 ? tick->now : t->start[tree];
        t->last[tree] = tick->now;
    }
    return count;
}

ALWAYS_INLINE void tree_guess(const tree_tally *t, tree_tick *tick) {
    tick->number = TREE_NO_NUMBER;
    for (uint32_t at = tick->tag & t->index_mask; t->index[at]; at = (at + 1) & t->index_mask) {
        if ((uint32_t)(t->index[at] >> 32) == tick->tag) {
            tick->number = (uint32_t)t->index[at] - 1;
            PREFETCH(&t->nodes[tick->number]);
            return;
        }
    }
}

static inline void tree_apply(tree_tally *t, const tree_tick *tick) {
    uint32_t number = tick->number;
    if (UNLIKELY(number == TREE_NO_NUMBER || !tree_is(&t->nodes[number], &tick->key))) {
        number = tree_reach(t, &tick->key);
        if (number == TREE_NO_NUMBER || t->nodes[number].level != tick->key.level) {
            t->others += tick->count;
        }
    }
    while (number != TREE_NO_NUMBER) {
        tree_node *node = &t->nodes[number];
        if (tick->with_root || node->level != TREE_ROOT) {
            tree_count(t, node, tick->now, tick->count);
        }
        number = node->parent;
    }
}

/* Counts rows[*from…count); `weights` has `paths` entries. TREE_WANT_ROOM: there may be too little for the next rows. */
static inline int tree_update(tree_tally *t, const packet_row *rows, uint32_t count, const tree_weight *weights,
                              uint32_t paths, tree_extras *extras, uint32_t *from) {
    tree_tick ticks[TREE_TICKS];
    while (*from < count) {
        if (UNLIKELY(!t->full && (t->node_capacity - t->node_count < TREE_NODES_PER_BLOCK ||
                                  t->bucket_capacity - t->bucket_count < TREE_BUCKETS_PER_BLOCK))) {
            return TREE_WANT_ROOM;
        }
        const uint32_t to = count - *from < TREE_BLOCK ? count : *from + TREE_BLOCK;
        uint32_t made = 0;
        for (uint32_t n = *from; n < to; n++) {
            const packet_row *row = &rows[n];
            const tree_weight weight = row->path < paths ? weights[row->path] : (tree_weight){{0, 0}};
            made += tree_ticks_of(t, row, n, weight, extras, &ticks[made]);
        }
        for (uint32_t k = 0; k < made; k++) {
            ticks[k].tag = tree_tag(t, &ticks[k].key);
            PREFETCH(&t->index[ticks[k].tag & t->index_mask]);
        }
        for (uint32_t k = 0; k < made; k++) {
            tree_guess(t, &ticks[k]);
        }
        for (uint32_t k = 0; k < made; k++) {
            if (ticks[k].number != TREE_NO_NUMBER) {
                const tree_node *node = &t->nodes[ticks[k].number];
                PREFETCH(&t->buckets[node->newest]);
                PREFETCH(&t->nodes[node->parent == TREE_NO_NUMBER ? 0 : node->parent]);
            }
        }
        for (uint32_t k = 0; k < made; k++) {
            tree_apply(t, &ticks[k]);
        }
        *from = to;
    }
    return TREE_DONE;
}

/* Copies the buckets of all nodes, one node's after the other's, oldest first, and the nodes, whose `oldest` and
 * `newest` then say which of them are theirs. There is room for as many nodes as there are and for `*count` buckets;
 * returns how many there are. */
static inline uint32_t tree_save(const tree_tally *t, tree_node *nodes, tree_bucket *buckets, uint32_t room) {
    uint32_t used = 0;
    for (uint32_t n = 0; n < t->node_count; n++) {
        const uint32_t first = used;
        for (uint32_t at = t->nodes[n].oldest;; at = t->buckets[at].next) {
            if (nodes && used < room) {
                buckets[used] = t->buckets[at];
                buckets[used].next = 0;
            }
            used++;
            if (at == t->nodes[n].newest) {
                break;
            }
        }
        if (nodes) {
            nodes[n] = t->nodes[n];
            nodes[n].oldest = first;
            nodes[n].newest = used - 1;
        }
    }
    return used;
}

/* Whether saved nodes and buckets can be: parents before children, buckets of theirs in order. */
static inline int tree_is_sound(const tree_node *nodes, uint32_t node_count, const tree_bucket *buckets,
                                uint32_t bucket_count) {
    uint32_t next = 0;
    for (uint32_t n = 0; n < node_count; n++) {
        const tree_node *node = &nodes[n];
        if (node->tree > 1 || node->level > TREE_PORT || node->transport > TREE_UDP || node->oldest != next ||
            node->newest < next || node->newest - next > TREE_WINDOW || node->newest >= bucket_count ||
            (node->level == TREE_ROOT) != (node->parent == TREE_NO_NUMBER) ||
            (node->level != TREE_ROOT && (node->parent >= n || nodes[node->parent].level + 1 != node->level ||
                                          nodes[node->parent].tree != node->tree))) {
            return 0;
        }
        for (uint32_t b = node->oldest; b < node->newest; b++) {
            if (buckets[b].start > buckets[b + 1].start) {
                return 0;
            }
        }
        next = node->newest + 1;
    }
    return next == bucket_count;
}

/* Adds `shift` to all times. Of buckets that come to stand in the same 5 ms each keeps its place in the list. */
static inline void tree_shift(tree_tally *t, int64_t shift) {
    for (uint32_t n = 0; n < t->node_count; n++) {
        tree_node *node = &t->nodes[n];
        node->burst_start = tree_later(node->burst_start, shift);
        for (uint32_t at = node->oldest;; at = t->buckets[at].next) {
            t->buckets[at].start = tree_later(t->buckets[at].start, shift);
            if (at == node->newest) {
                break;
            }
        }
    }
    for (uint32_t tree = 0; tree < 2; tree++) {
        t->start[tree] = t->start[tree] < 0 ? -1 : tree_later(t->start[tree], shift);
        t->last[tree] = tree_later(t->last[tree], shift);
    }
}

/* Adds a saved node to the tree: counts add up, windows are put together, and the burst is the largest that either saw
 * or that is in what is left of both windows. `shift` is added to its times. 0 when there is no room for it. */
static inline int tree_merge_node(tree_tally *t, const tree_node *saved, const tree_bucket *buckets, int64_t shift) {
    tree_key key;
    memset(&key, 0, sizeof key);
    memcpy(key.address, saved->address, 16);
    key.port = saved->port;
    key.tree = saved->tree;
    key.level = saved->level;
    key.transport = saved->transport;
    const uint32_t number = tree_reach(t, &key);
    if (number == TREE_NO_NUMBER || t->nodes[number].level != key.level) {
        return 0;
    }
    tree_node *node = &t->nodes[number];
    const int fresh = node->count == 0;
    const int64_t burst_start = tree_later(saved->burst_start, shift);
    if (saved->burst > node->burst || (saved->burst == node->burst && burst_start < node->burst_start)) {
        node->burst = saved->burst;
        node->burst_start = burst_start;
    }
    node->count += saved->count;
    for (uint32_t n = saved->oldest; n <= saved->newest; n++) {
        const int64_t start = tree_later(buckets[n].start, shift);
        if (fresh && n == saved->oldest) { /* instead of the empty one that a node begins with */
            t->buckets[node->oldest].start = start;
            t->buckets[node->oldest].count = node->window = buckets[n].count;
        } else {
            tree_window_add(t, node, start, buckets[n].count);
        }
    }
    if (node->window > node->burst) {
        node->burst = node->window;
        node->burst_start = t->buckets[node->oldest].start;
    }
    return 1;
}

#endif
