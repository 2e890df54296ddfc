/* Linux' TPACKET_V3 ring: blocks of memory that the kernel fills with frames and that are read where they lie.
 *
 * specification: packet(7), Documentation/networking/packet_mmap.rst
 *
 * The kernel fills the blocks one after another. A block with frames is lent to whoever asks, and goes back when it is
 * returned; while the next one in turn is lent out the kernel drops, and counts, what comes.
 */
#ifndef SPANLINE_RING_H
#define SPANLINE_RING_H
#ifdef __linux__

#ifndef _DEFAULT_SOURCE
#define _DEFAULT_SOURCE /* for syscall() */
#endif

#include <errno.h>
#include <linux/filter.h>
#include <linux/if_ether.h>
#include <linux/if_packet.h>
#include <linux/membarrier.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "ring_block.h"

STATIC_ASSERT(offsetof(struct tpacket_block_desc, hdr.bh1.block_status) == RING_BLOCK_STATUS, "block status");
STATIC_ASSERT(offsetof(struct tpacket_block_desc, hdr.bh1.num_pkts) == RING_BLOCK_FRAMES, "frames of a block");
STATIC_ASSERT(offsetof(struct tpacket_block_desc, hdr.bh1.offset_to_first_pkt) == RING_BLOCK_FIRST, "first frame");
STATIC_ASSERT(offsetof(struct tpacket_block_desc, hdr.bh1.seq_num) == RING_BLOCK_SEQUENCE, "sequence of a block");
STATIC_ASSERT(sizeof(struct tpacket_block_desc) == RING_BLOCK_HEADER, "block header");
STATIC_ASSERT(offsetof(struct tpacket3_hdr, tp_next_offset) == RING_FRAME_NEXT, "next frame");
STATIC_ASSERT(offsetof(struct tpacket3_hdr, tp_sec) == RING_FRAME_SECONDS, "seconds");
STATIC_ASSERT(offsetof(struct tpacket3_hdr, tp_nsec) == RING_FRAME_NANOSECONDS, "nanoseconds");
STATIC_ASSERT(offsetof(struct tpacket3_hdr, tp_snaplen) == RING_FRAME_CAPTURED, "captured length");
STATIC_ASSERT(offsetof(struct tpacket3_hdr, tp_len) == RING_FRAME_WIRE, "wire length");
STATIC_ASSERT(offsetof(struct tpacket3_hdr, tp_status) == RING_FRAME_STATUS, "frame status");
STATIC_ASSERT(offsetof(struct tpacket3_hdr, tp_mac) == RING_FRAME_LINK, "link header");
STATIC_ASSERT(offsetof(struct tpacket3_hdr, hv1.tp_vlan_tci) == RING_FRAME_TAG, "tag");
STATIC_ASSERT(offsetof(struct tpacket3_hdr, hv1.tp_vlan_tpid) == RING_FRAME_TAG_PROTOCOL, "tag's protocol");
STATIC_ASSERT(sizeof(struct tpacket3_hdr) == RING_FRAME_HEADER, "frame header");
STATIC_ASSERT(TP_STATUS_VLAN_VALID == RING_TAG_VALID, "tag is valid");
STATIC_ASSERT(TP_STATUS_VLAN_TPID_VALID == RING_TAG_PROTOCOL_VALID, "tag's protocol is valid");

enum { RING_SETTLE_NS = 50000000 };

/* What failed; errno says why. */
enum ring_fault { RING_DONE, RING_SOCKET, RING_SETUP, RING_MEMORY, RING_FILTER, RING_INTERFACE, RING_FANOUT };

typedef struct {
    int socket; /* -1 once it is closed */
    pid_t owner;
    uint8_t *blocks;
    uint8_t *lent; /* one of each block: set from take to return */
    uint32_t block_bytes;
    uint32_t block_count;
    uint32_t next;          /* the block that comes next */
    int promiscuous_index;  /* the interface that takes frames of other stations for us; 0 for none */
    uint64_t offered; /* frames that passed the program so far, with those dropped */
    uint64_t dropped;
    uint64_t frozen; /* how often the kernel found no block */
} ring;

/* Where frames come from. */
typedef struct {
    int interface_index;
    int promiscuous;
    const struct sock_filter *program; /* that lets frames in; NULL for all, of whole length */
    uint16_t program_length;
    int64_t fanout; /* group | mode << 16, as PACKET_FANOUT has it; -1 without */
} ring_origin;

static inline int ring_set(const ring *r, int level, int option, const void *value, size_t size) {
    return setsockopt(r->socket, level, option, value, (socklen_t)size);
}

static inline int ring_attach(const ring *r, const struct sock_filter *program, uint16_t length) {
    struct sock_filter *same = NULL;
    memcpy(&same, &program, sizeof same); /* the kernel only reads it, but its interface does not say so */
    const struct sock_fprog attached = {length, same};
    return ring_set(r, SOL_SOCKET, SO_ATTACH_FILTER, &attached, sizeof attached);
}

/* Nothing that comes from now on is let in, or counted. */
static inline int ring_refuse(const ring *r) {
    static const struct sock_filter nothing = {BPF_RET | BPF_K, 0, 0, 0};
    return ring_attach(r, &nothing, 1);
}

/* Waits until frames that were under way have arrived, by what held before the call: they are received inside
 * read-side critical sections. */
static inline void ring_settle(void) {
    if (syscall(SYS_membarrier, MEMBARRIER_CMD_GLOBAL, 0, 0)) {
        /* A kernel that keeps processors free of ticks (nohz_full) has no such thing, and a sandbox may forbid it. No
         * processor takes so long for the frames that it has in hand. */
        struct timespec left = {0, RING_SETTLE_NS};
        while (nanosleep(&left, &left) && errno == EINTR) {
        }
    }
}

static inline int ring_let_in(const ring *r, const ring_origin *origin) {
    static const struct sock_filter everything = {BPF_RET | BPF_K, 0, 0, UINT32_MAX};
    return origin->program ? ring_attach(r, origin->program, origin->program_length) : ring_attach(r, &everything, 1);
}

static inline int ring_be_promiscuous(ring *r, int change, int interface_index) {
    const struct packet_mreq membership = {interface_index, PACKET_MR_PROMISC, 0, {0}};
    r->promiscuous_index = change == PACKET_ADD_MEMBERSHIP ? interface_index : 0;
    return ring_set(r, SOL_PACKET, change, &membership, sizeof membership);
}

/* Frames of an interface come from now on. May be called again when the interface was deleted and made anew: that
 * needs no privilege, unlike another socket. */
static inline enum ring_fault ring_bind(ring *r, const ring_origin *origin) {
    struct sockaddr_ll address = {0};
    address.sll_family = AF_PACKET;
    address.sll_protocol = swap16(ETH_P_ALL);
    address.sll_ifindex = origin->interface_index;
    /* Alone, until it is one of the group, a socket gets every frame: they are let in only then. */
    if (origin->fanout >= 0 ? ring_refuse(r) : ring_let_in(r, origin)) {
        return RING_FILTER;
    }
    if ((origin->promiscuous && ring_be_promiscuous(r, PACKET_ADD_MEMBERSHIP, origin->interface_index)) ||
        bind(r->socket, (const struct sockaddr *)&address, sizeof address)) {
        return RING_INTERFACE;
    }
    if (origin->fanout >= 0) {
        const int fanout = (int)(uint32_t)origin->fanout;
        if (ring_set(r, SOL_PACKET, PACKET_FANOUT, &fanout, sizeof fanout)) {
            return RING_FANOUT;
        }
        ring_settle();
        if (ring_let_in(r, origin)) {
            return RING_FILTER;
        }
    }
    return RING_DONE;
}

/* Nothing comes any more, and the interface is no longer promiscuous for us. Blocks stay where they are. */
static inline void ring_close(ring *r) {
    if (r->socket < 0) {
        return;
    }
    /* As long as somebody has the blocks mapped, or a child the socket, the system keeps it: it has to be taken off the
     * interface. A child that lets go of its copy changes nothing. */
    if (getpid() == r->owner) {
        struct sockaddr_ll nowhere = {0};
        nowhere.sll_family = AF_PACKET;
        ring_refuse(r);
        if (r->promiscuous_index) {
            ring_be_promiscuous(r, PACKET_DROP_MEMBERSHIP, r->promiscuous_index);
        }
        bind(r->socket, (const struct sockaddr *)&nowhere, sizeof nowhere);
    }
    close(r->socket);
    r->socket = -1;
}

/* When no block is lent any more. */
static inline void ring_free(ring *r) {
    ring_close(r);
    if (r->blocks) {
        munmap(r->blocks, (size_t)r->block_bytes * r->block_count);
        r->blocks = NULL;
    }
    free(r->lent);
    r->lent = NULL;
}

/* Opens a ring from which nothing comes yet. block_bytes is a multiple of the page size; a block that is not full goes
 * out after retire_ms. What is half open has to be freed too. */
static inline enum ring_fault ring_open(ring *r, uint32_t block_bytes, uint32_t block_count, uint32_t retire_ms,
                                        int ignore_outgoing) {
    const int version = TPACKET_V3, reserved = RING_TAG_LENGTH, one = 1;
    memset(r, 0, sizeof *r);
    r->block_bytes = block_bytes;
    r->block_count = block_count;
    r->owner = getpid();
    /* Without a protocol nothing comes before the ring, the program and the interface are set. */
    r->socket = socket(AF_PACKET, SOCK_RAW | SOCK_CLOEXEC, 0);
    if (r->socket < 0) {
        return RING_SOCKET;
    }
    if (ring_set(r, SOL_PACKET, PACKET_VERSION, &version, sizeof version) ||
        ring_set(r, SOL_PACKET, PACKET_RESERVE, &reserved, sizeof reserved) ||
        (ignore_outgoing && ring_set(r, SOL_PACKET, PACKET_IGNORE_OUTGOING, &one, sizeof one))) {
        return RING_SETUP;
    }
    struct tpacket_req3 request = {0};
    request.tp_block_size = block_bytes;
    request.tp_block_nr = block_count;
    request.tp_frame_size = 2048; /* of no meaning in this version, but checked */
    request.tp_frame_nr = block_bytes / 2048 * block_count;
    request.tp_retire_blk_tov = retire_ms;
    if (ring_set(r, SOL_PACKET, PACKET_RX_RING, &request, sizeof request)) {
        return RING_MEMORY;
    }
    void *mapped = mmap(NULL, (size_t)block_bytes * block_count, PROT_READ | PROT_WRITE, MAP_SHARED, r->socket, 0);
    if (mapped == MAP_FAILED) {
        return RING_MEMORY;
    }
    r->blocks = mapped;
    r->lent = calloc(block_count, 1);
    return r->lent ? RING_DONE : RING_MEMORY;
}

ALWAYS_INLINE uint8_t *ring_block_at(const ring *r, uint32_t number) {
    return r->blocks + (size_t)number * r->block_bytes;
}

ALWAYS_INLINE uint32_t *ring_status(const ring *r, uint32_t number) {
    return (uint32_t *)(void *)(ring_block_at(r, number) + RING_BLOCK_STATUS);
}

/* Whether the next block is the reader's to take. */
ALWAYS_INLINE int ring_is_ready(const ring *r) {
    return !__atomic_load_n(&r->lent[r->next], __ATOMIC_ACQUIRE) &&
           __atomic_load_n(ring_status(r, r->next), __ATOMIC_ACQUIRE) & TP_STATUS_USER;
}

/* Whether frames wait in the block that the kernel fills now. */
static inline int ring_has_begun(const ring *r) {
    const ring_block block = {.data = ring_block_at(r, r->next), .length = r->block_bytes};
    return !__atomic_load_n(&r->lent[r->next], __ATOMIC_ACQUIRE) && ring_block_frames(&block) > 0;
}

/* The number of the next block, which is lent from now on; -1 when there is none yet. */
static inline int64_t ring_take(ring *r) {
    if (!ring_is_ready(r)) {
        return -1;
    }
    const uint32_t taken = r->next;
    __atomic_store_n(&r->lent[taken], 1, __ATOMIC_RELEASE);
    r->next = (taken + 1) % r->block_count;
    return taken;
}

/* Gives a block back to the kernel; from any thread, and not from a child, which has no part in the ring. */
static inline void ring_return(const ring *r, uint32_t number) {
    const uint32_t none = 0;
    if (getpid() != r->owner) {
        return;
    }
    /* It stays as it is until the kernel begins to fill it: ring_has_begun() must not find the old number. */
    memcpy(ring_block_at(r, number) + RING_BLOCK_FRAMES, &none, sizeof none);
    /* In this order: a block that is the kernel's again must not be taken for one that it has just filled. */
    __atomic_store_n(ring_status(r, number), TP_STATUS_KERNEL, __ATOMIC_RELEASE);
    __atomic_store_n(&r->lent[number], 0, __ATOMIC_RELEASE);
}

/* This process reads the ring from now on, and no longer the one that opened it and was forked. `gives_up`: another one
 * has read it since and is no more: what it had taken, and what waits, goes back unread. */
static inline void ring_take_over(ring *r, int gives_up) {
    r->owner = getpid();
    if (!gives_up) {
        return;
    }
    uint64_t newest = 0;
    for (uint32_t number = 0; number < r->block_count; number++) {
        const bytes_view header = {ring_block_at(r, number), RING_BLOCK_HEADER};
        const int waits = (int)(__atomic_load_n(ring_status(r, number), __ATOMIC_ACQUIRE) & TP_STATUS_USER);
        const uint64_t sequence = view_host64(header, RING_BLOCK_SEQUENCE);
        if (sequence >= newest) {
            /* The kernel numbers a block when it begins to fill it: that is the one to wait for. */
            newest = sequence;
            r->next = waits ? (number + 1) % r->block_count : number;
        }
        if (waits) {
            ring_return(r, number);
        }
    }
}

/* Adds what the kernel has counted since the last time: it counts in 32 bits, and forgets what it has told. */
static inline int ring_count(ring *r) {
    struct tpacket_stats_v3 counted;
    socklen_t size = sizeof counted;
    if (getsockopt(r->socket, SOL_PACKET, PACKET_STATISTICS, &counted, &size)) {
        return -1;
    }
    r->offered += counted.tp_packets;
    r->dropped += counted.tp_drops;
    r->frozen += counted.tp_freeze_q_cnt;
    return 0;
}

/* What went wrong with the interface since the last time, as errno; 0 when nothing. */
static inline int ring_error(const ring *r) {
    int error = 0;
    socklen_t size = sizeof error;
    return getsockopt(r->socket, SOL_SOCKET, SO_ERROR, &error, &size) ? errno : error;
}

#endif
#endif
