"""What live capture holds out, each part many times, a line of result each.

    make soak                                                  everything, in some 90 minutes
    make soak SOAK_RUNS=20 SOAK_ARGS=identity                  a part of it: identity, link, killed, memory
    make soak SOAK_MINUTES=10 SOAK_ARGS=memory

It needs Linux and root. What each part said, and the samples of memory, are left in build/soak. Ends with exit code 1
when something did not hold.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from live import MIX
from receivers import (
    RECEIVING,
    SENDER,
    SENDING,
    SPANLINE,
    build_sender,
    carried,
    check,
    processor_seconds,
    send,
    wait_until_it_takes,
)

from tests.lab.hosts import PATIENCE
from tests.own_network import FAR, NEAR, own_network

ROOT = Path(__file__).resolve().parent.parent
FOLDER = ROOT / "build" / "soak"
EVERY = 5.0
"""Seconds between two samples of memory."""
WARM_UP = 300.0
"""Seconds before memory counts, and no more than a third of all."""
STEEPEST = 1.0
"""MB an hour."""


@dataclass(frozen=True)
class Part:
    """Tests that do something as often as an environment variable says."""

    name: str
    what: str
    variable: str
    tests: tuple[str, ...]


FAULTS, CAPTURE = "tests/test_live_faults.py::test_", "tests/test_capture.py::test_"
PARTS = (
    Part(
        "identity", "a reader stopped for 5 s loses nothing silently", "SPANLINE_STOPS",
        (f"{FAULTS}a_reader_that_is_stopped_loses_nothing_silently",),
    ),
    Part("link", "the link goes down and up", "SPANLINE_FLAPS", (f"{FAULTS}the_link_goes_down_and_up",)),
    Part(
        "killed", "SIGKILL leaves whole files", "SPANLINE_KILLS",
        (f"{FAULTS}a_crunch_that_is_killed_leaves_whole_files", f"{CAPTURE}killed"),
    ),
)  # fmt: skip


def hold(part: Part, runs: int) -> bool:
    """Runs the tests of a part, and prints its line."""
    begun = time.monotonic()
    log = FOLDER / f"{part.name}.txt"
    with log.open("wb") as output:
        command = [sys.executable, "-m", "pytest", "-q", "-p", "no:benchmark", "-p", "no:xdist", *part.tests]
        environment = {**os.environ, part.variable: str(runs)}
        code = subprocess.run(command, cwd=ROOT, env=environment, stdout=output, stderr=output).returncode
    held = not code and "skipped" not in log.read_text().splitlines()[-1]
    said = "held" if held else f"did not hold: see {log}"
    print(f"{part.name}: {part.what}, {runs} times: {said} ({time.monotonic() - begun:.0f} s)", flush=True)
    return held


def memory(minutes: float, rate: float | None) -> bool:
    """Captures at a rate, and prints how memory changed: VmRSS, to which a line is fitted."""
    with own_network(), _crunching() as (process, said):
        if rate is None:
            full = send(FAR, "-f", str(MIX.path), seconds=5)
            rate = full.frames / full.seconds / 2
        command = ["taskset", "-c", SENDING, str(SENDER), FAR, "-f", str(MIX.path), "-r", f"{rate:.0f}"]
        with subprocess.Popen([*command, "-s", f"{60 * minutes:.0f}"], stdout=subprocess.DEVNULL) as sender:
            try:
                samples = list(_sampled(process, sender))
            finally:
                sender.terminate()
        cpu = processor_seconds(process.pid)
        time.sleep(1)
        process.send_signal(signal.SIGTERM)  # SIGINT is ignored in the background of a shell
        code = process.wait(PATIENCE)
        came = carried(NEAR)
        dropped = check(said.read_text(), came)
    times, sizes = np.array(samples).T
    settled = times >= min(WARM_UP, times[-1] / 3)
    slope = float(np.polyfit(times[settled], sizes[settled], 1)[0]) * 3600
    np.savetxt(FOLDER / "memory.tsv", samples, fmt="%.1f", delimiter="\t", header="seconds\tMB")
    flat = slope <= STEEPEST and not code
    print(
        f"memory: {minutes:g} minutes at {came / times[-1] / 1e6:.2f} Mpps: {sizes[-1]:.1f} MB, {slope:+.2f} MB/h over "
        f"the last {(times[-1] - times[settled][0]) / 60:.0f} minutes ({STEEPEST:g} allowed): "
        f"{'flat' if flat else 'NOT flat'}; {dropped:,} frames lost, {cpu:.0f} processor seconds",
        flush=True,
    )
    return flat


@contextlib.contextmanager
def _crunching() -> Iterator[tuple[subprocess.Popen[bytes], Path]]:
    """A crunch, and what it says. Flows of the same few thousand conversations end all the time."""
    said = FOLDER / "memory.txt"
    with tempfile.TemporaryDirectory(dir=FOLDER) as folder, said.open("wb") as output:
        options = ("--active-timeout", "10", "--segment-time", "10", "--allow-root", "-o", f"{folder}/")
        command = ["taskset", "-c", RECEIVING, SPANLINE, "crunch", f"live:{NEAR}", *options]
        with subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=output, stderr=output) as process:
            try:
                wait_until_it_takes(process, "spanline")
                yield process, said
            finally:
                process.kill()


def _sampled(process: subprocess.Popen[bytes], sender: subprocess.Popen[bytes]) -> Iterator[tuple[float, float]]:
    """Seconds since the beginning and MB (10⁶ bytes), until the sender ends."""
    begun = time.monotonic()
    while sender.poll() is None:
        lines = Path(f"/proc/{process.pid}/status").read_text().splitlines()
        kibibytes = next(int(line.split()[1]) for line in lines if line.startswith("VmRSS:"))
        yield time.monotonic() - begun, kibibytes * 1024 / 1e6
        with contextlib.suppress(subprocess.TimeoutExpired):
            sender.wait(EVERY)


def main() -> None:
    """Runs the parts that are asked for."""
    signal.signal(signal.SIGINT, signal.default_int_handler)  # ignored in the background of a shell, also by children
    names = [*(part.name for part in PARTS), "memory"]
    parser = argparse.ArgumentParser(description="Run what live capture holds out, many times.")
    parser.add_argument("parts", nargs="*", metavar="PART", help=f"{', '.join(names)}; all of them by default")
    parser.add_argument("--runs", type=int, default=100, help="of each part")
    parser.add_argument("--minutes", type=float, default=30, help="for which memory is watched")
    parser.add_argument("--rate", type=float, help="frames a second then; half of what the sender can by default")
    asked = parser.parse_args()
    unknown = set(asked.parts) - set(names)
    if unknown:
        parser.error(f"no such part: {', '.join(sorted(unknown))}")
    FOLDER.mkdir(parents=True, exist_ok=True)
    wanted = asked.parts or names
    held = [hold(part, asked.runs) for part in PARTS if part.name in wanted]
    if "memory" in wanted:
        build_sender()
        MIX.make()
        held.append(memory(asked.minutes, asked.rate))
    sys.exit(not all(held))


if __name__ == "__main__":
    main()
