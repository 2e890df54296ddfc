"""RESULTS.md from measured results."""

from __future__ import annotations

import os
import platform
import subprocess
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime
from statistics import median

from peers.measure import CORE, Result

INTRODUCTION = """\
# Side by side

Written by `make compare`, which generates the captures, runs every program and writes this file; nothing here was put
in by hand. Every program reads the same file, pinned to the same core (`taskset -c {core}`), in turn: {rounds} rounds,
of which the median is given (lowest to highest in brackets). Before each run the program reads a tiny capture and the
file is read once, so that both are in the page cache.

Seconds are those of the whole process, its start included; CPU seconds are user and system time. Mpps are 10⁶ packets
a second, MB/s 10⁶ bytes of the file a second. "Loop alone" leaves out the start of the process, where the program
tells. Peak is the resident memory (ru_maxrss, 10⁶ bytes) of the largest process; less than {floor:.0f} MB cannot be
seen from here. The last column is the time that a program took, divided by what spanline took.
"""


def _table(heads: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    lines = [heads, ["---", *["---:"] * (len(heads) - 1)], *rows]
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
    return _named(rows)


def _named(rows: dict[str, str]) -> str:
    return _table(("", ""), rows.items()).replace("---:", "---")


def _row(result: Result, reference: Result, floor: float) -> list[str]:
    if result.failure:
        return [result.tool.name, f"failed: {result.failure}", *[""] * 7]
    peak, bracket = max(result.peak), f" ({min(result.seconds):.2f}–{max(result.seconds):.2f})"
    rounds = bracket if len(result.seconds) > 1 else " (one run)"
    return [
        result.tool.name,
        f"{result.mpps:.3g}",
        f"{result.mpps * result.traffic.size / result.traffic.packets:.0f}",
        f"{result.median:.2f}{rounds}",
        f"{median(result.cpu):.2f}",
        f"{result.loop_mpps:.3g}" if result.loop else "–",
        f"< {floor:.0f}" if peak < floor * 1.05 else f"{peak:.0f}",
        f"{result.flows:,}" if result.flows is not None else "–",
        f"{result.median / reference.median:.2f}×" if not reference.failure and result is not reference else "1",
    ]


def comparison(results: Sequence[Result], floor: float) -> str:
    """A table of tools on one capture; ratios are to the first."""
    heads = ["", "Mpps", "MB/s", "seconds", "CPU s", "loop alone, Mpps", "peak MB", "flows", "time ÷ spanline's"]
    rows = [_row(result, results[0], floor) for result in results]
    if all(result.flows is None for result in results):
        heads, rows = [*heads[:7], heads[8]], [[*row[:7], row[8]] for row in rows]
    traffic = results[0].traffic
    mean = traffic.size / traffic.packets - 16
    flows = f"{traffic.flows:,} flows" if traffic.flows > 1 else "1 flow"
    capture = f"{traffic.packets:,} packets in {flows}, mean frame {mean:.0f} bytes, {traffic.size / 1e9:.2f} GB"
    return f"`{traffic.kind}`: {capture}.\n\n{_table(heads, rows)}"


def notes(results: Iterable[Result]) -> str:
    """One line per tool: what it does, and what not."""
    seen = {result.tool.name: result.tool.note for result in results}
    return "\n".join(f"- **{name}**: {note}." for name, note in seen.items()) + "\n"


def memory(results: Sequence[Result]) -> str:
    """Peak memory by the size of the capture."""
    heads = ("capture", "packets", "flows", "seconds", "Mpps", "peak MB")
    rows = [
        (f"{r.traffic.size / 1e9:.2f} GB", f"{r.traffic.packets:,}", f"{r.flows:,}", f"{r.median:.2f}", f"{r.mpps:.3g}",
         f"{max(r.peak):.0f}")
        if not r.failure else (f"{r.traffic.packets:,} packets", f"failed: {r.failure}", *[""] * 4)
        for r in results
    ]  # fmt: skip
    return _table(heads, rows)


def _verdict(what: str, wanted: float, ours: Result, peers: Sequence[Result], loop: bool = False) -> list[str]:
    peers = [peer for peer in peers if not peer.failure]
    if ours.failure or not peers:
        return [what, f"≥ {wanted:g}×", "not measured", ""]
    ratio = (ours.loop_mpps if loop else ours.mpps) / max(peer.mpps for peer in peers)
    return [what, f"≥ {wanted:g}×", f"{ratio:.2f}×", "yes" if ratio >= wanted else "**no**"]


def goals(mix: Sequence[Result], small: Sequence[Result], flows: Mapping[str, Sequence[Result]]) -> str:
    """What was wanted, what was measured."""
    rows = []
    for name, (ours, tcpdump) in (("mix", mix), ("64-byte frames", small)):
        rows.append(_verdict(f"decode against tcpdump, {name}, whole processes", 1.0, ours, [tcpdump]))
        rows.append(_verdict(f"decode against tcpdump, {name}, our loop alone", 1.0, ours, [tcpdump], loop=True))
    rows.append(_verdict("crunch against nfstream, mix", 10.0, flows["spanline"][0], flows["nfstream"]))
    for peer in flows["softflowd"]:
        rows.append(_verdict(f"crunch against `{peer.tool.name}`, mix", 1.5, flows["spanline"][0], [peer]))
    return _table(("rate", "wanted", "measured", "reached"), rows)


def document(sections: Iterable[tuple[str, str]], *, rounds: int, floor: float, versions: dict[str, str]) -> str:
    """The whole file."""
    parts = [INTRODUCTION.format(core=CORE, rounds=rounds, floor=floor), machine(), _named(versions)]
    parts += [f"## {title}\n\n{body}" for title, body in sections]
    return "\n".join(parts)
