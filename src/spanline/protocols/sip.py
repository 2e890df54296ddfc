"""SIP. RFC 3261 section 7: a request ends its first line with the version, a response begins with it."""

from spanline.protocols.language import Application, find, starts_any_case, u8

_VERSION = find(b" SIP/2.0")
_MESSAGE = starts_any_case(b"sip/2.0 ") | ((_VERSION > 4) & (find(b"\r\n") == _VERSION + 8) & (find(b":") < _VERSION))

PROTOCOLS = (
    Application(
        "sip",
        "SIP",
        tcp_ports=(5060,),
        udp_ports=(5060,),
        accept=_MESSAGE | (u8(0) == 13) | (u8(0) == 0),
        content=_MESSAGE,
        framing="http",
        announces="sdp",
        length=_MESSAGE,
        foreign=(rb"^(SIP/2\.0 \d{3} |(INVITE|REGISTER|OPTIONS|MESSAGE|SUBSCRIBE) sips?:[^\r\n]+ SIP/2\.0\r\n)",),
    ),
)
