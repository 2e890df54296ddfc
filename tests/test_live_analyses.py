"""Every analysis of a live capture is that of a file with the same frames.

Truth: the same command on the file, which other tests compare with tshark. The live source here (tests.replayed) lends
memory that it overwrites as soon as it is asked for more, as a ring does: nothing that was kept of it is right then.
"""

from __future__ import annotations

import json
import threading
import time
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest

import spanline
from spanline.errors import UsageError
from spanline.plaintext.redaction import Redactor
from spanline.sources import listening
from spanline.sources.live import Gap
from spanline.stages.flows import Flows
from spanline.stages.plaintext import Plaintext
from tests.commands import handshake, run
from tests.craft import ethernet, ipv4, udp
from tests.craft_conversations import conversation, together
from tests.craft_files import START, Record, pcap
from tests.craft_fragments import pieces
from tests.planted import LOGINS
from tests.replayed import Replayed

SECOND = 10**9
TELNET = LOGINS["telnet"].dialogue(b"alice", b"opensesame")


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))


@pytest.fixture
def crafted(tmp_path: Path) -> Path:
    """Logins, one behind VXLAN, handshakes, and a datagram in fragments with others between them."""
    fragments = [
        Record(START + n * 3_000_000, ethernet() / one)
        for n, one in enumerate(pieces(ipv4() / udp(53000, 53) / bytes(3000), 1000))
    ]
    parts = [
        conversation(TELNET, 23, vni=7),
        conversation(LOGINS["ftp"].dialogue(b"bob", b"secret"), 21, client_port=50001),
        conversation(LOGINS["pop"].dialogue(b"carol", b"secret"), 110, client_port=50002),
        handshake(),
        fragments,
    ]
    path = tmp_path / "crafted.pcap"
    path.write_bytes(pcap(together(parts), nanoseconds=True))
    return path


@pytest.fixture
def live(crafted: Path, monkeypatch: pytest.MonkeyPatch) -> Replayed:
    return replayed(monkeypatch, crafted, frames=3, idle=1)


def replayed(monkeypatch: pytest.MonkeyPatch, path: Path, **options: Any) -> Replayed:
    source = Replayed(path, **options)
    monkeypatch.setattr(listening, "open_source", source.open)
    return source


COMMANDS = [
    ("flows", "--format", "json"),
    ("flows",),
    ("flows", "-Y", "tcp.port == 23", "--format", "json"),
    ("flows", "--inner-filter", "port 23", "--format", "json"),
    ("rtt", "--format", "json"),
    ("rtt", "--follow", "tcp.stream==0", "--format", "json"),
    ("stats", "all", "--format", "json"),
    ("stats", "all"),
    ("packets",),
    ("packets", "--format", "json"),
    ("packets", "--format", "csv"),
    ("packets", "-V"),
    ("packets", "-T", "json"),
    ("packets", "-T", "fields", "-e", "frame.number", "-e", "ip.src", "-e", "tcp.payload", "-e", "telnet.data"),
    ("packets", "-n", "5"),
    ("follow", "--stream", "tcp.stream==1"),
    ("follow", "--telnet"),
    ("follow", "--telnet", "--format", "json"),
    ("crunch", "--format", "csv", "-o", "-"),
]


@pytest.mark.parametrize("command", COMMANDS, ids=" ".join)
def test_commands(crafted: Path, live: Replayed, command: tuple[str, ...]) -> None:
    name, *options = command
    views = options[:1] if name == "stats" else []
    expected = run(name, *views, crafted, *options[len(views) :])
    assert expected.stdout
    assert run(name, *views, "live:span0", *options[len(views) :]).stdout == expected.stdout


@pytest.mark.parametrize("threads", [1, 3])
def test_findings(crafted: Path, live: Replayed, threads: int) -> None:
    """They come in the order in which they are known."""
    expected = json.loads(run("plaintext", crafted, "--format", "json").stdout)
    found = json.loads(run("plaintext", "live:span0", "--threads", threads, "--format", "json").stdout)
    assert len(found) >= 3
    assert sorted(found, key=str) == sorted(expected, key=str)
