/* A block of Linux' TPACKET_V3 ring: the frames that the kernel left in it, behind one another.
 *
 * specification: linux/if_packet.h and Documentation/networking/packet_mmap.rst. Nothing of Linux is included: this
 * compiles, and is fuzzed, everywhere; ring.h asserts that the places are right.
 *
 *  |version 4|private 4|status 4|frames 4|first frame 4|length 4|sequence 8|first time 8|last time 8|  a block
 *  |next 4|seconds 4|ns 4|captured 4|wire 4|status 4|link header 2|network header 2|
 *      |receive hash 4|tag 4|tag's protocol 2|padding 10|                                              a frame
 */
#ifndef SPANLINE_RING_BLOCK_H
#define SPANLINE_RING_BLOCK_H

#include "records.h"

enum {
    RING_BLOCK_STATUS = 8,
    RING_BLOCK_FRAMES = 12,
    RING_BLOCK_FIRST = 16,
    RING_BLOCK_SEQUENCE = 24,
    RING_BLOCK_HEADER = 48,
    RING_FRAME_NEXT = 0,
    RING_FRAME_SECONDS = 4,
    RING_FRAME_NANOSECONDS = 8,
    RING_FRAME_CAPTURED = 12,
    RING_FRAME_WIRE = 16,
    RING_FRAME_STATUS = 20,
    RING_FRAME_LINK = 24,
    RING_FRAME_TAG = 32,
    RING_FRAME_TAG_PROTOCOL = 36,
    RING_FRAME_HEADER = 48,
    RING_TAG_VALID = 0x10,          /* in a frame's status */
    RING_TAG_PROTOCOL_VALID = 0x40, /* else it is 802.1Q */
    RING_TAG_LENGTH = 4,
    RING_ADDRESSES = 12, /* the two of an Ethernet header, before its tag */
    RING_AHEAD = 4096,   /* bytes */
    RING_LINE = 64,
};

typedef struct {
    uint8_t *data;
    uint32_t length;
    uint32_t snaplen;     /* no more of a frame is told */
    uint32_t longest;     /* on the wire, that a frame of the link may be */
    uint16_t interface_id;
    uint16_t is_ethernet; /* only there the kernel takes tags out of frames */
} ring_block;

/* Whether the kernel moved the VLAN tag out of the frame. */
ALWAYS_INLINE int ring_lacks_tag(const ring_block *block, bytes_view header) {
    return block->is_ethernet && view_host32(header, RING_FRAME_STATUS) & RING_TAG_VALID;
}

/* Puts the tag that the frame lacks back where it was: the addresses move into the room that was reserved before the
 * frame. Returns the bytes that the frame has grown by: none where so little of it is here. */
static inline uint32_t ring_restore_tag(const ring_block *block, uint32_t frame, bytes_view header, uint32_t *link) {
    const uint32_t status = view_host32(header, RING_FRAME_STATUS);
    if (*link < RING_FRAME_HEADER + RING_TAG_LENGTH || view_host32(header, RING_FRAME_CAPTURED) < RING_ADDRESSES) {
        return 0;
    }
    const uint16_t protocol =
        status & RING_TAG_PROTOCOL_VALID ? swap16(view_host16(header, RING_FRAME_TAG_PROTOCOL)) : swap16(0x8100);
    const uint16_t tag = swap16((uint16_t)view_host32(header, RING_FRAME_TAG));
    *link -= RING_TAG_LENGTH;
    uint8_t *start = block->data + frame + *link;
    memmove(start, start + RING_TAG_LENGTH, RING_ADDRESSES);
    memcpy(start + RING_ADDRESSES, &protocol, 2);
    memcpy(start + RING_ADDRESSES + 2, &tag, 2);
    return RING_TAG_LENGTH;
}

/* How many frames the block says that it has. */
ALWAYS_INLINE uint32_t ring_block_frames(const ring_block *block) {
    return view_host32((bytes_view){block->data, block->length}, RING_BLOCK_FRAMES);
}

/* Another processor, or the network card, wrote the block, and where a frame begins is only known from the one before:
 * waiting for memory each time would take longer than everything else. Asks for what follows `at`, once: from `asked` on.
 * Returns up to where it has asked. */
ALWAYS_INLINE uint64_t ring_prefetch(const ring_block *block, uint64_t asked, uint64_t at) {
    const uint64_t end = at + RING_AHEAD < block->length ? at + RING_AHEAD : block->length;
    for (asked = asked < at ? at : asked; asked < end; asked += RING_LINE) {
        PREFETCH(block->data + asked);
    }
    return asked;
}

/* Of the frames that were listed. */
typedef struct {
    uint64_t longer; /* frames that are longer than the link's may be */
    uint64_t wire;   /* bytes */
    uint64_t captured;
} ring_counts;

/* Lists the frames, restoring their tags, once for each block: no more than `capacity`, and none that is not wholly
 * inside the block. Returns how many. */
static inline uint32_t ring_block_list(const ring_block *block, frame_record *records, uint32_t capacity,
                                       ring_counts *counts) {
    const bytes_view whole = {block->data, block->length};
    const uint32_t frames = ring_block_frames(block);
    cursor c = {block->data, view_host32(whole, RING_BLOCK_FIRST), block->length};
    uint32_t count = 0;
    uint64_t asked = 0;
    bytes_view header;
    while (count < frames && count < capacity && cursor_peek(&c, RING_FRAME_HEADER, &header)) {
        uint32_t link = view_host16(header, RING_FRAME_LINK), captured = view_host32(header, RING_FRAME_CAPTURED);
        if (UNLIKELY(c.offset < RING_BLOCK_HEADER || link < RING_FRAME_HEADER ||
                     (uint64_t)link + captured > cursor_left(&c))) {
            break;
        }
        uint32_t wire = view_host32(header, RING_FRAME_WIRE);
        if (UNLIKELY(ring_lacks_tag(block, header))) {
            captured += ring_restore_tag(block, c.offset, header, &link);
            wire += RING_TAG_LENGTH;
        }
        frame_record *record = &records[count++];
        record->timestamp = view_host32(header, RING_FRAME_SECONDS) * INT64_C(1000000000) +
                            view_host32(header, RING_FRAME_NANOSECONDS);
        record->offset = c.offset + link;
        captured = captured < block->snaplen ? captured : block->snaplen;
        record->captured_length = captured;
        record->wire_length = wire;
        record->interface_id = block->interface_id;
        record->options = 0;
        counts->longer += wire > block->longest;
        counts->wire += wire;
        counts->captured += captured;
        const uint32_t next = view_host32(header, RING_FRAME_NEXT);
        if (!next || next > cursor_left(&c)) {
            break;
        }
        c.offset += next;
        asked = ring_prefetch(block, asked, c.offset);
    }
    return count;
}

#endif
