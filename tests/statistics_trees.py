"""tshark's statistics trees, and how far ours are equal to them."""

from __future__ import annotations

import gzip
from pathlib import Path

import spanline
from spanline.cli.stats_view import Stages, ViewOptions
from spanline.cli.stats_view_trees import DestinationsView, HostsView

VIEWS = {"dests,tree": DestinationsView, "ip_hosts,tree": HostsView}


def oracle_text(oracle: Path, capture: str, view: str) -> list[str]:
    """tshark's lines from the first rule to the last; none when tshark was cut short."""
    path = oracle / f"{capture}.stats.txt.gz"
    if not path.exists():
        return []
    with gzip.open(path, "rt", errors="replace") as stats:
        lines = stats.read().split("\n")
    title = f"IPv4 Statistics/{VIEWS[view].heading}:"
    if title not in lines:
        return []
    start = lines.index(title) - 1
    rules = [n for n in range(start + 1, len(lines)) if lines[n].startswith("---")]
    return lines[start : rules[1] + 1]


def our_texts(capture: Path) -> tuple[dict[str, list[str]], int]:
    """Our lines of each view, and the number of frames."""
    stages = Stages()
    options = ViewOptions((), 0, None, 1 << 30, None, as_tshark=True)
    views = {name: kind(options, stages) for name, kind in VIEWS.items()}
    frames = sum(len(batch) for batch in spanline.open(capture).run(*stages))
    return {name: list(view.as_tshark())[1:] for name, view in views.items()}, frames


EXCEPTED = {
    "apps/ndpi__nDPI__pgm.pcap": "PGM, which has ports in tshark",
    "malformed/tcpdump__tcpdump__pgm_poll_polr.pcap": "the same",
    "tunnels/qinq__trex-core__hlt_david3.pcap": "DCCP behind an IPv6 header behind IPv4",
    "tunnels/vlan__trex-core__hlt_david1.pcap": "the same",
    "formats/pcap-ns-le__gopacket__test011.pcapng": "a frame without a time, which tshark takes for the first one's",
    "ip/v4opt__PcapFlowLab__07_ipv4_loose_source_route_udp.pcap": "tshark's destination is the route's last address",
    "malformed/ntopng__ntopng__rx_serviceid_oobr.pcap": "more than a second of µs, which overflows in wiretap",
    "malformed/suricata__suricata-verify__tcp-session-decode-malformed-ipv4__input.pcap": "an IPv4 option too long",
    "malformed/suricata__suricata-verify__udp-len-invalid__input.pcap": "no port where UDP's length is less than 8",
    "tunnels/geneve__tcpdump__bigtcp-ipv4-geneve-ipv4.pcap": "the same: UDP of length 0, from segmentation offload",
    "tunnels/geneve__tcpdump__bigtcp-ipv4-geneve-ipv6.pcap": "the same",
    "tunnels/geneve__tcpdump__bigtcp-ipv6-geneve-ipv4.pcap": "IPv6 of length 0, which tshark does not read",
    "tunnels/vxlan__tcpdump__bigtcp-ipv6-vxlan-ipv4.pcap": "IPv6 of length 0, which tshark does not read",
}
"""Captures that differ, and why."""
