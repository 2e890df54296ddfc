"""Captures of whole conversations: a dialogue with its handshake and its end, plain or inside a tunnel."""

from __future__ import annotations

from collections.abc import Sequence

from tests.craft import Frame, ethernet, ipv4, ipv6, tcp, udp
from tests.craft_files import START, Record
from tests.craft_tunnels import vxlan
from tests.pieces import CLIENT, Dialogue

MILLISECOND = 10**6


def conversation(
    dialogue: Dialogue,
    port: int,
    transport: str = "tcp",
    *,
    client: str = "10.0.0.5",
    server: str = "10.0.1.2",
    client_port: int = 50000,
    start: int = START,
    vni: int | None = None,
    whole: bool = True,
) -> list[Record]:
    """A frame a millisecond, each message one. `whole`: with a handshake and its end, where there is such a thing."""
    ip = ipv6 if ":" in client else ipv4
    outer = Frame() if vni is None else ethernet() / ipv4("192.0.2.1", "192.0.2.2") / udp(50000, 4789) / vxlan(vni)
    sent = {True: 1000, False: 5000}
    frames: list[Frame] = []

    def say(by_client: bool, flags: str, data: bytes = b"") -> None:
        ends = (client, server) if by_client else (server, client)
        ports = (client_port, port) if by_client else (port, client_port)
        if transport == "udp":
            over = udp(*ports)
        else:
            over = tcp(*ports, seq=sent[by_client], ack=sent[not by_client] if "A" in flags else 0, flags=flags)
        frames.append(outer / ethernet() / ip(*ends) / over / data)
        sent[by_client] += len(data) + ("S" in flags) + ("F" in flags)

    with_ends = whole and transport == "tcp"
    for by_client, flags in ((True, "S"), (False, "SA"), (True, "A")) if with_ends else ():
        say(by_client, flags)
    for sender, data in dialogue:
        say(sender == CLIENT, "PA", data)
    for by_client, flags in ((True, "FA"), (False, "FA"), (True, "A")) if with_ends else ():
        say(by_client, flags)
    return [Record(start + n * MILLISECOND, bytes(frame)) for n, frame in enumerate(frames)]


def together(conversations: Sequence[Sequence[Record]]) -> list[Record]:
    """Frames of several, by time."""
    return sorted((record for one in conversations for record in one), key=lambda record: record.time)
