/* Reassembly in the plainest way, fragments in one list in order of arrival, to compare a defrag_table with; and what
 * must hold of that table's memory.
 *
 * `watched` says which table the model follows, where one does. fed() and taken() stand for defrag_add() and
 * defrag_take(), also in reassemble.h, so that datagrams inside datagrams are compared too.
 */
#ifndef SPANLINE_FUZZ_DATAGRAMS_H
#define SPANLINE_FUZZ_DATAGRAMS_H

#include "decode.h"
#include "defrag.h"
#include "input.h"

typedef struct {
    uint32_t datagram;
    fragment_row row;
    uint8_t *bytes;
} kept_fragment;

typedef struct {
    uint32_t number; /* in order of creation: the list is, too */
    int64_t created;
    defrag_key key;
} kept_datagram;

typedef struct {
    kept_fragment *fragments;
    kept_datagram *datagrams;
    uint32_t fragment_count;
    uint32_t datagram_count;
    uint32_t begun;
    uint32_t blocks;
    uint64_t completed, timed_out, evicted, overlapping, refused;
} model;

static struct {
    model m;
    const defrag_table *table;
} watched;

static inline uint32_t blocks_of(uint32_t length) { return (length + BLOCK_BYTES - 1) / BLOCK_BYTES; }

/* The table is new and empty, and so is its model. */
static inline void watch(const defrag_table *t) {
    memset(&watched, 0, sizeof watched);
    watched.table = t;
    watched.m.fragments = room(t->block_capacity, sizeof *watched.m.fragments);
    watched.m.datagrams = room(t->datagram_capacity, sizeof *watched.m.datagrams);
}

/* Datagram number `at` of the list goes, with its fragments. */
UNCOVERED static void model_drop(model *m, uint32_t at) {
    uint32_t left = 0;
    for (uint32_t n = 0; n < m->fragment_count; n++) {
        if (m->fragments[n].datagram == m->datagrams[at].number) {
            m->blocks -= blocks_of(m->fragments[n].row.length);
            free(m->fragments[n].bytes);
        } else {
            m->fragments[left++] = m->fragments[n];
        }
    }
    m->fragment_count = left;
    m->datagram_count--;
    memmove(&m->datagrams[at], &m->datagrams[at + 1], (m->datagram_count - at) * sizeof *m->datagrams);
}

static inline void unwatch(void) {
    while (watched.m.datagram_count) {
        model_drop(&watched.m, 0);
    }
    free(watched.m.fragments);
    free(watched.m.datagrams);
    watched.table = NULL;
}

UNCOVERED static uint32_t model_find(const model *m, const defrag_key *key) {
    for (uint32_t n = 0; n < m->datagram_count; n++) {
        if (memcmp(&m->datagrams[n].key, key, sizeof *key) == 0) {
            return n;
        }
    }
    return NO_INDEX;
}

static inline int model_is_over(const defrag_table *t, int64_t created, int64_t now) {
    return now > created && (uint64_t)now - (uint64_t)created > t->timeout;
}

/* What the first fragment to arrive without "more fragments" said; 0 when none did. */
UNCOVERED static uint32_t model_length(const model *m, uint32_t number) {
    for (uint32_t n = 0; n < m->fragment_count; n++) {
        const fragment_row *row = &m->fragments[n].row;
        if (m->fragments[n].datagram == number && !row->more) {
            return (uint32_t)row->offset + row->length;
        }
    }
    return 0;
}

/* Whether every byte before the end is there: how far one comes, from fragment to fragment. */
UNCOVERED static int model_is_whole(const model *m, uint32_t number) {
    const uint32_t length = model_length(m, number);
    for (uint32_t reach = 0, before = 1; length && reach != before;) {
        before = reach;
        for (uint32_t n = 0; n < m->fragment_count; n++) {
            const fragment_row *row = &m->fragments[n].row;
            const uint32_t end = (uint32_t)row->offset + row->length;
            reach = m->fragments[n].datagram == number && row->offset <= reach && end > reach ? end : reach;
        }
        if (reach >= length) {
            return 1;
        }
    }
    return 0;
}

/* The list's number of the datagram that the fragment completes, or NO_INDEX. */
UNCOVERED static uint32_t model_add(model *m, const defrag_table *t, const fragment_row *x, bytes_view bytes) {
    while (m->datagram_count && model_is_over(t, m->datagrams[0].created, x->timestamp)) {
        model_drop(m, 0);
        m->timed_out++;
    }
    uint32_t at = model_find(m, &x->key);
    if (at != NO_INDEX && model_is_over(t, m->datagrams[at].created, x->timestamp)) {
        model_drop(m, at);
        m->timed_out++;
        at = NO_INDEX;
    }
    if ((uint32_t)x->offset + x->length > DATAGRAM_LONGEST) {
        if (at != NO_INDEX) {
            model_drop(m, at);
        }
        m->refused++;
        return NO_INDEX;
    }
    while (m->blocks + blocks_of(x->length) > t->block_capacity ||
           (at == NO_INDEX && m->datagram_count == t->datagram_capacity)) {
        model_drop(m, 0);
        m->evicted++;
        at = at == NO_INDEX || at == 0 ? NO_INDEX : at - 1;
    }
    if (at == NO_INDEX) {
        const kept_datagram new = {m->begun++, x->timestamp, x->key};
        m->datagrams[at = m->datagram_count++] = new;
    }
    const kept_fragment part = {m->datagrams[at].number, *x, copy_of(bytes.data, x->length)};
    m->fragments[m->fragment_count++] = part;
    m->blocks += blocks_of(x->length);
    return model_is_whole(m, part.datagram) ? at : NO_INDEX;
}

/* By offset, and as they came: the next one after `before`, which is NO_INDEX at first. */
UNCOVERED static uint32_t model_next(const model *m, uint32_t number, uint32_t before) {
    uint32_t best = NO_INDEX;
    for (uint32_t n = 0; n < m->fragment_count; n++) {
        if (m->fragments[n].datagram != number) {
            continue;
        }
        const uint32_t offset = m->fragments[n].row.offset;
        if (before != NO_INDEX) {
            const uint32_t last = m->fragments[before].row.offset;
            if (offset < last || (offset == last && n <= before)) {
                continue;
            }
        }
        best = best == NO_INDEX || offset < m->fragments[best].row.offset ? n : best;
    }
    return best;
}

/* Writes datagram number `at` of the list, byte by byte, and drops it. Gives flags as defrag_take() does. */
UNCOVERED static uint32_t model_take(model *m, uint32_t at, uint8_t *target, uint32_t length) {
    const uint32_t number = m->datagrams[at].number;
    uint32_t flags = 0, missing = length;
    uint8_t *known = room(length, 1);
    memset(known, 0, length);
    for (uint32_t n = NO_INDEX; (n = model_next(m, number, n)) != NO_INDEX;) {
        const kept_fragment *f = &m->fragments[n];
        for (uint32_t b = 0; b < f->row.length && b + f->row.offset < length; b++) {
            const uint32_t place = b + f->row.offset;
            if (known[place]) {
                flags |= PACKET_OVERLAP | (target[place] != f->bytes[b] ? PACKET_OVERLAP_DIFFERS : 0U);
            } else {
                target[place] = f->bytes[b];
                known[place] = 1;
                missing--;
            }
        }
    }
    CHECK(missing == 0);
    free(known);
    model_drop(m, at);
    m->completed++;
    m->overlapping += flags != 0;
    return flags;
}

/* The transport protocol of a datagram is what the first fragment to arrive at offset 0 says. */
UNCOVERED static uint32_t model_protocol(const model *m, uint32_t number) {
    for (uint32_t n = 0; n < m->fragment_count; n++) {
        if (m->fragments[n].datagram == number && m->fragments[n].row.offset == 0) {
            return m->fragments[n].row.protocol;
        }
    }
    return NO_INDEX;
}

static inline void check_counters(const defrag_table *t) {
    const model *m = &watched.m;
    CHECK(t->completed == m->completed && t->timed_out == m->timed_out && t->evicted == m->evicted);
    CHECK(t->overlapping == m->overlapping && t->pending == m->datagram_count);
}

static inline uint32_t fed(defrag_table *t, const fragment_row *x, bytes_view bytes) {
    model *m = &watched.m;
    const uint32_t number = defrag_add(t, x, bytes);
    if (t != watched.table) {
        return number;
    }
    const uint32_t at = model_add(m, t, x, bytes);
    check_counters(t);
    CHECK((number == NO_INDEX) == (at == NO_INDEX));
    if (number != NO_INDEX) {
        const uint32_t wanted = m->datagrams[at].number;
        CHECK(memcmp(&t->datagrams[number].key, &m->datagrams[at].key, sizeof(defrag_key)) == 0);
        CHECK(t->datagrams[number].length == model_length(m, wanted));
        CHECK(t->datagrams[number].protocol == model_protocol(m, wanted));
    }
    return number;
}

static inline uint32_t taken(defrag_table *t, uint32_t number, uint8_t *target) {
    model *m = &watched.m;
    if (t != watched.table) {
        return defrag_take(t, number, target);
    }
    const uint32_t length = t->datagrams[number].length, at = model_find(m, &t->datagrams[number].key);
    uint8_t *wanted = room(length, 1);
    CHECK(at != NO_INDEX);
    const uint32_t flags = defrag_take(t, number, target);
    CHECK(flags == model_take(m, at, wanted, length) && memcmp(target, wanted, length) == 0);
    check_counters(t);
    free(wanted);
    return flags;
}

static inline void dropped(defrag_table *t, uint32_t number) {
    if (t == watched.table) {
        const uint32_t at = model_find(&watched.m, &t->datagrams[number].key);
        CHECK(at != NO_INDEX);
        model_drop(&watched.m, at);
    }
    defrag_drop(t, number);
}

/* Blocks and datagrams are each in one place: in use as the model says, or free. */
UNCOVERED static void check_memory(const defrag_table *t) {
    const model *m = &watched.m;
    uint32_t blocks = 0, free_blocks = 0, at = 0, free_datagrams = 0, before = NO_INDEX;
    for (uint32_t number = t->oldest; number != NO_INDEX; before = number, number = t->datagrams[number].newer) {
        const defrag_datagram *g = &t->datagrams[number];
        CHECK(at < m->datagram_count && number < t->datagrams_touched && g->older == before);
        const kept_datagram *wanted = &m->datagrams[at++];
        CHECK(memcmp(&g->key, &wanted->key, sizeof g->key) == 0 && g->created == wanted->created);
        CHECK(defrag_bucket(t, &g->key) == g->bucket && defrag_find(t, &g->key, g->bucket) == number);
        uint32_t fragment = g->first_block, last = NO_INDEX, next = g->first_block, count = 0;
        for (uint32_t n = 0; n < m->fragment_count; n++) {
            const kept_fragment *f = &m->fragments[n];
            if (f->datagram != wanted->number) {
                continue;
            }
            CHECK(fragment == next && next < t->blocks_touched);
            const defrag_block *b = &t->blocks[fragment];
            CHECK(b->offset == f->row.offset && b->length == f->row.length && b->more == f->row.more);
            for (uint32_t from = 0; from < f->row.length; from += BLOCK_BYTES, count++) {
                const uint32_t left = f->row.length - from, size = left < BLOCK_BYTES ? left : BLOCK_BYTES;
                CHECK(next < t->blocks_touched && memcmp(t->blocks[next].data, f->bytes + from, size) == 0);
                last = next;
                next = t->blocks[next].next;
            }
            CHECK(g->last_fragment == fragment || b->follower != NO_INDEX);
            fragment = b->follower;
        }
        CHECK(last == g->last_block && count == g->block_count && fragment == NO_INDEX);
        blocks += count;
    }
    CHECK(at == m->datagram_count && before == t->newest && blocks == m->blocks);
    for (uint32_t n = t->free_block; n != NO_INDEX; n = t->blocks[n].next) {
        CHECK(n < t->blocks_touched && ++free_blocks <= t->free_blocks);
    }
    for (uint32_t n = t->free_datagram; n != NO_INDEX; n = t->datagrams[n].chain) {
        CHECK(n < t->datagrams_touched && ++free_datagrams <= t->datagrams_touched);
    }
    CHECK(free_blocks == t->free_blocks && blocks + free_blocks == t->blocks_touched);
    CHECK(t->refused == m->refused); /* also what reassemble() refuses, which fed() does not see */
    CHECK(t->blocks_touched <= t->block_capacity && at + free_datagrams == t->datagrams_touched);
    CHECK(t->datagrams_touched <= t->datagram_capacity);
}

#endif
