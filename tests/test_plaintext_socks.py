"""SOCKS logins. Oracles: tshark 4.0 on the same bytes and on real captures; RFC 1928 and RFC 1929."""

from __future__ import annotations

from pathlib import Path

import pytest

from spanline.plaintext.parsers.socks import Socks
from tests import tshark
from tests.attempts import Told, assert_tells
from tests.captured_pieces import captured, on_ports
from tests.craft_logins import socks_password, written
from tests.pieces import CLIENT, SERVER, Dialogue, one_side

REQUEST = b"\x05\x01\0\x01\x0a\0\0\x01\0\x50"
LOGIN: Dialogue = [
    (CLIENT, b"\x05\x02\0\x02"),
    (SERVER, b"\x05\x02"),
    (CLIENT, socks_password(b"alice", b"S3cret!")),
    (SERVER, b"\x01\0"),
    (CLIENT, REQUEST),
]
ATTEMPT = ("username and password", "alice", b"S3cret!")

CASES: dict[str, tuple[Dialogue, list[Told]]] = {
    "accepted": (LOGIN, [(*ATTEMPT, "accepted")]),
    "refused": ([*LOGIN[:3], (SERVER, b"\x01\x01")], [(*ATTEMPT, "refused")]),
    "only the client": (one_side(LOGIN, CLIENT), [(*ATTEMPT, "unknown")]),
    "only the server": (one_side(LOGIN, SERVER), []),
    "nobody asks": ([LOGIN[0], (SERVER, b"\x05\0"), (CLIENT, REQUEST)], []),
    "nobody asks, only the client": ([LOGIN[0], (CLIENT, REQUEST)], []),
    "no method for it": ([(CLIENT, b"\x05\x01\0"), *LOGIN[1:]], []),
    "version 4": (
        [(CLIENT, b"\x04\x01\0\x50\x0a\0\0\x01alice\0"), (SERVER, b"\0\x5a\0\0\0\0\0\0")],
        [("user of SOCKS 4", "alice", None, "accepted")],
    ),
    "version 4 refused": (
        [(CLIENT, b"\x04\x01\0\x50\x0a\0\0\x01alice\0"), (SERVER, b"\0\x5d\0\0\0\0\0\0")],
        [("user of SOCKS 4", "alice", None, "refused")],
    ),
    "version 4 of nobody": ([(CLIENT, b"\x04\x01\0\x50\x0a\0\0\x01\0"), (SERVER, b"\0\x5a\0\0\0\0\0\0")], []),
    "TLS on the port": ([(CLIENT, b"\x16\x03\x01\0\5hello")], []),
}


@pytest.mark.parametrize("case", CASES)
def test_logins(case: str) -> None:
    dialogue, expected = CASES[case]
    assert_tells(Socks, dialogue, expected)


def test_tshark_reads_the_same(tmp_path: Path) -> None:
    capture = written(tmp_path / "socks.pcap", LOGIN, 1080)
    assert tshark.fields(capture, "socks.username", "socks.username", "socks.password") == [("alice", "S3cret!")]


@pytest.mark.parametrize(
    "capture", ["arkime__socks5-smtp-503", "bro__socks", "ja4__socks-https-example", "zeek__socks-with-ssl"]
)
def test_real_captures_without_a_login(captures: Path, capture: str) -> None:
    """Oracle: tshark shows no user in them, and no other method than none."""
    path = captures / "plaintext" / f"socks__{capture}.pcap"
    assert captured(path, Socks, on_ports(1080)) == []
    assert not any(any(row) for row in tshark.fields(path, "socks", "socks.username", "socks.password"))
