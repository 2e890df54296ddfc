"""MySQL: |length 3, least significant first|number 1|…"""

from spanline.protocols.language import Application, le16, le24, u8

PROTOCOLS = (
    Application(
        "mysql",
        "MySQL",
        tcp_ports=(3306,),
        framing="each",
        length=le24(0) + 4,
        becomes=(("tls", (le24(0) == 32) & (u8(3) == 1) & (le16(4).bits(0x0800) != 0)),),
        foreign=(rb"^...\x00\x0a[3-9][\x20-\x7e]+\x00",),
    ),
)
