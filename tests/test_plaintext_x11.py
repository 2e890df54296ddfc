"""X11's connection setup. Oracles: tshark 4.0 on the same bytes; X Window System Protocol, chapter 8."""

from __future__ import annotations

from pathlib import Path

import pytest

from spanline.plaintext.parsers.x11 import X11
from tests import tshark
from tests.attempts import Told, assert_tells
from tests.craft_logins import written, x11
from tests.pieces import CLIENT, SERVER, Dialogue, one_side

COOKIE = b"0123456789abcdef"
NAME = b"MIT-MAGIC-COOKIE-1"
LOGIN: Dialogue = [(CLIENT, x11("<", NAME, COOKIE)), (SERVER, b"\1\0\x0b\0\0\0\2\0"), (CLIENT, b"\x62\0\5\0")]
ATTEMPT = ("MIT-MAGIC-COOKIE-1", "", COOKIE)

CASES: dict[str, tuple[Dialogue, list[Told]]] = {
    "accepted": (LOGIN, [(*ATTEMPT, "accepted")]),
    "refused": ([LOGIN[0], (SERVER, b"\0\x1a\x0b\0\0\0\7\0")], [(*ATTEMPT, "refused")]),
    "the other byte order": ([(CLIENT, x11(">", NAME, COOKIE)), LOGIN[1]], [(*ATTEMPT, "accepted")]),
    "only the client": (one_side(LOGIN, CLIENT), [(*ATTEMPT, "unknown")]),
    "only the server": (one_side(LOGIN, SERVER), []),
    "nobody is asked": ([(CLIENT, x11("<", b"", b"")), LOGIN[1]], [("no authorization", "", None, "accepted")]),
    "XDM": (
        [(CLIENT, x11("<", b"XDM-AUTHORIZATION-1", bytes(24))), LOGIN[1]],
        [("XDM-AUTHORIZATION-1", "", None, "accepted")],
    ),
    "TLS on the port": ([(CLIENT, b"\x16\x03\x01\0\5hello")], []),
    "another version": ([(CLIENT, b"l\0\x0c\0\0\0\0\0\0\0\0\0")], []),
}


@pytest.mark.parametrize("case", CASES)
def test_setups(case: str) -> None:
    dialogue, expected = CASES[case]
    assert_tells(X11, dialogue, expected)


@pytest.mark.parametrize("order", ["<", ">"])
def test_tshark_reads_the_same(tmp_path: Path, order: str) -> None:
    capture = written(tmp_path / "x11.pcap", [(CLIENT, x11(order, NAME, COOKIE))], 6000)
    names = "x11.authorization-protocol-name", "x11.authorization-protocol-data"
    assert tshark.fields(capture, "x11", *names) == [(NAME.decode(), COOKIE.decode())]
