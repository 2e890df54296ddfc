"""What a process that captures gives up. Oracle: the kernel, by /proc and by what it refuses."""

from __future__ import annotations

import contextlib
import json
import os
import pwd
import re
import shutil
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from spanline import landlock
from spanline.lab.network import missing
from tests.commands import PROGRAM, spawn, whole_capture
from tests.craft import ethernet, ipv4, udp
from tests.everybody import CAPTURES, NOBODY, TOP, open_folder, shown
from tests.lab.hosts import PATIENCE, wait_for
from tests.own_network import FAR, NEAR, Sender, impossible, ip, lay_cable

pytestmark = [
    pytest.mark.lab,
    pytest.mark.usefixtures("network"),
    pytest.mark.skipif(bool(impossible()), reason=impossible() or "-"),
]

NOTHING = "0" * 16
FRAME = bytes(ethernet() / ipv4("10.0.0.1", "10.0.0.2") / udp(1000, 53) / b"question")


@pytest.fixture
def folder() -> Iterator[Path]:
    """One that every user finds, with a file in it."""
    with open_folder() as folder:
        (folder / "there").write_text("x")
        (folder / "there").chmod(0o666)
        yield folder


def confined(folder: Path, user: str, landlock: bool = True) -> dict[str, object]:
    """What tests/confined.py says."""
    arguments = [folder, user, "landlock" if landlock else "none"]
    command = shown(sys.executable, "-m", "tests.confined", *arguments)
    ran = subprocess.run(command, cwd=TOP, capture_output=True, text=True, timeout=60)
    assert not ran.returncode, ran.stderr
    said: dict[str, object] = json.loads(ran.stdout)
    return said


def nothing_kept(statuses: list[dict[str, str]]) -> bool:
    names = ("CapInh", "CapPrm", "CapEff", "CapAmb")
    return all(one[name] == NOTHING for one in statuses for name in names) and all(
        one["NoNewPrivs"] == "1" for one in statuses
    )


def statuses(process: int) -> list[dict[str, str]]:
    """Of each thread."""
    texts = [(one / "status").read_text() for one in Path(f"/proc/{process}/task").iterdir()]
    return [dict(line.split(":\t", 1) for line in text.splitlines() if ":\t" in line) for text in texts]


@pytest.mark.parametrize("user", ["", "nobody"])
def test_nothing_is_left(folder: Path, user: str) -> None:
    """In no thread, old or new; and what was needed still goes."""
    said = confined(folder, user)
    assert said["missing"] == ""
    assert len(said["threads"]) >= 3
    assert nothing_kept(said["threads"])
    assert {one["CapBnd"] for one in said["threads"]} == {NOTHING}
    refused = {what for what, became in said["became"].items() if became == "PermissionError"}
    wanted = {"another packet socket", "write elsewhere", "write over", "cut", "remove elsewhere", "read elsewhere"}
    assert refused == wanted | {"read secrets"} | ({"become root"} if user else set())
    assert set(said["became"].values()) == {"PermissionError", ""}
    uid = str(pwd.getpwnam(user).pw_uid) if user else "0"
    assert {one["Uid"] for one in said["threads"]} == {"\t".join([uid] * 4)}


def test_a_kernel_without_landlock_is_said(folder: Path) -> None:
    said = confined(folder, "nobody", landlock=False)
    assert "no Landlock" in said["missing"]
    assert nothing_kept(said["threads"])
    assert said["became"]["another packet socket"] == "PermissionError"
    assert said["became"]["write over"] == ""


def test_this_kernel_has_landlock() -> None:
    """Else nothing above says anything about it."""
    assert landlock.version() >= 1


def started(*arguments: str | Path, before: tuple[str, ...] = (), **others: object) -> subprocess.Popen[str]:
    """`spanline` at work, once it has given everything up."""
    command = shown(*before, *PROGRAM, *arguments)
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, **others)
    try:
        wait_for("privileges to be dropped", lambda: process.poll() is not None or is_confined(process.pid))
    except TimeoutError:
        process.kill()
        raise
    return process


def is_confined(process: int) -> bool:
    try:
        return nothing_kept(statuses(process))
    except OSError:
        return False


def account(process: subprocess.Popen[str]) -> tuple[int, int]:
    """Ends the capture. Frames that were offered, and read."""
    process.send_signal(signal.SIGINT)
    _, said = process.communicate(timeout=30)
    assert process.returncode == 0, said
    found = re.search(r"offered ([\d,]+) = read ([\d,]+)", said)
    assert found, said
    return int(found[1].replace(",", "")), int(found[2].replace(",", ""))


def wait_for_line(process: subprocess.Popen[str], words: str) -> None:
    """Until the process says so, or ends."""
    assert process.stderr is not None
    too_late = threading.Timer(PATIENCE, process.kill)
    too_late.start()
    said = next((line for line in iter(process.stderr.readline, "") if words in line), "")
    too_late.cancel()
    assert words in said


@pytest.mark.parametrize("source", ["ring", "libpcap"])
@pytest.mark.parametrize("who", [("--allow-root",), ("--user", "nobody")])
def test_capturing_goes_on(who: tuple[str, ...], source: str, folder: Path) -> None:
    (folder / "out").mkdir()
    (folder / "out").chmod(0o777)
    process = started("flows", f"live:{NEAR}", "--source", source, *who, "-o", folder / "out/flows.json")
    with Sender() as sender:
        sender.send(*[FRAME] * 100)
    assert account(process) == (100, 100)
    (flow,) = json.loads((folder / "out/flows.json").read_text())
    assert flow["source_packets"] == 100
    assert (folder / "out/flows.json").stat().st_uid == (0 if "--allow-root" in who else pwd.getpwnam("nobody").pw_uid)


def test_an_interface_made_anew_is_taken_without_privileges() -> None:
    process = started("flows", f"live:{NEAR}", "--user", "nobody")
    with Sender() as sender:
        sender.send(FRAME)
    ip(f"link delete {FAR}")
    lay_cable()
    wait_for_line(process, "frames come again")
    with Sender() as sender:
        sender.send(FRAME)
    assert account(process) == (2, 2)


@pytest.mark.skipif(bool(missing("setpriv")), reason="no setpriv")
def test_one_capability_is_enough() -> None:
    process = started("flows", f"live:{NEAR}", before=CAPTURES)
    with Sender() as sender:
        sender.send(*[FRAME] * 10)
    assert account(process) == (10, 10)


@pytest.mark.skipif(bool(missing("setcap", "setpriv")), reason="no setcap or no setpriv")
def test_a_python_of_its_own_may_have_the_capability(folder: Path) -> None:
    python = folder / "python"
    shutil.copy(os.path.realpath(sys.executable), python)
    subprocess.run(["setcap", "cap_net_raw+ep", python], check=True)
    paths = os.pathsep.join(filter(None, sys.path))
    command = shown(*NOBODY, python, *PROGRAM[1:], "flows", f"live:{NEAR}", "--duration", "0.5")
    ran = subprocess.run(command, env={**os.environ, "PYTHONPATH": paths}, capture_output=True, text=True, timeout=60)
    assert ran.returncode == 0, ran.stderr
    assert "offered 0 = read 0" in ran.stderr


@pytest.mark.parametrize("result", ["/dev/null", "/dev/stdout", "fifo"])
def test_results_go_into_devices_and_pipes(folder: Path, result: str) -> None:
    """As they do of files: the row of the only flow comes out, or goes nowhere."""
    os.mkfifo(folder / "fifo")
    path = folder / result  # which is absolute already, but for the pipe
    with contextlib.ExitStack() as reading:
        if result == "fifo":
            reader = reading.enter_context(subprocess.Popen(["cat", path], stdout=subprocess.PIPE, text=True))
        process = started("flows", f"live:{NEAR}", "--allow-root", "--format", "csv", "-o", path)
        with Sender() as sender:
            sender.send(*[FRAME] * 10)
        process.send_signal(signal.SIGINT)
        out, said = process.communicate(timeout=30)
        assert process.returncode == 0, said
        if result == "fifo":
            out, _ = reader.communicate(timeout=30)
    assert out.count("10.0.0.2") == (result != "/dev/null")


UNWRITABLE = [
    ("flows", "-o", "secrets/flows.json", "secrets: nobody may not write there"),
    ("crunch", "-o", "secrets/flows.parquet", "secrets: nobody may not write there"),
    ("crunch", "-o", "secrets/", "secrets: nobody may not write there"),
    ("capture", "-w", "secrets", "secrets: nobody may not write there"),
    ("flows", "-o", "nowhere/flows.json", "cannot write"),
]


@pytest.mark.parametrize(("command", "option", "path", "says"), UNWRITABLE)
def test_where_results_cannot_be_written_nothing_begins(
    folder: Path, command: str, option: str, path: str, says: str
) -> None:
    """It would be found out when the capture is over: file permissions are the truth here."""
    (folder / "secrets").mkdir(mode=0o700)
    source = NEAR if command == "capture" else f"live:{NEAR}"
    arguments = shown(*PROGRAM, command, source, "--user", "nobody", option, f"{folder}/{path}")
    ran = subprocess.run(arguments, capture_output=True, text=True, timeout=60)
    assert ran.returncode == 2
    assert ran.stderr.count("\n") == 1
    assert says in ran.stderr
    assert not (folder / "nowhere").exists()


REFUSED = [
    ((), "capturing as root; --user NAME goes on as NAME"),
    (("--user", "nobody-at-all"), "--user nobody-at-all: there is no such user"),
    (("--user", "root"), "--user root: that is root"),
]


@pytest.mark.parametrize(("options", "says"), REFUSED)
def test_what_is_refused(options: tuple[str, ...], says: str) -> None:
    ran = spawn("flows", f"live:{NEAR}", "--duration", "1", *options)
    assert ran.returncode == 2
    assert ran.stderr.count(b"\n") == 1
    assert says in ran.stderr.decode()


@pytest.mark.parametrize("options", [("--user", "nobody"), ("--allow-root",)])
def test_files_have_nothing_to_do_with_it(options: tuple[str, ...], tmp_path: Path) -> None:
    ran = spawn("flows", whole_capture(tmp_path), *options)
    assert ran.returncode == 2
    assert b"these are files" in ran.stderr


def test_who_is_not_root_becomes_nobody_else() -> None:
    command = shown("setpriv", "--reuid=nobody", *PROGRAM, "flows", f"live:{NEAR}", "--user", "daemon")
    ran = subprocess.run(command, capture_output=True, text=True, timeout=60)
    assert ran.returncode == 2
    assert "--user needs root" in ran.stderr
