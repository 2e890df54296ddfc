"""Plaintext findings: what they cost beside everything else, and beside tshark's credentials; writes PLAINTEXT.md.

    make compare-plaintext                                       all of it, in some five minutes
    make compare-plaintext PLAINTEXT_ARGS="--packets 100000"     a small look

It needs tshark, and 1 GB below build/ for the capture.
"""

from __future__ import annotations

import argparse
import os
import platform
from collections.abc import Sequence
from pathlib import Path

import matching
from peers.captures import FOLDER, Traffic
from peers.measure import CORES, Result, Tool, side_by_side
from views import PACKETS, PATIENCE, ROUNDS, SPANLINE, shown, table

RESULTS = Path(__file__).resolve().parent / "PLAINTEXT.md"
HALF, TIMES = 0.5, 30
"""Of the packet rate without, that with findings shall reach; as many times as fast as tshark they shall be."""

CRUNCH = (SPANLINE, "crunch", "{capture}", "-o", "flows.parquet", "-q")
FINDINGS = ("--plaintext", "findings.parquet")
WITHOUT = tuple(Tool(f"crunch, {cores}", CRUNCH, cores=cores) for cores in (1, len(CORES)))
WITH = tuple(Tool(f"crunch with findings, {cores}", (*CRUNCH, *FINDINGS), cores=cores) for cores in (1, len(CORES)))
OURS = Tool("plaintext", (SPANLINE, "plaintext", "{capture}", "-q"), cores=len(CORES))
THEIRS = Tool("tshark", ("tshark", "-n", "-q", "-r", "{capture}", "-z", "credentials"), cores=len(CORES))


def seconds(result: Result) -> str:
    return result.failure or f"{result.median:.2f}"


def peak(result: Result) -> str:
    return "—" if result.failure else f"{max(result.peak):.0f}"


def ratio(faster: Result, slower: Result, wanted: float) -> tuple[str, str, str]:
    """How many times as long the second takes, what was wanted, and whether it was reached."""
    if faster.failure or slower.failure:
        return "—", f"{wanted:g}", "—"
    times = slower.median / faster.median
    return f"{times:.2f}" if times < 10 else f"{times:.0f}", f"{wanted:g}", "yes" if times >= wanted else "no"


def text(results: dict[str, Result], found: str, load: Sequence[float]) -> str:
    """PLAINTEXT.md."""
    any_result = results[OURS.name]
    crunches = [
        (
            str(plain.cores), seconds(results[plain.name]), seconds(results[both.name]), peak(results[plain.name]),
            peak(results[both.name]), *ratio(results[both.name], results[plain.name], HALF),
        )
        for plain, both in dict(zip(WITHOUT, WITH, strict=True)).items()
    ]  # fmt: skip
    ours, theirs = results[OURS.name], results[THEIRS.name]
    beside = [(seconds(ours), seconds(theirs), peak(ours), peak(theirs), *ratio(ours, theirs, TIMES))]
    commands = [(f"`{shown(tool)}`",) for tool in (WITHOUT[0], WITH[0], OURS, THEIRS)]
    parts = (
        "# Plaintext findings\n",
        f"{any_result.traffic.packets:,} packets of an internet mix, {any_result.size / 1e6:.0f} MB. Whole processes, "
        f"wall-clock: the median of {ROUNDS} runs, one of what takes long. Written by `make compare-plaintext`.\n",
        "Flows without and with findings, and the packet rate with them as a part of that without:\n",
        table(("cores", "without s", "with s", "without MB", "with MB", "rate", "wanted", "reached"), crunches),
        f"Beside tshark's credentials, on {len(CORES)} cores:\n",
        table(("spanline s", "tshark s", "spanline MB", "tshark MB", "times as fast", "wanted", "reached"), beside),
        table(("command",), commands),
        "Matching alone, on one core: `make matching`\n",
        f"```\n{found}\n```\n",
        f"{platform.system()} {platform.release()} on {platform.machine()}, Python {platform.python_version()}. "
        f"Load average of one minute: {load[0]:.2f} before, {load[1]:.2f} after.\n",
    )
    return "\n".join(parts)


def main() -> None:
    """Measure and write."""
    parser = argparse.ArgumentParser(description="Measure plaintext findings and write PLAINTEXT.md.")
    parser.add_argument("--packets", type=int, default=PACKETS, help="of the mix")
    parser.add_argument("--results", type=Path, default=RESULTS, help="the file to write")
    arguments = parser.parse_args()
    FOLDER.mkdir(parents=True, exist_ok=True)
    traffic = Traffic("mix", arguments.packets, max(1, arguments.packets // 40))
    load = [os.getloadavg()[0]]
    measured = side_by_side([*dict.fromkeys((*WITHOUT, *WITH, OURS, THEIRS))], traffic, ROUNDS, PATIENCE)
    found = "\n".join(matching.report(matching.mix(matching.HEADS), matching.SLOWEST))
    load.append(os.getloadavg()[0])
    arguments.results.write_text(text({one.tool.name: one for one in measured}, found, load), encoding="utf-8")
    print(f"wrote {arguments.results}")


if __name__ == "__main__":
    main()
