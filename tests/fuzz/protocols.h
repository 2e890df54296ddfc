/* The tables of all protocols, as application_tables.py writes them into application_tables.h. */
#ifndef SPANLINE_FUZZ_PROTOCOLS_H
#define SPANLINE_FUZZ_PROTOCOLS_H

#include "applications.h"

typedef struct {
    uint16_t number;
    uint8_t name;
} number_name;

#include "application_tables.h"

enum { ALL_NUMBERS = 65536, ALL_OCTETS = 256 };

#define FILL(table, numbers) fill(table, sizeof table, numbers, sizeof numbers / sizeof numbers[0])

static void fill(uint8_t *table, size_t size, const number_name *numbers, size_t count) {
    for (size_t n = 0; n < count; n++) {
        table[numbers[n].number % size] = numbers[n].name;
    }
}

static const application_set *all_protocols(void) {
    static uint8_t tcp_ports[ALL_NUMBERS], udp_ports[ALL_NUMBERS], ether_types[ALL_NUMBERS], snap_protocols[ALL_NUMBERS];
    static uint8_t ip_protocols[ALL_OCTETS], llc_services[ALL_OCTETS];
    static application_set set = {
        .program = {table_code, sizeof table_code / sizeof table_code[0], table_texts, table_text_ends,
                    sizeof table_text_ends / sizeof table_text_ends[0], table_sets, sizeof table_sets / 32},
        .applications = table_applications,
        .carried = table_carried,
        .carried_count = sizeof table_carried / sizeof table_carried[0],
        .heuristics = {table_tcp_heuristics, table_udp_heuristics},
        .heuristic_count = {sizeof table_tcp_heuristics / sizeof table_tcp_heuristics[0],
                            sizeof table_udp_heuristics / sizeof table_udp_heuristics[0]},
        .ports = {tcp_ports, udp_ports},
        .ip_protocols = ip_protocols,
        .ether_types = ether_types,
        .llc_services = llc_services,
        .snap_protocols = snap_protocols,
    };
    if (set.count == 0) {
        set.count = TABLE_NAMES;
        memcpy(set.announced, table_announced, sizeof set.announced);
        FILL(tcp_ports, table_tcp_ports);
        FILL(udp_ports, table_udp_ports);
        FILL(ip_protocols, table_ip_protocols);
        FILL(ether_types, table_ether_types);
        FILL(llc_services, table_llc_services);
        FILL(snap_protocols, table_snap_protocols);
    }
    return &set;
}

#endif
