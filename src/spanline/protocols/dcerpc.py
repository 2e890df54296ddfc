"""DCE/RPC. C706 chapter 12: |version 5|minor 1|type 1|flags 1|data representation 4|length 2|"""

from spanline.protocols.language import Application, be16, le16, u8

_LITTLE = u8(4) >> 4
_LENGTH = (_LITTLE & le16(8)) | be16(8)

PROTOCOLS = (
    Application(
        "dcerpc",
        "DCE/RPC",
        tcp_content=(u8(0) == 5)
        & (u8(1) <= 1)
        & (u8(2) <= 19)
        & u8(4).among({0x00, 0x01, 0x10, 0x11})
        & (u8(5) <= 3)
        & (_LENGTH >= 16),
        framing="each",
        length=_LENGTH,
    ),
)
