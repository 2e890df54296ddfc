/* Decoding a batch of equal frames from many hosts. */
#include "decode.h"
#include "jobs.h"

enum { FRAMES = 1000, PAYLOAD = 40, LARGEST = 256 };

static uint8_t bytes[FRAMES * LARGEST], *at = bytes;
static frame_record records[FRAMES];
static packet_row rows[FRAMES];
static tunnel_row tunnel_rows[FRAMES + MAX_TUNNELS];
static uint16_t path_next[64 * PATH_STRIDE], path_parent[64];
static uint8_t path_protocol[64];
static uint32_t done, payload = PAYLOAD;

static uint8_t *put_tcp_ipv4(uint8_t *to, uint32_t n) {
    return put_tcp(put_ipv4(put_ethernet(to, 0x0800), 6, 32 + PAYLOAD, n), 1024 + n, n);
}

static uint8_t *put_udp_ipv6(uint8_t *to, uint32_t n) {
    return put_udp(put_ipv6(put_ethernet(to, 0x86DD), 17, 8 + PAYLOAD, n), 1024 + n, 53, PAYLOAD);
}

static uint8_t *put_vxlan(uint8_t *to, uint32_t n) {
    const uint32_t inner = 14 + 20 + 32 + PAYLOAD;
    to = put_udp(put_ipv4(put_ethernet(to, 0x0800), 17, 16 + inner, 1), 1024 + n, 4789, 8 + inner);
    return put_tcp_ipv4(put32(put32(to, 0x08000000), n << 8), n);
}

static uint8_t *put_gre(uint8_t *to, uint32_t n) { /* with a key */
    to = put_ipv4(put_ethernet(to, 0x0800), 47, 8 + 20 + 32 + PAYLOAD, 1);
    to = put_ipv4(put32(put32(to, 0x20000800), n), 6, 32 + PAYLOAD, n);
    return put_tcp(to, 1024 + n, n);
}

static uint8_t *put_small(uint8_t *to, uint32_t n) { /* 64 bytes with its payload */
    return put_udp(put_ipv4(put_ethernet(to, 0x0800), 17, 8 + 22, n), 1024 + n, 53, 22);
}

static void prepare(uint8_t *(*put_frame)(uint8_t *, uint32_t)) {
    for (uint32_t n = 0; n < FRAMES; n++) {
        frame_record *record = &records[n];
        record->timestamp = n;
        record->offset = (uint32_t)(at - bytes);
        at = put_frame(at, n) + payload;
        record->captured_length = record->wire_length = (uint32_t)(at - bytes) - record->offset;
    }
}

static void prepare_tcp_ipv4(void) { prepare(put_tcp_ipv4); }
static void prepare_udp_ipv6(void) { prepare(put_udp_ipv6); }
static void prepare_vxlan(void) { prepare(put_vxlan); }
static void prepare_gre(void) { prepare(put_gre); }
static void prepare_small(void) {
    payload = 22;
    prepare(put_small);
}

static const tunnel_ports ports = {.tunnel = {[4789 / 8] = 1 << 4789 % 8, [6081 / 8] = 1 << 6081 % 8},
                                   .geneve = {[6081 / 8] = 1 << 6081 % 8}};

static void decode(void) {
    static const int32_t link_types[] = {LINK_ETHERNET};
    path_table paths = {.next = path_next, .parent = path_parent, .protocol = path_protocol, .count = 1};
    decode_counters counters = {.frames = 0};
    const decoder d = {.seed = {{1, 2, 3, 4}}, .paths = &paths, .counters = &counters, .link_types = link_types,
                       .interface_count = 1, .ports = &ports};
    tunnel_output tunnels = {tunnel_rows, 0, sizeof tunnel_rows / sizeof tunnel_rows[0]};
    done = decode_batch(&d, bytes, records, 0, FRAMES, rows, &tunnels);
}

static int is_right(void) {
    for (uint32_t n = 0; n < FRAMES; n++) {
        if (rows[n].verdict != VERDICT_OK || rows[n].source_port != 1024 + n || rows[n].payload_length != payload) {
            return 0;
        }
    }
    return done == FRAMES;
}

int main(int arguments, char **names) {
    static const job jobs[] = {
        {"decode-tcp-ipv4", FRAMES, prepare_tcp_ipv4, decode, is_right},
        {"decode-udp-ipv6", FRAMES, prepare_udp_ipv6, decode, is_right},
        {"decode-vxlan", FRAMES, prepare_vxlan, decode, is_right},
        {"decode-gre", FRAMES, prepare_gre, decode, is_right},
        {"decode-64-bytes", FRAMES, prepare_small, decode, is_right},
    };
    return run_job(jobs, sizeof jobs / sizeof jobs[0], arguments, names);
}
