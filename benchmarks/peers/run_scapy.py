"""Flows with scapy, the plain way: every packet parsed, bytes and packets counted by five-tuple, both ways in one flow.

Runs in a venv of its own. Prints, as JSON, packets, flows and the seconds that the loop alone took.
"""

import json
import sys
import time

from scapy.all import IP, TCP, UDP, IPv6, PcapReader  # type: ignore[import-not-found,import-untyped,unused-ignore]

begin = time.perf_counter()
flows: dict[tuple[int, tuple[str, int], tuple[str, int]], list[int]] = {}
packets = 0
with PcapReader(sys.argv[1]) as reader:
    for frame in reader:
        packets += 1
        ip = frame.getlayer(IP) or frame.getlayer(IPv6)
        if ip is None:
            continue
        segment = ip.getlayer(TCP) or ip.getlayer(UDP)
        ports = (segment.sport, segment.dport) if segment else (0, 0)
        protocol = ip.proto if ip.version == 4 else ip.nh
        one, other = (ip.src, ports[0]), (ip.dst, ports[1])
        counts = flows.setdefault((protocol, one, other) if one < other else (protocol, other, one), [0, 0])
        counts[0] += 1
        counts[1] += frame.wirelen
print(json.dumps({"packets": packets, "flows": len(flows), "seconds": time.perf_counter() - begin}))
