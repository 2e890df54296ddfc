"""What may happen to a live capture: the link goes, the disk is full, somebody stops or kills the process.

Truth: the frames that were sent, and how many. Each command runs as a process of its own, at ends of cables whose other
ends are sent into. SPANLINE_FLAPS, SPANLINE_KILLS and SPANLINE_STOPS say how often, for those who have the time.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import random
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from tests import tshark
from tests.commands import PROGRAM
from tests.craft import Frame, ethernet, ipv4, udp
from tests.craft_tunnels import vxlan
from tests.lab.account import account
from tests.lab.hosts import PATIENCE, takes_frames, wait_for
from tests.own_network import FAR, NEAR, Sender, impossible, ip, lay_cable, own_network

pytestmark = [pytest.mark.lab, pytest.mark.skipif(bool(impossible()), reason=impossible() or "-")]

FLAPS = int(os.environ.get("SPANLINE_FLAPS", "5"))
KILLS = int(os.environ.get("SPANLINE_KILLS", "10"))
STOPS = int(os.environ.get("SPANLINE_STOPS", "3"))
STOPPED = 5.0
"""Seconds for which a reader is stopped."""


@pytest.fixture(autouse=True)
def network(state: Path) -> Iterator[None]:
    with own_network():
        yield


class Command:
    """A command of spanline that captures: it takes frames already. It is killed in the end, if it still runs."""

    def __init__(self, folder: Path, *arguments: object, before: tuple[str, ...] = ()) -> None:
        self._paths = folder / "said.out", folder / "said.err"
        folder.mkdir(exist_ok=True)
        with self._paths[0].open("wb") as out, self._paths[1].open("wb") as err:
            command = [*before, *PROGRAM, *map(str, arguments), "--allow-root"]
            self.process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=out, stderr=err)
        wait_for("the capture", lambda: self.process.poll() is not None or takes_frames(self.process.pid))

    def __enter__(self) -> Command:
        return self

    def __exit__(self, *_: object) -> None:
        self.process.kill()
        self.process.wait(PATIENCE)

    @property
    def out(self) -> str:
        return self._paths[0].read_text()

    @property
    def err(self) -> str:
        return self._paths[1].read_text()

    def end(self, code: int = 0) -> None:
        self.process.send_signal(signal.SIGINT)
        assert self.process.wait(PATIENCE) == code, self.err

    def says(self, what: str, times: int) -> None:
        wait_for(f"{what!r} to be said {times} times", lambda: self.err.count(what) >= times)


def frame(number: int, length: int = 0) -> bytes:
    """A datagram of the flow of this number."""
    ends = f"10.{number >> 16 & 255}.{number >> 8 & 255}.{number & 255}", "10.255.255.254"
    return bytes(ethernet() / ipv4(*ends) / udp(1000, 53) / bytes(length))


FLOWS = ("flows", "--format", "json", "--idle-timeout", "off")


def packets_of_flows(command: Command) -> list[int]:
    """Of each flow, in the order of their numbers."""
    rows = json.loads(command.out)
    return [row["source_packets"] for row in sorted(rows, key=lambda row: [int(n) for n in row["source"].split(".")])]


@contextlib.contextmanager
def everybody(folder: Path) -> Iterator[list[Command]]:
    """Flows by each engine, and then a capture to files, at the same interface."""
    with contextlib.ExitStack() as stack:
        yield [
            *(
                stack.enter_context(Command(folder / engine, *FLOWS, f"live:{NEAR}", "--source", engine))
                for engine in ("ring", "libpcap")
            ),
            stack.enter_context(Command(folder / "capture", "capture", NEAR, "-w", folder / "segments")),
        ]


def pass_ten_frames(number: int) -> None:
    with Sender() as sender:
        sender.send(*[frame(number)] * 10)


def assert_all_of_them(commands: list[Command], folder: Path, flows: int) -> None:
    """Ten frames of each of so many flows, and nothing else. Oracle: tshark on the segment."""
    for command in commands:
        command.end()
    for command in commands[:-1]:
        found = account(command.err)
        assert (found.offered, found.dropped) == (10 * flows, 0)
        assert packets_of_flows(command) == [10] * flows
    (segment,) = (folder / "segments").glob("*.pcapng")
    sources = [source for (source,) in tshark.fields(segment, "udp", "ip.src")]
    assert sources == [f"10.0.0.{n}" for n in range(flows) for _ in range(10)]


def test_the_link_goes_down_and_up(tmp_path: Path) -> None:
    """Each time is told, nothing else is lost, and what comes afterwards belongs to the same capture."""
    with everybody(tmp_path) as commands:
        for n in range(FLAPS):
            pass_ten_frames(n)
            ip(f"link set {NEAR} down")
            ip(f"link set {NEAR} up")
            for command in commands:
                command.says("frames come again", n + 1)
        pass_ten_frames(FLAPS)
        assert_all_of_them(commands, tmp_path, FLAPS + 1)
        for command in commands:
            assert command.err.count("the link is down") == command.err.count("frames come again") == FLAPS


def test_the_interface_is_deleted_and_made_anew(tmp_path: Path) -> None:
    """It is another one of the same name, and the processes may open no socket any more."""
    with everybody(tmp_path) as commands:
        for n in range(3):
            pass_ten_frames(n)
            ip(f"link delete {NEAR}")
            for command in commands:
                command.says("the interface was deleted", n + 1)
            lay_cable()
            for command in commands:
                command.says("frames come again", n + 1)
        pass_ten_frames(3)
        assert_all_of_them(commands, tmp_path, 4)


# --- a reader that does not read

CABLES = {
    "ring": ("live:stopped0", "--block-size", "64K", "--blocks", "4"),
    "libpcap": ("live:stopped1", "--source", "libpcap", "--block-size", "64K", "--blocks", "4"),
    "datagrams": ("udp:4789", "--block-size", "64K", "--blocks", "4"),
}


IN_A_DATAGRAM = ethernet() / ipv4("192.0.2.1", "192.0.2.2") / udp(50000, 4789) / vxlan(7)
"""For who is there."""


def test_a_reader_that_is_stopped_loses_nothing_silently(tmp_path: Path) -> None:
    """By SIGSTOP, for seconds, while more comes than there is room for: every frame was read, or is counted as lost."""
    for n, _ in enumerate(CABLES):
        ip(
            f"link add name stopped{n} mtu 9000 address 02:00:00:00:00:02 type veth peer name sending{n} mtu 9000",
            *(f"link set {end}{n} up" for end in ("stopped", "sending")),
        )
    ip("address add 192.0.2.2/24 dev stopped2")
    for turn in range(-(-STOPS // len(CABLES))):
        with contextlib.ExitStack() as stack:
            commands = {
                kind: stack.enter_context(Command(tmp_path / f"{kind} {turn}", *FLOWS, *source))
                for kind, source in CABLES.items()
            }
            sent = {}
            for n, (kind, command) in enumerate(commands.items()):
                sent[kind] = random.randrange(2000, 4000)
                around = IN_A_DATAGRAM if kind == "datagrams" else Frame()
                flood(f"sending{n}", [bytes(around / frame(1, 400))] * 50)
                command.process.send_signal(signal.SIGSTOP)
                flood(f"sending{n}", [bytes(around / frame(number % 50, 400)) for number in range(sent[kind])])
            time.sleep(STOPPED)
            for kind, command in commands.items():
                command.process.send_signal(signal.SIGCONT)
                command.end()
                found = account(command.err)
                assert found.offered == sent[kind] + 50, kind
                assert found.dropped > 0, kind
                assert sum(packets_of_flows(command)) == found.read, kind


def flood(interface: str, frames: list[bytes]) -> None:
    with socket.socket(socket.AF_PACKET, socket.SOCK_RAW) as out:
        out.bind((interface, 0))
        for one in frames:
            out.send(one)


def test_a_worker_that_is_killed_is_replaced(tmp_path: Path) -> None:
    """What it had read is lost, and is counted; the others go on, and so does a new one with its share."""
    hundred = [frame(number) for number in range(100)]
    with Command(tmp_path, *FLOWS, f"live:{NEAR}", "--workers", "2") as command, Sender() as sender:

        def workers() -> list[int]:
            tasks = Path(f"/proc/{command.process.pid}/task").iterdir()
            return [int(child) for task in tasks for child in (task / "children").read_text().split()]

        wait_for("both workers", lambda: len(workers()) == 2)
        sender.send(*hundred * 10)
        time.sleep(1)
        os.kill(workers()[0], signal.SIGKILL)
        command.says("another one goes on", 1)
        sender.send(*hundred * 10)
        command.end(code=2)
        found = account(command.err)
        assert found.offered == 2000, command.err
        assert 0 < found.dropped < 1000
        packets = packets_of_flows(command)
        assert sum(packets) == found.read
        assert len(packets) == 100
        assert set(packets) == {10, 20}


# --- files

SENDING = """
import socket, sys, time
frames = [bytes.fromhex(line) for line in sys.stdin]
with socket.socket(socket.AF_PACKET, socket.SOCK_RAW) as out:
    out.bind((sys.argv[1], 0))
    print(flush=True)
    while True:
        for frame in frames:
            out.send(frame)
        time.sleep(0.02)
"""


@contextlib.contextmanager
def many_flows() -> Iterator[None]:
    """A hundred flows, again and again."""
    command = [sys.executable, "-c", SENDING, FAR]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as sender:
        assert sender.stdin is not None
        assert sender.stdout is not None
        sender.stdin.write("".join(f"{frame(number, 100).hex()}\n" for number in range(100)))
        sender.stdin.close()
        sender.stdout.readline()
        try:
            yield
        finally:
            sender.kill()


CRUNCH = ("crunch", f"live:{NEAR}", "--active-timeout", "0.1", "--segment-time", "0.1", "-q")


def digests(folder: Path) -> dict[str, str]:
    return {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in folder.glob("*.parquet")}


def test_a_crunch_that_is_killed_leaves_whole_files(tmp_path: Path) -> None:
    """At any moment: what has a name stays what it was, and Arrow reads all of it. Five at a time, for speed."""
    moments = random.Random(6)
    whole = 0
    with many_flows():
        for turn in range(-(-KILLS // 5)):
            with contextlib.ExitStack() as stack:
                folders = [tmp_path / f"{turn}-{n}" for n in range(5)]
                commands = [stack.enter_context(Command(one, *CRUNCH, "-o", f"{one}/flows/")) for one in folders]
                for folder, command in zip(folders, commands, strict=True):
                    time.sleep(moments.uniform(0, 0.3))
                    before = digests(folder / "flows")
                    named = set((folder / "flows").glob("*.parquet"))
                    command.process.kill()
                    command.process.wait(PATIENCE)
                    after = digests(folder / "flows")
                    assert before.items() <= after.items()
                    assert len(after) <= len(named) + 2
                    for name in after:
                        table = pq.read_table(folder / "flows" / name)
                        assert table.num_rows > 0
                        assert set(table["destination_port"].to_pylist()) == {53}
                    whole += len(after)
    assert whole > KILLS


SMALL_DISK = 'mount -t tmpfs -o size=64k none "$0" && "$@"; code=$?; cp "$0"/*.parquet "$0".kept; exit $code'


def test_a_disk_that_is_full(tmp_path: Path) -> None:
    """What was written stays whole; one line says what is wrong; the exit code is 2."""
    disk, kept = tmp_path / "disk", tmp_path / "disk.kept"
    disk.mkdir()
    kept.mkdir()
    small = ("unshare", "--mount", "sh", "-c", SMALL_DISK, str(disk))
    with many_flows(), Command(tmp_path, *CRUNCH, "-o", f"{disk}/", before=small) as command:
        assert command.process.wait(PATIENCE) == 2, command.err
    (line,) = command.err.splitlines()
    assert "No space left on device" in line
    assert str(disk) in line
    files = list(kept.glob("*.parquet"))
    assert files
    assert all(pq.read_table(path).num_rows > 0 for path in files)
    assert not list(kept.glob(".*"))
