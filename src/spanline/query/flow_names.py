"""What the properties of flows are called in SQL, and what has to be looked up for that."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from sqlglot import exp

from spanline.query import nodes
from spanline.query.classes import NAMES as CLASSES
from spanline.query.classes import Classes
from spanline.query.ends import SIDES
from spanline.query.flow_types import flow_type
from spanline.query.nodes import Node
from spanline.query.relations import FLOW_KEY, METRICS, NEVER_MISSING, end_of
from spanline.query.tree import Property, Query

Listed = Callable[[Query], Node]


class FlowNames:
    """filtering.Names of flows; `used` are the attributes that have to be looked up, of each side."""

    def __init__(self, listed: Listed, classes: Classes) -> None:
        self._classes = classes
        self.used: dict[str, dict[str, None]] = {side: {} for side in SIDES}
        self.listed = listed

    def columns(self, of: Property) -> Sequence[Node]:
        found: list[Node] = []
        for column in of.either or (of.column,):
            found.append(self.column(column))
            end = end_of(column)
            if end is not None and end[1] == "country":  # its code will do
                found.append(self.attribute(end[0], "country_code"))
        return found

    def column(self, column: str) -> Node:
        end = end_of(column)
        return nodes.column(column) if end is None else self.attribute(*end)

    def attribute(self, side: str, attribute: str) -> Node:
        if attribute in CLASSES:
            condition = self._classes.condition(attribute, nodes.column(f"{side}_ip_address"))
            if condition is not None:
                return condition
        self.used[side][attribute] = None
        node = nodes.column(attribute, f"{side}_ends")
        return nodes.call("COALESCE", node, exp.false()) if attribute.startswith("is_") else node

    def over(self, of: Property, condition: Node) -> Node:
        return condition

    def tag(self, value: str) -> Node:
        return flow_type(value, self.attribute)

    def is_never_missing(self, of: Property) -> bool:
        return not of.either and of.column in NEVER_MISSING


class WholeFlows(FlowNames):
    """Names of flows that have been put together of records: of different values among them the greatest.

    values  what these are of records, by their columns
    metric  what a metric is of a flow, by its column
    """

    def __init__(self, listed: Listed, classes: Classes, metric: Callable[[str], Node]) -> None:
        super().__init__(listed, classes)
        self._metric = metric
        self.values: dict[str, Node] = {}

    def column(self, column: str) -> Node:
        if column in METRICS:
            return self._metric(column)
        end = end_of(column)
        if end is not None:
            return self.attribute(*end)
        if column not in FLOW_KEY:
            self.values[column] = nodes.call("MAX", nodes.column(column))
        return nodes.column(column)

    def attribute(self, side: str, attribute: str) -> Node:
        name = f"{side}_{attribute}"
        self.values[name] = nodes.call("MAX", super().attribute(side, attribute))
        return nodes.column(name)

    def is_never_missing(self, of: Property) -> bool:
        return False
