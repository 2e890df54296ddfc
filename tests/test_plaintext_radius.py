"""RADIUS requests. Oracles: tshark 4.0 on the same bytes and on real captures; RFC 2865, RFC 3579, RFC 2548."""

from __future__ import annotations

from pathlib import Path

import pytest

from spanline.plaintext.parsers.radius import Radius
from tests import tshark
from tests.attempts import Told, assert_tells, attempts
from tests.captured_pieces import captured
from tests.craft_logins import radius, written
from tests.pieces import CLIENT, SERVER, Dialogue

USER, PAP, CHAP, EAP, PROTECTED = (1, b"alice"), (2, b"p" * 16), (3, b"c" * 17), 79, (80, b"m" * 16)
ACCEPT, REJECT, CHALLENGE = radius(2, 7), radius(3, 7), radius(11, 7)
IDENTITY, LEAP = (EAP, b"\2\1\0\x0a\1alice"), (EAP, b"\2\2\0\x25\x11\1\0\x18" + b"l" * 24 + b"alice")
EAP_MD5, PEAP = (EAP, b"\2\2\0\x16\4\x10" + b"d" * 16), (EAP, b"\2\2\0\6\x19\0")
MS_CHAP = (26, b"\0\0\1\x37\x01\x34" + bytes(50))
REQUEST = radius(1, 7, USER, PAP)

CASES: dict[str, tuple[Dialogue, list[Told]]] = {
    "PAP": ([(CLIENT, REQUEST), (SERVER, ACCEPT)], [("PAP", "alice", None, "accepted")]),
    "sent again": ([(CLIENT, REQUEST), (CLIENT, REQUEST), (SERVER, REJECT)], [("PAP", "alice", None, "refused")]),
    "CHAP": ([(CLIENT, radius(1, 7, USER, CHAP)), (SERVER, REJECT)], [("CHAP", "alice", None, "refused")]),
    "MS-CHAP": ([(CLIENT, radius(1, 7, USER, MS_CHAP))], [("MS-CHAP", "alice", None, "unknown")]),
    "LEAP": (
        [
            (CLIENT, radius(1, 7, USER, IDENTITY, PROTECTED)),
            (SERVER, CHALLENGE),
            (CLIENT, radius(1, 8, USER, LEAP, PROTECTED)),
            (SERVER, radius(2, 8)),
        ],
        [("LEAP", "alice", None, "accepted")],
    ),
    "EAP-MD5": ([(CLIENT, radius(1, 7, USER, EAP_MD5)), (SERVER, ACCEPT)], [("EAP-MD5", "alice", None, "accepted")]),
    "PEAP": (
        [
            (CLIENT, radius(1, 7, USER, IDENTITY, PROTECTED)),
            (SERVER, CHALLENGE),
            (CLIENT, radius(1, 8, USER, PEAP, PROTECTED)),
            (SERVER, radius(3, 8)),
        ],
        [("EAP", "alice", None, "refused")],
    ),
    "accounting": (
        [(CLIENT, radius(4, 1, USER)), (CLIENT, radius(4, 2, USER))],
        [("accounting", "alice", None, "unknown")],
    ),
    "no RADIUS": ([(CLIENT, b"\x16\xfe\xfd" + bytes(30)), (CLIENT, REQUEST)], []),
}


@pytest.mark.parametrize("case", CASES)
def test_requests(case: str) -> None:
    dialogue, expected = CASES[case]
    assert_tells(Radius, dialogue, expected, "udp")


@pytest.mark.parametrize(("more", "detail"), [((), "no Message-Authenticator"), ((PROTECTED,), "")])
def test_what_protects_is_seen(more: tuple[tuple[int, bytes], ...], detail: str) -> None:
    [finding] = attempts(Radius, [(CLIENT, radius(1, 7, USER, PAP, *more))], "udp")
    assert finding.detail == detail


def test_tshark_reads_the_same(tmp_path: Path) -> None:
    capture = written(tmp_path / "radius.pcap", CASES["LEAP"][0], 1812, "udp")
    shown = tshark.fields(capture, "radius.code == 1", "radius.User_Name", "eap.type", "radius.Message_Authenticator")
    assert [(name, kind, bool(protected)) for name, kind, protected in shown] == [
        ("alice", "1", True),
        ("alice", "17", True),
    ]


@pytest.mark.parametrize(
    "capture", ["PcapPlusPlus__radius_1_2_11", "libtrace__radius", "tcpdump__radius_rfc5447", "zeek__radius"]
)
def test_real_captures(captures: Path, capture: str) -> None:
    """Oracle: tshark's user names of requests."""
    path = captures / "plaintext" / f"radius__{capture}.pcap"
    found = captured(path, Radius, lambda conversation: conversation.transport == "udp")
    users = tshark.fields(path, "radius.code == 1 or radius.code == 4", "radius.User_Name")
    assert {finding.account for finding in found} == {user for (user,) in users}
