/* Parse every packet of a capture with libtins, and look at its addresses and ports, as a program built on it would.
 *
 * Prints, as JSON, packets and the seconds that the loop alone took. */
#include <tins/tins.h>

#include <chrono>
#include <cstdint>
#include <cstdio>

int main(int count, char **arguments) {
    if (count != 2) {
        std::fprintf(stderr, "usage: parse_libtins CAPTURE\n");
        return 2;
    }
    auto begin = std::chrono::steady_clock::now();
    Tins::FileSniffer sniffer(arguments[1]);
    uint64_t packets = 0, seen = 0;
    sniffer.sniff_loop([&](Tins::Packet &packet) {
        Tins::PDU *frame = packet.pdu();
        packets++;
        if (const Tins::IP *ip = frame->find_pdu<Tins::IP>())
            seen += uint32_t(ip->src_addr()) ^ uint32_t(ip->dst_addr());
        else if (const Tins::IPv6 *ip6 = frame->find_pdu<Tins::IPv6>())
            seen += *ip6->src_addr().begin();
        if (const Tins::TCP *tcp = frame->find_pdu<Tins::TCP>())
            seen += uint64_t(tcp->sport()) + tcp->dport() + tcp->seq();
        else if (const Tins::UDP *udp = frame->find_pdu<Tins::UDP>())
            seen += uint64_t(udp->sport()) + udp->dport();
        return true;
    });
    std::chrono::duration<double> passed = std::chrono::steady_clock::now() - begin;
    /* Somebody wants it, as far as the compiler knows. */
    volatile uint64_t sink = seen;
    (void)sink;
    std::printf("{\"packets\": %llu, \"seconds\": %.6f}\n", (unsigned long long)packets, passed.count());
}
