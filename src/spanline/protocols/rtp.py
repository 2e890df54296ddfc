"""RTP and RTCP. RFC 3550 sections 5.1 and 6.4: |version 2 bits …|type 1|…; their ports are announced by SIP or RTSP."""

from spanline.protocols.language import Application, be16, destination_port, size, source_port, u8

_VERSION_2 = u8(0) >> 6 == 2

PROTOCOLS = (
    Application("rtp", "RTP", accept=~(_VERSION_2 & (u8(1) >= 200) & (u8(1) <= 204))),
    Application(
        "rtcp",
        "RTCP",
        udp_content=source_port.bits(1)
        & destination_port.bits(1)
        & _VERSION_2
        & u8(1).among({200, 201})
        & (size.bits(3) == 0),
        next=(_VERSION_2 & (be16(2) + 1)) * 4,
    ),
)
