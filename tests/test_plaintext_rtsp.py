"""RTSP logins.

Oracles: RFC 2326 sections 10.12 and 16, RFC 7826 section 19.1; credentials of RFC 7617 and RFC 7616.
"""

from __future__ import annotations

import pytest
from hypothesis import given

from spanline.plaintext.parsers.rtsp import RtspParser
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
    secrets_of,
    tells,
)

BASIC = "Authorization: Basic QWxhZGRpbjpvcGVuIHNlc2FtZQ=="
DIGEST = 'Authorization: Digest username="cam", realm="r", nonce="0a", uri="rtsp://x/1", response="0b"'
MEDIA = b"$\x00\x00\x06RTSP/1" + b"$\x01\x00\x02\r\n"


def asked(method: str, *headers: str, body: bytes = b"") -> tuple[object, bytes]:
    length = [f"Content-Length: {len(body)}"] if body else []
    return CLIENT, "\r\n".join([f"{method} rtsp://x/1 RTSP/1.0", "CSeq: 1", *headers, *length, "", ""]).encode() + body


def answered(status: int, body: bytes = b"") -> tuple[object, bytes]:
    return SERVER, f"RTSP/1.0 {status} x\r\nCSeq: 1\r\nContent-length: {len(body)}\r\n\r\n".encode() + body


OUT = ("Basic", "Aladdin", b"open sesame", "refused")
IN = ("Basic", "Aladdin", b"open sesame", "accepted")


@pytest.mark.parametrize(
    ("lines", "expected"),
    [
        ([asked("DESCRIBE", BASIC), answered(401), asked("DESCRIBE", BASIC), answered(200, b"v=0\r\n\r\n")], [OUT, IN]),
        (
            [asked("OPTIONS"), answered(200), asked("SETUP", DIGEST), answered(200)],
            [("Digest", "cam", None, "accepted")],
        ),
        (
            [
                asked("SETUP", BASIC),
                (SERVER, MEDIA),
                answered(200),
                (CLIENT, MEDIA),
                asked("PLAY", BASIC),
                answered(401),
            ],
            [IN, OUT],
        ),
        (
            [
                asked("ANNOUNCE", body=BASIC.encode() + b"\r\n\r\n"),
                asked("RECORD", BASIC),
                answered(200),
                answered(401),
            ],
            [OUT],
        ),
        ([(CLIENT, b"\x16\x03\x01\n\r\n"), asked("PLAY", BASIC)], []),
    ],
)
def test_an_attempt_has_the_answer_that_is_its_own(lines: Dialogue, expected: list[tuple[object, ...]]) -> None:
    assert tells(RtspParser, lines) == expected
    for lengths in ([1], [2, 5], [13]):
        assert_same_in_any_cut(RtspParser, lines, lengths)


def test_where_an_attempt_stands() -> None:
    lines = [asked("PLAY", BASIC), answered(200)]
    (finding,) = findings(RtspParser, lines)
    assert secrets_of(finding, lines) == [b"QWxhZGRpbjpvcGVuIHNlc2FtZQ=="]
    assert finding.frames == (1, 2)


def test_the_client_alone_tells_each_attempt() -> None:
    found = findings(RtspParser, one_side([asked("PLAY", BASIC), answered(200)] * 100, CLIENT))
    assert len(found) == 100
    assert all(one.inferred and one.outcome == "unknown" for one in found)


@QUICKLY
@given(CUTS)
def test_any_cut_tells_the_same(lengths: list[int]) -> None:
    lines = [asked("SETUP", BASIC), (SERVER, MEDIA * 9), answered(200), asked("PLAY", DIGEST), answered(401, b"x" * 90)]
    assert_same_in_any_cut(RtspParser, lines, lengths)


@QUICKLY
@given(NOISE, CUTS)
def test_noise_raises_nothing(noise: Dialogue, lengths: list[int]) -> None:
    assert_harmless(
        RtspParser, noise, [b"$", asked("PLAY", BASIC)[1], b"RTSP/1.0 200 \r\n\r\n", b"PLAY x RTSP/1.0\r\n"], lengths
    )


def test_endless_input_is_not_kept() -> None:
    assert_bounded(RtspParser, [asked("PLAY", BASIC)[1], b"PLAY / RTSP/1.0\r\n", b"$\xff\xff\xff", b"\xff"])
