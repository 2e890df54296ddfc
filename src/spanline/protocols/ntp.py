"""NTP. RFC 5905."""

from spanline.protocols.language import Application

PROTOCOLS = (Application("ntp", "NTP", udp_ports=(123,), tcp_ports=(123,)),)
