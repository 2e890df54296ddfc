"""BitTorrent: the peer protocol (BEP 3) and the distributed hash table (BEP 5)."""

from spanline.protocols.language import Application, be32, size, starts

_HANDSHAKE = starts(b"\x13BitTorrent protocol")

PROTOCOLS = (
    Application(
        "bittorrent",
        "BitTorrent",
        tcp_ports=tuple(range(6881, 6890)),
        tcp_content=_HANDSHAKE,
        framing="each",
        length=(_HANDSHAKE & 68) | (be32(0) + 4),
        foreign=(rb"^\x13BitTorrent protocol",),
    ),
    Application(
        "bt-dht",
        "BitTorrent DHT",
        udp_content=starts(b"d1:ad2:id20:") | starts(b"d1:rd2:id20:") | starts(b"d2:ip") | starts(b"d1:el"),
        foreign=(rb"^d1:[are](d2:id20:|l)",),
    ),
)
