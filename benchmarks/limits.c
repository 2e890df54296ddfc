/* What this machine can do at best, to hold the rates of a packet analyser against.
 *
 *     limits CAPTURE
 *
 * Every figure is the best of several rounds on one core, printed as JSON. CAPTURE is any large file in the page cache. */
#define _GNU_SOURCE
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

#define LARGE ((size_t)256 << 20)
#define IN_L2 ((size_t)256 << 10)
#define LINE 64
#define ROUNDS 5
#define TOUCHES ((size_t)20000000)
#define STEPS ((size_t)2000000)

static volatile uint64_t sink;

static double now(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + (double)t.tv_nsec * 1e-9;
}

static uint8_t *mapped(size_t size, int advice) {
    /* Aligned to 2 MiB, so that huge pages can be had; written, so that they are. */
    uint8_t *block = aligned_alloc((size_t)2 << 20, size);
    if (!block) {
        fprintf(stderr, "no memory\n");
        exit(1);
    }
    madvise(block, size, advice);
    for (size_t i = 0; i < size; i += 8) {
        uint64_t value = i * 0x9E3779B97F4A7C15u;
        memcpy(block + i, &value, 8);
    }
    return block;
}

/* Four sums at a time, in vectors where the compiler has them: the loads are what takes time. */
__attribute__((target_clones("avx2", "default"))) static uint64_t sum(const uint8_t *block, size_t size) {
    uint64_t total[16] = {0};
    for (size_t i = 0; i + sizeof total <= size; i += sizeof total)
        for (size_t lane = 0; lane < 16; lane++) {
            uint64_t value;
            memcpy(&value, block + i + 8 * lane, 8);
            total[lane] += value;
        }
    for (size_t lane = 1; lane < 16; lane++) total[0] += total[lane];
    return total[0];
}

static double read_rate(const uint8_t *block, size_t size) {
    double best = 0;
    size_t turns = LARGE / size;
    for (int round = 0; round < ROUNDS; round++) {
        double begin = now();
        for (size_t turn = 0; turn < turns; turn++) {
            /* Forget the sum of the turn before, which is the same. */
            __asm__ volatile("" : : "r"(block) : "memory");
            sink += sum(block, size);
        }
        double rate = (double)(turns * size) / (now() - begin);
        if (rate > best) best = rate;
    }
    return best / 1e9;
}

static double copy_rate(uint8_t *to, const uint8_t *from) {
    double best = 0;
    for (int round = 0; round < ROUNDS; round++) {
        double begin = now();
        memcpy(to, from, LARGE);
        double rate = (double)LARGE / (now() - begin);
        if (rate > best) best = rate;
        sink += to[round];
    }
    return best / 1e9;
}

static double file_rate(const char *path, uint8_t *buffer) {
    double best = 0;
    for (int round = 0; round < 3; round++) {
        int file = open(path, O_RDONLY);
        if (file < 0) return 0;
        double begin = now();
        double octets = 0;
        ssize_t count;
        while ((count = read(file, buffer, IN_L2)) > 0 && octets < 4e9) octets += (double)count;
        double rate = octets / (now() - begin);
        if (rate > best) best = rate;
        close(file);
    }
    return best / 1e9;
}

/* Lines in random order, each address known beforehand: the processor has many under way at once. */
static double touch_rate(const uint8_t *block) {
    double best = 0;
    for (int round = 0; round < 3; round++) {
        uint64_t state = (uint64_t)round + 1, total = 0;
        double begin = now();
        for (size_t i = 0; i < TOUCHES; i++) {
            state = state * 6364136223846793005u + 1442695040888963407u;
            total += block[(state >> 33) % (LARGE / LINE) * LINE];
        }
        double rate = (double)TOUCHES / (now() - begin);
        if (rate > best) best = rate;
        sink += total;
    }
    return best / 1e6;
}

/* Lines in random order, each address read from the line before: one at a time. */
static double chain_rate(uint8_t *block) {
    size_t lines = LARGE / LINE;
    uint32_t *order = malloc(lines * sizeof *order);
    if (!order) return 0;
    for (size_t i = 0; i < lines; i++) order[i] = (uint32_t)i;
    uint64_t state = 7;
    /* Sattolo's shuffle makes one cycle of all lines. */
    for (size_t i = lines - 1; i > 0; i--) {
        state = state * 6364136223846793005u + 1442695040888963407u;
        size_t j = (state >> 33) % i;
        uint32_t kept = order[i];
        order[i] = order[j];
        order[j] = kept;
    }
    for (size_t i = 0; i < lines; i++) memcpy(block + i * LINE, &order[i], sizeof order[i]);
    free(order);
    uint32_t line = 0;
    double begin = now();
    for (size_t i = 0; i < STEPS; i++) memcpy(&line, block + (size_t)line * LINE, sizeof line);
    double passed = now() - begin;
    sink += line;
    return (double)STEPS / passed / 1e6;
}

/* Whether there are huge pages: the kernel may be told to give none. */
static int has_huge_pages(void) {
    FILE *file = fopen("/proc/self/smaps_rollup", "r");
    char line[256];
    unsigned long kilobytes = 0;
    while (file && fgets(line, sizeof line, file)) sscanf(line, "AnonHugePages: %lu", &kilobytes);
    if (file) fclose(file);
    return kilobytes >= LARGE / 1024 / 10 * 9;
}

int main(int count, char **arguments) {
    if (count != 2) {
        fprintf(stderr, "usage: limits CAPTURE\n");
        return 2;
    }
    uint8_t *large = mapped(LARGE, MADV_NOHUGEPAGE), *huge = mapped(LARGE, MADV_HUGEPAGE);
    printf("{\"read\": %.2f, \"read_l2\": %.2f", read_rate(large, LARGE), read_rate(large, IN_L2));
    printf(", \"memcpy\": %.2f, \"file\": %.2f", copy_rate(huge, large), file_rate(arguments[1], large));
    printf(", \"touches\": %.1f, \"chain\": %.2f", touch_rate(large), chain_rate(large));
    if (has_huge_pages()) printf(", \"touches_huge\": %.1f, \"chain_huge\": %.2f", touch_rate(huge), chain_rate(huge));
    printf("}\n");
}
