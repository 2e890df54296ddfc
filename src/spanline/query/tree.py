"""What a query says, as a tree: typed, and checked against the properties that there are.

The language is that of VMware Aria Operations for Networks' search (docs/language.md).
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import tzinfo
from enum import StrEnum
from typing import TypeAlias

from spanline.errors import TextError


class Kind(StrEnum):
    """What a property's values are, in the unit in which they are compared."""

    TEXT = "text"
    NUMBER = "number"
    ADDRESS = "address"
    """Equal to each address in a network that is named."""
    MAC = "mac"
    """In a tree as text, 00:1a:2b:3c:4d:5e."""
    PROTOCOL = "protocol"
    """An IP protocol by its number; it is shown by its name."""
    BYTES = "bytes"
    MEMORY = "bytes of memory"
    """Bytes too, but its KB, MB and GB are 1024 times one another."""
    RATE = "bits per second"
    PACKETS = "packets"
    DURATION = "ns"
    RATIO = "ratio"
    """0 to 1; "70%" is 0.7."""
    TIME = "time"
    TAGS = "tags"
    """A set of texts: `=` means that one of them is it, `!=` that none is."""


@dataclass(frozen=True, slots=True)
class Property:
    """Something that can be asked of each of `entity`.

    name       as it is shown: "Source Country"
    column     in the relation of the entity that the engine makes (query/relations.py)
    is_metric  it can be summed; it stands in order and in aggregates
    either     columns of which any may have the value, as `VM` on a flow means source or destination
    is_held    False: Aria knows it, and spanline has no record of it; such a query is read, and not answered
    largest    of whole numbers that end somewhere: the last one; None: the kind has what there is to say
    """

    entity: str
    name: str
    kind: Kind
    column: str
    is_metric: bool = False
    either: tuple[str, ...] = ()
    description: str = ""
    is_held: bool = True
    largest: int | None = None


@dataclass(frozen=True, slots=True)
class Network:
    """Addresses from first to last, 16 bytes each, IPv4 mapped."""

    first: bytes
    last: bytes


Value: TypeAlias = str | int | float | Network
"""Of the property's kind: text, a number in its unit, or addresses."""


@dataclass(frozen=True, slots=True)
class Test:
    """operator  "=", "!=", "<", "<=", ">", ">=", "in", "not in", "like", "not like", "contains", "not contains",
    "matches", "not matches", "is set", "is not set", "between" (two values, both included)

    values    one, or several of "in"; none where there is `query`, whose only column is the list
    """

    property: Property
    operator: str
    values: tuple[Value, ...] = ()
    query: Query | None = None


@dataclass(frozen=True, slots=True)
class Not:
    of: Condition


@dataclass(frozen=True, slots=True)
class And:
    parts: tuple[Condition, ...]


@dataclass(frozen=True, slots=True)
class Or:
    parts: tuple[Condition, ...]


Condition: TypeAlias = Test | Not | And | Or


@dataclass(frozen=True, slots=True)
class Aggregate:
    """function  "sum", "avg", "min", "max" or "count"."""

    function: str
    property: Property


@dataclass(frozen=True, slots=True)
class Series:
    """An aggregate over time, in buckets of `seconds`; None: as the window has it."""

    of: Aggregate
    seconds: int | None = None


@dataclass(frozen=True, slots=True)
class OfSeries:
    """One number of a series: its sum, avg, min or max."""

    function: str
    series: Series


@dataclass(frozen=True, slots=True)
class Count:
    """How many there are."""


@dataclass(frozen=True, slots=True)
class Listed:
    """The different values of a property."""

    property: Property


Projection: TypeAlias = Count | Listed | Aggregate | Series | OfSeries | Property


@dataclass(frozen=True, slots=True)
class OrderKey:
    by: Aggregate | Series | Property
    is_descending: bool = True


@dataclass(frozen=True, slots=True)
class Hours:
    """Hours of each day: `length` ns from `begin` ns on, as the clocks of `zone` show them."""

    begin: int
    length: int
    zone: tzinfo


@dataclass(frozen=True, slots=True)
class Window:
    """From `begin` to `end`, ns since the epoch, UTC, without the end; or the last `last` ns, until `ago` ns ago.

    Without `begin` and `last` it begins with the store. What overlaps it is in it. `is_default` when the query says
    nothing of time: then it is the last 24 hours. Of all that, only what is in `hours`, where there are some.
    """

    begin: int | None = None
    end: int | None = None
    last: int | None = None
    ago: int = 0
    is_default: bool = False
    hours: Hours | None = None


@dataclass(frozen=True, slots=True)
class Query:
    """entity  "flows", "vms", "hosts", "subnets", "l2 networks", "port groups", "applications", "switch ports",
    "countries", or one that spanline has no record of

    text        as it was read, cleaned
    unanswered  what to raise instead of an answer: it asks for something that spanline has no record of
    """

    text: str
    entity: str
    projections: tuple[Projection, ...] = ()
    top: int | None = None
    where: Condition | None = None
    group: tuple[Property, ...] = ()
    order: tuple[OrderKey, ...] = ()
    limit: int | None = None
    window: Window = Window(last=24 * 3600 * 10**9, is_default=True)
    unanswered: TextError | None = field(default=None, compare=False)
