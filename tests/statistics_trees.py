"""tshark's statistics trees, and how far ours are equal to them."""

from __future__ import annotations

import gzip
from pathlib import Path

import spanline
from spanline.cli.stats_view import Stages, ViewOptions
from spanline.cli.stats_view_trees import DestinationsView, HostsView

VIEWS = {"dests,tree": DestinationsView, "ip_hosts,tree": HostsView}


def oracle_text(oracle: Path, capture: str, view: str) -> list[str]:
    """tshark's lines from the first rule to the last; none when tshark was cut short."""
    path = oracle / f"{capture}.stats.txt.gz"
    if not path.exists():
        return []
    with gzip.open(path, "rt", errors="replace") as stats:
        lines = stats.read().split("\n")
    title = f"IPv4 Statistics/{VIEWS[view].heading}:"
    if title not in lines:
        return []
    start = lines.index(title) - 1
    rules = [n for n in range(start + 1, len(lines)) if lines[n].startswith("---")]
    return lines[start : rules[1] + 1]


def our_texts(capture: Path) -> tuple[dict[str, list[str]], int]:
    """Our lines of each view, and the number of frames."""
    stages = Stages()
    options = ViewOptions((), 0, None, 1 << 30, None, as_tshark=True)
    views = {name: kind(options, stages) for name, kind in VIEWS.items()}
    frames = sum(len(batch) for batch in spanline.open(capture).run(*stages))
    return {name: list(view.as_tshark())[1:] for name, view in views.items()}, frames
