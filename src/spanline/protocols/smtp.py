"""SMTP. RFC 5321."""

from spanline.protocols.language import Application

PROTOCOLS = (
    Application(
        "smtp", "SMTP", tcp_ports=(25, 587), foreign=(rb"^220[- ][^\r\n]*E?SMTP[^\r\n]*\r\n", rb"^(EHLO|HELO) \S+\r\n")
    ),
)
