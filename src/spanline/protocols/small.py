"""Protocols of which only the port is looked at."""

from spanline.protocols.language import Application

PROTOCOLS = (
    Application("ssdp", "SSDP", udp_ports=(1900,)),
    Application("gtp", "GTP", udp_ports=(2123,)),
)
