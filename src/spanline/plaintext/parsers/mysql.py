"""MySQL and MariaDB. Documentation of MySQL, "Client/Server Protocol", Connection Phase: |length 3|number 1|…

The server begins with a challenge; the client answers, for another plugin again when the server wants one.
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

_HEAD = 4
_GREETING, _OK, _ERROR, _SWITCH = 10, 0x00, 0xFF, 0xFE
_WITH_DATABASE, _NEW_PROTOCOL, _TLS, _SECURE, _WITH_PLUGIN, _LONG_ANSWER = 0x8, 0x200, 0x800, 0x8000, 0x80000, 0x200000
_TLS_REQUEST = 32
_NATIVE, _OLD = "mysql_native_password", "mysql_old_password"
# Plugins that send what was typed, ended by a zero.
_CLEAR = ("mysql_clear_password", "dialog")
_SEVERITIES = {_OLD: Severity.HIGH, _NATIVE: Severity.MEDIUM}
_REMEDY = "Use TLS: require_secure_transport on the server, ssl-mode=VERIFY_IDENTITY in clients."
_LONGEST_WORD = 256
# Packets of this phase are few and short.
_LAST_NUMBER, _LONGEST = 15, 1 << 16


class MySql(RecordDialogue):
    """Follows a client until it is let in or refused, or TLS begins."""

    def __init__(self, conversation: Conversation) -> None:
        super().__init__(conversation)
        self._account = ""
        self._detail = ""
        self._plugin = _NATIVE
        self._login: Record | None = None
        self._greeted = False

    def client_length(self, data: Octets) -> int:
        if len(data) < _HEAD:
            return UNDECIDED
        size = int.from_bytes(data[:3], "little")
        return size + _HEAD if data[3] <= _LAST_NUMBER and size <= _LONGEST else WRONG

    def from_server(self, record: Record) -> None:
        body = record.data[_HEAD:]
        if not self._greeted:
            self._greeted = True
            if body[:1] == bytes((_GREETING,)):
                self._greeting(body)
            elif self._login is None:
                self.stop()
                return
            else:
                self._answer(record, body)
        elif self._login:
            self._answer(record, body)

    def _greeting(self, body: bytes) -> None:
        """|10|version|0|thread 4|challenge 8|0|abilities 2|set 1|status 2|abilities 2|length
        1|10|challenge|plugin|0|"""
        at = body.find(b"\0") + 1 + 4 + 8 + 1 + 2 + 1 + 2
        abilities = int.from_bytes(body[at : at + 2], "little") << 16
        if abilities & _WITH_PLUGIN:
            at += 2 + 1 + 10 + max(13, int.from_bytes(body[at + 2 : at + 3], "little") - 8)
            self._plugin = text(_word(body, at)) or self._plugin

    def from_client(self, record: Record) -> None:
        body = record.data[_HEAD:]
        if self._login is None and record.data[3] == 0:
            self.stop()
        elif self._login is None:
            self._log_in(record, body)
        elif not self.waits():
            self._respond(record, body, 0, len(body))

    def _log_in(self, record: Record, body: bytes) -> None:
        abilities = int.from_bytes(body[:4], "little")
        if not abilities & _NEW_PROTOCOL:
            self._log_in_old(record, body)
            return
        if abilities & _TLS and record.size == _HEAD + _TLS_REQUEST:
            self.stop()
            return
        name = _word(body, _TLS_REQUEST)
        start = _TLS_REQUEST + len(name) + 1
        if record.size < _HEAD + start:
            self.stop()
            return
        self._login, self._account = record, text(name)
        start, end = _answer_place(body, start, abilities)
        at = end + (0 if abilities & (_LONG_ANSWER | _SECURE) else 1)
        if abilities & _WITH_DATABASE:
            database = _word(body, at)
            self._detail = f"database {text(database)}" if database else ""
            at += len(database) + 1
        if abilities & _WITH_PLUGIN:
            self._plugin = text(_word(body, at)) or self._plugin
        self._respond(record, body, start, end)

    def _log_in_old(self, record: Record, body: bytes) -> None:
        """Before version 4.1: |abilities 2|longest packet 3|user|0|answer|"""
        name = _word(body, 5)
        if not name.isascii() or b"\0" not in body[5:]:
            self.stop()
            return
        self._login, self._account, self._plugin = record, text(name), _OLD
        start = 5 + len(name) + 1
        self._respond(record, body, start, start + len(_word(body, start)))

    def _respond(self, record: Record, body: bytes, start: int, end: int) -> None:
        """An answer to the plugin's challenge; an empty one is told with what the server says to it."""
        if self._login is None or end <= start:
            return
        frames = (*self._login.frames, *record.frames) if record is not self._login else record.frames
        finding = Finding(
            Kind.CHALLENGE,
            record.time,
            frames,
            self._plugin,
            _SEVERITIES.get(self._plugin, Severity.LOW),
            f"{_REMEDY} {GUESSABLE}",
            self._account,
            detail=self._detail,
        )
        if self._plugin in _CLEAR:
            password = body[start:end].removesuffix(b"\0")
            finding.kind, finding.severity, finding.remedy = Kind.CREDENTIAL, Severity.HIGH, _REMEDY
            finding.secret = Secret(password)
            finding.spans = record.span(_HEAD + start, _HEAD + start + len(password))
        self.wait(finding)

    def _answer(self, record: Record, body: bytes) -> None:
        if body[:1] == bytes((_OK,)):
            self._decide(record, Outcome.ACCEPTED, Severity.HIGH)
        elif body[:1] == bytes((_ERROR,)):
            self._decide(record, Outcome.REFUSED, Severity.LOW)
        elif body[:1] == bytes((_SWITCH,)):
            self._plugin = text(_word(body, 1)) if len(body) > 1 else _OLD
            self.withdraw()

    def _decide(self, record: Record, outcome: Outcome, without: Severity) -> None:
        """`without`: how bad an attempt without a password is."""
        assert self._login
        if not self.waits():
            remedy = f"Give every account a password. {_REMEDY}"
            finding = Finding(Kind.SERVICE, self._login.time, self._login.frames, "no password", without, remedy)
            finding.account, finding.detail = self._account, self._detail
            self.wait(finding)
        self.answer(outcome, record.frames)
        self.stop()


def _word(body: bytes, at: int) -> bytes:
    """What stands before the next zero."""
    end = body.find(b"\0", at, at + _LONGEST_WORD)
    return body[at:end] if end >= 0 else body[at : at + _LONGEST_WORD]


def _answer_place(body: bytes, at: int, abilities: int) -> tuple[int, int]:
    """(start, end) of the answer to the challenge: after its length, or before a zero."""
    if abilities & _LONG_ANSWER or abilities & _SECURE:
        count = body[at] if at < len(body) else 0
        if count < 0xFB:
            return at + 1, min(at + 1 + count, len(body))
        return at + 3, min(at + 3 + int.from_bytes(body[at + 1 : at + 3], "little"), len(body))
    return at, at + len(_word(body, at))


PROTOCOLS = (
    Plaintext(
        "mysql",
        "MySQL",
        MySql,
        patterns=(Pattern(rb"^.[\x00-\x02]\x00\x00\x0a[3-9][\x20-\x7e]{1,80}\x00", Sender.SERVER),),
    ),
)
