"""ISAKMP and IKE (RFC 2408, RFC 7296); with a NAT between, behind four zeros on the port of ESP (RFC 3948)."""

from spanline.protocols.language import Application, Inside, be32

PROTOCOLS = (
    Application(
        "isakmp",
        "ISAKMP",
        udp_ports=(500,),
        tcp_ports=(500,),
        inside=(Inside("udpencap", 4, be32(0) == 0),),
    ),
    Application("udpencap", "IPsec in UDP", udp_ports=(4500,)),
)
