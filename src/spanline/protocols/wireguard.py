"""WireGuard: |type 1|zeros 3|…; all but data messages have one size each."""

from spanline.protocols.language import Application, be24, size, u8

_MESSAGE = (be24(1) == 0) & (
    ((u8(0) == 1) & (size == 148))
    | ((u8(0) == 2) & (size == 92))
    | ((u8(0) == 3) & (size == 64))
    | ((u8(0) == 4) & (size >= 32))
)

PROTOCOLS = (
    Application(
        "wg",
        "WireGuard",
        accept=_MESSAGE,
        udp_content=_MESSAGE,
    ),
)
