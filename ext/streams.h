/* The stream table: numbers the TCP and UDP streams of a capture as Wireshark does, and analyses TCP.
 *
 * definition: Wireshark's conversations with default preferences: two ends are one stream whatever the tunnel, VLAN or
 * time, until a SYN comes with another initial sequence number. Outer UDP headers of tunnels, and headers quoted in ICMP
 * errors, are of streams too, outermost first.
 *
 * The functions here stop and say so when they need more memory, and go on at the same packet when they have it.
 */
#ifndef SPANLINE_STREAMS_H
#define SPANLINE_STREAMS_H

#include "quoted.h"
#include "row_transport.h"
#include "stream_connection.h"
#include "tcp_analysis.h"

enum stream_wants {
    STREAMS_DONE,
    STREAMS_WANT_RECORDS,  /* no free record: another slab, or an eviction */
    STREAMS_WANT_SEGMENTS, /* no free block in the pool */
    STREAMS_WANT_OTHER,    /* more rows for the streams of outer and quoted headers */
};

/* The stream of a header that the rows do not speak of. */
typedef struct {
    uint32_t packet;
    uint32_t stream;
    uint8_t protocol;
    uint8_t reserved[3];
} other_stream_row;
STATIC_ASSERT(sizeof(other_stream_row) == 12, "other_stream_row");

/* What streams_update() works on; tunnels are in the order of packets. */
typedef struct {
    const packet_row *packets;
    const uint64_t *numbers; /* of the frames */
    const tunnel_row *tunnels;
    const bytes_view *buffers;
    stream_row *streams;
    analysis_row *analysis; /* null: not wanted */
    other_stream_row *other;
    uint32_t packet_count;
    uint32_t tunnel_count;
    uint32_t buffer_count;
    uint32_t other_capacity;
    uint32_t other_count; /* these four: how far it came */
    uint32_t packet;
    uint32_t tunnel;
    uint32_t quoted; /* of the packet's quoted headers */
} streams_work;

/* What is found out about a packet before its turn, so that its memory is in the cache when that comes. */
typedef struct {
    uint32_t tag;
    uint32_t candidate; /* the record that it probably belongs to, by number + 1 */
} stream_hint;

/* The place of a packet between these ends, in a new stream where there was none. 0 when no record is free. */
ALWAYS_INLINE int stream_find(stream_table *t, const stream_ends *ends, stream_hint hint, int64_t now, stream_place *place) {
    place->way = -1;
    place->begins = 0;
    if (LIKELY(hint.candidate != 0)) { /* which may have ended, or have become another stream, since it was found */
        place->slot = hint.candidate - 1;
        place->stream = stream_at(t, place->slot);
        place->way = stream_match(place->stream, ends);
    }
    for (uint32_t at = hint.tag & t->index_mask; UNLIKELY(place->way < 0) && t->index[at]; at = (at + 1) & t->index_mask) {
        if (t->index[at] >> 32 == hint.tag) {
            place->slot = (uint32_t)t->index[at] - 1;
            place->stream = stream_at(t, place->slot);
            place->way = stream_match(place->stream, ends);
        }
    }
    if (UNLIKELY(place->way < 0)) {
        if (!stream_has_room(t)) {
            return 0;
        }
        place->slot = stream_take(t);
        place->stream = stream_at(t, place->slot);
        place->way = 0;
        place->begins = 1;
        stream_begin(t, place->stream, ends, now);
        stream_index_insert(t, hint.tag, place->slot);
    }
    place->stream->used = t->clock;
    return 1;
}

ALWAYS_INLINE bytes_view work_buffer(const streams_work *w, const packet_row *row) {
    const bytes_view none = {NULL, 0};
    return LIKELY(row->payload_buffer < w->buffer_count) ? w->buffers[row->payload_buffer] : none;
}

/* A header of packet `packet` that its row does not speak of. */
static inline int streams_add_other(stream_table *t, streams_work *w, const stream_ends *ends, uint32_t packet,
                                    uint32_t flags, uint32_t seq) {
    const int64_t now = w->packets[packet].timestamp;
    const uint64_t hash = key_hash(&t->seed, ends->source, ends->source_port, ends->destination,
                                   ends->destination_port, ends->protocol);
    const stream_hint hint = {(uint32_t)(hash >> 32), 0};
    stream_place place;
    if (w->other_count == w->other_capacity) {
        return STREAMS_WANT_OTHER;
    }
    if (!stream_find(t, ends, hint, now, &place)) {
        return STREAMS_WANT_RECORDS;
    }
    if (ends->protocol == IP_TCP) {
        if (flags & TCP_SYN) {
            stream_open(t, ends, &place, flags, seq, now);
        }
        stream_complete(&place, flags, 0);
        stream_time(place.stream, flags, now);
        place.stream->last_seen = now;
    }
    other_stream_row *other = &w->other[w->other_count++];
    memset(other, 0, sizeof *other);
    other->packet = packet;
    other->stream = place.stream->number;
    other->protocol = ends->protocol;
    return STREAMS_DONE;
}

/* The outer headers of a packet. */
static inline int streams_add_outer(stream_table *t, streams_work *w, uint32_t packet) {
    const packet_row *row = &w->packets[packet];
    for (; w->tunnel < w->tunnel_count && w->tunnels[w->tunnel].packet <= packet; w->tunnel++) {
        const tunnel_row *tunnel = &w->tunnels[w->tunnel];
        /* A row that has the IP layer around the innermost tunnel has that header, too. */
        const int is_the_rows = (row->flags & PACKET_IS_OUTER) && tunnel->level == row->tunnel_count;
        if (tunnel->packet != packet || !is_over_udp(tunnel) || is_the_rows) {
            continue;
        }
        const stream_ends ends = {tunnel->source, tunnel->destination, tunnel->source_port, tunnel->destination_port,
                                  IP_UDP};
        const int wants = streams_add_other(t, w, &ends, packet, 0, 0);
        if (UNLIKELY(wants != STREAMS_DONE)) {
            return wants;
        }
    }
    return STREAMS_DONE;
}

/* The headers that a packet quotes. */
static inline int streams_add_quoted(stream_table *t, streams_work *w, uint32_t packet) {
    const packet_row *row = &w->packets[packet];
    quoted_header quoted[MAX_QUOTED];
    const uint32_t count = read_quoted(row, work_buffer(w, row), quoted);
    for (; w->quoted < count; w->quoted++) {
        const quoted_header *q = &quoted[w->quoted];
        const stream_ends ends = {q->source, q->destination, q->source_port, q->destination_port, q->protocol};
        const int wants = streams_add_other(t, w, &ends, packet, q->tcp_flags, q->tcp_seq);
        if (UNLIKELY(wants != STREAMS_DONE)) {
            return wants;
        }
    }
    w->quoted = 0;
    return STREAMS_DONE;
}

/* What Wireshark shows of a TCP segment that was taken in. */
static inline void analysis_show(analysis_row *out, const stream_record *stream, int way, const tcp_segment *s,
                                 uint32_t found, int64_t ack_rtt) {
    const stream_direction *from = &stream->direction[way], *to = &stream->direction[1 - way];
    out->present |= PRESENT_LENGTH;
    out->seq -= from->base;
    out->ack -= s->flags & TCP_ACK ? to->base : 0;
    out->length = s->length;
    out->next_seq = out->seq + s->length + ((s->flags & (TCP_SYN | TCP_FIN)) != 0);
    if (from->scale > 0 && !(s->flags & TCP_SYN)) {
        out->window <<= from->scale;
    }
    if (found & ANALYSIS_DUPLICATE_ACK) {
        out->duplicate_ack_number = from->duplicate_acks;
        out->duplicate_ack_frame = stream->acked_anew[way];
    }
    if (found || ack_rtt != NO_TIME || (s->length > 0 && !(from->bits & SENDER_IN_DOUBT))) {
        out->present |= PRESENT_DETAILS;
        out->initial_rtt = stream->bits & STREAM_RTT ? stream->initial_rtt : NO_TIME;
        out->ack_rtt = ack_rtt != 0 ? ack_rtt : NO_TIME;
    }
}

/* What it shows of any TCP header. */
static inline void analysis_begin(analysis_row *out, const stream_record *stream, int way, const tcp_segment *s) {
    const int scale = stream->direction[way].scale;
    out->present = PRESENT_STREAM;
    out->time_relative = time_between(stream->first_seen, s->time);
    out->time_delta = time_between(stream->last_seen, s->time);
    out->completeness = stream->completeness;
    out->seq = s->seq;
    out->ack = s->ack;
    out->window = s->window;
    if (!(s->flags & TCP_SYN)) {
        out->present |= PRESENT_WINDOW_SCALE;
        out->window_scale = (int16_t)(scale < 0 ? scale : 1 << scale);
    }
}

/* A TCP row of the stream at `place`. Returns bits of stream_row.analysis. */
ALWAYS_INLINE uint32_t streams_add_tcp(stream_table *t, const streams_work *w, uint32_t packet, const stream_ends *ends,
                                       stream_place *place, int part) {
    const packet_row *row = &w->packets[packet];
    const tcp_segment segment = {row->timestamp,  row->tcp_seq,   row->tcp_ack, row_payload_length(row),
                                 row->tcp_window, row->tcp_flags, (uint32_t)w->numbers[packet]};
    const uint32_t length = part == TRANSPORT_SEGMENT ? segment.length : 0;
    uint32_t found = 0;
    if (UNLIKELY(segment.flags & TCP_SYN)) {
        found = stream_open(t, ends, place, segment.flags, segment.seq, segment.time);
    }
    stream_record *stream = place->stream;
    analysis_row *analysis = w->analysis ? &w->analysis[packet] : NULL;
    if (analysis) {
        analysis_begin(analysis, stream, place->way, &segment);
    }
    int64_t ack_rtt = NO_TIME;
    if (LIKELY(part == TRANSPORT_SEGMENT)) {
        found = analyse_segment(stream, place->way, &segment, &t->segments, found, &ack_rtt);
    }
    stream_time(stream, segment.flags, segment.time);
    if (analysis && part == TRANSPORT_SEGMENT) {
        analysis_show(analysis, stream, place->way, &segment, found, ack_rtt);
    }
    stream_complete(place, segment.flags, length);
    stream->last_seen = segment.time;
    if (UNLIKELY(segment.flags & TCP_SYN)) {
        stream_learn_scale(stream, place->way, row, work_buffer(w, row));
    }
    return found;
}

/* Adds packet `packet` with all its headers. */
ALWAYS_INLINE int streams_add(stream_table *t, streams_work *w, uint32_t packet, stream_hint hint) {
    const packet_row *row = &w->packets[packet];
    int wants = STREAMS_DONE;
    if (UNLIKELY(w->tunnel < w->tunnel_count)) {
        wants = streams_add_outer(t, w, packet);
    }
    if (UNLIKELY(row_quotes(row)) && wants == STREAMS_DONE) {
        wants = streams_add_quoted(t, w, packet);
    }
    if (UNLIKELY(wants != STREAMS_DONE)) {
        return wants;
    }
    stream_row *out = &w->streams[packet];
    memset(out, 0, sizeof *out);
    out->stream = out->slot = NO_STREAM;
    if (w->analysis) {
        memset(&w->analysis[packet], 0, sizeof *w->analysis);
        w->analysis[packet].initial_rtt = w->analysis[packet].ack_rtt = NO_TIME;
    }
    const int part = row_transport(row);
    if (UNLIKELY(part == TRANSPORT_NONE)) {
        return STREAMS_DONE;
    }
    if (UNLIKELY(!segments_have_room(&t->segments))) {
        return STREAMS_WANT_SEGMENTS;
    }
    const stream_ends ends = {row->source, row->destination, row->source_port, row->destination_port, row->ip_protocol};
    stream_place place;
    if (UNLIKELY(!stream_find(t, &ends, hint, row->timestamp, &place))) {
        return STREAMS_WANT_RECORDS;
    }
    if (LIKELY(row->ip_protocol == IP_TCP)) {
        out->analysis = (uint16_t)streams_add_tcp(t, w, packet, &ends, &place, part);
    }
    out->stream = place.stream->number;
    out->slot = place.slot;
    out->direction = (uint8_t)place.way;
    out->begins = (uint8_t)place.begins;
    return STREAMS_DONE;
}

ALWAYS_INLINE void stream_hint_tag(const stream_table *t, const packet_row *row, stream_hint *hint) {
    hint->tag = (uint32_t)(row->flow_hash >> 32);
    PREFETCH(&t->index[hint->tag & t->index_mask]);
}

ALWAYS_INLINE void stream_hint_record(const stream_table *t, stream_hint *hint) {
    hint->candidate = 0;
    for (uint32_t at = hint->tag & t->index_mask; t->index[at]; at = (at + 1) & t->index_mask) {
        if (t->index[at] >> 32 == hint->tag) {
            hint->candidate = (uint32_t)t->index[at];
            const char *record = (const char *)stream_at(t, hint->candidate - 1);
            PREFETCH(record);
            PREFETCH(record + 64);
            PREFETCH(record + 128);
            return;
        }
    }
}

/* The segments that the packet may acknowledge are those of whichever direction has some. */
ALWAYS_INLINE void stream_hint_segments(const stream_table *t, const stream_hint *hint) {
    if (hint->candidate) {
        const stream_record *stream = stream_at(t, hint->candidate - 1);
        for (int way = 0; way < 2; way++) {
            const segment_list *sent = &stream->direction[way].sent;
            if (sent->count) {
                PREFETCH(&t->segments.blocks[sent->first]);
            }
        }
    }
}

/* Adds packets [w->packet…w->packet_count) and says what it needs, with w->packet where it stopped. */
static inline int streams_update(stream_table *t, streams_work *w) {
    enum { BLOCK = 1024, RING = 32, INDEX_AHEAD = 24, RECORD_AHEAD = 12, SEGMENTS_AHEAD = 6 };
    stream_hint hints[RING];
    while (w->packet < w->packet_count) {
        const uint32_t first = w->packet;
        const uint32_t end = w->packet_count - first < BLOCK ? w->packet_count : first + BLOCK;
        for (uint32_t n = first; n < end && n < first + INDEX_AHEAD; n++) {
            stream_hint_tag(t, &w->packets[n], &hints[n % RING]);
        }
        for (uint32_t n = first; n < end && n < first + RECORD_AHEAD; n++) {
            stream_hint_record(t, &hints[n % RING]);
        }
        for (uint32_t n = first; n < end; n++) {
            if (LIKELY(n + INDEX_AHEAD < end)) {
                stream_hint_tag(t, &w->packets[n + INDEX_AHEAD], &hints[(n + INDEX_AHEAD) % RING]);
            }
            if (LIKELY(n + RECORD_AHEAD < end)) {
                stream_hint_record(t, &hints[(n + RECORD_AHEAD) % RING]);
            }
            if (LIKELY(n + SEGMENTS_AHEAD < end)) {
                stream_hint_segments(t, &hints[(n + SEGMENTS_AHEAD) % RING]);
            }
            const int wants = streams_add(t, w, n, hints[n % RING]);
            if (UNLIKELY(wants != STREAMS_DONE)) {
                w->packet = n;
                return wants;
            }
            t->clock += (++t->packets % STREAM_CLOCK_PACKETS) == 0;
        }
        w->packet = end;
    }
    return STREAMS_DONE;
}

#endif
