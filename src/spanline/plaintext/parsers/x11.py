"""X11's connection setup. X Window System Protocol, chapter 8; the data of MIT-MAGIC-COOKIE-1 lets anybody in.

|byte order 1|0|11 2|0 2|length 2|length 2|0 2|name|data|, name and data padded to 4
"""

from __future__ import annotations

from spanline.plaintext.lines import text
from spanline.plaintext.model import Finding, Kind, Outcome, Pattern, Plaintext, Secret, Sender, Severity
from spanline.plaintext.records import UNDECIDED, WRONG, Octets, Record, RecordDialogue

_HEAD = 12
_ORDERS = {ord("B"): "big", ord("l"): "little"}
_VERSION = {b"B\0\0\x0b\0\0", b"l\0\x0b\0\0\0"}
_LONGEST = 256
_COOKIE = b"MIT-MAGIC-COOKIE-1"
_SUCCESS = 1
_REMEDY = "Forward X11 through SSH; start the server with -nolisten tcp."


class X11(RecordDialogue):
    """A client asks for the connection, and the first byte of the answer says whether it gets it."""

    def client_length(self, data: Octets) -> int:
        if len(data) < _HEAD:
            return UNDECIDED if data[0] in _ORDERS else WRONG
        name, key = _lengths(data)
        right = bytes(data[:1] + b"\0" + data[2:6]) in _VERSION and name <= _LONGEST and key <= _LONGEST
        return _HEAD + _padded(name) + _padded(key) if right else WRONG

    def server_length(self, data: Octets) -> int:
        return 1

    def from_client(self, record: Record) -> None:
        data = record.data
        name, key = _lengths(data)
        scheme, start = data[_HEAD : _HEAD + name], _HEAD + _padded(name)
        finding = Finding(Kind.SERVICE, record.time, record.frames, text(scheme), Severity.MEDIUM, _REMEDY)
        if scheme == _COOKIE and key:
            finding.kind, finding.severity = Kind.CREDENTIAL, Severity.HIGH
            finding.secret, finding.spans = Secret(data[start : start + key]), record.span(start, start + key)
        elif not scheme:
            finding.scheme, finding.severity = "no authorization", Severity.HIGH
        self.wait(finding)

    def from_server(self, record: Record) -> None:
        if self.waits():
            self.answer(Outcome.ACCEPTED if record.data[0] == _SUCCESS else Outcome.REFUSED, record.frames)
        self.stop()


def _lengths(data: Octets) -> tuple[int, int]:
    low = int(data[0] == ord("B"))
    return data[6 + low] | data[7 - low] << 8, data[8 + low] | data[9 - low] << 8


def _padded(size: int) -> int:
    return -(-size // 4) * 4


PROTOCOLS = (
    Plaintext(
        "x11",
        "X11",
        X11,
        tcp_ports=tuple(range(6000, 6064)),
        patterns=(
            Pattern(
                rb"^(B.\x00\x0b\x00\x00\x00[\x00-\x40]\x00[\x00-\x40]|l.\x0b\x00\x00\x00[\x00-\x40]\x00[\x00-\x40]\x00)",
                Sender.CLIENT,
            ),
        ),
    ),
)
