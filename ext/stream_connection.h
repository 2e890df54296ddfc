/* A stream from its first packet on: what opens it, how far its connection came, and its initial round-trip time. */
#ifndef SPANLINE_STREAM_CONNECTION_H
#define SPANLINE_STREAM_CONNECTION_H

#include "stream_index.h"
#include "tcp_options.h"

/* A packet's place in its stream. */
typedef struct {
    stream_record *stream;
    uint32_t slot;
    int way;
    int begins;
} stream_place;

/* The record begins here: a new stream, with the number that is next. */
static inline void stream_begin(stream_table *t, stream_record *stream, const stream_ends *ends, int64_t now) {
    memset(stream, 0, sizeof *stream);
    memcpy(stream->source, ends->source, 16);
    memcpy(stream->destination, ends->destination, 16);
    stream->source_port = ends->source_port;
    stream->destination_port = ends->destination_port;
    stream->protocol = ends->protocol;
    stream->bits = STREAM_LIVE;
    stream->number = t->numbers[ends->protocol == IP_UDP]++;
    stream->first_seen = stream->last_seen = now;
    stream->initial_rtt = NO_TIME;
    for (int way = 0; way < 2; way++) {
        stream->direction[way].window = NO_WINDOW;
        stream->direction[way].scale = SCALE_UNKNOWN;
    }
}

/* What a SYN says of the stream it was found in. With another initial sequence number it opens the next one, in the same
 * record. Returns bits of stream_row.analysis. */
static inline uint32_t stream_open(stream_table *t, const stream_ends *ends, stream_place *place, uint32_t flags,
                                   uint32_t seq, int64_t now) {
    stream_record *stream = place->stream;
    stream_direction *from = &stream->direction[place->way];
    const int is_answer = (flags & TCP_ACK) != 0;
    uint32_t found = 0;
    if ((from->bits & SENDER_STARTED) && seq != from->base) {
        found = ANALYSIS_REUSED_PORTS;
        if (is_answer) {
            from->base = seq;
            return found;
        }
        stream_forget_segments(t, stream);
        stream_begin(t, stream, ends, now);
        stream->used = t->clock;
        stream->completeness = COMPLETE_SYN;
        place->way = 0;
        place->begins = 1;
    } else if ((from->bits & SENDER_STARTED) && !is_answer) {
        from->next = from->gapless; /* a RST may have led it astray, to the number that a stranger acknowledged */
    }
    if (!is_answer && !(stream->bits & STREAM_RTT)) {
        /* A time of zero counts as none. */
        stream->bits = (uint8_t)(now ? stream->bits | STREAM_SYN : stream->bits & ~STREAM_SYN);
        stream->initial_rtt = now;
    }
    return found;
}

/* How far the connection came. Of a SYN only the stream's first packet tells, and a first packet that is not a SYN tells
 * nothing; after another stream between the same ends, which stream_open() saw, even a SYN tells no more. */
ALWAYS_INLINE void stream_complete(const stream_place *place, uint32_t flags, uint32_t length) {
    uint32_t complete = 0;
    const uint32_t kind = flags & (TCP_SYN | TCP_ACK);
    if (UNLIKELY(place->begins)) {
        complete = kind != TCP_SYN || place->stream->completeness ? 0U : length ? COMPLETE_SYN | COMPLETE_DATA : COMPLETE_SYN;
        place->stream->completeness |= (uint8_t)complete;
        return;
    }
    if (LIKELY(kind == TCP_ACK)) {
        complete = length ? COMPLETE_DATA : COMPLETE_ACK;
    } else if (kind == (TCP_SYN | TCP_ACK)) {
        complete = COMPLETE_SYN_ACK;
    }
    complete |= (flags & (TCP_FIN | TCP_ACK)) == (TCP_FIN | TCP_ACK) ? COMPLETE_FIN : 0;
    complete |= flags & TCP_RST ? COMPLETE_RST : 0;
    place->stream->completeness |= (uint8_t)complete;
}

/* The first segment with ACK and without SYN, of either side, minus the last SYN before it. A result of zero does not
 * count as one. */
ALWAYS_INLINE void stream_time(stream_record *stream, uint32_t flags, int64_t now) {
    if (UNLIKELY(stream->bits & STREAM_SYN) && (flags & (TCP_SYN | TCP_ACK)) == TCP_ACK) {
        const int64_t between = time_between(stream->initial_rtt, now);
        if (between != 0 && between != NO_TIME) {
            stream->initial_rtt = between;
            stream->bits = (uint8_t)((stream->bits & ~STREAM_SYN) | STREAM_RTT);
        }
    }
}

/* What a SYN says of window scaling: without the option, in either SYN, it is not used. A shift of more than 14 is 14.
 * specification: RFC 7323 section 2 */
static inline void stream_learn_scale(stream_record *stream, int way, const packet_row *row, bytes_view buffer) {
    stream_direction *from = &stream->direction[way], *to = &stream->direction[1 - way];
    bytes_view option;
    if ((row->tcp_flags & TCP_ACK) && to->scale == SCALE_UNUSED) {
        from->scale = SCALE_UNUSED;
    } else if (tcp_option(row, buffer, 3, 3, &option)) {
        from->scale = (int8_t)(view_u8(option, 2) < 14 ? view_u8(option, 2) : 14);
    } else if (from->scale == SCALE_UNKNOWN) {
        from->scale = to->scale = SCALE_UNUSED;
    }
}

#endif
