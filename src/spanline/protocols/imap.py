"""IMAP. RFC 9051."""

from spanline.protocols.language import Application

PROTOCOLS = (Application("imap", "IMAP", tcp_ports=(143,), foreign=(rb"^\* (OK|PREAUTH) [^\r\n]*(?i:imap)",)),)
