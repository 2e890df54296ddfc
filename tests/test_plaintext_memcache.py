"""memcached. Oracles: tshark 4.0 on the same bytes and on a real capture; memcached's protocol.txt and binary
protocol."""

from __future__ import annotations

from pathlib import Path

import pytest

from spanline.plaintext.parsers.memcache import Memcache
from tests import tshark
from tests.attempts import Told, assert_tells
from tests.captured_pieces import captured, on_ports
from tests.craft_logins import memcache, written
from tests.pieces import CLIENT, SERVER, Dialogue, one_side

LOGIN: Dialogue = [
    (CLIENT, memcache(0x20, b"", b"")),
    (SERVER, memcache(0x20, b"", b"PLAIN", magic=0x81)),
    (CLIENT, memcache(0x21, b"PLAIN", b"\0alice\0S3cret!")),
    (SERVER, memcache(0x21, b"", b"Authenticated", magic=0x81)),
]
ATTEMPT, OPEN = ("SASL PLAIN", "alice", b"S3cret!"), ("no authentication", "", None, "unknown")

CASES: dict[str, tuple[Dialogue, list[Told]]] = {
    "accepted": (LOGIN, [(*ATTEMPT, "accepted")]),
    "refused": ([*LOGIN[:3], (SERVER, memcache(0x21, b"", b"", status=0x20, magic=0x81))], [(*ATTEMPT, "refused")]),
    "only the client": (one_side(LOGIN, CLIENT), [(*ATTEMPT, "unknown")]),
    "only the server": (one_side(LOGIN, SERVER), []),
    "lines": ([(CLIENT, b"get user:1\r\n"), (SERVER, b"END\r\n")], [OPEN]),
    "lines, only the client": ([(CLIENT, b"stats\r\n")], [OPEN]),
    "other lines": ([(CLIENT, b"EHLO desk\r\n")], []),
    "TLS on the port": ([(CLIENT, b"\x16\x03\x01\0\5hello" + bytes(600))], []),
}


@pytest.mark.parametrize("case", CASES)
def test_conversations(case: str) -> None:
    dialogue, expected = CASES[case]
    assert_tells(Memcache, dialogue, expected)


def test_datagrams() -> None:
    assert_tells(Memcache, [(CLIENT, b"\0\1\0\0\0\1\0\0stats\r\n")], [OPEN], "udp")


def test_tshark_reads_the_same(tmp_path: Path) -> None:
    capture = written(tmp_path / "memcache.pcap", LOGIN, 11211)
    shown = tshark.fields(capture, "memcache.opcode == 0x21 and memcache.magic == 0x80", "memcache.key", "frame.number")
    assert [key for key, _ in shown] == ["PLAIN"]


def test_a_real_capture(captures: Path) -> None:
    """Oracle: tshark's first command of the only conversation."""
    path = captures / "plaintext" / "memcache__nDPI__memcached.cap"
    [finding] = captured(path, Memcache, on_ports(11211))
    assert (finding.scheme, finding.frames) == ("no authentication", (4,))
    assert tshark.fields(path, "frame.number == 4", "memcache.command") == [("stats",)]
