/* Record framing: where each captured frame lies in a block of file bytes, and when it was captured.
 *
 * One scanner reads pcap and pcapng and keeps its place between calls, so a file may come in pieces of any size. It
 * never copies and never allocates: the caller gives arrays and calls again when one is full. It stops at the first
 * byte that cannot be framed and says where that is; everything before stands.
 */
#ifndef SPANLINE_FRAMING_H
#define SPANLINE_FRAMING_H

#include "framing_pcap.h"
#include "framing_pcapng.h"

/* Recognises the format; FRAMING_MORE with f->format still FORMAT_UNKNOWN when there are too few bytes to tell. */
static inline int framing_start(framing *f, cursor *c) {
    static const struct {
        uint32_t magic;
        uint32_t resolution;
    } known[] = {{0xA1B2C3D4U, 6}, {0xA1B23C4DU, 9}};
    bytes_view header;
    f->newest_timestamp = INT64_MIN;
    if (!cursor_peek(c, 4, &header)) {
        return FRAMING_MORE;
    }
    uint32_t magic = view_host32(header, 0);
    if (magic == BLOCK_SECTION) {
        f->format = FORMAT_PCAPNG;
        return FRAMING_MORE;
    }
    for (size_t n = 0; n < sizeof known / sizeof known[0]; n++) {
        if (magic == known[n].magic || magic == swap32(known[n].magic)) {
            if (cursor_take(c, 24, &header)) {
                f->swapped = magic != known[n].magic;
                framing_start_pcap(f, header, known[n].resolution);
            }
            return FRAMING_MORE;
        }
    }
    return framing_damaged(f, FAULT_NOT_A_CAPTURE, magic);
}

/* Takes the whole records of `length` bytes at `data`, which continue where the last call stopped consuming. */
static inline int framing_scan(framing *f, const uint8_t *data, uint32_t length, framing_output *out,
                               uint32_t *consumed) {
    cursor c = {data, 0, length};
    int status = FRAMING_MORE;
    out->record_count = out->mark_count = 0;
    if (f->skip) {
        uint32_t here = f->skip < length ? (uint32_t)f->skip : length;
        c.offset = here;
        f->skip -= here;
    }
    if (f->format == FORMAT_UNKNOWN) {
        status = framing_start(f, &c);
    }
    if (status == FRAMING_MORE && f->format == FORMAT_PCAP) {
        status = framing_scan_pcap(f, &c, out);
    } else if (status == FRAMING_MORE && f->format == FORMAT_PCAPNG) {
        status = framing_scan_pcapng(f, &c, out);
    }
    f->position += c.offset;
    *consumed = c.offset;
    return status;
}

/* Copies the bytes of frames to the same places of `target`; both have `size` bytes. 0 when a frame is not inside. */
static inline int frames_copy(const uint8_t *data, uint64_t size, const frame_record *records, uint32_t count,
                              uint8_t *target) {
    for (uint32_t n = 0; n < count; n++) {
        const frame_record *record = &records[n];
        if (UNLIKELY((uint64_t)record->offset + record->captured_length > size)) {
            return 0;
        }
        memcpy(target + record->offset, data + record->offset, record->captured_length);
    }
    return 1;
}

#endif
