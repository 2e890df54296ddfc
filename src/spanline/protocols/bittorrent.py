"""BitTorrent: the peer protocol (BEP 3) and the distributed hash table (BEP 5)."""

from spanline.protocols.language import Application, be32, captured, size, starts, u8

_HANDSHAKE = starts(b"\x13BitTorrent protocol")

# A message says what it is of; anything else is taken for what continues one.
_MESSAGE = (
    (captured <= 4)
    | (be32(0) == 0)
    | ((be32(0) < 0x1000000) & u8(4).among({*range(10), *range(13, 18), 20, 21, 22, 23}))
)
_DHT = starts(b"d1:ad") | starts(b"d1:rd") | starts(b"d2:ip") | starts(b"d1:el")

PROTOCOLS = (
    Application(
        "bittorrent",
        "BitTorrent",
        tcp_ports=tuple(range(6881, 6890)),
        tcp_content=_HANDSHAKE,
        framing="each",
        length=(_HANDSHAKE & 68) | (_MESSAGE & (be32(0) + 4)) | size,
        foreign=(rb"^\x13BitTorrent protocol",),
    ),
    Application(
        "bt-dht",
        "BitTorrent DHT",
        accept=_DHT,
        udp_content=_DHT,
        foreign=(rb"^d1:[are](d2:id20:|l)",),
    ),
)
