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
        if name not in _LAYERS or (n and way[n - 1] in TRANSPORT and name not in ("vxlan", "geneve")):
            return "others"
    return "transport"


@dataclass
class Comparison:
    """lines, equal and extra: how many lines tshark has, how many of them are equal, and how many only spanline has, by
    group. differing: by group, captures with what differs. captures: how many were compared."""

    captures: int = 0
    lines: Counter[str] = field(default_factory=Counter)
    equal: Counter[str] = field(default_factory=Counter)
    extra: Counter[str] = field(default_factory=Counter)
    differing: dict[str, dict[str, list[str]]] = field(default_factory=lambda: defaultdict(dict))

    def add(self, capture: str, theirs: Nodes, ours: Nodes) -> None:
        self.captures += 1
        for way in sorted(theirs.keys() | ours.keys()):
            kind = group(way)
            (self.lines if way in theirs else self.extra)[kind] += 1
            if theirs.get(way) == ours.get(way):
                self.equal[kind] += 1
            else:
                told = f"{':'.join(way)}: tshark {_told(theirs.get(way))}, spanline {_told(ours.get(way))}"
                self.differing[kind].setdefault(capture, []).append(told)

    def total(self, groups: Iterable[str]) -> tuple[int, int, int]:
        """(lines, equal ones, those that only spanline has) of some groups together."""
        chosen = list(groups)
        return tuple(sum(counts[name] for name in chosen) for counts in (self.lines, self.equal, self.extra))  # type: ignore[return-value]

    def applications(self) -> tuple[int, int, int]:
        """The total of the listed application protocols."""
        return self.total(LISTED)


def _told(count: tuple[int, int] | None) -> str:
    return "none" if count is None else f"{count[0]} frames, {count[1]} bytes"


@cache
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
    "tunnels/geneve__PcapFlowLab__24_geneve_outer_ipv6_fragmentation.pcap": "UDP is longer than its fragment",
    "tunnels/geneve__tcpdump__bigtcp-ipv4-geneve-ipv4.pcap": "UDP of length 0: segmentation offload",
    "tunnels/geneve__tcpdump__bigtcp-ipv4-geneve-ipv6.pcap": "the same",
    "tunnels/geneve__tcpdump__bigtcp-ipv6-geneve-ipv4.pcap": "IPv6 of length 0: segmentation offload, not malformed",
    "tunnels/geneve__tcpdump__bigtcp-ipv6-geneve-ipv6.pcap": "the same",
    "tunnels/vxlan__tcpdump__bigtcp-ipv6-vxlan-ipv4.pcap": "the same",
    "tunnels/vxlan__tcpdump__bigtcp-ipv6-vxlan-ipv6.pcap": "the same",
    "tunnels/pbb__PcapFlowLab__12_pbb_truncated_itag.pcap": "802.1ah, cut, is not decoded",
}
"""Captures that differ through the transport layer, and why."""

NOT_TLS = "bytes on TLS's port that are none: tshark takes some of them for SSL 2, and waits for its record"
AGAIN = "segments that came again, late or after a hole, which tshark looks at by the state of reassembly"
BEYOND = "a header whose length reaches far beyond the frame"
FUZZED = "fuzzed: tshark goes on inside a message after what is malformed in it"
OTHER_PROTOCOL = "another protocol around or beside it is not read: {}"
EXCEPTED_APPLICATIONS = {
    "apps/http2__suricata-verify__http2-compression-bug__input.pcap": NOT_TLS,
    "apps/http__Security-Datasets__pcap_log4shell_cve2021_44228_jndi_reference_2022-05-11181020.pcap": NOT_TLS,
    "apps/http__bro__ncp.pcap": "below a node 'frame', as above",
    "apps/http__suricata-verify__suricata-update-pdf.pcap": AGAIN,
    "apps/ndpi__nDPI__443-opvn.pcap": "TLS in a message of OpenVPN that is a piece of another",
    "apps/ndpi__nDPI__openvpn_obfuscated.pcapng": NOT_TLS,
    "apps/ndpi__nDPI__quic_interop_V.pcapng": "QUIC with a short header in ICMP errors: only its conversation tells",
    "apps/ndpi__nDPI__skinny.pcap": OTHER_PROTOCOL.format("Skinny announces RTP"),
    "apps/ndpi__nDPI__snapchat_call_v1.pcapng": "what stands behind the last QUIC packet of a datagram",
    "apps/ndpi__nDPI__ultrasurf.pcap": AGAIN,
    "apps/ndpi__nDPI__weibo.pcap": AGAIN,
    "apps/ndpi__nfstream__dtls.pcap": OTHER_PROTOCOL.format("SDP that nobody sent in clear announces RTP"),
    "apps/sctp__arkime__sctp-www.pcap": OTHER_PROTOCOL.format("HTTP over SCTP"),
    "apps/ssh__bro__ssh-dups.pcap": AGAIN,
    "apps/tls__eos-methods__gnmi.pcap": OTHER_PROTOCOL.format("the port is X11's in tshark"),
    "apps/tls__zeek__globus-url-copy.pcap": OTHER_PROTOCOL.format("a byte of GSI behind the handshake"),
    "apps/tls__zeek__psql-aws-ssl-require-15432.pcap": "tshark follows the session of a resumed handshake",
    "formats/damaged__PCAPdroid__crash-593ec6ead7a1bf23faa96d03cbd74c315bcf67fc": FUZZED,
    "formats/gz__libtrace__sll.pcap.gz": AGAIN,
    "formats/gz__tcptrace__http.dmp.gz": AGAIN,
    "formats/pcapng-blocks__nDPI__doq.pcapng": "tshark decrypts DNS in QUIC with the secrets in the file",
    "formats/pcapng-multi__nDPI__stun.pcap": OTHER_PROTOCOL.format("RTP whose announcement is not in the capture"),
    "formats/pcapng-multi__scapy__pfcp.pcap": OTHER_PROTOCOL.format("PFCP"),
    "formats/pcapng-testgen__gopacket__test009.7def4a.pcapng": "below a node 'pkt_comment', as above",
    "formats/pcapng-testgen__gopacket__test009.pcapng": "below a node 'pkt_comment', as above",
    "ip/v4frag__PCAPdroid__invalid_or_unsupported.pcap": "a fragment that does not fit",
    "ip/v4frag__jnetpcap-legacy__test-vlan.pcap": OTHER_PROTOCOL.format("IPX and NetBIOS behind 802.2"),
    "linktypes/LINUX_SLL__nDPI__quickplay.pcap": AGAIN,
    "linktypes/NULL__suricata-verify__smb-length-5786__input.pcap": "tshark shows what is written inside SMB 2",
    "malformed/bro__ICS-Security-Tools__fuzz-72.pcap": FUZZED,
    "malformed/nDPI__nDPI__fuzz-2020-02-16-11740.pcap": FUZZED,
    "malformed/ntopng__ntopng__bgp_mvpn_6_and_7_oobr.pcap": BEYOND,
    "malformed/ntopng__ntopng__cve-2014-8767-OLSR.pcap": BEYOND,
    "malformed/ntopng__ntopng__snmp-heapoverflow-1.pcap": BEYOND,
    "malformed/ntopng__ntopng__stp-heapoverflow-2.pcap": BEYOND,
    "malformed/ntopng__ntopng__stp-heapoverflow-4.pcap": BEYOND,
    "malformed/suricata__suricata-verify__tcp-session-decode-malformed-ipv4__input.pcap": NOT_TLS,
    "malformed/tcpdump__tcpdump__afs.pcap": "Kerberos of AFS: tshark knows its conversation by the first datagram",
    "malformed/tcpdump__tcpdump__bgp_mvpn_6_and_7_oobr.pcap": BEYOND,
    "malformed/tcpdump__tcpdump__bgp_vpn_rt-oobr.pcap": BEYOND,
    "malformed/tcpdump__tcpdump__mptcp-v0.pcap": OTHER_PROTOCOL.format("MPTCP"),
    "malformed/tcpdump__tcpdump__snmp-heapoverflow-1.pcap": BEYOND,
    "malformed/tcpdump__tcpdump__stp-heapoverflow-2.pcap": BEYOND,
    "malformed/tcpdump__tcpdump__stp-heapoverflow-4.pcap": BEYOND,
    "malformed/zeek__zeek__383379789-decrypt-crash.pcap": FUZZED,
    "malformed/zeek__zeek__globus-url-copy-bad-encoding.pcap": OTHER_PROTOCOL.format("a byte of GSI"),
    "malformed/zeek__zeek__http-09-content-length-confusion.pcap": "HTTP 0.9, whose response has no header",
    "malformed/zeek__zeek__oss-fuzz-473580107.pcap": FUZZED,
    "malformed/zeek__zeek__rdp-invalid-length.pcap": "an RDP message whose length is another than TPKT's",
    "malformed/zeek__zeek__smb1-OSS-fuzz-54883.pcap": FUZZED,
    "plaintext/imap__BruteShark__IMAP_-_Authenticate_Plain_Base64_.pcapng": "TLS in the midst of IMAP",
    "plaintext/irc__arkime__irc-cap-req.pcap": "IRC on HTTP's port, of which tshark takes lines with a colon for HTTP",
    "plaintext/socks__arkime__socks5-smtp-503.pcap": "inside SOCKS tshark goes by the port that was asked for",
    "plaintext/syslog__bro__mapi.pcap": OTHER_PROTOCOL.format("DCE/RPC on ports of others"),
    "plaintext/xmpp__TracePcap__telegram_videocall.pcapng": NOT_TLS,
    "tcp/named__arkime__wireshark-retrans.pcap": AGAIN,
    "tcp/named__suricata-verify__tcp-session-ipv6-stream-out-of-window__input.pcap": AGAIN,
    "tcp/other__suricata-verify__nfs4-01__input.pcap": "tshark shows no NFS for calls of procedure 0",
    "tcp/synack-retx__ipfixprobe__tls.pcap": AGAIN,
    "tunnels/gre__PcapFlowLab__08_gre_sequence_ipv4_tcp.pcap": NOT_TLS,
    "tunnels/vlan__PcapPlusPlus__SomeIpSd.pcapng": "DNS on a port of its own, which tshark knows by its first datagram",
    "tunnels/vxlan__PcapFlowLab__27_vxlan_inner_supported_and_visible_matrix.pcap": NOT_TLS,
}
"""Captures in which lines that name a listed protocol differ, and why, as far as it is known."""
