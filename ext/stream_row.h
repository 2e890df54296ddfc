/* What the stream table says of a packet: a row for each row of packets, in the same order. schema.py holds the same
 * layout; a test compares them. */
#ifndef SPANLINE_STREAM_ROW_H
#define SPANLINE_STREAM_ROW_H

#include "bytes.h"

#define NO_STREAM 0xFFFFFFFFU

/* stream_row.analysis, named as Wireshark names its tcp.analysis fields */
enum {
    ANALYSIS_RETRANSMISSION = 0x0001, /* also with the next two */
    ANALYSIS_FAST_RETRANSMISSION = 0x0002,
    ANALYSIS_SPURIOUS_RETRANSMISSION = 0x0004,
    ANALYSIS_OUT_OF_ORDER = 0x0008,
    ANALYSIS_LOST_SEGMENT = 0x0010,
    ANALYSIS_ACK_LOST_SEGMENT = 0x0020,
    ANALYSIS_DUPLICATE_ACK = 0x0040,
    ANALYSIS_KEEP_ALIVE = 0x0080,
    ANALYSIS_KEEP_ALIVE_ACK = 0x0100,
    ANALYSIS_ZERO_WINDOW = 0x0200,
    ANALYSIS_WINDOW_UPDATE = 0x0400,
    ANALYSIS_WINDOW_FULL = 0x0800,
    ANALYSIS_ZERO_WINDOW_PROBE = 0x1000,
    ANALYSIS_ZERO_WINDOW_PROBE_ACK = 0x2000,
    ANALYSIS_REUSED_PORTS = 0x4000,
};

typedef struct {
    uint32_t stream; /* tshark's tcp.stream or udp.stream; NO_STREAM where there is none */
    uint32_t slot;   /* of the stream's record: dense, given to another stream after this one; NO_STREAM where none */
    uint16_t analysis;
    uint8_t direction; /* 0: from the sender of the stream's first packet */
    uint8_t begins;    /* the stream's first packet: what is known of the slot is of another stream */
    uint32_t reserved;
} stream_row;
STATIC_ASSERT(sizeof(stream_row) == 16, "stream_row");

#endif
