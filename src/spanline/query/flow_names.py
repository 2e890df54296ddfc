"""What the properties of flows are called in SQL, and what has to be looked up for that."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from sqlglot import exp

from spanline.query import nodes
from spanline.query.classes import NAMES as CLASSES
from spanline.query.classes import Classes
from spanline.query.ends import SIDES, Ends
from spanline.query.flow_types import flow_type
from spanline.query.nodes import Node
from spanline.query.relations import FLOW_KEY, METRICS, NEVER_MISSING, end_of
from spanline.query.tree import Property, Query

Listed = Callable[[Query], Node]


class FlowNames:
    """filtering.Names of flows.

    What a condition asks of one end is asked of the different ends, and not of each record: a record meets it when its
    end is among those that do. Only what compares both ends needs them joined with records.

    ends    the table of ends of each side, once it is known what has to be looked up
    used    the attributes that have to be looked up, of each side
    joined  the sides of which records need the attributes themselves
    """

    def __init__(self, listed: Listed, classes: Classes, ends: Mapping[str, tuple[Ends, str]] | None = None) -> None:
        self._classes = classes
        self._ends = ends
        self.used: dict[str, dict[str, None]] = {side: {} for side in SIDES}
        self.joined: set[str] = set()
        self.listed = listed

    def columns(self, of: Property) -> Sequence[Node]:
        found: list[Node] = []
        for column in of.either or (of.column,):
            found.append(self.column(column))
            end = end_of(column)
            if end is not None and end[1] == "country":  # its code will do
                found.append(self.column(f"{end[0]}_country_code"))
        return found

    def column(self, column: str) -> Node:
        end = end_of(column)
        return nodes.column(column) if end is None else self._of_end(*end)

    def _of_end(self, side: str, attribute: str) -> Node:
        self.used[side][attribute] = None
        return nodes.column(attribute, f"{side}_ends")

    def held(self, node: Node, condition: Node) -> Node:
        table = node.table if isinstance(node, exp.Column) else ""
        return self._among(table.removesuffix("_ends"), condition) if table else condition

    def _among(self, side: str, condition: Node) -> Node:
        """Whether the end of a record is one of those that meet a condition; never NULL."""
        if self._ends is None:
            return condition
        ends, table = self._ends[side]
        key = [nodes.column(f"{side}_ip_address"), *(ends.tag(name) for name in ends.tags)]
        columns = [nodes.column("address"), *(nodes.column(f"tag_{name}") for name in ends.tags)]
        chosen = nodes.select(columns, nodes.table(table, f"{side}_ends"), where=[condition])
        this = key[0] if len(key) == 1 else exp.Tuple(expressions=key)
        return exp.In(this=this, query=exp.Subquery(this=chosen))

    def attribute(self, side: str, attribute: str) -> Node:
        """Of a flow type."""
        if attribute in CLASSES:
            condition = self._classes.condition(attribute, nodes.column(f"{side}_ip_address"))
            if condition is not None:
                return condition
        node = self._of_end(side, attribute)
        if attribute.startswith("is_"):
            return self._among(side, node)
        self.joined.add(side)
        return node

    def over(self, of: Property, condition: Node) -> Node:
        return condition

    def tag(self, value: str) -> Node:
        return flow_type(value, self.attribute)

    def is_never_missing(self, of: Property) -> bool:
        return not of.either and (of.column in NEVER_MISSING or end_of(of.column) is not None)


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
            return self._of_end(*end)
        if column not in FLOW_KEY:
            self.values[column] = nodes.call("MAX", nodes.column(column))
        return nodes.column(column)

    def _of_end(self, side: str, attribute: str) -> Node:
        name = f"{side}_{attribute}"
        self.values[name] = nodes.call("MAX", super()._of_end(side, attribute))
        self.joined.add(side)
        return nodes.column(name)

    def _among(self, side: str, condition: Node) -> Node:
        return condition

    def attribute(self, side: str, attribute: str) -> Node:
        return self._of_end(side, attribute)

    def is_never_missing(self, of: Property) -> bool:
        return False
