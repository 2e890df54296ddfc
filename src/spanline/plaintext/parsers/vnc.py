"""VNC. RFC 6143 sections 7.1 and 7.2: versions, security types, a challenge of 16 bytes and its answer.

Version 3.3: the server chooses the type; 3.7 and 3.8: the client does. Others than none and "VNC authentication",
where 8 bytes of the password are a key of DES, encrypt or have no answer that can be read here.
"""

from __future__ import annotations

from spanline.plaintext.model import Conversation, Finding, Kind, Outcome, Pattern, Plaintext, Severity
from spanline.plaintext.records import UNDECIDED, WRONG, Octets, Record, RecordDialogue
from spanline.plaintext.sasl import GUESSABLE

_VERSION = 12
_NONE, _PASSWORD = 1, 2
_CHALLENGE = 16
_LONGEST_REASON = 4096
_REMEDY = "Tunnel VNC through SSH, or use a server with TLS."


class Vnc(RecordDialogue):
    """Each side's next record is known by what was told before it."""

    def __init__(self, conversation: Conversation) -> None:
        super().__init__(conversation)
        self._minor = 0
        self._type = 0
        self._server_steps = 0
        self._client_steps = 0

    def client_length(self, data: Octets) -> int:
        if self._client_steps == 0:
            return _version_length(data)
        if self._client_steps == 1:
            return 1
        return _CHALLENGE

    def server_length(self, data: Octets) -> int:
        if self._server_steps == 0:
            return _version_length(data)
        if self._server_steps == 1:
            return 4 if self._minor == 3 else 1 + data[0] if data[0] else _reason_length(data)
        if self._server_steps == 2:
            return _CHALLENGE
        return 4

    def from_client(self, record: Record) -> None:
        data = record.data
        if self._client_steps == 0:
            self._minor = min(int(data[8:11]), self._minor or 8)
            if self._minor < 7:
                self._minor, self._client_steps = 3, 1
                if not self.heard:
                    self.stop()
        elif self._client_steps == 1:
            self._choose(data[0], record)
        else:
            finding = Finding(Kind.CHALLENGE, record.time, record.frames, "VNC authentication", Severity.MEDIUM, "")
            finding.remedy = f"{_REMEDY} {GUESSABLE}"
            self.wait(finding)
            if not self.heard:
                self.stop()
        self._client_steps += 1

    def _choose(self, security: int, record: Record) -> None:
        self._type = security
        if security == _NONE:
            self.wait(
                Finding(
                    Kind.SERVICE,
                    record.time,
                    record.frames,
                    "no authentication",
                    Severity.HIGH,
                    f"Ask for a password. {_REMEDY}",
                )
            )
            if self._minor < 8:
                self.answer(Outcome.ACCEPTED, ())
                self.stop()
            self._server_steps = 3
        elif security != _PASSWORD:
            self.stop()

    def from_server(self, record: Record) -> None:
        data = record.data
        if self._server_steps == 0:
            self._minor = 3 if int(data[8:11]) < 7 else int(data[8:11])
        elif self._server_steps == 1:
            if self._minor == 3:
                self._choose(int.from_bytes(data, "big"), record)
            elif not data[0]:
                self.stop()
        elif self._server_steps == 3:
            self.answer(Outcome.REFUSED if any(data) else Outcome.ACCEPTED, record.frames)
            self.stop()
        self._server_steps += 1


def _version_length(data: Octets) -> int:
    said = data[:_VERSION]
    if len(said) < _VERSION:
        return UNDECIDED if b"RFB 00".startswith(said[:6]) else WRONG
    right = said.startswith(b"RFB 00") and said[6:7].isdigit() and said[7:8] == b"." and said[8:11].isdigit()
    return _VERSION if right and said[11:12] == b"\n" else WRONG


def _reason_length(data: Octets) -> int:
    """Why the server refuses everybody: |0|length 4|text|"""
    if len(data) < 5:
        return UNDECIDED
    size = int.from_bytes(data[1:5], "big")
    return 5 + size if size <= _LONGEST_REASON else WRONG


PROTOCOLS = (Plaintext("vnc", "VNC", Vnc, patterns=(Pattern(rb"^RFB 00\d\.\d{3}\n"),)),)
