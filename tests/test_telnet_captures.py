"""Telnet sessions as they were captured.

Truth: what their clients typed, by tshark (EXPECTED_telnet_client_text.tsv of the shared captures).
"""

from __future__ import annotations

import csv
import re
import subprocess
from pathlib import Path

import pytest

from spanline.plaintext.model import Kind, Piece, Sender
from tests.craft_telnet import CLIENT, SERVER, tell


def captured(captures: Path, path: str) -> list[Piece]:
    """The payload of a capture's TCP conversation on port 23, in order of its sequence numbers, by tshark."""
    fields = ["frame.number", "frame.time_epoch", "tcp.dstport", "tcp.seq", "tcp.payload"]
    arguments = [argument for field in fields for argument in ("-e", field)]
    command = [
        "tshark",
        "-n",
        "-r",
        str(captures / path),
        "-Y",
        "tcp.len > 0 && tcp.port == 23",
        "-T",
        "fields",
        *arguments,
    ]
    found, expected = [], {}
    for row in subprocess.run(command, capture_output=True, text=True, check=True, timeout=60).stdout.splitlines():
        number, time, port, sequence, payload = row.split("\t")
        sender, at, data = CLIENT if port == "23" else SERVER, int(sequence), bytes.fromhex(payload)
        next_one = expected.setdefault(sender, at)
        if at + len(data) > next_one:
            found.append(
                Piece(sender, data[max(0, next_one - at) :], max(at, next_one) - 1, int(float(time) * 1e9),
                int(number),
                      max(0, at - next_one))
            )  # fmt: skip
            expected[sender] = at + len(data)
    return found


def expected_text(captures: Path) -> dict[str, list[str]]:
    """The lines that each capture's client typed."""
    with open(captures / "EXPECTED_telnet_client_text.tsv", newline="") as file:
        rows = list(csv.DictReader(file, delimiter="\t", quoting=csv.QUOTE_NONE))
    column = "first_client_bytes(options_removed)"
    texts = {row["path"]: row[column].replace("\\r", "\r").replace("\\n", "\n").replace("\\x00", "\0") for row in rows}
    return {
        path: [line for line in re.split("\r[\n\0]", text.replace("\\x03", "")) if line] for path, text in texts.items()
    }


@pytest.mark.parametrize("only", [None, CLIENT])
def test_captures_tell_what_was_typed(captures: Path, only: Sender | None) -> None:
    expected = expected_text(captures)
    assert len(expected) == 5
    for path, (account, secret, *commands) in expected.items():
        result = tell(piece for piece in captured(captures, path) if only in (None, piece.sender))
        assert result.logins == [(account, secret, "accepted")], path
        assert result.commands == commands, path
        assert [finding.inferred for finding in result.findings] == [only is CLIENT], path


def test_captures_of_the_servers_side_are_services(captures: Path) -> None:
    result = tell(captured(captures, "plaintext/telnet__PcapPlusPlus__telnet.pcap"))
    assert [(finding.kind, finding.secret) for finding in result.findings] == [(Kind.SERVICE, None)]
