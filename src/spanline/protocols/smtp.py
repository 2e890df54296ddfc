"""SMTP. RFC 5321."""

from spanline.protocols.language import Application, find, starts

PROTOCOLS = (
    Application(
        "smtp",
        "SMTP",
        tcp_ports=(25, 587),
        framing="lines",
        becomes=(("tls", starts(b"220 ") & (find(b"TLS") > 0) & (find(b"SMTP") < 0)),),
        foreign=(rb"^220[- ][^\r\n]*E?SMTP[^\r\n]*\r\n", rb"^(EHLO|HELO) \S+\r\n"),
    ),
)
