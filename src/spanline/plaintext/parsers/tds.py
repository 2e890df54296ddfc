"""Logins to Microsoft SQL Server and Sybase. [MS-TDS] sections 2.2.3.1, 2.2.6.4 and 2.2.7.

|type 1|status 1|length 2|spid 2|id 1|0|…|. In a LOGIN7 the halves of each byte of the password are exchanged, and 0xA5
is added without carry, which hides nothing; TDS 5 has it as it is. Where encryption was agreed on, no login is seen.
"""

from __future__ import annotations

from spanline.plaintext import ntlm
from spanline.plaintext.lines import text
from spanline.plaintext.model import (
    Finding,
    Kind,
    Outcome,
    Pattern,
    Plaintext,
    Secret,
    Sender,
    Severity,
)
from spanline.plaintext.records import UNDECIDED, WRONG, Octets, Record, RecordDialogue, utf16_text

_HEAD = 8
_LOGIN5, _ANSWER, _LOGIN7, _SSPI, _PRELOGIN = 2, 4, 16, 17, 18
_TYPES = (1, 2, 3, 4, 5, 6, 7, 8, 14, 15, 16, 17, 18)
_USER7, _PASSWORD7, _DATABASE7, _SSPI7 = 40, 44, 68, 78
_LONGEST_NAME = 128
# Of TDS 5: fields of 30 bytes, each followed by its length.
_USER5, _PASSWORD5, _FIELD5 = 31, 62, 30
_LOGGED_IN, _ERROR = 0xAD, 0xAA
_TOKENS_BEFORE = (0xAB, 0xE3, 0xAE, 0xE2, 0xED)
_MASK = bytes((n ^ 0xA5) >> 4 | ((n ^ 0xA5) & 0xF) << 4 for n in range(256))
_REMEDY = "Force encryption on the server, and check its certificate in clients."


class Tds(RecordDialogue):
    """Follows a client until its login is answered, or TLS begins."""

    def client_length(self, data: Octets) -> int:
        if data[0] not in _TYPES:
            return WRONG
        if len(data) < _HEAD:
            return UNDECIDED
        size = int.from_bytes(data[2:4], "big")
        return size if size >= _HEAD else WRONG

    def from_client(self, record: Record) -> None:
        if record.data[0] == _PRELOGIN:
            if record.data[_HEAD : _HEAD + 2] == b"\x16\x03":
                self.stop()
        elif record.data[0] == _LOGIN7:
            self._login7(record)
        elif record.data[0] == _LOGIN5 and record.size > _HEAD + _PASSWORD5 + _FIELD5:
            self._login5(record)
        elif record.data[0] == _SSPI:
            self._ntlm(record, record.data)
        else:
            self.stop()

    def _login7(self, record: Record) -> None:
        body = record.data[_HEAD:]
        if _field(body, _SSPI7, 1)[1] > _field(body, _SSPI7, 1)[0]:
            self._ntlm(record, body)
            return
        user, password, database = (_field(body, at, 2) for at in (_USER7, _PASSWORD7, _DATABASE7))
        finding = Finding(Kind.CREDENTIAL, record.time, record.frames, "LOGIN7", Severity.HIGH, _REMEDY)
        finding.account = utf16_text(body[slice(*user)])
        if not finding.account:
            return
        if password[1] <= len(body):
            finding.secret = Secret(utf16_text(body[slice(*password)].translate(_MASK)).encode())
            finding.spans = record.span(_HEAD + password[0], _HEAD + password[1])
        name = utf16_text(body[slice(*database)])
        finding.detail = f"database {name}" if name else ""
        self.wait(finding)

    def _login5(self, record: Record) -> None:
        body = record.data[_HEAD:]
        user, password = (body[at : at + min(body[at + _FIELD5], _FIELD5)] for at in (_USER5, _PASSWORD5))
        finding = Finding(Kind.CREDENTIAL, record.time, record.frames, "TDS 5 login", Severity.HIGH, _REMEDY)
        finding.account, finding.secret = text(user), Secret(password)
        finding.spans = record.span(_HEAD + _PASSWORD5, _HEAD + _PASSWORD5 + len(password))
        self.wait(finding)

    def _ntlm(self, record: Record, message: bytes) -> None:
        if said := ntlm.authenticate(ntlm.find(message)):
            self.wait(said.finding(record.time, record.frames))

    def from_server(self, record: Record) -> None:
        data = record.data
        if data[0] != _ANSWER or not self.waits():
            return
        at = _HEAD
        while at + 3 <= len(data) and data[at] in _TOKENS_BEFORE:
            at += 3 + int.from_bytes(data[at + 1 : at + 3], "little")
        if at < len(data) and data[at] in (_LOGGED_IN, _ERROR):
            self.answer(Outcome.ACCEPTED if data[at] == _LOGGED_IN else Outcome.REFUSED, record.frames)
            self.stop()


def _field(body: bytes, at: int, width: int) -> tuple[int, int]:
    """(start, end) of a value by |offset 2|characters 2|"""
    start = int.from_bytes(body[at : at + 2], "little")
    return start, start + width * min(int.from_bytes(body[at + 2 : at + 4], "little"), _LONGEST_NAME)


PROTOCOLS = (
    Plaintext(
        "tds",
        "SQL Server",
        Tds,
        tcp_ports=(1433,),
        patterns=(
            Pattern(rb"^\x12\x01\x00.\x00\x00[\x00\x01]\x00\x00\x00[\x15-\x40]\x00\x06", Sender.CLIENT),
            Pattern(rb"^\x10\x01..\x00\x00[\x00\x01]\x00..\x00\x00..[\x00-\x0a][\x70-\x74]", Sender.CLIENT),
        ),
    ),
)
