/* Packet rows into trees of counters: what each row counts at, and that by the block, so that memory is asked for before
 * it is needed. */
#ifndef SPANLINE_TREE_TALLY_H
#define SPANLINE_TREE_TALLY_H

#include "tree_nodes.h"

enum {
    TREE_BLOCK = 64,                         /* rows that are worked on at a time */
    TREE_TICKS = TREE_BLOCK * 4,             /* both trees, both addresses */
    TREE_NODES_PER_BLOCK = TREE_BLOCK * 8,   /* that a block may need: in both trees four */
    TREE_BUCKETS_PER_BLOCK = TREE_BLOCK * 8  /* each may want one */
};
enum { TREE_DONE = 0, TREE_WANT_ROOM = 1 };

typedef struct {
    tree_key key;
    int64_t now;    /* ns since the first frame */
    int64_t bucket; /* number of the 5 ms that `now` is in */
    uint32_t tag;
    uint32_t number; /* a guess */
    uint32_t around[2]; /* the nodes around that */
    uint16_t count;
    uint8_t with_root;
} tree_tick;

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
ALWAYS_INLINE uint32_t tree_transport(tree_key *key, const packet_row *row, const tree_quote *quote,
                                      const tunnel_row *tunnels, uint32_t count) {
    if (UNLIKELY(quote != NULL)) {
        key->port = quote->destination_port;
        return quote->transport;
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
            key->port = row->destination_port;
            return transport;
        }
    }
    for (uint32_t n = count; n > 0; n--) {
        if (is_over_udp(&tunnels[n - 1])) {
            key->port = tunnels[n - 1].destination_port;
            return TREE_UDP;
        }
    }
    return TREE_NONE;
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
    const int64_t now = tree_later(row->timestamp, (int64_t)(0 - (uint64_t)t->epoch));
    const int64_t number = tree_bucket_number(now);
    for (uint32_t tree = 0; tree < 2; tree++) {
        if (weight.layers[tree] == 0) {
            continue;
        }
        tree_tick *tick = &ticks[count++];
        tick->now = now;
        tick->bucket = number;
        tick->count = weight.layers[tree];
        tick->with_root = 1;
        memcpy(tick->key.address, row->destination, 16);
        tick->key.port = 0;
        if (t->kind == TREE_DESTINATIONS) {
            tick->key.place = tree_place(tree, TREE_PORT, tree_transport(&tick->key, row, quote, tunnels, tunnel_count));
        } else {
            tick->key.place = tree_place(tree, TREE_ADDRESS, TREE_NONE);
            ticks[count] = *tick;
            memcpy(ticks[count].key.address, row->source, 16);
            ticks[count++].with_root = 0;
        }
        /* Wireshark's clock of a tree starts anew while it is before the first frame. */
        t->start[tree] = t->start[tree] < 0 ? now : t->start[tree];
        t->last[tree] = now;
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

/* What counting at a node touches, in the order in which one leads to the other: the node, its latest older bucket, the
 * earliest one. Gives the node around it. */
ALWAYS_INLINE uint32_t tree_prefetch_around(const tree_tally *t, uint32_t number) {
    if (UNLIKELY(number == TREE_NO_NUMBER)) {
        return number;
    }
    const tree_node *node = &t->nodes[number];
    if (node->older) {
        PREFETCH(&t->buckets[node->older - 1]);
    }
    if (LIKELY(node->parent != TREE_NO_NUMBER)) {
        PREFETCH(&t->nodes[node->parent]);
    }
    return node->parent;
}

ALWAYS_INLINE void tree_prefetch_earliest(const tree_tally *t, uint32_t number) {
    if (LIKELY(number != TREE_NO_NUMBER) && t->nodes[number].older) {
        PREFETCH(&t->buckets[t->buckets[t->nodes[number].older - 1].next - 1]);
    }
}

static inline void tree_apply(tree_tally *t, const tree_tick *tick) {
    uint32_t number = tick->number;
    if (UNLIKELY(number == TREE_NO_NUMBER || !tree_is(&t->nodes[number], &tick->key))) {
        number = tree_reach(t, &tick->key);
        if (number == TREE_NO_NUMBER || t->nodes[number].place != tick->key.place) {
            t->others += tick->count;
        }
    }
    while (number != TREE_NO_NUMBER) {
        tree_node *node = &t->nodes[number];
        if (tick->with_root || node->parent != TREE_NO_NUMBER) {
            tree_count(t, node, tick->now, tick->bucket, tick->count);
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
            ticks[k].around[0] = tree_prefetch_around(t, ticks[k].number);
        }
        for (uint32_t k = 0; k < made; k++) {
            ticks[k].around[1] = tree_prefetch_around(t, ticks[k].around[0]);
            tree_prefetch_earliest(t, ticks[k].number);
        }
        for (uint32_t k = 0; k < made; k++) {
            tree_prefetch_around(t, ticks[k].around[1]);
            tree_prefetch_earliest(t, ticks[k].around[0]);
        }
        for (uint32_t k = 0; k < made; k++) {
            tree_prefetch_earliest(t, ticks[k].around[1]);
        }
        for (uint32_t k = 0; k < made; k++) {
            tree_apply(t, &ticks[k]);
        }
        *from = to;
    }
    return TREE_DONE;
}

#endif
