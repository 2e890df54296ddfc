"""DNS and its relatives on other ports. RFC 1035 section 4.2.2 (over TCP: |length 2|), RFC 6762, RFC 4795, RFC 1002."""

from spanline.protocols.language import Application, be16, captured, u8

# A standard query of one question, or the answer to it.
_QUESTION = (
    (captured >= 17)
    & (be16(2).bits(0x7870) == 0)
    & (be16(4) == 1)
    & (be16(6) <= 32)
    & (be16(8) <= 32)
    & (be16(10) <= 32)
    & (u8(12) >= 1)
    & (u8(12) <= 63)
)

PROTOCOLS = (
    Application(
        "dns",
        "DNS",
        tcp_ports=(53, 5353),
        udp_ports=(53,),
        udp_content=_QUESTION,
        framing="each",
        length=be16(0) + 2,
    ),
    Application("mdns", "mDNS", udp_ports=(5353,)),
    Application("llmnr", "LLMNR", udp_ports=(5355,)),
    Application("nbns", "NetBIOS name service", udp_ports=(137,)),
)
