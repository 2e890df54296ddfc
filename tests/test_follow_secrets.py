"""Secrets in followed streams: `spanline follow --stream` leaves them out.

Oracle: secrets that were put into crafted conversations; tshark -q -z follow, live, of what is revealed.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path

import pytest

from spanline.cli.stream_view import STYLES
from spanline.plaintext.model import Conversation, Finding, Kind, Parser, Piece, Plaintext, Secret, Severity
from spanline.stages.follow_secrets import StreamSecrets
from tests.commands import run
from tests.craft import Frame, ethernet, ipv4, udp
from tests.craft_files import Record, pcap
from tests.craft_talk import LOGIN, PASSWORD, followed, talk, tshark_follows
from tests.craft_tunnels import vxlan

pytestmark = pytest.mark.usefixtures("state")


HIDING: dict[str, tuple[list[Record], str]] = {
    "FTP": (LOGIN, PASSWORD),
    "FTP on a foreign port": (
        talk("<220 FTP server ready", ">USER alice", "<331 Password?", f">PASS {PASSWORD}", "<530 No", port=2121),
        PASSWORD,
    ),
    "POP3": (talk("<+OK ready", ">USER alice", "<+OK", f">PASS {PASSWORD}", "<+OK", port=110), PASSWORD),
    "without handshake": (LOGIN[3:], PASSWORD),
    "without handshake, on a foreign port": (
        talk("<220 FTP server ready", ">USER alice", "<331 Password?", f">PASS {PASSWORD}", "<530 No", port=2121)[3:],
        PASSWORD,
    ),
    "in a tunnel": (
        [Record(one.time, ethernet() / ipv4() / udp(50000, 4789) / vxlan(7) / one.frame) for one in LOGIN
         if isinstance(one.frame, Frame)],
        PASSWORD,
    ),
}  # fmt: skip
WAYS: list[list[str]] = [
    ["--as", "text"],
    ["--as", "hex"],
    ["--as", "raw"],
    ["--as", "text", "--as-tshark"],
    ["--as", "hex", "--as-tshark"],
    ["--as", "raw", "--as-tshark"],
    ["--format", "json"],
    ["--format", "json", "--as", "raw"],
]


def bare(text: str) -> str:
    """Without what stands between the bytes of a dump."""
    return "".join(text.split())


@pytest.mark.parametrize("way", WAYS, ids=" ".join)
@pytest.mark.parametrize("name", HIDING)
def test_a_secret_is_shown_only_when_it_is_asked_for(name: str, way: list[str], tmp_path: Path, state: Path) -> None:
    records, secret = HIDING[name]
    path = tmp_path / "capture.pcap"
    path.write_bytes(pcap(records))
    result = run("follow", path, "--stream", "tcp.stream==0", *way)
    tellings = {secret, secret.encode().hex(), secret[:7], secret[-4:], secret.encode()[:4].hex()}
    assert not [one for one in tellings if one in bare(result.output)]
    assert "alice" in result.output or b"alice".hex() in bare(result.output)
    revealed = run("follow", path, "--stream", "tcp.stream==0", *way, "--reveal-anyway")
    assert {secret, secret.encode().hex()} & {one for one in tellings if one in bare(revealed.stdout)}
    line = json.loads((state / "revealed.jsonl").read_text().splitlines()[-1])
    assert line["captures"] == [str(path)]
    assert line["revealed"] >= 1


def test_revealed_bytes_are_those_of_tshark(tmp_path: Path) -> None:
    path = tmp_path / "capture.pcap"
    path.write_bytes(pcap(LOGIN))
    theirs = tshark_follows(path, "tcp", [0])
    for style in STYLES:
        shown = run("follow", path, "--stream", "tcp.stream==0", "--as", style, "--as-tshark", "--reveal-anyway")
        assert shown.stdout_bytes.decode() == theirs[0, style]


def test_bytes_that_are_hidden_keep_their_places(tmp_path: Path) -> None:
    path = tmp_path / "capture.pcap"
    path.write_bytes(pcap(LOGIN))
    lines = run("follow", path, "--stream", "tcp.stream==0", "--as", "hex").stdout.splitlines()
    assert lines[10:13] == [
        "     0.003000 → 18 bytes",
        "  0000000C  50 41 53 53 20 xx xx xx  xx xx xx xx xx xx xx xx  PASS ••• ••••••••",
        "  0000001C  0d 0a                                             ..",
    ]
    assert (
        f"PASS {'•' * len(PASSWORD)}\r\n"
        in run("follow", path, "--stream", "tcp.stream==0", "--as-tshark").stdout_bytes.decode()
    )


class _Raises(Parser):
    def feed(self, piece: Piece) -> Iterable[Finding]:
        raise ValueError(PASSWORD)

    def finish(self) -> Iterable[Finding]:
        return ()


def test_all_is_hidden_when_a_parser_fails() -> None:
    stage = followed(LOGIN)
    secrets = StreamSecrets(stage, [Plaintext("ftp", "FTP", _Raises, tcp_ports=(21,))])
    assert secrets.failed == ["ftp"]
    assert all(secrets.hides(one) == [(0, len(one.payload))] for one in stage.records)


class _Placeless(Parser):
    """Finds a secret and does not know where it stands."""

    def __init__(self, conversation: Conversation) -> None:
        super().__init__(conversation)
        self._finding: list[Finding] = []

    def feed(self, piece: Piece) -> Iterable[Finding]:
        if b"PASS" in piece.data:
            secret = Secret(PASSWORD.encode())
            yield Finding(Kind.CREDENTIAL, 0, (piece.frame,), "", Severity.HIGH, "", secret=secret)

    def finish(self) -> Iterable[Finding]:
        return ()


def test_frames_of_a_secret_without_a_place_are_hidden() -> None:
    stage = followed(LOGIN)
    secrets = StreamSecrets(stage, [Plaintext("ftp", "FTP", _Placeless, tcp_ports=(21,))])
    assert [bool(secrets.hides(one)) for one in stage.records] == [False, False, False, True, False]
