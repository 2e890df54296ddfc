/* The input is a capture file. Its frames, written to pcapng with any size of output, are read again: the same bytes,
 * times, lengths and interfaces, and as many options. Written once more, the file does not change. */
#include "framing.h"
#include "input.h"
#include "writing.h"

/* |section 28|interface 32 each, in ns| */
enum { SECTION = 28, INTERFACE = 32, MOST_INTERFACES = 8 };

typedef struct {
    framing state;
    frame_record *records;
    uint32_t count;
    framing_interface interfaces[MOST_INTERFACES];
} scanned;

static void put32(uint8_t *target, uint32_t value) { memcpy(target, &value, 4); }

/* All records of a file of at most MOST_INTERFACES, in one go. */
static void scan(const uint8_t *data, uint32_t size, scanned *found) {
    const uint32_t most = size / 12 + 1;
    uint32_t consumed;
    block_mark *marks = room(most, sizeof *marks);
    memset(found, 0, sizeof *found);
    found->records = room(most, sizeof *found->records);
    framing_output out = {found->records, marks, most, most, 0, 0};
    found->state.interfaces = found->interfaces;
    found->state.interface_capacity = MOST_INTERFACES;
    framing_scan(&found->state, data, size, &out, &consumed);
    found->count = out.record_count;
    free(marks);
}

/* A file of the records, written in pieces: `*size` bytes. */
static uint8_t *written(const uint8_t *data, uint32_t size, const scanned *from, uint32_t swapped, uint32_t piece,
                        size_t *total) {
    const uint32_t interfaces = from->state.interface_count;
    written_interface clocks[MOST_INTERFACES];
    size_t capacity = SECTION + (size_t)interfaces * INTERFACE;
    for (uint32_t n = 0; n < from->count; n++) {
        capacity += (size_t)from->records[n].captured_length + 4U * from->records[n].options + WRITTEN_OVERHEAD;
    }
    uint8_t *file = room(capacity, 1);
    memset(file, 0, SECTION + (size_t)interfaces * INTERFACE);
    put32(file, BLOCK_SECTION);
    put32(file + 4, SECTION);
    put32(file + 8, 0x1A2B3C4D);
    file[12] = 1;
    put32(file + 24, SECTION);
    for (uint32_t n = 0; n < interfaces; n++) {
        uint8_t *block = file + SECTION + n * INTERFACE;
        put32(block, BLOCK_INTERFACE);
        put32(block + 4, INTERFACE);
        put32(block + 16, 9 | 1U << 16); /* if_tsresol */
        block[20] = 9;
        put32(block + 28, INTERFACE);
        clocks[n] = (written_interface){0, 1, swapped};
    }
    *total = SECTION + (size_t)interfaces * INTERFACE;
    for (uint32_t done = 0; done < from->count;) {
        frame_sink out = {room(piece, 1), 0, piece};
        uint32_t reached = write_frames(data, size, from->records, done, from->count, clocks, interfaces, WRITTEN_PCAPNG,
                                        &out);
        CHECK(out.size <= piece && reached >= done && *total + out.size <= capacity);
        memcpy(file + *total, out.data, out.size);
        *total += out.size;
        piece *= reached == done ? 2 : 1;
        done = reached;
        free(out.data);
    }
    return file;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    uint8_t steering[STEERING];
    scanned source, copy;
    size_t total, again;
    size = take_steering(data, size, steering);
    uint8_t *all = copy_of(data, size);
    scan(all, (uint32_t)size, &source);
    uint8_t *file = written(all, (uint32_t)size, &source, source.state.swapped, 1U + steering[0], &total);
    scan(file, (uint32_t)total, &copy);
    CHECK(copy.state.position == total && copy.state.fault == FAULT_NONE);
    uint32_t next = 0;
    for (uint32_t n = 0; n < source.count; n++) {
        const frame_record *one = &source.records[n], *other = &copy.records[next];
        if (one->interface_id >= source.state.interface_count) {
            continue;
        }
        next++;
        CHECK(next <= copy.count && one->interface_id == other->interface_id);
        CHECK(one->captured_length == other->captured_length && one->wire_length == other->wire_length);
        CHECK(one->timestamp < 0 ? other->timestamp == 0 : one->timestamp == other->timestamp);
        CHECK(other->options <= one->options + 1U); /* they end with an end of options now */
        CHECK(!memcmp(all + one->offset, file + other->offset, one->captured_length));
    }
    CHECK(next == copy.count);
    uint8_t *second = written(file, (uint32_t)total, &copy, 0, 64, &again);
    CHECK(again == total && !memcmp(file, second, total));
    free(second);
    free(file);
    free(all);
    free(source.records);
    free(copy.records);
    return 0;
}
