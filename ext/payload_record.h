/* What is kept of a conversation, and the rows in which its payload is handed out. */
#ifndef SPANLINE_PAYLOAD_RECORD_H
#define SPANLINE_PAYLOAD_RECORD_H

#include "flow_record.h"
#include "payload_blocks.h"

/* payload_way.bits */
enum {
    WAY_SEEN = 0x01,      /* a packet of it was seen */
    WAY_BASE = 0x02,      /* `base` and `next` are known */
    WAY_TENTATIVE = 0x04, /* but only from an acknowledgment number or an empty segment */
    WAY_FIN = 0x08,       /* `fin` is known */
    WAY_FIN_DONE = 0x10,  /* and everything before it was delivered */
    WAY_FINAL = 0x20,     /* its head is to be handed out for the last time */
    WAY_GIVEN = 0x40,     /* that was done */
    WAY_CLOSED = 0x80,    /* and nobody claimed the conversation: no more is kept */
};

/* One direction. Of UDP only the counts matter. */
typedef struct {
    uint64_t delivered; /* bytes in order so far, with those that are missing: the offset of the next one */
    int64_t hole_time;  /* when the first segment came that waits */
    uint32_t base;      /* sequence number of the first byte */
    uint32_t next;      /* sequence number of the next byte to deliver */
    uint32_t acked;     /* the highest one that the other side asked for */
    uint32_t fin;       /* the one behind the last byte */
    uint32_t kept;      /* bytes that went to the log */
    uint32_t given;     /* bytes of the head that were handed out */
    uint32_t gap;       /* bytes missing before the next piece */
    uint32_t waiting;   /* the first segment that waits, by sequence number: its first block */
    uint32_t waiting_bytes; /* with those that were not captured */
    uint32_t waiting_blocks;
    uint32_t opening; /* the first `base` that was known: another SYN opens another connection */
    uint16_t waiting_count;
    uint8_t bits;
    uint8_t marks; /* of the next piece: PIECE_OVERLAP, PIECE_CONFLICT */
} payload_way;
STATIC_ASSERT(sizeof(payload_way) == 64, "payload_way");

/* payload_record.bits */
enum {
    PAYLOAD_LIVE = 0x0001,
    PAYLOAD_CLAIMED = 0x0002,
    PAYLOAD_IGNORED = 0x0004,  /* nothing more of it is kept or handed out */
    PAYLOAD_ENDED = 0x0008,    /* nothing more comes */
    PAYLOAD_DETACHED = 0x0010, /* out of the index: the record is free as soon as all was handed out */
    PAYLOAD_EVICTED = 0x0020,  /* given up for others */
    PAYLOAD_LIMIT = 0x0040,    /* more came than was kept */
    PAYLOAD_CLIENT = 0x0080,   /* which end opened the connection is known: `client` */
    PAYLOAD_EARLY = 0x0100,    /* it was handed out early, or shall not be any more */
    PAYLOAD_EARLY_DUE = 0x0200,
    PAYLOAD_TOLD = 0x0400, /* its end was handed out */
    PAYLOAD_IN_DUE = 0x0800,
    PAYLOAD_IN_CHANCE = 0x1000,
    PAYLOAD_IN_PIECES = 0x2000,
    PAYLOAD_WAITS = 0x4000, /* in the list of those that wait to be handed out early */
    PAYLOAD_LEARNED = 0x8000, /* where both directions begin is known */
};

/* Four cache lines: the key, the log, and the two directions. */
typedef struct {
    uint8_t source[16]; /* the client as far as it was known at the first packet, else who sent that */
    uint8_t destination[16];
    int64_t first_seen;
    int64_t first_payload; /* time of the first byte */
    uint64_t serial;
    uint32_t vni;
    uint32_t used; /* the table's clock when it was last used; when not live, the next free record by number + 1 */
    uint16_t source_port;
    uint16_t destination_port;
    uint16_t vlan;
    uint16_t bits;
    uint8_t protocol;
    uint8_t client; /* the direction that the client sends: 0 or 1 */
    uint8_t listened; /* of a claimed one: the direction that is handed out, by number + 1; 0: both */
    uint8_t held; /* what the listened one said was handed out, and the log is still there */
    uint32_t entries;     /* of the log */
    uint64_t log_from[2]; /* offset of each direction where the log begins */
    payload_chain log;
    uint32_t waits_next; /* by number + 1 */
    uint32_t waits_previous;
    uint32_t log_bytes; /* payload in the log */
    uint32_t reserved_too;
    payload_way way[2];
} payload_record;
STATIC_ASSERT(sizeof(payload_record) == 256, "payload_record");

/* flags of heads */
enum {
    HEAD_FULL = 0x01,    /* as long as heads get */
    HEAD_ENDED = 0x02,   /* the conversation is over */
    HEAD_EVICTED = 0x04, /* or given up for others */
    HEAD_EARLY = 0x08,   /* if it grows, it comes once more */
    HEAD_GAP = 0x10,     /* bytes are missing in it */
};

/* The first bytes that one side sent. */
typedef struct {
    uint64_t serial; /* of the conversation, from 1 */
    uint32_t slot;
    uint32_t start; /* in the bytes that come with the rows */
    uint32_t length;
    uint8_t sender; /* 0: the source of the conversation, 1: its destination */
    uint8_t flags;
    uint8_t reserved[2];
} payload_head_row;
STATIC_ASSERT(sizeof(payload_head_row) == 24, "payload_head_row");

/* flags of pieces */
enum {
    PIECE_OVERLAP = 0x01,  /* it came in segments that repeat a part of others */
    PIECE_CONFLICT = 0x02, /* and differ there: the copy that came first counts */
    PIECE_MESSAGE = 0x04,  /* a whole datagram */
    PIECE_CUT = 0x08,      /* not all of the frame was captured: the rest is missing behind it */
    PIECE_ENDED = 0x10,    /* the conversation's end, without bytes; `sender` says nothing */
    PIECE_LIMIT = 0x20,    /* of the end: more came than was kept */
    PIECE_EVICTED = 0x40,  /* of the end: the conversation was given up for others */
    PIECE_LISTENED = 0x80, /* only this side of the conversation is handed out */
    ENTRY_SENDER = 0x80,   /* in the log: the destination sent it */
};

/* What one side sent next. */
typedef struct {
    uint64_t serial;
    uint64_t offset; /* of the first byte in what this side sent, with what is missing */
    int64_t time;    /* ns since the epoch: of the frame that brought the last of these bytes */
    uint64_t frame;
    uint32_t slot;
    uint32_t start; /* in the bytes that come with the rows */
    uint32_t length;
    uint32_t gap; /* bytes missing right before it */
    uint8_t sender;
    uint8_t flags;
    uint8_t reserved[6];
} payload_piece_row;
STATIC_ASSERT(sizeof(payload_piece_row) == 56, "payload_piece_row");

/* The two ends of a conversation. */
typedef struct {
    uint8_t source[16];
    uint8_t destination[16];
    int64_t first_seen;
    uint64_t serial;
    uint32_t vni;
    uint16_t source_port;
    uint16_t destination_port;
    uint16_t vlan;
    uint8_t protocol;
    uint8_t client;       /* 0: the source, 1: the destination */
    uint8_t client_known; /* else `client` is who sent the first packet */
    uint8_t reserved[3];
} payload_conversation_row;
STATIC_ASSERT(sizeof(payload_conversation_row) == 64, "payload_conversation_row");

#endif
