"""PostgreSQL, version 3 of its protocol: |type 1|length 4|…, and messages without a type to begin with."""

from spanline.protocols.language import Application, be32, size, u8

# Of one byte: whether what follows is TLS.
_ANSWER = (size == 1) & u8(0).among(b"SN")

PROTOCOLS = (
    Application(
        "pgsql",
        "PostgreSQL",
        tcp_ports=(5432,),
        framing="each",
        length=(_ANSWER & 1) | ((u8(0) == 0) & be32(0)) | (be32(1) + 1),
        silent=_ANSWER,
        becomes=(("tls", _ANSWER & (u8(0) == ord("S"))),),
        foreign=(rb"^\x00\x00..(\x00\x03\x00[\x00-\x02]user\x00|\x04\xd2\x16[\x2e-\x30])",),
    ),
)
