"""What stands in Authorization and Proxy-Authorization: RFC 9110 section 11. HTTP, RTSP and SIP share it."""

from __future__ import annotations

import re
from collections.abc import Iterator
from itertools import islice

from spanline.plaintext import ntlm
from spanline.plaintext.lines import text
from spanline.plaintext.messages import Head
from spanline.plaintext.model import Finding, Kind, Outcome, Secret, Severity
from spanline.plaintext.sasl import GUESSABLE, at_realm, decode, digest_answer, token_account

_HEADER = re.compile(rb"\n(proxy-)?authorization[ \t]*:[ \t]*([a-z0-9-]+)[ \t]+([^\r\n]*)")
_MOST = 4
_BEARERS = {b"bearer", b"token", b"apikey", b"api-key"}


def authorizations(head: Head, lower: bytes, remedy: str, *, realm: bool = False) -> Iterator[Finding]:
    """The attempts that the head of a request makes; `lower` is its bytes in lower case.

    remedy  what to do about a password in the clear
    realm   accounts of Digest are written with their realm: "user@realm"
    """
    if b"authorization" not in lower:
        return
    for found in islice(_HEADER.finditer(lower), _MOST):
        start, end = found.span(3)
        value = head.data[start:end].rstrip()
        finding = _attempt(found[2], value, remedy, realm)
        if finding is not None:
            name = head.data[found.start(2) : found.end(2)].decode("latin-1")
            finding.scheme = f"{'Proxy ' if found[1] else ''}{name}{finding.scheme}"
            finding.time, finding.frames = head.time, (head.frame,)
            finding.spans = (head.span(start, start + len(value)),)
            yield finding


def _attempt(scheme: bytes, value: bytes, remedy: str, realm: bool) -> Finding | None:
    if scheme == b"basic":
        return _basic(value, remedy)
    if scheme in _BEARERS:
        account = token_account(value)
        return _finding(Kind.CREDENTIAL, Severity.HIGH, remedy, account, value)
    if scheme == b"digest":
        answer = digest_answer(value)
        if answer is None:
            return None
        account = at_realm(*answer) if realm else text(answer[0])
        return _finding(Kind.CHALLENGE, Severity.MEDIUM, f"{remedy} {GUESSABLE}", account)
    if scheme in (b"ntlm", b"negotiate"):
        said = ntlm.authenticate(ntlm.find(decode(value) or b""))
        if said is None:
            return None
        finding = said.finding(0, ())
        finding.scheme = f", {said.scheme}"
        return finding
    return None


def _basic(value: bytes, remedy: str) -> Finding | None:
    """RFC 7617 section 2: account, colon and password in base64. Without a colon it is all secret: a token."""
    pair = decode(value)
    if not pair:
        return None
    account, colon, password = pair.partition(b":")
    if not colon:
        account, password = b"", pair
    return _finding(Kind.CREDENTIAL, Severity.HIGH, remedy, text(account), password)


def _finding(kind: Kind, severity: Severity, remedy: str, account: str, secret: bytes | None = None) -> Finding:
    return Finding(
        kind, 0, (), "", severity, remedy, account=account, secret=None if secret is None else Secret(secret)
    )


def outcome_of(status: int) -> Outcome:
    """Whether a response with this status let a request with an Authorization in.

    A server that fails, or does not understand, says nothing about the account.
    """
    if status in (401, 403, 407):
        return Outcome.REFUSED
    return Outcome.UNKNOWN if status in (400, 408, 429) or status >= 500 else Outcome.ACCEPTED
