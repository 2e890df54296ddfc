"""What real clients and servers say behind a mirror, found by `spanline plaintext`.

Oracle: what was typed and sent in the lab, and whether the servers let it in.
"""

from __future__ import annotations

import base64
import json
import subprocess
from collections import Counter
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import quote, quote_plus

import pytest

from spanline.lab.network import CLIENT, SERVER
from tests import tshark
from tests.commands import run, spawn
from tests.lab.network import TARGETS

if TYPE_CHECKING:
    from tests.lab.recordings import Recordings
    from tests.lab.sessions import Attempt

pytestmark = [pytest.mark.lab, pytest.mark.usefixtures("state")]

ATTEMPTS = {"credential", "challenge"}
ENCRYPTED = {22, 443}
FOREIGN = {2323, 8081}


def revealed(capture: Path) -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = json.loads(run("plaintext", capture, "--reveal-anyway", "--format", "json").stdout)
    return rows


def told(
    recordings: Recordings, attempts: Iterable[Attempt | dict[str, Any]], *columns: str
) -> Counter[tuple[Any, ...]]:
    """How often each was tried. For a secret its place among those of the lab stands: messages of tests show none."""
    places: dict[str | None, Any] = {secret: n for n, secret in enumerate(recordings.sessions.secrets)}
    places[None] = None
    rows = [one if isinstance(one, dict) else vars(one) for one in attempts]
    return Counter(
        (row["protocol"], row["server_port"], row["account"] or "", places.get(row["secret"], "another"))
        + tuple(row[column] for column in columns)
        for row in rows
    )


@pytest.mark.parametrize("name", ["both", "span", "doubled", "deaf"])
def test_each_attempt_is_found_once_with_its_outcome(recordings: Recordings, name: str) -> None:
    """Also where each frame came twice, and where a target without a listener sent it back in an ICMP error."""
    capture = recordings.captures[name]
    rows = revealed(capture.path)
    found = [row for row in rows if row["kind"] in ATTEMPTS]
    assert told(recordings, found, "outcome") == told(recordings, recordings.sessions.attempts, "outcome")
    assert {(row["client"], row["server"], row["vni"]) for row in rows} == {(CLIENT, SERVER, capture.vni)}
    assert {row["server_port"] for row in found if row["foreign_port"]} == FOREIGN
    assert not any(row["inferred"] for row in found)
    assert not ENCRYPTED.intersection(row["server_port"] for row in rows)
    assert any(row["protocol"] == "syslog" for row in rows)


def test_the_client_alone_tells_accounts_and_passwords(recordings: Recordings) -> None:
    """As an ingress-only VTAP carries it."""
    found = [row for row in revealed(recordings.captures["client"].path) if row["kind"] in ATTEMPTS]
    assert told(recordings, found) == told(recordings, recordings.sessions.attempts)
    # A community is a datagram's own; what a client types is taken for a password because it comes second.
    assert {row["protocol"] for row in found if not row["inferred"]} == {"snmp"}


def test_frames_quoted_by_icmp_are_no_traffic(recordings: Recordings, tmp_path: Path) -> None:
    errors = tmp_path / "errors.pcap"
    command = ["tshark", "-n", "-r", str(recordings.captures["deaf"].path), "-Y", f"ip.src == {TARGETS['deaf']}"]
    subprocess.run([*command, "-w", str(errors), "-F", "pcap"], check=True, capture_output=True, timeout=60)
    assert revealed(errors) == []


def test_what_tshark_finds_is_found(recordings: Recordings) -> None:
    """Oracle: tshark's tap of credentials, by the numbers of its frames."""
    capture = recordings.captures["both"].path
    frames = {int(line.split()[0]) for line in tshark.run(capture, "credentials").splitlines() if line[:1].isdigit()}
    assert len(frames) > 10
    assert frames <= {frame for row in revealed(capture) for frame in row["frames"]}


def forms_of(secret: str) -> set[bytes]:
    """How a secret might be written."""
    raw = secret.encode()
    return {
        *(raw, base64.b64encode(raw).rstrip(b"="), raw.hex().encode(), raw.hex(":").encode()),
        *(quote(secret, safe="").encode(), quote_plus(secret).encode(), json.dumps(secret)[1:-1].encode()),
    }


def leaked(recordings: Recordings, written: bytes) -> list[int]:
    """Places of the secrets that stand there, in any of these forms; the secrets themselves go into no message."""
    secrets = recordings.sessions.secrets
    return [n for n, secret in enumerate(secrets) if any(form in written for form in forms_of(secret))]


@pytest.mark.parametrize("name", ["both", "client"])
@pytest.mark.parametrize("format", ["table", "json", "csv"])
def test_nothing_is_shown_without_being_asked_for(recordings: Recordings, state: Path, name: str, format: str) -> None:
    ran = spawn("plaintext", recordings.captures[name].path, "--format", format, "-n", "0")
    kept = b"".join(path.read_bytes() for path in state.rglob("*") if path.is_file())
    assert b"marie" in ran.stdout
    assert leaked(recordings, ran.stdout + ran.stderr + kept) == []


def sessions(capture: Path, *options: str) -> list[dict[str, Any]]:
    every: list[dict[str, Any]] = json.loads(run("follow", "--telnet", capture, "--format", "json", *options).stdout)
    return every


@pytest.mark.parametrize("name", ["both", "client"])
def test_commands_come_out_as_they_were_meant(recordings: Recordings, name: str) -> None:
    every = sessions(recordings.captures[name].path)
    commands = {one["server_port"]: [command["text"] for command in one["commands"]] for one in every}
    assert commands == recordings.sessions.commands


def test_transcripts_show_the_screen(recordings: Recordings) -> None:
    capture = recordings.captures["both"].path
    for one in sessions(capture):
        assert (one["terminal_type"].lower(), one["window"]) == ("xterm", [80, 24])
        printed = "".join(event["text"] for event in one["events"] if event["who"] == "printed")
        assert "Login incorrect" in printed
        assert "one two" in printed
    sent = {one.secret for one in recordings.sessions.attempts if one.protocol == "telnet"}
    places = {n for n, secret in enumerate(recordings.sessions.secrets) if secret in sent}
    for options, shown in (((), set()), (("--reveal-anyway",), places)):
        ran = spawn("follow", "--telnet", capture, *options)
        assert b"marie" in ran.stdout
        assert set(leaked(recordings, ran.stdout + ran.stderr)) == shown


@pytest.mark.parametrize("name", ["both", "client", "doubled", "span"])
def test_telnet_data_is_what_tshark_prints(recordings: Recordings, name: str) -> None:
    """Oracle: tshark -e telnet.data."""
    capture = recordings.captures[name].path
    options = ("-Y", "telnet.data", "-T", "fields", "-e", "frame.number", "-e", "telnet.data")
    theirs = subprocess.run(["tshark", "-n", "-r", capture, *options], capture_output=True, check=True, timeout=60)
    assert theirs.stdout
    assert run("packets", capture, *options).stdout_bytes == theirs.stdout
