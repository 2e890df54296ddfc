"""What conversations begin with decides whether they are followed, as what, and which side is the client."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Literal

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
        known, client = ends["client_known"] != 0, ends["client"]
        senders = np.where(known, heads["sender"] ^ client, _UNKNOWN)
        starts = heads["start"].astype(np.int64)
        beginnings = self.scanner.scan(
            octets.data, starts.tolist(), (starts + heads["length"]).tolist(), senders.tolist()
        )
        expected = self._expected(ends)
        slots = heads["slot"].tolist()
        candidates: dict[int, _Candidate] = {}
        for at in np.flatnonzero(expected != NONE).tolist():
            candidates.setdefault(slots[at], _Candidate(at))
        for one in beginnings:
            candidates.setdefault(slots[one.head], _Candidate(one.head)).beginnings.append(one)
        begun = []
        for slot, candidate in candidates.items():
            at = candidate.at
            followed = self._followed(candidate, heads, octets, ends[at], int(expected[at]))
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
        ends: np.void,
        expected: int,
    ) -> Followed | None:
        transport = int(ends["protocol"])
        like = dict.fromkeys(number for one in candidate.beginnings for number in one.protocols)
        applications = {name for one in candidate.beginnings for name in one.applications}
        number = self._claims.protocol(transport, expected, like, applications)
        has_rule = any(one.rules for one in candidate.beginnings)
        if number == NONE and not has_rule:
            return None
        ports = int(ends["source_port"]), int(ends["destination_port"])
        client = int(ends["client"])
        if not ends["client_known"] and number != NONE:
            client = self._client(number, transport, ports, candidate, heads, octets, client)
        addresses = ends["source"].tobytes(), ends["destination"].tobytes()
        names = address_texts(np.stack([ends["source"], ends["destination"]]))
        server = 1 - client
        conversation = Conversation(
            _TRANSPORTS[transport],
            names[client],
            ports[client],
            names[server],
            ports[server],
            int(ends["first_seen"]),
            None if ends["vlan"] == NO_VLAN else int(ends["vlan"]),
            None if ends["vni"] == NO_TUNNEL_ID else int(ends["vni"]),
        )
        protocol = None if number == NONE else self._protocols[number]
        name = protocol.name if protocol else ""
        return Followed(
            int(ends["serial"]),
            conversation,
            addresses[client],
            addresses[server],
            client,
            name,
            number != NONE and not any(self._claims.is_expected(number, transport, port) for port in ports),
            protocol.parser(conversation) if protocol else None,
            Watch(self._watch_bytes, name) if self._watch_bytes else None,
        )

    def _client(
        self,
        number: int,
        transport: int,
        ports: tuple[int, int],
        candidate: _Candidate,
        heads: npt.NDArray[np.void],
        octets: npt.NDArray[np.uint8],
        first: int,
    ) -> int:
        """The end that is the client of protocol `number` where no handshake tells: the other one is on its port, or it
        begins as a client does; else who was the `first` to send."""
        servers = [end for end in (0, 1) if self._claims.is_expected(number, transport, ports[end])]
        if len(servers) == 1:
            return 1 - servers[0]
        for one in candidate.beginnings:
            head = heads[one.head]
            sent = octets[head["start"] : head["start"] + head["length"]].tobytes()
            sides = [side for side in (0, 1) if _begins(self.scanner.scan_one(sent, side), number)]
            if len(sides) == 1:
                return int(head["sender"]) ^ sides[0]
        return first


def _begins(beginning: Beginning | None, number: int) -> bool:
    return beginning is not None and number in beginning.protocols
