"""MongoDB. Documentation, "Wire Protocol": |length 4|request 4|answers 4|operation 4|…, least significant byte first.

Commands are BSON documents (bsonspec.org); authentication's are of the driver specification "auth". SCRAM and, until
version 3.x, MONGODB-CR answer a challenge; PLAIN has the password.
"""

from __future__ import annotations

from spanline.plaintext.lines import text
from spanline.plaintext.model import (
    Conversation,
    Finding,
    Kind,
    Outcome,
    Pattern,
    Plaintext,
    Sender,
    Severity,
)
from spanline.plaintext.records import UNDECIDED, WRONG, Octets, Record, RecordDialogue
from spanline.plaintext.sasl import GUESSABLE
from spanline.plaintext.tokens import attempt

_HEAD = 16
_LONGEST = 48_000_000
_REPLY, _QUERY, _MESSAGE, _COMPRESSED = 1, 2004, 2013, 2012
_OPERATIONS = (_REPLY, *range(2001, 2008), 2010, 2011, _COMPRESSED, _MESSAGE)
_DOUBLE, _STRING, _DOCUMENT, _ARRAY, _BINARY = 0x01, 0x02, 0x03, 0x04, 0x05
_SIZES = {0x01: 8, 0x06: 0, 0x07: 12, 0x08: 1, 0x09: 8, 0x0A: 0, 0x10: 4, 0x11: 8, 0x12: 8, 0x13: 16, 0xFF: 0, 0x7F: 0}
_MOST_ELEMENTS = 32
_REMEDY = "Use TLS: net.tls.mode requireTLS."

Places = dict[bytes, tuple[int, int, int]]
"""By the name of an element: (type, start, end) of its value in the message, without the length before it."""


class Mongo(RecordDialogue):
    """Follows authentication, and its outcome by the number of the request."""

    def __init__(self, conversation: Conversation) -> None:
        super().__init__(conversation)
        self._exchange = 0

    def client_length(self, data: Octets) -> int:
        if len(data) < _HEAD:
            return UNDECIDED
        size, operation = _little(data, 0), _little(data, 12)
        return size if _HEAD <= size <= _LONGEST and operation in _OPERATIONS else WRONG

    def from_client(self, record: Record) -> None:
        data = record.data
        told = _elements(data, _document(data))
        if b"saslStart" in told and b"mechanism" in told and b"payload" in told:
            self._sasl(record, text(_value(data, told, b"mechanism")), told[b"payload"])
        elif b"saslContinue" in told and self.waits(self._exchange):
            self._continue(_little(data, 4))
        elif b"authenticate" in told and b"user" in told and b"key" in told:
            finding = Finding(Kind.CHALLENGE, record.time, record.frames, "MONGODB-CR", Severity.HIGH, "")
            finding.account = text(_value(data, told, b"user"))
            finding.remedy = f"{_REMEDY} Use SCRAM-SHA-256 for MONGODB-CR. {GUESSABLE}"
            self.wait(finding, _little(data, 4))

    def _sasl(self, record: Record, mechanism: str, place: tuple[int, int, int]) -> None:
        _, start, end = place
        if finding := attempt(record, mechanism, start, end, _REMEDY):
            self._exchange = _little(record.data, 4)
            self.wait(finding, self._exchange)

    def _continue(self, request: int) -> None:
        """The attempt goes on in another request."""
        self.rename(self._exchange, request)
        self._exchange = request

    def from_server(self, record: Record) -> None:
        data = record.data
        told = _elements(data, _document(data))
        request = _little(data, 8)
        if b"ok" not in told:
            return
        success = any(_value(data, told, b"ok"))
        finished = b"done" not in told or any(_value(data, told, b"done"))
        if not success or finished:
            self.answer(Outcome.ACCEPTED if success else Outcome.REFUSED, record.frames, request)


def _little(data: Octets, at: int) -> int:
    return int.from_bytes(data[at : at + 4], "little")


def _document(data: bytes) -> int:
    """Where the command or its answer begins; 0 in what has none."""
    operation = _little(data, 12)
    if operation == _MESSAGE and data[20:21] == b"\0":
        return 21
    if operation == _QUERY:
        return data.find(b"\0", 20) + 1 + 8
    return 36 if operation == _REPLY else 0


def _elements(data: bytes, at: int) -> Places:
    """Those of the document that begins at a place: |length 4|, then |type 1|name|0|value|"""
    found: Places = {}
    end = min(at + _little(data, at), len(data)) if at else 0
    at += 4
    for _ in range(_MOST_ELEMENTS):
        name_end = data.find(b"\0", at + 1, end)
        if name_end < 0:
            break
        kind, name, at = data[at], data[at + 1 : name_end], name_end + 1
        size, skipped, zero = _SIZES.get(kind, -1), 0, 0
        if kind in (_STRING, 0x0D, 0x0E):
            size, skipped, zero = _little(data, at) - 1, 4, 1
        elif kind in (_DOCUMENT, _ARRAY):
            size = _little(data, at)
        elif kind == _BINARY:
            size, skipped = _little(data, at), 5
        start = at + skipped
        if size < 0 or start + size > end:
            break
        found[name] = kind, start, start + size
        at = start + size + zero
    return found


def _value(data: bytes, told: Places, name: bytes) -> bytes:
    _, start, end = told[name]
    return data[start:end]


PROTOCOLS = (
    Plaintext(
        "mongo",
        "MongoDB",
        Mongo,
        tcp_ports=(27017, 27018, 27019),
        patterns=(Pattern(rb"^..\x00\x00.{4}\x00{4}(\xd4\x07|\xdd\x07)\x00\x00", Sender.CLIENT),),
    ),
)
