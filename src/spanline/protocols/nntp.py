"""NNTP. RFC 3977 section 5.1: a server greets with 200 or 201."""

from spanline.protocols.language import Application

PROTOCOLS = (Application("nntp", "NNTP", tcp_ports=(119,), foreign=(rb"^20[01] [^\r\n]*(?i:nntp|news)[^\r\n]*\r\n",)),)
