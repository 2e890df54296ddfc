"""Oracle's CONNECT. Oracles: tshark 4.0 on the same bytes and on real captures."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from spanline.plaintext.parsers.tns import Tns
from tests import tshark
from tests.attempts import Told, assert_tells, attempts
from tests.captured_pieces import captured, on_ports
from tests.craft_logins import tns, tns_connect, written
from tests.pieces import CLIENT, SERVER, Dialogue

CONNECT = (
    CLIENT,
    tns_connect(b"(DESCRIPTION=(CONNECT_DATA=(SERVICE_NAME=shop)(CID=(PROGRAM=sqlplus)(HOST=desk)(USER=alice))))"),
)
ACCEPT, REFUSE, RESEND = (SERVER, tns(2, bytes(24))), (SERVER, tns(4, bytes(12))), (SERVER, tns(11, b""))

CASES: dict[str, tuple[Dialogue, list[Told]]] = {
    "accepted": ([CONNECT, ACCEPT], [("CONNECT", "alice", None, "accepted")]),
    "refused": ([CONNECT, REFUSE], [("CONNECT", "alice", None, "refused")]),
    "sent again": ([CONNECT, RESEND, CONNECT, ACCEPT], [("CONNECT", "alice", None, "accepted")]),
    "a byte too many": (
        [(CLIENT, CONNECT[1] + b")"), (CLIENT, tns(11, b"")), (CLIENT, CONNECT[1].replace(b"alice", b"bobby")), ACCEPT],
        [("CONNECT", "alice", None, "accepted"), ("CONNECT", "bobby", None, "unknown")],
    ),
    "bytes that belong to nothing": (
        [CONNECT, (CLIENT, b"\xff" * 5), CONNECT],
        [("CONNECT", "alice", None, "unknown")],
    ),
    "only the client": ([CONNECT], [("CONNECT", "alice", None, "unknown")]),
    "only the server": ([ACCEPT], []),
    "a capture that begins later": ([(CLIENT, tns(6, b"\0\0data"))], []),
    "TLS on the port": ([(CLIENT, b"\x16\x03\x01\0\5hello")], []),
}


@pytest.mark.parametrize("case", CASES)
def test_connects(case: str) -> None:
    dialogue, expected = CASES[case]
    assert_tells(Tns, dialogue, expected)


def test_the_service_is_told() -> None:
    [finding] = attempts(Tns, [CONNECT])
    assert finding.detail == "service shop"


def test_tshark_reads_the_same(tmp_path: Path) -> None:
    capture = written(tmp_path / "tns.pcap", [CONNECT], 1521)
    assert "(USER=alice)" in tshark.fields(capture, "tns.connect_data", "tns.connect_data")[0][0]


@pytest.mark.parametrize("capture", ["_tun_oracle_0_fixed", "delay_10_oracle_0"])
def test_real_captures(captures: Path, capture: str) -> None:
    """Oracle: every USER in the bytes of the file, of which tshark shows both or the first. A byte too many stands
    behind the first CONNECT."""
    path = next((captures / "plaintext").glob(f"tns__trex-core__*{capture}.pcap"))
    users = [user.decode() for user in re.findall(rb"\(USER=(\w+)\)", path.read_bytes())]
    shown = tshark.fields(path, "tns.connect_data", "tns.connect_data")
    told = [finding.account for finding in captured(path, Tns, on_ports(1521))]
    assert told == users == ["shekhar", "thomas"]
    assert [user for (data,) in shown for user in re.findall(r"\(USER=(\w+)\)", data)] in (users, users[:1])
