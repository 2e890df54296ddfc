"""MySQL logins. Oracles: tshark 4.0 on the same bytes and on real captures; MySQL's documentation of the connection
phase."""

from __future__ import annotations

from pathlib import Path
from struct import pack

import pytest

from spanline.plaintext.model import Kind
from spanline.plaintext.parsers.mysql import MySql
from tests import tshark
from tests.attempts import Told, assert_tells
from tests.captured_pieces import captured, on_ports
from tests.craft_logins import mysql, mysql_denied, mysql_greeting, mysql_login, mysql_ok, written
from tests.pieces import CLIENT, SERVER, Dialogue, one_side

CLEAR, NATIVE, SHA2 = b"mysql_clear_password", b"mysql_native_password", b"caching_sha2_password"
GREETING, LOGIN = mysql_greeting(), mysql_login(b"alice", b"x" * 20)
TLS_REQUEST = mysql(1, pack("<IIB", 0x0800 | 0x200, 1 << 24, 33) + bytes(23))
SWITCH_TO_CLEAR = mysql(2, b"\xfe" + CLEAR + b"\0")
OLD_LOGIN = mysql(1, pack("<HBBB", 0x0085, 0, 0, 1) + b"alice\0abcdefgh\0")

SWITCHED: Dialogue = [
    (SERVER, GREETING),
    (CLIENT, LOGIN),
    (SERVER, SWITCH_TO_CLEAR),
    (CLIENT, mysql(3, b"S3cret!\0")),
    (SERVER, mysql_ok(4)),
]

CASES: dict[str, tuple[Dialogue, list[Told]]] = {
    "native password": (
        [(SERVER, GREETING), (CLIENT, LOGIN), (SERVER, mysql_ok(2))],
        [("mysql_native_password", "alice", None, "accepted")],
    ),
    "refused": (
        [(SERVER, GREETING), (CLIENT, LOGIN), (SERVER, mysql_denied(2))],
        [("mysql_native_password", "alice", None, "refused")],
    ),
    "only the client": ([(CLIENT, LOGIN)], [("mysql_native_password", "alice", None, "unknown")]),
    "only the server": (one_side(SWITCHED, SERVER), []),
    "cleartext after a switch": (SWITCHED, [("mysql_clear_password", "alice", b"S3cret!", "accepted")]),
    "cleartext at once": (
        [(SERVER, mysql_greeting(CLEAR)), (CLIENT, mysql_login(b"alice", b"S3cret!\0", CLEAR)), (SERVER, mysql_ok(2))],
        [("mysql_clear_password", "alice", b"S3cret!", "accepted")],
    ),
    "PAM of MariaDB": (
        [
            *SWITCHED[:2],
            (SERVER, mysql(2, b"\xfedialog\0\x04Password: ")),
            (CLIENT, mysql(3, b"S3cret!\0")),
            (SERVER, mysql_denied(4)),
        ],
        [("dialog", "alice", b"S3cret!", "refused")],
    ),
    "caching_sha2": (
        [
            (SERVER, mysql_greeting(SHA2)),
            (CLIENT, mysql_login(b"alice", b"x" * 32, SHA2)),
            (SERVER, mysql(2, b"\x01\x03")),
            (SERVER, mysql_ok(3)),
        ],
        [("caching_sha2_password", "alice", None, "accepted")],
    ),
    "no password": (
        [(SERVER, GREETING), (CLIENT, mysql_login(b"root", b"")), (SERVER, mysql_ok(2))],
        [("no password", "root", None, "accepted")],
    ),
    "before version 4.1": (
        [(SERVER, GREETING), (CLIENT, OLD_LOGIN), (SERVER, mysql_ok(2))],
        [("mysql_old_password", "alice", None, "accepted")],
    ),
    "TLS": ([(SERVER, GREETING), (CLIENT, TLS_REQUEST), (CLIENT, b"\x16\x03\x01\0\5hello")], []),
    "an error instead of a greeting": ([(SERVER, mysql(0, b"\xff\x6a\x04Host is not allowed"))], []),
    "a capture that begins later": ([(CLIENT, mysql(0, b"\x03select 1")), (SERVER, mysql(1, b"\x01\x03def"))], []),
}


@pytest.mark.parametrize("case", CASES)
def test_logins(case: str) -> None:
    dialogue, expected = CASES[case]
    assert_tells(MySql, dialogue, expected)


def test_tshark_reads_the_same(tmp_path: Path) -> None:
    capture = written(tmp_path / "mysql.pcap", SWITCHED, 3306)
    assert tshark.fields(capture, "mysql.user", "mysql.user", "mysql.client_auth_plugin") == [
        ("alice", NATIVE.decode())
    ]
    assert tshark.fields(capture, "mysql.auth_switch_request.name", "mysql.auth_switch_request.name") == [
        (CLEAR.decode(),)
    ]


@pytest.mark.parametrize(
    ("capture", "outcomes"),
    [
        ("arkime__mysql-deny.pcap", "refused"),
        ("arkime__no-syn-ack.pcap", "unknown"),
        ("nDPI__mysql.pcapng", "accepted"),
        ("nfstream__mysql-8.pcap", ""),
        ("zeek__auth.pcap", "refused " * 9 + "accepted"),
        ("zeek__caching_sha2_password-after-auth-switch.pcapng", "accepted"),
    ],
)
def test_real_captures(captures: Path, capture: str, outcomes: str) -> None:
    """Oracle: tshark's users, one login each, of requests for TLS none; and its answers 0x00 and 0xff."""
    path = captures / "plaintext" / f"mysql__{capture}"
    found = captured(path, MySql, on_ports(3306))
    assert [finding.outcome for finding in found] == outcomes.split()
    assert Kind.CREDENTIAL not in {finding.kind for finding in found}
    users = [user for (user,) in tshark.fields(path, "mysql.user", "mysql.user") if user]
    assert [finding.account for finding in found] == users
