/* The input is a block of a ring as the kernel, or whoever is in its place, left it. What is listed lies inside the block
 * and keeps to what was asked; nothing but the beginning of tagged frames is changed, and that only on Ethernet. */
#include "input.h"
#include "ring_block.h"

/* Where a tag is put back: the addresses, and the tag. */
enum { MOST_CHANGED = RING_ADDRESSES + RING_TAG_LENGTH };

UNCOVERED static void check_changes(const uint8_t *before, const ring_block *block, const frame_record *records,
                                    uint32_t count) {
    uint8_t *may_change = room(block->length, 1);
    memset(may_change, 0, block->length);
    for (uint32_t n = 0; n < count && block->is_ethernet; n++) {
        const uint32_t left = block->length - records[n].offset;
        memset(may_change + records[n].offset, 1, left < MOST_CHANGED ? left : MOST_CHANGED);
    }
    for (uint32_t n = 0; n < block->length; n++) {
        CHECK(may_change[n] || before[n] == block->data[n]);
    }
    free(may_change);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    uint8_t steering[STEERING];
    size = take_steering(data, size, steering);
    uint8_t *bytes = copy_of(data, size);
    const uint32_t capacity = steering[3];
    frame_record *records = room(capacity, sizeof *records);
    const ring_block block = {
        .data = bytes,
        .length = (uint32_t)size,
        .snaplen = 1U + steering[1] + 256U * steering[2],
        .longest = 1514,
        .interface_id = steering[4],
        .is_ethernet = steering[0] & 1,
    };
    ring_counts counts = {0, 0, 0};
    const uint32_t frames = ring_block_frames(&block);
    const uint32_t count = ring_block_list(&block, records, capacity, &counts);
    CHECK(count <= capacity && count <= frames && counts.longer <= count);
    for (uint32_t n = 0; n < count; n++) {
        const frame_record *record = &records[n];
        CHECK(record->offset >= RING_BLOCK_HEADER + RING_FRAME_HEADER && record->offset <= block.length);
        CHECK(record->captured_length <= block.length - record->offset && record->captured_length <= block.snaplen);
        CHECK(record->interface_id == block.interface_id && record->options == 0);
    }
    check_changes(data, &block, records, count);
    free(records);
    free(bytes);
    return 0;
}
