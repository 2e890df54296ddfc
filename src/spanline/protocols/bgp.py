"""BGP. RFC 4271 section 4.1: |marker 16|length 2|type 1|"""

from spanline.protocols.language import Application, be16

PROTOCOLS = (
    Application(
        "bgp",
        "BGP",
        tcp_ports=(179,),
        framing="each",
        length=be16(16),
        foreign=(rb"^\xff{16}[\x00-\x10].[\x01-\x05]",),
    ),
)
