"""Fields of TCP, UDP and SCTP headers."""

from __future__ import annotations

from dataclasses import dataclass

from spanline.batch import Batch
from spanline.fields.headers import At, When, either, flag, number
from spanline.fields.model import Field, Kind, Occurrences, Octets, Rows

_ICMP = 1

_FLAGS = (
    ("res", 0x0E00, "Reserved"),
    ("ae", 0x0100, "Accurate ECN"),
    ("cwr", 0x0080, "Congestion Window Reduced"),
    ("ece", 0x0040, "ECN-Echo"),
    ("urg", 0x0020, "Urgent"),
    ("ack", 0x0010, "Acknowledgment"),
    ("push", 0x0008, "Push"),
    ("reset", 0x0004, "Reset"),
    ("syn", 0x0002, "Syn"),
    ("fin", 0x0001, "Fin"),
)
_TCP = number("tcp.srcport", "tcp", 0, 2, "Source Port"), number("tcp.dstport", "tcp", 2, 2, "Destination Port")
_UDP = number("udp.srcport", "udp", 0, 2, "Source Port"), number("udp.dstport", "udp", 2, 2, "Destination Port")
_SCTP = number("sctp.srcport", "sctp", 0, 2, "Source port"), number("sctp.dstport", "sctp", 2, 2, "Destination port")

# tshark reads 16 bytes of a TCP header before it shows more than its ports.
_READ = When(14, 2, range(1 << 16))


@dataclass(frozen=True, slots=True)
class _NotQuotedByIcmp(At):
    """Of headers that ICMP quotes, but not ICMPv6, tshark shows no raw sequence number: tcp.seq is that."""

    def __call__(self, batch: Batch, rows: Rows | None) -> Occurrences:
        found = At.__call__(self, batch, rows)
        assert not isinstance(found.values, Octets)
        shown = batch.packets["ip_protocol"][found.packet] != _ICMP
        return found if shown.all() else Occurrences(found.packet[shown], found.layer[shown], found.values[shown])


FIELDS = (
    *_TCP,
    either("tcp.port", *_TCP, "Source or Destination Port"),
    Field("tcp.seq_raw", Kind.UNSIGNED, "Sequence Number (raw)", _NotQuotedByIcmp("tcp", 4, 4, when=_READ)),
    number("tcp.ack_raw", "tcp", 8, 4, "Acknowledgment number (raw)", when=_READ),
    number("tcp.hdr_len", "tcp", 12, 1, "Header Length", mask=0xF0, factor=4, when=_READ),
    number("tcp.flags", "tcp", 12, 2, "Flags", mask=0x0FFF, digits=4, when=_READ),
    *(flag(f"tcp.flags.{name}", "tcp", 12, 2, mask, description, when=_READ) for name, mask, description in _FLAGS),
    number("tcp.window_size_value", "tcp", 14, 2, "Window"),
    number("tcp.checksum", "tcp", 16, 2, "Checksum", digits=4),
    number("tcp.urgent_pointer", "tcp", 18, 2, "Urgent Pointer"),
    number("tcp.options.mss_val", "tcp.options.mss", 2, 2, "MSS Value"),
    number("tcp.options.wscale.shift", "tcp.options.wscale", 2, 1, "Shift count"),
    number("tcp.options.timestamp.tsval", "tcp.options.timestamp", 2, 4, "Timestamp value"),
    number("tcp.options.timestamp.tsecr", "tcp.options.timestamp", 6, 4, "Timestamp echo reply"),
    *_UDP,
    either("udp.port", *_UDP, "Source or Destination Port"),
    number("udp.length", "udp", 4, 2, "Length"),
    number("udp.checksum", "udp", 6, 2, "Checksum", digits=4),
    *_SCTP,
    either("sctp.port", *_SCTP, "Port"),
    number("sctp.verification_tag", "sctp", 4, 4, "Verification tag", digits=8),
    number("sctp.checksum", "sctp", 8, 4, "Checksum", digits=8),
)
