"""MQTT. Version 3.1.1 sections 3.1 and 3.2, version 5.0 the same: |type and flags 1|length 1 to 4|…

A CONNECT: |name|level 1|flags 1|keep alive 2|properties (5.0)|client|will|user|password|, words as |length 2|bytes|.
"""

from __future__ import annotations

from spanline.plaintext.lines import text
from spanline.plaintext.model import Conversation, Finding, Kind, Outcome, Pattern, Plaintext, Secret, Sender, Severity
from spanline.plaintext.records import UNDECIDED, WRONG, Octets, Record, RecordDialogue

_CONNECT, _CONNACK = 0x10, 0x20
_NAMES = (b"MQTT", b"MQIsdp")
_WILL, _PASSWORD, _USER = 0x04, 0x40, 0x80
_WITH_PROPERTIES = 5
_MOST_DIGITS = 4
_MOST_PACKETS = 16
_REMEDY = "Use MQTT over TLS, port 8883."


class Mqtt(RecordDialogue):
    """A client says who it is in its first packet, and is let in or not by the first answer."""

    def __init__(self, conversation: Conversation) -> None:
        super().__init__(conversation)
        self._packets = 0

    def client_length(self, data: Octets) -> int:
        return _packet_length(data) if data[0] == _CONNECT or self.waits() else WRONG

    def server_length(self, data: Octets) -> int:
        return _packet_length(data) if data[0] == _CONNACK else WRONG

    def from_client(self, record: Record) -> None:
        """A client may go on without waiting to be let in."""
        self._packets += 1
        if self._packets == 1 and (finding := _connect(record)):
            self.wait(finding)
        elif self._packets in (1, _MOST_PACKETS):
            self.stop()

    def from_server(self, record: Record) -> None:
        code = record.data[3] if len(record.data) > 3 else -1
        self.answer(Outcome.ACCEPTED if code == 0 else Outcome.REFUSED, record.frames)
        self.stop()


def _packet_length(data: Octets) -> int:
    number, end = _number(data, 1)
    return end + number if end > 0 else end


def _number(data: Octets, at: int) -> tuple[int, int]:
    """(value, where it ends), of digits of 7 bits; (0, UNDECIDED) or (0, WRONG)."""
    value = 0
    for n, octet in enumerate(data[at : at + _MOST_DIGITS]):
        value |= (octet & 0x7F) << (7 * n)
        if octet < 0x80:
            return value, at + n + 1
    return 0, UNDECIDED if len(data) < at + _MOST_DIGITS else WRONG


def _word(data: bytes, at: int) -> tuple[bytes, int]:
    """(bytes, where they end). Beyond the end of the packet there are none."""
    end = at + 2 + int.from_bytes(data[at : at + 2], "big")
    return data[at + 2 : end], end


def _connect(record: Record) -> Finding | None:
    data = record.data
    name, at = _word(data, _number(data, 1)[1])
    if name not in _NAMES or len(data) < at + 4:
        return None
    level, flags = data[at], data[at + 1]
    at += 4
    if level == _WITH_PROPERTIES:
        at = _after_properties(data, at)
    client, at = _word(data, at)
    if flags & _WILL:
        if level == _WITH_PROPERTIES:
            at = _after_properties(data, at)
        at = _word(data, _word(data, at)[1])[1]
    user, at = _word(data, at) if flags & _USER else (b"", at)
    finding = Finding(Kind.SERVICE, record.time, record.frames, "anonymous", Severity.LOW, _REMEDY, text(user))
    finding.detail = f"client {text(client)}" if client else ""
    if flags & _PASSWORD:
        password, end = _word(data, at)
        finding.kind, finding.scheme, finding.severity = Kind.CREDENTIAL, "user name and password", Severity.HIGH
        finding.secret, finding.spans = Secret(password), record.span(end - len(password), end)
    elif user:
        finding.scheme = "user name only"
    return finding


def _after_properties(data: bytes, at: int) -> int:
    size, end = _number(data, at)
    return end + size if end > 0 else len(data)


PROTOCOLS = (
    Plaintext(
        "mqtt",
        "MQTT",
        Mqtt,
        patterns=(Pattern(rb"^\x10.{1,4}\x00(\x04MQTT[\x03-\x05]|\x06MQIsdp\x03)", Sender.CLIENT),),
    ),
)
