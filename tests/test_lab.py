"""The lab itself: what its mirrors carry, and that nothing of it stays.

Oracle: tshark 4.0.17 on the same recordings, and the kernel's list of processes.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from spanline.lab.network import CLIENT
from tests.lab.hosts import wait_for
from tests.lab.network import TARGETS, Lab

if TYPE_CHECKING:
    from tests.lab.recordings import Recordings

pytestmark = pytest.mark.lab

REPOSITORY = Path(__file__).resolve().parent.parent
COPIES = "both", "doubled", "client", "span"


def fields(capture: Path, keep: str, *names: str) -> list[tuple[str, ...]]:
    """tshark's fields of each frame that a display filter keeps; of each the last occurrence, the innermost layer's."""
    options = [option for name in names for option in ("-e", name)]
    command = ["tshark", "-n", "-r", str(capture), "-Y", keep, "-T", "fields", "-E", "occurrence=l", *options]
    said = subprocess.run(command, capture_output=True, text=True, check=True, timeout=60).stdout
    return [tuple(line.split("\t")) for line in said.splitlines()]


@pytest.mark.parametrize(
    ("protocol", "scheme", "keep", "field"),
    [
        ("http", "Basic", "http.authbasic", "http.authbasic"),
        ("http", "form", "urlencoded-form", "urlencoded-form.value"),
        ("ftp", "USER and PASS", 'ftp.request.command == "PASS"', "ftp.request.arg"),
        ("pop", "USER and PASS", 'pop.request.command == "PASS"', "pop.request.parameter"),
        ("ldap", "simple bind", "ldap.simple", "ldap.simple"),
        ("snmp", "", "snmp", "snmp.community"),
    ],
)
def test_passwords_stand_in_the_recording(
    recordings: Recordings, protocol: str, scheme: str, keep: str, field: str
) -> None:
    sent = {
        one.secret for one in recordings.sessions.attempts if one.protocol == protocol and scheme in ("", one.scheme)
    }
    seen = {value.removeprefix("otto:") for (value,) in fields(recordings.captures["both"].path, keep, field)}
    # Nothing secret goes into the message of a failed test.
    same, others = seen == sent, len(seen - sent)
    assert (same, others, len(sent)) == (True, 0, 2)


@pytest.mark.parametrize(
    ("keep", "count"),
    [
        ('imap.response contains "Logged in"', 4),
        ('imap.response contains "NO [AUTHENTICATIONFAILED]"', 4),
        ('pop.response.description contains "Logged in"', 5),
        ('pop.response.indicator == "-ERR"', 5),
        ("http.response.code == 303", 2),
        ('http.authorization contains "Digest"', 4),
        ("ldap.bindResponse_element and ldap.resultCode == 0", 1),
        ("ldap.bindResponse_element and ldap.resultCode == 49", 1),
        ("smtp.response.code == 235", 2),
        ("smtp.response.code == 535", 2),
        ("ftp.response.code == 230", 1),
        ("ftp.response.code == 530", 1),
        ('resp.error contains "WRONGPASS"', 1),
        ("snmp.data == 2", 1),
        ("syslog", 1),
        ("ssh.message_code == 21", 2),
        ("tls.handshake.type == 1", 1),
    ],
)
def test_servers_accept_and_refuse(recordings: Recordings, keep: str, count: int) -> None:
    assert len(fields(recordings.captures["both"].path, f"({keep}) and not icmp", "frame.number")) == count


@pytest.mark.parametrize("port", [23, 2323])
def test_keys_come_one_by_one(recordings: Recordings, port: int) -> None:
    """On a busy machine some of those that are not echoed may share a packet."""
    (wrong,) = (
        one.secret for one in recordings.sessions.attempts if one.server_port == port and one.outcome == "refused"
    )
    keep = f"tcp.dstport == {port} and tcp.len > 0"
    keys = fields(recordings.captures["client"].path, keep, "tcp.payload")
    typed = [bytes.fromhex(key) for (key,) in keys]
    assert wrong is not None
    assert wrong.encode() in b"".join(typed)
    assert Counter(map(len, typed))[1] > 100


def segments(capture: Path) -> Counter[tuple[str, ...]]:
    """How often each TCP segment stands there. The identification of IP tells a copy from what was sent again."""
    names = ("ip.src", "ip.dst", "ip.id", "tcp.srcport", "tcp.dstport", "tcp.seq_raw", "tcp.flags")
    return Counter(fields(capture, "tcp and not icmp", *names))


def test_each_mirror_carries_its_part(recordings: Recordings) -> None:
    both, doubled, client, span = (segments(recordings.captures[name].path) for name in COPIES)
    assert set(both.values()) == {1}
    assert doubled == both + both
    assert client == Counter(one for one in both if one[0] == CLIENT)
    assert span == both


@pytest.mark.parametrize("name", COPIES)
def test_frames_come_as_the_mirror_sends_them(recordings: Recordings, name: str) -> None:
    capture, vni = recordings.captures[name].path, recordings.captures[name].vni
    assert set(fields(capture, "tcp", "vxlan.vni")) == {("" if vni is None else str(vni),)}


def test_without_a_listener_frames_come_back_quoted(recordings: Recordings) -> None:
    capture = recordings.captures["deaf"].path
    quoted = fields(capture, f"icmp.type == 3 and icmp.code == 3 and ip.src == {TARGETS['deaf']} and ftp", "ip.dst")
    assert quoted
    assert segments(capture) == segments(recordings.captures["both"].path)


@pytest.mark.usefixtures("recordings")
def test_nothing_of_the_lab_stays(tmp_path: Path) -> None:
    """Neither when its context ends, nor when the process that made it is killed."""
    with Lab() as lab, lab.record(tmp_path / "nothing.pcap"):
        made = [lab.switch.process, lab.client.process, lab.server.process, lab.target.process, lab.deaf.process]
        lab.server.run("useradd", "spanlinelab")
        assert "spanlinelab" in lab.server.path("/etc/passwd").read_text()
        assert "spanlinelab" not in Path("/etc/passwd").read_text()
        assert all(Path(f"/proc/{process}").exists() for process in made)
    assert not any(Path(f"/proc/{process}").exists() for process in made)

    code = "from tests.lab.network import *\nwith Lab() as lab: print(lab.server.process, flush=True); input()"
    with subprocess.Popen(
        [sys.executable, "-c", code], cwd=REPOSITORY, stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as victim:
        assert victim.stdout is not None
        process = int(victim.stdout.readline())
        assert Path(f"/proc/{process}").exists()
        os.kill(victim.pid, signal.SIGKILL)
        victim.wait()
        wait_for("the end of the namespaces", lambda: not Path(f"/proc/{process}").exists())
