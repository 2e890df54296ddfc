"""SIP logins.

Oracles: RFC 3261 sections 22.1 and 22.4; tshark's sip.auth.username and sip.auth.realm of the captures.
"""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest
from hypothesis import given

from spanline.plaintext.model import Conversation, Kind, Piece
from spanline.plaintext.parsers.sip import SipParser
from tests.captured_pieces import captured, on_ports
from tests.pieces import (
    CLIENT,
    CUTS,
    NOISE,
    QUICKLY,
    SERVER,
    TCP,
    UDP,
    Dialogue,
    assert_bounded,
    assert_harmless,
    assert_same_in_any_cut,
    fed,
    findings,
    one_side,
    pieces,
    secrets_of,
    told,
)

BOB = (
    'Authorization: Digest username="bob", realm="atlanta.example.com", nonce="84a4cc6f3082121f32b42a2187831a9e", '
    'response="7587245234b3434cc3412213e5f113a5"'
)


def asked(method: str, *headers: str, number: int = 1, call: str = "Call-ID: a@b") -> tuple[object, bytes]:
    lines = [f"{method} sip:x@y SIP/2.0", f"CSeq: {number} {method}", call, *headers, "Content-Length: 0", "", ""]
    return CLIENT, "\r\n".join(lines).encode()


def answered(
    status: int, method: str, number: int = 1, call: str = "Call-ID: a@b", body: bytes = b""
) -> tuple[object, bytes]:
    lines = [f"SIP/2.0 {status} x", f"CSeq: {number} {method}", call, f"l: {len(body)}", "", ""]
    return SERVER, "\r\n".join(lines).encode() + body


IN = ("Digest", "bob@atlanta.example.com", None, "accepted")
OUT = ("Digest", "bob@atlanta.example.com", None, "refused")


@pytest.mark.parametrize("conversation", [TCP, UDP])
@pytest.mark.parametrize(
    ("lines", "expected"),
    [
        (
            [
                asked("REGISTER"),
                answered(401, "REGISTER"),
                asked("REGISTER", BOB, number=2),
                answered(200, "REGISTER", 2),
            ],
            [IN],
        ),
        ([asked("REGISTER", BOB), answered(100, "REGISTER"), answered(403, "REGISTER")], [OUT]),
        ([asked("REGISTER", BOB), asked("REGISTER", BOB), answered(200, "REGISTER"), asked("REGISTER", BOB)], [IN]),
        (
            [
                asked("INVITE", "Proxy-" + BOB),
                answered(180, "INVITE"),
                answered(486, "INVITE"),
                asked("ACK", "Proxy-" + BOB),
                asked("BYE", "Proxy-" + BOB, number=2),
                answered(407, "BYE", 2),
            ],
            [("Proxy Digest", *IN[1:]), ("Proxy Digest", *OUT[1:])],
        ),
        (
            [
                asked("REGISTER", BOB, call="i: one"),
                asked("REGISTER", BOB, call="i: two"),
                answered(401, "REGISTER", call="i: two"),
                answered(200, "REGISTER", call="i: one"),
            ],
            [OUT, IN],
        ),
        (
            [asked("REGISTER", "Authorization: Basic YTpi"), answered(200, "REGISTER")],
            [("Basic", "a", b"b", "accepted")],
        ),
        (
            [(CLIENT, b"\r\n\r\n"), answered(200, "OPTIONS", body=BOB.encode()), asked("MESSAGE", BOB)],
            [(*IN[:3], "unknown")],
        ),
    ],
)
def test_an_attempt_has_the_answer_that_is_its_own(
    conversation: Conversation, lines: Dialogue, expected: list[tuple[object, ...]]
) -> None:
    assert [told(one) for one in fed(SipParser(conversation), pieces(lines))] == expected
    if conversation is TCP:
        for lengths in ([1], [2, 5], [13]):
            assert_same_in_any_cut(SipParser, lines, lengths)


def test_a_challenge_is_named_and_neither_it_nor_its_answer_kept() -> None:
    lines = [asked("REGISTER", BOB), answered(200, "REGISTER")]
    (finding,) = findings(SipParser, lines)
    assert (finding.kind, finding.secret, finding.frames) == (Kind.CHALLENGE, None, (1, 2))
    assert "7587245234" not in repr(finding)
    assert secrets_of(finding, lines) == [BOB.removeprefix("Authorization: Digest ").encode()]


def test_the_client_alone_tells_each_attempt() -> None:
    lines = [asked("REGISTER", BOB, number=n) for n in range(300)]
    found = findings(SipParser, one_side(lines, CLIENT))
    assert len(found) == 300
    assert all(one.inferred and one.outcome == "unknown" for one in found)


@QUICKLY
@given(CUTS)
def test_any_cut_tells_the_same(lengths: list[int]) -> None:
    lines = [
        asked("REGISTER", BOB),
        answered(401, "REGISTER", body=b"x" * 99),
        asked("INVITE", BOB),
        answered(200, "INVITE"),
    ]
    assert_same_in_any_cut(SipParser, lines, lengths)


@QUICKLY
@given(NOISE, CUTS)
def test_noise_raises_nothing(noise: Dialogue, lengths: list[int]) -> None:
    begins = [
        asked("REGISTER", BOB)[1],
        b"SIP/2.0 200 x\r\n",
        b"INVITE x SIP/2.0\r\nCSeq: 1 ",
        b"INVITE x SIP/2.0\r\nl: 99999\r\n\r\n",
    ]
    assert_harmless(SipParser, noise, begins, lengths)
    for who, octets in noise:
        for begin in begins:
            fed(SipParser(UDP), [Piece(who, begin + octets, 0, 1, 1)])


def test_endless_input_is_not_kept() -> None:
    many = b"".join(asked("REGISTER", BOB, number=n)[1] for n in range(30))
    assert_bounded(SipParser, [many, b"REGISTER / SIP/2.0\r\n", b"\xff"])


@pytest.mark.parametrize("name", ["BruteShark__sip-rtp_only.pcap", "nDPI__sip.pcap", "zeek__wireshark.pcap"])
def test_captures_tell_whom_tshark_shows(captures: Path, name: str) -> None:
    if not shutil.which("tshark"):
        pytest.skip("tshark is not installed")
    path = captures / "plaintext" / f"sip__{name}"
    fields = ["-e", "frame.number", "-e", "sip.auth.username", "-e", "sip.auth.realm"]
    which = ["-Y", 'sip.auth.username && sip.Method && sip.Method != "ACK" && sip.Method != "CANCEL"']
    ran = subprocess.run(
        ["tshark", "-n", "-r", str(path), *which, "-T", "fields", *fields], capture_output=True, text=True, check=True
    )
    rows = (row.replace('"', "").split("\t") for row in ran.stdout.splitlines())
    theirs = {(int(frame), f"{user}@{realm}") for frame, user, realm in rows}
    ours = {(one.frames[0], one.account) for one in captured(path, SipParser, on_ports(5060))}
    # tshark shows a request each time that it is sent, spanline once.
    assert ours
    assert ours <= theirs
    assert {account for _, account in theirs} == {account for _, account in ours}
