"""Names of IP protocols and ICMP messages, as engineers call them."""

from __future__ import annotations

# https://www.iana.org/assignments/protocol-numbers
_NAMES = {
    0: "hopopt", 1: "icmp", 2: "igmp", 4: "ipip", 6: "tcp", 17: "udp", 41: "ipv6", 46: "rsvp", 47: "gre", 50: "esp",
    51: "ah", 58: "icmpv6", 88: "eigrp", 89: "ospf", 94: "ipip", 97: "etherip", 103: "pim", 108: "ipcomp", 112: "vrrp",
    115: "l2tp", 132: "sctp", 136: "udplite", 137: "mpls",
}  # fmt: skip

_ICMP = {
    0: "echo reply", 3: "unreachable", 5: "redirect", 8: "echo request", 9: "router advertisement",
    10: "router solicitation", 11: "time exceeded", 12: "parameter problem", 13: "timestamp", 14: "timestamp reply",
}  # fmt: skip
_ICMPV6 = {
    1: "unreachable", 2: "packet too big", 3: "time exceeded", 4: "parameter problem", 128: "echo request",
    129: "echo reply", 130: "MLD query", 131: "MLD report", 132: "MLD done", 133: "router solicitation",
    134: "router advertisement", 135: "neighbour solicitation", 136: "neighbour advertisement", 137: "redirect",
    143: "MLDv2 report",
}  # fmt: skip

ICMP, TCP, UDP, ICMPV6, SCTP, UDPLITE = 1, 6, 17, 58, 132, 136
WITH_PORTS = frozenset((TCP, UDP, SCTP, UDPLITE))


def protocol_name(number: int) -> str:
    """tcp of 6; the number itself when it has no common name."""
    return _NAMES.get(number, str(number))


def icmp_name(protocol: int, kind: int) -> str:
    """echo request of ICMP type 8; the number when it has no common name."""
    return (_ICMP if protocol == ICMP else _ICMPV6).get(kind, f"type {kind}")
