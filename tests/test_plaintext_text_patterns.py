"""Text protocols are recognised by how a conversation begins, on any port, and taken for no other.

Oracles: greetings as servers send them, dialogues of the RFCs, and beginnings of what is none of them: TLS (RFC 8446),
SSH (RFC 4253), MySQL, telnet, BitTorrent.
"""

from __future__ import annotations

import re
from functools import cache
from re import _parser  # type: ignore[attr-defined]

import hyperscan
import pytest
from hypothesis import given
from hypothesis import strategies as st

from spanline.plaintext.model import Sender
from spanline.plaintext.parsers import protocols
from spanline.stages.plaintext import BEGINNING_BYTES
from tests.pieces import CLIENT, QUICKLY, SERVER

OURS = {"ftp", "pop", "imap", "smtp", "nntp", "irc", "rtsp", "http", "sip", "xmpp", "resp"}


@cache
def database(sender: Sender) -> tuple[list[str], hyperscan.Database]:
    """The patterns of text protocols for what `sender` sends."""
    wanted = [
        (protocol.name, pattern.expression)
        for protocol in protocols()
        if protocol.name in OURS
        for pattern in protocol.patterns
        if pattern.sender in (None, sender)
    ]
    compiled = hyperscan.Database()
    expressions = [expression for _, expression in wanted]
    flags = [hyperscan.HS_FLAG_DOTALL | hyperscan.HS_FLAG_SINGLEMATCH] * len(wanted)
    compiled.compile(expressions=expressions, ids=list(range(len(wanted))), flags=flags)
    return [name for name, _ in wanted], compiled


def recognised(sender: Sender, head: bytes) -> set[str]:
    names, compiled = database(sender)
    found: set[str] = set()
    compiled.scan(head[:BEGINNING_BYTES], match_event_handler=lambda number, *_: found.add(names[number]))
    return found


@pytest.mark.parametrize(
    ("sender", "head", "name"),
    [
        *((CLIENT, b"GET /%s HTTP/1.1\r\nHost: h\r\n" % (b"x" * size), "http") for size in (0, 949, 950, 2000)),
        (SERVER, b"220 (vsFTPd 3.0.5)\r\n", "ftp"),
        (SERVER, b"220-FileZilla Server 1.7\r\n220 x\r\n", "ftp"),
        (SERVER, b"220 pyftpdlib 1.5.9 ready.\r\n", "ftp"),
        (SERVER, b"220 hello\r\n331 Password required\r\n", "ftp"),
        (CLIENT, b"USER ann\r\nPASS x\r\nSYST\r\n", "ftp"),
        (SERVER, b"+OK Dovecot ready.\r\n", "pop"),
        (SERVER, b"+OK POP3 server ready <1896.697170952@dbc.mtview.ca.us>\r\n", "pop"),
        (CLIENT, b"CAPA\r\nUSER ann\r\nPASS x\r\nSTAT\r\n", "pop"),
        (SERVER, b"* OK [CAPABILITY IMAP4rev1 LITERAL+] Dovecot ready.\r\n", "imap"),
        (CLIENT, b"a001 LOGIN smith sesame\r\n", "imap"),
        (CLIENT, b"1 capability\r\n2 AUTHENTICATE PLAIN\r\n", "imap"),
        (SERVER, b"220 mx.example.com ESMTP Postfix\r\n", "smtp"),
        (CLIENT, b"EHLO client.example.com\r\n", "smtp"),
        (SERVER, b"200 news.example.com InterNetNews NNRP server ready\r\n", "nntp"),
        (CLIENT, b"MODE READER\r\nAUTHINFO USER fred\r\n", "nntp"),
        (CLIENT, b"PASS x\r\nNICK ann\r\nUSER ann 0 * :Ann\r\n", "irc"),
        (CLIENT, b"CAP LS 302\r\nNICK ann\r\n", "irc"),
        (SERVER, b":irc.example.com NOTICE * :*** Looking up your hostname\r\n", "irc"),
        (CLIENT, b"DESCRIBE rtsp://x/1 RTSP/1.0\r\nCSeq: 1\r\n", "rtsp"),
        (SERVER, b"RTSP/1.0 401 Unauthorized\r\n", "rtsp"),
        (CLIENT, b"PROPFIND /x HTTP/1.1\r\nHost: x\r\n", "http"),
        (CLIENT, b"GET / HTTP/1.0\r\n\r\n", "http"),
        (SERVER, b"HTTP/1.1 401 \r\n", "http"),
        (CLIENT, b"REGISTER sip:ss2.biloxi.example.com SIP/2.0\r\n", "sip"),
        (SERVER, b"SIP/2.0 401 Unauthorized\r\n", "sip"),
        (CLIENT, b"<?xml version='1.0'?><stream:stream to='x' xmlns='jabber:client'", "xmpp"),
        (CLIENT, b"*2\r\n$4\r\nAUTH\r\n$1\r\nx\r\n", "resp"),
        (CLIENT, b"AUTH x\r\nPING\r\n", "resp"),
    ],
)
def test_a_beginning_tells_one_protocol(sender: Sender, head: bytes, name: str) -> None:
    assert recognised(sender, head) == {name}


@pytest.mark.parametrize(
    "head",
    [
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03GET / HTTP/1.1\r\n",
        b"SSH-2.0-OpenSSH_9.6\r\n",
        b"\x4a\x00\x00\x00\x0a8.0.36\x00",
        b"\xff\xfb\x01\xff\xfd\x03login: ",
        b"\x13BitTorrent protocol",
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
        b"220",
        b"+OK\r\n",
        b"AUTH LOGIN\r\n",
        b"\r\nGET / HTTP/1.1\r\n",
    ],
)
def test_other_beginnings_tell_none(head: bytes) -> None:
    assert recognised(CLIENT, head) | recognised(SERVER, head) == set()


@QUICKLY
@given(st.binary(max_size=400))
def test_random_bytes_tell_none(head: bytes) -> None:
    assert recognised(CLIENT, head) | recognised(SERVER, head) == set()


def test_no_pattern_is_about_more_than_a_beginning() -> None:
    """Oracle: how long the matches of each are, by Python's `re`."""
    widths = {
        (protocol.name, pattern.expression): int(_parser.parse(pattern.expression, re.DOTALL).getwidth()[1])
        for protocol in protocols()
        for pattern in protocol.patterns
    }
    assert len(widths) > 40
    assert {one: width for one, width in widths.items() if width > BEGINNING_BYTES} == {}
