"""By what beginnings telnet is known. Oracles: beginnings of other protocols; Python's re beside hyperscan."""

from __future__ import annotations

import re

import pytest

from spanline.plaintext.model import Sender
from spanline.plaintext.parsers import protocols
from tests.craft_telnet import ANSWERS, CLIENT, OPTIONS, SERVER

TELNET_BEGINS = {
    "options": (SERVER, OPTIONS),
    "options of the client": (CLIENT, ANSWERS),
    "one option and text": (SERVER, b"\xff\xfd\x18\r\nlogin: "),
    "BusyBox without options": (SERVER, b"\r\n(none) login: "),
    "a banner": (SERVER, b"Welcome to the switch\r\n\r\nUser Access Verification\r\n\r\nUsername: "),
    "a question at once": (SERVER, b"Password: "),
    "German": (SERVER, b"Anlage 7\r\nBenutzername: "),
    "Chinese": (SERVER, "欢迎\r\n请输入 用户名:".encode()),
}
OTHERS_BEGIN = {
    "TLS": (CLIENT, b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03login: "),
    "SSH": (SERVER, b"SSH-2.0-OpenSSH_9.2p1\r\nlogin: "),
    "HTTP": (SERVER, b"HTTP/1.1 200 OK\r\nServer: a\r\n\r\nlogin: "),
    "HTTP's request": (CLIENT, b"POST /login HTTP/1.1\r\n\r\nlogin: bob"),
    "FTP": (SERVER, b"220 Please login: anonymous\r\n"),
    "SMTP": (SERVER, b"220 mail ESMTP\r\n250 AUTH LOGIN login: \r\n"),
    "POP3": (SERVER, b"+OK login: \r\n"),
    "IMAP": (SERVER, b"* OK login: \r\n"),
    "HTML": (SERVER, b"<html>\r\nlogin: "),
    "JPEG": (SERVER, b"\xff\xd8\xff\xe0\x00\x10JFIF"),
    "MP3": (SERVER, b"\xff\xfb\x90\x64\x00\x00login: "),
    "UTF-16": (SERVER, b"\xff\xfe1\x002\x003\x00"),
}


def beginning_matches(sender: Sender, data: bytes) -> bool:
    hyperscan = pytest.importorskip("hyperscan")
    [telnet] = [protocol for protocol in protocols() if protocol.name == "telnet"]
    patterns = [p.expression for p in telnet.patterns if p.sender in (None, sender)]
    database = hyperscan.Database()
    database.compile(expressions=patterns, flags=hyperscan.HS_FLAG_DOTALL | hyperscan.HS_FLAG_SINGLEMATCH)
    matches: list[int] = []
    database.scan(data, match_event_handler=lambda number, *_: matches.append(number))
    by_re = [p for p in patterns if re.search(p, data, re.DOTALL)]
    assert len(matches) == len(by_re), "hyperscan and re agree"
    return bool(matches)


@pytest.mark.parametrize("name", TELNET_BEGINS)
def test_telnet_is_known_by_its_beginning(name: str) -> None:
    assert beginning_matches(*TELNET_BEGINS[name])


@pytest.mark.parametrize("name", OTHERS_BEGIN)
def test_others_are_not_taken_for_it(name: str) -> None:
    assert not beginning_matches(*OTHERS_BEGIN[name])
