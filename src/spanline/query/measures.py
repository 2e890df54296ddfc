"""Numbers of groups of flows: how they are added up, of records to flows and of flows to groups."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from sqlglot import exp

from spanline.errors import UsageError
from spanline.query import nodes
from spanline.query.nodes import Node
from spanline.query.relations import METRICS, PARTS, Traffic
from spanline.query.tree import Aggregate, Kind

_FUNCTIONS = {"sum": ("SUM",), "avg": ("SUM", "COUNT"), "min": ("MIN",), "max": ("MAX",), "count": ("COUNT",)}
_AGAIN = {"SUM": "SUM", "COUNT": "SUM", "MIN": "MIN", "MAX": "MAX"}
"""How what was added up of parts is added up of the whole."""


@dataclass(frozen=True, slots=True)
class Measure:
    """An aggregate, and the name of its column."""

    name: str
    of: Aggregate

    @property
    def column(self) -> str:
        return self.of.property.column

    @property
    def is_of_records(self) -> bool:
        """Whether it can be added up of records, without knowing which are of the same flow."""
        return self.of.function == "sum" and METRICS[self.column].is_additive

    @property
    def kind(self) -> Kind | None:
        return None if self.of.function == "count" else self.of.property.kind

    @property
    def parts(self) -> Sequence[str]:
        return METRICS[self.column].parts

    def sums(self) -> list[tuple[str, str]]:
        """(function, column) of what is kept of flows, where is_of_records does not hold."""
        return [(function, f"{self.name}_{function.lower()}") for function in _FUNCTIONS[self.of.function]]

    def of_flows(self, seconds: Node) -> list[Node]:
        """What is kept of flows, of rows that are flows with their parts."""
        value = METRICS[self.column].of(nodes.column, seconds)
        return [nodes.named(nodes.call(function, value.copy()), name) for function, name in self.sums()]

    def value(self, seconds: Node) -> Node:
        """Of several rows that hold parts, or sums."""
        if self.is_of_records:
            return METRICS[self.column].of(summed, seconds)
        again = [nodes.call(_AGAIN[function], nodes.column(name)) for function, name in self.sums()]
        if self.of.function == "count":
            return exp.cast(nodes.call("COALESCE", *again, nodes.number(0)), "bigint")
        return again[0] if len(again) == 1 else nodes.over(*again)


def measured(number: int, of: Aggregate) -> Measure:
    """Raises UsageError for what cannot be added up."""
    if of.property.column not in METRICS:
        raise UsageError(
            f"there is no series of {of.function}({of.property.name}): {of.property.name} is no metric of flows",
            hint=f"write {of.function}({of.property.name}), or group by it",
        )
    return Measure(f"m{number}", of)


def summed(part: str) -> Node:
    return nodes.call(PARTS[part].function, nodes.column(part))


def parts_of(measures: Sequence[Measure]) -> list[str]:
    """The parts that some measures need, each once."""
    return list(dict.fromkeys(part for one in measures for part in one.parts))


def of_records(parts: Sequence[str], traffic: Traffic) -> list[Node]:
    return [nodes.named(nodes.call(PARTS[part].function, PARTS[part].of(traffic)), part) for part in parts]


def again(measures: Sequence[Measure]) -> list[Node]:
    """What of_records() or of_flows() gave, added up once more under the same names."""
    kept: dict[str, Node] = {}
    for one in measures:
        if one.is_of_records:
            kept |= {part: nodes.named(summed(part), part) for part in one.parts}
        else:
            for function, name in one.sums():
                kept[name] = nodes.named(nodes.call(_AGAIN[function], nodes.column(name)), name)
    return list(kept.values())
