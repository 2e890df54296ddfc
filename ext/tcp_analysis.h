/* Analysis of TCP sequence numbers, one segment after another.
 *
 * definition: Wireshark 4.0's tcp.analysis with its default preferences (own implementation). What it calls a lost,
 * spurious or out-of-order segment is guessed from what was captured so far; nothing here is certain.
 */
#ifndef SPANLINE_TCP_ANALYSIS_H
#define SPANLINE_TCP_ANALYSIS_H

#include "stream_record.h"

enum {
    FAST_RETRANSMISSION_NS = 20000000, /* after the duplicate acknowledgments that ask for it */
    OUT_OF_ORDER_NS = 3000000,         /* after the segment that overtook it, when the round-trip time is not known */
};

typedef struct {
    int64_t time;
    uint32_t seq;
    uint32_t ack;
    uint32_t length; /* of the payload */
    uint32_t window;
    uint32_t flags;
    uint32_t frame; /* number */
} tcp_segment;

/* later − earlier as a number of ns without sign: one that went back is very large. */
ALWAYS_INLINE uint64_t time_since(int64_t earlier, int64_t later) { return (uint64_t)later - (uint64_t)earlier; }

/* Whether a comes after b, as Wireshark compares: of two that are half a circle apart each comes after the other. */
ALWAYS_INLINE int is_after(uint32_t a, uint32_t b) { return sequence_difference(b, a) < 0; }

static inline int has_control(const tcp_segment *s) { return (s->flags & (TCP_SYN | TCP_FIN | TCP_RST)) != 0; }

/* Relative numbers start at the SYN, or at 1 in the middle of a connection. */
ALWAYS_INLINE void analyse_start(stream_direction *from, stream_direction *to, const tcp_segment *s) {
    if (UNLIKELY(!(from->bits & SENDER_STARTED))) {
        from->base = s->flags & TCP_SYN ? s->seq : s->seq - 1;
        from->bits |= SENDER_STARTED;
    }
    if (UNLIKELY(!(to->bits & SENDER_STARTED)) && (s->flags & TCP_ACK)) {
        to->base = s->ack - 1;
        to->bits |= SENDER_STARTED;
    }
    if (UNLIKELY(to->bits & SENDER_IN_DOUBT) && (s->flags & TCP_ACK)) {
        to->bits &= (uint8_t)~SENDER_IN_DOUBT;
    }
}

/* The segment reaches just to the end of the window that the receiver offers. */
ALWAYS_INLINE int fills_window(const stream_direction *to, const tcp_segment *s) {
    const uint32_t shift = to->scale > 0 ? (uint32_t)to->scale : 0;
    return s->length > 0 && to->scale != SCALE_UNKNOWN && s->seq + s->length == to->ack + (to->window << shift);
}

/* What the segment is beside what went before in its direction: windows, keep-alives, acknowledgments said again. */
ALWAYS_INLINE uint32_t analyse_repetition(stream_direction *from, stream_direction *to, const tcp_segment *s) {
    uint32_t found = 0;
    const int control = has_control(s);
    if (UNLIKELY(to->window == 0) && s->length == 1 && s->seq == from->next) {
        return ANALYSIS_ZERO_WINDOW_PROBE;
    }
    if (UNLIKELY(s->window == 0) && !control) {
        found |= ANALYSIS_ZERO_WINDOW;
    }
    if (UNLIKELY(from->next != 0 && is_after(s->seq, from->next)) && !(s->flags & TCP_RST)) {
        found |= ANALYSIS_LOST_SEGMENT;
        from->bits |= SENDER_IN_DOUBT;
    }
    if (UNLIKELY(control)) {
        return found;
    }
    if (UNLIKELY(s->length <= 1 && s->seq == from->next - 1)) {
        found |= ANALYSIS_KEEP_ALIVE;
    }
    if (UNLIKELY(fills_window(to, s))) {
        found |= ANALYSIS_WINDOW_FULL;
    }
    if (s->length != 0 || s->seq != from->next) {
        return found;
    }
    if (s->window != from->window) {
        return s->window != 0 && s->ack == from->ack ? found | ANALYSIS_WINDOW_UPDATE : found;
    }
    if (s->window == 0) {
        const uint32_t beyond = s->ack - from->ack;
        if (beyond <= 1 && (to->analysis & ANALYSIS_ZERO_WINDOW_PROBE)) {
            found |= ANALYSIS_ZERO_WINDOW_PROBE_ACK;
            if (beyond == 1) { /* the receiver took the byte of the probe */
                to->next = to->gapless = s->ack;
            }
        }
        return found;
    }
    if (s->ack != from->ack) {
        return found;
    }
    if (to->analysis & ANALYSIS_KEEP_ALIVE) {
        return found | ANALYSIS_KEEP_ALIVE_ACK;
    }
    from->duplicate_acks++;
    return found | ANALYSIS_DUPLICATE_ACK;
}

/* An acknowledgment of what was never seen. */
ALWAYS_INLINE uint32_t analyse_acknowledgment(const stream_direction *from, stream_direction *to, const tcp_segment *s) {
    if (LIKELY(to->gapless == 0 || !is_after(s->ack, to->gapless) || !(s->flags & TCP_ACK))) {
        return 0;
    }
    const int reopens = s->ack == from->ack + 1 && s->seq == from->next && (to->analysis & ANALYSIS_ZERO_WINDOW_PROBE);
    to->gapless = to->next;
    return reopens ? ANALYSIS_WINDOW_UPDATE : ANALYSIS_ACK_LOST_SEGMENT;
}

/* Which kind of segment it is that tells nothing new: sent again, or overtaken. */
static inline uint32_t analyse_old(const stream_direction *from, const stream_direction *to, const tcp_segment *s,
                                   int64_t round_trip_time) {
    const uint32_t end = s->seq + s->length;
    if (s->length > 0 && to->ack != 0 && sequence_difference(end, to->ack) <= 0) {
        return ANALYSIS_RETRANSMISSION | ANALYSIS_SPURIOUS_RETRANSMISSION;
    }
    if (from->next == 0 || sequence_difference(s->seq, from->next) >= 0 || (s->length > 1 && s->seq == from->next - 1)) {
        return 0;
    }
    if (to->duplicate_acks >= 2 && to->ack == s->seq && time_since(to->last_seen, s->time) < FAST_RETRANSMISSION_NS) {
        return ANALYSIS_RETRANSMISSION | ANALYSIS_FAST_RETRANSMISSION;
    }
    const uint64_t limit = round_trip_time > 0 ? (uint64_t)round_trip_time : OUT_OF_ORDER_NS;
    const uint32_t control = (s->flags & (TCP_SYN | TCP_FIN)) != 0;
    if (time_since(from->advanced, s->time) < limit && from->next != end + control) {
        return ANALYSIS_OUT_OF_ORDER;
    }
    return ANALYSIS_RETRANSMISSION;
}

/* Takes a segment in. Returns bits of stream_row.analysis; *ack_rtt is how long what it acknowledges just to its end was
 * under way, or NO_TIME. The pool has room for one block. */
ALWAYS_INLINE uint32_t analyse_segment(stream_record *stream, int way, const tcp_segment *s, segment_pool *pool,
                                       uint32_t found, int64_t *ack_rtt) {
    stream_direction *from = &stream->direction[way], *to = &stream->direction[1 - way];
    analyse_start(from, to, s);
    found |= analyse_repetition(from, to, s);
    if (s->ack != from->ack) {
        stream->acked_anew[way] = s->frame;
        from->duplicate_acks = 0;
    }
    found |= analyse_acknowledgment(from, to, s);
    const uint32_t control = (s->flags & (TCP_SYN | TCP_FIN)) != 0;
    uint32_t next = s->seq + s->length;
    if (s->length > 0 || control) {
        if (UNLIKELY(sequence_difference(s->seq, from->next) < 0 || sequence_difference(next, to->ack) <= 0) &&
            !(found & ANALYSIS_KEEP_ALIVE)) {
            const int64_t rtt = stream->bits & STREAM_RTT ? stream->initial_rtt : 0;
            found |= analyse_old(from, to, s, rtt);
        }
        next += control;
        segments_add(pool, &from->sent, s->seq, next, s->time);
    }
    if (LIKELY(!(found & ANALYSIS_ZERO_WINDOW_PROBE))) {
        if (from->next == 0 || is_after(next, from->next)) {
            from->next = next;
            from->advanced = s->time;
        }
        if (from->gapless == 0 || s->seq == from->gapless) {
            from->gapless = from->next;
        }
    }
    from->window = s->window;
    from->ack = s->ack;
    from->last_seen = s->time;
    from->analysis = (uint16_t)found;
    *ack_rtt = NO_TIME;
    if (LIKELY(to->sent.count != 0)) {
        *ack_rtt = time_between(segments_acknowledge(pool, &to->sent, s->ack), s->time);
    }
    return found;
}

#endif
