"""OpenVPN: |operation 5 bits, key 3 bits|session 8|…; over TCP |length 2| before it.

Control messages go on with |signature 20, packet and time 8| where a key was shared, |count 1|acknowledged messages
4 each|their session 8|, when there are any, |message 4|, and TLS (https://openvpn.net/community-resources/openvpn-protocol/).
"""

from spanline.protocols.language import Application, Expression, be16, be32, size, u8

_FRONT: Expression = (be16(0) + 2 == size) * 2
_SIGNED = 28


def _behind_acknowledgements(at: Expression) -> Expression:
    return u8(at) * 4 + (u8(at) > 0) * 8 + at + 1


_PLAIN: Expression = _behind_acknowledgements(_FRONT + 9)
CONTENT_AT: Expression = ((u8(_FRONT + 9) <= 8) & (be32(_PLAIN) < 0x10000) & (_PLAIN + 4)) | _behind_acknowledgements(
    _FRONT + 9 + _SIGNED
) + 4
"""Where TLS stands in a control message."""

HAS_CONTENT: Expression = (u8(_FRONT) >> 3 == 4) & (size > CONTENT_AT) & (size != CONTENT_AT + 100)
"""Whether it is a control message with TLS. What does not fit into one comes in pieces of 100 bytes."""

PROTOCOLS = (
    Application(
        "openvpn",
        "OpenVPN",
        tcp_ports=(1194,),
        udp_ports=(1194,),
        framing="each",
        length=be16(0) + 2,
        foreign=(rb"^\x00[\x0e-\x40]\x38.{8}", rb"^\x38[^\x00]{8}\x00{5}"),
    ),
)
