/* Zeek's conn_state: one word for how a connection went.
 *
 * definition: Zeek, base/protocols/conn, field conn_state (own implementation)
 */
#ifndef SPANLINE_CONN_STATE_H
#define SPANLINE_CONN_STATE_H

#include "history.h"
#include "network.h"

/* Numbers are indices into schema.CONN_STATES. */
enum conn_state {
    CONN_S0,
    CONN_S1,
    CONN_SF,
    CONN_REJ,
    CONN_S2,
    CONN_S3,
    CONN_RSTO,
    CONN_RSTR,
    CONN_RSTOS0,
    CONN_RSTRH,
    CONN_SH,
    CONN_SHR,
    CONN_OTH,
};

/* Bytes that `way` sent, by sequence numbers: what was never seen counts. */
static inline uint32_t sequence_bytes(const flow_record *flow, int way) {
    const flow_direction *d = &flow->direction[way];
    if (!(d->bits & DIRECTION_STARTED)) {
        return 0;
    }
    uint32_t end = sequence_difference(d->last, d->ack) > 0 ? d->last : d->ack;
    uint32_t size = end - d->start;
    if (flow->previous_state[way] == TCP_SYN_SENT && flow->state[way] == TCP_RESET &&
        flow->state[1 - way] == TCP_INACTIVE && d->ack != d->start) {
        return 0;
    }
    size -= size != 0;
    return size - ((d->bits & DIRECTION_FIN) && size != 0);
}

/* A SYN, then a RST before the originator did anything else: in the originator's letters, nothing of HAFGIQ between. */
static inline int reset_after_syn(const flow_record *flow) {
    char text[HISTORY_MAX];
    uint32_t length = history_text(flow, text), at = length && text[0] == '^';
    if (at >= length || text[at] != 'S') {
        return 0;
    }
    for (at++; at < length && text[at] != 'R'; at++) {
        if (memchr("HAFGIQ", text[at], 6)) {
            return 0;
        }
    }
    return at < length;
}

static inline uint32_t tcp_conn_state(const flow_record *flow) {
    uint32_t originator = flow->state[0], responder = flow->state[1];
    int originator_inactive = originator == TCP_INACTIVE || originator == TCP_PARTIAL;
    int responder_inactive = responder == TCP_INACTIVE || responder == TCP_PARTIAL;
    if (responder == TCP_RESET) {
        if (originator == TCP_SYN_SENT || originator == TCP_SYN_ACK_SENT ||
            (originator == TCP_RESET && sequence_bytes(flow, 0) == 0 && sequence_bytes(flow, 1) == 0)) {
            return CONN_REJ;
        }
        return originator_inactive ? CONN_RSTRH : CONN_RSTR;
    }
    if (originator == TCP_RESET) {
        if (responder_inactive) {
            return reset_after_syn(flow) ? CONN_RSTOS0 : CONN_OTH;
        }
        return CONN_RSTO;
    }
    if (originator == TCP_CLOSED && responder == TCP_CLOSED) {
        return CONN_SF;
    }
    if (originator == TCP_CLOSED) {
        return responder_inactive ? CONN_SH : CONN_S2;
    }
    if (responder == TCP_CLOSED) {
        return originator_inactive ? CONN_SHR : CONN_S3;
    }
    if (originator == TCP_SYN_SENT && responder == TCP_INACTIVE) {
        return CONN_S0;
    }
    return originator == TCP_ESTABLISHED && responder == TCP_ESTABLISHED ? CONN_S1 : CONN_OTH;
}

static inline uint32_t conn_state(const flow_record *flow) {
    if (flow->protocol == IP_TCP) {
        return tcp_conn_state(flow);
    }
    if (flow->protocol == IP_UDP) {
        int sent = flow->direction[0].packets > flow->events[0].bad_checksums;
        int answered = flow->direction[1].packets > flow->events[1].bad_checksums;
        return sent ? (answered ? CONN_SF : CONN_S0) : answered ? CONN_SHR : CONN_OTH;
    }
    return CONN_OTH;
}

#endif
