"""Logins in what browsers and programs send: fields of query strings, forms, multipart bodies and JSON.

Nothing says which field is a password but its name.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator
from typing import NamedTuple, Protocol
from urllib.parse import unquote_to_bytes

from spanline.plaintext.lines import text
from spanline.plaintext.model import Finding, Kind, Secret, Severity, Span

_PREFIX = rb"(?:j|os|log|login|user|usr|account|auth|my|web|admin|form|input|txt|new|old|current|confirm|client|x)?"
_PASSWORD = re.compile(
    rb".*(?:password|passwd|passwort|kennwort|motdepasse|contrasena|contrasenia|senha|passphrase|passcode)\d?"
    rb"|" + _PREFIX + rb"(?:pass|pwd|pw|psw|pswd|pin|secret)\d?"
)
_TOKEN = re.compile(rb"(?:access|auth|api|refresh|id|bearer|oauth)?token|apikey|accesskey|jwt")
_ACCOUNT = re.compile(
    _PREFIX + rb"(?:user(?:name|id|login)?|usr|uname|uid|login(?:name|id|email)?|e?mail(?:address)?|account(?:name|id)?"
    rb"|nick(?:name)?|identifier|id|name)|log"
)
_FLAGS = {b"0", b"1", b"true", b"false", b"on", b"off", b"yes", b"no", b"null"}
"""Values that make a field an option: "rememberpassword=1"."""

_PARAMETER = re.compile(rb"(?:^|[&;?])([^=&;]{1,128})=([^&;\s]*)")
_MEMBER = re.compile(rb'"((?:[^"\\]|\\.){1,128})"\s*:\s*(?:"((?:[^"\\]|\\.)*)"|(\d{1,32})\b)')
_DISPOSITION = re.compile(
    rb'content-disposition:\s*form-data\s*;[^\r\n]{0,200}?\bname="([^"\r\n]{1,128})"([^\r\n]*)', re.I
)
_MOST_FIELDS = 512

SIGNS = (b"pass", b"pwd", b"pw", b"psw", b"pin", b"secret", b"token", b"key", b"jwt", b"wort", b"senha", b"contrase")
"""The name of a secret has one of these in it."""


class Place(Protocol):
    """Bytes that know where in a stream they stand."""

    data: bytes
    time: int

    def where(self, start: int, end: int) -> tuple[tuple[Span, ...], int]: ...


class Field(NamedTuple):
    """A name in lower case without what is neither letter nor digit, a value, and where in the bytes it stands."""

    name: bytes
    value: bytes
    start: int
    end: int


def may_have_secret(octets: bytes) -> bool:
    """Whether it is worth to look at the fields one by one."""
    lower = octets.lower()
    return any(sign in lower for sign in SIGNS)


def parameters(octets: bytes, start: int = 0, end: int | None = None) -> Iterator[Field]:
    """application/x-www-form-urlencoded, as bodies and query strings are."""
    for found in _PARAMETER.finditer(octets, start, len(octets) if end is None else end):
        value = unquote_to_bytes(found[2].replace(b"+", b" "))
        yield Field(_plain(unquote_to_bytes(found[1])), value, *found.span(2))


def members(octets: bytes) -> Iterator[Field]:
    """JSON (RFC 8259): the members of all objects whose values are texts or numbers."""
    for found in _MEMBER.finditer(octets):
        group = 2 if found[2] is not None else 3
        value = found[group]
        if b"\\" in value:
            try:
                value = json.loads(b'"' + value + b'"').encode("utf-8", "replace")
            except ValueError:
                continue
        yield Field(_plain(found[1]), value, *found.span(group))


def parts(octets: bytes) -> Iterator[Field]:
    """multipart/form-data (RFC 7578), but for files."""
    for found in _DISPOSITION.finditer(octets):
        start = octets.find(b"\r\n\r\n", found.end()) + 4
        end = octets.find(b"\r\n--", start)
        if start >= 4 and end >= 0 and b"filename" not in found[2].lower():
            yield Field(_plain(found[1]), octets[start:end], start, end)


def attempt(fields: Iterable[Field], place: Place, scheme: str, remedy: str) -> Finding | None:
    """The login that the fields are, if they are one: one password, else one token, and an account beside it."""
    account, password, token = b"", None, None
    places: list[Field] = []
    for count, field in enumerate(fields):
        if count == _MOST_FIELDS:
            break
        if not field.value:
            continue
        if _is_password(field):
            password = password or field
            places.append(field)
        elif _TOKEN.fullmatch(field.name):
            token = token or field
            places.append(field)
        elif not account and _ACCOUNT.fullmatch(field.name):
            account = field.value
    secret = password or token
    if secret is None:
        return None
    spans: tuple[Span, ...] = ()
    frames: tuple[int, ...] = ()
    for field in places:
        found, frame = place.where(field.start, field.end)
        spans += found
        frames += (frame,) if frame not in frames else ()
    return Finding(
        Kind.CREDENTIAL,
        place.time,
        frames,
        scheme if password else f"{scheme}, token",
        Severity.HIGH if password else Severity.MEDIUM,
        remedy,
        account=text(account),
        secret=Secret(secret.value),
        spans=spans,
    )


def _is_password(field: Field) -> bool:
    if not _PASSWORD.fullmatch(field.name):
        return False
    return field.name in (b"password", b"passwd", b"pass", b"pwd", b"pin") or field.value.lower() not in _FLAGS


_LETTERS = bytes(c for c in range(256) if not (48 <= c <= 57 or 65 <= c <= 90 or 97 <= c <= 122 or c >= 128))


def _plain(name: bytes) -> bytes:
    """ "user[pass_word]" is "password"; "$" and "." part names in ASP.NET and Java, ":" in JSF."""
    last = re.split(rb"[\[.$:/]", name.rstrip(b"]"))[-1]
    return last.translate(None, _LETTERS).lower()
