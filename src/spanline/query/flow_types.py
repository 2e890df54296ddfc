"""Flow types: what holds of a flow by its ends. It is a set of tags; each is a condition here. classes.py says who is
internal, and who is in the internet."""

from __future__ import annotations

from collections.abc import Callable

from sqlglot import exp

from spanline.query import nodes
from spanline.query.ends import IS_VM_OR_BROADCAST, SIDES
from spanline.query.nodes import Node

Attribute = Callable[[str, str], Node]
"""An attribute of an end: of which side, by its name in ends.ATTRIBUTES."""


def flow_type(name: str, of: Attribute) -> Node:
    """Whether a flow has the tag `name`, one of properties.FLOW_TYPES; NULL is as good as FALSE."""
    return _TAGS[name](of)


def flow_types(of: Attribute) -> Node:
    """All tags of a flow, of which there is one at least, in order of their names."""
    tags = [nodes.either(tag(of), nodes.text(name), exp.null()) for name, tag in _TAGS.items()]
    return nodes.call("LIST_SORT", nodes.call("LIST_DISTINCT", exp.Array(expressions=tags)))


def attributes() -> tuple[str, ...]:
    """What all of them ask of an end."""
    asked: dict[str, None] = {}

    def ask(side: str, attribute: str) -> Node:
        asked[attribute] = None
        return nodes.column(attribute)

    flow_types(ask)
    return tuple(asked)


def _of(side: str, attribute: str) -> Callable[[Attribute], Node]:
    return lambda of: of(side, attribute)


def _any(attribute: str) -> Callable[[Attribute], Node]:
    return lambda of: nodes.some(of(side, attribute) for side in SIDES)


def _both(attribute: str) -> Callable[[Attribute], Node]:
    return lambda of: nodes.every(of(side, attribute) for side in SIDES)


def _is_physical(of: Attribute, side: str) -> Node:
    return nodes.every((of(side, "is_internal"), nodes.is_not(of(side, IS_VM_OR_BROADCAST))))


def _physical(side: str) -> Callable[[Attribute], Node]:
    return lambda of: _is_physical(of, side)


def _east_west(of: Attribute) -> Node:
    return nodes.every((*(of(side, "is_internal") for side in SIDES), _unicast(of)))


def _unicast(of: Attribute) -> Node:
    return nodes.every(nodes.is_not(of("destination", attribute)) for attribute in ("is_multicast", "is_broadcast"))


def _vm_physical(of: Attribute) -> Node:
    return nodes.some(nodes.every((of(one, "is_vm"), _is_physical(of, other))) for one, other in (SIDES, SIDES[::-1]))


def _same(of: Attribute, attribute: str) -> tuple[Node, Node]:
    """(both are the same, both are known and different)."""
    source, destination = (of(side, attribute) for side in SIDES)
    same = exp.Coalesce(this=exp.EQ(this=source, expression=destination), expressions=[exp.false()])
    other = exp.NEQ(this=source.copy(), expression=destination.copy())
    return same, exp.Coalesce(this=other, expressions=[exp.false()])


def _within_l2(of: Attribute, *, is_same: bool) -> Node:
    """By L2 networks; where one is not known, by subnets."""
    layer2, subnets = (_same(of, attribute)[not is_same] for attribute in ("l2_network", "subnet"))
    is_unknown = nodes.some(nodes.is_null(of(side, "l2_network")) for side in SIDES)
    return nodes.some((layer2, nodes.every((is_unknown, subnets))))


_TAGS: dict[str, Callable[[Attribute], Node]] = {
    "Source is Internet": _of("source", "is_internet"),
    "Destination is Internet": _of("destination", "is_internet"),
    "Internet": _any("is_internet"),
    "East-West": _east_west,
    "Source is VM": _of("source", "is_vm"),
    "Destination is VM": _of("destination", "is_vm"),
    "Source is Physical": _physical("source"),
    "Destination is Physical": _physical("destination"),
    "VM-VM": _both("is_vm"),
    "VM-Physical": _vm_physical,
    "Physical-Physical": lambda of: nodes.every(_is_physical(of, side) for side in SIDES),
    "Same Host": lambda of: _same(of, "host")[0],
    "Diff Host": lambda of: _same(of, "host")[1],
    "Switched": lambda of: _within_l2(of, is_same=True),
    "Routed": lambda of: _within_l2(of, is_same=False),
    "Unicast": _unicast,
    "Multicast": _of("destination", "is_multicast"),
    "Broadcast": _of("destination", "is_broadcast"),
    "Link Local": _any("is_link_local"),
}
