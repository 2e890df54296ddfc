/* The input is a capture file. Fed in pieces, with arrays that are nearly always full, it must give what it gives as a
 * whole: the same records, marks, interfaces, counts and fault. Records lie inside the buffer and follow one another. */
#include "framing.h"
#include "input.h"

typedef struct {
    framing state;
    frame_record *records; /* with their offset in the file */
    block_mark *marks;
    size_t record_count;
    size_t mark_count;
} found;

static uint32_t piece_size(const uint8_t steering[STEERING], uint32_t n) {
    uint32_t byte = steering[1 + n % (STEERING - 1)];
    return byte < 128 ? byte + 1 : 64 * (byte - 127);
}

/* Adds what one call gave, whose buffer begins at `from` in the file. */
static void collect(found *all, const framing_output *out, size_t from, uint32_t length) {
    uint32_t end = 0;
    for (uint32_t n = 0; n < out->record_count; n++) {
        frame_record *record = &all->records[all->record_count++];
        *record = out->records[n];
        CHECK(record->offset >= end && record->offset <= length);
        CHECK(record->captured_length <= MAX_FRAME && record->captured_length <= length - record->offset);
        end = record->offset + record->captured_length;
        CHECK(!record->options || ((end - record->offset + 3U) & ~3U) + 4U * record->options <= length - record->offset);
        record->offset += (uint32_t)from;
    }
    for (uint32_t n = 0; n < out->mark_count; n++) {
        block_mark *mark = &all->marks[all->mark_count++];
        *mark = out->marks[n];
        CHECK(mark->offset <= length && mark->length <= length - mark->offset);
        mark->offset += (uint32_t)from;
    }
}

/* Scans a file; without steering in one piece and with room for all. */
static void scan(const uint8_t *data, size_t size, const uint8_t *steering, found *all) {
    const size_t most = size / 12 + 1; /* no block is shorter */
    const uint32_t capacity = (uint32_t)(steering ? 1U + steering[0] % 4 : most);
    framing *f = &all->state;
    memset(all, 0, sizeof *all);
    all->records = room(most, sizeof *all->records);
    all->marks = room(most, sizeof *all->marks);
    framing_output out = {room(capacity, sizeof *out.records), room(capacity, sizeof *out.marks), capacity, capacity, 0, 0};
    f->interface_capacity = capacity;
    f->interfaces = room(capacity, sizeof *f->interfaces);
    size_t from = 0, to = 0;
    int status = FRAMING_MORE;
    for (uint32_t n = 0; n == 0 || status == FRAMING_FULL || (status == FRAMING_MORE && to < size); n++) {
        if (status == FRAMING_MORE) {
            to = steering ? to + piece_size(steering, n) : size;
            to = to < size ? to : size;
        }
        uint32_t length = (uint32_t)(to - from), consumed;
        uint8_t *piece = copy_of(data + from, length);
        if (f->interface_count == f->interface_capacity) {
            f->interfaces = realloc(f->interfaces, ++f->interface_capacity * sizeof *f->interfaces);
        }
        status = framing_scan(f, piece, length, &out, &consumed);
        collect(all, &out, from, length);
        from += consumed;
        CHECK(consumed <= length && f->position == from && f->frames == all->record_count);
        CHECK(f->skip == 0 || consumed == length);
        CHECK(f->interface_count <= f->interface_capacity);
        CHECK(status != FRAMING_FULL || consumed || f->interface_count == f->interface_capacity);
        CHECK((status == FRAMING_DAMAGED) == (f->fault != FAULT_NONE));
        free(piece);
    }
    free(out.records);
    free(out.marks);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    uint8_t steering[STEERING];
    found whole, pieces;
    size = take_steering(data, size, steering);
    scan(data, size, NULL, &whole);
    scan(data, size, steering, &pieces);
    CHECK(whole.record_count == pieces.record_count && whole.mark_count == pieces.mark_count);
    CHECK(!memcmp(whole.records, pieces.records, whole.record_count * sizeof *whole.records));
    CHECK(!memcmp(whole.marks, pieces.marks, whole.mark_count * sizeof *whole.marks));
    CHECK(whole.state.interface_count == pieces.state.interface_count);
    const size_t interfaces = whole.state.interface_count * sizeof *whole.state.interfaces;
    CHECK(!memcmp(whole.state.interfaces, pieces.state.interfaces, interfaces));
    const found *each[] = {&whole, &pieces};
    for (int n = 0; n < 2; n++) {
        free(each[n]->state.interfaces);
        free(each[n]->records);
        free(each[n]->marks);
    }
    whole.state.interfaces = pieces.state.interfaces = NULL;
    whole.state.interface_capacity = pieces.state.interface_capacity = 0;
    CHECK(!memcmp(&whole.state, &pieces.state, sizeof whole.state));
    return 0;
}
