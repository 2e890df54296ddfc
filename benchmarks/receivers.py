"""Who takes frames of an interface, in benchmarks/live.py and soak.py: a process each, which is watched and ended."""

from __future__ import annotations

import json
import os
import re
import resource
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from tests.lab.hosts import PATIENCE, takes_frames, wait_for

FOLDER = Path(__file__).resolve().parent.parent / "build" / "live"
SENDER = FOLDER / "sender"
SENDING, RECEIVING = (str(min(os.sched_getaffinity(0))), str(max(os.sched_getaffinity(0))))
"""Processors. The kernel carries frames to the receiver's ring on the sender's."""

SPANLINE = str(Path(sys.executable).with_name("spanline"))
CRUNCH = (SPANLINE, "crunch", "live:{interface}", "--allow-root", "-o", "{folder}/flows.parquet")
_SETTLED = 1.5
"""Seconds after the last frame: so long frames may wait in a block that is not full, tcpdump's a whole second."""


@dataclass(frozen=True)
class Receiver:
    """A command that takes frames of `{interface}`, and writes what it writes into `{folder}`. All have 64 MiB of ring.

    `read` is a pattern that finds, in what it says, how many frames it has read.
    """

    name: str
    command: tuple[str, ...]
    read: str


_ACCOUNT = re.compile(
    r"offered ([\d,]+) = read ([\d,]+) \+ dropped ([\d,]+)[^;]*; read ([\d,]+) = decoded ([\d,]+) \+ undecodable "
    r"([\d,]+); decoded ([\d,]+) = in flows ([\d,]+) \+ not in flows ([\d,]+)"
)
_READ, _CAPTURED, _OF_DUMPCAP = r"; read ([\d,]+) = decoded", r"(\d+) packets captured", r"Packets captured: (\d+)"
PLAINTEXT = Receiver("spanline, plaintext too", (*CRUNCH, "--plaintext", "{folder}/plaintext.parquet"), _READ)
OURS = Receiver("spanline", CRUNCH, _READ)
TCPDUMP = Receiver(
    "tcpdump", ("tcpdump", "-i", "{interface}", "-B", "65536", "-w", "/dev/null"), r"(\d+) packets captured"
)
DUMPCAP = Receiver(
    "dumpcap", ("dumpcap", "-q", "-i", "{interface}", "-B", "64", "-w", "/dev/null"), r"Packets captured: (\d+)"
)


@dataclass(frozen=True)
class Sent:
    """What the sender tells."""

    frames: int
    bytes: int
    seconds: float


@dataclass(frozen=True)
class Run:
    """One receiver, while frames came.

    sent     frames, before they were copied, in `seconds`
    offered  frames that the interface carried; `lost` are those of them that the receiver did not read
    cpu      its processor seconds, user and system, while frames came
    around   its processor seconds before and after that, which do not grow with time
    peak     of its memory, in MB
    """

    sent: int
    seconds: float
    offered: int
    lost: int
    cpu: float
    around: float
    peak: float


def build_sender() -> None:
    """Compiles sender.c."""
    FOLDER.mkdir(parents=True, exist_ok=True)
    subprocess.run(["cc", "-O2", "-o", SENDER, Path(__file__).with_name("sender.c")], check=True, timeout=60)


def send(interface: str, *options: str, seconds: float) -> Sent:
    """Puts frames on an interface for so long."""
    command = ["taskset", "-c", SENDING, str(SENDER), interface, "-s", str(seconds), *options]
    told = json.loads(subprocess.run(command, check=True, capture_output=True, timeout=seconds + 60).stdout)
    return Sent(told["frames"], told["bytes"], told["seconds"])


def carried(interface: str) -> int:
    """Frames that came out of an interface's cable since it was made."""
    shown = subprocess.run(["ip", "-s", "-j", "link", "show", interface], check=True, capture_output=True, timeout=30)
    return int(json.loads(shown.stdout)[0]["stats64"]["rx"]["packets"])


def run(receiver: Receiver, interface: str, sends: Callable[[], Sent]) -> Run:
    """Starts a receiver, lets frames come, and ends it.

    Raises ValueError when it fails, and when what spanline says of the frames does not add up.
    """
    with tempfile.TemporaryDirectory(dir=FOLDER) as folder, tempfile.TemporaryFile() as output:
        command = [part.format(interface=interface, folder=folder) for part in receiver.command]
        process = subprocess.Popen(
            ["taskset", "-c", RECEIVING, *command], stdin=subprocess.DEVNULL, stdout=output, stderr=output, cwd=folder
        )
        try:
            wait_until_it_takes(process, receiver.name)
            before, beginning = carried(interface), processor_seconds(process.pid)
            sent = sends()
            time.sleep(_SETTLED)
            cpu = processor_seconds(process.pid) - beginning
            process.send_signal(signal.SIGTERM)
            usage = _ended(process)
        finally:
            if process.returncode is None:
                process.kill()
                process.wait(PATIENCE)
        output.seek(0)
        said = output.read().decode(errors="replace")
    if process.returncode:
        raise ValueError(f"{receiver.name}: exit code {process.returncode}: {said}")
    offered, read = carried(interface) - before, number(receiver.read, said)
    if receiver.read == _READ:
        check(said, offered)
    around = usage.ru_utime + usage.ru_stime - cpu
    return Run(sent.frames, sent.seconds, offered, offered - read, cpu, around, usage.ru_maxrss * 1024 / 1e6)


def wait_until_it_takes(process: subprocess.Popen[bytes], name: str) -> None:
    """Until frames come to a receiver, or it has ended, which is found out later."""
    wait_for(f"{name} to take frames", lambda: process.poll() is not None or takes_frames(process.pid))


def _ended(process: subprocess.Popen[bytes]) -> resource.struct_rusage:
    """What it took, once it is over."""
    found: list[resource.struct_rusage] = []

    def is_over() -> bool:
        number, status, usage = os.wait4(process.pid, os.WNOHANG)
        if number:
            process.returncode = os.waitstatus_to_exitcode(status)
            found.append(usage)
        return bool(found)

    wait_for("a receiver to end", is_over)
    return found[0]


def number(pattern: str, said: str) -> int:
    """The last that the pattern finds. Raises ValueError where there is none."""
    found = re.findall(pattern, said)
    if not found:
        raise ValueError(f"no {pattern!r} in {said!r}")
    return int(found[-1].replace(",", ""))


def check(said: str, came: int) -> int:
    """How many frames were dropped, as the last line of a crunch tells.

    Raises ValueError unless offered = read + dropped, read = decoded + undecodable, and decoded = in flows + not in
    flows, of exactly the frames that came.
    """
    found = _ACCOUNT.search(said)
    if not found:
        raise ValueError(f"no account of the frames in {said!r}")
    numbers = [int(text.replace(",", "")) for text in found.groups()]
    offered, read, dropped, read_again, decoded, undecodable, decoded_again, in_flows, others = numbers
    sums = (read + dropped, decoded + undecodable, in_flows + others)
    if (came, read, decoded) != (offered, read_again, decoded_again) or sums != (offered, read, decoded):
        raise ValueError(f"{came:,} frames came, and it does not add up: {said}")
    return dropped


def processor_seconds(process: int) -> float:
    """User and system, of all its threads so far. Definition: proc_pid_stat(5)."""
    fields = Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")
