"""POP3. RFC 1939."""

from spanline.protocols.language import Application

PROTOCOLS = (Application("pop", "POP3", tcp_ports=(110,), foreign=(rb"^\+OK [^\r\n]*(?i:pop3)",)),)
