"""SMB session setups. [MS-CIFS] section 2.2.4.53, [MS-SMB] section 2.2.4.6, [MS-SMB2] section 2.2.5.

In NetBIOS sessions, |type 1|length 3|:
SMB 1     |0xFF SMB|command 1|status 4|flags 1|flags 2|…|multiplex id 2|count 1|words|length 2|bytes|
SMB 2, 3  |0xFE SMB|64 2|credits 2|status 4|command 2|credits 2|flags 4|next 4|message 8|…|

Who logs in is told in NTLMSSP; SMB 1 also has answers to a challenge without it, and passwords as they are.
"""

from __future__ import annotations

from spanline.plaintext import ntlm
from spanline.plaintext.lines import text
from spanline.plaintext.model import (
    Conversation,
    Finding,
    Kind,
    Outcome,
    Pattern,
    Plaintext,
    Secret,
    Severity,
)
from spanline.plaintext.records import UNDECIDED, WRONG, Octets, Record, RecordDialogue, utf16_text
from spanline.plaintext.sasl import GUESSABLE

_HEAD = 4
_SESSION_TYPES = (0x00, 0x81, 0x82, 0x83, 0x84, 0x85)
_SMB1, _SMB2 = b"\xffSMB", b"\xfeSMB"
_HEAD1, _HEAD2 = 32, 64
_NEGOTIATE1, _SETUP1, _SETUP2 = 0x72, 0x73, 1
_ANSWER1, _ANSWER2, _UNICODE = 0x80, 1, 0x8000
_MORE = 0xC0000016
_ENCRYPTS_PASSWORDS = 0x02
_RESPONSE = 24
_REMEDY = f"Switch SMB 1 off. {ntlm.REMEDY} {GUESSABLE}"
_REMEDY_PLAIN = "Switch SMB 1 off, and have clients refuse to send plaintext passwords."


class Smb(RecordDialogue):
    """Follows session setups by the id of their message, for as long as the conversation is followed."""

    def __init__(self, conversation: Conversation) -> None:
        super().__init__(conversation)
        self._security: int | None = None

    def client_length(self, data: Octets) -> int:
        if data[0] not in _SESSION_TYPES:
            return WRONG
        if len(data) < _HEAD:
            return UNDECIDED
        return _HEAD + int.from_bytes(data[1:4], "big")

    def from_client(self, record: Record) -> None:
        message = record.data[_HEAD:]
        if message.startswith(_SMB1) and len(message) > _HEAD1 and message[4] == _SETUP1:
            self._setup1(record, message)
        elif message.startswith(_SMB2) and len(message) > _HEAD2 and _little(message, 12, 2) == _SETUP2:
            self._ntlm(record, message, _little(message, 24, 8), "SMB 2")

    def _setup1(self, record: Record, message: bytes) -> None:
        """By the number of words: 13 with two answers, 12 with a token, 10 of LAN Manager with one answer."""
        key, words, at = _little(message, 30, 2), message[_HEAD1], _HEAD1 + 1
        if words == 12:
            self._ntlm(record, message, key, "SMB 1")
        elif words == 13:
            lengths = _little(message, at + 14, 2), _little(message, at + 16, 2)
            self._answers(record, message, key, at + 26 + 2, lengths)
        elif words == 10:
            self._answers(record, message, key, at + 20 + 2, (_little(message, at + 14, 2), 0))

    def _ntlm(self, record: Record, message: bytes, key: int, dialect: str) -> None:
        if said := ntlm.authenticate(ntlm.find(message)):
            finding = said.finding(record.time, record.frames)
            finding.scheme = f"{said.scheme} in {dialect}"
            self.wait(finding, key)

    def _answers(self, record: Record, message: bytes, key: int, at: int, lengths: tuple[int, int]) -> None:
        """|LM answer or password|NT answer or password|to an even place|account|domain|…"""
        short, long = lengths
        unicode = bool(_little(message, 10, 2) & _UNICODE)
        end = at + short + long
        names = _names(message, end + (end & 1), unicode) if unicode else _names(message, end, unicode)
        account = "\\".join(name for name in reversed(names) if name)
        if end > len(message) or not names[0]:
            return
        encrypted = max(lengths) >= _RESPONSE
        if self._security is not None:
            encrypted = bool(self._security & _ENCRYPTS_PASSWORDS)
        if not encrypted:
            self._plain(record, key, account, *((at, at + short, False) if short else (at, end, unicode)))
        elif max(lengths) >= _RESPONSE:
            said = ntlm.Authenticate(account, 2 if long > _RESPONSE else 1)
            finding = Finding(Kind.CHALLENGE, record.time, record.frames, "", said.severity, _REMEDY, account)
            finding.scheme = f"{'NTLM' if long else 'LM'} v{said.version} in SMB 1"
            self.wait(finding, key)

    def _plain(self, record: Record, key: int, account: str, start: int, end: int, unicode: bool) -> None:
        password = record.data[_HEAD + start : _HEAD + end].removesuffix(b"\0\0" if unicode else b"\0")
        if password:
            finding = Finding(
                Kind.CREDENTIAL, record.time, record.frames, "plaintext in SMB 1", Severity.HIGH, _REMEDY_PLAIN, account
            )
            finding.secret = Secret(utf16_text(password).encode() if unicode else password)
            finding.spans = record.span(_HEAD + start, _HEAD + start + len(password))
            self.wait(finding, key)

    def from_server(self, record: Record) -> None:
        message = record.data[_HEAD:]
        if message.startswith(_SMB1) and len(message) > _HEAD1 + 3 and message[9] & _ANSWER1:
            if message[4] == _NEGOTIATE1 and message[_HEAD1] in (13, 17):
                self._security = message[_HEAD1 + 3]
            elif message[4] == _SETUP1:
                self._judge(record, _little(message, 5, 4), _little(message, 30, 2))
        elif message.startswith(_SMB2) and _little(message, 12, 2) == _SETUP2 and _little(message, 16, 4) & _ANSWER2:
            self._judge(record, _little(message, 8, 4), _little(message, 24, 8))

    def _judge(self, record: Record, status: int, key: int) -> None:
        if status != _MORE:
            self.answer(Outcome.REFUSED if status else Outcome.ACCEPTED, record.frames, key)


def _little(message: bytes, at: int, size: int) -> int:
    return int.from_bytes(message[at : at + size], "little")


def _names(message: bytes, at: int, unicode: bool) -> tuple[str, str]:
    """Account and domain, each ended by a zero."""
    if not unicode:
        words = message[at:].split(b"\0", 2)
        return text(words[0]), text(words[1]) if len(words) > 1 else ""
    parts = utf16_text(message[at:]).split("\0", 2)
    return parts[0], parts[1] if len(parts) > 1 else ""


PROTOCOLS = (
    Plaintext(
        "smb",
        "SMB",
        Smb,
        tcp_ports=(139, 445),
        patterns=(Pattern(rb"^\x00.{3}\xffSMB[\x72\x73]"), Pattern(rb"^\x00.{3}\xfeSMB\x40\x00")),
    ),
)
