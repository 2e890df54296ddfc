"""Telnet. RFC 854; foreign servers are known by the options that they begin with."""

from spanline.protocols.language import Application

PROTOCOLS = (Application("telnet", "Telnet", tcp_ports=(23,), foreign=(rb"^(\xff[\xfb-\xfe][\x00-\x31]){2}",)),)
