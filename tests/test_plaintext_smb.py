"""Session setups of SMB. Oracles: tshark 4.0 on the same bytes and on real captures; [MS-CIFS], [MS-SMB2],
[MS-NLMP]."""

from __future__ import annotations

from pathlib import Path

import pytest

from spanline.plaintext.parsers.smb import Smb
from tests import tshark
from tests.attempts import Told, assert_tells
from tests.captured_pieces import captured, on_ports
from tests.craft_logins import ntlm_authenticate, smb1, smb1_negotiated, smb1_setup, smb2_setup, written
from tests.pieces import CLIENT, SERVER, Dialogue, one_side

V1, V2 = ntlm_authenticate("CORP", "alice", bytes(24)), ntlm_authenticate("CORP", "alice", bytes(90))
REFUSED, MORE = 0xC000006D, 0xC0000016
PLAIN_SETUP, HASHED_SETUP = (
    smb1_setup("alice", "CORP", b"S3cret!\0", b""),
    smb1_setup("alice", "CORP", bytes(24), bytes(24)),
)

MODERN: Dialogue = [
    (CLIENT, smb2_setup(b"NTLMSSP\0\1\0\0\0" + bytes(20), number=2)),
    (SERVER, smb2_setup(b"", status=MORE, answer=True, number=2)),
    (CLIENT, smb2_setup(V2)),
    (SERVER, smb2_setup(b"", answer=True)),
]


def answer1(status: int) -> bytes:
    return smb1(0x73, b"\xff\0\0\0\0\0", b"", status=status, answer=True)


CASES: dict[str, tuple[Dialogue, list[Told]]] = {
    "SMB 2": (MODERN, [("NTLMSSP v2 in SMB 2", "CORP\\alice", None, "accepted")]),
    "SMB 2 refused, version 1": (
        [(CLIENT, smb2_setup(V1)), (SERVER, smb2_setup(b"", status=REFUSED, answer=True))],
        [("NTLMSSP v1 in SMB 2", "CORP\\alice", None, "refused")],
    ),
    "SMB 2, only the client": (
        one_side(MODERN, CLIENT),
        [("NTLMSSP v2 in SMB 2", "CORP\\alice", None, "unknown")],
    ),
    "only the server": (one_side(MODERN, SERVER), []),
    "nobody": ([(CLIENT, smb2_setup(ntlm_authenticate("", "", b"")))], []),
    "SMB 1 with a challenge": (
        [(SERVER, smb1_negotiated(3)), (CLIENT, HASHED_SETUP), (SERVER, answer1(0))],
        [("NTLM v1 in SMB 1", "CORP\\alice", None, "accepted")],
    ),
    "SMB 1 in plaintext": (
        [(SERVER, smb1_negotiated(1)), (CLIENT, PLAIN_SETUP), (SERVER, answer1(REFUSED))],
        [("plaintext in SMB 1", "CORP\\alice", b"S3cret!", "refused")],
    ),
    "SMB 1 in plaintext, only the client": (
        [(CLIENT, PLAIN_SETUP)],
        [("plaintext in SMB 1", "CORP\\alice", b"S3cret!", "unknown")],
    ),
    "encrypted": ([(CLIENT, b"\0\0\0\x40\xfdSMB" + bytes(60))], []),
    "TLS on the port": ([(CLIENT, b"\x16\x03\x01\0\5hello"), *MODERN], []),
}


@pytest.mark.parametrize("case", CASES)
def test_session_setups(case: str) -> None:
    dialogue, expected = CASES[case]
    assert_tells(Smb, dialogue, expected)


def test_tshark_reads_the_same(tmp_path: Path) -> None:
    modern = written(tmp_path / "smb2.pcap", MODERN, 445)
    names = "ntlmssp.auth.domain", "ntlmssp.auth.username"
    assert tshark.fields(modern, "ntlmssp.auth.username", *names) == [("CORP", "alice")]
    for n, setup in enumerate((PLAIN_SETUP, HASHED_SETUP)):
        old = written(tmp_path / f"smb{n}.pcap", [(CLIENT, setup)], 445)
        assert tshark.fields(old, "smb", "smb.account", "smb.primary_domain") == [("alice", "CORP")]


def test_a_real_capture(captures: Path) -> None:
    """Oracle: tshark's names in NTLMSSP, and nt_status of the answers."""
    capture = "ldap__Security-Datasets__empire_smbexec_dcerpc_smb_svcctl_WORKSTATION5_2020-09-20025716.cap"
    path = captures / "plaintext" / capture
    names = tshark.fields(
        path, "smb2.cmd == 1 and ntlmssp.auth.username", "ntlmssp.auth.domain", "ntlmssp.auth.username"
    )
    found = captured(path, Smb, on_ports(139, 445))
    assert [finding.account for finding in found] == ["\\".join(name) for name in names] != []
    assert [finding.outcome for finding in found] == ["accepted"] * len(names)
