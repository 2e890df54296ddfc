"""`spanline stats` hierarchy, destinations and hosts: pictures, policies and exit codes, of frames made here."""

from __future__ import annotations

from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from spanline.cli.group import spanline
from tests.craft import arp, ethernet, ipv4, udp
from tests.craft_files import START, Record, pcap


@pytest.fixture
def capture(tmp_path: Path) -> str:
    frames = [ethernet() / arp(), ethernet() / ipv4("10.0.0.1", "10.0.0.2") / udp(1000, 53) / b"12"]
    path = tmp_path / "a.pcap"
    path.write_bytes(pcap([Record(START + n, frame) for n, frame in enumerate(frames)]))
    return str(path)


def stats(*arguments: str) -> Result:
    return CliRunner().invoke(spanline, ["stats", *arguments, "-q"], env={"COLUMNS": "80"})


@pytest.mark.parametrize(
    ("view", "rows"),
    [
        (
            "hierarchy",
            ["eth             2  100.0   86 B  100.0          0", "      dns       1   50.0   44 B   51.2          1"],
        ),
        ("destinations", ["10.0.0.2", "53"]),
        ("hosts", ["10.0.0.1", "10.0.0.2"]),
    ],
)
def test_a_picture_fits_eighty_columns(capture: str, view: str, rows: list[str]) -> None:
    result = stats(view, capture)
    assert result.exit_code == 0
    assert all(len(line) <= 80 for line in result.output.splitlines())
    assert all(row in result.output for row in rows)


@pytest.mark.parametrize(("unwanted", "code"), [("arp", 1), ("tls", 0)])
def test_a_policy_sets_the_exit_code(tmp_path: Path, capture: str, unwanted: str, code: int) -> None:
    policy = tmp_path / "policy.toml"
    policy.write_text(f'[unwanted]\n{unwanted} = "ask the team"\n')
    for options in ((), ("--format", "json"), ("--as-tshark",)):
        assert stats("hierarchy", capture, "--policy", str(policy), *options).exit_code == code
    assert ("ask the team" in stats("hierarchy", capture, "--policy", str(policy)).output) == bool(code)


def test_a_wrong_policy_is_told_before_anything_is_read(tmp_path: Path, capture: str) -> None:
    policy = tmp_path / "policy.toml"
    policy.write_text('[unwanted]\ntelnt = ""\n')
    result = stats("hierarchy", capture, "--policy", str(policy))
    assert result.exit_code == 2
    assert (
        result.output == f"spanline: {policy}, line 2, column 1: no protocol is called 'telnt'; did you mean telnet?\n"
    )
