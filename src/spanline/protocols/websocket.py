"""WebSocket. RFC 6455 section 5.2: |flags and opcode 1|mask 1 bit, length 7 bits|longer length 2 or 8|mask 4|"""

from spanline.protocols.language import Application, be16, be32, u8

_SHORT = u8(1).bits(0x7F)
_MASK = (u8(1) >> 7) * 4

PROTOCOLS = (
    Application(
        "websocket",
        "WebSocket",
        framing="each",
        length=_MASK + (((_SHORT == 126) & (be16(2) + 4)) | ((_SHORT == 127) & (be32(6) + 10)) | (_SHORT + 2)),
    ),
)
