"""tshark's protocol hierarchies, and how far ours are equal to them.

The oracle's `-z io,phs` of a capture is read into lines and nodes; `compare` says of each line whether it is equal, in
which group it counts (through the transport layer, or an application protocol), and which captures differ.
"""

from __future__ import annotations

import gzip
import re
from collections import Counter, defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path

import spanline
from spanline.cli.stats_view import Stages, ViewOptions
from spanline.cli.stats_view_hierarchy import HierarchyView
from spanline.transforms.annotate import Annotate
from tests import tshark

Way = tuple[str, ...]
Nodes = dict[Way, tuple[int, int]]

TRANSPORT = frozenset({"tcp", "udp", "sctp", "icmp", "icmpv6"})
# Nodes below an application. IPv6 headers after IPv4 are nobody's layer.
_LAYERS = (tshark.DECODED | {"_ws.malformed", "_ws.short"}) - {"ethertype", "ipv6.hopopts"}

LISTED = frozenset({
    *("dns", "mdns", "llmnr", "nbns", "dhcp", "dhcpv6", "ntp", "snmp", "sip", "rtp", "rtcp", "rtsp", "http", "tls"),
    *("quic", "ssh", "telnet", "ftp", "ftp-data", "tftp", "smtp", "pop", "imap", "ldap", "kerberos", "smb", "smb2"),
    *("nbss", "rdp", "tpkt", "cotp", "vnc", "bittorrent", "bt-utp", "bt-dht", "irc", "mysql", "pgsql", "resp"),
    *("mongo", "mqtt", "amqp", "mbtcp", "modbus", "syslog", "radius", "bgp", "ospf", "igmp", "lldp", "cdp", "stp"),
    *("slow", "eapol", "isakmp", "wg", "openvpn", "stun", "nfs", "rpc", "portmap", "mount"),
})  # fmt: skip
"""The application protocols to recognise, in tshark's names."""

_ROW = re.compile(r"( *)(\.\.\.)?(\S+) +frames:(\d+) bytes:(\d+)")


def oracle_text(oracle: Path, capture: str) -> list[str]:
    """tshark's lines between the header and the rule at the end; none when tshark was cut short."""
    path = oracle / f"{capture}.stats.txt.gz"
    if not path.exists():
        return []
    with gzip.open(path, "rt", errors="replace") as stats:
        rest = stats.read().partition("Protocol Hierarchy Statistics\nFilter: \n\n")[2]
    return rest[: rest.index("\n=====") + 1].splitlines() if "\n=====" in rest else []


def nodes_of(lines: Iterable[str]) -> Nodes:
    """(frames, bytes) of each node by the way to it. Beyond depth 16 tshark's lines do not tell the way: left out."""
    nodes: Nodes = {}
    way: list[str] = []
    for line in lines:
        match = _ROW.fullmatch(line)
        assert match, line
        if match[2]:
            continue
        way[len(match[1]) // 2 :] = [match[3]]
        nodes[tuple(way)] = int(match[4]), int(match[5])
    return nodes


@cache
def covered(oracle: Path, capture: str) -> int:
    """How many frames tshark saw when spanline decodes the encapsulations of all of them, else 0."""
    frames = tshark.frames(oracle, capture)
    return len(frames) if all(map(tshark.is_covered, frames)) else 0


def our_lines(capture: Path) -> tuple[list[str], int]:
    """Our text without header and rule, and the number of frames."""
    stages = Stages()
    view = HierarchyView(ViewOptions((), 0, None, 0, None, as_tshark=True), stages)
    frames = sum(len(batch) for batch in spanline.open(capture).run(*stages, transforms=[Annotate()]))
    return list(view.as_tshark())[5:-1], frames


def group(way: Way) -> str:
    """What a line is about: "transport" through the transport layer, a listed protocol that it names, or "others"."""
    if way[-1] in LISTED:
        return way[-1]
    for n, name in enumerate(way):
        if name not in _LAYERS or (n and way[n - 1] in TRANSPORT and name != "vxlan"):
            return "others"
    return "transport"


@dataclass
class Comparison:
    """lines and equal: how many lines, and equal ones, by group. differing: by group, captures with (way, tshark's,
    ours) where None says that there is no such line. captures: how many were compared."""

    captures: int = 0
    lines: Counter[str] = field(default_factory=Counter)
    equal: Counter[str] = field(default_factory=Counter)
    differing: dict[str, dict[str, list[str]]] = field(default_factory=lambda: defaultdict(dict))

    def add(self, capture: str, theirs: Nodes, ours: Nodes) -> None:
        """A line that only one has is not equal either."""
        self.captures += 1
        for way in sorted(theirs.keys() | ours.keys()):
            kind = group(way)
            self.lines[kind] += 1
            if theirs.get(way) == ours.get(way):
                self.equal[kind] += 1
            else:
                told = f"{':'.join(way)}: tshark {_told(theirs.get(way))}, spanline {_told(ours.get(way))}"
                self.differing[kind].setdefault(capture, []).append(told)

    def total(self, groups: Iterable[str]) -> tuple[int, int]:
        """(lines, equal ones) of some groups together."""
        chosen = list(groups)
        return sum(self.lines[name] for name in chosen), sum(self.equal[name] for name in chosen)

    def applications(self) -> tuple[int, int]:
        """(lines, equal ones) of the listed application protocols."""
        return self.total(LISTED)


def _told(count: tuple[int, int] | None) -> str:
    return "none" if count is None else f"{count[0]} frames, {count[1]} bytes"


def compare(captures: Path, oracle: Path) -> Comparison:
    """All covered captures that both read to the same frame."""
    result = Comparison()
    for capture in tshark.manifest(captures):
        frames, lines = covered(oracle, capture), oracle_text(oracle, capture)
        if not frames or not lines:
            continue
        try:
            ours, own_frames = our_lines(captures / capture)
        except spanline.CaptureError:
            continue
        if own_frames == frames:
            result.add(capture, nodes_of(lines), nodes_of(ours))
    return result


EXCEPTED = {
    "apps/http__bro__ncp.pcap": "tshark shows 499 of 500 frames below a node 'frame': its NCP dissector makes one",
    "formats/pcapng-multi__gopacket__epb.pcapng": "tshark shows frames with a comment below a node 'pkt_comment'",
    "formats/pcapng-testgen__gopacket__test009.7def4a.pcapng": "the same",
    "formats/pcapng-testgen__gopacket__test009.pcapng": "the same",
    "ip/icmp__dnscap__icmp.pcap": "tshark counts no ICMPv6 error whose quoted packet is cut",
    "ip/v6ext__PcapFlowLab__25_vxlan_outer_ipv6_fragmentation.pcap": "a first fragment with a UDP length beyond it",
    "malformed/nDPI__nDPI__fuzz-2020-02-16-11740.pcap": "an IPv4 header behind 802.2 that says it is IPv6",
    "malformed/ntopng__ntopng__hoobr_rt6_print.pcap": "link type IPV4, and IPv6 in it",
    "malformed/ntopng__ntopng__stp-heapoverflow-2.pcap": "what is cut behind 802.2 is not decoded",
    "malformed/ntopng__ntopng__stp-heapoverflow-4.pcap": "the same",
    "malformed/tcpdump__tcpdump__stp-heapoverflow-2.pcap": "the same",
    "malformed/tcpdump__tcpdump__stp-heapoverflow-4.pcap": "the same",
    "malformed/suricata__suricata-verify__frag-12.pcap": "IPv6 fragments inside fragments",
    "malformed/suricata__suricata-verify__tcp-session-decode-malformed-ipv4__input.pcap": "an IPv4 option too long",
    "malformed/tcpdump__tcpdump__arp-oobr.pcap": "ARP with lengths of addresses that nobody has",
    "tunnels/geneve__tcpdump__bigtcp-ipv6-geneve-ipv4.pcap": "IPv6 of length 0: segmentation offload, not malformed",
    "tunnels/geneve__tcpdump__bigtcp-ipv6-geneve-ipv6.pcap": "the same",
    "tunnels/vxlan__tcpdump__bigtcp-ipv6-vxlan-ipv4.pcap": "the same",
    "tunnels/vxlan__tcpdump__bigtcp-ipv6-vxlan-ipv6.pcap": "the same",
    "tunnels/pbb__PcapFlowLab__12_pbb_truncated_itag.pcap": "802.1ah, cut, is not decoded",
}
"""Captures that differ through the transport layer, and why."""
