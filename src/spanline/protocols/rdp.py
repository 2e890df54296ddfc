"""RDP and what it stands on: TPKT (RFC 1006), X.224, and the connection sequence of [MS-RDPBCGR]."""

from spanline.protocols.language import Application, Inside, be16, find, starts, u8

PROTOCOLS = (
    Application(
        "tpkt",
        "TPKT",
        tcp_ports=(102, 3389),
        framing="each",
        length=be16(2),
    ),
    Application("cotp", "X.224", inside=(Inside("tpkt", 4, u8(0) == 3),)),
    Application(
        "rdp",
        "RDP",
        inside=(Inside("cotp", 7, u8(1).among({0xE0, 0xD0}) & ((u8(7) <= 3) | starts(b"Cookie: ", at=7))),),
        foreign=(rb"^\x03\x00..[\x06-\xfe]\xe0\x00\x00..\x00(Cookie: mstshash=|\x01[\x00-\x0f]\x08\x00)",),
    ),
)
