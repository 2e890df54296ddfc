"""AMQP 0-9-1 section 4.2: |type 1|channel 2|length 4|…|0xCE|; 1.0 section 2.3: |length 4|"""

from spanline.protocols.language import Application, be32, starts, u8

PROTOCOLS = (
    Application(
        "amqp",
        "AMQP",
        tcp_ports=(5672,),
        framing="each",
        length=(starts(b"AMQP") & 8) | ((u8(0) == 0) & be32(0)) | (be32(3) + 8),
        foreign=(rb"^AMQP[\x00-\x03][\x00\x01][\x00\x09\x0a][\x00-\x0a]",),
    ),
)
