"""Live capture beside tcpdump and dumpcap, on the same cable, with the same ring and in the same run; writes LIVE.md.

    make compare-live                          all of it, in some half an hour
    make compare-live LIVE_ARGS="--quick"      a small look

It needs Linux, root, two processors that nobody else uses, tcpdump, dumpcap, tc and a C compiler. Everything happens in
a network namespace of its own.
"""

from __future__ import annotations

import argparse
import os
import platform
import statistics
import subprocess
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from peers.captures import Traffic
from receivers import DUMPCAP, OURS, PLAINTEXT, SPANLINE, TCPDUMP, Receiver, Run, build_sender, run, send
from views import table

from tests.own_network import FAR, NEAR, ip, own_network

RESULTS = Path(__file__).resolve().parent / "LIVE.md"
MIX = Traffic("mix", 100_000, 2_500)
COPIES = (2, 4, 8, 16, 24, 31)
"""Of each frame. An interface's filter has no more than 32 actions."""
MIRRORED, PROBE = "mirrored0", "probe0"


@dataclass(frozen=True)
class Frames:
    """What is sent."""

    name: str
    options: tuple[str, ...]


KINDS = (Frames("64 bytes", ("-l", "60")), Frames("internet mix", ("-f", str(MIX.path))))
"""A frame of 64 bytes has four that no software sees."""


@dataclass
class Row:
    """All runs of a receiver at a rate; 0 copies are what came straight from the sender."""

    kind: Frames
    receiver: Receiver
    copies: int
    runs: list[Run]

    @property
    def offered(self) -> float:
        """10⁶ frames a second."""
        return statistics.median(one.offered / one.seconds for one in self.runs) / 1e6

    @property
    def lost(self) -> int:
        """In all runs."""
        return sum(one.lost for one in self.runs)

    @property
    def lost_part(self) -> str:
        return f"{self.lost / sum(one.offered for one in self.runs):.2%}" if self.lost else "0"

    @property
    def cpu(self) -> float:
        """Seconds for 10⁶ frames that were read."""
        return statistics.median(one.cpu / (one.offered - one.lost) for one in self.runs) * 1e6

    @property
    def around(self) -> float:
        return statistics.median(one.around for one in self.runs)

    @property
    def peak(self) -> float:
        return max(one.peak for one in self.runs)


def straight(rounds: int, seconds: float) -> list[Row]:
    """Every receiver at the sender's full rate, in turn: what disturbs the machine then disturbs all alike."""
    rows = [Row(kind, receiver, 0, []) for kind in KINDS for receiver in (PLAINTEXT, OURS, TCPDUMP, DUMPCAP)]
    for _ in range(rounds):
        for row in rows:
            _measure(row, NEAR, seconds)
    return rows


def copied(rounds: int, seconds: float) -> list[Row]:
    """Each frame several times, and more often, until a receiver loses some."""
    ip(
        f"link add name {MIRRORED} type veth peer name {PROBE}",
        f"link set {MIRRORED} up",
        f"link set {PROBE} up",
    )
    rows: list[Row] = []
    for kind in KINDS:
        still = [OURS, TCPDUMP, DUMPCAP]
        for copies in COPIES:
            _copy(copies)
            now = [Row(kind, receiver, copies, []) for receiver in still]
            for _ in range(rounds):
                for row in now:
                    _measure(row, PROBE, seconds)
            rows += now
            still = [row.receiver for row in now if not row.lost]
    return rows


def _copy(copies: int) -> None:
    """Copies each frame that comes so often."""
    again = ("qdisc", "replace", "dev", NEAR, "clsact"), ("filter", "del", "dev", NEAR, "ingress")
    mirror = ("action", "mirred", "egress", "mirror", "dev", MIRRORED) * copies
    filter = ("filter", "add", "dev", NEAR, "ingress", "protocol", "all", "u32", "match", "u32", "0", "0", *mirror)
    for command in (*again, filter):
        subprocess.run(["tc", *command], check=True, timeout=30)


def _measure(row: Row, interface: str, seconds: float) -> None:
    found = run(row.receiver, interface, partial(send, FAR, *row.kind.options, seconds=seconds))
    row.runs.append(found)
    times = f", {row.copies} times" if row.copies else ""
    rate = found.offered / found.seconds / 1e6
    print(f"{row.kind.name}{times}: {row.receiver.name}: {rate:.3f} Mpps, lost {found.lost:,}", flush=True)


def at_full_rate(rows: Sequence[Row]) -> Iterator[tuple[str, ...]]:
    """Lines of the first table."""
    for row in rows:
        yield (
            row.kind.name, row.receiver.name, f"{row.offered:.3f}", f"{sum(one.offered for one in row.runs):,}",
            f"{row.lost:,}", f"{row.cpu:.3f}", f"{row.around:.2f}", f"{row.peak:.0f}",
        )  # fmt: skip


def at_higher_rates(rows: Sequence[Row]) -> Iterator[tuple[str, ...]]:
    """Lines of the second table: of each number of copies, what came to each receiver and how much of it was lost."""
    for kind in KINDS:
        for copies in COPIES:
            found = {row.receiver: row for row in rows if (row.kind, row.copies) == (kind, copies)}
            if found:
                cells = (
                    f"{found[one].offered:.3f}, {found[one].lost_part}" if one in found else "—"
                    for one in (OURS, TCPDUMP, DUMPCAP)
                )
                yield kind.name, str(copies), *cells


def lossless(rows: Sequence[Row], kind: Frames, receiver: Receiver) -> Row | None:
    """The highest rate at which it lost nothing in any run, and in none at a lower one."""
    best = None
    for row in rows:
        if (row.kind, row.receiver) == (kind, receiver):
            if row.lost:
                break
            best = row
    return best


def goals(rows: Sequence[Row], higher: Sequence[Row]) -> Iterator[tuple[str, ...]]:
    """What was wanted, and whether it was reached."""
    for kind in KINDS:
        own = {row.receiver: row for row in rows if row.kind == kind}
        both = own[PLAINTEXT]
        yield (
            f"{kind.name}: frames lost at the sender's full rate, with plaintext", f"{both.lost:,}", "0",
            _reached(not both.lost),
        )  # fmt: skip
        ours, theirs = own[OURS].cpu, own[TCPDUMP].cpu
        yield (
            f"{kind.name}: processor seconds for 10⁶ frames", f"{ours:.3f}", f"{theirs:.3f}, tcpdump's",
            _reached(ours <= theirs),
        )  # fmt: skip
        for other in (TCPDUMP, DUMPCAP):
            mine, its = lossless(higher, kind, OURS), lossless(higher, kind, other)
            yield (
                f"{kind.name}: times that each frame may come without loss", _copies(mine),
                f"{_copies(its)}, {other.name}'s",
                _reached((mine.copies if mine else 0) >= (its.copies if its else 0)),
            )  # fmt: skip


def _copies(row: Row | None) -> str:
    return f"{row.copies} ({row.offered:.3f} Mpps)" if row else "none"


def _reached(is_so: bool) -> str:
    return "yes" if is_so else "no"


def text(rows: Sequence[Row], higher: Sequence[Row], rounds: int, load: Sequence[float]) -> str:
    """LIVE.md."""
    commands = [
        (one.name, f"`{' '.join(one.command).replace(SPANLINE, 'spanline').format(interface='IFACE', folder='.')}`")
        for one in (PLAINTEXT, OURS, TCPDUMP, DUMPCAP)
    ]
    first = (
        "frames",
        "receiver",
        "Mpps offered",
        "frames offered",
        "lost",
        "CPU s/Mpkt",
        "CPU s before and after",
        "MB",
    )
    parts = (
        "# Live capture, beside tcpdump and dumpcap\n",
        "One core sends (`benchmarks/sender.c`) over a veth pair, and the receiver runs on the other: rates are those "
        "of the sender, which is the limit, and a floor. All have 64 MiB of ring. spanline decodes, makes flows and "
        f"measures round-trip times; the others write to /dev/null. {rounds} runs each, in turn: medians, but what was "
        "lost and memory of all. The interface's own counter says how many frames were offered. Written by "
        "`make compare-live`.\n",
        table(("what", "found", "wanted", "reached"), goals(rows, higher)),
        "At the sender's full rate; processor seconds are user and system, while frames came, and those around it:\n",
        table(first, at_full_rate(rows)),
        "Each frame copied several times by `tc … mirred`: 10⁶ frames a second that were offered, and the part of them "
        "that was lost; who has lost some is not asked again:\n",
        table(("frames", "copies", OURS.name, TCPDUMP.name, DUMPCAP.name), at_higher_rates(higher)),
        table(("receiver", "command"), commands),
        f"{platform.system()} {platform.release()} on {platform.machine()}, Python {platform.python_version()}. "
        f"Load average of one minute: {load[0]:.2f} before, {load[1]:.2f} after.\n",
    )
    return "\n".join(parts)


def main() -> None:
    """Measure and write."""
    parser = argparse.ArgumentParser(description="Compare live capture with tcpdump's and dumpcap's; write LIVE.md.")
    parser.add_argument("--quick", action="store_true", help="one round, of a second each")
    parser.add_argument("--results", type=Path, default=RESULTS, help="the file to write")
    arguments = parser.parse_args()
    rounds, seconds, shorter = (1, 1.0, 1.0) if arguments.quick else (3, 10.0, 5.0)
    build_sender()
    MIX.make()
    load = [os.getloadavg()[0]]
    with own_network():
        rows = straight(rounds, seconds)
        higher = copied(rounds, shorter)
    load.append(os.getloadavg()[0])
    arguments.results.write_text(text(rows, higher, rounds, load), encoding="utf-8")
    print(f"wrote {arguments.results}")


if __name__ == "__main__":
    main()
