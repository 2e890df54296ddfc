"""Protocols right above IP by which routers find one another and their neighbours' groups."""

from spanline.protocols.language import Application, u8

# Other protocols that took numbers of IGMP: DVMRP, PIM version 1, RGMP.
_OTHERS = u8(0).among({0x13, 0x14, *range(0xFC, 0x100)})

PROTOCOLS = (
    Application("igmp", "IGMP", ip_protocols=(2,), accept=~_OTHERS),
    Application("eigrp", "EIGRP", ip_protocols=(88,)),
    Application("ospf", "OSPF", ip_protocols=(89,)),
    Application("pim", "PIM", ip_protocols=(103,)),
    Application("vrrp", "VRRP", ip_protocols=(112,)),
)
