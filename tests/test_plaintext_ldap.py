"""LDAP binds. Oracles: tshark 4.0 on the same bytes and on real captures; RFC 4511, by which tests.craft_logins
writes."""

from __future__ import annotations

from pathlib import Path

import pytest

from spanline.plaintext.parsers.ldap import Ldap
from tests import tshark
from tests.attempts import Told, assert_tells
from tests.captured_pieces import captured, on_ports
from tests.craft_logins import (
    ber,
    integer,
    ldap_answer,
    ldap_bind,
    ldap_sasl,
    ldap_simple,
    ntlm_authenticate,
    written,
)
from tests.pieces import CLIENT, SERVER, Dialogue, one_side

NAME, PASSWORD = b"cn=admin,dc=example,dc=com", b"S3cret!"
WRONG = ("simple bind", NAME.decode(), b"guess", "refused")
RIGHT = ("simple bind", NAME.decode(), PASSWORD, "accepted")
START_TLS = ber(0x30, integer(1), ber(0x77, ber(0x80, b"1.3.6.1.4.1.1466.20037")))
NTLM = ntlm_authenticate("CORP", "alice", bytes(60))

BINDS: Dialogue = [
    (CLIENT, ldap_simple(1, NAME, b"guess")),
    (SERVER, ldap_answer(1, 49)),
    (CLIENT, ldap_simple(2, NAME, PASSWORD)),
    (SERVER, ldap_answer(2, 0)),
]

CASES: dict[str, tuple[Dialogue, list[Told]]] = {
    "refused, then accepted": (BINDS, [WRONG, RIGHT]),
    "answered in another order": ([BINDS[0], BINDS[2], BINDS[3], BINDS[1]], [RIGHT, WRONG]),
    "only the client": (one_side(BINDS, CLIENT), [(*WRONG[:3], "unknown"), (*RIGHT[:3], "unknown")]),
    "only the server": (one_side(BINDS, SERVER), []),
    "anonymous": ([(CLIENT, ldap_simple(1, b"", b"")), (SERVER, ldap_answer(1, 0))], []),
    "a name without a password": ([(CLIENT, ldap_simple(1, NAME, b""))], []),
    "StartTLS": ([(CLIENT, START_TLS), (SERVER, ldap_answer(1, 0, 0x78)), *BINDS], []),
    "StartTLS that is refused": ([(CLIENT, START_TLS), (SERVER, ldap_answer(1, 2, 0x78)), *BINDS], [WRONG, RIGHT]),
    "SASL PLAIN": (
        [(CLIENT, ldap_sasl(3, b"PLAIN", b"\0alice\0S3cret!")), (SERVER, ldap_answer(3, 0))],
        [("SASL PLAIN", "alice", PASSWORD, "accepted")],
    ),
    "CRAM-MD5": (
        [
            (CLIENT, ldap_bind(1, b"", ber(0xA3, ber(4, b"CRAM-MD5")))),
            (SERVER, ldap_answer(1, 14)),
            (CLIENT, ldap_sasl(2, b"CRAM-MD5", b"alice " + b"0123456789abcdef" * 2)),
            (SERVER, ldap_answer(2, 0)),
        ],
        [("SASL CRAM-MD5", "alice", None, "accepted")],
    ),
    "GSS-SPNEGO with NTLM": (
        [(CLIENT, ldap_sasl(4, b"GSS-SPNEGO", ber(0xA1, NTLM))), (SERVER, ldap_answer(4, 49))],
        [("SASL GSS-SPNEGO, NTLMSSP v2", "CORP\\alice", None, "refused")],
    ),
    "Sicily": (
        [(CLIENT, ldap_bind(5, b"alice", ber(0x8B, NTLM))), (SERVER, ldap_answer(5, 0))],
        [("SASL NTLM, NTLMSSP v2", "CORP\\alice", None, "accepted")],
    ),
    "TLS on the port": ([(CLIENT, b"\x16\x03\x01\x02\x00\x01"), *BINDS], []),
}


@pytest.mark.parametrize("case", CASES)
def test_binds(case: str) -> None:
    dialogue, expected = CASES[case]
    assert_tells(Ldap, dialogue, expected)


def test_tshark_reads_the_same(tmp_path: Path) -> None:
    capture = written(tmp_path / "ldap.pcap", BINDS, 389)
    assert tshark.fields(capture, "ldap.simple", "ldap.name", "ldap.simple") == [
        (NAME.decode(), "guess"),
        (NAME.decode(), "S3cret!"),
    ]
    assert tshark.fields(capture, "ldap.resultCode", "ldap.resultCode") == [("49",), ("0",)]


@pytest.mark.parametrize(
    ("capture", "accounts"),
    [
        ("ldap__suricata-verify__krb5-frag.pcap", ["dom.test.lo.com\\user01"]),
        # Its CRAM-MD5 bind ends with the server's challenge; the others are Kerberos, in SPNEGO.
        ("ldap__suricata-verify__ldap.pcap", []),
        ("ldap__zeek__missing_ldap_logs.pcapng", []),
        ("ldap__zeek__ldap-max-recursion.pcap", []),
    ],
)
def test_real_captures(captures: Path, capture: str, accounts: list[str]) -> None:
    """Oracle: tshark's ldap.authentication, ldap.mechanism and ntlmssp.auth.username of them."""
    path = captures / "plaintext" / capture
    found = captured(path, Ldap, on_ports(389, 3268))
    assert [finding.account for finding in found] == accounts
    names = tshark.fields(path, "ntlmssp.auth.username", "ntlmssp.auth.domain", "ntlmssp.auth.username")
    assert [finding.account for finding in found] == ["\\".join(name) for name in names]
    assert not tshark.fields(path, "ldap.simple", "ldap.simple")
