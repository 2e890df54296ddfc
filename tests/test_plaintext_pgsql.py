"""PostgreSQL logins. Oracles: tshark 4.0 on the same bytes and on real captures; PostgreSQL's documentation, 55.2 and
55.7."""

from __future__ import annotations

from pathlib import Path
from struct import pack

import pytest

from spanline.plaintext.parsers.pgsql import PostgreSql
from tests import tshark
from tests.attempts import Told, assert_tells
from tests.captured_pieces import captured, on_ports
from tests.craft_logins import SSL_REQUEST, pgsql, pgsql_asks, pgsql_error, pgsql_startup, written
from tests.pieces import CLIENT, SERVER, Dialogue, one_side

STARTUP = pgsql_startup(user=b"alice", database=b"shop")
ASKS_TLS = pack(">II", 8, SSL_REQUEST)
PASSWORD = pgsql(b"p", b"S3cret!\0")
MD5 = pgsql(b"p", b"md5" + b"0123456789abcdef" * 2 + b"\0")
SCRAM = pgsql(b"p", b"SCRAM-SHA-256\0" + pack(">I", 8) + b"n,,n=,r=")
OK, DENIED = pgsql_asks(0), pgsql_error(b"28P01")
CLEARTEXT, CHALLENGE, SASL = pgsql_asks(3), pgsql_asks(5, b"salt"), pgsql_asks(10, b"SCRAM-SHA-256\0\0")

LOGIN: Dialogue = [(CLIENT, STARTUP), (SERVER, CLEARTEXT), (CLIENT, PASSWORD), (SERVER, OK)]
PLAIN = ("cleartext password", "alice", b"S3cret!")

CASES: dict[str, tuple[Dialogue, list[Told]]] = {
    "accepted": (LOGIN, [(*PLAIN, "accepted")]),
    "refused": ([*LOGIN[:3], (SERVER, DENIED)], [(*PLAIN, "refused")]),
    "only the client": (one_side(LOGIN, CLIENT), [(*PLAIN, "unknown")]),
    "only the server": (one_side(LOGIN, SERVER), []),
    "no TLS to be had": ([(CLIENT, ASKS_TLS), (SERVER, b"N"), *LOGIN], [(*PLAIN, "accepted")]),
    "TLS": ([(CLIENT, ASKS_TLS), (SERVER, b"S"), (CLIENT, b"\x16\x03\x01\0\5hello"), *LOGIN], []),
    "TLS, only the client": ([(CLIENT, ASKS_TLS), (CLIENT, b"\x16\x03\x01\0\5hello")], []),
    "MD5": (
        [(CLIENT, STARTUP), (SERVER, CHALLENGE), (CLIENT, MD5), (SERVER, OK)],
        [("MD5", "alice", None, "accepted")],
    ),
    "MD5, only the client": ([(CLIENT, STARTUP), (CLIENT, MD5)], [("MD5", "alice", None, "unknown")]),
    "SCRAM": (
        [
            (CLIENT, STARTUP),
            (SERVER, SASL),
            (CLIENT, SCRAM),
            (SERVER, pgsql_asks(11, b"r=1,s=2,i=4096")),
            (CLIENT, pgsql(b"p", b"c=biws,r=1,p=3")),
            (SERVER, pgsql_asks(12, b"v=4")),
            (SERVER, OK),
        ],
        [("SCRAM", "alice", None, "accepted")],
    ),
    "nobody asks for a password": (
        [(CLIENT, STARTUP), (SERVER, OK), (CLIENT, pgsql(b"Q", b"select 1\0"))],
        [("no password", "alice", None, "accepted")],
    ),
    "a capture that begins later": ([(CLIENT, pgsql(b"Q", b"select 1\0"))], []),
}


@pytest.mark.parametrize("case", CASES)
def test_logins(case: str) -> None:
    dialogue, expected = CASES[case]
    assert_tells(PostgreSql, dialogue, expected)


def test_tshark_reads_the_same(tmp_path: Path) -> None:
    capture = written(tmp_path / "pgsql.pcap", LOGIN, 5432)
    assert tshark.fields(capture, "pgsql.parameter_value", "pgsql.parameter_value") == [("alice,shop",)]
    assert tshark.fields(capture, "pgsql.password", "pgsql.password") == [("S3cret!",)]


@pytest.mark.parametrize(
    ("capture", "attempts"),
    [
        ("PcapPlusPlus__postgres.pcapng", 1),
        ("arkime__postgres-no-sslrequest.pcap", 1),
        ("nDPI__pgsql.pcap", 3),
        ("suricata-verify__pgsql-cancel-request__input.pcap", 1),
        # The first of its two begins with a startup that the server answers with MD5, and goes on in TLS' place.
        ("suricata-verify__pgsql-ssl-rejected-md5-auth-simple-query__input.pcap", 1),
        ("zeek__greenhouse-app.pcap", 2),
        ("zeek__psql-create-insert-select-delete-drop.pcap", 1),
        ("zeek__psql-insert-fail-drop-fail.pcap", 1),
        ("zeek__psql-select-now.pcap", 1),
    ],
)
def test_real_captures(captures: Path, capture: str, attempts: int) -> None:
    """Oracle: the users in tshark's startup parameters; all captures show logins that succeed."""
    path = captures / "plaintext" / f"pgsql__{capture}"
    found = captured(path, PostgreSql, on_ports(5432))
    shown = tshark.fields(path, "pgsql.parameter_name == user", "pgsql.parameter_name", "pgsql.parameter_value")
    users = {dict(zip(names.split(","), values.split(","), strict=False))["user"] for names, values in shown}
    assert {finding.account for finding in found} == users
    assert [finding.outcome for finding in found] == ["accepted"] * attempts
