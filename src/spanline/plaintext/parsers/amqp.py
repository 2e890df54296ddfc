"""AMQP logins, by SASL. Version 0-9-1 section 4.2.3; version 1.0 part 5.3.

0-9-1  "AMQP" and 4 bytes, then |type 1|channel 2|length 4|class 2|method 2|…|0xCE|;
       Start-Ok is |table|mechanism|answer|locale|
1.0    "AMQP" and |3|version 3|, then |length 4|data offset 1|type 1|channel 2|described list|
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
    Secret,
    Sender,
    Severity,
)
from spanline.plaintext.records import UNDECIDED, WRONG, Octets, Record, RecordDialogue
from spanline.plaintext.tokens import attempt

_GREETING = 8
_FRAME_END = 8
_START_OK, _TUNE, _CLOSE = b"\0\x0a\0\x0b", b"\0\x0a\0\x1e", b"\0\x0a\0\x32"
_SASL, _TLS = 3, 2
_DESCRIBED, _INIT, _OUTCOME = b"\0\x53", 0x41, 0x44
# By the type of a list, how many bytes stand before its first field.
_LISTS = {0xC0: 3, 0xD0: 9}
_LONGEST_FRAME = 1 << 20
_REMEDY = "Use AMQP over TLS, port 5671."


class Amqp(RecordDialogue):
    """Follows a client until it is let in or refused, or TLS begins."""

    def __init__(self, conversation: Conversation) -> None:
        super().__init__(conversation)
        self._described = False

    def client_length(self, data: Octets) -> int:
        if data[:4] == b"AMQP"[: len(data)]:
            return _GREETING
        if len(data) < 7:
            return UNDECIDED
        if data[0] == 0:
            size = int.from_bytes(data[:4], "big")
        elif data[0] <= _FRAME_END:
            size = int.from_bytes(data[3:7], "big") + _FRAME_END
        else:
            return WRONG
        return size if _FRAME_END <= size <= _LONGEST_FRAME else WRONG

    def from_client(self, record: Record) -> None:
        data = record.data
        if data.startswith(b"AMQP"):
            self._described = data[4] == _SASL
            if data[4] == _TLS:
                self.stop()
        elif self._described:
            self._init(record)
        elif data[7:11] == _START_OK:
            self._start_ok(record)

    def _start_ok(self, record: Record) -> None:
        data = record.data
        at = 11 + 4 + int.from_bytes(data[11:15], "big")
        mechanism, at = data[at + 1 : at + 1 + sum(data[at : at + 1])], at + 1 + sum(data[at : at + 1])
        start = at + 4
        end = start + int.from_bytes(data[at:start], "big")
        if mechanism == b"AMQPLAIN":
            self._table(record, start, end)
        else:
            self._exchange(record, mechanism, start, end)

    def _exchange(self, record: Record, mechanism: bytes, start: int, end: int) -> None:
        if finding := attempt(record, text(mechanism), start, end, _REMEDY):
            self.wait(finding)

    def _table(self, record: Record, start: int, end: int) -> None:
        """AMQPLAIN: a table with LOGIN and PASSWORD, each |length 1|name|"S"|length 4|value|"""
        told: dict[bytes, tuple[int, int]] = {}
        data, at = record.data, start
        while at < min(end, len(data)):
            value = at + 1 + data[at]
            size = int.from_bytes(data[value + 1 : value + 5], "big")
            if data[value : value + 1] != b"S" or value + 5 + size > end:
                return
            told[data[at + 1 : value]] = value + 5, value + 5 + size
            at = value + 5 + size
        if b"LOGIN" in told and b"PASSWORD" in told:
            finding = Finding(Kind.CREDENTIAL, record.time, record.frames, "AMQPLAIN", Severity.HIGH, _REMEDY)
            finding.account, place = text(data[slice(*told[b"LOGIN"])]), told[b"PASSWORD"]
            finding.secret, finding.spans = Secret(data[slice(*place)]), record.span(*place)
            self.wait(finding)

    def _init(self, record: Record) -> None:
        """|0|descriptor|list of mechanism, a symbol, and answer, binary|, each |type 1|length 1 or 4|bytes|"""
        data = record.data
        at = _fields(data, _INIT)
        mechanism = _place(data, at, 0xA3)
        answer = _place(data, mechanism[1], 0xA0)
        if at and mechanism[1] and answer[1]:
            self._exchange(record, data[slice(*mechanism)], *answer)

    def from_server(self, record: Record) -> None:
        data = record.data
        if data.startswith(b"AMQP"):
            if data[4] == _TLS:
                self.stop()
        elif self._described:
            at = _fields(data, _OUTCOME)
            if at and data[at : at + 1] == b"\x50":
                self._judge(record, data[at + 1 : at + 2] == b"\0")
        elif data[7:11] == _TUNE or data[7:11] == _CLOSE:
            self._judge(record, data[7:11] == _TUNE)

    def _judge(self, record: Record, success: bool) -> None:
        self.answer(Outcome.ACCEPTED if success else Outcome.REFUSED, record.frames)
        self.stop()


def _fields(data: bytes, code: int) -> int:
    """Where the first field of a described list of SASL stands; 0 in what is none."""
    at = 4 * data[4]
    size = _LISTS.get(sum(data[at + 3 : at + 4]), 0)
    return at + 3 + size if size and data[5] == 1 and data[at : at + 3] == bytes((*_DESCRIBED, code)) else 0


def _place(data: bytes, at: int, short: int) -> tuple[int, int]:
    """(start, end) of a value with a length of 1 byte, or of 4; (0, 0) of another type."""
    if data[at : at + 1] == bytes((short,)):
        return at + 2, at + 2 + sum(data[at + 1 : at + 2])
    if data[at : at + 1] == bytes((short + 0x10,)):
        return at + 5, at + 5 + int.from_bytes(data[at + 1 : at + 5], "big")
    return 0, 0


PROTOCOLS = (
    Plaintext(
        "amqp",
        "AMQP",
        Amqp,
        patterns=(Pattern(rb"^AMQP(\x00\x00\x09\x01|\x01\x01\x00[\x08-\x0a]|\x03\x01\x00\x00)", Sender.CLIENT),),
    ),
)
