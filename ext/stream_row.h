/* Which stream a packet is of, and what TCP analysis says of it. schema.STREAM is the same; a test compares them. */
#ifndef SPANLINE_STREAM_ROW_H
#define SPANLINE_STREAM_ROW_H

#include "bytes.h"

#define NO_STREAM 0xFFFFFFFFU

typedef struct {
    uint32_t stream;    /* number of the conversation, TCP and UDP counted separately; NO_STREAM for none */
    uint32_t slot;      /* where its state is kept: used again after the stream was forgotten */
    uint16_t analysis;  /* bits of schema.ANALYSIS_FLAGS */
    uint8_t direction;  /* 0: of the stream's first sender */
    uint8_t begins;     /* the first packet of the stream in this slot */
    uint32_t reserved;
} stream_row;
STATIC_ASSERT(sizeof(stream_row) == 16, "stream_row");

#endif
