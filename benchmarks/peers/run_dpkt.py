"""Flows with dpkt, the plain way: every packet parsed, bytes and packets counted by five-tuple, both ways in one flow.

Runs in a venv of its own. Prints, as JSON, packets, flows and the seconds that the loop alone took.
"""

import json
import sys
import time

import dpkt  # type: ignore[import-not-found,import-untyped,unused-ignore]

begin = time.perf_counter()
flows: dict[tuple[int, tuple[bytes, int], tuple[bytes, int]], list[int]] = {}
packets = 0
with open(sys.argv[1], "rb") as file:
    for _, octets in dpkt.pcap.Reader(file):
        packets += 1
        ip = dpkt.ethernet.Ethernet(octets).data
        if not isinstance(ip, dpkt.ip.IP | dpkt.ip6.IP6):
            continue
        segment = ip.data
        protocol = ip.p
        ports = (segment.sport, segment.dport) if isinstance(segment, dpkt.tcp.TCP | dpkt.udp.UDP) else (0, 0)
        one, other = (ip.src, ports[0]), (ip.dst, ports[1])
        counts = flows.setdefault((protocol, one, other) if one < other else (protocol, other, one), [0, 0])
        counts[0] += 1
        counts[1] += len(octets)
print(json.dumps({"packets": packets, "flows": len(flows), "seconds": time.perf_counter() - begin}))
