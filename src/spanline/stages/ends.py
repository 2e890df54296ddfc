"""The two ends of a conversation: as text, and where they are in a batch."""

from __future__ import annotations

import contextlib
import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from ipaddress import IPv4Address, ip_address

import numpy as np
import numpy.typing as npt

from spanline.arrow import address_text
from spanline.errors import UsageError
from spanline.schema import NO_STREAM, PACKET_DTYPE

End = tuple[bytes, int]
"""Address, 16 bytes, and port."""

# How much of a text that makes no sense is repeated.
_SHOWN = 60
# Candidates for what was meant, and rows of a batch among which they are looked for.
_NEAREST, _LOOKED_AT = 3, 1 << 12
_COLUMNS = ["source", "destination", "source_port", "destination_port"]
_ENDS = np.dtype([(name, PACKET_DTYPE[name]) for name in _COLUMNS])


@dataclass(frozen=True, slots=True)
class Ends:
    """Both ends of a conversation, in any order."""

    first: End
    second: End

    def __str__(self) -> str:
        return ",".join(end_text(*end) for end in (self.first, self.second))


def end_text(address: bytes, port: int) -> str:
    """10.0.0.1:80 or [2001:db8::1]:80 (RFC 5952, section 6)."""
    text = address_text(address)
    return f"[{text}]:{port}" if ":" in text else f"{text}:{port}"


@dataclass(frozen=True, slots=True)
class Numbered:
    """A stream by its number, as tshark counts those of its transport: "tcp" or "udp"."""

    transport: str
    number: int

    def __str__(self) -> str:
        return f"{self.transport}.stream {self.number}"


def conversation(text: str) -> Numbered | Ends:
    """The TCP conversation that somebody names for its handshake, as stream() has it. Raises UsageError."""
    with _named("--follow", text, "tcp.stream==N or A:port,B:port"):
        if text.strip().startswith("udp.stream"):
            raise _Wrong("UDP has no handshake to measure")
        return _parsed(text.strip(), ("tcp",))


def stream(text: str) -> Numbered | Ends:
    """The stream that somebody names: tcp.stream==N, udp.stream==N, or the two ends A:port,B:port.

    Raises UsageError with what is wrong and how it is written.
    """
    with _named("--stream", text, "tcp.stream==N, udp.stream==N or A:port,B:port"):
        return _parsed(text.strip(), ("tcp", "udp"))


class _Wrong(Exception):
    """What is wrong with the name of a conversation."""


@contextlib.contextmanager
def _named(option: str, text: str, ways: str) -> Iterator[None]:
    try:
        yield
    except _Wrong as wrong:
        shown = text if len(text) <= _SHOWN else f"{text[:_SHOWN]}…"
        raise UsageError(f"{option} {shown!r}: {wrong}", hint=f"write {ways}, IPv6 as [A]:port,[B]:port") from None


def _parsed(asked: str, transports: Sequence[str]) -> Numbered | Ends:
    if match := re.fullmatch(rf"({'|'.join(transports)})\.stream\s*(?:==|\beq\b)\s*([0-9]{{1,20}})", asked):
        if int(match[2]) >= NO_STREAM:
            raise _Wrong(f"there is no stream {match[2]}")
        return Numbered(match[1], int(match[2]))
    if re.match(r"[a-z]+\.[a-z]+", asked) and ":" not in asked:
        raise _Wrong(f"this names no {' or '.join(name.upper() for name in transports)} stream")
    parts = asked.split(",")
    if len(parts) != 2:
        raise _Wrong(f"two ends make a conversation, and here is {len(parts)}" if asked else "it is empty")
    return Ends(*(_end(part.strip()) for part in parts))


def _end(part: str) -> End:
    match = re.fullmatch(r"\[([^\]]*)\]:([0-9]{1,9})|([^:\[\]]*):([0-9]{1,9})", part)
    if not match:
        if part.count(":") > 1 and "[" not in part:
            raise _Wrong(f"an IPv6 address stands in brackets before its port, {part!r} has none")
        raise _Wrong(f"{part[:_SHOWN]!r} is not an address, a colon and a port")
    address, port = match[1] or match[3] or "", match[2] or match[4]
    if int(port) > 65535:
        raise _Wrong(f"port {port} is more than 65535")
    try:
        found = ip_address(address)
    except ValueError:
        raise _Wrong(f"{address!r} is not an IP address (names are not looked up)") from None
    if "%" in address:
        raise _Wrong(f"{address!r} has a zone, which captures do not tell")
    packed = found.packed
    return (bytes(10) + b"\xff\xff" + packed if isinstance(found, IPv4Address) else packed), int(port)


def likeness(packets: npt.NDArray[np.void], ends: Ends) -> npt.NDArray[np.uint8]:
    """How many of four, two addresses and two ports, rows (schema.PACKET) have in common with `ends`: uint8[n].

    In the better direction of the two; with 4 a row belongs to the conversation of these ends.
    """
    ways = []
    for source, destination in ((ends.first, ends.second), (ends.second, ends.first)):
        points = np.zeros(len(packets), np.uint8)
        for side, (address, port) in (("source", source), ("destination", destination)):
            # Two numbers are compared faster than sixteen bytes.
            points += (packets[side].view(np.uint64) == np.frombuffer(address, np.uint64)).all(axis=1)
            points += packets[f"{side}_port"] == port
        ways.append(points)
    return np.maximum(*ways)


class Nearest:
    """The few conversations that have most in common with the ends that were asked for; of equals those seen first."""

    def __init__(self) -> None:
        self.found: list[tuple[int, Ends]] = []
        """The likeness of each and its ends, the nearest first."""

    def update(self, packets: npt.NDArray[np.void], points: npt.NDArray[np.uint8]) -> None:
        """Looks at rows (schema.PACKET) with their likeness()."""
        for level in range(int(points.max(initial=0)), self._least, -1):
            some = np.flatnonzero(points == level)[:_LOOKED_AT]
            keys = packets[some][_COLUMNS].astype(_ENDS)
            _, first = np.unique(keys.view(f"V{_ENDS.itemsize}"), return_index=True)
            self.add((level, _ends_of(keys[n])) for n in np.sort(first)[: 2 * _NEAREST])

    @property
    def _least(self) -> int:
        return self.found[-1][0] if len(self.found) == _NEAREST else 0

    def add(self, found: Iterable[tuple[int, Ends]]) -> None:
        known = {frozenset((ends.first, ends.second)) for _, ends in self.found}
        for level, ends in found:
            pair = frozenset((ends.first, ends.second))
            if pair not in known:
                known.add(pair)
                self.found.append((level, ends))
        self.found = sorted(self.found, key=lambda one: -one[0])[:_NEAREST]


def _ends_of(key: np.void) -> Ends:
    return Ends(
        (key["source"].tobytes(), int(key["source_port"])), (key["destination"].tobytes(), int(key["destination_port"]))
    )
