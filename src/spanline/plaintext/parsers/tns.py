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

_HEAD = 8
_CONNECT, _ACCEPT, _REFUSE, _LAST_TYPE = 1, 2, 4, 19
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
        if len(data) < _HEAD:
            return UNDECIDED
        size = int.from_bytes(data[:2], "big")
        return size if size >= _HEAD and 1 <= data[4] <= _LAST_TYPE else WRONG

    def from_client(self, record: Record) -> None:
        if record.data[4] != _CONNECT:
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
        if record.data[4] in (_ACCEPT, _REFUSE) and self.waits():
            self.answer(Outcome.ACCEPTED if record.data[4] == _ACCEPT else Outcome.REFUSED, record.frames)
            self.stop()


PROTOCOLS = (
    Plaintext(
        "tns",
        "Oracle",
        Tns,
        tcp_ports=(1521, 1526),
        patterns=(Pattern(rb"^[\x00-\x03].\x00\x00\x01\x00\x00\x00\x01[\x2c-\x40]\x01", Sender.CLIENT),),
    ),
)
