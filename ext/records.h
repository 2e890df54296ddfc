/* The rows that Python sees as numpy structured arrays. schema.py holds the same layout; a test compares them. Fields
 * go from large to small, a row is a multiple of a cache line. */
#ifndef SPANLINE_RECORDS_H
#define SPANLINE_RECORDS_H

#include "bytes.h"
#include "protocols.h"

/* Where a captured record lies in its chunk. */
typedef struct {
    int64_t timestamp; /* ns since the epoch, UTC */
    uint32_t offset;   /* of the frame's first byte, in the chunk's buffer */
    uint32_t captured_length;
    uint32_t wire_length;
    uint16_t interface_id; /* in the capture's list of interfaces */
    uint16_t options; /* in 4 bytes: what a pcapng block says of the frame, behind the frame padded to 4 bytes */
} frame_record;
STATIC_ASSERT(sizeof(frame_record) == 24, "frame_record");

/* packet_row.flags */
enum {
    PACKET_MORE_FRAGMENTS = 0x01,
    PACKET_DONT_FRAGMENT = 0x02,
    PACKET_BAD_CHECKSUM = 0x04,
    PACKET_HAS_TRANSPORT = 0x08, /* the ports (or ICMP type and code) were read */
    PACKET_IS_OUTER = 0x10,      /* no IP layer was read inside the innermost tunnel: the row has the one around it */
    PACKET_IS_FRAGMENT = 0x20,   /* all of its data was captured, and is left for reassembly */
    PACKET_OVERLAP = 0x40,       /* in the datagram that this frame completed, fragments overlap */
    PACKET_OVERLAP_DIFFERS = 0x80, /* and do not agree on the bytes */
};

/* One frame, described by its innermost decoded IP layer. */
typedef struct {
    int64_t timestamp;
    uint64_t flow_hash;
    uint8_t source[16];
    uint8_t destination[16];
    uint32_t frame_offset;
    uint32_t captured_length;
    uint32_t wire_length;
    uint32_t tcp_seq;
    uint32_t tcp_ack;
    uint32_t payload_offset;
    uint32_t payload_length;
    uint32_t tunnel_id; /* of the innermost tunnel that has one */
    uint32_t inner_length; /* wire length of the innermost frame */
    uint16_t interface_id;
    uint16_t path;
    uint16_t source_port;
    uint16_t destination_port;
    uint16_t vlan;
    uint16_t ether_type;
    uint16_t ip_id;
    uint16_t fragment_offset;
    uint16_t tcp_flags;
    uint16_t tcp_window;
    uint16_t application; /* the protocols behind the transport header, once they were looked for */
    uint8_t ip_version;
    uint8_t ip_protocol;
    uint8_t ttl;
    uint8_t tos;
    uint8_t tunnel_count;
    uint8_t verdict;
    uint8_t verdict_layer;
    uint8_t payload_buffer;
    uint8_t eth_source[6];
    uint8_t eth_destination[6];
    uint8_t transport_length; /* of the transport header, which ends where the payload starts */
    uint8_t flags;
} packet_row;
STATIC_ASSERT(sizeof(packet_row) == 128, "packet_row");

/* One encapsulation crossed. */
typedef struct {
    uint8_t source[16]; /* of the outer IP layer */
    uint8_t destination[16];
    uint32_t packet; /* row in the batch's packets */
    uint32_t id;     /* VNI, GRE key or ERSPAN session; NO_TUNNEL_ID where there is none */
    uint32_t sequence;
    uint16_t source_port;
    uint16_t destination_port;
    uint16_t vlan;  /* of the outer frame; of ERSPAN, what its header says of the inner one */
    uint16_t flags; /* schema.py says which */
    uint8_t level; /* 1 is the outermost */
    uint8_t kind;
    uint8_t reserved[10];
} tunnel_row;
STATIC_ASSERT(sizeof(tunnel_row) == 64, "tunnel_row");

ALWAYS_INLINE int is_over_udp(const tunnel_row *tunnel) {
    return tunnel->kind == TUNNEL_VXLAN || tunnel->kind == TUNNEL_GENEVE;
}

/* One header of one frame. */
typedef struct {
    uint32_t packet;
    uint32_t offset; /* of the header's first byte, in buffers[buffer] */
    uint32_t length; /* of the header; for an optional part, of that part */
    uint32_t size;   /* captured bytes from the header's first to the end of its layer */
    uint8_t protocol;
    uint8_t buffer;
    uint8_t ordinal; /* among the frame's headers of this protocol, from 1 */
    uint8_t reserved;
} layer_row;
STATIC_ASSERT(sizeof(layer_row) == 20, "layer_row");

/* Where the innermost frame or packet of a captured frame lies. */
typedef struct {
    uint32_t offset; /* in buffers[buffer] */
    uint32_t captured_length;
    uint32_t wire_length;
    uint8_t protocol; /* of its first header; PROTOCOL_NONE when it is the captured frame itself */
    uint8_t buffer;
    uint8_t reserved[2];
} inner_row;
STATIC_ASSERT(sizeof(inner_row) == 16, "inner_row");

#endif
