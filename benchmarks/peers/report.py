"""RESULTS.md from measured results."""

from __future__ import annotations

import os
import platform
import shlex
import subprocess
import textwrap
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from pathlib import Path

from peers import goals, tools
from peers.captures import Traffic
from peers.figures import PLOTS
from peers.measure import CORES, Result, Tool
from peers.sessions import Measured

INTRODUCTION = """\
Written by `make compare`, which installs the programs, generates the captures, runs every program and writes this file;
nothing here was put in by hand. Every program reads the same file, pinned to the same core (`taskset -c {core}`), in
turn: {rounds}, fewer for a program that would take more than {patience:.0f} s for all of them (less where
there are many captures). The median is given; in brackets the lowest and the highest, and how many runs there were.
Before each run the program reads a tiny capture and the file is read once, so that both are in the page cache.

Seconds are those of the whole process, its start included, and so are the rates: Mpps are 10⁶ packets a second, MB/s
10⁶ bytes of the file a second. "Loop alone" leaves out the start of the process, where the program tells. Peak is the
resident memory (ru_maxrss, 10⁶ bytes) of the largest process; less than {floor:.0f} MB cannot be seen from here. "Time"
is the median divided by that of the first row. The whole run took {minutes:.0f} minutes.
"""

KINDS = {
    "mix": "internet mix",
    "small": "frames of one size, flows in random order",
    "colliding": "frames of one size, five-tuples that collide",
    "vxlan": "internet mix inside VXLAN",
}


def table(heads: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A table whose first column is text and whose others are numbers, as far as their names do not say otherwise."""
    left = {"", "lacks", "reached", "what", "command", "capture"}
    lines = [heads, ["---:" if place and head not in left else "---" for place, head in enumerate(heads)], *rows]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines) + "\n"


def machine() -> str:
    """The machine, as a table."""
    output = subprocess.run(["lscpu"], capture_output=True, text=True, env=os.environ | {"LC_ALL": "C"}).stdout
    cpu = {name.strip(): value.strip() for name, _, value in (line.partition(":") for line in output.splitlines())}
    virtual = f", virtual ({cpu['Hypervisor vendor']})" if "Hypervisor vendor" in cpu else ""
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    rows = {
        "date": f"{datetime.now(UTC):%Y-%m-%d}",
        "processor": f"{cpu.get('Model name', 'unknown')}, {os.cpu_count()} cores{virtual}",
        "L2, L3": f"{cpu.get('L2 cache', 'unknown')}, {cpu.get('L3 cache', 'unknown')}",
        "memory": f"{memory / 1e9:.1f} GB",
        "kernel": f"{platform.system()} {platform.release()}",
        "Python": platform.python_version(),
    }
    return named(rows)


def named(rows: dict[str, str]) -> str:
    """Names and values, as a table without heads."""
    return table(("", ""), rows.items())


def size(octets: int) -> str:
    """4.69 GB, 80 MB."""
    return f"{octets / 1e9:.3g} GB" if octets >= 1e9 else f"{octets / 1e6:.3g} MB"


def describe(result: Result) -> str:
    """The capture of a result, in a line."""
    traffic = result.traffic
    mean = max(0, result.size / traffic.packets - 16)
    flows = f"{traffic.flows:,} flows" if traffic.flows > 1 else "1 flow"
    what = f"{traffic.packets:,} packets in {flows}, mean frame {mean:.0f} bytes, {size(result.size)}"
    return f"`{traffic.kind}` ({KINDS[traffic.kind]}): {what}"


def _runs(result: Result) -> str:
    if len(result.seconds) == 1:
        return f"{result.median:.2f} (1 run)"
    return f"{result.median:.2f} ({min(result.seconds):.2f}–{max(result.seconds):.2f}, {len(result.seconds)} runs)"


def _peak(result: Result, floor: float) -> str:
    peak = max(result.peak)
    return f"< {floor:.0f}" if peak < floor * 1.05 else f"{peak:.0f}"


def _row(result: Result, reference: Result, floor: float) -> list[str]:
    if result.failure:
        return [result.tool.name, *["–"] * 7, f"**{result.failure.replace('|', '¦')}**"]
    measured = not reference.failure
    return [
        result.tool.name,
        f"{result.mpps:.3g}",
        f"{result.megabytes:.0f}",
        _runs(result),
        f"{result.loop_mpps:.3g}" if result.loop else "–",
        _peak(result, floor),
        f"{result.flows:,}" if result.flows is not None else "–",
        "–" if not measured else f"{result.median / reference.median:.2f}×" if result is not reference else "1",
        result.tool.lacks or "–",
    ]


def comparison(results: Sequence[Result], floor: float) -> str:
    """A table of tools on one capture; ratios are to the first."""
    heads = ["", "Mpps", "MB/s", "seconds", "loop alone, Mpps", "peak MB", "flows", "time", "lacks"]
    rows = [_row(result, results[0], floor) for result in results]
    drop = {6} if all(result.flows is None for result in results) else set()
    drop |= {4} if not any(result.loop for result in results) else set()
    rows = [[cell for place, cell in enumerate(row) if place not in drop] for row in (heads, *rows)]
    return f"{describe(results[0])}.\n\n{table(rows[0], rows[1:])}"


def chosen(measured: Measured, session: str, wanted: Sequence[Tool], traffic: Traffic | None = None) -> list[Result]:
    """The results of some tools, in their order, failed or not."""
    results = [r for r in measured.sessions[session] if traffic in (None, r.traffic)]
    return [result for tool in wanted for result in results if result.tool.name == tool.name]


def series(results: Sequence[Result], head: str, value: str) -> str:
    """Rates by one property of the capture: a row a capture, a column a tool."""
    names = list(dict.fromkeys(result.tool.name for result in results))
    rows: dict[int, dict[str, str]] = {}
    for result in results:
        cell = "failed" if result.failure else f"{result.mpps:.3g}"
        rows.setdefault(getattr(result.traffic, value), {})[result.tool.name] = cell
    heads = [head, *names]
    return table(heads, [[f"{x:,}", *(cells.get(name, "–") for name in names)] for x, cells in rows.items()])


def by_capture(results: Sequence[Result], floor: float, names: dict[str, str]) -> str:
    """A row for every tool and capture: the same work on captures of different kinds."""
    heads = ["", "capture", "Mpps", "MB/s", "seconds", "loop alone, Mpps", "peak MB", "packets/s of the first"]
    rows = []
    for result in results:
        reference = next(r for r in results if r.tool == result.tool)
        share = "–" if reference.failure or result.failure else f"{result.mpps / reference.mpps:.0%}"
        share = f"**{result.failure}**" if result.failure else share
        rows.append([result.tool.name, names[result.traffic.kind], *_row(result, reference, floor)[1:6], share])
    kinds = {result.traffic.kind: result for result in results}
    captures = "".join(f"- {describe(result)}\n" for result in kinds.values())
    return f"{captures}\n{table(heads, rows)}"


def memory(results: Sequence[Result], floor: float) -> str:
    """Peak memory of crunch, a row a capture."""
    heads = ("capture", "packets", "live flows", "flows written", "evicted", "seconds", "Mpps", "peak MB")
    rows = [
        (size(r.size), f"{r.traffic.packets:,}", f"{r.traffic.flows:,}", f"{r.flows:,}",
         f"{goals.evicted(r):,}", f"{r.median:.2f}", f"{r.mpps:.3g}", _peak(r, floor))
        if not r.failure else (size(r.size), f"{r.traffic.packets:,}", r.failure, *["–"] * 5)
        for r in results
    ]  # fmt: skip
    return table(heads, rows)


def limits(figures: dict[str, float]) -> str:
    """What this machine can do at best, beside what spanline does."""

    def rate(name: str, unit: str = "GB/s") -> str:
        return f"{figures[name]:.3g} {unit}" if name in figures else "not measured"

    def nanoseconds(name: str, octets: float) -> str:
        return f"{octets / figures[name]:.3g}" if figures.get(name) else "–"

    rows = [
        ("read memory from end to end, 256 MiB", rate("read"), nanoseconds("read", 64)),
        ("the same, 256 KiB over and over: the L2 cache", rate("read_l2"), nanoseconds("read_l2", 64)),
        ("memcpy, 256 MiB", rate("memcpy"), nanoseconds("memcpy", 64)),
        ("read() from the page cache, 256 KiB at a time", rate("file"), nanoseconds("file", 64)),
        *(
            (f"random lines of 256 MiB, {pages}, many at once", rate(name, "million/s"), nanoseconds(name, 1000))
            for name, pages in (("touches", "4 KiB pages"), ("touches_huge", "2 MiB pages"))
        ),
        *(
            (f"random lines of 256 MiB, {pages}, one after another", rate(name, "million/s"), nanoseconds(name, 1000))
            for name, pages in (("chain", "4 KiB pages"), ("chain_huge", "2 MiB pages"))
        ),
    ]
    text = table(("", "rate", "ns a line of 64 bytes"), rows)
    decoded = [
        (name, rate(f"{key}_mpps", "Mpps"), rate(f"{key}_gbps"), nanoseconds(f"{key}_mpps", 1000))
        for key, name in (("mix", "mix"), ("small", "64-byte frames"))
    ]
    heads = ("spanline's decoder, records and rows in the L2 cache", "packets", "records", "ns a packet")
    return f"{text}\n{table(heads, decoded)}"


def plots(names: Iterable[str]) -> str:
    """The plots, as images."""
    return "\n\n".join(f"![{PLOTS[name]}]({name})" for name in names) + "\n"


def notes(results: Iterable[Result]) -> str:
    """One row per tool: what it does, and by which command."""
    home = Path(tools.HERE).parents[1]
    rows = {}
    for result in results:
        words = [word.replace(f"{home}/", "") for word in result.tool.command]
        words[0] = Path(words[0]).name if words[0].startswith("/") else words[0]
        rows[result.tool.name] = (result.tool.name, result.tool.note, f"`{shlex.join(words)}`".replace("'", ""))
    return table(("", "what", "command"), rows.values())


def document(
    sections: Iterable[tuple[str, str]], measured: Measured, floor: float, seconds: float, versions: dict[str, str]
) -> str:
    """The whole file."""
    scale = measured.scale
    told = INTRODUCTION.format(
        core=CORES[0],
        rounds=f"up to {scale.rounds} rounds" if scale.rounds > 1 else "one round",
        patience=scale.patience,
        floor=floor,
        minutes=seconds / 60,
    )
    introduction = "\n\n".join(textwrap.fill(paragraph, 120) for paragraph in told.split("\n\n"))
    parts = ["# Side by side\n", f"{introduction}\n", machine(), named(versions)]
    parts += [f"## {title}\n\n{body}" for title, body in sections]
    return "\n".join(parts)
