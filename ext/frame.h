/* One frame on its way through the decoders: what is unread, where the layers around it end, and the rows it fills.
 *
 * Every decoder takes a frame and returns the protocol that follows, PROTOCOL_NONE when there is nothing further to
 * read. Nothing that arrives on the wire can raise, loop or print: a decoder that cannot go on leaves a verdict.
 */
#ifndef SPANLINE_FRAME_H
#define SPANLINE_FRAME_H

#include "records.h"

#define PATH_STRIDE 64U
STATIC_ASSERT((unsigned)PROTOCOL_COUNT <= PATH_STRIDE, "a path node has room for each protocol");

/* The distinct protocol stacks of a capture, as a tree: node 0 is the empty stack, and next[node × PATH_STRIDE + p] the
 * node of the stack with p on top, 0 where there is none yet. Only ever grows, to at most MAX_PATHS nodes. */
typedef struct {
    uint16_t *next;
    uint16_t *parent;
    uint8_t *protocol;
    uint32_t count;
    uint64_t excess; /* frames whose stack found no room: they carry the longest known part of it */
} path_table;

/* What became of the frames of a capture. */
typedef struct {
    uint64_t frames;
    uint64_t undecodable;    /* nothing up to the network layer could be read to its end */
    uint64_t too_deep;       /* more than MAX_TUNNELS inside one another */
    uint64_t too_deep_first; /* frame number, from 1 */
    uint64_t fragments;      /* left for reassembly */
} decode_counters;

typedef struct {
    tunnel_row *rows;
    uint32_t count;
    uint32_t capacity;
} tunnel_output;

typedef struct {
    layer_row *rows;
    uint32_t count;
    uint32_t capacity;
    uint64_t wanted; /* by protocol, a bit each: others leave no row */
    uint8_t open;    /* rows[count] is being filled */
    uint8_t met[PATH_STRIDE]; /* headers of each protocol that the frame has so far */
} layer_output;

/* A datagram put together from fragments, in the frame that completed it: decoding goes on in it. */
typedef struct {
    uint32_t packet;
    uint32_t offset; /* in buffers[1] */
    uint32_t length;
    uint32_t protocol; /* by IP's number, of what it begins with */
} datagram_row;
STATIC_ASSERT(sizeof(datagram_row) == 16, "datagram_row");

enum { PORT_BITS = 65536 / 8 };

/* UDP destination ports that carry frames, a bit for each port: most datagrams are asked one question only. */
typedef struct {
    uint8_t tunnel[PORT_BITS];
    uint8_t geneve[PORT_BITS]; /* those of them that carry GENEVE; the others carry VXLAN */
} tunnel_ports;

/* Whether `port` is one of those with a bit, of PORT_BITS bytes. */
ALWAYS_INLINE int has_port(const uint8_t *ports, uint32_t port) { return ports[(port & 0xFFFF) >> 3] >> (port & 7) & 1; }

typedef struct {
    cursor c;          /* c.end: the end of what was captured of the enclosing layer */
    uint64_t wire_end; /* the end of that layer on the wire, which may lie behind c.end */
    uint64_t outer_end; /* the end on the wire of the innermost frame, by what the layers around it say */
    packet_row *row;
    path_table *paths;      /* null: stacks are not wanted */
    tunnel_output *tunnels; /* null: tunnels are not wanted */
    layer_output *layers;   /* null: layers are not wanted */
    uint32_t packet;
    uint32_t frame_start; /* of the innermost frame */
    uint32_t frame_end;   /* of what was captured of it, inside a tunnel */
    uint32_t frame_layer; /* which of the layers is its first, inside a tunnel, when all are wanted */
    uint32_t depth;
    uint32_t path;
    const tunnel_ports *ports;
    uint32_t waiting; /* fragments left for reassembly, in all frames so far */
    uint32_t gre_key; /* of the last GRE header, with the three below: an ERSPAN header depends on it */
    uint32_t gre_sequence;
    uint16_t gre_type;
    uint16_t gre_flags;
    uint8_t verify_checksums;
    uint8_t reassemble; /* stop at fragments */
    uint8_t assembled;  /* the row's IP layer came in fragments and is whole again: its marks say how it came */
    uint8_t buffer;     /* that `c` is in */
    uint8_t frame_buffer; /* that the innermost frame is in, inside a tunnel */
    uint8_t cut; /* what is missing was sent: it follows in another fragment, or a mirror says that it cut the frame */
    uint8_t too_deep; /* one tunnel more than MAX_TUNNELS */
    uint8_t network_level; /* tunnels around the IP layer that the row speaks of */
    uint8_t routed;   /* the destination is not the final one, which a checksum covers */
} frame;

/* The row of the last layer counts when it is wanted. */
ALWAYS_INLINE void layer_close(layer_output *out) {
    if (out->open) {
        out->count += (uint32_t)(out->wanted >> out->rows[out->count].protocol & 1);
        out->open = 0;
    }
}

static inline void layer_open(frame *f, uint32_t protocol, uint32_t offset, uint32_t length) {
    layer_output *out = f->layers;
    layer_close(out);
    if (out->count < out->capacity) {
        layer_row *layer = &out->rows[out->count];
        memset(layer, 0, sizeof *layer);
        layer->packet = f->packet;
        layer->offset = offset;
        layer->length = layer->size = length;
        layer->protocol = (uint8_t)protocol;
        layer->buffer = f->buffer;
        out->met[protocol] = (uint8_t)(out->met[protocol] + (out->met[protocol] < UINT8_MAX));
        layer->ordinal = out->met[protocol];
        out->open = 1;
    }
}

/* The decoder of `protocol` starts at the first unread byte. */
ALWAYS_INLINE void frame_enter(frame *f, uint32_t protocol) {
    f->depth++;
    if (f->paths) {
        path_table *paths = f->paths;
        uint16_t *next = &paths->next[f->path * PATH_STRIDE + protocol];
        if (LIKELY(*next != 0)) {
            f->path = *next;
        } else if (paths->count < MAX_PATHS) {
            paths->parent[paths->count] = (uint16_t)f->path;
            paths->protocol[paths->count] = (uint8_t)protocol;
            f->path = *next = (uint16_t)paths->count++;
        } else {
            paths->excess++;
            f->paths = NULL; /* for the rest of this frame */
        }
    }
    if (UNLIKELY(f->layers != NULL)) {
        layer_open(f, protocol, f->c.offset, cursor_left(&f->c));
    }
}

/* Says how long the header is that frame_enter() announced. */
ALWAYS_INLINE void frame_header_length(frame *f, uint32_t length) {
    if (UNLIKELY(f->layers != NULL) && f->layers->open) {
        layer_row *layer = &f->layers->rows[f->layers->count];
        layer->length = length < layer->length ? length : layer->length;
    }
}

/* The layer of that header ends where its own length, now known to the cursor, says. */
ALWAYS_INLINE void frame_layer_ends(frame *f) {
    if (UNLIKELY(f->layers != NULL) && f->layers->open) {
        layer_row *layer = &f->layers->rows[f->layers->count];
        layer->size = f->c.end > layer->offset ? f->c.end - layer->offset : 0;
    }
}

/* A part of a header that is optional, as a layer of its own. */
static inline void frame_part(frame *f, uint32_t protocol, uint32_t offset, uint32_t length) {
    if (f->layers) {
        layer_open(f, protocol, offset, length);
    }
}

ALWAYS_INLINE int frame_stop(frame *f, uint32_t verdict, uint32_t protocol) {
    f->row->verdict = (uint8_t)verdict;
    f->row->verdict_layer = (uint8_t)protocol;
    return PROTOCOL_NONE;
}

/* `protocol` needs `count` bytes and they are not there: cut off by the capture or fragmentation, or never sent. */
static inline int frame_short(frame *f, uint32_t protocol, uint32_t count) {
    int cut = f->cut || (uint64_t)f->c.offset + count <= f->wire_end;
    return frame_stop(f, cut ? VERDICT_TRUNCATED : VERDICT_MALFORMED, protocol);
}

/* The enclosing layer says that it ends `length` bytes behind `start`: padding and trailers beyond that are not read. */
ALWAYS_INLINE void frame_limit(frame *f, uint32_t start, uint32_t length) {
    f->wire_end = (uint64_t)start + length;
    if (f->wire_end < f->c.end) {
        f->c.end = (uint32_t)f->wire_end;
    }
}

/* How many bytes of the enclosing layer follow, by its length and not by what was captured. */
ALWAYS_INLINE uint32_t frame_wire_left(const frame *f) {
    return f->wire_end > f->c.offset ? (uint32_t)(f->wire_end - f->c.offset) : 0;
}

/* Whether the row's IP layer is the first of several fragments, and the others are elsewhere. */
ALWAYS_INLINE int frame_goes_on(const frame *f) {
    return (f->row->flags & PACKET_MORE_FRAGMENTS) && !f->assembled;
}

/* What follows is payload. */
ALWAYS_INLINE void frame_payload(frame *f) {
    f->row->payload_offset = f->c.offset;
    f->row->payload_length = frame_wire_left(f);
}

/* A frame or packet inside another begins at the first unread byte. 0 when that is one too many. */
static inline int frame_enter_tunnel(frame *f, uint32_t kind, uint32_t id, uint32_t sequence, uint32_t flags) {
    packet_row *row = f->row;
    if (row->tunnel_count == MAX_TUNNELS) {
        f->too_deep = 1;
        return 0;
    }
    row->tunnel_count++;
    if (id != NO_TUNNEL_ID) { /* IP in IP and keyless GRE are inside the same tenant as what is around them */
        row->tunnel_id = id;
    }
    if (f->tunnels && f->tunnels->count < f->tunnels->capacity) {
        tunnel_row *tunnel = &f->tunnels->rows[f->tunnels->count++];
        memset(tunnel->reserved, 0, sizeof tunnel->reserved);
        memcpy(tunnel->source, row->source, 16);
        memcpy(tunnel->destination, row->destination, 16);
        tunnel->packet = f->packet;
        tunnel->id = id;
        tunnel->sequence = sequence;
        tunnel->source_port = row->source_port;
        tunnel->destination_port = row->destination_port;
        tunnel->vlan = row->vlan;
        tunnel->flags = (uint16_t)flags;
        tunnel->level = row->tunnel_count;
        tunnel->kind = (uint8_t)kind;
    }
    row->vlan = NO_VLAN;
    f->frame_start = f->c.offset;
    f->frame_end = f->c.end;
    f->frame_layer = f->layers ? f->layers->count + f->layers->open : 0;
    f->frame_buffer = f->buffer;
    f->outer_end = f->wire_end;
    return 1;
}

#endif
