"""Google's QUIC before it was standardised: |flags 1|connection id 8|version "Q0…"|; last, like QUIC."""

from spanline.protocols.language import Application, starts, u8

PROTOCOLS = (
    Application(
        "gquic",
        "Google QUIC",
        udp_content=((u8(0).bits(0xC9) == 0x09) & (starts(b"Q0", at=9) | starts(b"Q1", at=9)))
        | ((u8(0) >= 0xC0) & starts(b"Q04", at=1)),
    ),
)
