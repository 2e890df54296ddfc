"""Oracle's CONNECT: |length 2|checksum 2|type 1|0|checksum 2|…|. Oracle Net documentation, "CONNECT_DATA".

The description of where to go names the user of the client's machine. Passwords follow in a challenge and its answer;
what is asked then, and the data, can be read.
"""

from __future__ import annotations

import re
from collections import deque

from spanline.plaintext.lines import text
from spanline.plaintext.model import Conversation, Finding, Kind, Outcome, Pattern, Plaintext, Sender, Severity
from spanline.plaintext.records import UNDECIDED, WRONG, Octets, Record, RecordDialogue

_HEAD, _TYPE = 8, 4
_CONNECT, _ACCEPT, _REFUSE, _RESEND, _LAST_TYPE = 1, 2, 4, 11, 19
# Behind a CONNECT there may be a byte that belongs to nothing.
_MOST_STRAY = 4
_USER = re.compile(rb"(?i)\(USER=([^()]{1,128})\)")
_SERVICE = re.compile(rb"(?i)\((?:SERVICE_NAME|SID)=([^()]{1,128})\)")
_MOST_KNOWN = 16
_REMEDY = "Use TCPS, or native network encryption set to REQUIRED."


class Tns(RecordDialogue):
    """Tells whom a client connects as, and whether the listener takes it."""

    def __init__(self, conversation: Conversation) -> None:
        super().__init__(conversation)
        self._accounts: deque[str] = deque(maxlen=_MOST_KNOWN)

    def client_length(self, data: Octets) -> int:
        """With the stray bytes before the packet."""
        for stray in range(_MOST_STRAY + 1 if self._accounts else 1):
            if len(data) < stray + _HEAD:
                return UNDECIDED
            if size := _size(data, stray):
                return stray + size
        return WRONG

    def server_length(self, data: Octets) -> int:
        return UNDECIDED if len(data) < _HEAD else _size(data) or WRONG

    def from_client(self, record: Record) -> None:
        stray = next(n for n in range(_MOST_STRAY + 1) if _size(record.data, n))
        kind = record.data[stray + _TYPE]
        if kind == _RESEND:
            return
        if kind != _CONNECT:
            self.stop()
            return
        finding = Finding(Kind.SERVICE, record.time, record.frames, "CONNECT", Severity.LOW, _REMEDY)
        if user := _USER.search(record.data):
            finding.account = text(user[1])
        if service := _SERVICE.search(record.data):
            finding.detail = f"service {text(service[1])}"
        if finding.account not in self._accounts:
            self._accounts.append(finding.account)
            self.wait(finding)

    def from_server(self, record: Record) -> None:
        """Before it decides it may ask for the same CONNECT again."""
        kind = record.data[_TYPE]
        if kind in (_ACCEPT, _REFUSE) and self.waits():
            self.answer(Outcome.ACCEPTED if kind == _ACCEPT else Outcome.REFUSED, record.frames)
            self.stop()


def _size(data: Octets, start: int = 0) -> int:
    """What a packet that begins there says of its size; 0 when none begins there."""
    size = int.from_bytes(data[start : start + 2], "big")
    return size if size >= _HEAD and 1 <= data[start + _TYPE] <= _LAST_TYPE else 0


PROTOCOLS = (
    Plaintext(
        "tns",
        "Oracle",
        Tns,
        tcp_ports=(1521, 1526),
        patterns=(Pattern(rb"^[\x00-\x03].\x00\x00\x01\x00\x00\x00\x01[\x2c-\x40]\x01", Sender.CLIENT),),
    ),
)
