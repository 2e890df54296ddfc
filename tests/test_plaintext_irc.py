"""IRC logins.

Oracles: RFC 2812 sections 3.1 and 5, the dialogue of IRCv3's "sasl-3.1", services as Anope and Atheme answer; what
tshark's irc.request.command_parameter holds of the captures.
"""

from __future__ import annotations

import shutil
import subprocess
from base64 import b64encode
from pathlib import Path

import pytest
from hypothesis import given

from spanline.plaintext.parsers.irc import IrcParser
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


def said(*lines: str) -> Dialogue:
    return [(SERVER if line[0] == ":" else CLIENT, line.encode() + b"\r\n") for line in lines]


WHO = ("NICK ann", "USER anna 0 * :Ann A")
WELCOME = ":srv 001 ann :Welcome"
SASL = ("AUTHENTICATE PLAIN", ":srv AUTHENTICATE +", "AUTHENTICATE amlsbGVzAGppbGxlcwBzZXNhbWU=")
LONG = b64encode(b"\0ann\0" + b"x" * 400).decode()


@pytest.mark.parametrize(
    ("lines", "expected"),
    [
        (said("PASS secretpasswordhere", *WHO, WELCOME), [("PASS", "ann", b"secretpasswordhere", "accepted")]),
        (said("PASS :two words", *WHO, ":srv 464 ann :no"), [("PASS", "ann", b"two words", "refused")]),
        (said(*WHO, WELCOME, "PRIVMSG #c :PASS x"), [("NICK and USER", "ann", None, "accepted")]),
        (said(*WHO, ":srv 433 * ann :in use"), [("NICK and USER", "ann", None, "unknown")]),
        (said("OPER root toor", ":srv 491 ann :no", "OPER root t2", ":srv 381 ann :yes"),
         [("OPER", "root", b"toor", "refused"), ("OPER", "root", b"t2", "accepted")]),
        (said("PRIVMSG NickServ :IDENTIFY pw", ":NickServ!s@x NOTICE ann :You are now identified for ann."),
         [("NickServ IDENTIFY", "", b"pw", "accepted")]),
        (said("NICK ann", "PRIVMSG nickserv@services :identify ben pw2",
              ":NickServ!s@x NOTICE ann :Password incorrect."),
         [("NickServ IDENTIFY", "ben", b"pw2", "refused")]),
        (said("NICK ann", "NS IDENTIFY pw", ":x 900 ann ann!a@b ann :You are now logged in as ann"),
         [("NickServ IDENTIFY", "ann", b"pw", "accepted")]),
        (said("NICKSERV :REGISTER pw me@example.org"), [("NickServ REGISTER", "", b"pw", "unknown")]),
        (said("CAP REQ :sasl", *WHO, *SASL, ":srv 900 ann x jilles :in", ":srv 903 ann :done", WELCOME),
         [("AUTHENTICATE PLAIN", "jilles", b"sesame", "accepted")]),
        (said(*SASL, ":srv 904 ann :no"), [("AUTHENTICATE PLAIN", "jilles", b"sesame", "refused")]),
        (said("AUTHENTICATE PLAIN", ":srv AUTHENTICATE +", "AUTHENTICATE *", ":srv 906 a :aborted"), []),
        (said("AUTHENTICATE PLAIN", f"AUTHENTICATE {LONG[:400]}", f"AUTHENTICATE {LONG[400:]}", ":srv 903 ann :in"),
         [("AUTHENTICATE PLAIN", "ann", b"x" * 400, "accepted")]),
        (said("STARTTLS", ":srv 670 ann :go", "PASS never"), []),
        (said("PRIVMSG NickServ :help", "PRIVMSG ben :identify me", "PING x"), []),
    ],
)  # fmt: skip
def test_an_attempt_has_the_answer_that_is_its_own(lines: Dialogue, expected: list[tuple[object, ...]]) -> None:
    assert tells(IrcParser, lines) == expected
    for lengths in ([1], [2, 5], [13]):
        assert_same_in_any_cut(IrcParser, lines, lengths)


def test_where_attempts_stand() -> None:
    lines = said("PASS :a b", *WHO, WELCOME, "PRIVMSG NickServ :IDENTIFY ann c", "OPER root d", *SASL)
    found = findings(IrcParser, lines)
    assert {one.scheme: secrets_of(one, lines) for one in found} == {
        "PASS": [b"a b"],
        "NickServ IDENTIFY": [b"c"],
        "OPER": [b"d"],
        "AUTHENTICATE PLAIN": [b"amlsbGVzAGppbGxlcwBzZXNhbWU="],
    }
    assert found[0].frames == (1, 2, 4)


def test_the_client_alone_tells_account_and_secret() -> None:
    (finding,) = findings(IrcParser, one_side(said("PASS a", *WHO, WELCOME), CLIENT))
    assert (finding.account, finding.inferred, finding.outcome) == ("ann", True, "unknown")


@QUICKLY
@given(CUTS)
def test_any_cut_tells_the_same(lengths: list[int]) -> None:
    assert_same_in_any_cut(IrcParser, said("PASS a", *WHO, *SASL, ":s 904 x :no", WELCOME, "OPER a b"), lengths)


@QUICKLY
@given(NOISE, CUTS)
def test_noise_raises_nothing(noise: Dialogue, lengths: list[int]) -> None:
    begins = [
        b"PASS :",
        b":s 464 ",
        b"NICK ",
        b"USER ",
        b"AUTHENTICATE ",
        b"NS IDENTIFY ",
        b": :",
        b"PRIVMSG nickserv :id ",
    ]
    assert_harmless(IrcParser, noise, begins, lengths)


def test_endless_input_is_not_kept() -> None:
    token = b"AUTHENTICATE " + b"a" * 400 + b"\r\n"
    assert_bounded(IrcParser, [b"AUTHENTICATE PLAIN\r\n" + token * 15, token, b"PASS a\r\n", b"NS ID a\r\n", b"\xff"])


@pytest.mark.parametrize(
    ("capture", "port"),
    [("irc__suricata-verify__irc__input.pcap", 6667), ("irc__arkime__irc-cap-req.pcap", 80)],
)
def test_captures_tell_what_tshark_shows(captures: Path, capture: str, port: int) -> None:
    if not shutil.which("tshark"):
        pytest.skip("tshark is not installed")
    path = captures / "plaintext" / capture
    options = ["-n", "-r", str(path), "-d", f"tcp.port=={port},irc", "-T", "fields"]
    ran = subprocess.run(
        ["tshark", *options, "-Y", "irc.request", "-e", "irc.request.command", "-e", "irc.request.command_parameter"],
        capture_output=True,
        text=True,
        check=True,
    )
    asked = [
        dict(zip(*(column.split(",") for column in row.split("\t")), strict=False)) for row in ran.stdout.splitlines()
    ]
    password = next(row["PASS"] for row in asked if "PASS" in row)
    nick = next(row["NICK"] for row in asked if "NICK" in row)
    (finding,) = captured(
        path, IrcParser, lambda conversation: port in (conversation.server_port, conversation.client_port)
    )
    assert finding.account == nick
    assert finding.secret is not None
    assert finding.secret.reveal().decode() == password
