"""SOCKS logins. RFC 1928 section 3 and RFC 1929 section 2; the memo of version 4, which has a user and no proof.

5  |5|count|methods|, |5|method|, |1|length|user|length|password|, |1|0 for success|
4  |4|command 1|port 2|address 4|user|0|, |0|90 to 93|port 2|address 4|
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

_BY_PASSWORD = 2
_GRANTED = 90
_LONGEST_USER = 255
_REMEDY = "Use a proxy over TLS or SSH; give its accounts passwords of their own."


class Socks(RecordDialogue):
    """Follows a client until the proxy lets it in: what comes then is between others."""

    def __init__(self, conversation: Conversation) -> None:
        super().__init__(conversation)
        self._version = 0

    def client_length(self, data: Octets) -> int:
        if self._version == 5:
            return _password_length(data)
        if data[0] == 5:
            return 2 + data[1] if len(data) > 1 else UNDECIDED
        if data[0] != 4 or data[1:2] not in (b"", b"\1", b"\2"):
            return WRONG
        end = data.find(b"\0", 8)
        return end + 1 if end > 0 else UNDECIDED if len(data) < 9 + _LONGEST_USER else WRONG

    def server_length(self, data: Octets) -> int:
        if data[0] == 0:
            return 8
        return 2 if data[0] in (5, 1) else WRONG

    def from_client(self, record: Record) -> None:
        data = record.data
        if self._version == 5:
            self._password(record)
        elif data[0] == 5:
            self._version = 5
            if _BY_PASSWORD not in data[2:]:
                self.stop()
        elif user := data[8:-1]:
            finding = Finding(Kind.SERVICE, record.time, record.frames, "user of SOCKS 4", Severity.LOW, _REMEDY)
            finding.account = text(user)
            self.wait(finding)
        else:
            self.stop()

    def _password(self, record: Record) -> None:
        data = record.data
        start = 2 + data[1] + 1
        finding = Finding(Kind.CREDENTIAL, record.time, record.frames, "username and password", Severity.HIGH, _REMEDY)
        finding.account, finding.secret = text(data[2 : start - 1]), Secret(data[start:])
        finding.spans = record.span(start, len(data))
        self.wait(finding)

    def from_server(self, record: Record) -> None:
        data = record.data
        if data[0] == 5:
            if data[1] != _BY_PASSWORD:
                self.stop()
            return
        success = data[1] == (_GRANTED if data[0] == 0 else 0)
        self.answer(Outcome.ACCEPTED if success else Outcome.REFUSED, record.frames)
        self.stop()


def _password_length(data: Octets) -> int:
    if data[0] != 1:
        return WRONG
    if len(data) < 2:
        return UNDECIDED
    password = 2 + data[1]
    return password + 1 + data[password] if len(data) > password else UNDECIDED


PROTOCOLS = (
    Plaintext(
        "socks",
        "SOCKS",
        Socks,
        patterns=(
            Pattern(
                rb"^\x05[\x01-\x06][\x00-\x09\x80-\x86]{1,6}\x01[\x01-\x40][\x20-\x7e]{1,64}[\x01-\x40]", Sender.CLIENT
            ),
        ),
    ),
)
