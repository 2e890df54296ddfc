"""Authentication in DCE/RPC. Oracles: tshark 4.0 on the same bytes and on real captures; [C706], [MS-RPCE]."""

from __future__ import annotations

from pathlib import Path
from struct import pack

import pytest

from spanline.plaintext.parsers.dcerpc import DceRpc
from tests import tshark
from tests.attempts import Told, assert_tells
from tests.captured_pieces import captured
from tests.craft_logins import ntlm_authenticate, written
from tests.pieces import CLIENT, SERVER, Dialogue, one_side

NTLM = ntlm_authenticate("CORP", "alice", bytes(90))
RESPONSE, FAULT, BIND, AUTH3 = 2, 3, 11, 16


def message(kind: int, body: bytes, token: bytes = b"") -> bytes:
    """With the trailer of authentication, at a multiple of 4: NTLMSSP, its level "connect"."""
    trailer = pack("<BBBBI", 10, 2, 0, 0, 1) + token if token else b""
    size = 16 + len(body) + len(trailer)
    return pack("<BBBBIHHI", 5, 0, kind, 3, 0x10, size, len(token), 1) + body + trailer


LOGIN: Dialogue = [
    (CLIENT, message(BIND, pack("<HHII", 4280, 4280, 0, 0), b"NTLMSSP\0" + pack("<II", 1, 0x8201) + bytes(16))),
    (SERVER, message(12, bytes(24), b"NTLMSSP\0" + pack("<I", 2) + bytes(36))),
    (CLIENT, message(AUTH3, bytes(4), NTLM)),
    (CLIENT, message(0, bytes(8))),
]
ATTEMPT = ("NTLMSSP v2", "CORP\\alice", None)

CASES: dict[str, tuple[Dialogue, list[Told]]] = {
    "accepted": ([*LOGIN, (SERVER, message(RESPONSE, bytes(8)))], [(*ATTEMPT, "accepted")]),
    "refused": ([*LOGIN, (SERVER, message(FAULT, pack("<IHHI", 0, 0, 0, 5)))], [(*ATTEMPT, "refused")]),
    "only the client": (one_side(LOGIN, CLIENT), [(*ATTEMPT, "unknown")]),
    "only the server": (one_side(LOGIN, SERVER), []),
    "TLS on the port": ([(CLIENT, b"\x16\x03\x01\0\5hello"), *LOGIN], []),
}


@pytest.mark.parametrize("case", CASES)
def test_authentication(case: str) -> None:
    dialogue, expected = CASES[case]
    assert_tells(DceRpc, dialogue, expected)


def test_tshark_reads_the_same(tmp_path: Path) -> None:
    capture = written(tmp_path / "dcerpc.pcap", LOGIN, 135)
    names = "ntlmssp.auth.domain", "ntlmssp.auth.username"
    assert tshark.fields(capture, "ntlmssp.auth.username", *names) == [("CORP", "alice")]


@pytest.mark.parametrize(
    "capture", ["plaintext/syslog__bro__mapi.pcap", "apps/smb__suricata-verify__dcerpc-ctxids__input.pcap"]
)
def test_real_captures(captures: Path, capture: str) -> None:
    """Oracle: tshark's names in NTLMSSP outside of SMB."""
    path = captures / capture
    chosen = "dcerpc and ntlmssp.auth.username and not smb and not smb2"
    names = tshark.fields(path, chosen, "ntlmssp.auth.domain", "ntlmssp.auth.username")
    found = captured(path, DceRpc, lambda one: one.transport == "tcp" and 445 not in (one.client_port, one.server_port))
    assert sorted(finding.account for finding in found) == sorted("\\".join(name) for name in names) != []
