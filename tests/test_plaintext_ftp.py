"""FTP logins.

Oracles: RFC 959 section 5.4 (which reply may follow which command), RFC 4217 section 4; `tshark -z credentials`.
"""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given

from spanline.plaintext.lines import LONGEST
from spanline.plaintext.model import Severity
from spanline.plaintext.parsers.ftp import FtpParser
from tests.captured_pieces import captured, on_ports
from tests.pieces import (
    CLIENT,
    CUTS,
    NOISE,
    QUICKLY,
    SERVER,
    Dialogue,
    assert_bounded,
    assert_harmless,
    assert_same_in_any_cut,
    expected_credentials,
    findings,
    one_side,
    secrets_of,
    tells,
)

SCHEME = "USER and PASS"


def said(*lines: str) -> Dialogue:
    """Those that begin with a digit are the server's, but for hyphens' sake all lines up to the next client's."""
    return [(SERVER if line[:1].isdigit() else CLIENT, line.encode() + b"\r\n") for line in lines]


LOGIN = said("220 ready", "USER ann", "331 password", "PASS s3cret", "230 in", "SYST", "215 UNIX")


@pytest.mark.parametrize(
    ("lines", "expected"),
    [
        (LOGIN, [(SCHEME, "ann", b"s3cret", "accepted")]),
        (
            said(
                "220-a", "220 b", "USER ann", "331 x", "PASS one", "530 no", "USER ann", "331 x", "PASS two", "230 in"
            ),
            [(SCHEME, "ann", b"one", "refused"), (SCHEME, "ann", b"two", "accepted")],
        ),
        (
            said(
                "220 a",
                "USER a\r\nPASS b\r\nSYST\r\nUSER c\r\nPASS d",
                "331 x",
                "530 no",
                "530 login",
                "331 x",
                "230 in",
            ),
            [(SCHEME, "a", b"b", "refused"), (SCHEME, "c", b"d", "accepted")],
        ),
        (
            said("220 a", "USER ann", "331 x", "PASS b", "332 account", "ACCT money", "230 in"),
            [(SCHEME, "ann", b"b", "accepted")],
        ),
        (said("220 a", "USER ann", "331 x", "PASS b", "332 account"), [(SCHEME, "ann", b"b", "unknown")]),
        (said("220 a", "USER ann", "230 in"), [("USER", "ann", None, "accepted")]),
        (said("220 a", "USER root", "530 not root"), [("USER", "root", None, "refused")]),
        (said("220 a", "USER ann", "331 x", "PASS ", "202 in"), [(SCHEME, "ann", b"", "accepted")]),
        (said("220 a", "user ann", "331 x", "pass two words ", "421 bye"), [(SCHEME, "ann", b"two words ", "refused")]),
        (
            said("USER a", "331 x", "PASS b", "230 in", "REIN", "220 again", "PASS c", "503 USER first"),
            [(SCHEME, "a", b"b", "accepted"), (SCHEME, "", b"c", "refused")],
        ),
        (said("220 a", "AUTH TLS", "234 go", "USER ann", "331 x", "PASS never", "230 in"), []),
        (
            said("220 a", "AUTH TLS", "502 no", "USER ann", "331 x", "PASS b", "230-a", "230-USER x", "230 in"),
            [(SCHEME, "ann", b"b", "accepted")],
        ),
        (said("220 a", "USER ann", "331 x", "QUIT", "221 bye"), []),
        (
            said("220 a", "USER ann", "331 x", "PASS b", "150 odd", "230 in", "LIST", "150 here", "226 done"),
            [(SCHEME, "ann", b"b", "accepted")],
        ),
        ([(SERVER, b"220 a\r\n"), (CLIENT, b"\x16\x03\x01\x02\x00\x01\nPASS x\r\n")], []),
    ],
)
def test_an_attempt_has_the_answer_that_is_its_own(lines: Dialogue, expected: list[tuple[object, ...]]) -> None:
    assert tells(FtpParser, lines) == expected
    for lengths in ([1], [2, 5], [13]):
        assert_same_in_any_cut(FtpParser, lines, lengths)


def test_where_an_attempt_stands() -> None:
    (finding,) = findings(FtpParser, LOGIN)
    assert finding.frames == (2, 4, 5)
    assert secrets_of(finding, LOGIN) == [b"s3cret"]
    assert (finding.severity, finding.inferred, finding.detail) == (Severity.HIGH, False, "")


@pytest.mark.parametrize("user", ["anonymous", "FTP"])
def test_the_account_of_everybody_is_no_danger(user: str) -> None:
    (finding,) = findings(FtpParser, said("220 a", f"USER {user}", "331 x", "PASS me@example.org", "230 in"))
    assert finding.severity == Severity.LOW
    assert "me@example.org" not in repr(finding)


def test_the_client_alone_tells_account_and_secret() -> None:
    (finding,) = findings(FtpParser, one_side(LOGIN, CLIENT))
    assert (finding.account, finding.inferred, finding.outcome) == ("ann", True, "unknown")
    assert findings(FtpParser, one_side(LOGIN, SERVER)) == []


def test_many_attempts_without_an_answer_are_all_given() -> None:
    many = [(CLIENT, f"USER u{n}\r\nPASS p{n}\r\n".encode()) for n in range(100)]
    assert [account for _, account, _, _ in tells(FtpParser, many)] == [f"u{n}" for n in range(100)]


def test_a_line_that_is_too_long_or_has_no_end_says_so() -> None:
    for end in (b"a" * LONGEST, b"ab"):
        (finding,) = findings(FtpParser, [(CLIENT, b"USER ann\r\nPASS " + end)])
        assert finding.detail == "not captured whole"


@QUICKLY
@given(CUTS)
def test_any_cut_tells_the_same(lengths: list[int]) -> None:
    assert_same_in_any_cut(FtpParser, LOGIN, lengths)


@QUICKLY
@given(NOISE, CUTS)
def test_noise_raises_nothing(noise: Dialogue, lengths: list[int]) -> None:
    assert_harmless(FtpParser, noise, [b"USER ", b"331 ", b"PASS ", b"332-", b"ACCT ", b"230 "], lengths)


def test_endless_input_is_not_kept() -> None:
    assert_bounded(FtpParser, [b"USER a\r\n", b"PASS b\r\n", b"332 \r\n", b"\xff", b"230-\n"])


def test_captures_tell_what_tshark_finds(captures: Path) -> None:
    theirs = expected_credentials(captures, "FTP")
    assert theirs
    for capture, rows in theirs.items():
        ours = {
            (finding.frames[1], finding.account) for finding in captured(captures / capture, FtpParser, on_ports(21))
        }
        assert ours >= set(rows), capture
