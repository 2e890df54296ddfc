"""Destinations and ports, and hosts, as tshark -z dests,tree and -z ip_hosts,tree."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from spanline.arrow import address_text, plain
from spanline.cli.stats_view import Stages, View, ViewOptions
from spanline.cli.text import UNKNOWN, plural, time_of_day
from spanline.stages.destinations import Destinations
from spanline.stages.hosts import Hosts
from spanline.stages.statistics_tree import BURST_WINDOW, TRANSPORTS, Tree

if TYPE_CHECKING:
    from rich.console import Console

_TITLES = ("Count", "Average", "Min Val", "Max Val", "Rate (ms)", "Percent", "Burst Rate")


class _TreeView(View):
    """What both views have in common."""

    kind: ClassVar[type[Destinations] | type[Hosts]]
    heading: ClassVar[str]
    """tshark's, also of the root."""
    headings: ClassVar[tuple[str, ...]]
    """Of the columns before the counts."""

    def __init__(self, options: ViewOptions, stages: Stages) -> None:
        self._limit = options.limit
        self._stage: Destinations | Hosts = stages.take(self.kind, lambda: self.kind(memory=options.memory))

    def table(self) -> pa.Table:
        (made,) = self._stage.tables().values()
        return made

    def remarks(self) -> Iterable[str]:
        if self._stage.others:
            yield f"{self.name}: {plural(self._stage.others, 'packet')} of others found no room; --memory gives more"

    def cells(self, row: dict[str, Any]) -> tuple[str, ...]:
        """Of a row of the table: what stands in those columns."""
        raise NotImplementedError

    def as_tshark(self) -> Iterator[str]:
        """tshark shows the tree of IPv4 layers."""
        tree = self._stage.tree(4)
        names = _names(tree, self.heading) if len(tree.level) else [self.heading]
        width = max(len("Topic / Item"), *map(len, names)) + 2
        head = f"{'Topic / Item':<{width}}" + "".join(f"{title:<14}" for title in _TITLES) + f"{'Burst Start':<13}"
        rule = len(head)
        yield from ("", "=" * rule, f"IPv4 Statistics/{self.heading}:", head, "-" * rule)
        if not len(tree.level):
            yield f"{self.heading:<{width}}{'0':<14}{'':<56}{'100%':<14}{'-':<14}{'-':<13}"
        else:
            line = f"%-{width}s%-14s{'':<42}%-14s%s%s%-13s"
            yield from (line % cells for cells in zip(names, *_cells(tree), strict=True))
        yield from ("", "-" * rule)

    def draw(self, target: Console) -> None:
        from spanline.cli.screen import cell, draw, table

        rows = self.table()
        shown = plain(rows.slice(0, self._limit)).to_pylist()
        left = [(title, "left") for title in self.headings]
        made = table(
            [*left, ("Packets", "right"), ("%", "right"), ("Per s", "right"), ("Burst", "right"), ("at", "left")]
        )
        for row in shown:
            rate = UNKNOWN if row["rate"] is None else f"{row['rate']:,.1f}"
            burst = f"{row['burst_packets']:,}", time_of_day(row["burst_start"], 3)
            made.add_row(*map(cell, self.cells(row)), f"{row['packets']:,}", f"{row['percent']:.1f}", rate, *burst)
        draw(target, made)
        if len(shown) < rows.num_rows:
            draw(target, cell(f"{len(shown):,} of {rows.num_rows:,} rows; -n 0 shows all", "dim"))


def _names(tree: Tree, heading: str) -> list[str]:
    """What stands before the counts, indented by a blank a level."""
    names = np.char.add(" ", tree.text.astype(str)).astype(object)
    names[tree.level == 2] = np.array([f"  {name}" for name in TRANSPORTS], object)[tree.transport[tree.level == 2]]
    names[tree.level == 3] = _texts(tree.port[tree.level == 3], "   %d")
    names[0] = heading
    return list(names)


def _cells(tree: Tree) -> Iterator[list[str]]:
    """Count, rate in ms, percent, burst rate and burst start as tshark has them, column by column."""
    yield _texts(tree.packets, "%d").tolist()
    milliseconds = tree.elapsed / 1e6
    # tshark divides a float.
    rates = tree.packets.astype(np.float32).astype(np.float64) / (milliseconds or 1)
    yield _texts(rates, "%.4f").tolist() if milliseconds else [""] * len(rates)
    shares = _texts(100.0 * tree.packets / np.maximum(tree.around, 1), "%-14s", "%.2f%%")
    shares[0] = f"{'100%':<14}"
    yield shares.tolist()
    none = tree.burst == 0
    bursts = _texts(tree.burst / BURST_WINDOW, "%-14s", "%.4f")
    bursts[none] = f"{'-':<14}"
    yield bursts.tolist()
    starts = [f"{start:.3f}" for start in (tree.burst_start / 1e6 / 1000).tolist()]
    yield ["-" if not burst else start for burst, start in zip(tree.burst.tolist(), starts, strict=True)]


def _texts(numbers: npt.NDArray[Any], *formats: str) -> npt.NDArray[np.object_]:
    """Each number in the last of the formats, that text in the one before; there are far fewer numbers than nodes."""
    distinct, which = np.unique(numbers, return_inverse=True)
    texts = distinct.tolist()
    for one in reversed(formats):
        texts = [one % text for text in texts]
    return np.array(texts, object)[which]


class DestinationsView(_TreeView):
    """Where packets go."""

    name = "destinations"
    title = "Destinations and ports"
    kind = Destinations
    heading = "Destinations and Ports"
    headings = ("Destination", "Transport", "Port")

    def cells(self, row: dict[str, Any]) -> tuple[str, ...]:
        address = address_text(row["address"]) if row["transport"] is None else ""
        return (
            address,
            row["transport"] or "" if row["port"] is None else "",
            "" if row["port"] is None else str(row["port"]),
        )


class HostsView(_TreeView):
    """Which addresses there are."""

    name = "hosts"
    title = "Hosts"
    kind = Hosts
    heading = "All Addresses"
    headings = ("Address",)

    def cells(self, row: dict[str, Any]) -> tuple[str, ...]:
        return (address_text(row["address"]),)
