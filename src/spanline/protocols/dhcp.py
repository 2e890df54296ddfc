"""DHCP, also called bootp (RFC 2131), and DHCPv6 (RFC 8415)."""

from spanline.protocols.language import Application

PROTOCOLS = (
    Application("dhcp", "DHCP", udp_ports=(67, 68, 4011)),
    Application("dhcpv6", "DHCPv6", udp_ports=(546, 547)),
)
