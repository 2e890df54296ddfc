"""Which conversations are followed, and as what: by what they begin like, else by their ports."""

from __future__ import annotations

from collections.abc import Collection, Sequence

import numpy as np
import numpy.typing as npt

from spanline.plaintext.model import Plaintext
from spanline.protocols.tables import ports

TCP, UDP = 6, 17
NONE = -1
"""No protocol's number."""


class Claims:
    """The ports of `protocols`, with those that protocols of the same name have in spanline.protocols.

    A protocol's number is its place in `protocols`. Of several that claim one port, the first has it.
    """

    def __init__(self, protocols: Sequence[Plaintext]) -> None:
        self._names = [one.name for one in protocols]
        tcp_ports, udp_ports = ports()
        self._ports: dict[int, list[frozenset[int]]] = {TCP: [], UDP: []}
        for one in protocols:
            self._ports[TCP].append(frozenset((*one.tcp_ports, *tcp_ports.get(one.name, ()))))
            self._ports[UDP].append(frozenset((*one.udp_ports, *udp_ports.get(one.name, ()))))
        self.by_port = {transport: _table(ports) for transport, ports in self._ports.items()}
        """The number that each port stands for, int16[65536], or NONE; by IP protocol."""

    def protocol(
        self, transport: int, expected: int, begins_like: Collection[int], applications: Collection[str]
    ) -> int:
        """The number of what a conversation over `transport` is followed as, or NONE.

        expected      by its ports, or NONE
        begins_like   what patterns say of its beginnings
        applications  names of all protocols that it begins like, also of those that encrypt: on the port of a
                      plaintext protocol they are left alone
        """
        possible = [number for number in begins_like if self._speaks(number, transport)]
        if possible:
            return expected if expected in possible else possible[0]
        if expected != NONE and applications and self._names[expected] not in applications:
            return NONE
        return expected

    def is_expected(self, number: int, transport: int, port: int) -> bool:
        return port in self._ports[transport][number]

    def _speaks(self, number: int, transport: int) -> bool:
        """What has ports of one transport only is spoken over no other."""
        here, there = self._ports[transport][number], self._ports[TCP + UDP - transport][number]
        return bool(here) or not there


def _table(ports: Sequence[frozenset[int]]) -> npt.NDArray[np.int16]:
    table = np.full(65536, NONE, np.int16)
    for number in reversed(range(len(ports))):
        table[list(ports[number])] = number
    return table
