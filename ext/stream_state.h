/* The stream table as plain rows, to go on elsewhere: its records, each in its slot, and their unacknowledged segments. */
#ifndef SPANLINE_STREAM_STATE_H
#define SPANLINE_STREAM_STATE_H

#include "stream_index.h"

/* How many segments are not acknowledged in all streams. */
static inline uint64_t streams_count_segments(const stream_table *t) {
    uint64_t count = 0;
    for (uint32_t slot = 0; slot < t->record_count; slot++) {
        const stream_record *stream = stream_at(t, slot);
        count += (uint64_t)stream->direction[0].sent.count + stream->direction[1].sent.count;
    }
    return count;
}

/* Copies all records, and their segments by slot, direction and age; there is room for them. */
static inline void streams_save(const stream_table *t, stream_record *records, sent_segment *segments) {
    for (uint32_t slot = 0; slot < t->record_count; slot++) {
        stream_record *copy = &records[slot];
        *copy = *stream_at(t, slot);
        for (int way = 0; way < 2; way++) {
            const segment_list list = copy->direction[way].sent;
            segment_place place = segments_first(&list);
            for (uint32_t n = 0; n < list.count; n++, segments_step(&t->segments, &place)) {
                *segments++ = *segment_at(&t->segments, place);
            }
            memset(&copy->direction[way].sent, 0, sizeof list);
            copy->direction[way].sent.count = list.count;
        }
    }
}

/* Whether a record can be of a table. */
static inline int stream_is_sound(const stream_record *stream) {
    int sound = !(stream->bits & STREAM_LIVE) || stream->protocol == IP_TCP || stream->protocol == IP_UDP;
    for (int way = 0; way < 2; way++) {
        const stream_direction *d = &stream->direction[way];
        sound &= d->scale >= SCALE_UNUSED && d->scale <= 14 && d->sent.count <= MAX_SEGMENTS;
        sound &= d->sent.count == 0 || (stream->bits & STREAM_LIVE);
    }
    return sound;
}

/* Puts saved records into an empty table that has room for them and for their `count` segments. 0, and the table is of no
 * use, when they do not fit together. */
static inline int streams_load(stream_table *t, const stream_record *records, uint32_t record_count,
                               const sent_segment *segments, uint64_t count) {
    uint64_t used = 0;
    for (uint32_t slot = 0; slot < record_count; slot++) {
        stream_record *stream = stream_at(t, slot);
        if (!stream_is_sound(&records[slot])) {
            return 0;
        }
        *stream = records[slot];
        t->record_count = slot + 1;
        for (int way = 0; way < 2; way++) {
            segment_list *list = &stream->direction[way].sent;
            const uint32_t length = list->count;
            memset(list, 0, sizeof *list);
            if (length > count - used) {
                return 0;
            }
            for (uint32_t n = 0; n < length; n++, used++) {
                if (!segments_have_room(&t->segments)) {
                    return 0;
                }
                segments_add(&t->segments, list, segments[used].seq, segments[used].next, segments[used].time);
            }
        }
        if (stream->bits & STREAM_LIVE) {
            t->live++;
            stream_index_insert(t, stream_tag(t, stream), slot);
        } else {
            stream->number = t->free_first;
            t->free_first = slot + 1;
        }
    }
    return used == count;
}

#endif
