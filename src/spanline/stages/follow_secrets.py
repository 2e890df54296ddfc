"""Where secrets stand in a stream that is followed, as parsers of plaintext protocols tell."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterable, Iterator, Sequence
from typing import Literal

from spanline.arrow import address_text
from spanline.plaintext.claims import NONE, Claims
from spanline.plaintext.model import Conversation, Finding, Parser, Piece, Plaintext, Sender
from spanline.plaintext.scanning import Scanner
from spanline.stages.follow import Follow, Record

HEAD_BYTES = 4096
"""What protocols are told by, of what each node sent."""

MOST_WORDS = 256
"""Secrets that are looked for wherever else they stand; of more of them, only those places are hidden that parsers
tell."""

_UNKNOWN = 2
_TRANSPORTS: dict[str, tuple[int, Literal["tcp", "udp"]]] = {"tcp": (6, "tcp"), "udp": (17, "udp")}

Range = tuple[int, int]


class StreamSecrets:
    """Secrets in all that `stream` has kept, by each of `protocols` that it may be: those that it begins like, and the
    one that its ports stand for.

    Where no SYN tells which node is the client, and neither does a port, each is taken for it in turn: rather too much
    is hidden than too little. For the same reason a secret is hidden wherever else it stands, as in each datagram of
    SNMP, and all of a stream of which a parser raises.

    names   of the protocols that it may be
    count   of the attempts that have a secret
    failed  the names of those whose parser raised
    """

    def __init__(self, stream: Follow, protocols: Sequence[Plaintext]) -> None:
        self._stream = stream
        self._ranges: tuple[list[Range], list[Range]] = [], []
        self._frames: set[int] = set()
        self._words: set[bytes] = set()
        self.count = 0
        self.failed: list[str] = []
        claims = Claims(protocols)
        numbers = _protocols(stream, protocols, claims)
        self.names = [protocols[number].name for number in numbers]
        for number in numbers:
            for client in _clients(stream, number, claims):
                self._read(protocols[number], client)
        for record in stream.records:
            self._ranges[record.node].extend(_places(record, self._words))
        self._ranges = _joined(self._ranges[0]), _joined(self._ranges[1])

    def _read(self, protocol: Plaintext, client: int) -> None:
        parser = protocol.parser(_conversation(self._stream, client))
        try:
            for finding in _findings(parser, self._stream.records, client):
                self._note(finding, client)
        except Exception:  # what it raised may quote what it read, and is not kept
            self.failed.append(protocol.name)

    def _note(self, finding: Finding, client: int) -> None:
        self.count += finding.secret is not None or bool(finding.spans)
        if finding.secret and len(self._words) < MOST_WORDS:
            self._words.add(finding.secret.reveal())
        for span in finding.spans:
            self._ranges[span.sender ^ client].append((span.start, span.end))
        if finding.secret is not None and not finding.spans:
            self._frames.update(finding.frames)

    def hides(self, record: Record) -> list[Range]:
        """From where to where in a record's payload nothing is to be seen, in order."""
        length = len(record.payload)
        if self.failed or record.number in self._frames:
            return [(0, length)] if length else []
        ranges = self._ranges[record.node]
        hidden = []
        for start, end in ranges[max(bisect_left(ranges, (record.offset,)) - 1, 0) :]:
            if start >= record.offset + length:
                break
            if end > record.offset:
                hidden.append((max(start - record.offset, 0), min(end - record.offset, length)))
        return hidden


def _protocols(stream: Follow, protocols: Sequence[Plaintext], claims: Claims) -> list[int]:
    """Numbers of what the stream may be, in `protocols`."""
    assert stream.ends is not None
    scanner = Scanner(protocols)
    found: dict[int, None] = {}
    for node in (0, 1):
        sender = _UNKNOWN if stream.client is None else node ^ stream.client
        beginning = scanner.scan_one(_head(stream.records, node), sender)
        found |= dict.fromkeys(beginning.protocols if beginning else ())
    by_port = claims.by_port[_TRANSPORTS[stream.transport][0]]
    return list(found | dict.fromkeys(int(by_port[port]) for _, port in stream.ends if by_port[port] != NONE))


def _head(records: Iterable[Record], node: int) -> bytes:
    head = bytearray()
    for record in records:
        if record.node == node:
            head += record.payload
            if len(head) >= HEAD_BYTES:
                break
    return bytes(head[:HEAD_BYTES])


def _clients(stream: Follow, number: int, claims: Claims) -> list[int]:
    """The nodes that may be the client of protocol `number`."""
    assert stream.ends is not None
    if stream.client is not None:
        return [stream.client]
    transport = _TRANSPORTS[stream.transport][0]
    servers = [node for node in (0, 1) if claims.is_expected(number, transport, stream.ends[node][1])]
    return [1 - servers[0]] if len(servers) == 1 else [0, 1]


def _conversation(stream: Follow, client: int) -> Conversation:
    assert stream.ends is not None
    (first, first_port), (second, second_port) = stream.ends[client], stream.ends[1 - client]
    ends = address_text(first), first_port, address_text(second), second_port
    begun = stream.records[0].timestamp if stream.records else 0
    return Conversation(_TRANSPORTS[stream.transport][1], *ends, begun, stream.vlan, stream.vni)


def _findings(parser: Parser, records: Iterable[Record], client: int) -> Iterator[Finding]:
    behind = [0, 0]
    for record in records:
        if parser.done:
            break
        gap = record.offset - behind[record.node]
        behind[record.node] = record.offset + len(record.payload)
        sender = Sender(record.node ^ client)
        yield from parser.feed(Piece(sender, record.payload, record.offset, record.timestamp, record.number, gap))
    yield from parser.finish()


def _places(record: Record, words: Iterable[bytes]) -> Iterator[Range]:
    """Where any of `words` stands in a record, as offsets in what its node sent."""
    for word in words:
        at = record.payload.find(word)
        while at >= 0:
            yield record.offset + at, record.offset + at + len(word)
            at = record.payload.find(word, at + 1)


def _joined(ranges: Iterable[Range]) -> list[Range]:
    """The same bytes in as few ranges as possible, in order."""
    made: list[Range] = []
    for start, end in sorted(ranges):
        if made and start <= made[-1][1]:
            made[-1] = made[-1][0], max(end, made[-1][1])
        elif start < end:
            made.append((start, end))
    return made
