"""Records that a query is about, and what is known of their ends.

Records are grouped by what stands in them, and only then is looked up what their ends are: of millions of records few
addresses are left. Where a condition asks for what is known of ends, the different addresses are looked up first, and
records joined with them.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

from sqlglot import exp

from spanline.enrich import Enrichment
from spanline.query import nodes
from spanline.query.classes import Classes
from spanline.query.ends import NUMBER, SIDES, Ends, known
from spanline.query.filtering import condition_of, conjuncts, tests_of
from spanline.query.flow_names import FlowNames, WholeFlows
from spanline.query.flow_types import attributes
from spanline.query.measures import of_records
from spanline.query.nodes import Node
from spanline.query.relations import FLOW_KEY, METRICS, end_of, first_bucket, last_bucket, of_window, overlaps
from spanline.query.spans import Span
from spanline.query.steps import Gather, LookUp, Make, Plan, Read
from spanline.query.tree import Kind, Property, Query

_FEW = 1 << 14
"""VMs that are looked up together, whoever of them is needed."""


@dataclass
class Setting:
    """What queries are planned with.

    span_of  the window of a query
    taken    how many tables there are
    listed   plans a query that is the list of an `in`: a SELECT of its column
    """

    enrichment: Enrichment
    span_of: Callable[[Query], Span]
    plan: Plan
    taken: int = 0
    listed: Callable[[Query], Node] = field(init=False)

    def table(self, what: str) -> str:
        """A name that no table has."""
        self.taken += 1
        return f"{what}_{self.taken}"


@dataclass
class Grouping:
    """What flows are grouped by.

    columns  of properties, of meta properties both, of Flow Type none
    shown    attributes of ends that these are, of each side
    """

    group: Sequence[Property]
    columns: list[str] = field(default_factory=list)
    shown: dict[str, list[str]] = field(default_factory=lambda: {side: [] for side in SIDES})

    def __post_init__(self) -> None:
        for one in self.group:
            if one.kind is Kind.TAGS:
                for shown in self.shown.values():
                    shown += attributes()
                continue
            for column in one.either or (one.column,):
                self.columns.append(column)
                end = end_of(column)
                if end is not None:
                    self.shown[end[0]].append(end[1])


class Records:
    """The records that a query is about: their conditions in SQL, and what is known of their ends.

    What only few addresses have, those of the inventory, is looked up once for all that the query asks of it.
    """

    def __init__(self, query: Query, setting: Setting, shown: Mapping[str, Sequence[str]]) -> None:
        """`shown` is what is asked of the ends of each side beside conditions."""
        self.setting = setting
        self.span = setting.span_of(query)
        self.view = setting.table("records")
        setting.plan.steps.append(Read(self.view, self.span))
        parts = conjuncts(query.where)
        of_metrics = [part for part in parts if any(test.property.is_metric for test in tests_of(part))]
        classes = Classes(setting.enrichment)
        whole = WholeFlows(
            self._listed, classes, lambda column: METRICS[column].of(nodes.column, nodes.number(self.span.seconds))
        )
        having = [condition_of(part, whole) for part in of_metrics]
        wanted = FlowNames(self._listed, classes)
        for test in tests_of(query.where):
            if test.property.kind is Kind.TAGS:
                for value in test.values:
                    wanted.tag(str(value))
            elif not test.property.is_metric:
                wanted.columns(test.property)
        used = {side: whole.used[side] | wanted.used[side] for side in SIDES}
        ends = {side: Ends(side, tuple(used[side]), setting.enrichment) for side in SIDES if used[side]}
        self.shown = {side: Ends(side, tuple(dict.fromkeys(shown[side])), setting.enrichment) for side in SIDES}
        of_known = [one for one in (*ends.values(), *self.shown.values()) if one.is_of_known]
        self._of_known = tuple(dict.fromkeys(name for one in of_known for name in one.attributes))
        self._known = ""
        tables = {
            side: (one, self._known_ends() if one.is_of_known else setting.table(one.table))
            for side, one in ends.items()
        }
        self.where = overlaps(self.span)
        self.joins: list[Node] = []
        late: list[tuple[set[str], Node]] = []
        for part in parts:
            if part not in of_metrics:
                names = FlowNames(self._listed, classes, tables)
                node = condition_of(part, names)
                late.append((names.joined or {side for side in SIDES if names.used[side]}, node))
        # Of which ends something has to be looked up, the conditions say that need nothing more than is there by then.
        there = {side for side, (one, _) in tables.items() if one.is_of_known}.difference(wanted.joined)
        for one, table in tables.values():
            self.where += [node for needed, node in late if needed <= there]
            late = [(needed, node) for needed, node in late if not needed <= there]
            if not one.is_of_known:
                keys = nodes.select(self.keys(one), self.view, where=self.where, distinct=True)
                setting.plan.steps.append(LookUp(table, one, keys))
            if one.side in wanted.joined | whole.joined:
                tags = {name: one.tag(name) for name in one.tags}
                self.joins.append(ends_join(table, one, tags))
            else:
                there.add(one.side)
        self.where += [node for _, node in late]
        self.is_chosen = bool(parts)
        self._tables: dict[str, str] = {}
        self._is_numbered = False
        self._tags = {f"{side}_{name}": ends.tag(name) for side, ends in self.shown.items() for name in ends.tags}
        if having:
            tests = [test for part in of_metrics for test in tests_of(part) if test.property.is_metric]
            columns = dict.fromkeys(part for test in tests for part in METRICS[test.property.column].parts)
            self._keep(having, list(columns), whole)

    def _listed(self, query: Query) -> Node:
        return self.setting.listed(query)

    def _known_ends(self) -> str:
        """The table of the addresses of which the inventory says anything by themselves."""
        if not self._known:
            self._known = self.setting.table("known_ends")
            enrichment = self.setting.enrichment
            ends = Ends("known", self._of_known, enrichment)
            self.setting.plan.steps.append(LookUp(self._known, ends, known(enrichment)))
        return self._known

    def gather(self, columns: Sequence[Node]) -> None:
        """Finds the records that meet the conditions once, with `columns`, for those who read them several times."""
        table = self.setting.table("gathered")
        self.setting.plan.steps.append(Gather(table, self.read(columns, 0)))
        self.view, self.where, self.joins = table, [], []
        if self._is_numbered:
            self._tags = {name: nodes.column(name) for name in self._tags}

    def keys(self, ends: Ends) -> list[Node]:
        """What ends are looked up by, of records."""
        tags = [nodes.named(ends.tag(name), f"tag_{name}") for name in ends.tags]
        return [nodes.named(nodes.column(f"{ends.side}_ip_address"), "address"), *tags]

    @property
    def is_shown_known(self) -> bool:
        """Whether later() needs no table."""
        return all(not one.attributes or self._is_at_hand(one) for one in self.shown.values())

    def _is_at_hand(self, ends: Ends) -> bool:
        """Of an inventory of many VMs, a query may be about few."""
        few = bool(self._known) or len(self.setting.enrichment.inventory.section("vms")) <= _FEW
        return ends.is_of_known and few

    def later(self, table: str) -> list[Node]:
        """Joins a table that was made of records with what is shown of their ends."""
        if self._is_numbered:
            return [
                nodes.join(self._known_ends(), [_same_number(side, table)], name=f"{side}_ends", side="LEFT")
                for side in SIDES
            ]
        joins = []
        for side, ends in self.shown.items():
            if not ends.attributes:
                continue
            if self._is_at_hand(ends):
                joins.append(ends_join(self._known_ends(), ends, {}, table))
                continue
            if side not in self._tables:
                address = nodes.named(nodes.column(f"{side}_ip_address"), "address")
                tags = [nodes.named(nodes.column(f"{side}_{tag}"), f"tag_{tag}") for tag in ends.tags]
                keys = nodes.select([address, *tags], table, distinct=True)
                self._tables[side] = self.setting.table(ends.table)
                self.setting.plan.steps.append(LookUp(self._tables[side], ends, keys))
            tags_of = {name: nodes.column(f"{side}_{name}", table) for name in ends.tags}
            joins.append(ends_join(self._tables[side], ends, tags_of, table))
        return joins

    def numbered(self) -> bool:
        """Joins records with the numbers of their ends, which tags() keeps, and no addresses need to be; False: there
        are more ends than an inventory has, of which those that are left after grouping are fewer."""
        self._is_numbered = all(one.is_of_known for one in self.shown.values())
        if self._is_numbered:
            for side in SIDES:
                name = f"{side}_known"
                same = exp.EQ(this=nodes.column(f"{side}_ip_address"), expression=nodes.column("address", name))
                self.joins.append(nodes.join(self._known_ends(), [same], name=name, side="LEFT"))
                self._tags[f"{side}_{NUMBER}"] = nodes.column(NUMBER, name)
        return self._is_numbered

    def tags(self) -> dict[str, Node]:
        """What has to be kept of records beside addresses to look up what is shown, by its column."""
        return self._tags

    def read(self, columns: Sequence[Node], group: int, *, where: Sequence[Node] = ()) -> exp.Select:
        return nodes.select(columns, self.view, where=[*self.where, *where], joins=self.joins, group=group)

    def in_buckets(self, columns: Sequence[Node], step: int) -> exp.Select:
        """Records once for each bucket that they overlap, with the begin of it as "bucket"."""
        first, last = first_bucket(self.span, step), last_bucket(self.span, step)
        times = nodes.call("RANGE", first, nodes.plus(last, nodes.number(1)), nodes.number(step))
        return self.read([*columns, nodes.named(exp.Explode(this=times), "bucket")], 0)

    def _keep(self, having: Sequence[Node], parts: Sequence[str], whole: WholeFlows) -> None:
        """Leaves only the records of flows that meet conditions as a whole."""
        key = [nodes.column(name) for name in FLOW_KEY]
        values = [nodes.named(node, name) for name, node in whole.values.items()]
        flows = self.read([*key, *of_records(parts, of_window(self.span)), *values], len(key))
        table = self.setting.table("kept")
        chosen = nodes.select(key, nodes.within_brackets(flows, "flows"), where=having)
        self.setting.plan.steps.append(Make(table, chosen))
        on = [exp.EQ(this=nodes.column(name, self.view), expression=nodes.column(name, table)) for name in FLOW_KEY]
        self.joins.append(nodes.join(table, on, kind="SEMI"))


def _same_number(side: str, table: str) -> Node:
    return exp.EQ(this=nodes.column(f"{side}_{NUMBER}", table), expression=nodes.column(NUMBER, f"{side}_ends"))


def ends_join(table: str, ends: Ends, tags: dict[str, Node], of: str = "") -> Node:
    """A table of ends as "<side>_ends", joined with what has its address and tags."""
    name = f"{ends.side}_ends"
    on: list[Node] = [
        exp.EQ(this=nodes.column(f"{ends.side}_ip_address", of or None), expression=nodes.column("address", name))
    ]
    on += [exp.EQ(this=node, expression=nodes.column(f"tag_{tag}", name)) for tag, node in tags.items()]
    return nodes.join(table, on, name=name, side="LEFT" if ends.is_of_known else "")
