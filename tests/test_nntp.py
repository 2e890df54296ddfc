"""NNTP on its port and on another one. Truth: the conversation of RFC 3977 section 5.3.3; tshark 4.0 on the same."""

from __future__ import annotations

from pathlib import Path

import pytest

import spanline
from spanline.stages.flows import Flows
from tests import tshark
from tests.commands import run
from tests.craft import ethernet, ipv4, tcp
from tests.craft_files import START, Record, pcap

GREETING, COMMAND, ANSWER = b"200 NNTP Service Ready\r\n", b"MODE READER\r\n", b"200 Reader mode, posting permitted\r\n"


def conversation(path: Path, port: int) -> Path:
    to_client, to_server = ipv4("10.0.0.2", "10.0.0.1"), ipv4("10.0.0.1", "10.0.0.2")
    frames = [
        to_client / tcp(port, 50000, seq=1, ack=1, flags="PA") / GREETING,
        to_server / tcp(50000, port, seq=1, ack=1 + len(GREETING), flags="PA") / COMMAND,
        to_client / tcp(port, 50000, seq=1 + len(GREETING), ack=1 + len(COMMAND), flags="PA") / ANSWER,
    ]
    path.write_bytes(pcap([Record(START + n * 10**6, ethernet() / frame) for n, frame in enumerate(frames)]))
    return path


def test_the_hierarchy_is_tsharks(tmp_path: Path) -> None:
    path = conversation(tmp_path / "news.pcap", 119)
    ours = run("stats", "hierarchy", "--as-tshark", path).stdout
    assert ours == tshark.run(path, "io,phs")
    assert "nntp" in ours


@pytest.mark.parametrize(("port", "foreign"), [(119, False), (8119, True)])
def test_a_flow_is_of_it(tmp_path: Path, port: int, foreign: bool) -> None:
    flows = Flows()
    for _ in spanline.open(conversation(tmp_path / "news.pcap", port)).run(flows):
        pass
    [row] = flows.tables()["flows"].select(["application", "foreign_port"]).to_pylist()
    assert row == {"application": "nntp", "foreign_port": foreign}
