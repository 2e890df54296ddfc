"""Kerberos. RFC 4120 section 5: BER of an application's class; over TCP |length 4| before it (section 7.2.2)."""

from spanline.protocols.language import Application, be32

PROTOCOLS = (
    Application(
        "kerberos",
        "Kerberos",
        tcp_ports=(88,),
        udp_ports=(88,),
        framing="each",
        length=be32(0).bits(0x7FFFFFFF) + 4,
    ),
)
