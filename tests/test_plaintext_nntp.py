"""NNTP logins.

Oracle: the dialogues of RFC 4643 sections 2.3.3 and 2.4.3.
"""

from __future__ import annotations

import pytest
from hypothesis import given

from spanline.plaintext.parsers.nntp import NntpParser
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
    findings,
    one_side,
    tells,
)


def said(*lines: str) -> Dialogue:
    return [(SERVER if line[:1].isdigit() else CLIENT, line.encode() + b"\r\n") for line in lines]


FRED = ("AUTHINFO USER fred", "381 Enter passphrase", "AUTHINFO PASS flintstone")
SCHEME = "AUTHINFO USER and PASS"


@pytest.mark.parametrize(
    ("lines", "expected"),
    [
        (said("200 news", *FRED, "281 in"), [(SCHEME, "fred", b"flintstone", "accepted")]),
        (said("200 news", *FRED, "481 no", *FRED, "281 in"),
         [(SCHEME, "fred", b"flintstone", "refused"), (SCHEME, "fred", b"flintstone", "accepted")]),
        (said("200 n", "AUTHINFO SASL PLAIN AHRlc3QAdGVzdA==", "281 in"),
         [("AUTHINFO SASL PLAIN", "test", b"test", "accepted")]),
        (said("200 n", "AUTHINFO SASL CRAM-MD5", "383 PDE4", "dGltIGI5MTNhNjAyYzdlZGE3YTQ5NWI0ZTZlNzMzNGQzODkw",
              "481 no"),
         [("AUTHINFO SASL CRAM-MD5", "tim", None, "refused")]),
        (said("200 n", "STARTTLS", "382 go", *FRED, "281 in"), []),
        (said("200 n", "STARTTLS", "580 no", *FRED, "281 in"), [(SCHEME, "fred", b"flintstone", "accepted")]),
        (said("200 n", "POST", "340 send", "From: x\r\nAUTHINFO USER a\r\nAUTHINFO PASS b\r\n.", "240 ok",
              *FRED, "281 in"),
         [(SCHEME, "fred", b"flintstone", "accepted")]),
        (said("200 n", "POST", "440 no", *FRED, "281 in"), [(SCHEME, "fred", b"flintstone", "accepted")]),
        (said("200 n", "ARTICLE 1", "220 1 <x>\r\n281 is a number\r\n381 too\r\n.", *FRED, "502 no"),
         [(SCHEME, "fred", b"flintstone", "refused")]),
    ],
)  # fmt: skip
def test_an_attempt_has_the_answer_that_is_its_own(lines: Dialogue, expected: list[tuple[object, ...]]) -> None:
    assert tells(NntpParser, lines) == expected
    for lengths in ([1], [2, 5], [13]):
        assert_same_in_any_cut(NntpParser, lines, lengths)


def test_the_client_alone_tells_account_and_secret() -> None:
    (finding,) = findings(NntpParser, one_side(said(*FRED, "281 in"), CLIENT))
    assert (finding.account, len(finding.secret or b""), finding.inferred) == ("fred", 10, True)


@QUICKLY
@given(CUTS)
def test_any_cut_tells_the_same(lengths: list[int]) -> None:
    assert_same_in_any_cut(
        NntpParser, said("200 n", *FRED, "481 no", "POST", "340 go", "x\r\n.", "240 ok", *FRED), lengths
    )


@QUICKLY
@given(NOISE, CUTS)
def test_noise_raises_nothing(noise: Dialogue, lengths: list[int]) -> None:
    assert_harmless(NntpParser, noise, [b"AUTHINFO USER ", b"381 ", b"AUTHINFO PASS ", b"POST\r\n", b"340 "], lengths)


def test_endless_input_is_not_kept() -> None:
    assert_bounded(NntpParser, [b"AUTHINFO PASS a\r\n", b"POST\r\n", b"AUTHINFO SASL LOGIN\r\n", b"\xff"])
