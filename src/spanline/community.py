"""Community ID: the same short name for a flow in every tool; ext/community.h says how it is made."""

from __future__ import annotations

import pyarrow as pa

from spanline import _text
from spanline.arrow import numbers_of, octets_of, text


def community_ids(flows: pa.Table, seed: int = 0) -> pa.Array:
    """The IDs of all rows of a flows Table (schema.FLOW), as text.

    Raises OverflowError for a `seed` that has no place in 16 bits, ValueError for more than 71 million flows.
    """
    source, destination = octets_of(flows.column("source")), octets_of(flows.column("destination"))
    ports = numbers_of(flows.column("source_port")), numbers_of(flows.column("destination_port"))
    protocol = numbers_of(flows.column("protocol"))
    return text(*_text.community_ids(source, destination, *ports, protocol, seed))


def with_community_id(flows: pa.Table) -> pa.Table:
    """`flows` with the column community_id, before end_reason where schema.FLOW has it."""
    at = flows.schema.get_field_index("end_reason")
    return flows.add_column(at, "community_id", community_ids(flows))
