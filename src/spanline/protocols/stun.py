"""STUN and TURN. RFC 8489 section 5: |type 2|length 2|cookie 4|transaction 12|"""

from spanline.protocols.language import Application, be16, be32, size

_MESSAGE = (be16(0) < 0x4000) & (be32(4) == 0x2112A442)

PROTOCOLS = (
    Application(
        "stun",
        "STUN",
        tcp_ports=(3478,),
        udp_ports=(3478,),
        accept=_MESSAGE | ((be16(0) >= 0x4000) & (be16(0) < 0x8000)),
        content=_MESSAGE & (be16(2) + 20 == size),
        framing="each",
        length=(_MESSAGE & (be16(2) + 20)) | size,
    ),
)
