"""NetBIOS sessions and datagrams (RFC 1002 sections 4.3 and 4.4), and SMB in both: [MS-SMB], [MS-SMB2]."""

from spanline.protocols.language import Application, Inside, be24, le32, size, starts, u8

PROTOCOLS = (
    Application(
        "nbss",
        "NetBIOS session",
        tcp_ports=(139, 445),
        framing="each",
        length=((size == 1) & (u8(0) == 0) & 1)
        | (u8(0).among({0x00, 0x81, 0x82, 0x83, 0x84, 0x85}) & (be24(1) + 4))
        | size,
    ),
    Application("nbdgm", "NetBIOS datagram", udp_ports=(138,)),
    Application(
        "smb",
        "SMB",
        inside=(
            Inside("nbss", 4, (u8(0) == 0) & starts(b"\xffSMB", at=4)),
            Inside("nbdgm", 82, starts(b"\xffSMB", at=82)),
        ),
    ),
    Application(
        "smb2",
        "SMB 2 and 3",
        inside=(Inside("nbss", 4, (u8(0) == 0) & starts(b"SMB", at=5) & u8(4).among({0xFC, 0xFD, 0xFE})),),
        next=(u8(0) == 0xFE) & le32(20),
    ),
)
