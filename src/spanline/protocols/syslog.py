"""Syslog. RFC 5426."""

from spanline.protocols.language import Application

PROTOCOLS = (Application("syslog", "Syslog", udp_ports=(514,)),)
