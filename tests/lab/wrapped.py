"""Conversations inside each encapsulation that this kernel has no device for, as frames to be sent."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from itertools import chain, zip_longest

from tests.craft import TRANSPARENT_ETHERNET, Frame, ethernet, ipv4, raw, udp, vlan
from tests.craft_conversations import conversation
from tests.craft_tunnels import erspan2, erspan3, geneve, gre, vxlan
from tests.pieces import CLIENT, SERVER


@dataclass(frozen=True)
class Wrapping:
    """An encapsulation.

    wrap     the frame around an Ethernet frame, the nth of its conversation, from an address
    octets   by which it grows, as far as they are not counted as the inner frame's
    columns  what `spanline flows` says of it
    """

    wrap: Callable[[bytes, int, str], Frame]
    octets: int
    columns: dict[str, int | None]


def _inside(outer: str, tunnel: Frame) -> Frame:
    return ethernet() / ipv4(outer, "192.0.2.100") / tunnel


def _bridged(frame: bytes) -> Frame:
    return raw(frame, ether_type=TRANSPARENT_ETHERNET)


def _tagged(tags: Frame, frame: bytes) -> Frame:
    return ethernet() / tags / raw(frame[14:], ether_type=0x0800)


WRAPPINGS = {
    "plain": Wrapping(lambda frame, n, outer: raw(frame), 0, {"vlan": None, "vni": None}),
    "vxlan": Wrapping(lambda frame, n, outer: _inside(outer, udp(50000, 4789)) / vxlan(6) / frame, 50, {"vni": 6}),
    "gre": Wrapping(lambda frame, n, outer: _inside(outer, gre(key=7)) / _bridged(frame), 42, {"vni": 7}),
    "erspan2": Wrapping(lambda frame, n, outer: _inside(outer, gre(sequence=n)) / erspan2(8) / frame, 50, {"vni": 8}),
    "erspan3": Wrapping(lambda frame, n, outer: _inside(outer, gre(sequence=n)) / erspan3(9) / frame, 54, {"vni": 9}),
    "geneve": Wrapping(
        lambda frame, n, outer: _inside(outer, udp(50000, 6081)) / geneve(10) / _bridged(frame), 50, {"vni": 10}
    ),
    "vlan": Wrapping(lambda frame, n, outer: _tagged(vlan(11), frame), 0, {"vlan": 11}),
    "qinq": Wrapping(lambda frame, n, outer: _tagged(vlan(12, tpid=0x88A8) / vlan(13), frame), 0, {"vlan": 13}),
}
CLIENTS = {name: f"10.2.{n}.5" for n, name in enumerate(WRAPPINGS)}
"""Who talks inside each of them."""

OUTER = {name: f"192.0.2.{n}" for n, name in enumerate(WRAPPINGS)}
"""Who sends the tunnels."""

_DIALOGUE = [(SERVER, b"login: "), *([(CLIENT, b"k"), (SERVER, b"k")] * 5), (SERVER, b"welcome " * 100)]


def frames() -> list[bytes]:
    """All of them at once: a TCP conversation in each, and a question and an answer of UDP."""
    every = []
    for name, wrapping in WRAPPINGS.items():
        talk = conversation(_DIALOGUE, 23, client=CLIENTS[name])
        talk += conversation([(CLIENT, b"question"), (SERVER, b"answer")], 53, "udp", client=CLIENTS[name])
        every.append([bytes(wrapping.wrap(bytes(record.frame), n, OUTER[name])) for n, record in enumerate(talk)])
    return [frame for frame in chain(*zip_longest(*every)) if frame is not None]
