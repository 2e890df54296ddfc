/* Values out of headers: a field stands at the same place of each header of its protocol. */
#ifndef SPANLINE_GATHER_H
#define SPANLINE_GATHER_H

#include "records.h"

/* Where a field stands: `width` bytes, `offset` behind the header's first. A header has it only when the number of
 * `when_width` bytes (0: always) at `when_offset`, masked by `when_mask`, is from `least` to `most`, or when least > most
 * not between these, and when its bit is set in `among`, should that not be 0. */
typedef struct {
    uint32_t offset;
    uint32_t width;
    uint32_t when_offset;
    uint32_t when_width;
    uint64_t when_mask;
    uint64_t least;
    uint64_t most;
    uint64_t among; /* of values below 64 */
} field_place;

/* What is found: by occurrence, its row, the ordinal of its header, and its value. */
typedef struct {
    uint32_t *packets;
    uint8_t *ordinals;
    uint64_t *numbers; /* or octets */
    uint8_t *octets;
} field_values;

ALWAYS_INLINE uint64_t network_number(bytes_view view) {
    uint64_t value = 0;
    for (uint32_t n = 0; n < view.length; n++) {
        value = value << 8 | view_u8(view, n);
    }
    return value;
}

/* `width` bytes at `offset` of a header, as far as that was captured. */
ALWAYS_INLINE int header_part(const layer_row *layer, const bytes_view buffers[2], uint32_t offset, uint32_t width,
                              bytes_view *part) {
    const bytes_view buffer = buffers[layer->buffer & 1];
    if (layer->length < offset || layer->length - offset < width || layer->offset > buffer.length) {
        return 0;
    }
    cursor c = {buffer.data, layer->offset, buffer.length};
    if (cursor_left(&c) < offset) {
        return 0;
    }
    c.offset += offset;
    return cursor_take(&c, width, part);
}

ALWAYS_INLINE int header_has(const layer_row *layer, const bytes_view buffers[2], const field_place *place) {
    bytes_view part;
    if (place->when_width == 0) {
        return 1;
    }
    if (!header_part(layer, buffers, place->when_offset, place->when_width, &part)) {
        return 0;
    }
    const uint64_t value = network_number(part) & place->when_mask;
    const int is_above = value >= place->least, is_below = value <= place->most;
    return (place->least <= place->most ? is_above && is_below : is_above || is_below) &&
           (place->among == 0 || (value < 64 && place->among >> value & 1));
}

/* Looks into `count` headers; returns how many occurrences were found. Numbers have at most 8 bytes. */
static inline uint32_t gather(const layer_row *layers, uint32_t count, const bytes_view buffers[2],
                              const field_place *place, const field_values *out) {
    uint32_t found = 0;
    bytes_view part;
    for (uint32_t n = 0; n < count; n++) {
        if (!header_has(&layers[n], buffers, place) ||
            !header_part(&layers[n], buffers, place->offset, place->width, &part)) {
            continue;
        }
        out->packets[found] = layers[n].packet;
        out->ordinals[found] = layers[n].ordinal;
        if (out->numbers) {
            switch (place->width) {
            case 1:
                out->numbers[found] = view_u8(part, 0);
                break;
            case 2:
                out->numbers[found] = view_be16(part, 0);
                break;
            case 4:
                out->numbers[found] = view_be32(part, 0);
                break;
            default:
                out->numbers[found] = network_number(part);
            }
        } else {
            view_copy(part, 0, out->octets + (size_t)found * place->width, place->width);
        }
        found++;
    }
    return found;
}

/* Copies the bytes of `count` spans, one behind another; a span that does not lie inside its buffer is left out.
 * Returns how many bytes that were, never more than the sum of the lengths. */
static inline uint64_t gather_spans(const bytes_view buffers[2], const uint8_t *numbers, const int64_t *starts,
                                    const int64_t *lengths, size_t count, uint8_t *data, int64_t *offsets) {
    uint64_t at = 0;
    offsets[0] = 0;
    for (size_t n = 0; n < count; n++) {
        const bytes_view buffer = buffers[numbers[n] & 1];
        const int64_t length = lengths[n];
        if (starts[n] >= 0 && length > 0 && starts[n] <= (int64_t)buffer.length &&
            length <= (int64_t)buffer.length - starts[n]) {
            view_copy(buffer, (uint32_t)starts[n], data + at, (uint32_t)length);
            at += (uint64_t)length;
        }
        offsets[n + 1] = (int64_t)at;
    }
    return at;
}

#endif
