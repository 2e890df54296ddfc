"""Count the instructions of small fixed jobs, and compare them with the expected ones: a guard that no clock disturbs.

    python benchmarks/instructions/count.py            # compares; exit code 1 when a job takes more than it may
    python benchmarks/instructions/count.py --accept   # takes today's figures as the expected ones

Each *.c here lists its jobs and does one of them; valgrind counts what measured() executes. The figures hold for one
compiler: another major version of it gets a wider tolerance, another kind of machine has none to compare with.
"""

from __future__ import annotations

import argparse
import json
import platform
import re
import subprocess
import sys
from dataclasses import asdict, dataclass
from pathlib import Path

FOLDER = Path(__file__).resolve().parent
REPOSITORY = FOLDER.parent.parent
EXPECTED = FOLDER / "expected.json"
ACCEPT = "make instructions-accept"
# As setup.py compiles the core, for the baseline of the architecture. Static: to find a function of libc at its first
# call takes a thousand instructions that are not ours.
FLAGS = ["-std=c11", "-O3", "-g", "-static", "-Wall", "-Wextra", "-Wconversion", "-Werror"]
TOLERANCE, OTHER_COMPILER_TOLERANCE = 5.0, 30.0
"""Percent."""


@dataclass(frozen=True)
class Count:
    """What one job took: `items` records, frames, packets or flows."""

    items: int
    instructions: int


@dataclass(frozen=True)
class Figures:
    """The counts of all jobs, with what made them."""

    machine: str
    compiler: str
    jobs: dict[str, Count]


def read(path: Path) -> Figures:
    stored = json.loads(path.read_text())
    return Figures(stored["machine"], stored["compiler"], {name: Count(**one) for name, one in stored["jobs"].items()})


def write(figures: Figures, path: Path) -> None:
    path.write_text(json.dumps(asdict(figures), indent=2) + "\n")


def compiler_version() -> str:
    """As "gcc 12.2.0"."""
    version = subprocess.run(["gcc", "-dumpfullversion"], check=True, capture_output=True, text=True).stdout
    return f"gcc {version.strip()}"


def build(source: Path, headers: Path, folder: Path) -> Path:
    program = folder / source.stem
    folder.mkdir(parents=True, exist_ok=True)
    subprocess.run(["gcc", *FLAGS, f"-I{headers}", source, "-o", program], check=True)
    return program


def count(program: Path, job: str) -> int:
    """Instructions that `job` executes in measured()."""
    report = program.with_suffix(".callgrind")
    options = ["--tool=callgrind", "--toggle-collect=measured", f"--callgrind-out-file={report}"]
    result = subprocess.run(["valgrind", *options, program, job], capture_output=True, text=True)
    if result.returncode:
        raise SystemExit(f"{job} failed:\n{result.stderr}")
    found = re.search(r"^(?:totals|summary): (\d+)$", report.read_text(), re.MULTILINE)
    if not found or int(found[1]) == 0:
        raise SystemExit(f"{job}: {report} has no count of measured()")
    return int(found[1])


def measure(headers: Path, folder: Path, programs: list[str] | None = None) -> Figures:
    """Counts the jobs of all programs, or of those named, built with the C headers in `headers`."""
    jobs = {}
    for source in sorted(FOLDER.glob("*.c")):
        if programs is not None and source.stem not in programs:
            continue
        program = build(source, headers, folder)
        listed = subprocess.run([program], check=True, capture_output=True, text=True).stdout
        for name, items in (line.split() for line in listed.splitlines()):
            jobs[name] = Count(int(items), count(program, name))
    return Figures(platform.machine(), compiler_version(), jobs)


def tolerance(expected: Figures, measured: Figures) -> float:
    """How many percent more may be; infinite where the figures say nothing of each other."""
    if expected.machine != measured.machine:
        return float("inf")
    majors = {figures.compiler.split(".")[0] for figures in (expected, measured)}
    return TOLERANCE if len(majors) == 1 else OTHER_COMPILER_TOLERANCE


def compare(expected: Figures, measured: Figures) -> tuple[list[str], bool]:
    """(a line for each job and each remark, whether all is well)"""
    allowed = tolerance(expected, measured)
    lines = [f"{'job':<20}{'expected':>12}{'measured':>12}{'change':>10}{'each':>8}"]
    well = True
    if expected.machine != measured.machine:
        lines.append(f"not compared: the expected figures are of {expected.machine}, this is {measured.machine}")
    elif allowed != TOLERANCE:
        lines.append(f"{allowed:g} % are allowed: expected with {expected.compiler}, measured with {measured.compiler}")
    for name, now in measured.jobs.items():
        each = now.instructions / now.items
        before = expected.jobs.get(name)
        if before is None or before.items != now.items:
            well = False
            lines.append(f"{name:<20}{'-':>12}{now.instructions:>12}{'':>10}{each:>8.1f}  HAS NO FIGURE to compare")
            continue
        change = 100 * (now.instructions - before.instructions) / before.instructions
        line = f"{name:<20}{before.instructions:>12}{now.instructions:>12}{change:>+9.1f}%{each:>8.1f}"
        if change > allowed:
            well = False
            line += f"  TOO MANY: {allowed:g} % more are allowed"
        elif change < -allowed:
            line += f"  fewer: keep it with {ACCEPT}"
        lines.append(line)
    for name in expected.jobs.keys() - measured.jobs.keys():
        well = False
        lines.append(f"{name:<20}is expected and was not measured")
    if not well:
        lines.append(f"If that is the price of something worth it: {ACCEPT}, and say in the commit what it buys.")
    return lines, well


def main() -> None:
    parser = argparse.ArgumentParser(description="Count the instructions of small fixed jobs.")
    parser.add_argument("--accept", action="store_true", help="take the figures as the expected ones")
    parser.add_argument("--build", type=Path, default=REPOSITORY / "build" / "instructions", help="where programs go")
    arguments = parser.parse_args()
    measured = measure(REPOSITORY / "ext", arguments.build)
    if arguments.accept:
        write(measured, EXPECTED)
    lines, well = compare(read(EXPECTED), measured)
    print("\n".join(lines))
    sys.exit(0 if well else 1)


if __name__ == "__main__":
    main()
