"""`spanline lab`: what it makes, what it mirrors, and that nothing of it stays.

Oracles: iproute2's lists, and tshark on what tcpdump took at the target. It runs on a machine of namespaces itself, so
that names of namespaces are that machine's own.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Generator
from pathlib import Path

import pytest

from tests import tshark
from tests.commands import PROGRAM

if sys.platform != "linux":
    pytest.skip("the lab is made of Linux namespaces", allow_module_level=True)

from spanline.lab.making import MIRRORS, NAMES
from spanline.lab.network import CLIENT, SERVER
from tests.lab.account import account
from tests.lab.hosts import Host, wait_for
from tests.lab.network import why_not

pytestmark = pytest.mark.lab

OWN_PROGRAMS = "PATH=/run/bin:/usr/sbin:/usr/bin:/sbin:/bin"


@pytest.fixture(scope="module")
def machine() -> Generator[Host, None, None]:
    if reason := why_not("ping", "telnet", "telnetd", "tshark"):
        pytest.skip(reason)
    host = Host("machine")
    try:
        yield host
    finally:
        host.close()


def lab(machine: Host, *arguments: str, code: int = 0) -> tuple[str, str]:
    """What `spanline lab` writes, and what it complains of."""
    ran = machine.run(*PROGRAM, "lab", *arguments, codes=(code,))
    return ran.stdout, ran.stderr


@pytest.fixture
def clean(machine: Host) -> Generator[Host, None, None]:
    yield machine
    lab(machine, "down")
    assert names(machine) == []


def names(machine: Host) -> list[str]:
    return sorted(line.split()[0] for line in machine.run("ip", "netns", "list").stdout.splitlines())


def interfaces(machine: Host) -> list[str]:
    return [line.split(":")[1].strip() for line in machine.run("ip", "-o", "link").stdout.splitlines()]


def test_all_of_it_is_in_its_namespaces_and_goes_with_them(clean: Host) -> None:
    made, _ = lab(clean, "up")
    assert names(clean) == sorted(NAMES)
    assert all(name in made for name in NAMES)
    assert interfaces(clean) == ["lo"]
    assert lab(clean, "up", code=2)[1] == "spanline: the lab is there already; take it away first: spanline lab down\n"
    removed, _ = lab(clean, "down")
    assert all(name in removed for name in NAMES)
    assert names(clean) == []
    assert lab(clean, "down") == ("there is no lab: nothing to remove\n", "")
    assert lab(clean, "run", code=2)[1] == "spanline: there is no lab; make it first: spanline lab up\n"


def test_what_runs_in_it_ends_with_it_and_is_named(clean: Host) -> None:
    lab(clean, "up")
    process = clean.start("ip", "netns", "exec", "spanline-target", "sleep", "1000")
    wait_for("it to run there", lambda: bool(clean.run("ip", "netns", "pids", "spanline-target").stdout))
    assert "ended sleep (" in lab(clean, "down")[0]
    assert process.wait(10) != 0


@pytest.mark.parametrize(
    ("mirror", "copies", "back", "vni"),
    [
        ("span", 1, True, ""),
        ("vxlan", 1, True, "100"),
        ("client-only", 1, False, ""),
        ("doubled", 2, True, ""),
    ],
)
def test_each_mirror(clean: Host, tmp_path: Path, mirror: str, copies: int, back: bool, vni: str) -> None:
    assert mirror in MIRRORS
    capture = tmp_path / "capture.pcap"
    lab(clean, "up", "--mirror", mirror)
    command = ("ip", "netns", "exec", "spanline-target", "tcpdump", "-i", "span0", "-U", "--immediate-mode")
    tcpdump = clean.start(*command, "-Z", "root", "-w", capture, stderr=subprocess.PIPE)
    assert tcpdump.stderr is not None
    tcpdump.stderr.readline()
    clean.run("ip", "netns", "exec", "spanline-client", "ping", "-c", "3", "-i", "0.1", "-s", "300", SERVER)
    wanted = {(CLIENT, SERVER): 3 * copies} | ({(SERVER, CLIENT): 3 * copies} if back else {})

    def seen() -> dict[tuple[str, ...], int]:
        # Of a tunnelled frame, each layer is told: the innermost is the last.
        rows = [tuple(one.split(",")[-1] for one in row) for row in tshark.fields(capture, "icmp", "ip.src", "ip.dst")]
        return {row: rows.count(row) for row in rows}

    wait_for("the pings at the target", lambda: seen() == wanted)
    clean.stop(tcpdump)
    tcpdump.stderr.close()
    assert seen() == wanted
    assert {row[0] for row in tshark.fields(capture, "icmp", "vxlan.vni")} == {vni}


def test_run_makes_traffic_while_a_command_watches(clean: Host, tmp_path: Path) -> None:
    """As the tutorial of OCI's VTAP: pings, and a telnet login of a real client at a real telnetd."""
    capture = tmp_path / "capture.pcap"
    lab(clean, "up", "--mirror", "vxlan")
    kept = Path("/var/log/wtmp"), clean.path("/var/log/wtmp")
    before = [path.read_bytes() if path.exists() else None for path in kept]
    command = ("ip", "netns", "exec", "spanline-target", "tcpdump", "-i", "span0", "-s", "2000", "-B", "16384")
    tcpdump = clean.start(*command, "-Z", "root", "-w", capture, stderr=subprocess.PIPE)
    assert tcpdump.stderr is not None
    tcpdump.stderr.readline()
    shown, told = lab(clean, "run", *PROGRAM, "plaintext", "--allow-root", "live:span0", "--format", "json")
    clean.stop(tcpdump)
    tcpdump.stderr.close()
    assert "ping -c 5 -s 300 10.0.1.2\n" in told
    assert "telnet: opc logs in" in told
    logins = [(one["protocol"], one["account"], one["outcome"], one["vni"]) for one in json.loads(shown)]
    assert logins == [("telnet", "opc", "refused", 100), ("telnet", "opc", "accepted", 100)]
    found = account(told)
    # Before anybody watches, the switch has asked for addresses.
    visits, frames = (len(tshark.fields(capture, keep, "frame.number")) for keep in ("tcp or icmp", "frame"))
    assert visits <= found.offered <= frames
    assert found.dropped == 0
    assert tshark.fields(capture, "icmp", "frame.len") == [("392",)] * 10
    typed = tshark.fields(capture, f"telnet && tcp.dstport == 23 && vxlan.vni == 100 && ip.src == {CLIENT}", "tcp.len")
    assert [length for (length,) in typed].count("1") > 20
    assert tshark.fields(capture, "http.response", "http.content_length") == [("200000",)]
    assert [path.read_bytes() if path.exists() else None for path in kept] == before
    assert clean.run("ip", "netns", "pids", "spanline-server").stdout == ""


@pytest.mark.parametrize(("command", "code"), [(("false",), 1), (("sh", "-c", "exit 7"), 7), (("no-such-program",), 2)])
def test_the_exit_code_of_the_command_is_that_of_run(clean: Host, command: tuple[str, ...], code: int) -> None:
    lab(clean, "up")
    _, told = lab(clean, "run", *command, code=code)
    assert "ping" not in told


def test_of_one_that_fails_half_way_nothing_is_left(machine: Host) -> None:
    """A tc that fails the fourth time."""
    machine.write(
        "/run/bin/tc",
        '#!/bin/sh\necho >>/run/asked; test $(wc -l </run/asked) -lt 4 || exit 9\nexec /sbin/tc "$@"\n',
        0o755,
    )
    told = machine.run("env", OWN_PROGRAMS, *PROGRAM, "lab", "up", codes=(2,)).stderr
    assert told.startswith("spanline: tc filter add dev to-server ingress")
    assert len(told.splitlines()) == 1
    assert names(machine) == []
    assert keepers(machine) == 0


def test_of_one_that_is_killed_half_way_nothing_is_left(machine: Host) -> None:
    machine.write("/run/bin/tc", "#!/bin/sh\ntouch /run/reached; exec sleep 2\n", 0o755)
    process = machine.start("env", OWN_PROGRAMS, *PROGRAM, "lab", "up")
    wait_for("tc to be asked", lambda: machine.path("/run/reached").exists())
    assert keepers(machine) == len(NAMES)
    (child,) = Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split()
    os.kill(int(child), signal.SIGKILL)
    wait_for("the end of the namespaces", lambda: keepers(machine) == 0)
    assert names(machine) == []


def keepers(machine: Host) -> int:
    """Network namespaces of the machine besides its own."""
    found = machine.run("lsns", "--type", "net", "--noheadings", "--output", "NS").stdout.split()
    return len(set(found)) - 1


def test_what_it_did_not_make_stays_as_it_is(machine: Host) -> None:
    machine.run("ip", "netns", "add", "spanline-server")
    for command in ("up", "down", "run"):
        _, told = lab(machine, command, code=2)
        assert told.startswith("spanline: there is a network namespace spanline-server that spanline did not make; ")
        assert len(told.splitlines()) == 1
    assert names(machine) == ["spanline-server"]
    machine.run("ip", "netns", "delete", "spanline-server")


def test_without_root_it_says_so(machine: Host) -> None:
    ran = machine.run("setpriv", "--reuid", "65534", "--clear-groups", *PROGRAM, "lab", "up", codes=(2,))
    assert ran.stderr == "spanline: the lab needs root, for network namespaces; use sudo\n"


def test_without_its_programs_it_says_which(machine: Host) -> None:
    python = Path(sys.executable)
    ran = machine.run("env", "PATH=/nowhere", python, *PROGRAM[1:], "lab", "up", codes=(2,))
    assert "the lab needs ip and tc and unshare" in ran.stderr
