"""SNMP. RFC 3416 and RFC 1901: a BER sequence that begins with an integer, the version."""

from spanline.protocols.language import Application, ber_end, u8

_FIRST = (u8(1) >> 7) * u8(1).bits(0x7F) + 2

PROTOCOLS = (
    Application(
        "snmp",
        "SNMP",
        tcp_ports=(161, 162),
        udp_ports=(161, 162, 8161),
        accept=(u8(0) == 0x30) & (u8(_FIRST) == 2),
        framing="each",
        length=ber_end(0),
    ),
)
