"""Views and fields beside tshark's, on the same capture, the same cores and in the same run; writes VIEWS.md.

    make compare-views                                     all of it, in some five minutes
    make compare-views VIEWS_ARGS="--packets 100000"       a small look

It needs tshark, and 1 GB below build/ for the capture.
"""

from __future__ import annotations

import argparse
import os
import platform
import sys
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from peers.captures import FOLDER, Traffic
from peers.measure import CORES, Result, Tool, side_by_side

RESULTS = Path(__file__).resolve().parent / "VIEWS.md"
PACKETS = 2_000_000
ROUNDS = 3
# Seconds that all runs of a command may take: tshark's takes longer, and then it runs once.
PATIENCE = 12.0
SPANLINE = str(Path(sys.executable).with_name("spanline"))
FILTER = "tcp.flags.syn == 1 && ip.addr == 10.0.0.0/8"
OF_SYN = ("frame.number", "ip.src", "tcp.srcport")
OF_ALL = ("frame.number", "frame.time_epoch", "ip.src", "ip.dst", "tcp.srcport")
ALL_TAPS = ("io,phs", "conv,tcp", "endpoints,tcp", "dests,tree", "ip_hosts,tree", "io,stat,1")


@dataclass(frozen=True)
class Pair:
    """What both do, and how many times as fast as tshark spanline shall be; 0 where nothing was wanted."""

    name: str
    ours: Tool
    theirs: Tool
    wanted: int


def _view(view: str, taps: Sequence[str], wanted: int) -> Pair:
    ours = Tool(f"stats {view}", (SPANLINE, "stats", view, "{capture}", "-q"), cores=len(CORES))
    asked = tuple(word for tap in taps for word in ("-z", tap))
    return Pair(ours.name, ours, Tool(f"tshark {' '.join(asked)}", ("tshark", "-n", "-q", "-r", "{capture}", *asked),
                                      cores=len(CORES)), wanted)  # fmt: skip


def _fields(name: str, names: Sequence[str], filter: Sequence[str], wanted: int) -> Pair:
    asked = (*filter, "-T", "fields", *(word for field in names for word in ("-e", field)))
    ours = Tool(f"packets, {name}", (SPANLINE, "packets", "{capture}", "-q", *asked), cores=len(CORES))
    theirs = Tool(f"tshark, {name}", ("tshark", "-n", "-r", "{capture}", *asked), cores=len(CORES))
    return Pair(ours.name, ours, theirs, wanted)


PAIRS = (
    _view("hierarchy", ("io,phs",), 40),
    _view("destinations", ("dests,tree",), 40),
    _view("conversations", ("conv,eth", "conv,ip", "conv,ipv6", "conv,tcp", "conv,udp", "conv,sctp"), 40),
    _view("all", ALL_TAPS, 0),
    _fields("those of SYNs", OF_SYN, ("-Y", FILTER), 30),
    _fields("five of all frames", OF_ALL, (), 15),
)


def rows(results: dict[str, Result]) -> Iterator[tuple[str, ...]]:
    """Of each pair: seconds and memory of both, how many times as fast ours is, and whether that was wanted."""
    for pair in PAIRS:
        ours, theirs = results[pair.ours.name], results[pair.theirs.name]
        if ours.failure or theirs.failure:
            yield pair.name, *["—"] * 5, str(pair.wanted or "—"), ours.failure or theirs.failure
            continue
        times = theirs.median / ours.median
        reached = "—" if not pair.wanted else "yes" if times >= pair.wanted else "no"
        peaks = (f"{max(result.peak):.0f}" for result in (ours, theirs))
        yield (
            pair.name, f"{ours.median:.2f}", f"{theirs.median:.1f}", *peaks, f"{times:.0f}", str(pair.wanted or "—"),
            reached,
        )  # fmt: skip


def text(results: dict[str, Result], load: Sequence[float]) -> str:
    """VIEWS.md."""
    heads = ("what", "spanline s", "tshark s", "spanline MB", "tshark MB", "times as fast", "wanted", "reached")
    alone = [results[pair.ours.name] for pair in PAIRS if pair.ours.name.startswith("stats") and pair.wanted]
    whole = results["stats all"]
    together = ""
    if not any(result.failure for result in (*alone, whole)):
        times = whole.median / max(result.median for result in alone)
        together = (
            f"All views in one pass take {times:.1f} times as long as the slowest of the first three; 2 was wanted.\n"
        )
    commands = [(pair.name, *(f"`{shown(tool)}`" for tool in (pair.ours, pair.theirs))) for pair in PAIRS]
    parts = (
        "# Views and fields, beside tshark\n",
        f"{whole.traffic.packets:,} packets of an internet mix, {whole.size / 1e6:.0f} MB. "
        f"Whole processes on {len(CORES)} cores, wall-clock: the median of {ROUNDS} runs, one "
        "of what takes long. Written by `make compare-views`.\n",
        table(heads, rows(results)),
        together,
        table(("what", "command", "tshark"), commands),
        f"{platform.system()} {platform.release()} on {platform.machine()}, Python {platform.python_version()}. "
        f"Load average of one minute: {load[0]:.2f} before, {load[1]:.2f} after.\n",
    )
    return "\n".join(part for part in parts if part)


def table(heads: Sequence[str], lines: Iterable[Sequence[str]]) -> str:
    """A table in Markdown."""
    return "\n".join("| " + " | ".join(line) + " |" for line in (heads, ["---"] * len(heads), *lines)) + "\n"


def shown(tool: Tool) -> str:
    """Its command, as a user writes it, in a table."""
    command = ("spanline" if word == SPANLINE else f"'{word}'" if " " in word else word for word in tool.command)
    return " ".join(command).format(capture="FILE").replace("|", "\\|")


def main() -> None:
    """Measure and write."""
    parser = argparse.ArgumentParser(description="Compare views and fields with tshark's and write VIEWS.md.")
    parser.add_argument("--packets", type=int, default=PACKETS, help="of the mix")
    parser.add_argument("--results", type=Path, default=RESULTS, help="the file to write")
    arguments = parser.parse_args()
    FOLDER.mkdir(parents=True, exist_ok=True)
    traffic = Traffic("mix", arguments.packets, max(1, arguments.packets // 40))
    load = [os.getloadavg()[0]]
    measured = side_by_side([tool for pair in PAIRS for tool in (pair.ours, pair.theirs)], traffic, ROUNDS, PATIENCE)
    load.append(os.getloadavg()[0])
    arguments.results.write_text(text({one.tool.name: one for one in measured}, load), encoding="utf-8")
    print(f"wrote {arguments.results}")


if __name__ == "__main__":
    main()
