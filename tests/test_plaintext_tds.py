"""Logins to SQL Server. Oracles: tshark 4.0 on the same bytes and on a real capture; [MS-TDS] section 2.2.6.4."""

from __future__ import annotations

from pathlib import Path

import pytest

from spanline.plaintext.parsers.tds import Tds
from tests import tshark
from tests.attempts import Told, attempts
from tests.captured_pieces import captured, on_ports
from tests.craft_logins import ntlm_authenticate, tds, tds_answer, tds_login7, written
from tests.pieces import CLIENT, SERVER, Dialogue, at, one_side, told

PRELOGIN = (CLIENT, tds(18, b"\0\0\x0b\0\6\1\0\x11\0\1\xff\x09\0\0\0\0\0\2"))
NO_TLS = (SERVER, tds(4, b"\0\0\x0b\0\6\1\0\x11\0\1\xff\x0f\0\0\0\0\0\2"))
LOGIN: Dialogue = [PRELOGIN, NO_TLS, (CLIENT, tds_login7("sa", "S3crét!")), (SERVER, tds_answer(0xAD))]
ATTEMPT = ("LOGIN7", "sa", "S3crét!".encode())
SYBASE = b"".join(
    word.ljust(30, b"\0") + bytes((len(word),)) for word in (b"desk", b"sa", b"S3cret!", b"process", b"isql")
) + bytes(300)
NTLM = ntlm_authenticate("CORP", "alice", bytes(90))

CASES: dict[str, tuple[Dialogue, list[Told]]] = {
    "accepted": (LOGIN, [(*ATTEMPT, "accepted")]),
    "refused": ([*LOGIN[:3], (SERVER, tds_answer(0xAA))], [(*ATTEMPT, "refused")]),
    "only the client": (one_side(LOGIN, CLIENT), [(*ATTEMPT, "unknown")]),
    "only the server": (one_side(LOGIN, SERVER), []),
    "TLS": ([PRELOGIN, NO_TLS, (CLIENT, tds(18, b"\x16\x03\x01\0\5hello")), *LOGIN[2:]], []),
    "TDS 8, TLS at once": ([(CLIENT, b"\x16\x03\x01\0\5hello")], []),
    "NTLM": (
        [(CLIENT, tds_login7("", "", b"NTLMSSP\0\1\0\0\0")), (CLIENT, tds(17, NTLM)), (SERVER, tds_answer(0xAD))],
        [("NTLMSSP v2", "CORP\\alice", None, "accepted")],
    ),
    "Sybase": (
        [(CLIENT, tds(2, SYBASE)), (SERVER, tds_answer(0xAD))],
        [("TDS 5 login", "sa", b"S3cret!", "accepted")],
    ),
    "a capture that begins later": ([(CLIENT, tds(1, "select 1".encode("utf-16-le")))], []),
}


@pytest.mark.parametrize("case", CASES)
def test_logins(case: str) -> None:
    dialogue, expected = CASES[case]
    assert [told(finding) for finding in attempts(Tds, dialogue)] == expected


def test_spans_are_of_the_bytes_on_the_wire() -> None:
    [finding] = attempts(Tds, LOGIN)
    [span] = finding.spans
    hidden = at(LOGIN, span)
    assert bytes(((n ^ 0xA5) >> 4 | (n ^ 0xA5) << 4) & 0xFF for n in hidden).decode("utf-16-le") == "S3crét!"


def test_tshark_reads_the_same(tmp_path: Path) -> None:
    capture = written(tmp_path / "tds.pcap", [(CLIENT, tds_login7("sa", "S3cret!"))], 1433)
    shown = tshark.fields(capture, "tds.7login.username", "tds.7login.username", "tds.7login.password")
    assert shown == [("sa", "S3cret!")]


def test_a_real_capture_without_a_login(captures: Path) -> None:
    path = captures / "plaintext" / "tds__nDPI__mssql_tds.pcap"
    assert captured(path, Tds, on_ports(1433)) == []
    assert not tshark.fields(path, "tds.7login.username", "tds.7login.username")
