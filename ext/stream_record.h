/* What is kept of a stream, and what is said of each of its TCP segments. schema.py holds the layout of both. */
#ifndef SPANLINE_STREAM_RECORD_H
#define SPANLINE_STREAM_RECORD_H

#include "segments.h"
#include "stream_row.h"

/* stream_direction.bits */
enum {
    SENDER_STARTED = 0x01,  /* `base` is known */
    SENDER_IN_DOUBT = 0x02, /* something of it was lost, and the peer said nothing since */
};

/* stream_direction.scale where it is no shift count */
enum { SCALE_UNKNOWN = -1, SCALE_UNUSED = -2 };

/* One end of a connection as a sender. */
typedef struct {
    int64_t last_seen;    /* its latest segment */
    int64_t advanced;     /* its latest segment that raised `next` */
    uint32_t base;        /* what relative sequence numbers are counted from */
    uint32_t next;        /* behind the highest sequence number seen; 0 before the first */
    uint32_t gapless;     /* up to there it can be acknowledged: everything was seen; 0 before the first */
    uint32_t ack;         /* of its latest segment, like the next two */
    uint32_t window;      /* not scaled; NO_WINDOW before the first */
    uint16_t analysis;    /* bits of stream_row.analysis */
    int8_t scale;         /* shift count of its windows */
    uint8_t bits;
    uint32_t duplicate_acks; /* since `ack` changed */
    segment_list sent;       /* and not acknowledged */
} stream_direction;
STATIC_ASSERT(sizeof(stream_direction) == 56, "stream_direction");

#define NO_WINDOW 0xFFFFFFFFU

/* stream_record.bits */
enum {
    STREAM_LIVE = 0x01,
    STREAM_SYN = 0x02, /* a SYN was seen: `initial_rtt` is when the latest one was */
    STREAM_RTT = 0x04, /* `initial_rtt` is known */
};

/* stream_record.completeness, Wireshark's tcp.completeness */
enum {
    COMPLETE_SYN = 0x01,
    COMPLETE_SYN_ACK = 0x02,
    COMPLETE_ACK = 0x04,
    COMPLETE_DATA = 0x08,
    COMPLETE_FIN = 0x10,
    COMPLETE_RST = 0x20,
};

/* Three cache lines, of which UDP touches the first. */
typedef struct {
    uint8_t source[16]; /* who sent the first packet */
    uint8_t destination[16];
    int64_t first_seen;
    int64_t last_seen;
    uint32_t number; /* tcp.stream or udp.stream; when not live, the next free record */
    uint32_t used;   /* the table's clock when it was last used */
    uint16_t source_port;
    uint16_t destination_port;
    uint8_t protocol;
    uint8_t bits;
    uint8_t completeness;
    uint8_t reserved;
    stream_direction direction[2];
    int64_t initial_rtt;
    uint32_t acked_anew[2]; /* frame number of each direction's latest segment with a new acknowledgment number */
} stream_record;
STATIC_ASSERT(sizeof(stream_record) == 192, "stream_record");

/* analysis_row.present: which of Wireshark's fields the packet has */
enum {
    PRESENT_STREAM = 0x01,       /* times, completeness, seq, ack, window */
    PRESENT_LENGTH = 0x02,       /* length, next_seq; sequence numbers are relative, the window is scaled */
    PRESENT_WINDOW_SCALE = 0x04, /* window_scale: not in a SYN */
    PRESENT_DETAILS = 0x08,      /* there is a tcp.analysis at all */
};

/* What Wireshark says of a TCP segment. Nothing is in it where `present` is 0. */
typedef struct {
    int64_t time_relative; /* since the stream's first packet, ns, as all times */
    int64_t time_delta;    /* since the stream's packet before */
    int64_t initial_rtt;   /* NO_TIME where it is not shown */
    int64_t ack_rtt;       /* NO_TIME where it is not shown */
    uint32_t seq;
    uint32_t ack;
    uint32_t next_seq;
    uint32_t window;
    uint32_t length;
    uint32_t duplicate_ack_number; /* 0 when it is none */
    uint32_t duplicate_ack_frame;
    int16_t window_scale; /* factor; -1 not known, -2 not used */
    uint8_t completeness; /* before the segment */
    uint8_t present;
} analysis_row;
STATIC_ASSERT(sizeof(analysis_row) == 64, "analysis_row");

#endif
