"""SNMP communities and users. Oracles: tshark 4.0 on the same bytes and on real captures; RFC 3416, RFC 3412, RFC
3414."""

from __future__ import annotations

from pathlib import Path

import pytest

from spanline.plaintext.model import Severity
from spanline.plaintext.parsers.snmp import Snmp
from tests import tshark
from tests.attempts import Told, assert_tells, attempts
from tests.captured_pieces import captured, on_ports
from tests.craft_logins import snmp, snmp_user, written
from tests.pieces import CLIENT, SERVER, Dialogue

GET, ANSWER, SET, TRAP, INFORM = 0xA0, 0xA2, 0xA3, 0xA7, 0xA6
V1, V2C = ("community of v1", ""), ("community of v2c", "")

CASES: dict[str, tuple[Dialogue, list[Told]]] = {
    "answered": ([(CLIENT, snmp(b"public")), (SERVER, snmp(b"public", ANSWER))], [(*V2C, b"public", "accepted")]),
    "version 1": ([(CLIENT, snmp(b"public", version=0))], [(*V1, b"public", "unknown")]),
    "only once": ([(CLIENT, snmp(b"public")), (SERVER, snmp(b"public", ANSWER))] * 9, [(*V2C, b"public", "accepted")]),
    "one that is wrong first": (
        [(CLIENT, snmp(b"guess")), (CLIENT, snmp(b"public")), (SERVER, snmp(b"public", ANSWER))],
        [(*V2C, b"public", "accepted"), (*V2C, b"guess", "unknown")],
    ),
    "only the answers": ([(SERVER, snmp(b"public", ANSWER))], [(*V2C, b"public", "accepted")]),
    "a trap": ([(CLIENT, snmp(b"traps", TRAP))], [(*V2C, b"traps", "unknown")]),
    "never answered": ([(CLIENT, snmp(b"public"))] * 40, [(*V2C, b"public", "unknown")]),
    "a user": (
        [(CLIENT, snmp_user(b"", 4)), (CLIENT, snmp_user(b"operator", 4))],
        [("v3, no authentication, no privacy", "operator", None, "unknown")],
    ),
    "a user who is authenticated": (
        [(CLIENT, snmp_user(b"operator", 5))],
        [("v3, authentication, no privacy", "operator", None, "unknown")],
    ),
    "a user with privacy": (
        [(CLIENT, snmp_user(b"operator", 7))] * 2,
        [("v3, authentication, privacy", "operator", None, "unknown")],
    ),
    "privacy without authentication": (
        [(CLIENT, snmp_user(b"operator", 6))],
        [("v3, no authentication, no privacy", "operator", None, "unknown")],
    ),
    "a user at two levels": (
        [(CLIENT, snmp_user(b"operator", 7)), (CLIENT, snmp_user(b"operator", 4))],
        [
            ("v3, authentication, privacy", "operator", None, "unknown"),
            ("v3, no authentication, no privacy", "operator", None, "unknown"),
        ],
    ),
    "no SNMP": ([(CLIENT, b"\x16\xfe\xfd" + bytes(30))], []),
}


@pytest.mark.parametrize("case", CASES)
@pytest.mark.parametrize("transport", ["udp", "tcp"])
def test_communities(case: str, transport: str) -> None:
    dialogue, expected = CASES[case]
    assert_tells(Snmp, dialogue, expected, transport)


def test_writing_is_worse() -> None:
    found = [attempts(Snmp, [(CLIENT, snmp(b"private", operation))], "udp")[0] for operation in (SET, GET, INFORM)]
    assert [finding.severity for finding in found] == [Severity.HIGH, Severity.MEDIUM, Severity.MEDIUM]
    assert [finding.detail for finding in found] == ["SetRequest", "GetRequest", "InformRequest"]


def test_tshark_reads_the_same(tmp_path: Path) -> None:
    capture = written(
        tmp_path / "snmp.pcap", [(CLIENT, snmp(b"public")), (CLIENT, snmp_user(b"operator", 4))], 161, "udp"
    )
    assert tshark.fields(capture, "snmp", "snmp.community", "snmp.msgUserName") == [("public", ""), ("", "operator")]


@pytest.mark.parametrize(
    "capture",
    [
        "snmp__arkime__SNMPv2c_get_requests.pcap",
        "snmp__eos-methods__snmp.pcap",
        "snmp__nDPI__snmp.pcap",
        "snmp__suricata-verify__snmp-v3-get-bulk-unauth.pcap",
        "snmp__zeek__snmp-oid-subidentifier-too-long.pcap",
    ],
)
def test_real_captures(captures: Path, capture: str) -> None:
    """Oracle: tshark's communities and users."""
    path = captures / "plaintext" / capture
    found = captured(path, Snmp, on_ports(161, 162))
    shown = tshark.fields(path, "snmp", "snmp.community", "snmp.msgUserName")
    secrets = {finding.secret.reveal().decode() for finding in found if finding.secret is not None}
    assert secrets == {community for community, _ in shown if community}
    assert {finding.account for finding in found if finding.secret is None} == {user for _, user in shown if user}
