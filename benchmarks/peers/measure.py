"""Run commands one after the other on one core, and say how long they took and how much memory."""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO

from peers.captures import FOLDER, Traffic, warm

CORES = sorted(os.sched_getaffinity(0), reverse=True)
"""Interrupts and other processes prefer the first core: the last comes first."""

LONGEST = 600
"""Seconds after which a run is ended and has failed."""

TINY = Traffic("mix", 2_000, 50)


@dataclass(frozen=True)
class Tool:
    """A program under test.

    `command` is what to run, with {capture} for the file; it runs in an empty folder that is removed afterwards.
    `note` says what it does, `lacks` what it does not. `flows` is a pattern that finds the number of flows in what it
    prints: the group's last match, else how often it matches. `loop` finds, in the last line, the seconds without the
    start of the process. `summed` is for what writes Parquet: then the packets of all flows must be as many as the
    capture has.
    """

    name: str
    command: tuple[str, ...]
    note: str = ""
    lacks: str = ""
    flows: str = ""
    loop: str = ""
    cores: int = 1
    summed: bool = False


@dataclass
class Result:
    """All runs of one tool on one capture: wall-clock, CPU and loop seconds, peak memory in MB (10⁶ bytes)."""

    tool: Tool
    traffic: Traffic
    size: int
    """Bytes of the capture, which may be gone when this is read."""
    seconds: list[float] = field(default_factory=list)
    cpu: list[float] = field(default_factory=list)
    loop: list[float] = field(default_factory=list)
    peak: list[float] = field(default_factory=list)
    flows: int | None = None
    told: str = ""
    """The last line that it printed."""
    failure: str = ""

    @property
    def median(self) -> float:
        return statistics.median(self.seconds)

    @property
    def mpps(self) -> float:
        """10⁶ packets a second, of the whole process."""
        return self.traffic.packets / self.median / 1e6

    @property
    def megabytes(self) -> float:
        """10⁶ bytes of the file a second, of the whole process."""
        return self.size / self.median / 1e6

    @property
    def loop_mpps(self) -> float:
        """10⁶ packets a second without the start of the process; of the whole process where it does not tell."""
        return self.traffic.packets / statistics.median(self.loop) / 1e6 if self.loop else self.mpps


def _start(tool: Tool, traffic: Traffic, folder: str, output: IO[bytes] | int) -> subprocess.Popen[bytes]:
    command = [part.format(capture=traffic.path) for part in tool.command]
    return subprocess.Popen(
        ["taskset", "-c", ",".join(map(str, CORES[: tool.cores])), *command],
        cwd=folder,
        stdin=subprocess.DEVNULL,
        stdout=output,
        stderr=subprocess.STDOUT,
        start_new_session=True,
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
        result.failure = "not installed: no package to be had here"
        return
    if tool.cores > len(CORES):
        result.failure = f"not run: needs {tool.cores} cores"
        return
    _warm_up(tool, traffic)
    with tempfile.TemporaryDirectory(dir=FOLDER) as folder, tempfile.TemporaryFile() as output:
        begin = time.perf_counter()
        process = _start(tool, traffic, folder, output)
        # A session of its own, so that what it started ends with it.
        alarm = threading.Timer(LONGEST, os.killpg, (process.pid, signal.SIGKILL))
        alarm.start()
        _, status, usage = os.wait4(process.pid, 0)
        seconds = time.perf_counter() - begin
        alarm.cancel()
        process.returncode = os.waitstatus_to_exitcode(status)
        output.seek(0)
        found, last = _read(output, tool.flows)
        if seconds >= LONGEST:
            result.failure = f"stopped after {LONGEST} s"
            return
        if process.returncode:
            result.failure = ": ".join(
                filter(None, (f"failed with exit code {process.returncode}", last.strip()[:100]))
            )
            return
        told = json.loads(last) if last.startswith("{") else {}
        read = told.get("packets", traffic.packets)
        rows, result.told = told.get("flows") or found, last[:1000]
        if tool.summed:
            rows, read = _written(Path(folder))
        if read != traffic.packets:
            result.failure = f"failed: it counts {read:,} packets"
            return
        result.flows = rows
        result.seconds.append(seconds)
        result.cpu.append(usage.ru_utime + usage.ru_stime)
        result.peak.append(usage.ru_maxrss * 1024 / 1e6)
        loop = re.search(tool.loop, last) if tool.loop else None
        if "seconds" in told or loop:
            result.loop.append(told["seconds"] if "seconds" in told else float(loop[1]) if loop else 0.0)


def _read(output: IO[bytes], pattern: str) -> tuple[int | None, str]:
    """The number of flows by Tool.flows, and the last line. Line by line, so that this process stays small."""
    matches, number, line = 0, None, ""
    for octets in output:
        line = octets.decode(errors="replace").strip() or line
        match = re.search(pattern, line) if pattern else None
        if match:
            matches += 1
            number = int(match[1]) if match.re.groups else matches
    return number, line


_SUM = """
import sys
import pyarrow.compute, pyarrow.parquet
file = pyarrow.parquet.ParquetFile(sys.argv[1])
packets = 0
for batch in file.iter_batches(columns=["source_packets", "destination_packets"]):
    packets += sum(pyarrow.compute.sum(column).as_py() or 0 for column in batch.columns)
print(file.metadata.num_rows, packets)
"""


def _written(folder: Path) -> tuple[int, int]:
    """Flows in the Parquet file that was written there, and their packets. Read elsewhere: this process stays small."""
    path = next(folder.glob("*.parquet"), None)
    if path is None:
        return 0, 0
    flows, packets = subprocess.check_output([sys.executable, "-c", _SUM, path], text=True).split()
    return int(flows), int(packets)


def smallest_peak() -> float:
    """Peak memory in MB that is charged to any process from here: Linux counts this one's own at the moment of exec."""
    TINY.make()
    nothing = Result(Tool("true", ("true",)), TINY, TINY.size)
    run_once(nothing)
    return nothing.peak[0]


def interleaved(pairs: Iterable[tuple[Tool, Traffic]], rounds: int, patience: float) -> list[Result]:
    """Every tool on its capture, in turn, up to `rounds` times: what disturbs the machine then disturbs all alike.

    Who would take more than `patience` seconds for all its runs gets fewer of them, one at least.
    """
    TINY.make()
    results = []
    for tool, traffic in pairs:
        try:
            traffic.make()
            results.append(Result(tool, traffic, traffic.size))
        except (OSError, subprocess.CalledProcessError):
            # A full disk, most of the time: what follows may need less.
            results.append(Result(tool, traffic, 0, failure="not run: its capture could not be made"))
    for number in range(rounds):
        for result in results:
            taken = sum(result.seconds)
            if result.failure or (number and taken + taken / number > patience):
                continue
            run_once(result)
            last = f"{result.seconds[-1]:.2f} s" if not result.failure else result.failure
            print(f"{result.traffic.path.name}, round {number + 1}: {result.tool.name}: {last}", flush=True)
    return results


def side_by_side(tools: Sequence[Tool], traffic: Traffic, rounds: int, patience: float) -> list[Result]:
    """Every tool on the same capture."""
    return interleaved([(tool, traffic) for tool in tools], rounds, patience)
