"""What conversations begin with decides whether they are followed, as what, and which side is the client."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Literal, NamedTuple

import numpy as np
import numpy.typing as npt

from spanline.arrow import address_texts
from spanline.plaintext.claims import NONE, TCP, UDP, Claims
from spanline.plaintext.following import Followed
from spanline.plaintext.model import Conversation, Plaintext
from spanline.plaintext.scanning import Beginning, Scanner
from spanline.plaintext.watching import Watch
from spanline.schema import NO_TUNNEL_ID, NO_VLAN

_UNKNOWN = 2
_TRANSPORTS: dict[int, Literal["tcp", "udp"]] = {TCP: "tcp", UDP: "udp"}


@dataclass(slots=True)
class _Candidate:
    """A conversation that may be followed: the place of one of its heads, and what those of its heads are like of which
    something is known."""

    at: int
    beginnings: list[Beginning] = field(default_factory=list)


class Beginnings:
    """Looks at the first bytes that sides of conversations sent.

    watch_bytes  how much of each side of a conversation is searched for rules, in their places; 0: there are none
    """

    def __init__(self, protocols: Sequence[Plaintext], scanner: Scanner, watch_bytes: int) -> None:
        self.scanner = scanner
        self._protocols = tuple(protocols)
        self._claims = Claims(protocols)
        self._watch_bytes = watch_bytes

    def look(
        self, heads: npt.NDArray[np.void], octets: npt.NDArray[np.uint8], ends: npt.NDArray[np.void]
    ) -> list[tuple[int, Followed]]:
        """The conversations that are to be followed from now on, with their slots.

        heads   schema.PAYLOAD_HEAD, their bytes in `octets`
        ends    schema.PAYLOAD_CONVERSATION, of the conversation of each head
        """
        starts = heads["start"].astype(np.int64)
        expected = self._expected(ends)
        senders = np.where(ends["client_known"] != 0, heads["sender"] ^ ends["client"], _UNKNOWN)
        on_ports = np.flatnonzero(expected != NONE).tolist()
        beginnings = self.scanner.scan(
            octets.data, starts.tolist(), (starts + heads["length"]).tolist(), senders.tolist(), on_ports
        )
        slots = heads["slot"].tolist()
        candidates: dict[int, _Candidate] = {}
        for n in on_ports:
            candidates.setdefault(slots[n], _Candidate(n))
        for one in beginnings:
            candidates.setdefault(slots[one.head], _Candidate(one.head)).beginnings.append(one)
        first = [candidate.at for candidate in candidates.values()]
        begun = []
        for (slot, candidate), end, number in zip(
            candidates.items(), _ends(ends[first]), expected[first].tolist(), strict=True
        ):
            followed = self._followed(candidate, heads, octets, end, number)
            if followed is not None:
                begun.append((slot, followed))
        return begun

    def _expected(self, ends: npt.NDArray[np.void]) -> npt.NDArray[np.int16]:
        """The number of the protocol that the ports stand for: the server's, or either's when that is not known."""
        client_is_source = ends["client"] == 0
        server = np.where(client_is_source, ends["destination_port"], ends["source_port"])
        client = np.where(client_is_source, ends["source_port"], ends["destination_port"])
        expected = np.full(len(ends), NONE, np.int16)
        for transport, by_port in self._claims.by_port.items():
            number = by_port[server]
            number = np.where((number == NONE) & (ends["client_known"] == 0), by_port[client], number)
            expected = np.where(ends["protocol"] == transport, number, expected)
        return expected

    def _followed(
        self,
        candidate: _Candidate,
        heads: npt.NDArray[np.void],
        octets: npt.NDArray[np.uint8],
        ends: _Ends,
        expected: int,
    ) -> Followed | None:
        like = dict.fromkeys(number for one in candidate.beginnings for number in one.protocols)
        applications = {name for one in candidate.beginnings for name in one.applications}
        number = self._claims.protocol(ends.transport, expected, like, applications)
        if number == NONE and not any(one.rules for one in candidate.beginnings):
            return None
        client = ends.client
        if not ends.client_known and number != NONE:
            client = self._client(number, ends, candidate, heads, octets)
        server = 1 - client
        conversation = Conversation(
            _TRANSPORTS[ends.transport],
            ends.names[client],
            ends.ports[client],
            ends.names[server],
            ends.ports[server],
            ends.first_seen,
            None if ends.vlan == NO_VLAN else ends.vlan,
            None if ends.vni == NO_TUNNEL_ID else ends.vni,
        )
        protocol = None if number == NONE else self._protocols[number]
        name = protocol.name if protocol else ""
        return Followed(
            ends.serial,
            conversation,
            ends.addresses[client],
            ends.addresses[server],
            client,
            name,
            number != NONE and not any(self._claims.is_expected(number, ends.transport, port) for port in ends.ports),
            protocol.parser if protocol else None,
            bool(protocol and protocol.triggers) and not self._watch_bytes,
            Watch(self._watch_bytes, name) if self._watch_bytes else None,
        )

    def _client(
        self,
        number: int,
        ends: _Ends,
        candidate: _Candidate,
        heads: npt.NDArray[np.void],
        octets: npt.NDArray[np.uint8],
    ) -> int:
        """The end that is the client of protocol `number` where no handshake tells: the other one is on its port, or it
        begins as a client does, or it has the larger port number, as those that a system gives are large."""
        servers = [end for end in (0, 1) if self._claims.is_expected(number, ends.transport, ends.ports[end])]
        if len(servers) == 1:
            return 1 - servers[0]
        for one in candidate.beginnings:
            head = heads[one.head]
            sent = octets[head["start"] : head["start"] + head["length"]].tobytes()
            sides = [side for side in (0, 1) if _begins(self.scanner.scan_one(sent, side), number)]
            if len(sides) == 1:
                return int(head["sender"]) ^ sides[0]
        return 0 if ends.ports[0] > ends.ports[1] else 1 if ends.ports[1] > ends.ports[0] else ends.client


def _begins(beginning: Beginning | None, number: int) -> bool:
    return beginning is not None and number in beginning.protocols


class _Ends(NamedTuple):
    """A row of schema.PAYLOAD_CONVERSATION; of both ends: addresses, those as text, and ports."""

    serial: int
    transport: int
    client: int
    client_known: int
    first_seen: int
    vlan: int
    vni: int
    addresses: tuple[bytes, bytes]
    names: tuple[str, str]
    ports: tuple[int, int]


def _ends(rows: npt.NDArray[np.void]) -> list[_Ends]:
    names = ("serial", "protocol", "client", "client_known", "first_seen", "vlan", "vni")
    columns = [rows[name].tolist() for name in names]
    sides = ("source", "destination")
    octets = [np.ascontiguousarray(rows[side]) for side in sides]
    addresses = zip(*([row.tobytes() for row in side] for side in octets), strict=True)
    texts = zip(*map(address_texts, octets), strict=True)
    ports = zip(*(rows[f"{side}_port"].tolist() for side in sides), strict=True)
    return [_Ends(*row) for row in zip(*columns, addresses, texts, ports, strict=True)]
