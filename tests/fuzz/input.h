/* What the fuzz targets share: an input taken apart, memory of exactly the size that was asked for, and checks.
 *
 * An input ends with STEERING bytes that say how it is fed (sizes of pieces, capacities, options). They stand at the end
 * so that a capture file, or a list of frames, is a good beginning of an input as it is.
 */
#ifndef SPANLINE_FUZZ_INPUT_H
#define SPANLINE_FUZZ_INPUT_H

#include <stdio.h>
#include <stdlib.h>

#include "frame.h"

enum { STEERING = 8, MAX_FRAMES = 256 };

/* Called by libFuzzer, and by replay.c where there is none. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* What a decoder takes for VXLAN, port 4789, and for GENEVE, port 6081. */
static inline const tunnel_ports *ports_of_tunnels(void) {
    static const tunnel_ports ports = {.tunnel = {[4789 / 8] = 1 << 4789 % 8, [6081 / 8] = 1 << 6081 % 8},
                                       .geneve = {[6081 / 8] = 1 << 6081 % 8}};
    return &ports;
}

/* An invariant: when it does not hold, the input is a finding. */
#define CHECK(condition) ((condition) ? (void)0 : check_failed(#condition, __FILE__, __LINE__))

static inline void check_failed(const char *condition, const char *file, int line) {
    fprintf(stderr, "%s:%d: does not hold: %s\n", file, line, condition);
    abort();
}

/* For models and checks, so that libFuzzer looks for what is new in the core and not in them. */
#if defined(__clang__)
#define UNCOVERED __attribute__((noinline, no_sanitize("coverage")))
#else
#define UNCOVERED
#endif

/* Room for `count` items and not one more, so that AddressSanitizer sees the first byte too many. Not zeroed. */
static inline void *room(size_t count, size_t size) {
    void *memory = malloc(count ? count * size : 1);
    CHECK(memory != NULL);
    return memory;
}

static inline void *copy_of(const void *data, size_t size) {
    void *memory = room(size, 1);
    if (size) {
        memcpy(memory, data, size);
    }
    return memory;
}

/* Splits off the steering bytes; an input that is too short is steered by zeros. Returns the size of the rest. */
static inline size_t take_steering(const uint8_t *data, size_t size, uint8_t steering[STEERING]) {
    memset(steering, 0, STEERING);
    if (size < STEERING) {
        return size;
    }
    memcpy(steering, data + size - STEERING, STEERING);
    return size - STEERING;
}

/* The interfaces of every list of frames; seeds.py reads this list. */
static const int32_t link_types[] = {1, 0, 12, 14, 101, 108, 113, 228, 229, 276, 147, 6, 10};
enum { INTERFACES = sizeof link_types / sizeof link_types[0] };

typedef struct {
    frame_record *records;
    uint8_t *bytes;
    uint32_t count;
} frame_list;

/* A list of frames, until the input ends:
 *
 *  |interface 1|missing 1|length 2|step 4|frame|, little-endian
 *
 * `missing` times 16 bytes were not captured, except that 254 stands for a wire length beyond belief and 255 for one
 * that is shorter than what was captured. `step` is the µs since the frame before, signed.
 */
static inline void take_frames(const uint8_t *data, size_t size, frame_list *list) {
    uint32_t offset = 0;
    int64_t now = 1700000000000000000;
    cursor c = {data, 0, (uint32_t)size};
    bytes_view head, frame;
    list->records = room(MAX_FRAMES, sizeof *list->records);
    list->bytes = room(size, 1);
    for (list->count = 0; list->count < MAX_FRAMES && cursor_take(&c, 8, &head); list->count++) {
        uint32_t length = view_host16(head, 2), missing = view_u8(head, 1);
        length = length < cursor_left(&c) ? length : cursor_left(&c);
        cursor_take(&c, length, &frame);
        memcpy(list->bytes + offset, frame.data, length);
        now += (int32_t)view_host32(head, 4) * 1000LL;
        frame_record *record = &list->records[list->count];
        memset(record, 0, sizeof *record);
        record->timestamp = now;
        record->offset = offset;
        record->captured_length = length;
        record->wire_length = missing == 255 ? length / 2 : missing == 254 ? UINT32_MAX : length + missing * 16;
        record->interface_id = view_u8(head, 0) % (INTERFACES + 1); /* the last one was never declared */
        offset += length;
    }
    list->records = realloc(list->records, list->count ? list->count * sizeof *list->records : 1);
    list->bytes = realloc(list->bytes, offset ? offset : 1);
    CHECK(list->records != NULL && list->bytes != NULL);
}

static inline void free_frames(frame_list *list) {
    free(list->records);
    free(list->bytes);
}

#endif
