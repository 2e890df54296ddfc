"""XMPP logins: SASL (RFC 6120 section 6, XEP-0388) and, before it, jabber:iq:auth (XEP-0078)."""

from __future__ import annotations

import html
import re
from collections.abc import Iterable

from spanline.plaintext.lines import TLS_HANDSHAKE, Line, add_frame, text
from spanline.plaintext.model import (
    Conversation,
    Finding,
    Kind,
    Outcome,
    Parser,
    Pattern,
    Piece,
    Plaintext,
    Secret,
    Sender,
    Severity,
)
from spanline.plaintext.sasl import GUESSABLE, Exchange

REMEDY = "Require TLS (STARTTLS, or port 5223) before any login."

_MECHANISM = rb"\b[^<>]{0,500}?\bmechanism=['\"]([\w-]{1,32})['\"][^<>]{0,500}?"
_CLIENT = re.compile(
    rb"<auth" + _MECHANISM + rb"(?:/>|>(?P<token>[^<]*)</auth>)"
    rb"|<authenticate" + _MECHANISM + rb">(?P<inside>(?:(?!<auth).){0,2048}?)</authenticate>"
    rb"|<(?P<response>response)\b[^<>]{0,500}?(?:/>|>(?P<next>[^<]*)</response>)"
    rb"|<query\b[^<>]{0,500}?jabber:iq:auth[^<>]{0,500}>(?P<old>(?:(?!<query).){0,2048}?)</query>"
    rb"|<(?P<abort>abort)\b",
    re.DOTALL,
)
_INITIAL = re.compile(rb"<initial-response>([^<]*)</initial-response>")
_SERVER = re.compile(
    rb"<(success)\b|<(failure)\b|<(proceed)\b|<iq\b[^<>]{0,500}?\btype=['\"](result|error)['\"]", re.DOTALL
)
_FIELDS = {
    name: re.compile(rb"<%s\b[^<>]{0,100}>([^<]*)</%s>" % (name, name))
    for name in (b"username", b"password", b"digest")
}
_BEGINS = re.compile(rb"<(?:auth|response|query|abort)\b")
_KEPT, _MOST_KEPT = 512, 16384


class _Text:
    """What one side has sent last, and where that stands in its stream."""

    def __init__(self, sender: Sender) -> None:
        self.sender = sender
        self.data = b""
        self.offset = 0

    def add(self, piece: Piece) -> None:
        if piece.gap:
            self.data = b""
        self.data += piece.data
        self.offset = piece.offset + len(piece.data) - len(self.data)

    def use(self, count: int) -> None:
        self.data = self.data[count:]
        self.offset += count

    def line(self, piece: Piece) -> Line:
        return Line(self.sender, self.data, self.offset, piece.time, piece.frame)


class XmppParser(Parser):
    """A login that is accepted is the last one of a stream (RFC 6120 section 6.3.5)."""

    def __init__(self, conversation: Conversation) -> None:
        super().__init__(conversation)
        self._texts = _Text(Sender.CLIENT), _Text(Sender.SERVER)
        self._exchange: Exchange | None = None
        self._attempt: Finding | None = None
        self._heard = False
        self._given: list[Finding] = []

    def feed(self, piece: Piece) -> Iterable[Finding]:
        if self.done:
            return ()
        kept = self._texts[piece.sender]
        kept.add(piece)
        if kept.data.startswith(TLS_HANDSHAKE) and kept.offset == piece.offset:
            self._end()
        elif b">" not in piece.data and len(kept.data) < _MOST_KEPT:
            pass
        elif piece.sender == Sender.CLIENT:
            self._client(kept, piece)
        else:
            self._heard = True
            self._server(kept, piece)
        return self._taken()

    def finish(self) -> Iterable[Finding]:
        self._end()
        return self._taken()

    def _client(self, kept: _Text, piece: Piece) -> None:
        line, end = kept.line(piece), 0
        for found in _CLIENT.finditer(kept.data):
            end = found.end()
            mechanism = found[1] or found[3]
            if mechanism:
                self._authenticate(mechanism.decode("latin-1").upper(), line, found)
            elif found["response"] and self._exchange:
                if found["next"]:
                    self._attempt = self._attempt or self._exchange.encoded(line, *found.span("next"))
            elif found["old"]:
                self._answer(Outcome.UNKNOWN)
                self._attempt = _old(line, found)
            elif found["abort"]:
                self._exchange = None
        begins = _BEGINS.search(kept.data, end)
        last = len(kept.data)
        kept.use(min(max(end, last - _KEPT), begins.start()) if begins else max(end, last - _KEPT))
        if len(kept.data) > _MOST_KEPT:
            kept.use(len(kept.data) - _KEPT)

    def _authenticate(self, mechanism: str, line: Line, found: re.Match[bytes]) -> None:
        self._answer(Outcome.UNKNOWN)
        self._exchange = Exchange(mechanism, f"SASL {mechanism}", REMEDY, line)
        inside = _INITIAL.search(line.data, *found.span("inside")) if found["inside"] else None
        token = inside.span(1) if inside else found.span("token")
        if token[0] < token[1]:
            self._attempt = self._exchange.encoded(line, *token)

    def _server(self, kept: _Text, piece: Piece) -> None:
        end = 0
        for found in _SERVER.finditer(kept.data):
            end = found.end()
            old = self._attempt is not None and self._exchange is None
            if found[3]:
                self._end()
            elif found[1] or (found[4] == b"result" and old):
                self._answer(Outcome.ACCEPTED, piece)
                self._end()
            elif found[2] or (found[4] == b"error" and old):
                self._answer(Outcome.REFUSED, piece)
        kept.use(max(end, len(kept.data) - _KEPT))

    def _answer(self, outcome: Outcome, piece: Piece | None = None) -> None:
        finding, self._attempt, self._exchange = self._attempt, None, None
        if finding is not None:
            if piece is not None:
                add_frame(finding, piece.frame)
            finding.outcome, finding.inferred = outcome, not self._heard
            self._given.append(finding)

    def _end(self) -> None:
        self._answer(Outcome.UNKNOWN)
        self.done = True

    def _taken(self) -> list[Finding]:
        given, self._given = self._given, []
        return given


def _old(line: Line, query: re.Match[bytes]) -> Finding | None:
    """XEP-0078 section 3: a password, or SHA-1 of the stream's number and it."""
    user, password, digest = (pattern.search(line.data, *query.span("old")) for pattern in _FIELDS.values())
    told = password or digest
    if user is None or told is None:
        return None
    start, end = told.span(1)
    return Finding(
        Kind.CREDENTIAL if password else Kind.CHALLENGE,
        line.time,
        (line.frame,),
        "iq:auth password" if password else "iq:auth digest",
        Severity.HIGH if password else Severity.MEDIUM,
        REMEDY if password else f"{REMEDY} {GUESSABLE}",
        account=html.unescape(text(user[1])),
        secret=Secret(html.unescape(password[1].decode("utf-8", "replace")).encode()) if password else None,
        spans=(line.span(start, end),),
    )


PROTOCOLS = (
    Plaintext(
        "xmpp",
        "XMPP",
        XmppParser,
        tcp_ports=(5222, 5269),
        patterns=(Pattern(rb"^(<\?xml [^<>]{0,100}\?>\s{0,4})?<stream:stream\b[^<>]{0,500}jabber:(client|server)"),),
    ),
)
