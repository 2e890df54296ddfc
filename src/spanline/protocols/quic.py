"""QUIC. RFC 9000 section 17.2, RFC 9369 (version 2): |flags 1|version 4|length 1|destination id|length 1|source id|…"""

from spanline.protocols.language import (
    Application,
    Expression,
    be16,
    be24,
    be32,
    captured,
    quic_number,
    quic_number_end,
    u8,
)

_SOURCE_ID: Expression = u8(5) + 6
_BEHIND_IDS: Expression = u8(_SOURCE_ID) + _SOURCE_ID + 1
_BEHIND_TOKEN: Expression = quic_number_end(_BEHIND_IDS) + quic_number(_BEHIND_IDS)
_LONG: Expression = u8(0) >= 0x80
_VERSION_2: Expression = (be32(1) == 0x6B3343CF) | (be32(1) == 0x709A50C4)
_KIND: Expression = u8(0).bits(0x30)
_INITIAL: Expression = (_VERSION_2 & (_KIND == 0x10)) | ((_KIND == 0) & ~_VERSION_2)
_RETRY: Expression = (_VERSION_2 & (_KIND == 0)) | ((_KIND == 0x30) & ~_VERSION_2)
# Drafts 11 and later, Facebook's, Google's and picoquic's numbers of them, and those that exist to be refused.
_KNOWN: Expression = (
    (be32(1) == 1)
    | _VERSION_2
    | ((be24(1) == 0xFF0000) & (u8(4) >= 11))
    | ((be24(1) == 0xFACEB0) & (u8(4) <= 0x0E))
    | (be32(1).bits(0x0F0F0F0F) == 0x0A0A0A0A)
    | (be32(1) == 0x51303530)
    | (be32(1) == 0x54303530)
    | (be32(1) == 0x54303531)
    | (be16(1) == 0x5043)
)

PROTOCOLS = (
    Application(
        "quic",
        "QUIC",
        udp_content=(captured >= 9) & _LONG & _KNOWN,
        next=_LONG
        & ~_RETRY
        & (be32(1) != 0)
        & (
            (_INITIAL & (quic_number_end(_BEHIND_TOKEN) + quic_number(_BEHIND_TOKEN)))
            | (quic_number_end(_BEHIND_IDS) + quic_number(_BEHIND_IDS))
        ),
        foreign=(rb"^[\xc0-\xff](\x00\x00\x00\x01|\x6b\x33\x43\xcf|\xff\x00\x00[\x0b-\x22])[\x00-\x14]",),
    ),
)
