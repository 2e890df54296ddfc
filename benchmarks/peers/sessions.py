"""What is measured on which capture. A capture is made before the runs that read it, and removed after them."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from peers import tools
from peers.captures import Traffic
from peers.install import limits_program
from peers.measure import CORES, TINY, Result, Tool, interleaved, side_by_side

HERE = Path(__file__).resolve().parent
FRAME_SIZES = (64, 128, 256, 512, 1024, 1500)
FLOW_COUNTS = (1_000, 10_000, 100_000, 1_000_000)
CAPTURE_SHARES = (0.0192, 0.192, 1.92)
"""Packets of the captures that grow, as shares of the mix's: of 10 million, 0.1, 1 and 10 GB."""
THREADS = 2


@dataclass(frozen=True)
class Scale:
    """How much is measured. `packets` are those of the mix; all else follows from it."""

    packets: int
    rounds: int
    patience: float
    """Seconds that a tool may take for all its runs on a capture before it gets fewer of them."""
    keep: bool
    """Leave the captures where they are."""

    @property
    def mix(self) -> Traffic:
        return Traffic("mix", self.packets, self.packets // 40)

    @property
    def small(self) -> Traffic:
        return Traffic("small", 2 * self.packets, min(2 * self.packets // 40, 100_000))

    @property
    def slow(self) -> Traffic:
        packets = max(10_000, self.packets // 100)
        return Traffic("mix", packets, packets // 40)

    @property
    def bare(self) -> Traffic:
        return Traffic("mix", self.packets // 5, self.packets // 200)

    @property
    def vxlan(self) -> Traffic:
        return Traffic("vxlan", self.packets // 5, self.packets // 200)

    @property
    def series(self) -> int:
        """Packets of each capture of a series."""
        return self.packets * 2 // 5

    @property
    def by_frame(self) -> list[Traffic]:
        return [Traffic("small", self.series, min(10_000, self.series // 4), size) for size in FRAME_SIZES]

    @property
    def by_flows(self) -> list[Traffic]:
        return [Traffic("small", self.series, count) for count in FLOW_COUNTS if count <= self.series // 4]

    @property
    def colliding(self) -> tuple[Traffic, Traffic]:
        """Five-tuples as they come, and five-tuples that collide."""
        flows = min(100_000, self.series // 4)
        return Traffic("small", self.series, flows), Traffic("colliding", self.series, flows)

    @property
    def growing(self) -> list[Traffic]:
        """Captures of which only the size grows."""
        flows = min(5_000, self.packets // 2000)
        return [Traffic("mix", round(self.packets * share), flows) for share in CAPTURE_SHARES]

    @property
    def crowd(self) -> Traffic:
        """A flow for every packet, as in a scan."""
        return Traffic("small", self.packets, self.packets)


@dataclass
class Measured:
    """Every result, by session."""

    scale: Scale
    sessions: dict[str, list[Result]] = field(default_factory=dict)
    limits: dict[str, float] = field(default_factory=dict)

    def results(self, session: str, tool: Tool) -> list[Result]:
        """Of one tool, in the order of the captures; those that failed are left out."""
        return [r for r in self.sessions.get(session, []) if r.tool.name == tool.name and not r.failure]

    def result(self, session: str, tool: Tool, traffic: Traffic | None = None) -> Result | None:
        found = [r for r in self.results(session, tool) if traffic in (None, r.traffic)]
        return found[0] if found else None

    def fastest(self, session: str, peers: Sequence[Tool]) -> Result | None:
        found = [result for tool in peers for result in self.results(session, tool)]
        return max(found, key=lambda result: result.mpps) if found else None


def measure_all(scale: Scale) -> Measured:
    """Run every session."""
    measured = Measured(scale)
    sessions = measured.sessions
    rounds, patience = scale.rounds, scale.patience
    both = tools.threaded(THREADS)

    def away(*captures: Traffic) -> None:
        for traffic in captures:
            if not scale.keep:
                traffic.remove()

    sessions["start"] = side_by_side([tools.CRUNCH], TINY, rounds, patience)

    sessions["mix"] = side_by_side((*tools.DECODERS, *tools.FLOW_MAKERS, *both), scale.mix, rounds, patience)
    measured.limits = limits(scale.mix.path)
    away(scale.mix)

    makers = (tools.CRUNCH, tools.SOFTFLOWD, tools.NFPCAPD, tools.ARGUS)
    sessions["small"] = side_by_side((*tools.DECODERS, *makers, *both), scale.small, rounds, patience)
    measured.limits |= {f"small_{name}": value for name, value in decode_in_cache(scale.small.path).items()}
    away(scale.small)

    slow = (tools.DECODE, tools.TSHARK_FIELDS, tools.CRUNCH, tools.TSHARK, tools.DPKT, tools.SCAPY)
    sessions["slow"] = side_by_side(slow, scale.slow, rounds, patience / 5)
    away(scale.slow)

    pairs = [
        *((tool, traffic) for tool in (tools.DECODE, tools.CRUNCH) for traffic in (scale.bare, scale.vxlan)),
        *((tool, scale.vxlan) for tool in (tools.SOFTFLOWD, tools.NFPCAPD, tools.ARGUS, tools.NFSTREAM)),
    ]
    sessions["vxlan"] = interleaved(pairs, rounds, patience)
    away(scale.bare, scale.vxlan)

    # Many captures, so fewer runs on each.
    rounds, patience = min(rounds, 3), patience / 2.5
    compared = (tools.DECODE, tools.TCPDUMP, tools.LIBTINS, tools.CRUNCH, tools.SOFTFLOWD, tools.NFPCAPD)
    sessions["frames"] = []
    for traffic in scale.by_frame:
        sessions["frames"] += side_by_side(compared, traffic, rounds, patience)
        away(traffic)

    sessions["flows"] = []
    for traffic in scale.by_flows:
        sessions["flows"] += side_by_side((tools.CRUNCH, tools.SOFTFLOWD, tools.NFPCAPD), traffic, rounds, patience)
        if traffic != scale.colliding[0]:
            away(traffic)

    sessions["colliding"] = interleaved([(tools.CRUNCH, t) for t in scale.colliding], scale.rounds, scale.patience)
    away(*scale.colliding)

    sessions["growing"] = []
    for traffic in scale.growing:
        sessions["growing"] += side_by_side([tools.CRUNCH], traffic, 1, patience)
        away(traffic)

    sessions["crowd"] = side_by_side([tools.CRUNCH_CAPPED], scale.crowd, 1, patience)
    away(scale.crowd)
    return measured


def _pinned(command: Sequence[str | Path]) -> dict[str, float]:
    """What a program prints as JSON; nothing when it fails."""
    try:
        done = subprocess.run(["taskset", "-c", str(CORES[0]), *command], stdout=subprocess.PIPE, text=True)
    except OSError:
        return {}
    return dict(json.loads(done.stdout)) if done.returncode == 0 else {}


def decode_in_cache(capture: Path) -> dict[str, float]:
    """How fast spanline decodes what lies in the L2 cache."""
    return _pinned([sys.executable, HERE / "run_limits.py", capture])


def limits(capture: Path) -> dict[str, float]:
    """What the machine can do at best."""
    return _pinned([limits_program(), capture]) | {f"mix_{n}": v for n, v in decode_in_cache(capture).items()}
