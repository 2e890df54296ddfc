/* The input is one message. Every field is read of it, with little room and with as much as it needs: what did not fit says
 * so, and both find the same. Occurrences end in order, inside what was written; a name has no more letters than a name
 * may have. Of steering bytes the first says how the message came, the second how little room there is. */
#include "application_fields.h"
#include "input.h"

enum { ROOM = 1 << 20, COUNT = 1 << 16 };

typedef struct {
    occurrence_output out;
    size_t capacity;
    size_t room;
} sink;

static void take_room(sink *s, size_t capacity, size_t octets) {
    memset(s, 0, sizeof *s);
    s->out.messages = room(capacity, sizeof *s->out.messages);
    s->out.numbers = room(capacity, sizeof *s->out.numbers);
    s->out.ends = room(capacity, sizeof *s->out.ends);
    s->out.octets = room(octets, 1);
    s->out.capacity = capacity;
    s->out.room = octets;
}

static void free_room(sink *s) {
    free(s->out.messages);
    free(s->out.numbers);
    free(s->out.ends);
    free(s->out.octets);
}

UNCOVERED static void check(const sink *s) {
    int64_t before = 0;
    CHECK(s->out.count <= s->out.capacity && s->out.used <= s->out.room);
    for (size_t n = 0; n < s->out.count; n++) {
        CHECK(s->out.ends[n] >= before && (size_t)s->out.ends[n] <= s->out.used);
        before = s->out.ends[n];
    }
}

UNCOVERED static void check_same(const sink *one, const sink *other) {
    CHECK(one->out.count == other->out.count && one->out.used == other->out.used);
    CHECK(one->out.used == 0 || memcmp(one->out.octets, other->out.octets, one->out.used) == 0);
    for (size_t n = 0; n < one->out.count; n++) {
        CHECK(one->out.numbers[n] == other->out.numbers[n] && one->out.ends[n] == other->out.ends[n]);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    static const uint8_t methods[] = "GET POST M-SEARCH ", header[] = "host:";
    uint8_t steering[STEERING];
    size = take_steering(data, size, steering);
    uint8_t *bytes = copy_of(data, size);
    const field_message message = {{bytes, (uint32_t)size}, steering[0] & (MESSAGE_OVER_TCP | MESSAGE_CUT)};
    const bytes_view known = {methods, sizeof methods - 1}, wanted = {header, sizeof header - 1};
    for (int field = 0; field < APPLICATION_FIELDS; field++) {
        sink large, small, exact;
        take_room(&large, COUNT, ROOM);
        read_field((enum application_field)field, &message, known, wanted, &large.out);
        check(&large);
        CHECK(!large.out.full);
        take_room(&small, steering[1] & 7, steering[1]);
        read_field((enum application_field)field, &message, known, wanted, &small.out);
        check(&small);
        CHECK(small.out.full || small.out.count == large.out.count);
        take_room(&exact, large.out.count, large.out.used);
        read_field((enum application_field)field, &message, known, wanted, &exact.out);
        check(&exact);
        CHECK(!exact.out.full);
        check_same(&large, &exact);
        free_room(&large);
        free_room(&small);
        free_room(&exact);
    }
    free(bytes);
    return 0;
}
