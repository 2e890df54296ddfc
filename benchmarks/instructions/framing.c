/* Finding the records of a capture file: pcap, and enhanced packet blocks of pcapng. */
#include "framing.h"
#include "jobs.h"

enum { RECORDS = 2000, FRAME = 100, SIZE = 100 + RECORDS * (FRAME + 32) };

static uint8_t file[SIZE];
static uint32_t length;
static frame_record records[RECORDS];
static block_mark marks[4];
static framing_interface interfaces[4];
static framing state;
static framing_output out;

static void put_file(const uint32_t *words, size_t count) {
    memcpy(file + length, words, count * sizeof *words);
    length += (uint32_t)(count * sizeof *words);
}

static void prepare(void) {
    const framing_output empty = {records, marks, RECORDS, 4, 0, 0};
    state.interfaces = interfaces;
    state.interface_capacity = 4;
    out = empty;
}

static void prepare_pcap(void) {
    const uint32_t header[6] = {0xA1B2C3D4, 2 | 4 << 16, 0, 0, 262144, 1};
    prepare();
    put_file(header, 6);
    for (uint32_t n = 0; n < RECORDS; n++) {
        const uint32_t record[4] = {1700000000 + n / 100, n % 100 * 10000, FRAME, FRAME};
        put_file(record, 4);
        length += FRAME;
    }
}

static void prepare_pcapng(void) {
    const uint32_t section[7] = {0x0A0D0D0A, 28, 0x1A2B3C4D, 1, UINT32_MAX, UINT32_MAX, 28};
    const uint32_t interface[8] = {1, 32, 1, 0, 9 | 1 << 16, 9, 0, 32};
    prepare();
    put_file(section, 7);
    put_file(interface, 8);
    for (uint32_t n = 0; n < RECORDS; n++) {
        const uint32_t size = FRAME + 32, block[7] = {6, size, 0, 0x17979CFE, n * 1000, FRAME, FRAME};
        put_file(block, 7);
        length += FRAME;
        put_file(&size, 1);
    }
}

static void scan(void) {
    uint32_t consumed;
    framing_scan(&state, file, length, &out, &consumed);
}

static int is_right(void) {
    return out.record_count == RECORDS && state.position == length && state.backwards_count == 0;
}

int main(int arguments, char **names) {
    static const job jobs[] = {
        {"framing-pcap", RECORDS, prepare_pcap, scan, is_right},
        {"framing-pcapng", RECORDS, prepare_pcapng, scan, is_right},
    };
    return run_job(jobs, sizeof jobs / sizeof jobs[0], arguments, names);
}
