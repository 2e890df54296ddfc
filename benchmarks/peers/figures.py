"""The figures behind the plots, and the plots drawn from them by a Python that has matplotlib."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

from peers import tools
from peers.captures import FOLDER, Traffic
from peers.install import python_with
from peers.measure import Result
from peers.sessions import THREADS, Measured

PLOTS = {
    "peers.svg": "Programs on the mix",
    "by-frame-size.svg": "Throughput by size of frame",
    "by-flows.svg": "Throughput by number of flows",
    "by-cores.svg": "Throughput by number of cores",
}
"""File: what a reader who cannot see it is told."""


def _series(results: list[Result], value: str) -> dict[str, list[list[float]]]:
    """Points of each tool, by one property of the capture."""
    series: dict[str, list[list[float]]] = {}
    for result in results:
        if not result.failure:
            series.setdefault(result.tool.name, []).append([getattr(result.traffic, value), result.mpps])
    return series


def _about(traffic: Traffic) -> str:
    """A capture's size, short."""
    return f"{traffic.packets / 1e6:g} million packets"


def _cores(measured: Measured) -> dict[str, list[float]]:
    jobs = {}
    for session, kind in (("mix", "mix"), ("small", "64-byte frames")):
        for job, tool, other in zip(
            ("decode", "crunch"), (tools.DECODE, tools.CRUNCH), tools.threaded(THREADS), strict=True
        ):
            one, both = measured.result(session, tool), measured.result(session, other)
            if one and both:
                jobs[f"{job},\n{kind}"] = [one.mpps, both.mpps]
    return jobs


def draw(measured: Measured, folder: Path) -> list[str]:
    """Draws what was measured into `folder`; gives the names of the plots. None of them without matplotlib."""
    scale = measured.scale
    figures = {
        "frames": _series(measured.sessions["frames"], "frame"),
        "flows": _series(measured.sessions["flows"], "flows"),
        "cores": _cores(measured),
        "peers": [
            [result.tool.name, result.mpps, result.tool not in (*tools.DECODERS, tools.TSHARK_FIELDS)]
            for session, left_out in (("mix", ""), ("slow", "spanline"))
            for result in measured.sessions[session]
            if not result.failure
            and result.tool.cores == 1
            and not (left_out and (result.tool.name.startswith(left_out) or result.tool == tools.TSHARK))
        ],
        "titles": {
            "frames": ["Throughput by size of frame", f"{_about(scale.by_frame[0])}, one core, whole programs"],
            "flows": [
                "Throughput by number of flows",
                f"{_about(scale.by_flows[0])} of 64 bytes, one core, whole programs",
            ],
            "cores": [
                "spanline on one core and on two",
                f"mix: {_about(scale.mix)}; 64-byte frames: {_about(scale.small)}; whole programs",
            ],
            "peers": [
                "Programs on the mix",
                f"{_about(scale.mix)} (tshark -T fields, dpkt, scapy: {_about(scale.slow)}), one core, whole programs",
            ],
        },
    }
    python, path = python_with("matplotlib"), FOLDER / "figures.json"
    path.write_text(json.dumps(figures), encoding="utf-8")
    # What is not drawn this time shall not stay beside figures of another day.
    for name in PLOTS:
        (folder / name).unlink(missing_ok=True)
    program = Path(__file__).with_name("plots.py")
    if not python.exists() or subprocess.run([python, program, path, folder]).returncode:
        print("not all plots were drawn")
    return [name for name in PLOTS if (folder / name).exists()]
