"""TLS. RFC 8446 section 5.1: |type 1|version 2|length 2|"""

from spanline.protocols import openvpn
from spanline.protocols.language import Application, Expression, Inside, be16, size, u8

_RECORD: Expression = u8(0).among({20, 21, 22, 23, 24}) & (u8(1) == 3)
# The ClientHello of SSL 2 (RFC 5246 appendix E.2), which old clients begin with: |length 15 bits|type 1|version 2|
_OLD_HELLO: Expression = (u8(0) >> 7 == 1) & (u8(2) == 1) & (u8(3) == 3) & u8(4).among({0, 1, 2, 3})

PROTOCOLS = (
    Application(
        "tls",
        "TLS",
        tcp_ports=(
            443, 636, 993, 995, 465, 853, 2443, 3249, 1300, 3250, 3251, 3252, 27017, 5671, 5868, 5684, 19999, 324,
            5061, 802, 3496, 8883, 11207, 2221,
        ),
        tcp_content=(_RECORD & u8(2).among({0, 1, 2, 3, 4})) | _OLD_HELLO,
        foreign=(rb"^\x16\x03[\x00-\x04]..[\x01\x02]\x00",),
        framing="records",
        length=(_RECORD & (be16(3) + 5)) | (_OLD_HELLO & (be16(0).bits(0x7FFF) + 2)) | size,
        inside=(Inside("openvpn", openvpn.CONTENT_AT, openvpn.HAS_CONTENT),),
    ),
)  # fmt: skip
