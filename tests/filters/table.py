"""Filters, captures, and what tshark says of each pair."""

from __future__ import annotations

from itertools import groupby
from pathlib import Path

HERE = Path(__file__).parent
EXPECTED = HERE / "expected.tsv"
CAPTURES = (
    "tcp/syn-retx__maltrail__mixed_soup.pcap",
    "ip/v6ext__ipfixprobe__mixed.pcap",
    "ip/v4frag__bro__dns-edns-ecs.pcap",
    "tunnels/vxlan__nDPI__vxlan.pcap",
    "tunnels/gre__zeek__erspan.pcap",
    "apps/sctp__arkime__sctp-www.pcap",
)


def filters() -> list[str]:
    """The display filters, in order."""
    lines = (HERE / "filters.txt").read_text().splitlines()
    return [line for line in lines if line and not line.startswith("#")]


def expected() -> dict[str, list[str]]:
    """By filter, for each of CAPTURES the frames that tshark shows, as compact() writes them."""
    rows = [line.split("\t") for line in EXPECTED.read_text().splitlines()]
    assert tuple(rows[0][1:]) == CAPTURES
    return {row[0]: row[1:] for row in rows[1:]}


def compact(numbers: list[int]) -> str:
    """Ascending numbers as 1-4,7; none as -."""
    runs = [[n for _, n in run] for _, run in groupby(enumerate(numbers), lambda pair: pair[1] - pair[0])]
    return ",".join(str(run[0]) if len(run) == 1 else f"{run[0]}-{run[-1]}" for run in runs) or "-"
