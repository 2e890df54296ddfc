"""Run commands one after the other on one core, and say how long they took and how much memory."""

from __future__ import annotations

import json
import os
import re
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO

from peers.captures import FOLDER, Traffic, warm

CORE = max(os.sched_getaffinity(0))
"""Interrupts and other processes prefer the first core: take the last."""

TINY = Traffic("mix", 2_000, 50)


@dataclass(frozen=True)
class Tool:
    """A program under test.

    `command` is what to run, with {capture} for the file; it runs in an empty folder that is removed afterwards.
    `flows` is a pattern that finds the number of flows in what it prints: the group's last match, else how often it
    matches. `once` is for what takes so long that it runs in one round only.
    """

    name: str
    command: tuple[str, ...]
    note: str = ""
    flows: str = ""
    once: bool = False


@dataclass
class Result:
    """All runs of one tool on one capture: wall-clock, CPU and loop seconds, peak memory in MB (10⁶ bytes)."""

    tool: Tool
    traffic: Traffic
    seconds: list[float] = field(default_factory=list)
    cpu: list[float] = field(default_factory=list)
    loop: list[float] = field(default_factory=list)
    peak: list[float] = field(default_factory=list)
    flows: int | None = None
    failure: str = ""

    @property
    def median(self) -> float:
        return statistics.median(self.seconds)

    @property
    def mpps(self) -> float:
        """10⁶ packets a second, of the whole process."""
        return self.traffic.packets / self.median / 1e6

    @property
    def loop_mpps(self) -> float:
        """10⁶ packets a second without the start of the process; of the whole process where it does not tell."""
        return self.traffic.packets / statistics.median(self.loop) / 1e6 if self.loop else self.mpps


def _start(tool: Tool, traffic: Traffic, folder: str, output: IO[bytes] | int) -> subprocess.Popen[bytes]:
    command = [part.format(capture=traffic.path) for part in tool.command]
    return subprocess.Popen(
        ["taskset", "-c", str(CORE), *command],
        cwd=folder,
        stdin=subprocess.DEVNULL,
        stdout=output,
        stderr=subprocess.STDOUT,
    )


def _warm_up(tool: Tool, traffic: Traffic) -> None:
    """Bring the program and the capture into the page cache.

    Before every run, and not once: a virtual machine may reclaim pages that nobody touched for some seconds.
    """
    with tempfile.TemporaryDirectory(dir=FOLDER) as folder:
        _start(tool, TINY, folder, subprocess.DEVNULL).wait()
    warm(traffic.path)


def run_once(result: Result) -> None:
    """One run, its figures appended to `result`. A run that fails is noted and the tool is not tried again.

    Peak memory is ru_maxrss of wait4: of the largest single process where a tool starts several.
    """
    tool, traffic = result.tool, result.traffic
    if not shutil.which(tool.command[0]):
        result.failure = "not installed"
        return
    _warm_up(tool, traffic)
    with tempfile.TemporaryDirectory(dir=FOLDER) as folder, tempfile.TemporaryFile() as output:
        begin = time.perf_counter()
        process = _start(tool, traffic, folder, output)
        _, status, usage = os.wait4(process.pid, 0)
        seconds = time.perf_counter() - begin
        process.returncode = os.waitstatus_to_exitcode(status)
        output.seek(0)
        if process.returncode:
            result.failure = f"exit code {process.returncode}"
            print(output.read().decode(errors="replace")[-2000:])
            return
        result.seconds.append(seconds)
        result.cpu.append(usage.ru_utime + usage.ru_stime)
        result.peak.append(usage.ru_maxrss * 1024 / 1e6)
        found, last = _read(output, tool.flows)
        told = json.loads(last) if last.startswith("{") else {}
        if told:
            assert told["packets"] == traffic.packets, f"{tool.name} read {told['packets']} packets"
            result.loop.append(told["seconds"])
        result.flows = told.get("flows") or found or _rows_in(Path(folder))


def _read(output: IO[bytes], pattern: str) -> tuple[int | None, str]:
    """The number of flows by Tool.flows, and the last line. Line by line, so that this process stays small."""
    matches, number, line = 0, None, ""
    for octets in output:
        line = octets.decode(errors="replace")
        match = re.search(pattern, line) if pattern else None
        if match:
            matches += 1
            number = int(match[1]) if match.re.groups else matches
    return number, line


def _rows_in(folder: Path) -> int | None:
    """Rows of the Parquet file that was written there. Read by another process, so that this one stays small."""
    for path in folder.glob("*.parquet"):
        code = "import sys, pyarrow.parquet; print(pyarrow.parquet.read_metadata(sys.argv[1]).num_rows)"
        return int(subprocess.check_output([sys.executable, "-c", code, path]))
    return None


def smallest_peak() -> float:
    """Peak memory in MB that is charged to any process from here: Linux counts this one's own at the moment of exec."""
    nothing = Result(Tool("true", ("true",)), TINY)
    run_once(nothing)
    return nothing.peak[0]


def side_by_side(tools: Sequence[Tool], traffic: Traffic, rounds: int) -> list[Result]:
    """Every tool on the same capture, in turn, `rounds` times: what disturbs the machine then disturbs all alike."""
    TINY.make()
    traffic.make()
    results = [Result(tool, traffic) for tool in tools]
    for number in range(rounds):
        for result in results:
            if not result.failure and not (number and result.tool.once):
                run_once(result)
                last = f"{result.seconds[-1]:.2f} s" if not result.failure else result.failure
                print(f"{traffic.path.name}, round {number + 1}: {result.tool.name}: {last}", flush=True)
    return results
