"""LDAP (RFC 4511): BER elements, or |length 4| and what SASL made of them; over UDP it is called CLDAP."""

from spanline.protocols.language import Application, be32, ber_end, u8

PROTOCOLS = (
    Application(
        "ldap",
        "LDAP",
        tcp_ports=(389, 3268),
        framing="each",
        length=((u8(0) == 0x30) & ber_end(0)) | (be32(0).bits(0x0FFFFFFF) + 4),
    ),
    Application("cldap", "CLDAP", udp_ports=(389,)),
)
