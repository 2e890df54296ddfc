/* Application protocols: which one a message is of, and what it carries. The tables come from src/spanline/protocols/.
 *
 * What a frame has behind its transport header is a stack of names, as in path_table: number 0 is the empty one. */
#ifndef SPANLINE_APPLICATIONS_H
#define SPANLINE_APPLICATIONS_H

#include "announced.h"
#include "program.h"
#include "records.h"
#include "row_transport.h"

#ifndef MAX_STACKS /* fewer make the ends of a table come soon: for fuzzing */
#define MAX_STACKS 65535
#endif

enum { MAX_APPLICATIONS = 256, MAX_SIBLINGS = 64, MAX_CARRIED = 8 };

/* Names that are no protocol's, but that a frame may have. */
enum { NAME_NONE, NAME_DATA, NAME_SEGMENTS, NAME_SHORT, FIRST_APPLICATION };

/* How messages follow one another in a stream. */
enum framing {
    FRAMING_WHOLE,   /* a segment is a message */
    FRAMING_EACH,    /* each message says how long it is */
    FRAMING_RECORDS, /* the same, but those that come together are shown as one */
    FRAMING_LINES,   /* a segment is a message, but goes on when its first line does not end in it */
    FRAMING_HTTP,    /* lines, an empty one, and a body as long as they say */
};

typedef struct {
    uint32_t accept; /* programs: whether a message is one of this protocol, */
    uint32_t length; /* how long it is, */
    uint32_t next;   /* where inside it another one of the same kind begins, 0 for none */
    uint32_t wraps;   /* whether what follows is another conversation inside this protocol */
    uint32_t becomes; /* which protocol the conversation goes on with after it, 0 for the same */
    uint32_t silent; /* whether it is not shown */
    uint32_t confirm; /* what settles that a first message on its port is one */
    uint32_t first_carried;
    uint16_t carried_count;
    uint8_t framing;
    uint8_t announces; /* enum announcement */
} application;
STATIC_ASSERT(sizeof(application) == 36, "application");

/* `carried` begins `at` bytes inside a message of another protocol `when` that holds. NAME_NONE stands for what was carried
 * last in the same conversation: answers do not say it. */
typedef struct {
    uint32_t when;
    uint32_t at;
    uint32_t carried;
} carried_rule;

/* `application` is what it is on any port, when `when` holds. */
typedef struct {
    uint32_t when;
    uint32_t application;
    uint32_t first_bytes[8]; /* a bit for each that a message may begin with for `when` to hold */
} heuristic;
STATIC_ASSERT(sizeof(heuristic) == 40, "heuristic");

typedef struct {
    program program;
    const application *applications; /* by name */
    uint32_t count;
    const carried_rule *carried;
    uint32_t carried_count;
    const heuristic *heuristics[2]; /* TCP, UDP */
    uint32_t heuristic_count[2];
    const uint8_t *ports[2];      /* 65,536 each */
    const uint8_t *ip_protocols;  /* 256 */
    const uint8_t *ether_types;   /* 65,536 */
    const uint8_t *llc_services;  /* 256 */
    const uint8_t *snap_protocols; /* 65,536, of organisations other than 0 */
    uint8_t announced[ANNOUNCED_KINDS]; /* the names of what is announced */
} application_set;

/* The distinct stacks of names, as a tree: the child of n that has `name` on top is next[n × MAX_APPLICATIONS + name]. */
typedef struct {
    uint16_t *next;
    uint16_t *parent;
    uint8_t *name;
    uint32_t count;
    uint64_t excess;
} stack_table;

static inline uint32_t stack_push(stack_table *t, uint32_t stack, uint32_t name) {
    uint16_t *next = &t->next[stack * MAX_APPLICATIONS + (name & 0xFF)];
    if (UNLIKELY(*next == 0)) {
        if (t->count >= MAX_STACKS) {
            t->excess++;
            return stack;
        }
        t->parent[t->count] = (uint16_t)stack;
        t->name[t->count] = (uint8_t)name;
        *next = (uint16_t)t->count++;
    }
    return *next;
}

/* One message of an application protocol in a frame. */
typedef struct {
    uint32_t packet;
    uint32_t offset; /* in buffers[buffer] */
    uint32_t length; /* of what is there */
    uint16_t application;
    uint8_t buffer;
    uint8_t reserved;
} message_row;
STATIC_ASSERT(sizeof(message_row) == 16, "message_row");

typedef struct {
    message_row *rows; /* null: not wanted */
    uint32_t count;
    uint32_t capacity;
} message_output;

/* A frame that is looked at: what was found in it so far. */
typedef struct {
    const application_set *set;
    stack_table *stacks;
    message_output *out;
    uint32_t stack;
    uint32_t packet;
    uint32_t messages_end; /* that messages of this frame go up to, however large the output is */
    uint8_t buffer;        /* that messages are in, */
    const uint8_t *base;   /* and where that begins */
    uint8_t top;           /* the application found first */
    uint8_t *carried;      /* what was carried last in the conversation */
    const packet_row *row;
} finding;

ALWAYS_INLINE void found(finding *f, uint32_t name, const message *m) {
    f->stack = stack_push(f->stacks, f->stack, name);
    if (UNLIKELY(f->out->rows != NULL) && f->out->count < f->messages_end) {
        message_row *row = &f->out->rows[f->out->count++];
        memset(row, 0, sizeof *row);
        row->packet = f->packet;
        row->offset = m->bytes.data ? (uint32_t)(m->bytes.data - f->base) : 0;
        row->length = m->bytes.length;
        row->application = (uint16_t)name;
        row->buffer = f->buffer;
    }
}

ALWAYS_INLINE const application *application_at(const application_set *set, uint32_t name) {
    return &set->applications[name < set->count ? name : NAME_NONE];
}

ALWAYS_INLINE int accepts(const application_set *set, uint32_t name, const message *m) {
    const uint32_t accept = application_at(set, name)->accept;
    return accept == NO_PROGRAM || program_holds(&set->program, accept, m);
}

/* What was captured of the row's payload, which is in `buffer`. */
static inline message payload_message(const packet_row *row, bytes_view buffer) {
    const message m = {row_payload_bytes(row, buffer, row->payload_length), row->payload_length, row->source_port,
                       row->destination_port};
    return m;
}

/* The protocol that a message of `name` carries, and where; NAME_NONE when it carries none that is known. */
static inline uint32_t carried_by(const application_set *set, uint32_t name, const message *m, message *inner,
                                  uint8_t *remembered) {
    const application *a = application_at(set, name);
    for (uint32_t n = 0; n < a->carried_count && a->first_carried + n < set->carried_count; n++) {
        const carried_rule *rule = &set->carried[a->first_carried + n];
        int64_t at = 0;
        if (program_holds(&set->program, rule->when, m) &&
            program_run(&set->program, rule->at, m, &at) == OUTCOME_VALUE && at >= 0 && at <= m->bytes.length) {
            *inner = message_from(m, (uint32_t)at);
            if (rule->carried == NAME_NONE) {
                return *remembered;
            }
            *remembered = (uint8_t)rule->carried;
            return rule->carried;
        }
    }
    return NAME_NONE;
}

/* A whole message of protocol `name`, with others of its kind that hang on it, and what it carries. */
static inline void find_in_message(finding *f, uint32_t name, message m) {
    for (uint32_t depth = 0; depth < MAX_CARRIED && name != NAME_NONE; depth++) {
        const uint32_t next = application_at(f->set, name)->next;
        message inner = m;
        uint32_t carried = NAME_NONE;
        for (uint32_t n = 0; n < MAX_SIBLINGS; n++) {
            int64_t at = 0;
            found(f, name, &m);
            carried = carried_by(f->set, name, &m, &inner, f->carried);
            if (next == NO_PROGRAM || program_run(&f->set->program, next, &m, &at) != OUTCOME_VALUE || at <= 0 ||
                at >= m.bytes.length) {
                break;
            }
            m = message_from(&m, (uint32_t)at);
        }
        name = carried;
        m = inner;
    }
}

/* The application of a port, low numbers first, that does not reject the message. */
static inline uint32_t by_port(const application_set *set, int transport, uint32_t server_port, const message *m) {
    const uint8_t *ports = set->ports[transport];
    const uint32_t low = m->source_port < m->destination_port ? m->source_port : m->destination_port;
    const uint32_t high = m->source_port < m->destination_port ? m->destination_port : m->source_port;
    const uint32_t order[] = {server_port, low, high};
    for (uint32_t n = server_port ? 0 : 1; n < 3; n++) {
        const uint32_t name = ports[order[n] & 0xFFFF];
        if (name != NAME_NONE && accepts(set, name, m)) {
            return name;
        }
    }
    return NAME_NONE;
}

static inline uint32_t by_content(const application_set *set, int transport, const message *m) {
    const uint32_t first = view_u8(m->bytes, 0);
    for (uint32_t n = 0; n < set->heuristic_count[transport]; n++) {
        const heuristic *h = &set->heuristics[transport][n];
        if ((h->first_bytes[first >> 5 & 7] >> (first & 31) & 1) && program_holds(&set->program, h->when, m)) {
            return h->application;
        }
    }
    return NAME_NONE;
}

#endif
