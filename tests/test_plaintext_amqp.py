"""AMQP logins. Oracles: tshark 4.0 on the same bytes; AMQP 0-9-1 section 4.2.3, AMQP 1.0 part 5.3."""

from __future__ import annotations

from pathlib import Path
from struct import pack

import pytest

from spanline.plaintext.parsers.amqp import Amqp
from tests import tshark
from tests.attempts import Told, assert_tells
from tests.craft_logins import amqp1_frame, amqp_frame, amqp_start_ok, written
from tests.pieces import CLIENT, SERVER, Dialogue, one_side

HELLO = (CLIENT, b"AMQP\0\0\x09\1")
START = (SERVER, amqp_frame(pack(">HHBBI", 10, 10, 0, 9, 0) + pack(">I", 5) + b"PLAIN" + pack(">I", 5) + b"en_US"))
TUNE = (SERVER, amqp_frame(pack(">HHHIH", 10, 30, 0, 131072, 60)))
CLOSE = (SERVER, amqp_frame(pack(">HHH", 10, 50, 403) + b"\x0eACCESS_REFUSED" + bytes(4)))
TOKEN = b"\0alice\0S3cret!"
LOGIN: Dialogue = [HELLO, START, (CLIENT, amqp_start_ok(b"PLAIN", TOKEN)), TUNE]
TABLE = b"\x05LOGINS" + pack(">I", 5) + b"alice\x08PASSWORDS" + pack(">I", 7) + b"S3cret!"

HELLO_1, WELCOME_1 = (CLIENT, b"AMQP\3\1\0\0"), (SERVER, b"AMQP\3\1\0\0")
MECHANISMS = (SERVER, amqp1_frame(0x40, b"\xa3\x05PLAIN", 1))
INIT = (CLIENT, amqp1_frame(0x41, b"\xa3\x05PLAIN\xa0" + bytes((len(TOKEN),)) + TOKEN, 2))
LOGIN_1: Dialogue = [HELLO_1, WELCOME_1, MECHANISMS, INIT, (SERVER, amqp1_frame(0x44, b"\x50\0", 1))]

ATTEMPT = ("SASL PLAIN", "alice", b"S3cret!")

CASES: dict[str, tuple[Dialogue, list[Told]]] = {
    "accepted": (LOGIN, [(*ATTEMPT, "accepted")]),
    "refused": ([*LOGIN[:3], CLOSE], [(*ATTEMPT, "refused")]),
    "only the client": (one_side(LOGIN, CLIENT), [(*ATTEMPT, "unknown")]),
    "only the server": (one_side(LOGIN, SERVER), []),
    "AMQPLAIN": (
        [HELLO, START, (CLIENT, amqp_start_ok(b"AMQPLAIN", TABLE)), TUNE],
        [("AMQPLAIN", "alice", b"S3cret!", "accepted")],
    ),
    "EXTERNAL": ([HELLO, START, (CLIENT, amqp_start_ok(b"EXTERNAL", b"")), TUNE], []),
    "version 1.0": (LOGIN_1, [(*ATTEMPT, "accepted")]),
    "version 1.0 refused": ([*LOGIN_1[:4], (SERVER, amqp1_frame(0x44, b"\x50\1", 1))], [(*ATTEMPT, "refused")]),
    "TLS in version 1.0": ([(CLIENT, b"AMQP\2\1\0\0"), (SERVER, b"AMQP\2\1\0\0"), *LOGIN_1], []),
    "TLS on the port": ([(CLIENT, b"\x16\x03\x01\0\5hello")], []),
}


@pytest.mark.parametrize("case", CASES)
def test_logins(case: str) -> None:
    dialogue, expected = CASES[case]
    assert_tells(Amqp, dialogue, expected)


def test_tshark_reads_the_same(tmp_path: Path) -> None:
    old, new = written(tmp_path / "0.pcap", LOGIN, 5672), written(tmp_path / "1.pcap", LOGIN_1, 5672)
    assert tshark.fields(old, "amqp.method.method == 11", "amqp.method.arguments.mechanism") == [("PLAIN",)]
    shown = tshark.fields(new, "amqp.sasl.mechanism", "amqp.sasl.mechanism", "amqp.sasl.initResponse")
    assert shown == [("PLAIN", TOKEN.hex())]
