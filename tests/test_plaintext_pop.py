"""POP3 logins.

Oracles: the dialogues of RFC 1939 section 7, RFC 5034 section 4 and RFC 2195 section 2; `tshark -z credentials`.
"""

from __future__ import annotations

from base64 import b64encode
from pathlib import Path

import pytest
from hypothesis import given

from spanline.plaintext.model import Kind
from spanline.plaintext.parsers.pop import PopParser
from tests.captured_pieces import captured, on_ports
from tests.craft_ntlm import NEGOTIATE, authenticate
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
    return [(SERVER if line[:1] in "+-." else CLIENT, line.encode() + b"\r\n") for line in lines]


def octets(of: bytes) -> str:
    return b64encode(of).decode()


def coded(text: str) -> str:
    return octets(text.encode())


CRAM = (
    "AUTH CRAM-MD5",
    "+ PDE4OTYuNjk3MTcwOTUyQHBvc3RvZmZpY2UucmVzdG9uLm1jaS5uZXQ+",
    "dGltIGI5MTNhNjAyYzdlZGE3YTQ5NWI0ZTZlNzMzNGQzODkw",
)
APOP = said("+OK POP3 server ready <1896.697170952@dbc.mtview.ca.us>",
            "APOP mrose c4c9334bac560ecc979e58001b3e22fb", "+OK maildrop has 1 message (369 octets)")  # fmt: skip
LOGIN = said("+OK", "CAPA", "+OK", "..USER", ".", "USER mrose", "+OK", "PASS secret", "-ERR locked", "USER mrose",
             "+OK", "PASS hidden", "+OK maildrop", "STAT", "+OK 2 320")  # fmt: skip


@pytest.mark.parametrize(
    ("lines", "expected"),
    [
        (LOGIN, [("USER and PASS", "mrose", b"secret", "refused"), ("USER and PASS", "mrose", b"hidden", "accepted")]),
        (APOP, [("APOP", "mrose", None, "accepted")]),
        (said("+OK", *CRAM, "+OK"), [("AUTH CRAM-MD5", "tim", None, "accepted")]),
        (said("+OK", *CRAM, "-ERR no"), [("AUTH CRAM-MD5", "tim", None, "refused")]),
        (said("+OK", "AUTH PLAIN dGVzdAB0ZXN0AHRlc3Q=", "+OK"), [("AUTH PLAIN", "test", b"test", "accepted")]),
        (said("+OK", "AUTH PLAIN", "+ ", "dGVzdAB0ZXN0AHRlc3Q=", "+OK"), [("AUTH PLAIN", "test", b"test", "accepted")]),
        (
            said("+OK", "auth login", "+ VXNlcm5hbWU6", coded("ann"), "+ UGFzc3dvcmQ6", coded("pass word"), "-ERR"),
            [("AUTH LOGIN", "ann", b"pass word", "refused")],
        ),
        (said("+OK", "AUTH LOGIN", "+ VXNlcm5hbWU6", "*", "-ERR", "USER a", "+OK", "PASS b", "+OK"),
         [("USER and PASS", "a", b"b", "accepted")]),
        (said("+OK", "AUTH LOGIN", "-ERR no", "USER a", "+OK", "PASS b", "+OK"),
         [("USER and PASS", "a", b"b", "accepted")]),
        (said("+OK", "AUTH", "+OK", ".PLAIN", ".", "USER a\r\nPASS b", "+OK", "+OK"),
         [("USER and PASS", "a", b"b", "accepted")]),
        (said("+OK", "STLS", "+OK Begin TLS", "USER a", "+OK", "PASS never", "+OK"), []),
        (said("+OK", "STLS", "-ERR", "USER a", "+OK", "PASS b"), [("USER and PASS", "a", b"b", "unknown")]),
        (said("+OK", "AUTH NTLM", "+ ", octets(NEGOTIATE), "+ TlRM", octets(authenticate(24)), "-ERR"),
         [("AUTH NTLM, NTLMSSP v1", "Domain\\User", None, "refused")]),
        (said("+OK", f"AUTH NTLM {octets(NEGOTIATE)}", "+ TlRM", octets(authenticate(99)), "+OK"),
         [("AUTH NTLM, NTLMSSP v2", "Domain\\User", None, "accepted")]),
        (said("+OK", "AUTH GSSAPI", "+ ", "YII=", "-ERR"), []),
    ],
)  # fmt: skip
def test_an_attempt_has_the_answer_that_is_its_own(lines: Dialogue, expected: list[tuple[object, ...]]) -> None:
    assert tells(PopParser, lines) == expected
    for lengths in ([1], [2, 5], [13]):
        assert_same_in_any_cut(PopParser, lines, lengths)


def test_a_challenge_is_named_and_neither_it_nor_its_answer_kept() -> None:
    (finding,) = findings(PopParser, APOP)
    assert (finding.kind, finding.secret) == (Kind.CHALLENGE, None)
    assert secrets_of(finding, APOP) == [b"c4c9334bac560ecc979e58001b3e22fb"]
    assert "c4c9334b" not in repr(finding)
    assert "1896" not in repr(finding)


@pytest.mark.parametrize(
    ("lines", "expected"),
    [
        (LOGIN, [("mrose", b"secret"), ("mrose", b"hidden")]),
        (said("+OK", *CRAM, "+OK"), [("tim", None)]),
        (said("AUTH LOGIN", "+ ", coded("ann"), "+ ", coded("pw"), "+OK", "QUIT"), [("ann", b"pw")]),
        (said("AUTH LOGIN", "-ERR", "QUIT"), []),
    ],
)
def test_the_client_alone_tells_accounts(lines: Dialogue, expected: list[tuple[str, bytes | None]]) -> None:
    found = findings(PopParser, one_side(lines, CLIENT))
    assert [(one.account, one.secret.reveal() if one.secret else None) for one in found] == expected
    assert all(one.inferred and one.outcome == "unknown" for one in found)


@QUICKLY
@given(CUTS)
def test_any_cut_tells_the_same(lengths: list[int]) -> None:
    assert_same_in_any_cut(PopParser, said("+OK", *CRAM, "-ERR", *CRAM[:1], "+ ", "*", "-ERR") + list(LOGIN), lengths)


@QUICKLY
@given(NOISE, CUTS)
def test_noise_raises_nothing(noise: Dialogue, lengths: list[int]) -> None:
    assert_harmless(PopParser, noise, [b"USER ", b"+OK ", b"PASS ", b"AUTH LOGIN\r\n", b"+ ", b"APOP "], lengths)


def test_endless_input_is_not_kept() -> None:
    assert_bounded(PopParser, [b"USER a\r\n", b"PASS b\r\n", b"AUTH NTLM\r\n", b"\xff", b"RETR 1\n", b"YWJj\n"])


def test_captures_tell_what_tshark_finds(captures: Path) -> None:
    theirs = expected_credentials(captures, "POP3")
    assert theirs
    for capture, rows in theirs.items():
        ours = {finding.frames[:2] + (finding.account,)
                for finding in captured(captures / capture, PopParser, on_ports(110))}  # fmt: skip
        assert {(frame, account) for _, frame, account in ours} >= set(rows), capture
