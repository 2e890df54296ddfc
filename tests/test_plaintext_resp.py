"""Redis logins.

Oracles: the examples of Redis' protocol specification; tshark's resp fields of the captures.
"""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given

from spanline.plaintext.parsers.resp import RespParser
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
    findings,
    one_side,
    secrets_of,
    tells,
)


def command(*words: str) -> bytes:
    return b"*%d\r\n" % len(words) + b"".join(b"$%d\r\n%s\r\n" % (len(word), word.encode()) for word in words)


def asked(*words: str) -> tuple[object, bytes]:
    return CLIENT, command(*words)


def answered(text: str) -> tuple[object, bytes]:
    return SERVER, text.encode()


OK, WRONG = answered("+OK\r\n"), answered("-WRONGPASS invalid username-password pair\r\n")
AUTH = asked("AUTH", "ann", "s3cret")


@pytest.mark.parametrize(
    ("lines", "expected"),
    [
        ([asked("AUTH", "pw"), OK], [("AUTH", "default", b"pw", "accepted")]),
        ([AUTH, WRONG, AUTH, OK], [("AUTH", "ann", b"s3cret", "refused"), ("AUTH", "ann", b"s3cret", "accepted")]),
        ([asked("HELLO", "3", "AUTH", "ann", "pw", "SETNAME", "x"), answered("%1\r\n$6\r\nserver\r\n$5\r\nredis\r\n")],
         [("HELLO AUTH", "ann", b"pw", "accepted")]),
        ([(CLIENT, b'AUTH "my \\"pass"\r\n'), OK], [("AUTH", "default", b'my "pass', "accepted")]),
        ([(CLIENT, b"AUTH 'a n' \"b c\"\r\n"), OK], [("AUTH", "a n", b"b c", "accepted")]),
        ([(CLIENT, b'AUTH "not over\r\n'), OK], [("AUTH", "default", b"not over", "accepted")]),
        ([(CLIENT, b"auth  ann pw\r\n"), answered("-ERR no\r\n")], [("AUTH", "ann", b"pw", "refused")]),
        ([asked("KEYS", "*"), AUTH, answered("*2\r\n$5\r\n-ERR \r\n*1\r\n:1\r\n"), OK],
         [("AUTH", "ann", b"s3cret", "accepted")]),
        ([asked("GET", "x"), AUTH, answered("$-1\r\n"), WRONG], [("AUTH", "ann", b"s3cret", "refused")]),
        ([(CLIENT, command("GET", "x") + command("AUTH", "ann", "s3cret") + command("PING")),
          answered("$6\r\n+OK\r\n-\r\n-ERR no\r\n+PONG\r\n")], [("AUTH", "ann", b"s3cret", "refused")]),
        ([asked("SET", "k", command("AUTH", "never", "no").decode()), OK, AUTH],
         [("AUTH", "ann", b"s3cret", "unknown")]),
        ([asked("SET", "k", "v" * 5000), OK, AUTH, OK], [("AUTH", "ann", b"s3cret", "accepted")]),
        ([asked("AUTH", "a\r\nb"), OK], [("AUTH", "default", b"a\r\nb", "accepted")]),
        ([asked("AUTH", ""), WRONG], [("AUTH", "default", b"", "refused")]),
        ([AUTH, answered("|1\r\n+ttl\r\n:3600\r\n+OK\r\n")], [("AUTH", "ann", b"s3cret", "accepted")]),
        ([AUTH, answered(">2\r\n+invalidate\r\n*1\r\n$1\r\nk\r\n-WRONGPASS\r\n")],
         [("AUTH", "ann", b"s3cret", "refused")]),
        ([asked("CLIENT", "REPLY", "SKIP"), asked("GET", "x"), AUTH, WRONG], [("AUTH", "ann", b"s3cret", "refused")]),
        ([asked("CLIENT", "REPLY", "OFF"), asked("GET", "x"), asked("CLIENT", "REPLY", "ON"), AUTH, OK, WRONG],
         [("AUTH", "ann", b"s3cret", "refused")]),
        ([asked("PING"), answered("+PONG\r\n"), (CLIENT, b"*-1\r\n*0\r\n$3\r\n"), asked("ACL", "WHOAMI")], []),
    ],
)  # fmt: skip
def test_an_attempt_has_the_answer_that_is_its_own(lines: Dialogue, expected: list[tuple[object, ...]]) -> None:
    assert tells(RespParser, lines) == expected
    for lengths in ([1], [2, 5], [13]):
        assert_same_in_any_cut(RespParser, lines, lengths)


def test_where_an_attempt_stands() -> None:
    (finding,) = findings(RespParser, [AUTH, OK])
    assert secrets_of(finding, [AUTH, OK]) == [b"s3cret"]
    assert finding.frames == (1, 2)


def test_the_client_alone_tells_account_and_secret() -> None:
    (finding,) = findings(RespParser, one_side([AUTH, OK], CLIENT))
    assert (finding.account, finding.inferred, finding.outcome) == ("ann", True, "unknown")


@QUICKLY
@given(CUTS)
def test_any_cut_tells_the_same(lengths: list[int]) -> None:
    lines = [AUTH, WRONG, asked("SET", "k", "v\r\n" * 500), OK, (CLIENT, b"AUTH x\r\n"), answered("$3\r\na\nb\r\n"), OK]
    assert_same_in_any_cut(RespParser, lines, lengths)


@QUICKLY
@given(NOISE, CUTS)
def test_noise_raises_nothing(noise: Dialogue, lengths: list[int]) -> None:
    assert_harmless(
        RespParser,
        noise,
        [b"*2\r\n$4\r\nAUTH\r\n$9\r\n", b"+OK\r\n", b"*9", b"$-", b"%99999999\r\n", b"AUTH "],
        lengths,
    )


def test_endless_input_is_not_kept() -> None:
    assert_bounded(
        RespParser, [command("AUTH", "a" * 900), b"*9999999\r\n$3\r\nabc\r\n", b"AUTH x\r\n", b"$1000\r\n", b"\xff"]
    )


@pytest.mark.parametrize("capture", ["auth", "redis-50-pings"])
def test_captures_tell_what_was_sent(captures: Path, capture: str) -> None:
    path = captures / "plaintext" / f"redis__zeek__{capture}.pcap"
    found = captured(path, RespParser, on_ports(6379))
    assert len(found) == path.read_bytes().count(b"AUTH\r\n$") > 0
    assert all(one.outcome != "unknown" for one in found)
