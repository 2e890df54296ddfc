"""OpenVPN: |operation and key 1|…; over TCP |length 2| before it."""

from spanline.protocols.language import Application, be16

PROTOCOLS = (
    Application(
        "openvpn",
        "OpenVPN",
        tcp_ports=(1194,),
        udp_ports=(1194,),
        framing="each",
        length=be16(0) + 2,
        foreign=(rb"^\x00[\x0e-\x40]\x38.{8}", rb"^\x38.{8}\x00{5}"),
    ),
)
