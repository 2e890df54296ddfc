"""PostgreSQL logins. Documentation of version 16, sections 55.2.1 and 55.7.

The client begins with |length 4|code 4|…|, and the server may answer one letter; then both send |type 1|length 4|…|.
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
from spanline.plaintext.sasl import GUESSABLE

_STARTUP, _SSL, _GSS, _CANCEL = 0x00030000, 80877103, 80877104, 80877102
_LONGEST_STARTUP = 10000
_CLIENT_TYPES, _SERVER_TYPES = b"BCDEFHPQSXcdfp", b"123ACDEGHIKNRSTVWZcdnstv"
_ACCEPTED, _CLEARTEXT, _MD5, _SASL = 0, 3, 5, 10
_SASL_GOES_ON = (11, 12)
_SCHEMES = {_CLEARTEXT: "cleartext password", _MD5: "MD5", _SASL: "SCRAM"}
_MD5_ANSWER = 3 + 32 + 1
_REMEDY = "Use TLS: hostssl in pg_hba.conf, sslmode=verify-full in clients."
_REMEDY_MD5 = f"Use TLS, and scram-sha-256 for MD5. {GUESSABLE}"


class PostgreSql(RecordDialogue):
    """Follows a client until it is let in, or TLS begins."""

    def __init__(self, conversation: Conversation) -> None:
        super().__init__(conversation)
        self._started = False
        self._letter_due = False
        self._asked = -1
        self._account = ""
        self._detail = ""
        self._start: Record | None = None

    def client_length(self, data: Octets) -> int:
        if self._started:
            return _typed_length(data, _CLIENT_TYPES)
        if len(data) < 8:
            return UNDECIDED if not any(data[:2]) else WRONG
        size, code = int.from_bytes(data[:4], "big"), int.from_bytes(data[4:8], "big")
        known = code >> 16 == _STARTUP >> 16 or code in (_SSL, _GSS)
        return size if known and 8 <= size <= _LONGEST_STARTUP else WRONG

    def server_length(self, data: Octets) -> int:
        if self._letter_due and data[0] in b"SNG":
            return 1
        return _typed_length(data, _SERVER_TYPES)

    def from_client(self, record: Record) -> None:
        data = record.data
        if not self._started:
            code = int.from_bytes(data[4:8], "big")
            self._letter_due = code in (_SSL, _GSS)
            if code >> 16 == _STARTUP >> 16:
                self._begin(record)
        elif data[0] == ord("p"):
            self._password(record)
        elif not self.heard:
            self.stop()

    def _begin(self, record: Record) -> None:
        words = record.data[8:].split(b"\0")
        told = dict(zip(words[0::2], words[1::2], strict=False))
        user, database = told.get(b"user", b""), told.get(b"database", b"")
        self._account = text(user)
        self._detail = f"database {text(database or user)}"
        self._started, self._start = True, record

    def _password(self, record: Record) -> None:
        given = record.data[5:]
        password = given.removesuffix(b"\0")
        asked = self._asked if self._asked >= 0 else _guess(given)
        if asked == _CLEARTEXT:
            finding = self._finding(Kind.CREDENTIAL, record, Severity.HIGH, _REMEDY)
            finding.secret, finding.spans = Secret(password), record.span(5, 5 + len(password))
        elif asked == _MD5:
            finding = self._finding(Kind.CHALLENGE, record, Severity.MEDIUM, _REMEDY_MD5)
        elif asked == _SASL and not self.waits():
            finding = self._finding(Kind.CHALLENGE, record, Severity.LOW, f"{_REMEDY} {GUESSABLE}")
        else:
            return
        finding.scheme = _SCHEMES[asked]
        finding.inferred = asked != self._asked
        self.wait(finding)

    def _finding(self, kind: Kind, record: Record, severity: Severity, remedy: str) -> Finding:
        frames = (*self._start.frames, *record.frames) if self._start else record.frames
        return Finding(kind, record.time, frames, "", severity, remedy, self._account, detail=self._detail)

    def from_server(self, record: Record) -> None:
        data = record.data
        if self._letter_due:
            self._letter_due = False
            if data in (b"S", b"G"):
                self.stop()
        elif data[0] == ord("R"):
            code = int.from_bytes(data[5:9], "big")
            if code == _ACCEPTED:
                self._let_in(record)
            elif code not in _SASL_GOES_ON:
                self._asked = code
        elif data[0] == ord("E"):
            self.answer(Outcome.REFUSED, record.frames)
            self.stop()

    def _let_in(self, record: Record) -> None:
        if self._start and not self.waits():
            finding = self._finding(Kind.SERVICE, self._start, Severity.MEDIUM, _REMEDY)
            finding.scheme = "no password"
            self.wait(finding)
        self.answer(Outcome.ACCEPTED, record.frames)
        self.stop()


def _typed_length(data: Octets, types: bytes) -> int:
    if data[0] not in types:
        return WRONG
    if len(data) < 5:
        return UNDECIDED
    size = int.from_bytes(data[1:5], "big")
    return size + 1 if 4 <= size < 1 << 30 else WRONG


def _guess(given: bytes) -> int:
    """What the client was asked for, by what it answers."""
    if given.startswith(b"md5") and len(given) == _MD5_ANSWER:
        return _MD5
    if given.startswith(b"SCRAM-SHA-"):
        return _SASL
    return _CLEARTEXT if given.endswith(b"\0") and b"\0" not in given[:-1] else -1


PROTOCOLS = (
    Plaintext(
        "pgsql",
        "PostgreSQL",
        PostgreSql,
        patterns=(
            Pattern(
                rb"^\x00\x00..(\x00\x03\x00[\x00-\x02](user|database|application_name|client_encoding)\x00"
                rb"|\x04\xd2\x16[\x2f\x30])",
                Sender.CLIENT,
            ),
        ),
    ),
)
