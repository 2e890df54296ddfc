/* What is kept of a flow while it lives, and handed out when it ends. */
#ifndef SPANLINE_FLOW_RECORD_H
#define SPANLINE_FLOW_RECORD_H

#include "records.h"

#define NO_TIME INT64_MIN /* a time or duration that is not known */

enum tcp_flag {
    TCP_FIN = 0x01,
    TCP_SYN = 0x02,
    TCP_RST = 0x04,
    TCP_PSH = 0x08,
    TCP_ACK = 0x10,
    TCP_URG = 0x20,
    TCP_ECE = 0x40,
    TCP_CWR = 0x80,
};

/* IPFIX flowEndReason (RFC 5102 section 5.11.3), by number. */
enum end_reason {
    END_NONE,
    END_IDLE,   /* no packet for the idle timeout */
    END_ACTIVE, /* the active timeout cut it; the next record goes on */
    END_CLOSED, /* FIN or RST was seen, or a new connection took its place */
    END_FORCED, /* the capture ended */
    END_EVICTED /* the memory cap was reached */
};

/* The state of one end of a connection, in Zeek's terms. */
enum tcp_state {
    TCP_INACTIVE,
    TCP_SYN_SENT,
    TCP_SYN_ACK_SENT,
    TCP_PARTIAL,
    TCP_ESTABLISHED,
    TCP_CLOSED,
    TCP_RESET,
};

/* flow_direction.bits */
enum {
    DIRECTION_STARTED = 0x01,  /* `start` is known */
    DIRECTION_FIN = 0x02,      /* a FIN was seen: `fin_end` is known */
    DIRECTION_RST = 0x04,      /* a RST was seen: `rst_seq` is known */
    DIRECTION_SYN = 0x08,      /* a SYN without ACK was seen */
    DIRECTION_BLOCK = 0x10,    /* data beyond a hole was seen: `block_start` and `block_end` are known */
    DIRECTION_NO_GAPS = 0x20,  /* too much is unacknowledged to tell what is missing */
};

/* flow_record.flags */
enum {
    FLOW_LIVE = 0x01,
    FLOW_FLIPPED = 0x02,       /* the first packet came from the responder */
    FLOW_PARTIAL = 0x04,       /* the beginning of the connection was not seen (Zeek's is_partial) */
    FLOW_SYNACK = 0x08,        /* a SYN-ACK was seen: syn_synack_rtt holds its result */
    FLOW_HANDSHAKE = 0x10,     /* the client's ACK was seen: synack_ack_rtt holds its result */
    FLOW_SYN_AMBIGUOUS = 0x20, /* the SYN had been sent more than once when the SYN-ACK came */
    FLOW_CONTINUES = 0x40,     /* an active timeout cut the record before this one */
    FLOW_TIMING = 0x80,        /* a SYN was seen and initial_rtt is not settled */
};

/* What each packet of a direction touches: one cache line. */
typedef struct {
    int64_t last_seen;
    uint64_t packets;
    uint64_t bytes;
    uint64_t payload_bytes;
    uint32_t ack_packets;
    uint32_t psh_packets;
    uint32_t start;     /* initial sequence number, or one before the first byte seen */
    uint32_t last;      /* one past the highest sequence number seen */
    uint32_t ack;       /* highest acknowledgment of the peer */
    uint32_t expected;  /* everything before it was seen or given up */
    uint32_t delivered; /* everything before it was acknowledged */
    uint8_t ttl_min;
    uint8_t ttl_max;
    uint8_t once; /* history letters that are recorded once */
    uint8_t bits;
} flow_direction;
STATIC_ASSERT(sizeof(flow_direction) == 64, "flow_direction");

/* What happens seldom in a direction. */
typedef struct {
    uint32_t flag_counts[6]; /* FIN, SYN, RST, URG, ECE, CWR */
    uint32_t block_start;
    uint32_t block_end;
    uint32_t fin_end;
    uint32_t rst_seq;
    uint32_t retransmissions;
    uint16_t zero_windows;
    uint16_t gaps;
    uint16_t bad_checksums;
    uint16_t tcp_flags; /* OR of all but ACK and PSH, which have counts */
} flow_events;
STATIC_ASSERT(sizeof(flow_events) == 52, "flow_events");

/* Six cache lines. A packet in the middle of a connection touches the first three: the key and what both directions
 * share, and the two directions. */
typedef struct {
    uint8_t source[16]; /* the originator */
    uint8_t destination[16];
    int64_t first_seen; /* earliest packet of the record */
    int64_t last_seen;
    uint32_t vni; /* when not live, the next free record */
    uint16_t source_port;
    uint16_t destination_port;
    uint16_t vlan;
    uint8_t protocol;
    uint8_t flags;
    uint8_t state[2]; /* by direction */
    uint8_t previous_state[2];
    flow_direction direction[2]; /* 0: originator to responder */
    int64_t started[2];          /* earliest packet of each direction */
    int64_t syn_last;            /* the latest SYN without ACK */
    int64_t synack_last;
    int64_t syn_synack_rtt; /* until FLOW_SYNACK: when the originator's first SYN was seen */
    int64_t synack_ack_rtt; /* until FLOW_HANDSHAKE: TSval of the first and the last SYN (TCP timestamps) */
    int64_t initial_rtt;
    uint64_t history[3]; /* 12 letters each, 5 bits a letter */
    flow_events events[2];
    uint16_t syn_retransmissions;
    uint16_t synack_retransmissions;
    uint8_t history_length;
    uint8_t end_reason;
    uint16_t application; /* see flow_names.h */
} flow_record;
STATIC_ASSERT(sizeof(flow_record) == 384, "flow_record");

/* later − earlier in ns, at most INT64_MAX; NO_TIME where either is not known. Files may name any of 2^64 times. */
ALWAYS_INLINE int64_t time_between(int64_t earlier, int64_t later) {
    if (UNLIKELY(earlier == NO_TIME || later == NO_TIME)) {
        return NO_TIME;
    }
    if (LIKELY(later >= earlier)) {
        uint64_t between = (uint64_t)later - (uint64_t)earlier;
        return between > INT64_MAX ? INT64_MAX : (int64_t)between;
    }
    uint64_t between = (uint64_t)earlier - (uint64_t)later;
    return between > INT64_MAX ? -INT64_MAX : -(int64_t)between;
}

/* The same for two events in that order: NO_TIME when the mirror delivered the second first. */
ALWAYS_INLINE int64_t round_trip(int64_t sent, int64_t answered) {
    int64_t between = time_between(sent, answered);
    return between < 0 ? NO_TIME : between;
}

ALWAYS_INLINE int32_t sequence_difference(uint32_t a, uint32_t b) { return (int32_t)(a - b); }

#endif
