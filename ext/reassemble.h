/* The fragments of a batch go to a defrag_table, and frames that complete a datagram are decoded on in it. */
#ifndef SPANLINE_REASSEMBLE_H
#define SPANLINE_REASSEMBLE_H

#include "decode.h"
#include "defrag.h"

/* Datagrams inside one another that one frame may complete: the same bytes are copied for each of them, and a sender who
 * needs another 60 bytes for each level would have us copy 64 KiB. */
enum { MAX_REASSEMBLIES = 4 };

/* What reassemble() says it needs before it goes on. */
enum { REASSEMBLED, REASSEMBLE_WANTS_BYTES, REASSEMBLE_WANTS_ROWS };

typedef struct {
    uint8_t *bytes; /* buffers[1] */
    uint32_t size;
    uint32_t capacity;
    datagram_row *datagrams; /* in the order of frames, and of their layers */
    uint32_t datagram_count;
    uint32_t datagram_capacity;
    tunnel_output tunnels; /* what is inside the datagrams */
} reassembly_output;

/* Where reassemble() is, so that it can stop anywhere. Zero at the start of a batch, except for `whole`. */
typedef struct {
    frame f;
    uint32_t row;
    uint32_t whole; /* number of the datagram that the row's fragment completed, or NO_INDEX */
    uint32_t overlap;
    uint32_t done; /* datagrams that the frame completed; from the first on, `f` is where the row's last layer ends */
} reassembly_position;

/* The fragment that a row stopped at; its bytes are in the `size` bytes at `data`. 0 when they are not. */
static inline int row_fragment(const packet_row *row, const uint8_t *data, uint32_t size, fragment_row *x,
                               bytes_view *bytes) {
    cursor c = {data, row->payload_offset, size};
    bytes_view header;
    memset(x, 0, sizeof *x);
    x->timestamp = row->timestamp;
    memcpy(x->key.source, row->source, 16);
    memcpy(x->key.destination, row->destination, 16);
    x->key.identification = row->ip_id;
    x->key.tunnel_id = row->tunnel_id;
    x->key.vlan = row->vlan;
    x->key.ip_version = row->ip_version;
    x->key.protocol = row->ip_version == 4 ? row->ip_protocol : 0;
    x->offset = row->fragment_offset;
    x->length = (uint16_t)row->payload_length;
    x->protocol = row->ip_protocol;
    x->more = row->flags & PACKET_MORE_FRAGMENTS;
    if (row->ip_version == 6) { /* the fragment header stands before the data, and the row has half of the identification */
        c.offset -= 8;
        if (!cursor_take(&c, 8, &header)) {
            return 0;
        }
        x->key.identification = view_be32(header, 4);
    }
    return row->payload_length != 0 && row->payload_length <= 0xFFFF && cursor_take(&c, row->payload_length, bytes);
}

static inline uint32_t add_row_fragment(defrag_table *t, const packet_row *row, const uint8_t *data, uint32_t size) {
    fragment_row x;
    bytes_view bytes;
    return row_fragment(row, data, size, &x, &bytes) ? defrag_add(t, &x, bytes) : NO_INDEX;
}

/* Brings `f` to where the row's fragment ends, as decoding did. */
static inline int decode_again(const decoder *d, frame *f, const uint8_t *data, const frame_record *record,
                               packet_row *row, uint32_t packet, tunnel_output *tunnels) {
    uint64_t excess = d->paths->excess;
    frame_prepare(f, d, data);
    f->row = row;
    decode_frame(d, f, record, packet); /* its tunnels are in the batch already */
    d->paths->excess = excess; /* and its stack was counted */
    f->tunnels = tunnels;
    row->inner_length = inner_length(f, record->wire_length);
    return row->flags & PACKET_IS_FRAGMENT;
}

static inline void count_depth(decode_counters *counters, uint64_t frame_number) {
    if (counters->too_deep++ == 0 || frame_number < counters->too_deep_first) {
        counters->too_deep_first = frame_number;
    }
}

/* Decodes on in the whole datagram, whose bytes it takes from the table: the row has the next fragment then, or is
 * finished. */
static inline void continue_row(defrag_table *t, reassembly_position *p, reassembly_output *out) {
    const defrag_datagram *whole = &t->datagrams[p->whole];
    packet_row *row = p->f.row;
    const uint32_t tunnels = row->tunnel_count;
    datagram_row *datagram = &out->datagrams[out->datagram_count++];
    datagram->packet = p->row;
    datagram->offset = out->size;
    datagram->length = whole->length;
    datagram->protocol = whole->protocol;
    p->overlap |= defrag_take(t, p->whole, out->bytes + out->size);
    out->size += datagram->length;
    continue_frame(&p->f, out->bytes, datagram);
    if (row->tunnel_count > tunnels) {
        row->inner_length = inner_length(&p->f, row->wire_length);
    }
}

/* Feeds the fragments among rows[p->row…count) to the table. Returns REASSEMBLED, or what it needs more of in `out`
 * before it is called again. Records lie inside the `size` bytes at `data`. */
static inline int reassemble(defrag_table *t, const decoder *d, const uint8_t *data, uint32_t size,
                             const frame_record *records, const uint64_t *numbers, uint32_t count, packet_row *rows,
                             reassembly_position *p, reassembly_output *out) {
    for (; p->row < count; p->row++) {
        packet_row *row = &rows[p->row];
        if (p->whole == NO_INDEX) {
            if (LIKELY(!(row->flags & PACKET_IS_FRAGMENT))) {
                continue;
            }
            if (out->tunnels.capacity - out->tunnels.count < MAX_TUNNELS) {
                return REASSEMBLE_WANTS_ROWS;
            }
            p->done = p->overlap = 0;
            p->whole = add_row_fragment(t, row, data, size);
        }
        while (p->whole != NO_INDEX) {
            if (out->capacity - out->size < t->datagrams[p->whole].length) {
                return REASSEMBLE_WANTS_BYTES;
            }
            if (out->datagram_count == out->datagram_capacity) {
                return REASSEMBLE_WANTS_ROWS;
            }
            if (!p->done && !decode_again(d, &p->f, data, &records[p->row], row, p->row, &out->tunnels)) {
                defrag_drop(t, p->whole); /* somebody changed the row, or the bytes */
                p->whole = NO_INDEX;
                break;
            }
            continue_row(t, p, out);
            p->done++;
            p->whole = NO_INDEX;
            if (row->flags & PACKET_IS_FRAGMENT) {
                if (p->done < MAX_REASSEMBLIES) {
                    p->whole = add_row_fragment(t, row, out->bytes, out->size);
                } else {
                    t->refused++;
                }
            }
        }
        if (p->done) {
            finish_row(d, &p->f);
            row->flags |= (uint8_t)p->overlap;
            if (p->f.too_deep) {
                count_depth(d->counters, numbers[p->row]);
            }
            p->done = 0;
        }
    }
    return REASSEMBLED;
}

#endif
