"""Flows as a relation: what their properties are in SQL, over the view "records" of what a store holds.

A record is a row of a segment; a flow is all records of the same source, destination, port and protocol.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from spanline.errors import UsageError
from spanline.query import nodes
from spanline.query.ends import SIDES
from spanline.query.hours import Inside
from spanline.query.nodes import Node
from spanline.query.spans import SECOND, Span
from spanline.query.tree import Property

FLOW_KEY = ("source_ip_address", "destination_ip_address", "port", "protocol")
"""Columns that make a flow one."""

STORED = {
    "source_ip_address": "source",
    "destination_ip_address": "destination",
    "source_port": "source_port",
    "port": "destination_port",
    "protocol": "protocol",
    "vlan": "vlan",
    "vni": "vni",
    "application_protocol": "application",
    "conn_state": "conn_state",
    "first_seen": "first_seen",
    "last_seen": "last_seen",
    "flow_begin": "flow_begin",
    "handshake_rtt": "handshake_rtt",
    "community_id": "community_id",
    **{f"{side}_{name}": f"{side}_{name}" for side in SIDES for name in ("packets", "bytes", "retransmissions")},
}
"""Columns of "records", and what they are called in schema.FLOW and in the store."""

NEVER_MISSING = frozenset((*FLOW_KEY, "source_port", "community_id", "first_seen", "last_seen"))


@dataclass(frozen=True, slots=True)
class Part:
    """What is added up of records, and then of what they were added up to.

    of        of a record, over its share of the window
    function  SUM, MIN or MAX
    """

    of: Callable[[Traffic], Node]
    function: str = "SUM"


@dataclass(frozen=True, slots=True)
class Traffic:
    """How much of each record is in a time.

    begin, end  the time as SQL
    is_bucket   it is one of several: what a record has once is in that in which it begins
    hours       what of it counts; None: all
    """

    begin: Node
    end: Node
    is_bucket: bool = False
    hours: Inside | None = None

    @property
    def is_begun(self) -> Node:
        """Whether a record begins in it."""
        first = nodes.column("first_seen")
        is_begun = nodes.every((first >= self.begin.copy(), first.copy() < self.end.copy()))
        return is_begun if self.hours is None else nodes.every((is_begun, self.hours.is_touched(first, first)))

    @property
    def is_touched(self) -> list[Node]:
        """Conditions of a record that overlaps it: that it does so where something counts."""
        if self.hours is None:
            return []
        first, last = nodes.column("first_seen"), nodes.column("last_seen")
        begin = nodes.call("GREATEST", first, self.begin.copy())
        end = nodes.call("LEAST", last, nodes.less(self.end.copy(), nodes.number(1)))
        return [self.hours.is_touched(begin, end)]

    @property
    def seconds(self) -> Node:
        return nodes.over(self._elapsed(self.begin.copy(), self.end.copy()), nodes.number(SECOND))

    def _elapsed(self, begin: Node, end: Node) -> Node:
        """What counts of the time between two moments, ns."""
        if self.hours is None:
            return nodes.less(end, begin)
        return nodes.less(self.hours.elapsed_node(end), self.hours.elapsed_node(begin))

    def spread(self, *columns: str) -> Node:
        """Columns' sum, evenly from a record's first packet to its last, and of that what is in this time."""
        first, last = nodes.column("first_seen"), nodes.column("last_seen")
        amount = nodes.plus(*(nodes.double(nodes.column(name)) for name in columns))
        if self.hours is None:
            is_inside = nodes.every((first >= self.begin.copy(), last < self.end.copy()))
        else:
            is_inside = first.eq(last)
        inside = self._elapsed(
            nodes.call("GREATEST", first.copy(), self.begin.copy()), nodes.call("LEAST", last.copy(), self.end.copy())
        )
        share = nodes.over(inside, nodes.less(last.copy(), first.copy()))
        return nodes.either(is_inside, amount, nodes.times(amount.copy(), share))

    def once(self, value: Node) -> Node:
        return nodes.either(self.is_begun, value) if self.is_bucket else value


def _both(name: str) -> tuple[str, str]:
    return f"source_{name}", f"destination_{name}"


def _has_rtt() -> Node:
    return nodes.is_known(nodes.column("handshake_rtt"))


def _session(traffic: Traffic) -> Node:
    """A record that goes on with a flow says when that began."""
    is_new = nodes.every((nodes.is_null(nodes.column("flow_begin")), traffic.is_begun))
    return nodes.double(nodes.either(is_new, nodes.number(1), nodes.number(0)))


PARTS = {
    "bytes": Part(lambda traffic: traffic.spread(*_both("bytes"))),
    "packets": Part(lambda traffic: traffic.spread(*_both("packets"))),
    "source_bytes": Part(lambda traffic: traffic.spread("source_bytes")),
    "destination_bytes": Part(lambda traffic: traffic.spread("destination_bytes")),
    "source_packets": Part(lambda traffic: traffic.spread("source_packets")),
    "destination_packets": Part(lambda traffic: traffic.spread("destination_packets")),
    "resent": Part(lambda traffic: traffic.spread(*_both("retransmissions"))),
    "sessions": Part(_session),
    "rtt_sum": Part(lambda traffic: traffic.once(nodes.double(nodes.column("handshake_rtt")))),
    "rtt_count": Part(lambda traffic: traffic.once(nodes.either(_has_rtt(), nodes.number(1), nodes.number(0)))),
    "rtt_longest": Part(lambda traffic: traffic.once(nodes.column("handshake_rtt")), "MAX"),
    "first": Part(lambda traffic: traffic.once(nodes.column("first_seen")), "MIN"),
    "last": Part(lambda traffic: traffic.once(nodes.column("last_seen")), "MAX"),
}


@dataclass(frozen=True, slots=True)
class Metric:
    """What a flow's or a group's metric is, of its parts; `is_additive`: that of a group is the sum of its flows'."""

    parts: Sequence[str]
    of: Callable[[Callable[[str], Node], Node], Node]
    is_additive: bool = True


def _plain(part: str) -> Metric:
    return Metric((part,), lambda of, seconds: of(part))


METRICS = {
    "total_traffic": _plain("bytes"),
    "bytes_rate": Metric(
        ("bytes",), lambda of, seconds: nodes.over(nodes.times(of("bytes"), nodes.number(8)), seconds)
    ),
    "packets": _plain("packets"),
    "session_count": _plain("sessions"),
    "source_bytes": _plain("source_bytes"),
    "destination_bytes": _plain("destination_bytes"),
    "source_packets": _plain("source_packets"),
    "destination_packets": _plain("destination_packets"),
    "average_tcp_rtt": Metric(
        ("rtt_sum", "rtt_count"), lambda of, seconds: nodes.over(of("rtt_sum"), of("rtt_count")), is_additive=False
    ),
    "maximum_tcp_rtt": Metric(("rtt_longest",), lambda of, seconds: nodes.double(of("rtt_longest")), is_additive=False),
    "retransmitted_packet_ratio": Metric(
        ("resent", "packets"), lambda of, seconds: nodes.over(of("resent"), of("packets")), is_additive=False
    ),
    "duration": Metric(
        ("first", "last"), lambda of, seconds: nodes.double(nodes.less(of("last"), of("first"))), is_additive=False
    ),
}
"""Metrics by the column of their property; `seconds` is the time that they are about."""


def end_of(column: str) -> tuple[str, str] | None:
    """(side, attribute) of a column that is known of an end by its address: None for what stands in the record.

    Raises UsageError for a column that is neither.
    """
    if column in STORED or column in METRICS:
        return None
    side, _, attribute = column.partition("_")
    if side not in SIDES:
        name = column.replace("_", " ").title().replace(" Id", " ID")
        raise UsageError(f"{name} is not kept of flows in a store", hint="ask for addresses, Port and Protocol")
    return side, attribute


def of_window(span: Span) -> Traffic:
    return Traffic(nodes.number(span.begin), nodes.number(span.end), hours=span.hours)


def of_bucket(span: Span, step: int) -> Traffic:
    """The traffic of a bucket, whose begin is the column "bucket": the part of it that is in the window."""
    bucket = nodes.column("bucket")
    return Traffic(
        nodes.call("GREATEST", bucket, nodes.number(span.begin)),
        nodes.call("LEAST", nodes.plus(bucket.copy(), nodes.number(step)), nodes.number(span.end)),
        is_bucket=True,
        hours=span.hours,
    )


def first_bucket(span: Span, step: int) -> Node:
    return nodes.floored(nodes.call("GREATEST", nodes.column("first_seen"), nodes.number(span.begin)), step)


def last_bucket(span: Span, step: int) -> Node:
    return nodes.floored(nodes.call("LEAST", nodes.column("last_seen"), nodes.number(span.end - 1)), step)


def overlaps(span: Span) -> list[Node]:
    """Whether a record overlaps the window."""
    return [
        nodes.column("first_seen") < nodes.number(span.end),
        nodes.column("last_seen") >= nodes.number(span.begin),
        *of_window(span).is_touched,
    ]


def properties_of(*columns: Property) -> list[str]:
    """The columns of properties, of meta properties all of them."""
    return [name for one in columns for name in (one.either or (one.column,))]
