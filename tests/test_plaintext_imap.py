"""IMAP logins.

Oracles: the dialogues of RFC 3501 sections 6.2.2, 6.2.3 and 7.5, and of RFC 4959; `tshark -z credentials`.
"""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given

from spanline.plaintext.parsers.imap import ImapParser
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


def dialogue(text: str) -> Dialogue:
    """As RFCs write it: "S: …" and "C: …", each a line of its own. ¶ stands for a line's end within one."""
    lines = [line.strip() for line in text.strip().splitlines()]
    return [(SERVER if line[0] == "S" else CLIENT, line[3:].replace("¶", "\r\n").encode() + b"\r\n") for line in lines]


LITERALS = """S: * OK IMAP4rev1 ready
              C: A001 LOGIN {11}
              S: + Ready for additional command text
              C: FRED FOOBAR {7}
              S: + Ready for additional command text
              C: fat man
              S: A001 OK LOGIN completed"""
REFUSED = 'C: a1 LOGIN "ann" "x"\nS: a1 NO [AUTHENTICATIONFAILED] no\n'


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("C: a001 LOGIN SMITH SESAME\nS: a001 OK LOGIN completed", [("LOGIN", "SMITH", b"SESAME", "accepted")]),
        (LITERALS, [("LOGIN", "FRED FOOBAR", b"fat man", "accepted")]),
        ('C: a LOGIN "a \\"q\\" \\\\" "b c"\nS: a BAD no', [("LOGIN", 'a "q" \\', b"b c", "refused")]),
        ("C: a login ann {3+}\nC: b\x01c\nS: a OK", [("LOGIN", "ann", b"b\x01c", "accepted")]),
        ("C: a login ann {6+}\nC: b¶1 c\nS: a OK", [("LOGIN", "ann", b"b\r\n1 c", "accepted")]),
        ('C: a LOGIN ann p!#$&*+,-./:;<=>?@[]^_`|}~\nS: a OK',
         [("LOGIN", "ann", b"p!#$&*+,-./:;<=>?@[]^_`|}~", "accepted")]),
        ('C: a LOGIN ann ""\nS: a OK', [("LOGIN", "ann", b"", "accepted")]),
        (REFUSED + 'C: a2 LOGIN ann y\nS: * OK still\nS: a2 OK',
         [("LOGIN", "ann", b"x", "refused"), ("LOGIN", "ann", b"y", "accepted")]),
        ("C: 1 LOGIN a x\nC: 2 LOGIN b y\nS: 2 OK\nS: 1 NO",
         [("LOGIN", "b", b"y", "accepted"), ("LOGIN", "a", b"x", "unknown")]),
        ("C: 1 LOGIN {5}\nS: 1 NO no literals\nC: 2 LOGIN b y\nS: 2 OK", [("LOGIN", "b", b"y", "accepted")]),
        ("C: 1 LOGIN ann {9999999}\nS: 1 BAD too long\nC: 2 LOGIN b y\nS: 2 OK", [("LOGIN", "b", b"y", "accepted")]),
        ("C: 1 AUTHENTICATE PLAIN\nS: +\nC: dGVzdAB0ZXN0AHRlc3Q=\nS: 1 OK",
         [("AUTHENTICATE PLAIN", "test", b"test", "accepted")]),
        ("C: 1 AUTHENTICATE PLAIN dGVzdAB0ZXN0AHRlc3Q=\nS: 1 NO",
         [("AUTHENTICATE PLAIN", "test", b"test", "refused")]),
        ("C: 2 AUTHENTICATE XYMPKI\nS: + \nC: WT1jb29raWU=\nS: 2 OK",
         [("AUTHENTICATE XYMPKI", "", b"Y=cookie", "accepted")]),
        ("C: 1 AUTHENTICATE CRAM-MD5\nS: + PDE4\nC: dGltIGI5MTNhNjAyYzdlZGE3YTQ5NWI0ZTZlNzMzNGQzODkw\nS: 1 OK",
         [("AUTHENTICATE CRAM-MD5", "tim", None, "accepted")]),
        ("C: 1 AUTHENTICATE GSSAPI\nS: +\nC: YIIB+wYJKoZIhvcSAQICAQBuggHqMIIB5qADAgEFoQMC\nS: 1 BAD\n" + REFUSED,
         [("LOGIN", "ann", b"x", "refused")]),
        ("C: 1 STARTTLS\nS: 1 OK Begin TLS\nC: 2 LOGIN ann never\nS: 2 OK", []),
        ("C: 1 STARTTLS\nS: 1 NO\nC: 2 LOGIN ann b\nS: 2 OK", [("LOGIN", "ann", b"b", "accepted")]),
        ("C: 1 APPEND x {16+}\nC: 2 LOGIN never no\nC:\nS: 1 OK\nC: 3 LOGIN a b\nS: 3 OK",
         [("LOGIN", "a", b"b", "accepted")]),
        ("C: 1 NOOP\nS: 1 OK\nC: 2 LOGIN ann", []),
    ],
)  # fmt: skip
def test_an_attempt_has_the_answer_that_is_its_own(text: str, expected: list[tuple[object, ...]]) -> None:
    lines = dialogue(text)
    assert tells(ImapParser, lines) == expected
    for lengths in ([1], [2, 5], [13]):
        assert_same_in_any_cut(ImapParser, lines, lengths)


def test_where_an_attempt_stands() -> None:
    lines = dialogue(LITERALS)
    (finding,) = findings(ImapParser, lines)
    assert finding.frames == (4, 6, 7)
    assert secrets_of(finding, lines) == [b"fat man"]


def test_the_client_alone_tells_account_and_secret() -> None:
    (finding,) = findings(ImapParser, one_side(dialogue(LITERALS), CLIENT))
    assert (finding.account, finding.secret and finding.secret.reveal()) == ("FRED FOOBAR", b"fat man")
    assert (finding.inferred, finding.outcome) == (True, "unknown")


@QUICKLY
@given(CUTS)
def test_any_cut_tells_the_same(lengths: list[int]) -> None:
    assert_same_in_any_cut(ImapParser, dialogue(REFUSED + LITERALS), lengths)


@QUICKLY
@given(NOISE, CUTS)
def test_noise_raises_nothing(noise: Dialogue, lengths: list[int]) -> None:
    begins = [b"a LOGIN ", b"a OK", b'a LOGIN "', b"+ ", b"a LOGIN {3}\r\n", b"a AUTHENTICATE PLAIN\r\n", b"{9+}\r\n"]
    assert_harmless(ImapParser, noise, begins, lengths)


def test_endless_input_is_not_kept() -> None:
    begins = [b"a LOGIN b c\r\n", b"a LOGIN {8000}\r\n", b"a APPEND {5}\r\n", b'a LOGIN "', b"\xff"]
    assert_bounded(ImapParser, [*begins, *(b"t%d NOOP\r\n" % n for n in range(2))])


def test_captures_tell_what_tshark_finds(captures: Path) -> None:
    theirs = expected_credentials(captures, "IMAP")
    assert theirs
    for capture, rows in theirs.items():
        found = captured(captures / capture, ImapParser, on_ports(143))
        assert {(one.frames[0], one.account) for one in found} >= {(frame, name.strip('"')) for frame, name in rows}
