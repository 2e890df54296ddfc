"""`spanline rtt --plot`: round-trip times as a picture."""

from __future__ import annotations

import importlib.util
from collections.abc import Sequence
from pathlib import Path

from spanline.errors import Problem, UsageError
from spanline.stages.round_trips import RoundTrips

SUFFIXES = (".html", ".png")
INSTALL = "python -m pip install 'spanline[plot]'"

_SERVERS, _MOST_SERVERS = 8, 40
# At 760 pixels more would be thinner than a line.
_INTERVALS = 100


def check_plot(path: str) -> None:
    """check_picture() of --plot."""
    check_picture("--plot", path, SUFFIXES)


def check_picture(option: str, path: str, suffixes: Sequence[str]) -> None:
    """Raises UsageError when no picture can be written to `path`: it has another suffix, or a package is missing."""
    if Path(path).suffix.lower() not in suffixes:
        raise UsageError(f"{option} {path}: no picture has this suffix", hint=f"use {' or '.join(suffixes)}")
    missing = missing_packages()
    if missing:
        raise UsageError(f"{option} needs {' and '.join(missing)}", hint=INSTALL)


def missing_packages() -> list[str]:
    """Those without which nothing can be drawn."""
    return [name for name in ("altair", "vl_convert") if importlib.util.find_spec(name) is None]


def plot_round_trips(stage: RoundTrips, metric: str, servers: int | None, path: str) -> list[Problem]:
    """Draws what `stage` found, after its tables(), with a panel for each of `servers`, 0 for all that have room.

    What keeps the picture from being written is returned.
    """
    panels = _SERVERS if servers is None else min(servers or _MOST_SERVERS, _MOST_SERVERS)
    over_time = stage.over_time(panels, _INTERVALS)
    if not over_time.num_rows:
        return [Problem(path, "empty", "not written, there are no round-trip times to draw")]
    from spanline.charts import round_trip_chart, write_picture

    write_picture(round_trip_chart(over_time, metric), path)
    return []
