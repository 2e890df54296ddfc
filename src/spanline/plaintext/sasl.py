"""SASL mechanisms (RFC 4422) as far as they tell who logs in, and the secret where it can be read.

The tokens that the protocols carry go into an Exchange; what the server sends is never needed.
"""

from __future__ import annotations

import binascii
import json
import re
from collections.abc import Callable

from spanline.plaintext import ntlm
from spanline.plaintext.lines import Line, text
from spanline.plaintext.model import Finding, Kind, Secret, Severity

_Read = Callable[["Exchange", bytes], "Finding | None"]

_LONGEST_TOKEN = 16384

GUESSABLE = "Whoever records the answer can guess the password offline."


class Exchange:
    """One attempt with one mechanism.

    mechanism  as the protocol's command names it, in any case
    scheme     what the findings shall call it: "AUTH PLAIN"
    remedy     what to do about a password in the clear
    failed     the last token was no base64
    """

    def __init__(self, mechanism: str, scheme: str, remedy: str, line: Line) -> None:
        self.mechanism = mechanism.upper()
        self.scheme = scheme
        self.remedy = remedy
        self.failed = False
        self._user: bytes | None = None
        self._frames: tuple[int, ...] = (line.frame,)
        self._read = _MECHANISMS.get(self.mechanism)
        if self.mechanism.startswith("SCRAM-"):
            self._read = Exchange.scram
        elif self.mechanism.startswith("XYM"):
            self._read = Exchange.cookies

    def respond(self, token: bytes, line: Line, start: int = 0, end: int | None = None) -> Finding | None:
        """The client's next token, of bytes `start` to `end` of a line; a finding once it says who logs in, and how."""
        if line.frame not in self._frames:
            self._frames += (line.frame,)
        finding = self._read(self, token[:_LONGEST_TOKEN]) if self._read else None
        if finding is not None:
            finding.time, finding.frames = line.time, self._frames
            finding.spans = (line.span(start, end),)
            if not line.whole:
                finding.detail = "not captured whole"
        return finding

    def encoded(self, line: Line, start: int = 0, end: int | None = None) -> Finding | None:
        """The same for a token in base64, as most protocols write it; "=" is an empty one (RFC 4954 section 4)."""
        token = decode(line.data[start:end])
        self.failed = token is None
        return None if token is None else self.respond(token, line, start, end)

    def credential(self, account: bytes, secret: bytes) -> Finding:
        return Finding(
            Kind.CREDENTIAL,
            0,
            (),
            self.scheme,
            Severity.HIGH,
            self.remedy,
            account=text(account),
            secret=Secret(secret),
        )

    def challenge(self, account: str, severity: Severity, remedy: str) -> Finding:
        return Finding(Kind.CHALLENGE, 0, (), self.scheme, severity, remedy, account=account)

    def plain(self, token: bytes) -> Finding | None:
        """RFC 4616: authorization identity, account and password, with NUL between."""
        parts = token.split(b"\0", 2)
        return self.credential(parts[1], parts[2]) if len(parts) == 3 and (parts[1] or parts[2]) else None

    def login(self, token: bytes) -> Finding | None:
        """draft-murchison-sasl-login-00: the account, then the password."""
        if self._user is None:
            self._user = token
            return None
        return self.credential(self._user, token)

    def cram_md5(self, token: bytes) -> Finding | None:
        """RFC 2195: the account, a space, 32 hexadecimal digits."""
        account, _, digest = token.rpartition(b" ")
        return self.challenge(text(account), Severity.MEDIUM, self._weak()) if account and len(digest) == 32 else None

    def digest_md5(self, token: bytes) -> Finding | None:
        """RFC 2831 section 2.1.2: directives as those of HTTP's Digest."""
        answer = digest_answer(token)
        return self.challenge(at_realm(*answer), Severity.MEDIUM, self._weak()) if answer else None

    def ntlm(self, token: bytes) -> Finding | None:
        """[MS-NLMP], alone or inside SPNEGO. Who answers a challenge is told by the third message."""
        said = ntlm.authenticate(ntlm.find(token))
        if said is None:
            return None
        finding = said.finding(0, ())
        finding.scheme = f"{self.scheme}, {said.scheme}"
        return finding

    def scram(self, token: bytes) -> Finding | None:
        """RFC 5802 section 5.1: the first message names the account. What it proves is salted, and slow to guess."""
        found = re.match(rb"[nyp][^,]*,[^,]*,n=([^,]*),", token)
        if found is None:
            return None
        account = found[1].replace(b"=2C", b",").replace(b"=3D", b"=")
        return self.challenge(text(account), Severity.LOW, f"{self.remedy} {GUESSABLE}")

    def bearer(self, token: bytes) -> Finding | None:
        """RFC 7628 section 3.1 and XOAUTH2 of Google: pairs with \\x01 between; one is "auth=Bearer …"."""
        found = re.search(rb"\x01auth=[Bb]earer +([^\x01]+)\x01", token)
        if found is None:
            return None
        user = re.match(rb"(?:user=|[ny],a=)([^\x01,]*)", token)
        finding = self.credential(b"", found[1])
        finding.account = text(user[1]) if user and user[1] else token_account(found[1])
        return finding

    def cookies(self, token: bytes) -> Finding | None:
        """Yahoo's XYMPKI and its like: the cookies of a session of its web site, good for as long as that."""
        return self.credential(b"", token) if token else None

    def _weak(self) -> str:
        return f"{self.remedy} {GUESSABLE}"


_MECHANISMS: dict[str, _Read] = {
    "PLAIN": Exchange.plain,
    "LOGIN": Exchange.login,
    "CRAM-MD5": Exchange.cram_md5,
    "DIGEST-MD5": Exchange.digest_md5,
    "NTLM": Exchange.ntlm,
    "GSS-SPNEGO": Exchange.ntlm,
    "GSSAPI": Exchange.ntlm,
    "XOAUTH2": Exchange.bearer,
    "OAUTHBEARER": Exchange.bearer,
}


def decode(octets: bytes) -> bytes | None:
    """Base64, with or without its padding; None for what is none. "=" and nothing stand for nothing."""
    octets = octets.strip().rstrip(b"=")
    try:
        return binascii.a2b_base64(octets + b"=" * (-len(octets) % 4), strict_mode=True)
    except ValueError:
        return None


_DIRECTIVE = rb'(?:^|[,\s])%s\s*=\s*(?:"((?:[^"\\]|\\.)*)"|([^\s,"]+))'
_USER, _REALM, _RESPONSE = (
    re.compile(_DIRECTIVE % name, re.IGNORECASE | re.DOTALL) for name in (b"username", b"realm", b"response")
)


def directive(pattern: re.Pattern[bytes], directives: bytes) -> bytes:
    """The value of the first directive that the pattern is of, out of its quotes."""
    found = pattern.search(directives)
    if found is None:
        return b""
    return found[2] if found[1] is None else re.sub(rb"\\(.)", rb"\1", found[1], flags=re.DOTALL)


def digest_answer(directives: bytes) -> tuple[bytes, bytes] | None:
    """Account and realm of an answer to Digest (RFC 7616 section 3.4, RFC 2831); None for what is no answer."""
    user = directive(_USER, directives)
    return (user, directive(_REALM, directives)) if user and _RESPONSE.search(directives) else None


def at_realm(user: bytes, realm: bytes) -> str:
    """ "user@realm", or "user" where that has an @ or there is no realm."""
    return text(user + b"@" + realm if realm and b"@" not in user else user)


def token_account(token: bytes) -> str:
    """Whom a JSON Web Token is about (RFC 7519 section 4.1), unverified; "" where it is none, or says nothing."""
    parts = token.split(b".")
    if len(parts) != 3 or not token.startswith(b"eyJ"):
        return ""
    try:
        claims = json.loads(binascii.a2b_base64(parts[1].translate(_URL_SAFE) + b"=" * (-len(parts[1]) % 4)))
    except (ValueError, RecursionError):
        return ""
    for name in ("preferred_username", "email", "upn", "sub") if isinstance(claims, dict) else ():
        if isinstance(claims.get(name), str):
            return text(claims[name].encode("utf-8", "replace"))
    return ""


_URL_SAFE = bytes.maketrans(b"-_", b"+/")
