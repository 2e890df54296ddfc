"""RPC with AUTH_SYS. Oracles: tshark 4.0 on the same bytes and on real captures; RFC 5531 sections 9 and 11."""

from __future__ import annotations

from pathlib import Path

import pytest

from spanline.plaintext.parsers.rpc import Rpc
from tests import tshark
from tests.attempts import Told, assert_tells, attempts
from tests.craft_logins import marked, rpc_call, rpc_reply, written
from tests.pieces import CLIENT, SERVER, Dialogue

ROOT = ("AUTH_SYS", "uid=0", None)

CASES: dict[str, tuple[Dialogue, list[Told]]] = {
    "accepted": ([(CLIENT, rpc_call(1, 0)), (SERVER, rpc_reply(1))], [(*ROOT, "accepted")]),
    "refused": ([(CLIENT, rpc_call(1, 0)), (SERVER, rpc_reply(1, 1))], [(*ROOT, "refused")]),
    "told once": (
        [(CLIENT, rpc_call(1, 0)), (SERVER, rpc_reply(1)), (CLIENT, rpc_call(2, 0)), (SERVER, rpc_reply(2))],
        [(*ROOT, "accepted")],
    ),
    "two users": (
        [(CLIENT, rpc_call(1, 0)), (CLIENT, rpc_call(2, 1000)), (SERVER, rpc_reply(2)), (SERVER, rpc_reply(1))],
        [("AUTH_SYS", "uid=1000", None, "accepted"), (*ROOT, "accepted")],
    ),
    "no program": ([(CLIENT, rpc_call(1, 0, program=7))], []),
}


@pytest.mark.parametrize("case", CASES)
def test_calls(case: str) -> None:
    dialogue, expected = CASES[case]
    assert_tells(Rpc, dialogue, expected, "udp")
    assert_tells(Rpc, [(sender, marked(message)) for sender, message in dialogue], expected)


def test_program_and_machine_are_told() -> None:
    assert [finding.detail for finding in attempts(Rpc, [(CLIENT, marked(rpc_call(1, 0)))])] == ["NFS, machine web1"]


def test_tshark_reads_the_same(tmp_path: Path) -> None:
    capture = written(tmp_path / "rpc.pcap", [(CLIENT, marked(rpc_call(1, 1000)))], 2049)
    assert tshark.fields(capture, "rpc", "rpc.auth.uid", "rpc.auth.machinename") == [("1000", "web1")]
