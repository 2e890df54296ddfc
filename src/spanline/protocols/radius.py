"""RADIUS. RFC 2865 section 3: |code 1|identifier 1|length 2|authenticator 16|"""

from spanline.protocols.language import Application, be16, size

PROTOCOLS = (
    Application(
        "radius",
        "RADIUS",
        udp_ports=(1645, 1646, 1700, 1812, 1813, 3799),
        accept=(be16(2) >= 20) & (be16(2) <= size),
    ),
)
