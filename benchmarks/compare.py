"""spanline beside other programs, on the same captures, the same core and in the same run; writes RESULTS.md.

    make compare                          all of it
    make compare COMPARE_ARGS=--quick     a small look, in a few minutes

It needs Linux. All of it takes 12 GB below build/ for one capture at a time and the peers, 16 GB of memory (so that the
captures stay in the page cache), and some 25 minutes. Missing Debian packages are installed when run as root, packages
of PyPI in venvs of their own below build/peers; what cannot be had says so in its row. NetFlow goes to the loopback
interface only, to a port where nobody listens.
"""

from __future__ import annotations

import argparse
import os
import pickle
import time
from pathlib import Path

from peers import report, tools
from peers.captures import FOLDER
from peers.figures import draw
from peers.goals import goals
from peers.install import install_programs, python_with, versions
from peers.measure import Tool, smallest_peak
from peers.sessions import THREADS, Measured, Scale, measure_all

RESULTS = Path(__file__).resolve().parent / "RESULTS.md"
LAST = FOLDER / "compare.pickle"
PACKETS, QUICK_PACKETS = 10_000_000, 400_000

SMALL_LOOK = """\
**This was a small look**: with {packets:,} packets, most of what is measured is the start of the programs. Nothing
follows from it for large captures.

"""
SMALL_NOTE = "What takes minutes for the mix (ndpiReader, nfstream, tshark) is not tried here.\n"
SLOW_NOTE = """\
These are too slow for the capture above, so spanline reads this small one too, most of whose time is its start: the
ratios say less than theirs would on a large capture. "Loop alone" leaves the start out.
"""
VXLAN_NOTE = "Both captures hold the same packets, once bare and once wrapped; MB/s count the wrapping too.\n"
OUTER_NOTE = "Who finds fewer flows than there are counts those of the outer headers.\n"
COLLIDING_NOTE = """\
A table whose hash has no secret can be filled by anybody with five-tuples that fall into one place. A part of these
have the same sum and xor of both ends and the same CRC-32, the others the same CRC-32 and Toeplitz hash (Microsoft's
key); see `traffic_colliding.py`.
"""
FRAMES_NOTE = "Whole processes, Mpps. {packets:,} frames of one size in {flows:,} flows in random order.\n"
FLOWS_NOTE = "Whole processes, Mpps. {packets:,} frames of 64 bytes, flows in random order, all alive until the end.\n"
MEMORY_NOTE = "`spanline crunch`, {what}.\n"
LIMITS_NOTE = """\
The best of some rounds of `limits.c` and `peers/run_limits.py`, one core: what no analyser on this machine can pass.
"""


def sections(measured: Measured, floor: float, plots: list[str], load: list[float]) -> list[tuple[str, str]]:
    """The titles and bodies of RESULTS.md."""
    scale, every = measured.scale, measured.sessions
    both = tools.threaded(THREADS)

    def side(session: str, wanted: tuple[Tool, ...]) -> str:
        return report.comparison(report.chosen(measured, session, wanted), floor)

    ours = [r for r in every["vxlan"] if r.tool in (tools.DECODE, tools.CRUNCH)]
    outer = [r for r in every["vxlan"] if r.traffic == scale.vxlan and r.tool != tools.DECODE]
    alike = report.by_capture(every["colliding"], floor, {"small": "as they come", "colliding": "colliding"})
    by_frame, by_flows = scale.by_frame[0], scale.by_flows[0]
    crowded = report.memory([r for r in every["flows"] if r.tool == tools.CRUNCH], floor)
    memory = [
        MEMORY_NOTE.format(what="captures that grow while the number of flows stays"),
        report.memory(every["growing"], floor),
        MEMORY_NOTE.format(what="more and more live flows in as many packets"),
        crowded,
        MEMORY_NOTE.format(what="a flow for every packet, with `--memory 256M`"),
        report.memory(every["crowd"], floor),
    ]
    quiet = (
        f"Load average of one minute: {load[0]:.2f} before, {load[1]:.2f} after; the runs themselves make 1 of it.\n"
    )
    frames = FRAMES_NOTE.format(packets=by_frame.packets, flows=by_frame.flows)
    small_look = SMALL_LOOK.format(packets=scale.packets) if scale.packets < PACKETS else ""
    return [
        (
            "What was wanted",
            small_look
            + report.table(("what", "wanted", "whole processes", "our loop alone", "reached"), goals(measured)),
        ),
        *([("At a glance", report.plots(plots))] if plots else []),
        ("Frames: copied, counted, decoded", "\n".join(side(session, tools.DECODERS) for session in ("mix", "small"))),
        ("Flows", f"{side('mix', tools.FLOW_MAKERS)}\n{side('small', tools.FLOW_MAKERS)}\n{SMALL_NOTE}"),
        (
            "Slow programs",
            f"{SLOW_NOTE}\n{side('slow', (tools.DECODE, tools.TSHARK_FIELDS))}\n"
            f"{side('slow', (tools.CRUNCH, tools.TSHARK, tools.DPKT, tools.SCAPY))}",
        ),
        (
            "Two cores",
            "\n".join(
                side(session, (tool, other))
                for session in ("mix", "small")
                for tool, other in zip((tools.DECODE, tools.CRUNCH), both, strict=True)
            ),
        ),
        (
            "Inside VXLAN",
            f"{VXLAN_NOTE}\n{report.by_capture(ours, floor, {'mix': 'bare', 'vxlan': 'in VXLAN'})}\n"
            f"{report.comparison(outer, floor)}\n{OUTER_NOTE}",
        ),
        ("By size of frame", f"{frames}\n{report.series(every['frames'], 'bytes', 'frame')}"),
        (
            "By number of flows",
            f"{FLOWS_NOTE.format(packets=by_flows.packets)}\n{report.series(every['flows'], 'flows', 'flows')}",
        ),
        ("Five-tuples that collide", f"{COLLIDING_NOTE}\n{alike}"),
        ("Memory", "\n".join(memory)),
        ("Limits of the machine", f"{LIMITS_NOTE}\n{report.limits(measured.limits)}"),
        ("What each does, and how it was run", report.notes(r for results in every.values() for r in results)),
        ("How quiet the machine was", quiet),
    ]


def main() -> None:
    """Run every job and write RESULTS.md."""
    parser = argparse.ArgumentParser(description="Compare spanline with other programs and write RESULTS.md.")
    parser.add_argument("--quick", action="store_true", help=f"one round, {QUICK_PACKETS:,} packets")
    parser.add_argument("--packets", type=int, help=f"of the mix, {PACKETS:,} by default; all else follows from it")
    parser.add_argument("--rounds", type=int, help="5 by default")
    parser.add_argument("--patience", type=float, help="seconds for all runs of a tool on a capture, 25 by default")
    parser.add_argument("--keep", action="store_true", help="leave the captures in build/bench: some 36 GB")
    parser.add_argument("--again", action="store_true", help="measure nothing: write up the last run once more")
    parser.add_argument("--results", type=Path, default=RESULTS, help="the file to write; the plots go beside it")
    arguments = parser.parse_args()
    quick = arguments.quick
    scale = Scale(
        packets=arguments.packets or (QUICK_PACKETS if quick else PACKETS),
        rounds=arguments.rounds or (1 if quick else 5),
        patience=arguments.patience or 25.0,
        keep=arguments.keep,
    )

    if not arguments.again:
        run(scale)
    load, floor, seconds, measured, found = pickle.loads(LAST.read_bytes())
    results = arguments.results.resolve()
    plots = draw(measured, results.parent)
    text = report.document(sections(measured, floor, plots, load), measured, floor, seconds, found)
    results.write_text(text, encoding="utf-8")
    print(f"wrote {arguments.results}; measuring took {seconds / 60:.1f} minutes")


def run(scale: Scale) -> None:
    """Install, measure, and keep the figures."""
    missing = install_programs()
    if missing:
        print(f"not installed, so their rows will say so: {', '.join(missing)}")
    python_with("matplotlib")
    FOLDER.mkdir(parents=True, exist_ok=True)
    load, begin = [os.getloadavg()[0]], time.monotonic()
    floor = smallest_peak()
    measured = measure_all(scale)
    load.append(os.getloadavg()[0])
    seconds = time.monotonic() - begin
    LAST.write_bytes(pickle.dumps((load, floor, seconds, measured, versions())))


if __name__ == "__main__":
    main()
