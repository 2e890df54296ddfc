"""SMTP logins, and mail in the clear.

Oracles: the dialogues of RFC 4954 section 4.3, RFC 2195, RFC 7628 section 4.1 and RFC 5802 section 5;
`tshark -z credentials`.
"""

from __future__ import annotations

from base64 import b64decode, b64encode
from pathlib import Path

import pytest
from hypothesis import given

from spanline.plaintext.model import Kind, Severity
from spanline.plaintext.parsers.smtp import SmtpParser
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


def said(*lines: str) -> Dialogue:
    return [(SERVER if line[:3].isdigit() else CLIENT, line.encode() + b"\r\n") for line in lines]


def coded(octets: bytes) -> str:
    return b64encode(octets).decode()


HELLO = ("220 smtp.example.com ESMTP", "EHLO client.example.com", "250-smtp.example.com", "250 AUTH PLAIN LOGIN")
LOGIN = said(*HELLO, "AUTH LOGIN", "334 VXNlcm5hbWU6", coded(b"ann"), "334 UGFzc3dvcmQ6", coded(b"s3cret"), "235 in")
PLAIN = ("AUTH PLAIN", "ann", b"b", "accepted")
MAIL = ("MAIL", "", None, "unknown")
# RFC 7628 section 4.1 and RFC 5802 section 5.
BEARER = (
    "bixhPXVzZXJAZXhhbXBsZS5jb20sAWhvc3Q9c2VydmVyLmV4YW1wbGUuY29tAXBvcnQ9MTQzAWF1dGg9QmVhcmVyIHZGOWRmdDRxbVRjMk52Yj"
    "NSbGNrQmhiSFJoZG1semRHRXVZMjl0Q2c9PQEB"
)
SCRAM = (
    "AUTH SCRAM-SHA-1 " + coded(b"n,,n=user,r=fyko+d2lbbFgONRv9qkxdawL"),
    *("334 cj0=", coded(b"c=biws,r=fyko,p=v0X8"), "334 dj0=", ""),
)
BOB = "AUTH PLAIN " + coded(b"\0ann\0b")


@pytest.mark.parametrize(
    ("lines", "expected"),
    [
        (said(*HELLO, "AUTH PLAIN dGVzdAB0ZXN0ADEyMzQ=", "235 in"), [("AUTH PLAIN", "test", b"1234", "accepted")]),
        (said(*HELLO, "AUTH PLAIN", "334 ", "AHdlbGRvbgB3M2xkMG4=", "235 in"),
         [("AUTH PLAIN", "weldon", b"w3ld0n", "accepted")]),
        (LOGIN, [("AUTH LOGIN", "ann", b"s3cret", "accepted")]),
        (said(*HELLO, "AUTH LOGIN " + coded(b"ann"), "334 UGFzc3dvcmQ6", coded(b""), "535 no"),
         [("AUTH LOGIN", "ann", b"", "refused")]),
        (said(*HELLO, "AUTH LOGIN", "334 VXNlcm5hbWU6", "*", "501 cancelled", "QUIT", "221 bye"), []),
        (said(*HELLO, "AUTH LOGIN", "504 no", BOB, "235 in"), [PLAIN]),
        (said(*HELLO, "AUTH LOGIN", "334 VXNlcm5hbWU6", "QUIT", "334 UGFzc3dvcmQ6"), []),
        (said(*HELLO, "AUTH CRAM-MD5", "334 PDE4", "dGltIGI5MTNhNjAyYzdlZGE3YTQ5NWI0ZTZlNzMzNGQzODkw", "235 in"),
         [("AUTH CRAM-MD5", "tim", None, "accepted")]),
        (said(*HELLO, "AUTH XOAUTH2 " + coded(b"user=ann@x.org\x01auth=Bearer ya29.vF9\x01\x01"), "235 in"),
         [("AUTH XOAUTH2", "ann@x.org", b"ya29.vF9", "accepted")]),
        (said(*HELLO, "AUTH OAUTHBEARER " + BEARER, "535 no"),
         [("AUTH OAUTHBEARER", "user@example.com", b"vF9dft4qmTc2Nvb3RlckBhbHRhdmlzdGEuY29tCg==", "refused")]),
        (said(*HELLO, *SCRAM, "235 in"),
         [("AUTH SCRAM-SHA-1", "user", None, "accepted")]),
        (said(*HELLO, "STARTTLS", "220 go", "EHLO x", "250 x", "AUTH PLAIN " + coded(b"\0ann\0never"), "235 in"), []),
        (said(*HELLO, "STARTTLS", "454 no", BOB, "235 in"), [PLAIN]),
        (said(*HELLO, "MAIL FROM:<a@b>", "530 login", BOB, "235 in",
              "MAIL FROM:<a@b>", "250 ok", "RSET", "250 ok", "MAIL FROM:<a@b>", "250 ok"), [PLAIN, MAIL]),
        (said(*HELLO, "MAIL FROM:<a@b>\r\nRCPT TO:<c@d>\r\nDATA", "250 ok", "250 ok", "354 go",
              "AUTH PLAIN AGEAYg==\r\n..\r\nMAIL FROM:<x>\r\n.", "250 sent", BOB, "235 in"),
         [MAIL, PLAIN]),
        (said(*HELLO, "DATA", "354 go", ".", "250 empty", BOB, "235 in"), [PLAIN]),
        (said(*HELLO, "DATA", "503 no", BOB, "235 in"), [PLAIN]),
        (said(*HELLO, "BDAT 27 LAST\r\nAUTH PLAIN AGEAYg==\r\n12345\n" + BOB, "250 ok", "235 in"),
         [PLAIN]),
        (said(*HELLO, "AUTH GSSAPI", "334 ", "YIICdw==", "535 no"), []),
        (said(*HELLO, "AUTH PLAIN =", "501 what"), []),
    ],
)  # fmt: skip
def test_an_attempt_has_the_answer_that_is_its_own(lines: Dialogue, expected: list[tuple[object, ...]]) -> None:
    assert tells(SmtpParser, lines) == expected
    for lengths in ([1], [2, 5], [13]):
        assert_same_in_any_cut(SmtpParser, lines, lengths)


def test_where_an_attempt_stands() -> None:
    (finding,) = findings(SmtpParser, LOGIN)
    assert finding.frames == (5, 7, 9, 10)
    assert [b64decode(octets) for octets in secrets_of(finding, LOGIN)] == [b"s3cret"]


def test_mail_in_the_clear_is_a_service() -> None:
    (finding,) = findings(SmtpParser, said(*HELLO, "MAIL FROM:<a@b>", "250 ok"))
    assert (finding.kind, finding.severity, finding.frames) == (Kind.SERVICE, Severity.LOW, (5, 6))


def test_the_client_alone_tells_account_secret_and_service() -> None:
    mail = said("MAIL FROM:<a@b>", "DATA", "AUTH PLAIN AGEAYg==\r\n.", "MAIL FROM:<a@b>", "QUIT")
    found = findings(SmtpParser, one_side([*LOGIN, *mail], CLIENT))
    assert [(one.kind, one.account) for one in found] == [("credential", "ann"), ("service", "")]
    assert all(one.inferred and one.outcome == "unknown" for one in found)


def test_one_service_is_told_of_many_mails_that_nobody_answers() -> None:
    found = findings(SmtpParser, [(CLIENT, b"MAIL FROM:<a@b>\r\n")] * 100)
    assert [one.kind for one in found] == ["service"]


@QUICKLY
@given(CUTS)
def test_any_cut_tells_the_same(lengths: list[int]) -> None:
    mail = said("MAIL FROM:<a@b>", "250 ok", "DATA", "354 go", "AUTH PLAIN AGEAYg==\r\n.", "250 ok")
    assert_same_in_any_cut(SmtpParser, [*mail, *LOGIN], lengths)


@QUICKLY
@given(NOISE, CUTS)
def test_noise_raises_nothing(noise: Dialogue, lengths: list[int]) -> None:
    begins = [
        b"AUTH LOGIN\r\n",
        b"334 ",
        b"DATA\r\n",
        b"354 \r\n",
        b"BDAT 9\r\n",
        b"250-",
        b"AUTH PLAIN ",
        b"MAIL FROM:",
    ]
    assert_harmless(SmtpParser, noise, begins, lengths)


def test_endless_input_is_not_kept() -> None:
    assert_bounded(
        SmtpParser, [b"AUTH LOGIN\r\n", b"AUTH NTLM\r\nYWJj\r\n", b"DATA\r\n", b"BDAT 9999\n", b"\xff", b"250-\n"]
    )


def test_captures_tell_what_tshark_finds(captures: Path) -> None:
    theirs = expected_credentials(captures, "SMTP")
    assert theirs
    for capture, rows in theirs.items():
        found = captured(captures / capture, SmtpParser, on_ports(25, 587))
        ours = {(frame, one.account) for one in found for frame in one.frames}
        # tshark names the frame before the password's, and the account as it is sent.
        assert ours >= {(frame, b64decode(account).decode()) for frame, account in rows}, capture
