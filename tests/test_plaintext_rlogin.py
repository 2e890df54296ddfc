"""rlogin, rsh and rexec. Oracles: tshark 4.0 on the same bytes; RFC 1282, and a session as login(1) prints it."""

from __future__ import annotations

from pathlib import Path

import pytest

from spanline.plaintext.model import Parser
from spanline.plaintext.parsers.rlogin import Exec, Rlogin, Rsh
from tests import tshark
from tests.attempts import Told, assert_tells, attempts
from tests.craft_logins import written
from tests.pieces import CLIENT, SERVER, Dialogue, at, one_side, told

BEGIN = (CLIENT, b"\0alice\0root\0xterm/38400\0")
ASKS = (SERVER, b"\0Password: ")
TYPED = [(CLIENT, key.encode()) for key in "S3cret!\r"]
WELCOME = (SERVER, b"\r\nLast login: Mon Jan  1 from desk\r\n$ ")
WRONG = (SERVER, b"\r\nLogin incorrect\r\nlogin: ")
WINDOW = (CLIENT, b"\xff\xffss\0\x18\0\x50\0\0\0\0")
LOGIN: Dialogue = [BEGIN, ASKS, *TYPED, WELCOME]

RLOGIN: dict[str, tuple[Dialogue, list[Told]]] = {
    "accepted": (LOGIN, [("typed password", "root", b"S3cret!", "accepted")]),
    "another account after a refusal": (
        [
            BEGIN,
            ASKS,
            (CLIENT, b"guess\r"),
            WRONG,
            (CLIENT, b"bob\r"),
            (SERVER, b"bob\r\nPassword: "),
            *TYPED,
            WELCOME,
        ],
        [("typed password", "root", b"guess", "refused"), ("typed password", "bob", b"S3cret!", "accepted")],
    ),
    "corrected while it was typed": (
        [BEGIN, ASKS, (CLIENT, b"nonsense\x15S3ct\x7fret!\n"), WELCOME],
        [("typed password", "root", b"S3cret!", "accepted")],
    ),
    "a window that changes its size": (
        [BEGIN, ASKS, WINDOW, *TYPED[:3], WINDOW, *TYPED[3:], WELCOME],
        [("typed password", "root", b"S3cret!", "accepted")],
    ),
    "nobody asks": (
        [BEGIN, (SERVER, b"\0Last login: Mon Jan  1\r\n$ "), (CLIENT, b"ls\r")],
        [("user by name", "root", None, "accepted")],
    ),
    "refused at once": ([BEGIN, (SERVER, b"\1Permission denied.\r\n")], [("user by name", "root", None, "refused")]),
    "asked, and gone": ([BEGIN, ASKS], []),
    "only the client": (one_side(LOGIN, CLIENT), [("typed password", "root", b"S3cret!", "unknown")]),
    "only the server": (one_side(LOGIN, SERVER), []),
    "TLS on the port": ([(CLIENT, b"\x16\x03\x01\0\5hello")], []),
}

RSH = (CLIENT, b"1022\0alice\0root\0uptime\0")
REXEC = (CLIENT, b"0\0root\0S3cret!\0uptime\0")
OTHERS: dict[str, tuple[type[Parser], Dialogue, list[Told]]] = {
    "rsh": (Rsh, [RSH, (SERVER, b"\0 13:00 up 1 day")], [("user by name", "root", None, "accepted")]),
    "rsh refused": (Rsh, [RSH, (SERVER, b"\1Permission denied.\n")], [("user by name", "root", None, "refused")]),
    "rsh, only the client": (Rsh, [RSH], [("user by name", "root", None, "unknown")]),
    "rexec": (Exec, [REXEC, (SERVER, b"\0ok")], [("user and password", "root", b"S3cret!", "accepted")]),
    "rexec refused": (Exec, [REXEC, (SERVER, b"\1no\n")], [("user and password", "root", b"S3cret!", "refused")]),
    "syslog on the port of rsh": (Rsh, [(CLIENT, b"<34>Oct 11 22:14:15 host su: no\n" * 4)], []),
}


@pytest.mark.parametrize("case", RLOGIN)
def test_rlogin(case: str) -> None:
    """What is erased while it is typed, and what else comes between the keys, is in the span, but not in the secret."""
    dialogue, expected = RLOGIN[case]
    found = attempts(Rlogin, dialogue)
    assert [told(finding) for finding in found] == expected
    for finding in found:
        if finding.secret is not None:
            [span] = finding.spans
            assert set(finding.secret.reveal()) <= set(at(dialogue, span))
            assert b"\r" not in at(dialogue, span)


@pytest.mark.parametrize("case", OTHERS)
def test_rsh_and_rexec(case: str) -> None:
    parser, dialogue, expected = OTHERS[case]
    assert_tells(parser, dialogue, expected)


def test_tshark_reads_the_same(tmp_path: Path) -> None:
    rlogin = written(tmp_path / "rlogin.pcap", LOGIN, 513)
    assert tshark.fields(rlogin, "rlogin.server_user_name", "rlogin.client_user_name", "rlogin.server_user_name") == [
        ("alice", "root")
    ]
    rsh = written(tmp_path / "rsh.pcap", [RSH], 514)
    assert tshark.fields(rsh, "rsh", "rsh.client_username", "rsh.server_username") == [("alice", "root")]
    rexec = written(tmp_path / "rexec.pcap", [REXEC], 512)
    assert tshark.fields(rexec, "exec", "exec.username", "exec.password") == [("root", "S3cret!")]
