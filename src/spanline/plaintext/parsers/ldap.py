"""LDAP. RFC 4511 sections 4.1.1, 4.2 and 4.14: messages |id|operation| in BER; a simple bind has the password.

A bind without a name or without a password is anonymous (RFC 4513 section 5.1), and nobody's attempt. Others are of
SASL, or NTLM in a way of its own, "Sicily" ([MS-ADTS] section 5.1.1.1.3).
"""

from __future__ import annotations

from spanline.plaintext import ber
from spanline.plaintext.lines import text
from spanline.plaintext.model import Conversation, Finding, Kind, Outcome, Pattern, Plaintext, Secret, Sender, Severity
from spanline.plaintext.records import Octets, Record, RecordDialogue
from spanline.plaintext.tokens import attempt

_BIND, _BIND_ANSWER, _EXTENDED, _EXTENDED_ANSWER = 0x60, 0x61, 0x77, 0x78
_SIMPLE, _SICILY_ANSWER, _SASL, _REQUEST_NAME = 0x80, 0x8B, 0xA3, 0x80
_START_TLS = b"1.3.6.1.4.1.1466.20037"
_SUCCESS, _IN_PROGRESS = 0, 14
_REMEDY = "Use LDAPS or StartTLS, and refuse binds without them."


class Ldap(RecordDialogue):
    """Follows binds by the id of their message, until TLS or the security layer of a mechanism begins."""

    def __init__(self, conversation: Conversation) -> None:
        super().__init__(conversation)
        self._tls_asked: int | None = None

    def client_length(self, data: Octets) -> int:
        return ber.sequence_length(data)

    def from_client(self, record: Record) -> None:
        data = record.data
        message = ber.whole(data)
        if len(message) < 2 or message[0].tag != ber.INTEGER:
            return
        key, operation = ber.number(data, message[0]), message[1]
        if operation.tag == _BIND:
            self._bind(record, key, ber.children(data, operation))
        elif operation.tag == _EXTENDED:
            names = [part for part in ber.children(data, operation) if part.tag == _REQUEST_NAME]
            self._tls_asked = key if names and ber.content(data, names[0]) == _START_TLS else None

    def _bind(self, record: Record, key: int, parts: tuple[ber.Element, ...]) -> None:
        if len(parts) < 3 or ber.tags(parts[:2]) != bytes((ber.INTEGER, ber.OCTETS)):
            return
        data, how = record.data, parts[2]
        name, given = ber.content(data, parts[1]), ber.content(data, how)
        if how.tag == _SIMPLE and name and given:
            finding = Finding(
                Kind.CREDENTIAL, record.time, record.frames, "simple bind", Severity.HIGH, _REMEDY, text(name)
            )
            finding.secret, finding.spans = Secret(given), record.span(how.start, how.end)
            self.wait(finding, key)
        elif how.tag == _SICILY_ANSWER:
            self._sasl(record, key, "NTLM", how)
        elif how.tag == _SASL:
            sasl = ber.children(data, how)
            if ber.tags(sasl) == bytes((ber.OCTETS, ber.OCTETS)):
                self._sasl(record, key, text(ber.content(data, sasl[0])), sasl[1])

    def _sasl(self, record: Record, key: int, mechanism: str, token: ber.Element) -> None:
        if finding := attempt(record, mechanism, token.start, token.end, _REMEDY):
            self.wait(finding, key)

    def from_server(self, record: Record) -> None:
        if self.idle and self._tls_asked is None:
            return
        data = record.data
        message = ber.whole(data)
        if len(message) < 2 or message[0].tag != ber.INTEGER:
            return
        key, operation = ber.number(data, message[0]), message[1]
        result = next(ber.elements(data, operation.start, operation.end), None)
        if result is None or result.tag != ber.ENUMERATED:
            return
        code = ber.number(data, result)
        if operation.tag == _BIND_ANSWER and code != _IN_PROGRESS:
            self.answer(Outcome.ACCEPTED if code == _SUCCESS else Outcome.REFUSED, record.frames, key)
        elif operation.tag == _EXTENDED_ANSWER and key == self._tls_asked and code == _SUCCESS:
            self.stop()


PROTOCOLS = (
    Plaintext(
        "ldap",
        "LDAP",
        Ldap,
        patterns=(
            Pattern(
                rb"^\x30([\x0c-\x7f]|\x81.|\x82..|\x84....)\x02[\x01-\x04].{1,4}\x60([\x07-\x7f]|\x81.|\x82..|\x84....)"
                rb"\x02\x01[\x02\x03]\x04",
                Sender.CLIENT,
            ),
        ),
    ),
)
