/* Many datagrams of a UDP socket with few system calls. Only Linux has recvmmsg(2); elsewhere nothing of it is there. */
#ifndef SPANLINE_DATAGRAM_SOCKET_H
#define SPANLINE_DATAGRAM_SOCKET_H

#ifdef __linux__
#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include <errno.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <time.h>
#endif

#include "datagrams.h"

#ifdef __linux__

enum {
    SOCKET_MESSAGES = 64,
    /* Slots of a size that is no power of two do not all begin in the same sets of the cache. */
    SOCKET_SLOT = DATAGRAM_LONGEST + 9 + 192,
    SOCKET_CONTROL = CMSG_SPACE(sizeof(struct timespec)) + CMSG_SPACE(sizeof(struct in6_pktinfo)),
};

typedef struct {
    int descriptor;
    uint16_t port;    /* that it is bound to */
    uint16_t waiting; /* messages that were received, and not yet given out: [at, waiting) */
    uint16_t at;
    struct mmsghdr messages[SOCKET_MESSAGES];
    struct iovec pieces[SOCKET_MESSAGES];
    struct sockaddr_in6 senders[SOCKET_MESSAGES];
    _Alignas(struct cmsghdr) uint8_t control[SOCKET_MESSAGES][SOCKET_CONTROL];
    uint8_t data[SOCKET_MESSAGES][SOCKET_SLOT];
} datagram_socket;

static inline void map_ipv4(uint8_t *target, struct in_addr address) {
    memset(target, 0, 10);
    memset(target + 10, 0xFF, 2);
    memcpy(target + 12, &address, 4);
}

/* What the kernel says of a message beside its data. Each part may be absent, and is 0 then. */
static inline datagram describe_message(datagram_socket *s, uint32_t n) {
    struct msghdr *message = &s->messages[n].msg_hdr;
    datagram d = {.destination_port = s->port, .data = {s->data[n], s->messages[n].msg_len}};
    if (s->senders[n].sin6_family == AF_INET6) {
        memcpy(d.source, &s->senders[n].sin6_addr, 16);
        d.source_port = ntohs(s->senders[n].sin6_port);
    } else if (s->senders[n].sin6_family == AF_INET) {
        struct sockaddr_in sender;
        memcpy(&sender, &s->senders[n], sizeof sender);
        map_ipv4(d.source, sender.sin_addr);
        d.source_port = ntohs(sender.sin_port);
    }
    for (struct cmsghdr *c = CMSG_FIRSTHDR(message); c; c = CMSG_NXTHDR(message, c)) {
        if (c->cmsg_level == SOL_SOCKET && c->cmsg_type == SCM_TIMESTAMPNS &&
            c->cmsg_len >= CMSG_LEN(sizeof(struct timespec))) {
            struct timespec time;
            memcpy(&time, CMSG_DATA(c), sizeof time);
            d.timestamp = (int64_t)time.tv_sec * 1000000000 + time.tv_nsec;
        } else if (c->cmsg_level == IPPROTO_IPV6 && c->cmsg_type == IPV6_PKTINFO &&
                   c->cmsg_len >= CMSG_LEN(sizeof(struct in6_pktinfo))) {
            memcpy(d.destination, CMSG_DATA(c), 16); /* ipi6_addr */
        } else if (c->cmsg_level == IPPROTO_IP && c->cmsg_type == IP_PKTINFO &&
                   c->cmsg_len >= CMSG_LEN(sizeof(struct in_pktinfo))) {
            struct in_pktinfo info;
            memcpy(&info, CMSG_DATA(c), sizeof info);
            map_ipv4(d.destination, info.ipi_addr);
        }
    }
    return d;
}

/* Adds what was received, as far as there is room; 0 when there is none for the rest. */
static inline int give_messages(datagram_socket *s, datagram_frames *out) {
    for (; s->at < s->waiting; s->at++) {
        const datagram d = describe_message(s, s->at);
        if (!add_datagram(out, &d)) {
            return 0;
        }
    }
    return 1;
}

static inline int64_t monotonic_ns(void) {
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * 1000000000 + now.tv_nsec;
}

/* Adds the datagrams that are there, and those that come in the next `wait` ns. In between it sleeps, `nap` ns each time,
 * rather than be woken by each. Returns 1 when the socket was empty at last, 0 when there is no more room, or -errno. */
static inline int receive_datagrams(datagram_socket *s, int64_t wait, int64_t nap, datagram_frames *out) {
    const int64_t until = monotonic_ns() + wait;
    while (give_messages(s, out)) {
        for (uint32_t n = 0; n < SOCKET_MESSAGES; n++) {
            s->pieces[n] = (struct iovec){s->data[n], DATAGRAM_LONGEST};
            s->messages[n].msg_hdr = (struct msghdr){
                .msg_name = &s->senders[n],
                .msg_namelen = sizeof s->senders[n],
                .msg_iov = &s->pieces[n],
                .msg_iovlen = 1,
                .msg_control = s->control[n],
                .msg_controllen = SOCKET_CONTROL,
            };
        }
        s->at = s->waiting = 0;
        const int got = recvmmsg(s->descriptor, s->messages, SOCKET_MESSAGES, MSG_DONTWAIT, NULL);
        if (got < 0 && errno != EAGAIN && errno != EINTR) {
            return -errno;
        }
        s->waiting = (uint16_t)(got > 0 ? got : 0);
        if (got < SOCKET_MESSAGES && !(got < 0 && errno == EINTR)) {
            if (!give_messages(s, out)) {
                return 0;
            }
            if (monotonic_ns() >= until) {
                return 1;
            }
            const struct timespec pause = {0, (long)nap};
            nanosleep(&pause, NULL);
        }
    }
    return 0;
}

#endif
#endif
