"""The plots of RESULTS.md, from what compare.py measured. Runs in a venv that has matplotlib.

    plots.py FIGURES.json FOLDER

FIGURES.json has `frames`, `flows` (each {program: [[x, Mpps], …]}), `cores` ({job: [Mpps with 1
thread, with 2]}), `peers` ([[program, Mpps, whether it makes flows], …]) and `titles` ([title, subtitle] of each).
"""

import json
import sys
from itertools import pairwise
from pathlib import Path
from typing import Any

import matplotlib  # type: ignore[import-not-found,import-untyped,unused-ignore]

matplotlib.use("svg")
# The same figures give the same file, byte for byte.
matplotlib.rcParams.update({
    "svg.hashsalt": "spanline", "font.size": 10, "axes.spines.top": False, "axes.spines.right": False,
    "axes.grid": True, "grid.color": "#e4e4e4", "grid.linewidth": 0.8, "axes.axisbelow": True,
    "legend.frameon": False,
})  # fmt: skip
import matplotlib.pyplot as plt  # type: ignore[import-not-found,import-untyped,unused-ignore] # noqa: E402
from matplotlib.ticker import FuncFormatter, LogLocator, NullLocator  # type: ignore[import-not-found,import-untyped,unused-ignore] # noqa: E402

OURS, OURS_TOO, PEER = "#0b6e4f", "#3fa34d", "#8a8a8a"
STYLES: dict[str, dict[str, Any]] = {
    "spanline, decode": {"color": OURS, "marker": "o", "linewidth": 2.4},
    "spanline crunch": {"color": OURS_TOO, "marker": "s", "linewidth": 2.4},
    "tcpdump -w /dev/null": {"color": "#c1666b", "marker": "^"},
    "libtins": {"color": "#d4a017", "marker": "v"},
    "nfpcapd": {"color": "#48639c", "marker": "D"},
    "softflowd -m 1000000": {"color": "#7b5ea7", "marker": "P"},
}
SIZE = (7.2, 4.2)


def number(value: float, _: object = None) -> str:
    """1000000 as 1 M, and rates without needless zeros."""
    for unit, name in ((1e6, " M"), (1e3, " k")):
        if value >= unit:
            return f"{value / unit:g}{name}"
    return f"{value:g}"


def save(figure: Any, titles: list[str], path: Path) -> None:
    """Titles begin at the left edge, whatever the width of the labels below."""
    (title, subtitle), height = titles, figure.get_figheight()
    figure.tight_layout(rect=(0, 0, 1, 1 - 0.55 / height))
    figure.text(0.015, 1 - 0.12 / height, title, va="top", fontsize=12, fontweight="bold")
    figure.text(0.015, 1 - 0.36 / height, subtitle, va="top", fontsize=9.5, color="#555555")
    figure.savefig(path, metadata={"Date": None})
    plt.close(figure)


def plain(axis: Any) -> None:
    """1, 2, 5, 10 on a logarithmic axis, as they are."""
    axis.set_major_locator(LogLocator(subs=(1, 2, 5)))
    axis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    axis.set_minor_locator(NullLocator())


def lines(series: dict[str, list[list[float]]], titles: list[str], label: str, path: Path) -> None:
    """Mpps of every program by x, both on logarithmic scales, each line named at its end."""
    figure, axes = plt.subplots(figsize=SIZE)
    ends: list[list[Any]] = []
    for name, points in series.items():
        axes.plot([x for x, _ in points], [mpps for _, mpps in points], markersize=5, **STYLES[name])
        ends.append([points[-1][1], name])
    axes.set_xscale("log")
    axes.set_yscale("log")
    # Names that would lie on one another are moved apart.
    low, high = axes.get_ylim()
    step = (high / low) ** 0.055
    ends.sort()
    for before, after in pairwise(ends):
        after[0] = max(after[0], before[0] * step)
    for height, name in ends:
        axes.annotate(
            name, (1.0, height), xycoords=("axes fraction", "data"), xytext=(6, 0), textcoords="offset points",
            va="center", color=STYLES[name]["color"], annotation_clip=False,
        )  # fmt: skip
    axes.set_xticks(sorted({x for points in series.values() for x, _ in points}))
    axes.xaxis.set_major_formatter(FuncFormatter(number if label.startswith("flows") else lambda x, _: f"{x:g}"))
    axes.xaxis.set_minor_locator(NullLocator())
    plain(axes.yaxis)
    axes.set_xlabel(label)
    axes.set_ylabel("million packets a second")
    save(figure, titles, path)


def cores(jobs: dict[str, list[float]], titles: list[str], path: Path) -> None:
    """Pairs of bars: one thread, two."""
    figure, axes = plt.subplots(figsize=SIZE)
    width = 0.36
    most = max((value for values in jobs.values() for value in values), default=1)
    for place, values in enumerate(jobs.values()):
        for turn, (value, color) in enumerate(zip(values, (PEER, OURS), strict=False)):
            x = place + (turn - 0.5) * (width + 0.02)
            axes.bar(x, value, width, color=color, label=f"{turn + 1} core" + "s" * turn if place == 0 else None)
            times = f"\n{value / values[0]:.2f}×" if turn else ""
            axes.text(x, value + most * 0.015, f"{value:.3g}{times}", ha="center", va="bottom", fontsize=9)
    axes.set_xticks(range(len(jobs)), list(jobs))
    axes.set_ylim(0, most * 1.18)
    axes.grid(axis="x", visible=False)
    axes.set_ylabel("million packets a second")
    axes.legend(loc="upper left")
    save(figure, titles, path)


def peers(rates: list[list[Any]], titles: list[str], path: Path) -> None:
    """One line a program, the fastest on top. Dots, as the length of a bar means nothing on a logarithmic scale."""
    rates = sorted(rates, key=lambda rate: rate[1])
    figure, axes = plt.subplots(figsize=(SIZE[0], 0.3 * len(rates) + 1.5))
    for flows, marker, label in ((False, "o", "frames copied, counted or decoded"), (True, "s", "flows")):
        axes.plot([], [], marker, color=PEER, label=label)
        for place, (name, mpps, makes_flows) in enumerate(rates):
            if makes_flows == flows:
                color = OURS if name.startswith("spanline") else PEER
                axes.plot(mpps, place, marker, color=color, markersize=7)
                axes.annotate(
                    f"{mpps:.3g}", (mpps, place), xytext=(8, 0), textcoords="offset points", va="center", fontsize=9
                )
    axes.set_yticks(range(len(rates)), [name for name, *_ in rates])
    for label, (name, *_) in zip(axes.get_yticklabels(), rates, strict=True):
        label.set_fontweight("bold" if name.startswith("spanline") else "normal")
    axes.set_xscale("log")
    axes.set_xlim(rates[0][1] / 1.5, rates[-1][1] * 2.2)
    axes.xaxis.set_major_locator(LogLocator())
    axes.xaxis.set_major_formatter(FuncFormatter(lambda x, _: f"{x:g}"))
    axes.xaxis.set_minor_locator(NullLocator())
    axes.set_xlabel("million packets a second, each step ten times the one before")
    axes.legend(loc="lower right")
    save(figure, titles, path)


def main() -> None:
    """Draw all that there is to draw."""
    figures, folder = json.loads(Path(sys.argv[1]).read_text()), Path(sys.argv[2])
    titles = figures["titles"]
    if figures["frames"]:
        lines(figures["frames"], titles["frames"], "bytes a frame", folder / "by-frame-size.svg")
    if figures["flows"]:
        lines(figures["flows"], titles["flows"], "flows in the capture", folder / "by-flows.svg")
    if figures["cores"]:
        cores(figures["cores"], titles["cores"], folder / "by-cores.svg")
    if figures["peers"]:
        peers(figures["peers"], titles["peers"], folder / "peers.svg")


if __name__ == "__main__":
    main()
