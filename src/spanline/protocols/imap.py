"""IMAP. RFC 9051."""

from spanline.protocols.language import Application, find

PROTOCOLS = (
    Application(
        "imap",
        "IMAP",
        tcp_ports=(143,),
        framing="lines",
        becomes=(("tls", find(b" OK Begin TLS") > 0),),
        foreign=(rb"^\* (OK|PREAUTH) [^\r\n]*(?i:imap)",),
    ),
)
