/* Which application protocol a flow is of, told by the first bytes that each side sends.
 *
 * What a protocol's own tests settle is settled here. Other beginnings are kept as heads, for all patterns to be looked for
 * at once; until then the record says which head it waits for. */
#ifndef SPANLINE_FLOW_NAMES_H
#define SPANLINE_FLOW_NAMES_H

#include "applications.h"
#include "history.h"
#include "network.h"

/* A head begins with a newline, so that patterns anchored at the beginning of a line find it. */
enum { HEAD_BYTES = 64 };

#ifndef MAX_HEADS /* fewer are full soon: for fuzzing */
#define MAX_HEADS 0x7FFF
#endif

/* Protocols inside one another: TPKT, X.224, T.125, RDP. */
enum { MOST_CARRIED = 4 };

/* flow_record.application: the number of the name, with */
enum {
    FOUND_BY_CONTENT = 0x0100,
    FOUND_FOREIGN = 0x0200, /* on a port where it is not expected */
    FOUND_WAITS = 0x8000,   /* or, with this, the number of a head */
};

typedef struct {
    uint32_t flow;      /* number of the record */
    uint16_t port_name; /* what the port says */
    uint16_t own;       /* flow_record.application by the protocols' own tests, 0 when they settled nothing */
    uint16_t before;    /* flow_record.application until now */
    uint16_t reserved;
} flow_head;
STATIC_ASSERT(sizeof(flow_head) == 12, "flow_head");

typedef struct {
    const application_set *set; /* null: applications are not looked for */
    flow_head *heads;
    uint8_t *bytes; /* HEAD_BYTES of each head */
    uint32_t count;
} flow_names;

/* Whether messages of `outer` are, or carry, those of `name`: on TPKT's port RDP is expected. */
static inline int is_expected(const application_set *set, uint32_t outer, uint32_t name, int depth) {
    const application *a = application_at(set, outer);
    int found = outer == name;
    for (uint32_t n = 0; !found && depth && n < a->carried_count && a->first_carried + n < set->carried_count; n++) {
        const uint32_t carried = set->carried[a->first_carried + n].carried;
        found = carried != NAME_NONE && is_expected(set, carried, name, depth - 1);
    }
    return found;
}

/* flow_record.application of what its content says, where the port says `port_name`. */
static inline uint32_t found_by_content(const application_set *set, uint32_t port_name, uint32_t name) {
    return name | FOUND_BY_CONTENT | (is_expected(set, port_name, name, MOST_CARRIED) ? 0 : FOUND_FOREIGN);
}

/* What the payload says that a flow begins with, in one direction; there is room for a head. */
static inline void flow_name(flow_names *names, flow_record *flow, uint32_t number, int way, const packet_row *row,
                             bytes_view buffer) {
    const application_set *set = names->set;
    const int transport = row->ip_protocol == IP_UDP;
    flow->direction[way].once |= ONCE_HEAD;
    if ((!transport && row->ip_protocol != IP_TCP) || (flow->application & (FOUND_BY_CONTENT | FOUND_WAITS)) == FOUND_BY_CONTENT) {
        return;
    }
    const message m = payload_message(row, buffer);
    if (m.bytes.length == 0) {
        return;
    }
    const uint32_t port_name = by_port(set, transport, flow->destination_port, &m);
    const uint32_t confirm = application_at(set, port_name)->confirm;
    uint32_t name = port_name;
    if (port_name == NAME_NONE || confirm == NO_PROGRAM || !program_holds(&set->program, confirm, &m)) {
        name = by_content(set, transport, &m);
    }
    const uint32_t own = name == NAME_NONE ? 0 : found_by_content(set, port_name, name);
    if (own && !(flow->application & FOUND_WAITS)) {
        flow->application = (uint16_t)own;
        return;
    }
    flow_head *head = &names->heads[names->count];
    uint8_t *bytes = names->bytes + (size_t)names->count * HEAD_BYTES;
    const uint32_t length = m.bytes.length < HEAD_BYTES - 1 ? m.bytes.length : HEAD_BYTES - 1;
    head->flow = number;
    head->port_name = (uint16_t)port_name;
    head->own = (uint16_t)own;
    head->before = flow->application;
    head->reserved = 0;
    bytes[0] = '\n';
    memcpy(bytes + 1, m.bytes.data, length);
    memset(bytes + 1 + length, 0, HEAD_BYTES - 1 - length);
    flow->application = (uint16_t)(FOUND_WAITS | names->count++);
}

/* What a record is, that waited for `patterns` to be looked for in heads: each is a name, or 0. Of several heads the first
 * one that says anything counts, as if each had been looked at before the next one came. */
static inline void flow_settle(const flow_names *names, const uint8_t *patterns, flow_record *flow) {
    enum { MOST = 8 };
    uint32_t heads[MOST], count = 0, application = flow->application;
    while ((application & FOUND_WAITS) && count < MOST) {
        const uint32_t number = application & ~(uint32_t)FOUND_WAITS;
        if (number >= names->count) {
            break;
        }
        heads[count++] = number;
        application = names->heads[number].before;
    }
    application = application & FOUND_WAITS ? 0 : application;
    while (count && !(application & FOUND_BY_CONTENT)) {
        const flow_head *head = &names->heads[heads[--count]];
        const uint32_t pattern = patterns[heads[count]];
        if (head->own) {
            application = head->own;
        } else if (pattern != NAME_NONE) {
            application = found_by_content(names->set, head->port_name, pattern);
        } else if (application == 0) {
            application = head->port_name;
        }
    }
    flow->application = (uint16_t)application;
}

/* The same for many. */
static inline void records_settle(const flow_names *names, const uint8_t *patterns, flow_record *records, size_t count) {
    for (size_t n = 0; n < count; n++) {
        if (records[n].application & FOUND_WAITS) {
            flow_settle(names, patterns, &records[n]);
        }
    }
}

#endif
