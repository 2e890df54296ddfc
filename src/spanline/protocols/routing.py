"""Protocols right above IP by which routers find one another and their neighbours' groups."""

from spanline.protocols.language import Application

PROTOCOLS = (
    Application("igmp", "IGMP", ip_protocols=(2,)),
    Application("eigrp", "EIGRP", ip_protocols=(88,)),
    Application("ospf", "OSPF", ip_protocols=(89,)),
    Application("pim", "PIM", ip_protocols=(103,)),
    Application("vrrp", "VRRP", ip_protocols=(112,)),
)
