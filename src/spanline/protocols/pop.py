"""POP3. RFC 1939."""

from spanline.protocols.language import Application, starts

PROTOCOLS = (
    Application(
        "pop",
        "POP3",
        tcp_ports=(110,),
        becomes=(("tls", starts(b"+OK Begin TLS")),),
        foreign=(rb"^\+OK [^\r\n]*(?i:pop3)",),
    ),
)
