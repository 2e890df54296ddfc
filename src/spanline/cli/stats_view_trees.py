"""Destinations and ports, and hosts, as tshark -z dests,tree and -z ip_hosts,tree."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, ClassVar

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from spanline.arrow import address_text
from spanline.cli.stats_view import Stages, View, ViewOptions
from spanline.cli.text import UNKNOWN, plural, time_of_day
from spanline.stages.destinations import Destinations
from spanline.stages.hosts import Hosts
from spanline.stages.statistics_tree import BURST_WINDOW, TRANSPORTS, StatisticsTree

if TYPE_CHECKING:
    from rich.console import Console

_TITLES = ("Count", "Average", "Min Val", "Max Val", "Rate (ms)", "Percent", "Burst Rate", "Burst Start")
_WIDTHS = (12, 12, 12, 12, 12, 12, 12, 11)


class _TreeView(View):
    """What both views have in common."""

    kind: ClassVar[type[StatisticsTree]]
    heading: ClassVar[str]
    """tshark's, also of the root."""

    def __init__(self, options: ViewOptions, stages: Stages) -> None:
        self._limit = options.limit
        self._stage = stages.take(self.kind, lambda: self.kind(memory=options.memory))

    def table(self) -> pa.Table:
        (made,) = self._stage.tables().values()
        return made

    def remarks(self) -> Iterable[str]:
        if self._stage.others:
            yield f"{self.name}: {plural(self._stage.others, 'packet')} of others found no room; --memory gives more"

    def as_tshark(self) -> Iterator[str]:
        """tshark shows the tree of IPv4 layers."""
        tree = self._stage.tree(4)
        nodes = tree.nodes
        names = [self.heading, *_names(nodes[1:], tree.texts[1:])]
        width = max(len("Topic / Item"), *map(len, names)) + 2
        head = "  ".join(f"{title:<{size}}" for title, size in zip(_TITLES, _WIDTHS, strict=True))
        rule = len(head) + width + 2
        yield from ("", "=" * rule, f"IPv4 Statistics/{self.heading}:", f"{'Topic / Item':<{width}}{head}  ", "-" * rule)
        if not len(nodes):
            yield f"{names.pop():<{width}}{_cells('0', '', '100%', '-', '-')}"
        milliseconds = tree.elapsed / 1e6
        # tshark divides a float.
        rates = nodes["count"].astype(np.float32).astype(np.float64) / (milliseconds or 1)
        shares = 100.0 * nodes["count"] / np.maximum(tree.around, 1)
        columns = (nodes["count"], rates, shares, nodes["burst"] / BURST_WINDOW, nodes["burst_start"] / 1e6 / 1000)
        for name, count, rate, share, burst, start in zip(names, *(one.tolist() for one in columns), strict=True):
            percent = "100%" if name is self.heading else f"{share:.2f}%"
            told = f"{rate:.4f}" if milliseconds else ""
            bursts = (f"{burst:.4f}", f"{start:.3f}") if burst else ("-", "-")
            yield f"{name:<{width}}{_cells(str(count), told, percent, *bursts)}"
        yield from ("", "-" * rule)

    def draw(self, target: Console) -> None:
        from spanline.cli.screen import cell, draw, table

        rows = self.table()
        shown = rows.slice(0, self._limit).to_pylist()
        left = [(title, "left") for title in self.headings]
        made = table([*left, ("Packets", "right"), ("%", "right"), ("Per s", "right"), ("Burst", "right"), ("at", "left")])
        for row in shown:
            rate = UNKNOWN if row["rate"] is None else f"{row['rate']:,.1f}"
            burst = f"{row['burst_packets']:,}", time_of_day(row["burst_start"].value, 3)
            made.add_row(*map(cell, self.cells(row)), f"{row['packets']:,}", f"{row['percent']:.1f}", rate, *burst)
        draw(target, made)
        if len(shown) < rows.num_rows:
            draw(target, cell(f"{rows.num_rows - len(shown):,} more rows; --limit 0 shows all", "dim"))


def _cells(count: str, rate: str, percent: str, burst: str, start: str) -> str:
    return f"{count:<14}{'':<42}{rate:<14}{percent:<14}{burst:<14}{start:<13}"


def _names(nodes: npt.NDArray[np.void], texts: npt.NDArray[np.str_]) -> Iterator[str]:
    """What stands before the counts, indented by a blank a level."""
    columns = nodes["level"], texts, nodes["transport"], nodes["port"]
    for level, address, transport, port in zip(*(one.tolist() for one in columns), strict=True):
        yield f" {address}" if level == 1 else f"  {TRANSPORTS[transport]}" if level == 2 else f"   {port}"


class DestinationsView(_TreeView):
    """Where packets go."""

    name = "destinations"
    title = "Destinations and ports"
    kind = Destinations
    heading = "Destinations and Ports"
    headings = ("Destination", "Transport", "Port")

    @staticmethod
    def cells(row: dict) -> tuple[str, ...]:
        address = address_text(row["address"]) if row["transport"] is None else ""
        return address, row["transport"] or "" if row["port"] is None else "", "" if row["port"] is None else str(row["port"])


class HostsView(_TreeView):
    """Which addresses there are."""

    name = "hosts"
    title = "Hosts"
    kind = Hosts
    heading = "All Addresses"
    headings = ("Address",)

    @staticmethod
    def cells(row: dict) -> tuple[str, ...]:
        return (address_text(row["address"]),)
