"""What conversations begin with decides whether they are followed, as what, and which side is the client."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from spanline.plaintext.claims import NONE, Claims
from spanline.plaintext.ends import ends_of
from spanline.plaintext.following import Followed
from spanline.plaintext.model import Plaintext
from spanline.plaintext.scanning import Beginning, Scanner
from spanline.plaintext.watching import Watch

_UNKNOWN = 2
_COLUMNS = ("serial", "protocol", "client", "client_known", "source_port", "destination_port")


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
        rows = ends[[candidate.at for candidate in candidates.values()]]
        begun = self._begun(candidates, heads, octets, rows, expected)
        # Most are never read: what they are is told of those that are.
        awake = [n for n, (_, _, followed) in enumerate(begun) if not followed.is_dormant]
        clients = [begun[n][2].client_end for n in awake]
        for n, known in zip(awake, ends_of(rows[[begun[n][0] for n in awake]], clients) if awake else (), strict=True):
            begun[n][2].ends = known
        return [(slot, followed) for _, slot, followed in begun]

    def _begun(
        self,
        candidates: dict[int, _Candidate],
        heads: npt.NDArray[np.void],
        octets: npt.NDArray[np.uint8],
        rows: npt.NDArray[np.void],
        expected: npt.NDArray[np.int16],
    ) -> list[tuple[int, int, Followed]]:
        """Of those candidates, each with its row of `rows`, that are followed: the row's number, and the slot."""
        columns = (rows[name].tolist() for name in _COLUMNS)
        octets_of_rows, size = rows.tobytes(), rows.itemsize
        begun = []
        for n, ((slot, candidate), *facts) in enumerate(zip(candidates.items(), *columns, strict=True)):
            end = _End(*facts)
            number = self._number(candidate, end.transport, int(expected[candidate.at]))
            if number == NONE and not any(one.rules for one in candidate.beginnings):
                continue
            client = end.client
            if not end.client_known and number != NONE:
                client = self._client(number, end, candidate, heads, octets)
            row = octets_of_rows[n * size : (n + 1) * size]
            begun.append((n, slot, self._followed(number, int(expected[candidate.at]), end, client, row)))
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

    def _number(self, candidate: _Candidate, transport: int, expected: int) -> int:
        """What it is followed as."""
        if len(candidate.beginnings) == 1 and candidate.beginnings[0].protocols == (expected,):
            return expected  # as nearly always
        like = dict.fromkeys(number for one in candidate.beginnings for number in one.protocols)
        applications = {name for one in candidate.beginnings for name in one.applications}
        return self._claims.protocol(transport, expected, like, applications)

    def _followed(self, number: int, expected: int, end: _End, client: int, row: bytes) -> Followed:
        protocol = None if number == NONE else self._protocols[number]
        name = protocol.name if protocol else ""
        is_foreign = number not in (NONE, expected) and not any(
            self._claims.is_expected(number, end.transport, port) for port in end.ports
        )
        return Followed(
            end.serial,
            row,
            client,
            name,
            is_foreign,
            protocol.parser if protocol else None,
            bool(protocol and protocol.triggers) and not self._watch_bytes,
            Watch(self._watch_bytes, name) if self._watch_bytes else None,
        )

    def _client(
        self,
        number: int,
        ends: _End,
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


@dataclass(slots=True)
class _End:
    """What is asked of a row of schema.PAYLOAD_CONVERSATION."""

    serial: int
    transport: int
    client: int
    client_known: int
    source_port: int
    destination_port: int

    @property
    def ports(self) -> tuple[int, int]:
        return self.source_port, self.destination_port
