"""MySQL: |length 3, least significant first|number 1|…"""

from spanline.protocols.language import Application, le24

PROTOCOLS = (
    Application(
        "mysql",
        "MySQL",
        tcp_ports=(3306,),
        framing="each",
        length=le24(0) + 4,
        foreign=(rb"^...\x00\x0a[3-9][\x20-\x7e]+\x00",),
    ),
)
