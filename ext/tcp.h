/* What TCP segments say about their connection: its state and history as Zeek tells them, and its round-trip times.
 *
 * definitions: Zeek's conn_state and history (own implementation; where Zeek drops a closed connection after some
 * seconds, a flow here takes packets until it is idle); Wireshark's tcp.analysis.initial_rtt.
 */
#ifndef SPANLINE_TCP_H
#define SPANLINE_TCP_H

#include "history.h"
#include "tcp_options.h"

enum {
    /* A SYN or RST with a sequence number this far off tells nothing about retransmission (Zeek). */
    FAR_SEQUENCE = 1 << 20,
    /* With nothing acknowledged and a hole this far back, only one direction is seen: no gaps are told (Zeek). */
    UNACKNOWLEDGED_LIMIT = 16384,
};

ALWAYS_INLINE void tcp_set_state(flow_record *flow, int way, uint32_t state) {
    if (flow->state[way] != state) {
        flow->previous_state[way] = flow->state[way];
        flow->state[way] = (uint8_t)state;
    }
}

ALWAYS_INLINE void tcp_start_at(flow_direction *d, uint32_t start, uint32_t last) {
    if (d->start != start || !(d->bits & DIRECTION_STARTED)) { /* a SYN sent again takes back nothing that was seen */
        d->expected = d->delivered = start + 1;
        d->bits = (uint8_t)((d->bits | DIRECTION_STARTED) & ~DIRECTION_BLOCK);
    }
    d->start = d->ack = start;
    d->last = last;
}

static inline void tcp_start(flow_record *flow, int way, uint32_t flags, uint32_t seq, uint32_t end) {
    flow_direction *d = &flow->direction[way];
    const uint32_t state = flow->state[way];
    if (flags & TCP_SYN) {
        if (state == TCP_CLOSED || (state == TCP_RESET && flow->previous_state[way] != TCP_INACTIVE)) {
            return;
        }
        if ((state == TCP_SYN_SENT || state == TCP_SYN_ACK_SENT) && seq == d->start) {
            return;
        }
        tcp_start_at(d, seq, end);
    } else if (state == TCP_INACTIVE) {
        tcp_start_at(d, seq - 1, seq);
    }
}

/* The letter for what the segment is. */
static inline void tcp_letter(flow_record *flow, int way, uint32_t flags, uint32_t seq, uint32_t length) {
    flow_direction *d = &flow->direction[way];
    flow_events *e = &flow->events[way];
    switch (flags & (TCP_SYN | TCP_FIN | TCP_RST)) {
    case 0:
        if (LIKELY(length > 0)) {
            history_add_once(flow, way, ONCE_DATA, HISTORY_DATA);
        } else if (flags & TCP_ACK) {
            history_add_once(flow, way, ONCE_ACK, HISTORY_ACK);
        }
        break;
    case TCP_SYN:
        history_add_once(flow, way, ONCE_SYN, flags & TCP_ACK ? HISTORY_SYN_ACK : HISTORY_SYN);
        break;
    case TCP_FIN:
        if (!(d->bits & DIRECTION_FIN) || e->fin_end != seq + length + 1) {
            history_add(flow, way, HISTORY_FIN);
        }
        break;
    case TCP_RST:
        if (!(d->bits & DIRECTION_RST) || e->rst_seq != seq) {
            history_add(flow, way, HISTORY_RST);
        }
        e->rst_seq = seq;
        d->bits |= DIRECTION_RST;
        break;
    default:
        if ((flags & (TCP_FIN | TCP_RST)) == (TCP_FIN | TCP_RST)) {
            history_add_once(flow, way, ONCE_INCONSISTENT, HISTORY_INCONSISTENT);
        } else {
            history_add_once(flow, way, ONCE_MULTI_FLAG, HISTORY_MULTI_FLAG);
        }
    }
}

static inline void tcp_retransmission(flow_record *flow, int way, uint32_t flags, uint32_t end, uint32_t length) {
    flow_direction *d = &flow->direction[way];
    flow_events *e = &flow->events[way];
    int32_t ahead = sequence_difference(end, d->last);
    if (LIKELY(!(flags & (TCP_SYN | TCP_RST | TCP_FIN)))) {
        if (UNLIKELY(flow->state[way] == TCP_RESET)) {
            return;
        }
    } else if ((flags & (TCP_SYN | TCP_RST)) && (ahead > FAR_SEQUENCE || ahead < -FAR_SEQUENCE)) {
        return;
    } else if ((flags & TCP_FIN) && d->last == d->start + 1) {
        d->last = end;
        return;
    } else if (flow->state[way] == TCP_RESET) {
        return;
    }
    if (LIKELY(ahead > 0)) {
        d->last = end;
    } else if (length > 0) {
        history_add_scaled(flow, way, ++e->retransmissions, HISTORY_RETRANSMISSION);
    }
}

/* How a segment of `way` moves both ends. */
static inline void tcp_move(flow_record *flow, int way, uint32_t flags, uint32_t length) {
    switch (flow->state[way]) {
    case TCP_ESTABLISHED:
    case TCP_PARTIAL:
        if (LIKELY(!(flags & (TCP_SYN | TCP_FIN | TCP_RST)))) {
            return;
        }
        if ((flags & (TCP_SYN | TCP_ACK)) == TCP_SYN && flow->state[way] == TCP_PARTIAL && flow->state[1 - way] == TCP_INACTIVE) {
            tcp_set_state(flow, way, TCP_SYN_SENT);
        }
        if ((flags & TCP_FIN) && !(flags & TCP_RST)) {
            tcp_set_state(flow, way, TCP_CLOSED);
            if (flow->state[1 - way] == TCP_RESET && flow->previous_state[1 - way] == TCP_CLOSED) {
                tcp_set_state(flow, 1 - way, TCP_CLOSED);
            }
        }
        break;
    case TCP_INACTIVE:
        if (flags & TCP_SYN) {
            if (way == 0) {
                tcp_set_state(flow, way, flags & TCP_ACK ? TCP_SYN_ACK_SENT : TCP_SYN_SENT);
            } else {
                if (flow->state[1 - way] == TCP_SYN_SENT) {
                    tcp_set_state(flow, 1 - way, TCP_ESTABLISHED);
                }
                tcp_set_state(flow, way, TCP_ESTABLISHED);
            }
        }
        if (flags & TCP_FIN) {
            tcp_set_state(flow, way, TCP_CLOSED);
        }
        if (!(flags & (TCP_SYN | TCP_FIN | TCP_RST))) {
            if (way == 1 && length == 0 && flow->state[1 - way] == TCP_SYN_SENT) {
                break;
            }
            if ((flags & TCP_ACK) && flow->state[1 - way] == TCP_ESTABLISHED) {
                tcp_set_state(flow, way, TCP_ESTABLISHED);
                flow->flags &= (uint8_t)~FLOW_PARTIAL;
            } else {
                tcp_set_state(flow, way, TCP_PARTIAL);
            }
        }
        break;
    case TCP_SYN_SENT:
    case TCP_SYN_ACK_SENT:
        if (flags & TCP_FIN) {
            tcp_set_state(flow, way, TCP_CLOSED);
        }
        break;
    case TCP_CLOSED:
        if (flow->state[1 - way] == TCP_CLOSED) {
            return;
        }
        break;
    default:
        return;
    }
    if (flags & TCP_RST) {
        tcp_set_state(flow, way, TCP_RESET);
    }
}

/* Both ends are, or were when they closed, in an established connection: only there a hole is a gap. */
static inline int tcp_is_clean(const flow_record *flow, int way) {
    return flow->state[way] == TCP_ESTABLISHED ||
           (flow->state[way] == TCP_CLOSED && flow->previous_state[way] == TCP_ESTABLISHED);
}

/* The peer acknowledged the bytes of `way` before `ack`: what of them was never seen is a gap. */
static inline void tcp_acknowledged(flow_record *flow, int way, uint32_t ack) {
    flow_direction *d = &flow->direction[way];
    flow_events *e = &flow->events[way];
    if (UNLIKELY((d->bits & DIRECTION_FIN) && sequence_difference(ack, e->fin_end) >= 0)) {
        ack = e->fin_end - 1;
    }
    if (sequence_difference(ack, d->delivered) <= 0) {
        return;
    }
    if (UNLIKELY(sequence_difference(ack, d->expected) > 0)) {
        if ((flow->flags & FLOW_PARTIAL) && ack - d->start <= 2) {
            d->delivered = ack;
            return;
        }
        uint32_t holes = 0;
        if ((d->bits & DIRECTION_BLOCK) && sequence_difference(ack, e->block_start) > 0) {
            holes++;
            d->expected = e->block_end;
            d->bits &= (uint8_t)~DIRECTION_BLOCK;
        }
        if (sequence_difference(ack, d->expected) > 0) {
            holes++;
            d->expected = ack;
        }
        int clean = tcp_is_clean(flow, way) && tcp_is_clean(flow, 1 - way) && !(d->bits & DIRECTION_NO_GAPS);
        while (clean && holes--) {
            e->gaps = (uint16_t)(e->gaps + (e->gaps != UINT16_MAX));
            history_add_scaled(flow, way, e->gaps, HISTORY_GAP);
        }
    }
    d->delivered = ack;
}

/* Payload from `seq` was seen. One block beyond a hole is remembered: of several holes only the first is told. */
static inline void tcp_data(flow_record *flow, int way, uint32_t seq, uint32_t length) {
    flow_direction *d = &flow->direction[way];
    flow_events *e = &flow->events[way];
    uint32_t end = seq + length;
    if (LIKELY(sequence_difference(seq, d->expected) <= 0)) {
        if (LIKELY(sequence_difference(end, d->expected) > 0)) {
            d->expected = end;
        }
    } else if (d->bits & DIRECTION_BLOCK) {
        e->block_start = sequence_difference(seq, e->block_start) < 0 ? seq : e->block_start;
        e->block_end = sequence_difference(end, e->block_end) > 0 ? end : e->block_end;
    } else {
        e->block_start = seq;
        e->block_end = end;
        d->bits |= DIRECTION_BLOCK;
    }
    if (UNLIKELY(d->bits & DIRECTION_BLOCK)) {
        if (sequence_difference(e->block_start, d->expected) <= 0) {
            if (sequence_difference(e->block_end, d->expected) > 0) {
                d->expected = e->block_end;
            }
            d->bits &= (uint8_t)~DIRECTION_BLOCK;
        } else if (d->ack - d->start <= 1 &&
                   sequence_difference(e->block_end, d->expected) > UNACKNOWLEDGED_LIMIT) {
            d->bits |= DIRECTION_NO_GAPS;
        }
    }
}

/* State and history. Letters of one segment come in Zeek's order: kind, zero window, retransmission, gap. */
ALWAYS_INLINE void tcp_track(flow_record *flow, int way, const packet_row *row) {
    flow_direction *d = &flow->direction[way], *peer = &flow->direction[1 - way];
    flow_events *e = &flow->events[way];
    const uint32_t flags = row->tcp_flags, seq = row->tcp_seq, length = row->payload_length;
    const uint32_t control = flags & (TCP_SYN | TCP_FIN | TCP_RST);
    uint32_t end = seq + ((flags & TCP_RST) ? 0 : length) + ((flags & TCP_SYN) != 0) + (flags & TCP_FIN);
    if (UNLIKELY(d->packets == 1)) {
        if (way == 0 ? (flags & (TCP_SYN | TCP_ACK)) != TCP_SYN : !(flags & TCP_SYN)) {
            flow->flags |= FLOW_PARTIAL;
        }
    }
    if (UNLIKELY(control || flow->state[way] == TCP_INACTIVE)) {
        tcp_start(flow, way, flags, seq, end);
    }
    tcp_letter(flow, way, flags, seq, length);
    if (UNLIKELY(row->tcp_window == 0) && !(flags & TCP_RST) && flow->state[1 - way] != TCP_CLOSED &&
        flow->state[way] != TCP_RESET) {
        e->zero_windows = (uint16_t)(e->zero_windows + (e->zero_windows != UINT16_MAX));
        history_add_scaled(flow, way, e->zero_windows, HISTORY_ZERO_WINDOW);
    }
    if (flags & TCP_FIN) {
        e->fin_end = end;
        d->bits |= DIRECTION_FIN;
    }
    if (LIKELY(flags & TCP_ACK)) {
        uint32_t ack = row->tcp_ack;
        if (UNLIKELY(flow->state[1 - way] == TCP_INACTIVE)) {
            tcp_start_at(peer, ack - 1, ack - 1);
        } else if (sequence_difference(ack, peer->ack) > 0 && !(flags & TCP_RST) &&
                   !(ack == 0 && ack - peer->ack > FAR_SEQUENCE)) {
            peer->ack = ack;
        }
    }
    tcp_retransmission(flow, way, flags, end, length);
    tcp_move(flow, way, flags, length);
    if (LIKELY(flags & TCP_ACK)) {
        tcp_acknowledged(flow, 1 - way, row->tcp_ack);
    }
    if (length > 0 && !(flags & TCP_RST)) {
        tcp_data(flow, way, seq + ((flags & TCP_SYN) != 0), length);
    }
}

/* The TCP timestamps option of a segment: TSval and TSecr. specification: RFC 7323 section 3 */
static inline int tcp_timestamps(const packet_row *row, bytes_view buffer, uint32_t *value, uint32_t *echo) {
    bytes_view option;
    if (!tcp_option(row, buffer, 8, 10, &option)) {
        return 0;
    }
    *value = view_be32(option, 2);
    *echo = view_be32(option, 6);
    return 1;
}

static inline void rtt_syn(flow_record *flow, int way, const packet_row *row, bytes_view buffer) {
    uint32_t value = 0, echo;
    if (way == 0 && !(flow->flags & FLOW_SYNACK)) {
        tcp_timestamps(row, buffer, &value, &echo);
        uint64_t first = (uint64_t)flow->synack_ack_rtt >> 32;
        if (!(flow->direction[0].bits & DIRECTION_SYN)) {
            flow->syn_synack_rtt = row->timestamp;
            first = value;
        }
        flow->synack_ack_rtt = (int64_t)(first << 32 | value);
    }
    if (way == 0 && (flow->direction[0].bits & DIRECTION_SYN)) {
        flow->syn_retransmissions = (uint16_t)(flow->syn_retransmissions + (flow->syn_retransmissions != UINT16_MAX));
    }
    flow->direction[way].bits |= DIRECTION_SYN;
    flow->syn_last = row->timestamp;
    if (flow->initial_rtt == NO_TIME || flow->initial_rtt == 0) {
        flow->flags |= FLOW_TIMING;
    }
}

/* The SYN-ACK minus the SYN it answers. Which of several that is, TCP timestamps tell; without them, the last. The times
 * of the first and the last are known; what one between them took is not. */
static inline void rtt_syn_ack(flow_record *flow, const packet_row *row, bytes_view buffer) {
    if (flow->flags & FLOW_SYNACK) {
        flow->synack_retransmissions =
            (uint16_t)(flow->synack_retransmissions + (flow->synack_retransmissions != UINT16_MAX));
    } else {
        int64_t sent = flow->syn_last;
        uint64_t values = (uint64_t)flow->synack_ack_rtt;
        uint32_t value, echo;
        int answers = (flow->direction[0].bits & DIRECTION_SYN) && !(flow->direction[1].bits & DIRECTION_SYN) &&
                      sequence_difference(row->tcp_ack, flow->direction[0].start) > 0 &&
                      sequence_difference(row->tcp_ack, flow->direction[0].last) <= 0;
        if (flow->syn_retransmissions) {
            flow->flags |= FLOW_SYN_AMBIGUOUS;
            if (values != 0 && tcp_timestamps(row, buffer, &value, &echo) && echo != (values & 0xFFFFFFFFU)) {
                sent = echo == values >> 32 ? flow->syn_synack_rtt : NO_TIME; /* one between the first and the last */
            }
        }
        flow->syn_synack_rtt = answers ? round_trip(sent, row->timestamp) : NO_TIME;
        flow->synack_ack_rtt = NO_TIME;
        flow->flags |= FLOW_SYNACK;
    }
    flow->synack_last = row->timestamp;
}

/* Round-trip times. Called after tcp_track(), which knows where the sequence numbers start. */
ALWAYS_INLINE void tcp_round_trips(flow_record *flow, int way, const packet_row *row, bytes_view buffer) {
    const uint32_t flags = row->tcp_flags;
    if (UNLIKELY(flags & TCP_SYN)) {
        if (!(flags & TCP_ACK)) {
            rtt_syn(flow, way, row, buffer);
        } else if (way == 1) {
            rtt_syn_ack(flow, row, buffer);
        }
        return;
    }
    if (UNLIKELY(!(flow->flags & FLOW_HANDSHAKE)) && way == 0 && (flow->flags & FLOW_SYNACK) &&
        (flags & (TCP_ACK | TCP_RST)) == TCP_ACK &&
        sequence_difference(row->tcp_ack, flow->direction[1].start) > 0) {
        flow->synack_ack_rtt = round_trip(flow->synack_last, row->timestamp);
        flow->flags |= FLOW_HANDSHAKE;
    }
    /* Wireshark's rule: the first segment with ACK and without SYN, of either side, minus the last SYN before it. A
     * result of zero does not count as one. */
    if (UNLIKELY(flow->flags & FLOW_TIMING) && (flags & TCP_ACK)) {
        flow->initial_rtt = time_between(flow->syn_last, row->timestamp);
        if (flow->initial_rtt != NO_TIME && flow->initial_rtt != 0) {
            flow->flags &= (uint8_t)~FLOW_TIMING;
        }
    }
}

#endif
