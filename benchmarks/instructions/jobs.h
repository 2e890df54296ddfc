/* What the jobs share: how one is called, and frames built byte by byte.
 *
 * A job prepares its input, then works in measured(), the only place whose instructions are counted, and says whether the
 * result is right: a job that does nothing is fast too. Nothing depends on files, clocks, addresses or chance.
 */
#ifndef SPANLINE_JOBS_H
#define SPANLINE_JOBS_H

#include <stdio.h>
#include <stdlib.h>

#include "records.h"

typedef struct {
    const char *name;
    uint32_t items;
    void (*prepare)(void);
    void (*work)(void);
    int (*is_right)(void);
} job;

/* count.py knows it by this name. */
__attribute__((noinline)) void measured(const job *chosen);
__attribute__((noinline)) void measured(const job *chosen) { chosen->work(); }

/* Without an argument lists the jobs and how many items each has, otherwise does the one that is named. */
static inline int run_job(const job *jobs, size_t count, int arguments, char **names) {
    for (size_t n = 0; n < count; n++) {
        if (arguments < 2) {
            printf("%s %u\n", jobs[n].name, jobs[n].items);
        } else if (!strcmp(names[1], jobs[n].name)) {
            jobs[n].prepare();
            measured(&jobs[n]);
            if (!jobs[n].is_right()) {
                fprintf(stderr, "%s: the result is wrong\n", names[1]);
            }
            return !jobs[n].is_right();
        }
    }
    return arguments < 2 ? 0 : 2;
}

static inline uint8_t *put(uint8_t *at, const void *data, size_t size) {
    memcpy(at, data, size);
    return at + size;
}

static inline uint8_t *put16(uint8_t *at, uint32_t value) {
    const uint8_t bytes[2] = {(uint8_t)(value >> 8), (uint8_t)value};
    return put(at, bytes, 2);
}

static inline uint8_t *put32(uint8_t *at, uint32_t value) { return put16(put16(at, value >> 16), value & 0xFFFF); }

static inline uint8_t *put_ethernet(uint8_t *at, uint32_t type) {
    static const uint8_t addresses[12] = {2, 0, 0, 0, 0, 1, 2, 0, 0, 0, 0, 2};
    return put16(put(at, addresses, sizeof addresses), type);
}

/* `length` is that of what follows. */
static inline uint8_t *put_ipv4(uint8_t *at, uint32_t protocol, uint32_t length, uint32_t host) {
    at = put32(put16(put16(at, 0x4500), 20 + length), host << 16);
    at = put16(put16(at, 64 << 8 | protocol), 0);
    return put32(put32(at, 0x0A000000 | host), 0x0A010001);
}

static inline uint8_t *put_ipv6(uint8_t *at, uint32_t protocol, uint32_t length, uint32_t host) {
    static const uint8_t network[12] = {0x20, 0x01, 0x0d, 0xb8};
    at = put16(put16(put32(at, 0x60000000), length), protocol << 8 | 64);
    at = put32(put(at, network, 12), host);
    return put32(put(at, network, 12), 0xFFFF);
}

/* With the options of most segments: two no-operations and timestamps. */
static inline uint8_t *put_tcp(uint8_t *at, uint32_t port, uint32_t sequence) {
    at = put32(put32(put16(put16(at, port), 443), sequence), 1);
    at = put32(put32(at, 0x80180400), 0);
    return put32(put32(put32(at, 0x0101080A), 1), 2);
}

static inline uint8_t *put_udp(uint8_t *at, uint32_t port, uint32_t to, uint32_t length) {
    return put16(put16(put16(put16(at, port), to), 8 + length), 0);
}

#endif
