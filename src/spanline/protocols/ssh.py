"""SSH. RFC 4253 section 4.2: each side begins with a line, then |length 4|padding 1|…"""

from spanline.protocols.language import Application, be32, find, size, starts, u8

# Until keys are agreed upon, messages can be told apart.
_EXCHANGE = (be32(0) <= 35000) & (be32(0) > u8(4)) & (u8(4) >= 4) & u8(5).among({20, 21, *range(30, 35)})

PROTOCOLS = (
    Application(
        "ssh",
        "SSH",
        tcp_ports=(22, 29418),
        framing="records",
        length=(starts(b"SSH-") & (find(b"\n") + 1)) | (_EXCHANGE & (be32(0) + 4)) | size,
        foreign=(rb"^SSH-(1\.\d+|2\.0)-[\x21-\x7e]",),
    ),
)
