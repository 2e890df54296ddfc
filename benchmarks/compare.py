"""spanline beside other programs, on the same captures, the same core and in the same run; writes RESULTS.md.

    make compare                                   all of it
    python benchmarks/compare.py --packets 200000  a quick look

It needs Linux, 8 GB below build/ for captures and peers, and about five minutes. Missing Debian packages are installed
when run as root, dpkt and nfstream in venvs of their own below build/peers. NetFlow goes to the loopback interface
only, to a port where nobody listens.
"""

from __future__ import annotations

import argparse
import os
from pathlib import Path

from peers import report
from peers.captures import FOLDER, Traffic
from peers.install import install_programs, versions
from peers.measure import Result, side_by_side, smallest_peak
from peers.tools import (
    CRUNCH,
    DECODERS,
    NFPCAPD,
    SOFTFLOWD,
    SOFTFLOWD_SMALL_TABLE,
    TSHARK,
    python_tools,
)

RESULTS = Path(__file__).resolve().parent / "RESULTS.md"
LIVE_FLOWS = 5_000
MEMORY_PACKETS = (220_000, 2_200_000, 10_000_000)
"""Captures of about 0.1, 1 and 4.6 GB with the same flows, live from the first to the last."""


def main() -> None:
    """Run every job and write RESULTS.md."""
    parser = argparse.ArgumentParser(description="Compare spanline with other programs and write RESULTS.md.")
    parser.add_argument("--packets", type=int, default=2_000_000, help="of the mix; 64-byte frames: 2.5 times as many")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--results", type=Path, default=RESULTS, help="the file to write")
    arguments = parser.parse_args()
    packets, rounds = arguments.packets, arguments.rounds

    missing = install_programs()
    if missing:
        print(f"not installed, so their rows will say that they failed: {', '.join(missing)}")
    nfstream, dpkt = python_tools()
    FOLDER.mkdir(parents=True, exist_ok=True)
    load = [os.getloadavg()[0]]

    mix = Traffic("mix", packets, packets // 40)
    small = Traffic("small", packets * 5 // 2, min(packets, 100_000))
    vxlan = Traffic("vxlan", packets // 4, packets // 160)
    decoded = [side_by_side(DECODERS, traffic, rounds) for traffic in (mix, small)]
    makers = (CRUNCH, SOFTFLOWD, SOFTFLOWD_SMALL_TABLE, NFPCAPD, nfstream, TSHARK, dpkt)
    flows = side_by_side(makers, mix, rounds)
    small_flows = side_by_side((CRUNCH, SOFTFLOWD, NFPCAPD), small, rounds)
    tunnelled = side_by_side((CRUNCH, SOFTFLOWD, NFPCAPD, nfstream), vxlan, rounds)
    sizes = [side_by_side([CRUNCH], Traffic("mix", count, LIVE_FLOWS), 1)[0] for count in MEMORY_PACKETS]
    load.append(os.getloadavg()[0])
    floor = smallest_peak()

    by_name: dict[str, list[Result]] = {
        "spanline": flows[:1],
        "softflowd": flows[1:3],
        "nfstream": [result for result in flows if result.tool is nfstream],
    }
    outer = "Who finds fewer flows than there are counts those of the outer headers.\n"
    growing = f"`spanline crunch` of captures that grow while the number of flows stays {LIVE_FLOWS:,}. One run each.\n"
    quiet = (
        f"Load average of one minute: {load[0]:.2f} before, {load[1]:.2f} after; the runs themselves make 1 of it.\n"
    )
    sections = [
        ("What was wanted", report.goals(decoded[0], decoded[1], by_name)),
        ("Decode or copy", "\n".join(report.comparison(results, floor) for results in decoded)),
        ("Flows", "\n".join(report.comparison(results, floor) for results in (flows, small_flows))),
        ("Flows inside VXLAN", f"{report.comparison(tunnelled, floor)}\n{outer}"),
        ("Memory", f"{growing}\n{report.memory(sizes)}"),
        ("What each does, and what not", report.notes([*decoded[0], *flows])),
        ("How quiet the machine was", quiet),
    ]
    text = report.document(sections, rounds=rounds, floor=floor, versions=versions())
    arguments.results.write_text(text, encoding="utf-8")
    print(f"wrote {arguments.results}")


if __name__ == "__main__":
    main()
