"""DNS and its relatives on other ports. RFC 1035 section 4.2.2 (over TCP: |length 2|), RFC 6762, RFC 4795, RFC 1002."""

from spanline.protocols.language import Application, be16

PROTOCOLS = (
    Application("dns", "DNS", tcp_ports=(53, 5353), udp_ports=(53,), framing="each", length=be16(0) + 2),
    Application("mdns", "mDNS", udp_ports=(5353,)),
    Application("llmnr", "LLMNR", udp_ports=(5355,)),
    Application("nbns", "NetBIOS name service", udp_ports=(137,)),
)
