"""Protocols of a link.

LLDP (IEEE 802.1AB), CDP (Cisco), spanning tree (IEEE 802.1D), LACP (IEEE 802.3 annex 57A), EAPOL (IEEE 802.1X).
"""

from spanline.protocols.language import Application

PROTOCOLS = (
    Application("lldp", "LLDP", ether_types=(0x88CC, 0x8942)),
    Application("cdp", "CDP", snap_protocols=(0x2000,)),
    Application("stp", "Spanning tree", llc_services=(0x42,), snap_protocols=(0x010B,)),
    Application("slow", "LACP", ether_types=(0x8809,)),
    Application("eapol", "EAPOL", ether_types=(0x888E, 0x88C7)),
)
