"""VNC's handshakes. Oracles: tshark 4.0 on the same bytes and on real captures; RFC 6143 sections 7.1 and 7.2."""

from __future__ import annotations

from pathlib import Path

import pytest

from spanline.plaintext.model import Kind, Severity
from spanline.plaintext.parsers.vnc import Vnc
from tests import tshark
from tests.attempts import Told, assert_tells, attempts
from tests.captured_pieces import captured, on_ports
from tests.craft_logins import written
from tests.pieces import CLIENT, SERVER, Dialogue, one_side

V33, V37, V38, APPLE = b"RFB 003.003\n", b"RFB 003.007\n", b"RFB 003.008\n", b"RFB 003.889\n"
CHALLENGE, ANSWER = bytes(range(16)), bytes(range(16, 32))
OK, FAILED = bytes(4), b"\0\0\0\1"


def greeted(version: bytes, types: bytes, chosen: bytes) -> Dialogue:
    return [(SERVER, version), (CLIENT, version), (SERVER, bytes((len(types),)) + types), (CLIENT, chosen)]


LOGIN: Dialogue = [*greeted(V38, b"\x02\x10", b"\x02"), (SERVER, CHALLENGE), (CLIENT, ANSWER), (SERVER, OK)]
PASSWORD, OPEN = ("VNC authentication", "", None), ("no authentication", "", None)

CASES: dict[str, tuple[Dialogue, list[Told]]] = {
    "accepted": (LOGIN, [(*PASSWORD, "accepted")]),
    "refused": ([*LOGIN[:6], (SERVER, FAILED)], [(*PASSWORD, "refused")]),
    "version 3.3": (
        [(SERVER, V33), (CLIENT, V33), (SERVER, b"\0\0\0\2"), *LOGIN[4:]],
        [(*PASSWORD, "accepted")],
    ),
    "version 3.3 without": (
        [(SERVER, V33), (CLIENT, V33), (SERVER, b"\0\0\0\1"), (CLIENT, b"\1")],
        [(*OPEN, "accepted")],
    ),
    "a client of 3.3 and a server of 3.8": (
        [(SERVER, V38), (CLIENT, V33), (SERVER, b"\0\0\0\2"), *LOGIN[4:]],
        [(*PASSWORD, "accepted")],
    ),
    "version 3.7 without": ([*greeted(V37, b"\x01", b"\x01"), (CLIENT, b"\1")], [(*OPEN, "accepted")]),
    "version 3.8 without": ([*greeted(V38, b"\x01\x02", b"\x01"), (SERVER, OK)], [(*OPEN, "accepted")]),
    "Apple's": (greeted(APPLE, b"\x1e\x1f", b"\x1e"), []),
    "VeNCrypt": ([*greeted(V38, b"\x13\x02", b"\x13"), (SERVER, b"\0\2")], []),
    "nobody is let in": ([(SERVER, V38), (CLIENT, V38), (SERVER, b"\0\0\0\0\4busy")], []),
    "only the client": (one_side(LOGIN, CLIENT), [(*PASSWORD, "unknown")]),
    "only the server": (one_side(LOGIN, SERVER), []),
}


@pytest.mark.parametrize("case", CASES)
def test_handshakes(case: str) -> None:
    dialogue, expected = CASES[case]
    assert_tells(Vnc, dialogue, expected)


def test_no_authentication_is_worst() -> None:
    [finding] = attempts(Vnc, CASES["version 3.7 without"][0])
    assert (finding.kind, finding.severity) == (Kind.SERVICE, Severity.HIGH)


def test_tshark_reads_the_same(tmp_path: Path) -> None:
    capture = written(tmp_path / "vnc.pcap", LOGIN, 5900)
    assert tshark.fields(capture, "vnc.auth_response", "vnc.auth_response") == [(ANSWER.hex(),)]
    assert tshark.fields(capture, "vnc.auth_result", "vnc.auth_result") == [("0",)]


@pytest.mark.parametrize(
    ("capture", "expected"),
    [
        ("bro__vncmac.pcap", []),
        ("suricata-verify__00-vnc-openwall-3.7.pcap", [("VNC authentication", "accepted")]),
        ("suricata-verify__rfb-parser__input.pcap", [("no authentication", "accepted")]),
        ("suricata-verify__rfb_failure_16.pcap", []),
    ],
)
def test_real_captures(captures: Path, capture: str, expected: list[tuple[str, str]]) -> None:
    """Oracle: tshark's vnc.client_security_type, vnc.auth_response and vnc.auth_result."""
    path = captures / "plaintext" / f"vnc__{capture}"
    found = captured(path, Vnc, on_ports(5900, 5901))
    assert [(finding.scheme, finding.outcome.value) for finding in found] == expected
    answers = [scheme for scheme, _ in expected if scheme == "VNC authentication"]
    assert len(answers) == len(tshark.fields(path, "vnc.auth_response", "frame.number"))
