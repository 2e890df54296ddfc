"""Payloads and what they hand out, and the segments and datagrams of one conversation to feed them with."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple

import numpy as np

from spanline._decode import SEED
from spanline._payloads import Payloads
from spanline.batch import Batch
from spanline.schema import PAYLOAD_HEAD_FLAGS, PAYLOAD_PIECE_FLAGS
from tests.craft import Frame, ethernet, ipv4, raw, tcp, udp
from tests.craft_files import Record
from tests.rows import decode_all

BASES = (100, 5000)
"""Initial sequence numbers of client and server."""


class Said(NamedTuple):
    """A piece: who, from which offset, what, what is missing before it, and how it is flagged."""

    sender: int
    offset: int
    octets: bytes
    gap: int
    flags: str


class Head(NamedTuple):
    sender: int
    octets: bytes
    flags: str


def names(bits: int, table: Sequence[str]) -> str:
    return " ".join(name for n, name in enumerate(table) if bits >> n & 1)


def said(row: np.void, octets: np.ndarray[Any, Any]) -> Said:
    """A row of schema.PAYLOAD_PIECE."""
    part = octets[row["start"] : row["start"] + row["length"]].tobytes()
    return Said(int(row["sender"]), int(row["offset"]), part, int(row["gap"]), names(row["flags"], PAYLOAD_PIECE_FLAGS))


class Listener:
    """Payloads, and what they handed out: `heads` and `pieces`, by conversation."""

    def __init__(self, *, claim: bool = True, **options: Any) -> None:
        self.payloads = Payloads(**{"seed": SEED, **options})
        self.claim = claim
        self.heads: dict[int, list[Head]] = {}
        self.pieces: dict[int, list[Said]] = {}
        self.frames: dict[int, list[tuple[int, int]]] = {}

    def hear(self, batch: Batch) -> None:
        self.payloads.update(batch.packets.view(np.uint8), batch.numbers, batch.buffers)
        self.drain()

    def drain(self) -> int:
        rows, octets = self.payloads.heads()
        for row in rows:
            part = octets[row["start"] : row["start"] + row["length"]].tobytes()
            head = Head(int(row["sender"]), part, names(row["flags"], PAYLOAD_HEAD_FLAGS))
            self.heads.setdefault(int(row["serial"]), []).append(head)
        if self.claim:
            self.payloads.claim(np.unique(rows["slot"]))
        pieces, octets = self.payloads.pieces()
        for row in pieces:
            self.pieces.setdefault(int(row["serial"]), []).append(said(row, octets))
            self.frames.setdefault(int(row["serial"]), []).append((int(row["frame"]), int(row["time"])))
        return len(rows)

    def finish(self) -> None:
        self.payloads.finish()
        while self.drain():
            pass

    def streams(self) -> dict[int, tuple[bytes, bytes]]:
        """What each side said in all, by conversation."""
        return {serial: (joined(pieces, 0), joined(pieces, 1)) for serial, pieces in self.pieces.items()}


def joined(pieces: Iterable[Said], sender: int) -> bytes:
    return b"".join(piece.octets for piece in pieces if piece.sender == sender)


def listen(frames: Iterable[Frame | bytes | Record], **options: Any) -> Listener:
    listener = Listener(**options)
    listener.hear(decode_all(frames))
    listener.finish()
    return listener


def only(listener: Listener) -> list[Said]:
    """The pieces of the only conversation, without its end."""
    (pieces,) = listener.pieces.values()
    assert "ended" in pieces[-1].flags
    assert not any("ended" in piece.flags for piece in pieces[:-1])
    return pieces[:-1]


def segment(
    way: int,
    at: int,
    octets: bytes = b"",
    flags: str = "A",
    *,
    ack: int | None = None,
    bases: tuple[int, int] = BASES,
    port: int = 40000,
) -> Frame:
    """A segment whose payload stands at `at` of what `way`, 0 the client, sends. With a SYN `at` is -1."""
    addresses, ports = ("10.0.0.1", "10.0.0.2"), (port, 2323)
    seq = (bases[way] + 1 + at) % 2**32
    number = (bases[1 - way] + 1 + (ack or 0)) % 2**32 if "A" in flags else 0
    header = tcp(ports[way], ports[1 - way], seq=seq, ack=number, flags=flags)
    return ethernet() / ipv4(addresses[way], addresses[1 - way]) / header / raw(octets)


def handshake(**options: Any) -> list[Frame]:
    return [segment(0, -1, flags="S", **options), segment(1, -1, flags="SA", **options), segment(0, 0, **options)]


def datagram(way: int, octets: bytes) -> Frame:
    addresses, ports = ("10.0.0.1", "10.0.0.2"), (40000, 161)
    return ethernet() / ipv4(addresses[way], addresses[1 - way]) / udp(ports[way], ports[1 - way]) / raw(octets)


def cut(batch: Batch, at: int) -> tuple[Batch, Batch]:
    first = np.arange(len(batch)) < at
    return batch.select(first), batch.select(~first)
