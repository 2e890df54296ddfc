"""VNC. RFC 6143 section 7.1.1: both sides begin with their version."""

from spanline.protocols.language import Application, starts

PROTOCOLS = (
    Application(
        "vnc",
        "VNC",
        tcp_ports=(5500, 5501, 5900, 5901),
        tcp_content=starts(b"RFB "),
        foreign=(rb"^RFB 00\d\.\d{3}\n",),
    ),
)
