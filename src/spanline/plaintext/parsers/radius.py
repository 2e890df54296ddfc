"""RADIUS. RFC 2865 sections 3 and 5, RFC 2866, RFC 3579 section 3; RFC 2548 (MS-CHAP); LEAP inside EAP (type 17).

|code 1|identifier 1|length 2|authenticator 16|, then attributes |type 1|length 1|value|. Nothing but passwords is
hidden, by MD5 and a secret that both ends share: who records a request can guess that, and where
Message-Authenticator is missing, who stands between can turn a refusal into an acceptance (CVE-2024-3596).
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator

from spanline.plaintext.lines import text
from spanline.plaintext.model import Conversation, Finding, Kind, Outcome, Piece, Plaintext, Severity
from spanline.plaintext.records import Dialogue

_HEAD = 20
_REQUEST, _ACCEPT, _REJECT, _ACCOUNTING, _CHALLENGE = 1, 2, 3, 4, 11
_CODES = (*range(1, 6), 11, 12, 13, *range(40, 46))
_USER, _PASSWORD, _CHAP, _VENDOR, _EAP, _PROTECTED = 1, 2, 3, 26, 79, 80
_MICROSOFT = b"\0\0\1\x37"
_MS_CHAP = {1: "MS-CHAP", 25: "MS-CHAP v2"}
_EAP_ANSWER = 2
_EAP_SCHEMES = {4: ("EAP-MD5", Severity.MEDIUM), 17: ("LEAP", Severity.HIGH)}
_MOST_KNOWN = 64
_REMEDY = "Require Message-Authenticator, or use RADIUS over TLS or IPsec."
_REMEDY_ACCOUNT = "Use RADIUS over TLS or IPsec, which hide accounts, too."
_REMEDY_METHOD = "Use EAP-TLS or another method inside TLS."


class Radius(Dialogue):
    """Follows requests by their identifier; one that is sent again is the same attempt."""

    def __init__(self, conversation: Conversation) -> None:
        super().__init__(conversation)
        self._known: deque[bytes] = deque(maxlen=_MOST_KNOWN)
        self._accounts: dict[int, str] = {}

    def take(self, piece: Piece) -> None:
        data = piece.data
        if len(data) < _HEAD or data[0] not in _CODES or not _HEAD <= int.from_bytes(data[2:4], "big") <= len(data):
            self.stop()
        elif data[0] == _REQUEST:
            if data[1:_HEAD] not in self._known:
                self._known.append(data[1:_HEAD])
                self._request(piece)
        elif data[0] in (_ACCEPT, _REJECT):
            self.answer(Outcome.ACCEPTED if data[0] == _ACCEPT else Outcome.REFUSED, (piece.frame,), data[1])
        elif data[0] == _CHALLENGE and data[1] in self._accounts:
            self.rename(data[1], self._accounts[data[1]])
        elif data[0] == _ACCOUNTING:
            self._account(piece)

    def _request(self, piece: Piece) -> None:
        told = dict(reversed(list(_attributes(piece.data))))
        eap = b"".join(value for kind, value in _attributes(piece.data) if kind == _EAP)
        method = next((name for name in map(_ms_chap, _attributes(piece.data)) if name), "")
        protected = _PROTECTED in told
        severity = Severity.LOW if protected else Severity.MEDIUM
        finding = Finding(Kind.CHALLENGE, piece.time, (piece.frame,), "", severity, _REMEDY)
        finding.account = text(told.get(_USER, b""))
        finding.detail = "" if protected else "no Message-Authenticator"
        if len(eap) > 4 and eap[0] == _EAP_ANSWER and eap[4] in _EAP_SCHEMES:
            finding.scheme, finding.severity = _EAP_SCHEMES[eap[4]]
            finding.remedy = _REMEDY_METHOD
        elif method:
            finding.scheme, finding.severity, finding.remedy = method, Severity.HIGH, _REMEDY_METHOD
        elif _CHAP in told:
            finding.scheme = "CHAP"
        elif _PASSWORD in told:
            finding.scheme = "PAP"
        else:
            finding.kind, finding.scheme, finding.severity = Kind.SERVICE, "EAP" if eap else "no password", Severity.LOW
            finding.remedy = _REMEDY_ACCOUNT
        self._attempt(finding, piece.data[1])

    def _attempt(self, finding: Finding, identifier: int) -> None:
        """The answer to an Access-Challenge goes on with the same attempt; its method may be known only now."""
        self._accounts[identifier] = finding.account
        going_on = finding.account
        if finding.kind == Kind.SERVICE and self.waits(going_on):
            self.rename(going_on, identifier)
        else:
            self.withdraw(going_on)
            self.wait(finding, identifier)

    def _account(self, piece: Piece) -> None:
        user = dict(reversed(list(_attributes(piece.data)))).get(_USER, b"")
        if user and user not in self._known:
            self._known.append(user)
            self.tell(
                Finding(
                    Kind.SERVICE,
                    piece.time,
                    (piece.frame,),
                    "accounting",
                    Severity.LOW,
                    _REMEDY_ACCOUNT,
                    text(user),
                )
            )


def _attributes(data: bytes) -> Iterator[tuple[int, bytes]]:
    at, end = _HEAD, int.from_bytes(data[2:4], "big")
    while at + 2 <= end and data[at + 1] >= 2:
        yield data[at], data[at + 2 : min(at + data[at + 1], end)]
        at += data[at + 1]


def _ms_chap(attribute: tuple[int, bytes]) -> str:
    kind, value = attribute
    return _MS_CHAP.get(value[4], "") if kind == _VENDOR and value.startswith(_MICROSOFT) and len(value) > 4 else ""


PROTOCOLS = (Plaintext("radius", "RADIUS", Radius),)
