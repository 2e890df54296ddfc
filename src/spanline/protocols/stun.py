"""STUN and TURN. RFC 8489 section 5: |type 2|length 2|cookie 4|transaction 12|"""

from spanline.protocols.language import Application, be16, be32, size, u8

_MESSAGE = (be16(0).bits(0xFC00) == 0) & (be32(4) == 0x2112A442)
_CHANNEL = (be16(0).bits(0xC000) == 0x4000) & (((be16(2) + 4) == size) | ((be16(2) + 7).bits(0xFFFC) == size))
# RFC 4571: |length 2| before each message in a stream.
_FRAMED = (be16(0) + 2 <= size) & (be16(2).bits(0xFC00) == 0) & (be32(6) == 0x2112A442)

PROTOCOLS = (
    Application(
        "stun",
        "STUN",
        tcp_ports=(3478,),
        udp_ports=(3478,),
        accept=_MESSAGE | _CHANNEL | _FRAMED,
        udp_content=(_MESSAGE & (be16(2) + 20 == size)) | _CHANNEL,
        tcp_content=_FRAMED | (_MESSAGE & (be16(2) + 20 == size)),
        framing="each",
        length=(_MESSAGE & (be16(2) + 20)) | (_FRAMED & (be16(0) + 2)) | size,
        data=_CHANNEL,
    ),
    Application(
        "classicstun",
        "STUN of 2003",
        udp_content=u8(0).among({0, 1})
        & u8(1).among({0x01, 0x02, 0x11, 0x12})
        & (be16(2) + 20 == size)
        & (be32(4) != 0x2112A442),
    ),
)
