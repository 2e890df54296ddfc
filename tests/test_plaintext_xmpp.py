"""XMPP logins.

Oracles: the dialogues of RFC 6120 section 9.1, RFC 6121, XEP-0078 section 3.2 and XEP-0388; what tshark says of frames
of the capture.
"""

from __future__ import annotations

import shutil
import subprocess
from base64 import b64encode
from pathlib import Path

import pytest
from hypothesis import given

from spanline.plaintext.parsers.xmpp import XmppParser
from tests.captured_pieces import captured
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

STREAM = "<?xml version='1.0'?><stream:stream to='im.example.com' xmlns='jabber:client' version='1.0'>"
PLAIN = "<auth xmlns='urn:ietf:params:xml:ns:xmpp-sasl' mechanism='PLAIN'>AGp1bGlldAByMG0zMG15cjBtMzA=</auth>"
DIGEST = b64encode(b'username="ann",realm="x",nonce="n",nc=1,response=0b').decode()
OLD = "<iq type='set' id='a2'><query xmlns='jabber:iq:auth'><username>bill</username>%s</query></iq>"


def said(*parts: str) -> Dialogue:
    """The server's begin with a space."""
    return [(SERVER if part[0] == " " else CLIENT, part.encode()) for part in parts]


IN, OUT = " <success xmlns='urn:ietf:params:xml:ns:xmpp-sasl'/>", " <failure><not-authorized/></failure>"


@pytest.mark.parametrize(
    ("lines", "expected"),
    [
        (said(STREAM, " <stream:features/>", PLAIN, IN), [("SASL PLAIN", "juliet", b"r0m30myr0m30", "accepted")]),
        (
            said(PLAIN, OUT, PLAIN, IN),
            [
                ("SASL PLAIN", "juliet", b"r0m30myr0m30", "refused"),
                ("SASL PLAIN", "juliet", b"r0m30myr0m30", "accepted"),
            ],
        ),
        (
            said(
                '<auth mechanism="PLAIN"/>', " <challenge/>", "<response>AGp1bGlldAByMG0zMG15cjBtMzA=</response>", OUT
            ),
            [("SASL PLAIN", "juliet", b"r0m30myr0m30", "refused")],
        ),
        (
            said(
                "<auth mechanism='DIGEST-MD5'/>",
                " <challenge>cmVhbG0=</challenge>",
                f"<response>{DIGEST}</response>",
                " <challenge>cnNwYXV0aD0=</challenge>",
                "<response/>",
                IN,
            ),
            [("SASL DIGEST-MD5", "ann@x", None, "accepted")],
        ),
        (
            said(
                "<auth mechanism='SCRAM-SHA-1'>biwsbj1qdWxpZXQscj1vTXNUQUF3QUFBQU1BQUFBTlAwVEFBQUFBQUJQVTBBQQ==</auth>",
                OUT,
            ),
            [("SASL SCRAM-SHA-1", "juliet", None, "refused")],
        ),
        (
            said(
                "<authenticate xmlns='urn:xmpp:sasl:2' mechanism='PLAIN'><initial-response>AGEAYg==</initial-response>"
                "<user-agent/></authenticate>",
                IN,
            ),
            [("SASL PLAIN", "a", b"b", "accepted")],
        ),
        (
            said(OLD % "<password>Calli&lt;ope</password>", " <iq type='result' id='a2'/>"),
            [("iq:auth password", "bill", b"Calli<ope", "accepted")],
        ),
        (
            said(OLD % "<digest>48fc78be9ec8f86d8ce1c39c320c97c21d62334d</digest>", " <iq type='error' id='a2'/>"),
            [("iq:auth digest", "bill", None, "refused")],
        ),
        (said(STREAM, "<starttls/>", " <proceed xmlns='urn:ietf:params:xml:ns:xmpp-tls'/>", PLAIN), []),
        (
            said(
                "<auth mechanism='PLAIN'/>",
                " <challenge/>",
                "<abort/>",
                OUT,
                "<iq type='set'/>",
                " <iq type='result'/>",
            ),
            [],
        ),
        (said("<message><body>&lt;auth mechanism='PLAIN'&gt;AGEAYg==</body></message>", IN), []),
        ([(CLIENT, b"\x16\x03\x01>"), (CLIENT, PLAIN.encode())], []),
    ],
)
def test_an_attempt_has_the_answer_that_is_its_own(lines: Dialogue, expected: list[tuple[object, ...]]) -> None:
    assert tells(XmppParser, lines) == expected
    for lengths in ([2, 5], [13]):
        assert_same_in_any_cut(XmppParser, lines, lengths)


def test_where_attempts_stand() -> None:
    lines = said(STREAM, PLAIN, OUT, OLD % "<password>s3cret</password>")
    first, second = findings(XmppParser, lines)
    assert secrets_of(first, lines) == [b"AGp1bGlldAByMG0zMG15cjBtMzA="]
    assert secrets_of(second, lines) == [b"s3cret"]
    assert first.frames == (2, 3)


def test_the_client_alone_tells_account_and_secret() -> None:
    (finding,) = findings(XmppParser, one_side(said(STREAM, PLAIN, IN), CLIENT))
    assert (finding.account, finding.inferred, finding.outcome) == ("juliet", True, "unknown")


@QUICKLY
@given(CUTS)
def test_any_cut_tells_the_same(lengths: list[int]) -> None:
    lines = said(STREAM, "<message>" + "x" * 600 + "</message>", PLAIN, OUT, OLD % "<password>s3cret</password>", IN)
    assert_same_in_any_cut(XmppParser, lines, lengths)


@QUICKLY
@given(NOISE, CUTS)
def test_noise_raises_nothing(noise: Dialogue, lengths: list[int]) -> None:
    begins = [b"<auth mechanism='PLAIN'>", b"<response>", b"<query jabber:iq:auth>", b"<success", b"<auth ", b"</"]
    assert_harmless(XmppParser, noise, begins, lengths)


def test_endless_input_is_not_kept() -> None:
    assert_bounded(XmppParser, [PLAIN.encode(), b"<auth ", b"<query jabber:iq:auth>", b"<iq ", b">"])


def test_a_capture_tells_the_frames_that_tshark_shows(captures: Path) -> None:
    if not shutil.which("tshark"):
        pytest.skip("tshark is not installed")
    path = captures / "plaintext" / "xmpp__nDPI__jabber.pcap"
    which = "xmpp.auth || xmpp.success || xmpp.failure"
    ran = subprocess.run(
        ["tshark", "-n", "-r", str(path), "-Y", which, "-T", "fields", "-e", "frame.number"],
        capture_output=True,
        text=True,
        check=True,
    )
    frames = [int(number) for number in ran.stdout.split()]
    ours = captured(path, XmppParser, lambda conversation: conversation.transport == "tcp")
    assert [number for one in ours for number in (one.frames[0], one.frames[-1])] == frames
    assert all("@" in one.account for one in ours)
