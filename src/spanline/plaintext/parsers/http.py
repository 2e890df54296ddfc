"""HTTP/1 logins: Basic, Digest, bearer tokens and NTLM (RFC 9110 section 11), forms, and fields of query strings.

Cookies are no findings: almost every request carries some, most of them open nothing, and nothing tells which do. The
login that a session cookie comes from is one.
"""

from __future__ import annotations

import re
from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass, field

from spanline.plaintext import forms
from spanline.plaintext.authorization import authorizations, outcome_of
from spanline.plaintext.lines import TLS_HANDSHAKE, add_frame
from spanline.plaintext.messages import Body, Head, Messages, content_length, is_chunked
from spanline.plaintext.model import Conversation, Finding, Outcome, Parser, Pattern, Piece, Plaintext, Sender

REMEDY = "Use HTTPS, and redirect nobody who has sent a password already."

_REQUEST = re.compile(rb"([A-Z][A-Z0-9_-]{1,19}) +(\S+)(?: +HTTP/1\.\d)?\s*\n")
_STATUS = re.compile(rb"HTTP/1\.\d +(\d{3})")
_TYPE = re.compile(rb"\ncontent-type[ \t]*:[ \t]*([^\r\n]*)")
_USER_INFO = re.compile(rb"\w{2,10}://([^/?#@:\s]{0,256}):([^/?#@\s]{1,256})@")

_MOST_UNANSWERED = 64
_MOST_ATTEMPTS = 16
_REFUSED_FORM = {401, 403, 407, 422}


@dataclass(slots=True)
class _Request:
    """One that waits for its response, and the attempts that it makes.

    form    the kind of its body, if fields can be read out of it
    status  the response's; 0 until that comes
    """

    method: bytes
    form: str = ""
    findings: list[Finding] = field(default_factory=list)
    forms: list[Finding] = field(default_factory=list)
    status: int = 0


_PLAIN = _Request(b"GET")
"""Stands for every request that makes no attempt and is answered as most are."""


class HttpParser(Parser):
    """One finding a request: each of them logs in again. Its outcome is by the status of the response.

    The page after a form may say anything with status 200: its outcome is unknown, unless the status refuses it.
    Which side sends requests is seen from them.
    """

    def __init__(self, conversation: Conversation) -> None:
        super().__init__(conversation)
        self._messages = Messages(Sender.CLIENT), Messages(Sender.SERVER)
        self._unanswered: deque[_Request] = deque()
        self._submitting = {Sender.CLIENT: _PLAIN, Sender.SERVER: _PLAIN}
        self._heard = False
        self._given: list[Finding] = []

    def feed(self, piece: Piece) -> Iterable[Finding]:
        messages = self._messages[piece.sender]
        if self.done or messages.passes(piece):
            return ()
        if not piece.offset and piece.data.startswith(TLS_HANDSHAKE):
            self.done = True
            return ()
        messages.feed(piece)
        while not self.done and (message := messages.next()) is not None:
            if isinstance(message, Body):
                self._submit(message)
            elif message.data.startswith(b"HTTP/1."):
                self._response(message, messages)
            else:
                self._request(message, messages)
        return self._taken()

    def finish(self) -> Iterable[Finding]:
        if not self.done:
            for messages in self._messages:
                rest = messages.rest()
                if rest is not None:
                    self._submit(rest)
            self._end()
        return self._taken()

    def _request(self, head: Head, messages: Messages) -> None:
        first = _REQUEST.match(head.data)
        if first is None:
            messages.lose()
            return
        lower, method = head.data.lower(), first[1]
        findings = list(authorizations(head, lower, REMEDY))
        in_target = self._in_target(head, *first.span(2))
        form, length, chunked = _form(lower), content_length(lower) or 0, is_chunked(lower)
        keep = bool(form) and (length > 0 or chunked)
        request = _PLAIN
        if findings or in_target or keep or method in (b"HEAD", b"CONNECT"):
            request = self._submitting[head.sender] = _Request(method, form, findings, in_target)
            while sum(len(one.findings) + len(one.forms) for one in self._unanswered) >= _MOST_ATTEMPTS:
                self._answer(self._unanswered.popleft(), 0, None)
        if len(self._unanswered) == _MOST_UNANSWERED:
            self._answer(self._unanswered.popleft(), 0, None)
        self._unanswered.append(request)
        messages.body(length, chunked=chunked, keep=keep)

    def _response(self, head: Head, messages: Messages) -> None:
        self._heard = True
        if messages.resumed:
            messages.resumed = False
            while len(self._unanswered) > 1:
                self._answer(self._unanswered.popleft(), 0, None)
        found = _STATUS.match(head.data)
        status = int(found[1]) if found else 0
        if 100 <= status < 200 and status != 101:
            messages.body(0)
            return
        request = self._unanswered.popleft() if self._unanswered else _PLAIN
        self._answer(request, status, head)
        if status == 101 or (request.method == b"CONNECT" and 200 <= status < 300):
            self._end()
        elif request.method == b"HEAD" or status in (204, 304):
            messages.body(0)
        else:
            lower = head.data.lower()
            messages.body(content_length(lower), chunked=is_chunked(lower))

    def _submit(self, body: Body) -> None:
        """Looks for a login in the body of the last request that has one worth keeping."""
        request = self._submitting[body.sender]
        if not forms.may_have_secret(body.data):
            return
        finding = forms.attempt(_FIELDS[request.form](body.data), body, request.form, REMEDY)
        if finding is None:
            return
        if request.status:
            self._give(finding, _form_outcome(request.status), None)
        else:
            request.forms.append(finding)

    def _in_target(self, head: Head, start: int, end: int) -> list[Finding]:
        """A login in the query of a request's target, or before the host in one that is a whole URL."""
        query = head.data.find(b"?", start, end)
        if query >= 0 and forms.may_have_secret(head.data[query:end]):
            finding = forms.attempt(forms.parameters(head.data, query, end), head, "query", REMEDY)
            if finding is not None:
                return [finding]
        found = _USER_INFO.match(head.data, start, end) if head.data[start : start + 1] != b"/" else None
        if found is None:
            return []
        account, password = (
            forms.Field(b"user", found[1], *found.span(1)),
            forms.Field(b"pass", found[2], *found.span(2)),
        )
        finding = forms.attempt((account, password), head, "URL", REMEDY)
        return [finding] if finding else []

    def _answer(self, request: _Request, status: int, head: Head | None) -> None:
        if request is _PLAIN:
            return
        request.status = status
        for finding in request.findings:
            self._give(finding, outcome_of(status) if status else Outcome.UNKNOWN, head)
        for finding in request.forms:
            self._give(finding, _form_outcome(status), head)

    def _give(self, finding: Finding, outcome: Outcome, head: Head | None) -> None:
        if head is not None:
            add_frame(finding, head.frame)
        finding.outcome, finding.inferred = outcome, not self._heard
        self._given.append(finding)

    def _end(self) -> None:
        while self._unanswered:
            self._answer(self._unanswered.popleft(), 0, None)
        self.done = True

    def _taken(self) -> list[Finding]:
        given, self._given = self._given, []
        return given


_FIELDS = {"form": forms.parameters, "multipart form": forms.parts, "JSON": forms.members}


def _form(lower: bytes) -> str:
    """The kind of body that a head in lower case announces, if fields can be read out of it."""
    found = _TYPE.search(lower) if b"\ncontent-type" in lower else None
    if found is None:
        return ""
    if found[1].startswith(b"application/x-www-form-urlencoded"):
        return "form"
    if found[1].startswith(b"multipart/form-data"):
        return "multipart form"
    return "JSON" if re.match(rb"(application|text)/([a-z0-9.+-]*\+)?json", found[1]) else ""


def _form_outcome(status: int) -> Outcome:
    return Outcome.REFUSED if status in _REFUSED_FORM else Outcome.UNKNOWN


PROTOCOLS = (
    Plaintext(
        "http",
        "HTTP",
        HttpParser,
        tcp_ports=(80, 3128, 8080),
        patterns=(
            Pattern(rb"^[A-Z][A-Z-]{2,15} [^\r\n ]{1,950} HTTP/1\.[01]\r?\n", Sender.CLIENT),
            Pattern(rb"^[A-Z][A-Z-]{2,15} (/|https?://)[^\r\n ]{940}", Sender.CLIENT),
            Pattern(rb"^HTTP/1\.[01] \d{3}[ \r]", Sender.SERVER),
        ),
        triggers=(*forms.SIGNS, b"authorization", rb" \w{2,10}://[^/?#\s]{1,300}@"),
    ),
)
