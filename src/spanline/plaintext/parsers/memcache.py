"""memcached. Its protocol.txt and "BinaryProtocolRevamped", SASL: |0x80|operation 1|key 2|extra 1|0|…|body 4|…

Commands in lines ask for no account: whoever reaches the port has all of it. Over UDP 8 bytes stand before them.
"""

from __future__ import annotations

import re

from spanline.plaintext.lines import text
from spanline.plaintext.model import (
    Finding,
    Kind,
    Outcome,
    Pattern,
    Plaintext,
    Sender,
    Severity,
)
from spanline.plaintext.records import UNDECIDED, WRONG, Octets, Record, RecordDialogue
from spanline.plaintext.tokens import attempt

_HEAD = 24
_REQUEST, _ANSWER = 0x80, 0x81
_AUTHENTICATE = (0x21, 0x22)
_MORE = 0x21
_LONGEST = 1 << 27
_DATAGRAM_HEAD = 8
_LONGEST_LINE = 512
_COMMAND = re.compile(
    rb"(gets?|gat|gats|set|add|replace|append|prepend|cas|delete|incr|decr|touch|stats|version|flush_all|verbosity|m[gsdan])"
    rb"( [\x21-\x7e]{1,250}[^\r\n]{0,200})?\r\n"
)
_REMEDY = "Let only the machines that need it reach memcached, and use TLS with SASL."


class Memcache(RecordDialogue):
    """Follows SASL in the binary protocol; of commands in lines, one tells all."""

    datagrams = True

    def client_length(self, data: Octets) -> int:
        if data[0] == _REQUEST:
            return _packet_length(data)
        end = data.find(b"\n")
        return end + 1 if end >= 0 else UNDECIDED if len(data) < _LONGEST_LINE else WRONG

    def server_length(self, data: Octets) -> int:
        return _packet_length(data) if data[0] == _ANSWER else len(data)

    def from_client(self, record: Record) -> None:
        data = record.data
        if self.conversation.transport == "udp":
            data = data[_DATAGRAM_HEAD:]
        if data[:1] != bytes((_REQUEST,)):
            if _COMMAND.match(data):
                self.tell(
                    Finding(Kind.SERVICE, record.time, record.frames, "no authentication", Severity.MEDIUM, _REMEDY)
                )
            self.stop()
        elif data is record.data and data[1] in _AUTHENTICATE and not self.waits():
            self._authenticate(record, data)

    def _authenticate(self, record: Record, data: bytes) -> None:
        start = _HEAD + data[4]
        token = start + int.from_bytes(data[2:4], "big")
        if finding := attempt(record, text(data[start:token]), token, _HEAD + _body(data), _REMEDY):
            self.wait(finding)

    def from_server(self, record: Record) -> None:
        data = record.data
        if data[0] != _ANSWER or len(data) < _HEAD or data[1] not in _AUTHENTICATE:
            return
        status = int.from_bytes(data[6:8], "big")
        if status != _MORE:
            self.answer(Outcome.REFUSED if status else Outcome.ACCEPTED, record.frames)


def _packet_length(data: Octets) -> int:
    if len(data) < 12:
        return UNDECIDED
    return _HEAD + _body(data) if _body(data) < _LONGEST else WRONG


def _body(data: Octets) -> int:
    return int.from_bytes(data[8:12], "big")


PROTOCOLS = (
    Plaintext(
        "memcache",
        "memcached",
        Memcache,
        tcp_ports=(11211,),
        udp_ports=(11211,),
        patterns=(
            Pattern(
                rb"^\x80[\x21\x22]\x00[\x04-\x14]\x00\x00\x00\x00\x00\x00..[\x00-\xff]{12}[A-Z0-9_-]{4,20}",
                Sender.CLIENT,
            ),
            Pattern(rb"^(set|add|replace) [\x21-\x7e]{1,250} \d{1,10} \d{1,10} \d{1,8}\r\n", Sender.CLIENT),
        ),
    ),
)
