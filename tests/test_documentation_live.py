"""Every command of docs/live-capture.md is run at the end of a mirror, and the unit for systemd is one.

Oracles: the frames that are sent; systemd-analyze(1).
"""

from __future__ import annotations

import re
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from spanline.lab.network import missing
from tests.craft import ethernet, icmp, ipv4, udp
from tests.craft_tunnels import vxlan
from tests.everybody import CAPTURES, NOBODY, TOP, open_folder, shown
from tests.own_network import NEAR, Sender, impossible, ip, own_network
from tests.test_documentation import BLOCK, LIVE, commands, environment

UNIT = TOP / "packaging/systemd/spanline-capture@.service"
ACCOUNT = re.compile(r"offered ([\d,]+) = read ([\d,]+) \+ dropped ([\d,]+)")
CARD = "02:00:00:00:00:03"
# What the page says, and what it is here: nobody waits for a minute, and there is a user of another name.
HERE = (("^sudo ", ""), ("--user spanline", "--user nobody"), (r"(--duration|--time-limit) \d+", r"\1 1"))


def page() -> list[str]:
    blocks = [match[2] for match in BLOCK.finditer(LIVE.read_text())]
    return [command for text in blocks for command, _, _ in commands(text)]


@pytest.fixture
def mirror() -> Iterator[None]:
    """To the address of span0 come pings in VXLAN, until the test is over."""
    with own_network():
        ip(
            f"link set {NEAR} down",
            f"link set {NEAR} name span0",
            "link set span0 up",
            "address add 10.0.1.3/24 dev span0",
        )
        said = subprocess.run(["ip", "-brief", "link", "show", "span0"], capture_output=True, text=True, check=True)
        outer = (
            ethernet(destination=said.stdout.split()[2]) / ipv4("10.0.1.2", "10.0.1.3") / udp(50000, 4789) / vxlan(77)
        )
        pings = [
            bytes(outer / ethernet() / ipv4(*addresses) / icmp(type) / bytes(300))
            for type, addresses in ((8, ("10.0.0.5", "10.0.1.2")), (0, ("10.0.1.2", "10.0.0.5")))
        ]
        over = threading.Event()
        with Sender() as sender:

            def send() -> None:
                while not over.wait(0.02):
                    sender.send(*pings)

            thread = threading.Thread(target=send)
            thread.start()
            try:
                yield
            finally:
                over.set()
                thread.join()


@pytest.mark.lab
@pytest.mark.skipif(bool(impossible()), reason=impossible() or "-")
@pytest.mark.usefixtures("mirror")
def test_what_the_page_captures() -> None:
    """All at the same time: each gets every ping, and accounts for it."""
    with open_folder() as folder:
        for command, (code, printed, said) in all_at_once(page(), folder).items():
            assert code == 0, f"{command}: {said}"
            found = ACCOUNT.search(said)
            assert found, f"{command}: {said}"
            offered, read, dropped = (int(one.replace(",", "")) for one in found.groups())
            assert offered == read + dropped
            assert read >= 10
            if "packets" in command:
                assert len(re.findall(r"icmp 77 +\d+ echo", printed)) == 10, printed
        assert list(folder.glob("spanline-captures/span0-*.pcapng"))
        assert list(folder.glob("spanline-flows/flows-*.parquet"))


def all_at_once(page: list[str], folder: Path) -> dict[str, tuple[int, str, str]]:
    """Exit code and output of each command, run as it is meant here."""
    running = []
    for command in page:
        here = command.replace("/var/tmp/", f"{folder}/")
        for words, meant in HERE:
            here = re.sub(words, meant, here)
        pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
        who = () if command.startswith("sudo ") else NOBODY
        running.append(subprocess.Popen(shown(*who, "bash", "-c", here), env=environment(folder), **pipes))
    try:
        said = [process.communicate(timeout=60) for process in running]
    finally:
        for process in running:
            process.kill()
    return {command: (process.returncode, *texts) for command, process, texts in zip(page, running, said, strict=True)}


@pytest.mark.lab
@pytest.mark.skipif(bool(impossible()), reason=impossible() or "-")
@pytest.mark.usefixtures("mirror")
def test_the_unit_captures() -> None:
    """Its command, with the capability that it has and no way to another one."""
    (command,) = re.findall("^ExecStart=(.+)$", UNIT.read_text(), re.MULTILINE)
    here = {"/opt/spanline/bin/": "", "%i": "span0", "$OPTIONS": "--time-limit 1 --segment-packets 10"}
    with open_folder() as folder:
        for word, meant in (here | {"/var/lib/": f"{folder}/"}).items():
            command = command.replace(word, meant)
        line = shown(*CAPTURES, "--no-new-privs", *command.split())
        ran = subprocess.run(line, env=environment(folder), capture_output=True, text=True, timeout=60)
        assert ran.returncode == 0, ran.stderr
        assert len(list(folder.glob("spanline/span0/*.pcapng"))) >= 2


@pytest.mark.skipif(bool(missing("systemd-analyze")), reason="no systemd")
def test_systemd_understands_the_unit(tmp_path: Path) -> None:
    """It warns of a word that it does not know, and goes on."""
    here = tmp_path / UNIT.name
    here.write_text(UNIT.read_text().replace("/opt/spanline/bin/spanline", sys.executable))
    ran = subprocess.run(["systemd-analyze", "verify", "--man=no", here], capture_output=True, text=True, timeout=60)
    assert (ran.returncode, ran.stderr) == (0, "")


def test_the_page_has_something_to_run() -> None:
    assert len(page()) >= 5
