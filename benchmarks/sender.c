/* Puts frames on a network interface as fast as one core can, or at a rate, and says how many.
 *
 *     cc -O2 -o sender benchmarks/sender.c
 *     sender INTERFACE [-c FRAMES] [-s SECONDS] [-r FRAMES_A_SECOND] [-l LENGTH | -f CAPTURE]
 *
 * Frames are those of a pcap file of Ethernet, in this machine's byte order, again and again, else UDP datagrams of
 * 1,024 flows, LENGTH bytes each (60), numbered in the 8 bytes behind the UDP header. It ends after FRAMES or SECONDS, or
 * at SIGTERM or SIGINT, and prints a line of JSON. Linux; needs CAP_NET_RAW. The queue of the interface is passed by. */
#define _GNU_SOURCE
#include <errno.h>
#include <linux/if_packet.h>
#include <net/if.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#define AT_ONCE 64
#define SHORTEST 60
#define LONGEST 65000
#define FLOWS 1024
#define NUMBER_AT 42

typedef struct {
    uint8_t *bytes;
    uint32_t length;
} frame;

static volatile sig_atomic_t stopped;

static void stop(int signal) {
    (void)signal;
    stopped = 1;
}

static void fail(const char *what) {
    perror(what);
    exit(2);
}

static double now(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + (double)t.tv_nsec * 1e-9;
}

static void put16(uint8_t *at, uint32_t value) {
    at[0] = (uint8_t)(value >> 8);
    at[1] = (uint8_t)value;
}

static uint32_t ip_checksum(const uint8_t *header) {
    uint32_t sum = 0;
    for (int n = 0; n < 20; n += 2) {
        sum += (uint32_t)header[n] << 8 | header[n + 1];
    }
    sum = (sum & 0xFFFF) + (sum >> 16);
    return ~(sum + (sum >> 16)) & 0xFFFF;
}

/* 02:00:00:00:00:01 to :02, 10.0.0.1 to 10.0.0.2, from ports 1024 and up to port 9. */
static frame *make_frames(uint32_t length) {
    static const uint8_t head[] = {2, 0, 0, 0, 0, 2, 2,  0,  0, 0, 0, 1, 8, 0, 0x45, 0, 0, 0,
                                   0, 0, 0, 0, 64, 17, 0, 0, 10, 0, 0, 1, 10, 0, 0, 2};
    frame *frames = calloc(FLOWS, sizeof *frames);
    for (uint32_t n = 0; n < FLOWS; n++) {
        uint8_t *bytes = calloc(1, length);
        memcpy(bytes, head, sizeof head);
        put16(bytes + 16, length - 14);
        put16(bytes + 24, ip_checksum(bytes + 14));
        put16(bytes + 34, 1024 + n);
        put16(bytes + 36, 9);
        put16(bytes + 38, length - 34);
        frames[n] = (frame){bytes, length};
    }
    return frames;
}

static frame *read_frames(const char *path, size_t *count) {
    uint32_t header[6], record[4];
    size_t room = 0;
    frame *frames = NULL;
    FILE *file = fopen(path, "rb");
    if (!file || fread(header, sizeof header, 1, file) != 1) {
        fail(path);
    }
    if (header[0] != 0xA1B2C3D4 && header[0] != 0xA1B23C4D) {
        fprintf(stderr, "%s: not a pcap file of this byte order\n", path);
        exit(2);
    }
    for (*count = 0; fread(record, sizeof record, 1, file) == 1; ++*count) {
        if (record[2] > LONGEST) {
            fprintf(stderr, "%s: a frame of %u bytes\n", path, record[2]);
            exit(2);
        }
        if (*count == room) {
            room = room ? 2 * room : 1024;
            frames = realloc(frames, room * sizeof *frames);
        }
        frames[*count] = (frame){malloc(record[2] + 1U), record[2]};
        if (fread(frames[*count].bytes, 1, record[2], file) != record[2]) {
            break;
        }
    }
    fclose(file);
    if (!*count) {
        fprintf(stderr, "%s: no frames\n", path);
        exit(2);
    }
    return frames;
}

static int open_socket(const char *interface) {
    const int one = 1;
    struct sockaddr_ll address = {.sll_family = AF_PACKET, .sll_ifindex = (int)if_nametoindex(interface)};
    int out = socket(AF_PACKET, SOCK_RAW, 0);
    if (!address.sll_ifindex || out < 0 || bind(out, (struct sockaddr *)&address, sizeof address) ||
        setsockopt(out, SOL_PACKET, PACKET_QDISC_BYPASS, &one, sizeof one)) {
        fail(interface);
    }
    return out;
}

int main(int argc, char **argv) {
    uint64_t most = UINT64_MAX, sent = 0, refused = 0, bytes = 0;
    double seconds = 1e9, rate = 0;
    uint32_t length = SHORTEST;
    const char *path = NULL;
    size_t count = FLOWS;
    for (int option; (option = getopt(argc, argv, "c:s:r:l:f:")) != -1;) {
        switch (option) {
        case 'c': most = strtoull(optarg, NULL, 10); break;
        case 's': seconds = atof(optarg); break;
        case 'r': rate = atof(optarg); break;
        case 'l': length = (uint32_t)atoi(optarg); break;
        case 'f': path = optarg; break;
        default: return 2;
        }
    }
    if (optind != argc - 1 || length < SHORTEST || length > LONGEST) {
        fprintf(stderr, "sender INTERFACE [-c FRAMES] [-s SECONDS] [-r FRAMES_A_SECOND] [-l LENGTH | -f CAPTURE]\n");
        return 2;
    }
    const frame *frames = path ? read_frames(path, &count) : make_frames(length);
    const int out = open_socket(argv[optind]);
    struct mmsghdr messages[AT_ONCE];
    struct iovec parts[AT_ONCE];
    memset(messages, 0, sizeof messages);
    signal(SIGTERM, stop);
    signal(SIGINT, stop);
    const double begun = now();
    while (!stopped && sent < most && now() - begun < seconds) {
        if (rate > 0) {
            const double early = begun + (double)sent / rate - now();
            if (early > 0) {
                const struct timespec pause = {(time_t)early, (long)((early - (double)(time_t)early) * 1e9)};
                nanosleep(&pause, NULL);
                continue;
            }
        }
        const unsigned wanted = most - sent < AT_ONCE ? (unsigned)(most - sent) : AT_ONCE;
        for (unsigned n = 0; n < wanted; n++) {
            const uint64_t number = sent + n;
            const frame *one = &frames[number % count];
            if (!path) {
                memcpy(one->bytes + NUMBER_AT, &number, sizeof number);
            }
            parts[n] = (struct iovec){one->bytes, one->length};
            messages[n].msg_hdr.msg_iov = &parts[n];
            messages[n].msg_hdr.msg_iovlen = 1;
        }
        const int done = sendmmsg(out, messages, wanted, 0);
        if (done < 0 && errno != ENOBUFS && errno != EINTR && errno != EAGAIN) {
            fail("sendmmsg");
        }
        refused += done < 0;
        for (int n = 0; n < done; n++) {
            bytes += parts[n].iov_len;
        }
        sent += done > 0 ? (uint64_t)done : 0;
    }
    const double taken = now() - begun;
    printf("{\"frames\": %llu, \"bytes\": %llu, \"seconds\": %.6f, \"frames_per_second\": %.0f, \"refused\": %llu}\n",
           (unsigned long long)sent, (unsigned long long)bytes, taken, (double)sent / taken,
           (unsigned long long)refused);
    return 0;
}
