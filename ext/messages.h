/* Messages of application protocols in TCP streams: where each begins and ends, however segments cut it. As Wireshark's
 * desegmentation shows it: the segment that completes a message has it; those before have nothing. */
#ifndef SPANLINE_MESSAGES_H
#define SPANLINE_MESSAGES_H

#include "applications.h"
#include "http_framing.h"
#include "stream_row.h"

#ifndef BLOCK_BYTES /* fewer make chains long soon: for fuzzing */
#define BLOCK_BYTES 1020
#define KEPT_BYTES (16 * 1024)
#define SEGMENT_BYTES 262144
#define MOST_MESSAGES 1024
#endif

/* KEPT_BYTES are kept of a message that goes on: enough for its headers. Its length is known beyond that. What completes
 * it is a frame of SEGMENT_BYTES at most: segmentation offload makes segments that are longer than IP can say. */
enum { MAX_CALLS = 4096 };
#define NO_BLOCK 0U

typedef struct {
    uint32_t next;
    uint8_t bytes[BLOCK_BYTES];
} message_block;

/* Unfinished messages' beginnings. Block 0 is never used. */
typedef struct {
    message_block *blocks;
    uint32_t count;
    uint32_t used; /* blocks behind this one were never taken */
    uint32_t free; /* the first of the chain of those that were given back */
    uint64_t refused; /* times that there was none: the message is then judged by what was kept */
} block_pool;

enum waiting {
    WAITING_NONE,
    WAITING_LENGTH, /* for the message's last byte, `end` */
    WAITING_MORE,   /* for another segment: how long it is cannot be told yet */
    WAITING_FIN,
    WAITING_CHUNKS,
};

typedef struct {
    uint32_t start; /* sequence numbers: where the message begins, */
    uint32_t have;  /* behind the last byte that came, */
    uint32_t end;   /* and behind its last one */
    uint32_t block; /* the bytes kept */
    uint32_t kept;
    chunk_state chunks;
    uint8_t waiting;
    uint8_t broken; /* a byte of it is missing */
    uint8_t reserved[2];
} message_state;

typedef struct {
    message_state way[2];
    uint16_t server_port;
    uint8_t application;  /* found by content: what the conversation is from then on */
    uint8_t http_seen;    /* by direction, a bit each: a request, a response or a hole: what is neither continues one */
    uint8_t answers_head; /* the last HTTP request was HEAD or CONNECT */
    uint8_t wrapped_in;   /* the protocol that carries the conversation from then on, as SOCKS does */
    uint8_t carried;      /* what a message of it carried last */
    uint8_t reserved;
    uint32_t asked;       /* how many ends had been announced when it was last looked for */
} application_stream;

typedef struct {
    const application_set *set;
    stack_table *stacks;
    application_stream *streams; /* by slot */
    uint32_t slots;
    block_pool pool;
    announced_table announced;
    message_output messages;
    uint8_t *assembled; /* buffers[2] */
    uint32_t assembled_size;
    uint32_t assembled_capacity;
} application_engine;

/* What one packet may add to `assembled`. */
enum { MOST_ASSEMBLED = KEPT_BYTES + SEGMENT_BYTES };

static inline void drop_message(block_pool *pool, message_state *s) {
    while (s->block != NO_BLOCK) {
        const uint32_t block = s->block;
        s->block = pool->blocks[block].next;
        pool->blocks[block].next = pool->free;
        pool->free = block;
    }
    s->kept = 0;
    s->waiting = WAITING_NONE;
    s->broken = 0;
    s->chunks.left = s->chunks.state = 0;
}

static inline uint32_t take_block(block_pool *pool) {
    const uint32_t block = pool->free;
    if (block == NO_BLOCK) {
        return pool->used + 1 < pool->count ? ++pool->used : NO_BLOCK;
    }
    pool->free = pool->blocks[block].next;
    return block;
}

/* Blocks hang in a chain whose first one is the last that was filled: reading goes from the back. */
static inline void keep_bytes(block_pool *pool, message_state *s, bytes_view bytes) {
    uint32_t at = 0;
    while (at < bytes.length && s->kept < KEPT_BYTES) {
        const uint32_t used = s->kept % BLOCK_BYTES;
        if (used == 0) {
            const uint32_t block = take_block(pool);
            if (block == NO_BLOCK) {
                pool->refused++;
                return;
            }
            pool->blocks[block].next = s->block;
            s->block = block;
        }
        uint32_t take = BLOCK_BYTES - used;
        take = take < bytes.length - at ? take : bytes.length - at;
        take = take < KEPT_BYTES - s->kept ? take : KEPT_BYTES - s->kept;
        view_copy(bytes, at, pool->blocks[s->block].bytes + used, take);
        s->kept += take;
        at += take;
    }
}

/* The kept bytes, and `more` behind them, in one piece. */
static inline bytes_view assemble(application_engine *e, const message_state *s, bytes_view more) {
    uint8_t *to = e->assembled + e->assembled_size;
    uint32_t end = s->kept;
    for (uint32_t block = s->block; block != NO_BLOCK && end; block = e->pool.blocks[block].next) {
        const uint32_t start = (end - 1) / BLOCK_BYTES * BLOCK_BYTES;
        memcpy(to + start, e->pool.blocks[block].bytes, end - start);
        end = start;
    }
    /* Behind a hole in what was kept nothing is where it was. */
    const int whole = s->kept == s->have - s->start;
    const uint32_t most = whole ? SEGMENT_BYTES : 0, length = more.length < most ? more.length : most;
    if (length) {
        memcpy(to + s->kept, more.data, length);
    }
    const bytes_view all = {to, s->kept + length};
    e->assembled_size += all.length;
    return all;
}

static inline void wait_for(application_engine *e, message_state *s, enum waiting what, const message *m, uint32_t seq,
                            uint32_t length) {
    drop_message(&e->pool, s);
    s->waiting = (uint8_t)what;
    s->start = seq;
    s->have = seq + m->wire;
    s->end = seq + length;
    keep_bytes(&e->pool, s, m->bytes);
}

/* Whether more bytes can be asked for: those that did not come with this segment do not come with another. */
ALWAYS_INLINE int can_wait(const message *m) { return m->bytes.length == m->wire; }

/* How long the message is that begins here; 0 when it waits for the rest of it, and then the stream's state says so. */
static inline uint32_t message_length(application_engine *e, application_stream *stream, message_state *s,
                                      const application *a, const message *m, uint32_t seq) {
    int64_t length = m->wire;
    if (a->framing == FRAMING_EACH || a->framing == FRAMING_RECORDS) {
        if (program_run(&e->set->program, a->length, m, &length) == OUTCOME_SHORT) {
            if (can_wait(m)) {
                wait_for(e, s, WAITING_MORE, m, seq, 0);
                return 0;
            }
            return m->wire;
        }
    } else if (a->framing == FRAMING_LINES) {
        if (can_wait(m) && line_end(m->bytes, 0) == 0) {
            wait_for(e, s, WAITING_MORE, m, seq, 0);
            return 0;
        }
    } else if (a->framing == FRAMING_HTTP && can_wait(m)) {
        /* Of a connection whose beginning was not seen, either direction says so of both. */
        const uint32_t way = stream->server_port ? 1U << (s - stream->way) : 3U;
        if (!program_holds(&e->set->program, a->length, m)) {
            if (!(stream->http_seen & way)) {
                wait_for(e, s, WAITING_FIN, m, seq, 0);
            }
            return stream->http_seen & way ? m->wire : 0;
        }
        stream->http_seen |= (uint8_t)way;
        const http_message http = http_read(m->bytes, stream->answers_head);
        if (http.head == 0) {
            wait_for(e, s, WAITING_MORE, m, seq, 0);
            return 0;
        }
        length = http.head + (http.body == HTTP_BODY_LENGTH ? http.length : 0);
        if (http.body == HTTP_BODY_UNTIL_FIN) {
            wait_for(e, s, WAITING_FIN, m, seq, 0);
            return 0;
        }
        if (http.body == HTTP_BODY_CHUNKED) {
            chunk_state chunks = {0, CHUNK_SIZE};
            const message body = message_from(m, http.head);
            length += chunks_take(&chunks, body.bytes, body.wire);
            if (chunks.state != CHUNK_DONE) {
                wait_for(e, s, WAITING_CHUNKS, m, seq, 0);
                s->chunks = chunks;
                return 0;
            }
        }
        stream->answers_head = http.response ? 0 : http.head_request;
    }
    if (length <= 0 || length > INT32_MAX) {
        return m->wire; /* it contradicts itself */
    }
    if (length > m->wire) {
        if (can_wait(m)) {
            wait_for(e, s, WAITING_LENGTH, m, seq, (uint32_t)length);
            return 0;
        }
        return m->wire;
    }
    return (uint32_t)length;
}

/* Inside another protocol ports say nothing, and what begins like that protocol's messages is its own. */
static inline uint32_t choose_wrapped(const application_set *set, application_stream *stream, const message *m) {
    const application *around = application_at(set, stream->wrapped_in);
    if (around->framing == FRAMING_HTTP && program_holds(&set->program, around->length, m)) {
        return stream->wrapped_in;
    }
    if (stream->application == NAME_NONE || !accepts(set, stream->application, m)) {
        stream->application = (uint8_t)by_content(set, 0, m);
    }
    return stream->application;
}

/* Which protocol the bytes at `m` are of. */
static inline uint32_t choose(const application_set *set, int transport, application_stream *stream, const message *m) {
    uint32_t name = stream->application;
    if (UNLIKELY(stream->wrapped_in != NAME_NONE)) {
        return choose_wrapped(set, stream, m);
    }
    if (name != NAME_NONE && accepts(set, name, m)) {
        return name;
    }
    name = by_port(set, transport, stream->server_port, m);
    if (name == NAME_NONE && (name = by_content(set, transport, m)) != NAME_NONE) {
        stream->application = (uint8_t)name;
    }
    return name;
}

/* What a message says of conversations to come. */
static inline void hear(application_engine *e, const finding *f, uint32_t name, bytes_view bytes) {
    const uint32_t announces = application_at(e->set, name)->announces;
    if (UNLIKELY(announces != ANNOUNCES_NOTHING)) {
        const announcer who = {&e->announced,       f->row->source,    f->row->destination,
                               f->row->source_port, e->set->announced, (uint8_t)name};
        announce_in(&who, announces, bytes);
    }
}

/* A conversation that another one announced. */
static inline void expect(const application_engine *e, application_stream *stream, const packet_row *row, int transport) {
    if (LIKELY(stream->asked == e->announced.count)) {
        return;
    }
    stream->asked = e->announced.count;
    uint32_t name = announced_at(&e->announced, row->destination, row->destination_port, transport);
    name = name ? name : announced_at(&e->announced, row->source, row->source_port, transport);
    stream->application = name ? (uint8_t)name : stream->application;
}

/* A whole message, after which the conversation may go on with another protocol. */
static inline void show(application_engine *e, finding *f, application_stream *stream, uint32_t name, message m) {
    const uint32_t becomes = application_at(e->set, name)->becomes;
    int64_t other = 0;
    const uint32_t silent = application_at(e->set, name)->silent;
    if (silent == NO_PROGRAM || !program_holds(&e->set->program, silent, &m)) {
        find_in_message(f, name, m);
    }
    hear(e, f, name, m.bytes);
    if (becomes != NO_PROGRAM && program_run(&e->set->program, becomes, &m, &other) == OUTCOME_VALUE && other > 0 &&
        other < e->set->count) {
        stream->application = (uint8_t)other;
    }
    if (application_at(e->set, name)->wraps != NO_PROGRAM &&
        program_holds(&e->set->program, application_at(e->set, name)->wraps, &m)) {
        stream->wrapped_in = (uint8_t)name;
    }
}

/* Messages from `m` on, until it is used up or one of them waits. Returns how much was shown. */
static inline uint32_t find_messages(application_engine *e, finding *f, application_stream *stream, message_state *s,
                                     message m, uint32_t seq) {
    const int repeats = application_at(e->set, stream->wrapped_in)->framing == FRAMING_HTTP;
    uint32_t done = 0, records = NAME_NONE, following = NAME_NONE, around = f->stack == 0 || repeats ? stream->wrapped_in : NAME_NONE;
    for (uint32_t calls = 0; m.wire && calls < MAX_CALLS; calls++) {
        /* Behind a whole message of a protocol another one of it is expected, whatever it looks like. */
        const uint32_t name = following != NAME_NONE ? following : choose(e->set, 0, stream, &m);
        const uint8_t meant = stream->application;
        if (UNLIKELY(around != NAME_NONE && around != name)) {
            found(f, around, &m);
            around = NAME_NONE;
        }
        if (name == NAME_NONE) {
            found(f, NAME_DATA, &m);
            return done + m.wire;
        }
        const application *a = application_at(e->set, name);
        if (a->framing == FRAMING_RECORDS && records != name) { /* also when its first record is not whole */
            found(f, name, &m);
            records = name;
        }
        const uint32_t length = message_length(e, stream, s, a, &m, seq);
        if (length == 0) {
            break;
        }
        if (a->framing != FRAMING_RECORDS) {
            message one = m;
            one.wire = length;
            one.bytes.length = length < one.bytes.length ? length : one.bytes.length;
            show(e, f, stream, name, one);
        }
        following = a->framing == FRAMING_EACH && stream->application == meant ? name : (uint32_t)NAME_NONE;
        m = message_from(&m, length);
        seq += length;
        done += length;
    }
    return done;
}

/* What waited for the end of the connection may be nothing that HTTP knows. */
static inline int begins_http(const application_set *set, application_stream *stream, const message *m) {
    const application *a = application_at(set, choose(set, 0, stream, m));
    return a->framing != FRAMING_HTTP || program_holds(&set->program, a->length, m);
}

/* The message that waited is whole, with `more` of this segment. */
static inline void complete(application_engine *e, finding *f, application_stream *stream, message_state *s,
                            const message *more) {
    const uint32_t seq = s->start, wire = s->have - s->start + more->wire;
    const int at_fin = s->waiting == WAITING_FIN, known = s->waiting == WAITING_LENGTH || s->waiting == WAITING_CHUNKS;
    const uint8_t *base = f->base;
    const uint8_t buffer = f->buffer;
    message whole = *more;
    whole.bytes = assemble(e, s, more->bytes);
    whole.wire = wire;
    drop_message(&e->pool, s);
    if (at_fin && !begins_http(e->set, stream, &whole)) {
        return;
    }
    f->base = e->assembled;
    f->buffer = 2;
    if (at_fin && more->wire == 0) {
        found(f, NAME_SEGMENTS, &whole);
    }
    if (at_fin || known) { /* what was not kept is not waited for */
        const uint32_t name = choose(e->set, 0, stream, &whole);
        if (stream->wrapped_in != NAME_NONE && stream->wrapped_in != name) {
            found(f, stream->wrapped_in, &whole);
        }
        if (application_at(e->set, name)->framing == FRAMING_HTTP) {
            stream->answers_head = http_read(whole.bytes, 0).head_request;
        }
        show(e, f, stream, name == NAME_NONE ? (uint32_t)NAME_DATA : name, whole);
    } else if (find_messages(e, f, stream, s, whole, seq) == 0) {
        f->base = base;
        f->buffer = buffer;
        return;
    }
    if (!at_fin || more->wire) {
        found(f, NAME_SEGMENTS, &whole);
    }
    f->base = base;
    f->buffer = buffer;
}

/* Payload that continues a message; returns how much of it was that message's. */
static inline uint32_t continue_message(application_engine *e, finding *f, application_stream *stream, message_state *s,
                                        const message *m, int fin) {
    message part = *m;
    if (s->waiting == WAITING_LENGTH || s->waiting == WAITING_CHUNKS) {
        uint32_t take = s->waiting == WAITING_LENGTH ? s->end - s->have : chunks_take(&s->chunks, m->bytes, m->wire);
        const int whole = s->waiting == WAITING_LENGTH ? take <= m->wire : s->chunks.state == CHUNK_DONE;
        take = take < m->wire ? take : m->wire;
        part.wire = take;
        part.bytes.length = take < part.bytes.length ? take : part.bytes.length;
        if (whole) {
            complete(e, f, stream, s, &part);
            return take;
        }
    } else if (s->waiting == WAITING_MORE || fin) {
        complete(e, f, stream, s, &part);
        return m->wire;
    }
    keep_bytes(&e->pool, s, part.bytes);
    s->have += part.wire;
    return m->wire;
}

static inline void find_in_segment(application_engine *e, finding *f, application_stream *stream, uint32_t way,
                                   message m, uint32_t seq, int fin) {
    message_state *s = &stream->way[way];
    if (s->waiting != WAITING_NONE) {
        if (m.wire == 0) {
            if (fin && s->waiting == WAITING_FIN) {
                complete(e, f, stream, s, &m);
            }
            return;
        }
        const int32_t ahead = (int32_t)(seq - s->have);
        const int inside = s->waiting == WAITING_LENGTH && (int32_t)(s->end - seq) > 0;
        if (ahead > 0 || s->broken) { /* a segment is missing: the message is never whole */
            s->broken = 1;
            if (inside || s->waiting == WAITING_FIN) {
                return;
            }
            drop_message(&e->pool, s);
        } else {
            if ((int64_t)m.wire + ahead <= 0) {
                return;
            }
            m = message_from(&m, (uint32_t)-ahead);
            seq = s->have;
            const uint32_t used = continue_message(e, f, stream, s, &m, fin);
            m = message_from(&m, used);
            seq += used;
        }
    }
    find_messages(e, f, stream, s, m, seq);
}

/* Follows a chain of at most `most` blocks, each of them for the first time; gives how many there are, or -1. */
static inline int64_t chain_length(uint32_t first, uint32_t most, const uint8_t *blocks, size_t count, uint8_t *seen) {
    message_block block;
    uint32_t length = 0;
    for (uint32_t next = first; next != NO_BLOCK; next = block.next, length++) {
        if (next >= count || length == most || seen[next]) {
            return -1;
        }
        seen[next] = 1;
        memcpy(&block, blocks + next * sizeof block, sizeof block);
    }
    return length;
}

/* Whether saved streams and blocks are what they say: names are those of protocols, each block is in one chain, and chains
 * are as long as what they keep. `seen` is a zero for each block. */
static inline int application_streams_are_whole(const uint8_t *streams, size_t size, const uint8_t *blocks,
                                                size_t block_bytes, uint32_t free, uint32_t names, uint8_t *seen) {
    const size_t block_count = block_bytes / sizeof(message_block);
    size_t used = 1; /* block 0 never is */
    for (size_t at = 0; at + sizeof(application_stream) <= size; at += sizeof(application_stream)) {
        application_stream stream;
        memcpy(&stream, streams + at, sizeof stream);
        if (stream.application >= names || stream.wrapped_in >= names || stream.carried >= names) {
            return 0;
        }
        for (int way = 0; way < 2; way++) {
            const message_state *s = &stream.way[way];
            const uint32_t wanted = s->kept / BLOCK_BYTES + (s->kept % BLOCK_BYTES != 0);
            if (s->kept > KEPT_BYTES || (s->kept && s->waiting == WAITING_NONE) ||
                chain_length(s->block, wanted, blocks, block_count, seen) != wanted) {
                return 0;
            }
            used += wanted;
        }
    }
    const int64_t unused = chain_length(free, UINT32_MAX, blocks, block_count, seen);
    return unused >= 0 && used + (size_t)unused == block_count;
}

#endif
