/* The history of a connection in Zeek's letters: what happened, in order, upper case for the originator.
 *
 * definition: Zeek, conn.log, field `history`. Letters take 5 bits each, so that a flow keeps HISTORY_MAX of them.
 */
#ifndef SPANLINE_HISTORY_H
#define SPANLINE_HISTORY_H

#include "flow_record.h"

enum { HISTORY_MAX = 36 };

#define HISTORY_LETTERS " shadfrcgtwiq^"
enum history_letter {
    HISTORY_SYN = 1,
    HISTORY_SYN_ACK,
    HISTORY_ACK,
    HISTORY_DATA,
    HISTORY_FIN,
    HISTORY_RST,
    HISTORY_CHECKSUM,
    HISTORY_GAP,
    HISTORY_RETRANSMISSION,
    HISTORY_ZERO_WINDOW,
    HISTORY_INCONSISTENT,
    HISTORY_MULTI_FLAG,
    HISTORY_FLIPPED,
};

/* flow_direction.once */
enum { ONCE_SYN = 1, ONCE_ACK = 2, ONCE_DATA = 4, ONCE_INCONSISTENT = 8, ONCE_MULTI_FLAG = 16,
       ONCE_HEAD = 32 /* no letter: its first payload was looked at */ };

static inline void history_add(flow_record *flow, int direction, uint32_t letter) {
    uint32_t at = flow->history_length;
    if (at < HISTORY_MAX) {
        flow->history[at / 12] |= (uint64_t)(letter << 1 | (direction == 0)) << (at % 12 * 5);
        flow->history_length++;
    }
}

ALWAYS_INLINE void history_add_once(flow_record *flow, int direction, uint32_t mark, uint32_t letter) {
    if (UNLIKELY(!(flow->direction[direction].once & mark))) {
        flow->direction[direction].once |= (uint8_t)mark;
        history_add(flow, direction, letter);
    }
}

/* Some letters are repeated at the 10th, 100th, … time. */
static inline void history_add_scaled(flow_record *flow, int direction, uint32_t count, uint32_t letter) {
    while (count >= 10 && count % 10 == 0) {
        count /= 10;
    }
    if (count == 1) {
        history_add(flow, direction, letter);
    }
}

/* Writes the letters of `flow` to `text`, at most HISTORY_MAX, and returns how many. */
static inline uint32_t history_text(const flow_record *flow, char *text) {
    for (uint32_t at = 0; at < flow->history_length; at++) {
        uint32_t code = (uint32_t)(flow->history[at / 12] >> (at % 12 * 5)) & 31;
        char letter = HISTORY_LETTERS[code >> 1];
        text[at] = (code & 1) && letter != '^' ? (char)(letter - 'a' + 'A') : letter;
    }
    return flow->history_length;
}

#endif
