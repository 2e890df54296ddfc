"""Session setups of SMB. Oracles: tshark 4.0 on the same bytes and on real captures; [MS-CIFS], [MS-SMB2],
[MS-NLMP]."""

from __future__ import annotations

from pathlib import Path
from struct import pack

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
LANMAN = pack("<BBHHHHIHI", 0xFF, 0, 0, 16644, 2, 1, 0, 8, 0)


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
    "SMB 1 in Unicode": (
        [(SERVER, smb1_negotiated(1)), (CLIENT, smb1_setup("alice", "", b"", "S3crét!".encode("utf-16-le")))],
        [("plaintext in SMB 1", "alice", "S3crét!".encode(), "unknown")],
    ),
    "SMB 1 without a password": ([(SERVER, smb1_negotiated(3)), (CLIENT, smb1_setup("guest", "", b"\0", b""))], []),
    "LAN Manager": (
        [(CLIENT, smb1(0x73, LANMAN, b"S3cret!\0" + b"alice\0CORP\0", flags=0x4001))],
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


@pytest.mark.parametrize(
    "capture",
    [
        "plaintext/ldap__Security-Datasets__empire_smbexec_dcerpc_smb_svcctl_WORKSTATION5_2020-09-20025716.cap",
        "apps/smb__zeek__20-fids.pcap",
        "apps/smb__BruteShark__SMB_-_NTLM_cifs_SessionSetupAndX_NTLM_Plain.pcap",
        "tcp/named__BruteShark__SMB_-_NTLMSSP_Windows_10_.pcapng",
        "tcp/synack-retx__arkime__smb-smb1-ascii.pcap",
    ],
)
def test_real_captures(captures: Path, capture: str) -> None:
    """Oracle: tshark's names in NTLMSSP, which are NULL where there is none; sessions of nobody are left out."""
    path = captures / capture
    chosen = "(smb2.cmd == 1 or smb.cmd == 0x73) and ntlmssp.auth.username and ntlmssp.auth.ntresponse"
    names = tshark.fields(path, chosen, "ntlmssp.auth.domain", "ntlmssp.auth.username")
    accounts = ["\\".join("" if part == "NULL" else part for part in name).lstrip("\\") for name in names]
    accounts = [account for account in accounts if account]
    assert accounts
    assert [finding.account for finding in captured(path, Smb, on_ports(139, 445))] == accounts
