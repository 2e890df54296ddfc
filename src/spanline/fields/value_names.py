"""Names of numbers, as Wireshark spells them: filters may have them for the number, and trees show them."""

from __future__ import annotations

SET = {1: "Set", 0: "Not set"}
YES = {1: "Yes", 0: "No"}
ELIGIBLE = {1: "Eligible", 0: "Ineligible"}

IP_PROTOCOLS = {
    0: "IPv6 Hop-by-Hop Option", 1: "ICMP", 2: "IGMP", 3: "GGP", 4: "IPIP", 5: "Stream", 6: "TCP", 7: "CBT",
    8: "EGP", 9: "IGRP", 10: "BBN RCC", 11: "Network Voice", 12: "PUP", 13: "ARGUS", 14: "EMCON", 15: "XNET",
    16: "CHAOS", 17: "UDP", 18: "Multiplex", 19: "DCN Measurement", 20: "Host Monitoring", 21: "Packet radio",
    22: "IDP", 23: "Trunk-1", 24: "Trunk-2", 25: "Leaf-1", 26: "Leaf-2", 27: "Reliable Data", 28: "IRT",
    29: "ISO TP4", 30: "Bulk Data", 31: "MFE NSP", 32: "Merit Internodal",
    33: "Datagram Congestion Control Protocol", 34: "3rd Party Connect", 35: "Inter-Domain Policy Routing Protocol",
    36: "XTP", 37: "Datagram delivery", 38: "Control Message", 39: "TP++", 40: "IL", 41: "IPv6",
    42: "Source demand routing", 43: "Routing Header for IPv6", 44: "Fragment Header for IPv6",
    45: "Inter-Domain Routing Protocol", 46: "Reservation Protocol", 47: "Generic Routing Encapsulation",
    48: "Dynamic source routing", 49: "BNA", 50: "Encap Security Payload", 51: "Authentication Header", 52: "INSLP",
    53: "SWIPE", 54: "NBMA ARP", 55: "IP Mobility", 56: "TLSP Kryptonet", 57: "SKIP", 58: "ICMPv6",
    59: "No Next Header for IPv6", 60: "Destination Options for IPv6", 61: "any host internal protocol",
    62: "Mobile IPv6 (old)", 63: "any local network", 64: "SATNET EXPAK", 65: "Kryptolan",
    66: "Remote Virtual Disk", 67: "IPPC", 68: "any distributed file system", 69: "SATNET Monitoring", 70: "VISA",
    71: "IPCV", 72: "CPNX", 73: "CPHB", 74: "Wang Span", 75: "Packet Video", 76: "Backroom SATNET Mon",
    77: "Sun ND Protocol", 78: "Wideband Mon", 79: "Wideband Expak", 80: "ISO Internet Protocol", 81: "VMTP",
    82: "Secure VMTP", 83: "VINES", 84: "TTP", 85: "NSFNET IGP", 86: "Dissimilar Gateway", 87: "TCF", 88: "EIGRP",
    89: "OSPF IGP", 90: "Sprite RPC", 91: "Locus ARP", 92: "Multicast Transport", 93: "AX.25 Frames",
    94: "IP in IP", 95: "MICP", 96: "Semaphore", 97: "Ether in IP", 98: "ENCAP",
    99: "any private encryption scheme", 100: "GMTP", 101: "Ipsilon Flow", 102: "PNNI over IP", 103: "PIM",
    104: "ARIS", 105: "SCPS", 106: "QNX", 107: "Active Networks", 108: "IPComp", 109: "Sitara Networks",
    110: "Compaq Peer", 111: "IPX IN IP", 112: "VRRP", 113: "PGM", 114: "any 0-hop protocol",
    115: "Layer 2 Tunneling", 116: "DDX", 117: "IATP", 118: "STP", 119: "SpectraLink", 120: "UTI", 121: "SMP",
    122: "SM", 123: "PTP", 124: "ISIS over IP", 125: "FIRE", 126: "CRTP", 127: "CRUDP", 128: "SSCOPMCE",
    129: "IPLT", 130: "Secure Packet", 131: "PIPE", 132: "SCTP", 133: "Fibre Channel", 134: "RSVP E2EI",
    135: "Mobile IPv6", 136: "UDPLite", 137: "MPLS in IP", 138: "MANET", 139: "HIP", 140: "Shim6 header",
    141: "WESP", 142: "ROHC", 143: "Ethernet",
}  # fmt: skip
"""IANA, Protocol Numbers."""

ETHER_TYPES = {
    0x800: "IPv4", 0x806: "ARP", 0x842: "Wake on LAN", 0x22f0: "IEEE 1722 Audio Video Transport Protocol",
    0x22f3: "Transparent Interconnection of Lots of Links", 0x6558: "Transparent Ethernet bridging", 0x8035: "RARP",
    0x809b: "AppleTalk LLAP bridging", 0x80f3: "AARP", 0x8100: "802.1Q Virtual LAN", 0x8137: "Netware IPX/SPX",
    0x86dd: "IPv6", 0x8808: "MAC Control", 0x8809: "Slow Protocols", 0x8847: "MPLS label switched packet",
    0x8848: "MPLS multicast label switched packet", 0x8863: "PPPoE Discovery", 0x8864: "PPPoE Session",
    0x888e: "802.1X Authentication", 0x8892: "PROFINET", 0x88a2: "ATA over Ethernet", 0x88a4: "EtherCAT frame",
    0x88a8: "802.1ad Provider Bridge (Q-in-Q)", 0x88ab: "ETHERNET Powerlink v2", 0x88b8: "IEC 61850/GOOSE",
    0x88ba: "IEC 61850/SV (Sampled Value Transmission", 0x88ca: "Transparent Inter Process Communication",
    0x88cc: "802.1 Link Layer Discovery Protocol (LLDP)", 0x88e1: "Homeplug AV", 0x88e3: "MRP",
    0x88e5: "802.1AE (MACsec)", 0x88e7: "802.1ah Provider Backbone Bridge (mac-in-mac)",
    0x88f7: "PTPv2 over Ethernet (IEEE1588)",
    0x88fb: "Parallel Redundancy Protocol (PRP) and HSR Supervision (IEC62439 Part 3)",
    0x8902: "IEEE 802.1ag Connectivity Fault Management (CFM) protocol", 0x8906: "Fibre Channel over Ethernet",
    0x8914: "FCoE Initialization Protocol", 0x8915: "RDMA over Converged Ethernet",
    0x893f: "802.1br Bridge Port Extension E-Tag", 0x894f: "Network Service Header", 0x9000: "Loopback",
    0x9100: "QinQ: old non-standard 802.1ad", 0xf1c1: "802.1CB Frame Replication and Elimination for Reliability",
}  # fmt: skip
"""IEEE, EtherTypes; those that are met behind mirrors."""

ARP_OPCODES = {
    0: "reserved", 1: "request", 2: "reply", 3: "reverse request", 4: "reverse reply", 5: "drarp request",
    6: "drarp reply", 7: "drarp error", 8: "inverse request", 9: "inverse reply", 10: "arp nak", 11: "mars request",
    12: "mars multi", 13: "mars mserv", 14: "mars join", 15: "mars leave", 16: "mars nak", 17: "mars unserv",
    18: "mars sjoin", 19: "mars sleave", 20: "mars grouplist request", 21: "mars grouplist reply",
    22: "mars redirect map", 23: "mapos unarp", 24: "experimental 1", 25: "experimental 2", 65535: "reserved",
}  # fmt: skip
"""IANA, ARP Operation Codes."""

GRE_PROTOCOLS = {
    0x0000: "Possible GRE keepalive packet", 0x0800: "IP", 0x0806: "ARP", 0x2001: "NHRP", 0x22eb: "ERSPAN III",
    0x6558: "Transparent Ethernet bridging", 0x6559: "Frame Relay", 0x86dd: "IPv6", 0x880b: "PPP",
    0x8847: "MPLS label switched packet", 0x883e: "WCCP", 0x88be: "ERSPAN", 0x894f: "Network Service Header",
}  # fmt: skip
"""EtherTypes, and some more: what GRE carries."""

ERSPAN_VERSIONS = {1: "Type II", 2: "Type III"}
ERSPAN_ENCAPSULATIONS = {
    0: "Originally without VLAN tag", 1: "Originally ISL encapsulated", 2: "Originally 802.1Q encapsulated",
    3: "VLAN tag preserved in frame",
}  # fmt: skip
ERSPAN_INTEGRITIES = {
    0: "Good or unknown integrity", 1: "Short frame", 2: "Oversized frame", 3: "CRC or alignment error"
}  # fmt: skip
ERSPAN_TRUNCATED = {0: "Not truncated", 1: "Truncated"}
ERSPAN_FRAME_TYPES = {0: "Ethernet", 2: "IP"}
ERSPAN_GRANULARITIES = {0: "100 microseconds", 1: "100 nanoseconds", 2: "IEEE 1588", 3: "Custom granularity"}
DIRECTIONS = {0: "Ingress", 1: "Egress"}
"""draft-foschiano-erspan-03 section 4."""

DSCPS = {
    0: "Default", 1: "Lower Effort", 8: "Class Selector 1", 10: "Assured Forwarding 11",
    12: "Assured Forwarding 12", 14: "Assured Forwarding 13", 16: "Class Selector 2", 18: "Assured Forwarding 21",
    20: "Assured Forwarding 22", 22: "Assured Forwarding 23", 24: "Class Selector 3", 26: "Assured Forwarding 31",
    28: "Assured Forwarding 32", 30: "Assured Forwarding 33", 32: "Class Selector 4", 34: "Assured Forwarding 41",
    36: "Assured Forwarding 42", 38: "Assured Forwarding 43", 40: "Class Selector 5", 44: "Voice Admit",
    46: "Expedited Forwarding", 48: "Class Selector 6", 56: "Class Selector 7",
}  # fmt: skip
"""IANA, Differentiated Services Field Codepoints."""

ECNS = {
    0: "Not ECN-Capable Transport", 1: "ECN-Capable Transport codepoint '01'",
    2: "ECN-Capable Transport codepoint '10'", 3: "Congestion Experienced",
}  # fmt: skip
"""RFC 3168 section 5."""

PRIORITIES = {
    0: "Best Effort (default)", 1: "Background", 2: "Spare", 3: "Excellent Effort", 4: "Controlled Load",
    5: "Video, < 100ms latency and jitter", 6: "Voice, < 10ms latency and jitter", 7: "Network Control",
}  # fmt: skip
"""IEEE 802.1Q table I-2."""

ICMPV6_TYPES = {
    1: "Destination Unreachable", 2: "Packet Too Big", 3: "Time Exceeded", 4: "Parameter Problem",
    100: "Private experimentation", 101: "Private experimentation",
    127: "Reserved for expansion of ICMPv6 error messages", 128: "Echo (ping) request", 129: "Echo (ping) reply",
    130: "Multicast Listener Query", 131: "Multicast Listener Report", 132: "Multicast Listener Done",
    133: "Router Solicitation", 134: "Router Advertisement", 135: "Neighbor Solicitation",
    136: "Neighbor Advertisement", 137: "Redirect", 138: "Router Renumbering", 139: "Node Information Query",
    140: "Node Information Reply", 141: "Inverse Neighbor Discovery Solicitation",
    142: "Inverse Neighbor Discovery Advertisement", 143: "Multicast Listener Report Message v2",
    144: "Home Agent Address Discovery Request", 145: "Home Agent Address Discovery Reply",
    146: "Mobile Prefix Solicitation", 147: "Mobile Prefix Advertisement", 148: "Certification Path Solicitation",
    149: "Certification Path Advertisement", 150: "Experimental Mobility", 151: "Multicast Router Advertisement",
    152: "Multicast Router Solicitation", 153: "Multicast Router Termination", 154: "FMIPv6", 155: "RPL Control",
    156: "Locator Update", 157: "Duplicate Address Request", 158: "Duplicate Address Confirmation",
    159: "MPL Control Message", 160: "Extended Echo request", 161: "Extended Echo reply",
    200: "Private experimentation", 201: "Private experimentation",
    255: "Reserved for expansion of ICMPv6 informational messages",
}  # fmt: skip
"""IANA, ICMPv6 type numbers."""

PACKET_TYPES = {
    0: "Unicast to us", 1: "Broadcast", 2: "Multicast", 3: "Unicast to another host", 4: "Sent by us",
}  # fmt: skip
"""Linux cooked captures: who a packet was for."""
