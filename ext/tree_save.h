/* Trees of counters to be kept and put together again. */
#ifndef SPANLINE_TREE_SAVE_H
#define SPANLINE_TREE_SAVE_H

#include "tree_nodes.h"

/* Copies the nodes, and their older buckets, one node's after the other's, in whose order a node's `older` then says how
 * many are its. There is room for as many nodes as there are and for `room` buckets; returns how many there are. */
static inline uint32_t tree_save(const tree_tally *t, tree_node *nodes, tree_bucket *buckets, uint32_t room) {
    uint32_t used = 0;
    for (uint32_t n = 0; n < t->node_count; n++) {
        const uint32_t latest = t->nodes[n].older;
        uint32_t count = 0;
        for (uint32_t at = latest ? t->buckets[latest - 1].next : 0; at; at = t->buckets[at - 1].next) {
            if (used + count < room) {
                buckets[used + count] = t->buckets[at - 1];
                buckets[used + count].next = 0;
            }
            count++;
            if (at == latest) {
                break;
            }
        }
        if (nodes) {
            nodes[n] = t->nodes[n];
            nodes[n].older = count;
        }
        used += count;
    }
    return used;
}

/* Whether saved nodes and buckets can be: parents before children, buckets in order. */
static inline int tree_is_sound(const tree_node *nodes, uint32_t node_count, const tree_bucket *buckets,
                                uint32_t bucket_count) {
    uint32_t left = bucket_count;
    for (uint32_t n = 0; n < node_count; n++) {
        const tree_node *node = &nodes[n];
        const uint32_t level = tree_level(node->place);
        if (node->place >> 5 || node->older > left || (level == TREE_ROOT) != (node->parent == TREE_NO_NUMBER) ||
            (level != TREE_ROOT && (node->parent >= n || tree_level(nodes[node->parent].place) + 1 != level ||
                                    nodes[node->parent].place >> 4 != node->place >> 4))) {
            return 0;
        }
        for (uint32_t b = 0; b < node->older; b++, buckets++) {
            if (buckets->start > (b + 1 < node->older ? buckets[1].start : node->newest_start)) {
                return 0;
            }
        }
        left -= node->older;
    }
    return left == 0;
}

/* Adds `shift` to all times. */
static inline void tree_shift(tree_tally *t, int64_t shift) {
    for (uint32_t n = 0; n < t->node_count; n++) {
        tree_node *node = &t->nodes[n];
        node->burst_start = tree_later(node->burst_start, shift);
        node->newest_start = tree_later(node->newest_start, shift);
        for (uint32_t at = node->older ? t->buckets[node->older - 1].next : 0; at; at = t->buckets[at - 1].next) {
            t->buckets[at - 1].start = tree_later(t->buckets[at - 1].start, shift);
            if (at == node->older) {
                break;
            }
        }
    }
    for (uint32_t tree = 0; tree < 2; tree++) {
        t->start[tree] = t->start[tree] < 0 ? -1 : tree_later(t->start[tree], shift);
        t->last[tree] = tree_later(t->last[tree], shift);
    }
}

/* Adds a saved node to the tree; its older buckets begin at `buckets`. Counts add up, windows are put together, and the
 * burst is the largest that either saw or that is in what is left of both windows. `shift` is added to its times. Without
 * room for it, its packets are others'. */
static inline void tree_merge_node(tree_tally *t, const tree_node *saved, const tree_bucket *buckets, int64_t shift) {
    tree_key key;
    memset(&key, 0, sizeof key);
    memcpy(key.address, saved->address, 16);
    key.port = saved->port;
    key.place = saved->place;
    const uint32_t number = tree_reach(t, &key);
    if (number == TREE_NO_NUMBER || t->nodes[number].place != key.place) {
        t->others += tree_level(key.place) == (t->kind == TREE_HOSTS ? TREE_ADDRESS : TREE_PORT) ? saved->count : 0;
        return;
    }
    tree_node *node = &t->nodes[number];
    const int64_t burst_start = tree_later(saved->burst_start, shift), newest = tree_later(saved->newest_start, shift);
    if (saved->burst > node->burst || (saved->burst == node->burst && burst_start < node->burst_start)) {
        node->burst = saved->burst;
        node->burst_start = burst_start;
    }
    if (node->count == 0) { /* instead of the empty bucket that a node begins with */
        node->newest_start = newest;
        node->newest_count = node->window = saved->newest_count;
    } else {
        tree_window_add(t, node, newest, tree_bucket_number(newest), saved->newest_count);
    }
    node->count += saved->count;
    for (uint32_t n = 0; n < saved->older; n++) {
        const int64_t start = tree_later(buckets[n].start, shift);
        tree_window_add(t, node, start, tree_bucket_number(start), buckets[n].count);
    }
    if (node->window > node->burst) {
        node->burst = node->window;
        node->burst_start = tree_window_start(t, node);
    }
}

#endif
