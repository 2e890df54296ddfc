"""SIP: Digest, and Basic where it still is. RFC 3261 section 22."""

from __future__ import annotations

import re
from collections.abc import Iterable

from spanline.plaintext.authorization import authorizations, outcome_of
from spanline.plaintext.lines import TLS_HANDSHAKE, add_frame
from spanline.plaintext.messages import LONGEST_HEAD, Head, Messages, content_length
from spanline.plaintext.model import Conversation, Finding, Parser, Pattern, Piece, Plaintext, Sender

REMEDY = "Use SIP over TLS (sips, port 5061)."

_STATUS = re.compile(rb"SIP/2\.0 +(\d{3})")
_REQUEST = re.compile(rb"([A-Z]{2,20}) +\S+ +SIP/2\.0\s")
_CALL = re.compile(rb"\n(?:call-id|i)[ \t]*:[ \t]*([^\r\n]{1,256})")
_NUMBER = re.compile(rb"\ncseq[ \t]*:[ \t]*(\d{1,10})[ \t]+([a-z]{1,20})")
_MOST_TRANSACTIONS = 128
_REPEATS = {b"ACK", b"CANCEL"}
"""What repeats the answer of the INVITE that it is of (section 22.1)."""

_Transaction = tuple[bytes, bytes, bytes]


class SipParser(Parser):
    """One finding a transaction (Call-ID and CSeq), however often its request is sent. Either side sends requests."""

    def __init__(self, conversation: Conversation) -> None:
        super().__init__(conversation)
        self._messages = Messages(Sender.CLIENT), Messages(Sender.SERVER)
        self._transactions: dict[_Transaction, list[Finding]] = {}
        self._heard = False
        self._given: list[Finding] = []

    def feed(self, piece: Piece) -> Iterable[Finding]:
        if self.done:
            return ()
        if self.conversation.transport == "udp":
            self._datagram(piece)
        elif not piece.offset and piece.data.startswith(TLS_HANDSHAKE):
            self.done = True
        elif not self._messages[piece.sender].passes(piece):
            messages = self._messages[piece.sender]
            messages.feed(piece)
            while (message := messages.next()) is not None:
                if isinstance(message, Head):
                    lower = message.data.lower()
                    if self._message(message, lower):
                        messages.body(content_length(lower) or 0)
                    else:
                        messages.lose()
        return self._taken()

    def finish(self) -> Iterable[Finding]:
        for findings in self._transactions.values():
            self._give(findings)
        self._transactions.clear()
        self.done = True
        return self._taken()

    def _datagram(self, piece: Piece) -> None:
        end = piece.data.find(b"\r\n\r\n", 0, LONGEST_HEAD)
        octets = piece.data[: end + 2 if end >= 0 else LONGEST_HEAD]
        start = len(octets) - len(octets.lstrip(b"\r\n"))
        if octets[start : start + 1].isupper():
            head = Head(piece.sender, octets[start:], piece.offset + start, piece.time, piece.frame)
            self._message(head, head.data.lower())

    def _message(self, head: Head, lower: bytes) -> bool:
        status, request = _STATUS.match(head.data), _REQUEST.match(head.data)
        call, number = _CALL.search(lower), _NUMBER.search(lower)
        if status:
            self._heard = True
            code = int(status[1])
            if call and number and code >= 200:
                findings = self._transactions.get((call[1], number[1], number[2]), [])
                for finding in findings:
                    add_frame(finding, head.frame)
                    finding.outcome = outcome_of(code)
                self._give(findings)
                findings.clear()
        elif request and call and number and request[1] not in _REPEATS and b"authorization" in lower:
            self._attempt(head, lower, (call[1], number[1], number[2]))
        return bool(status or request)

    def _attempt(self, head: Head, lower: bytes, transaction: _Transaction) -> None:
        if transaction in self._transactions:
            return
        if len(self._transactions) == _MOST_TRANSACTIONS:
            self._give(self._transactions.pop(next(iter(self._transactions))))
        self._transactions[transaction] = list(authorizations(head, lower, REMEDY, realm=True))

    def _give(self, findings: list[Finding]) -> None:
        for finding in findings:
            finding.inferred = not self._heard
        self._given += findings

    def _taken(self) -> list[Finding]:
        given, self._given = self._given, []
        return given


PROTOCOLS = (
    Plaintext(
        "sip",
        "SIP",
        SipParser,
        tcp_ports=(5060,),
        udp_ports=(5060,),
        patterns=(
            Pattern(
                rb"^(REGISTER|INVITE|OPTIONS|SUBSCRIBE|MESSAGE|NOTIFY|PUBLISH) sips?:[^\r\n ]{1,300} SIP/2\.0\r?\n"
            ),
            Pattern(rb"^SIP/2\.0 \d{3} "),
        ),
    ),
)
