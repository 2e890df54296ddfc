"""RDP ([MS-RDPBCGR]) and what it stands on: TPKT (RFC 1006), X.224, T.125 and T.124; and S7 on the same.

TPKT |version 3 1|0 1|length 2|; X.224 |length of its header 1|type 1|…; a fast-path message of RDP
|action 2 bits …|length 1 or 2|.
"""

from spanline.protocols.language import Application, Inside, be16, destination_port, size, source_port, starts, u8

_ON_PORT = (source_port == 3389) | (destination_port == 3389)
_FAST_LENGTH = ((u8(1) >= 0x80) & be16(1).bits(0x7FFF)) | u8(1)
_FAST = (u8(0) != 0) & (u8(0).bits(3) == 0) & (_FAST_LENGTH > 3) & (size >= _FAST_LENGTH)
_CONNECTS = u8(1).among({0xE0, 0xD0}) & (u8(0) > 6)
_DATA = u8(1) == 0xF0

PROTOCOLS = (
    Application(
        "tpkt",
        "TPKT",
        tcp_ports=(102, 3389),
        framing="each",
        length=((u8(0) == 3) & (be16(2) >= 4) & be16(2)) | size,
        becomes=(("rdp", _ON_PORT & (u8(5) == 0xF0) & (u8(7) == 0x7F)),),
    ),
    Application("cotp", "X.224", inside=(Inside("tpkt", 4, u8(0) == 3),)),
    Application("s7comm", "S7", inside=(Inside("cotp", 3, _DATA & (u8(3) == 0x32)),)),
    Application("t125", "T.125", inside=(Inside("cotp", 3, _DATA & _ON_PORT),)),
    Application("t124", "T.124", inside=(Inside("t125", 0, (u8(0) == 0x7F) & u8(1).among({0x65, 0x66})),)),
    Application(
        "rdp",
        "RDP",
        accept=_FAST,
        inside=(
            Inside("cotp", 7, _CONNECTS & ((u8(7) <= 3) | starts(b"Cookie: ", at=7))),
            Inside("t124", 0, u8(0) == 0x7F),
            Inside("t125", 0, u8(0).among({0x64, 0x68})),
        ),
        foreign=(rb"^\x03\x00..[\x06-\xfe]\xe0\x00\x00..\x00(Cookie: mstshash=|\x01[\x00-\x0f]\x08\x00)",),
    ),
)
