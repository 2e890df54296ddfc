"""Captures and figures for every benchmark.

SPANLINE_BENCH_PACKETS sets the size of the captures in packets, 1,000,000 by default: 0.46 GB for the mix.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Any

import pytest
from peers.captures import Measure, Traffic, warm

PACKETS = int(os.environ.get("SPANLINE_BENCH_PACKETS", "1_000_000"))
CAPTURES = {
    "mix": Traffic("mix", PACKETS, max(1, PACKETS // 40)),
    "small": Traffic("small", PACKETS, min(PACKETS, 100_000)),
    "vxlan": Traffic("vxlan", PACKETS, max(1, PACKETS // 40)),
}


@pytest.fixture(params=list(CAPTURES))
def capture(request: pytest.FixtureRequest) -> Traffic:
    """One capture after the other, made and in the page cache."""
    traffic = CAPTURES[request.param]
    warm(traffic.make())
    return traffic


@pytest.fixture
def measure(benchmark: Any) -> Measure:
    """Times a function that reads a capture and returns the number of its packets; no time fails a benchmark.

    extra_info gets packets, and of the median round Mpps (10⁶ packets a second) and MB/s (10⁶ bytes of the file).
    """

    def run(traffic: Traffic, function: Callable[[], int]) -> None:
        packets = benchmark.pedantic(function, rounds=5, warmup_rounds=1)
        assert packets == traffic.packets
        benchmark.extra_info["packets"] = packets
        if benchmark.stats is not None:
            seconds = benchmark.stats.stats.median
            benchmark.extra_info["Mpps"] = round(packets / seconds / 1e6, 3)
            benchmark.extra_info["MB/s"] = round(traffic.size / seconds / 1e6)

    return run
