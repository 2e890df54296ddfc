"""RTSP. RFC 2326; written like HTTP, with RTP between (section 10.12)."""

from spanline.protocols.language import Application, one_of

_BEGINS = one_of(
    b"RTSP/1.",
    b"OPTIONS ",
    b"DESCRIBE ",
    b"SETUP ",
    b"PLAY ",
    b"PAUSE ",
    b"TEARDOWN ",
    b"GET_PARAMETER ",
    b"SET_PARAMETER ",
    b"ANNOUNCE ",
    b"RECORD ",
    b"REDIRECT ",
    b"$",
)

PROTOCOLS = (
    Application(
        "rtsp",
        "RTSP",
        tcp_ports=(554, 7236, 8554),
        framing="http",
        announces="transport",
        length=_BEGINS,
        accept=_BEGINS,
    ),
)
