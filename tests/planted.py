"""A login to every protocol that shows its secret, for any account and secret: what redaction is tried on."""

from __future__ import annotations

from base64 import b64encode
from urllib.parse import quote_from_bytes

from tests.pieces import CLIENT, SERVER, Dialogue
from tests.planted_logins import LOGINS as BINARY
from tests.planted_logins import Login


def _lines(*lines: tuple[bool, bytes]) -> Dialogue:
    return [(CLIENT if by_client else SERVER, line + b"\r\n") for by_client, line in lines]


def _ftp(account: bytes, secret: bytes) -> Dialogue:
    return _lines((False, b"220 ready"), (True, b"USER " + account), (False, b"331 password"),
                  (True, b"PASS " + secret), (False, b"230 in"))  # fmt: skip


def _pop(account: bytes, secret: bytes) -> Dialogue:
    return _lines((False, b"+OK POP3 server ready"), (True, b"USER " + account), (False, b"+OK"),
                  (True, b"PASS " + secret), (False, b"+OK in"))  # fmt: skip


def _imap(account: bytes, secret: bytes) -> Dialogue:
    return _lines((False, b"* OK IMAP4rev1 ready"), (True, b'a1 LOGIN "' + account + b'" "' + secret + b'"'),
                  (False, b"a1 OK in"))  # fmt: skip


def _plain(account: bytes, secret: bytes) -> bytes:
    return b64encode(b"\0" + account + b"\0" + secret)


def _smtp(account: bytes, secret: bytes) -> Dialogue:
    return _lines((False, b"220 mail ESMTP"), (True, b"EHLO me"), (False, b"250-mail\r\n250 AUTH PLAIN LOGIN"),
                  (True, b"AUTH PLAIN " + _plain(account, secret)), (False, b"235 in"))  # fmt: skip


def _smtp_login(account: bytes, secret: bytes) -> Dialogue:
    return _lines((False, b"220 mail ESMTP"), (True, b"EHLO me"), (False, b"250 AUTH LOGIN"), (True, b"AUTH LOGIN"),
                  (False, b"334 VXNlcm5hbWU6"), (True, b64encode(account)), (False, b"334 UGFzc3dvcmQ6"),
                  (True, b64encode(secret)), (False, b"535 no"))  # fmt: skip


def _nntp(account: bytes, secret: bytes) -> Dialogue:
    return _lines((False, b"200 news"), (True, b"AUTHINFO USER " + account), (False, b"381 more"),
                  (True, b"AUTHINFO PASS " + secret), (False, b"281 in"))  # fmt: skip


def _irc(account: bytes, secret: bytes) -> Dialogue:
    return _lines((True, b"PASS " + secret), (True, b"NICK " + account), (True, b"USER me 0 * :" + account),
                  (False, b":irc 001 me :welcome"))  # fmt: skip


def _resp(account: bytes, secret: bytes) -> Dialogue:
    words = [b"AUTH", account, secret]
    command = b"*3\r\n" + b"".join(b"$%d\r\n%s\r\n" % (len(word), word) for word in words)
    return [(CLIENT, command), (SERVER, b"+OK\r\n")]


def _http(head: bytes, body: bytes = b"", status: bytes = b"200 OK") -> Dialogue:
    length = b"Content-Length: %d\r\n" % len(body) if body else b""
    answer = b"HTTP/1.1 " + status + b"\r\nContent-Length: 2\r\n\r\nok"
    return [(CLIENT, head + length + b"\r\n" + body), (SERVER, answer)]


def _basic(account: bytes, secret: bytes) -> Dialogue:
    credentials = b64encode(account + b":" + secret)
    return _http(b"GET / HTTP/1.1\r\nHost: a\r\nAuthorization: Basic " + credentials + b"\r\n")


def _bearer(account: bytes, secret: bytes) -> Dialogue:
    return _http(b"GET / HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer " + secret + b"\r\n")


def _form(account: bytes, secret: bytes) -> Dialogue:
    body = b"user=%s&password=%s" % tuple(quote_from_bytes(word, "").encode() for word in (account, secret))
    head = b"POST /login HTTP/1.1\r\nHost: a\r\nContent-Type: application/x-www-form-urlencoded\r\n"
    dialogue = _http(head, body, b"302 Found")
    # As browsers send it: the body in a segment of its own.
    at = len(dialogue[0][1]) - len(body)
    return [(CLIENT, dialogue[0][1][:at]), (CLIENT, body), dialogue[1]]


def _query(account: bytes, secret: bytes) -> Dialogue:
    words = tuple(quote_from_bytes(word, "").encode() for word in (account, secret))
    return _http(b"GET /a?login=%s&passwd=%s HTTP/1.1\r\nHost: a\r\n" % words)


def _rtsp(account: bytes, secret: bytes) -> Dialogue:
    head = b"DESCRIBE rtsp://a/ RTSP/1.0\r\nCSeq: 1\r\nAuthorization: Basic " + b64encode(account + b":" + secret)
    return [(CLIENT, head + b"\r\n\r\n"), (SERVER, b"RTSP/1.0 200 OK\r\nCSeq: 1\r\n\r\n")]


def _xmpp(account: bytes, secret: bytes) -> Dialogue:
    begin = (
        b"<?xml version='1.0'?><stream:stream xmlns='jabber:client' xmlns:stream='http://etherx.jabber.org/streams'>"
    )
    token = _plain(account, secret)
    return [
        (CLIENT, begin),
        (SERVER, begin),
        (CLIENT, b"<auth xmlns='urn:ietf:params:xml:ns:xmpp-sasl' mechanism='PLAIN'>" + token + b"</auth>"),
        (SERVER, b"<success xmlns='urn:ietf:params:xml:ns:xmpp-sasl'/>"),
    ]


def _telnet(account: bytes, secret: bytes) -> Dialogue:
    dialogue: Dialogue = [(SERVER, b"\xff\xfd\x18\xff\xfb\x01\xff\xfb\x03"), (SERVER, b"host login: ")]
    for key in account:
        dialogue = [*dialogue, (CLIENT, bytes((key,))), (SERVER, bytes((key,)))]
    dialogue = [*dialogue, (CLIENT, b"\r\0"), (SERVER, b"\r\nPassword: ")]
    dialogue = [*dialogue, *((CLIENT, bytes((key,))) for key in secret), (CLIENT, b"\r\0")]
    return [*dialogue, (SERVER, b"\r\nLast login: Mon Jan  1\r\n$ ")]


LOGINS: dict[str, Login] = {
    "ftp": Login("tcp", 21, _ftp),
    "pop": Login("tcp", 110, _pop),
    "imap": Login("tcp", 143, _imap),
    "smtp": Login("tcp", 25, _smtp),
    "smtp login": Login("tcp", 25, _smtp_login),
    "nntp": Login("tcp", 119, _nntp),
    "irc": Login("tcp", 6667, _irc),
    "resp": Login("tcp", 6379, _resp),
    "http": Login("tcp", 80, _basic),
    "http bearer": Login("tcp", 80, _bearer),
    "http form": Login("tcp", 80, _form),
    "http query": Login("tcp", 80, _query),
    "rtsp": Login("tcp", 554, _rtsp),
    "xmpp": Login("tcp", 5222, _xmpp),
    "telnet": Login("tcp", 23, _telnet),
    **BINARY,
}
"""By tshark's name of the protocol, and a word for another way to log in."""
