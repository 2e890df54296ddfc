"""Values that are known of properties: names of the inventory, countries, flow types, protocols."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import pyarrow as pa

from spanline.enrich import Enrichment, relations
from spanline.query.properties import FLOW_TYPES, PROTOCOL_NUMBERS
from spanline.query.tree import Kind, Property

_OF_FLOWS = {
    "vm": ("vms", "name"),
    "subnet": ("subnets", "name"),
    "l2_network": ("l2 networks", "name"),
    "port_group": ("port groups", "name"),
    "host": ("hosts", "name"),
    "cluster": ("hosts", "cluster"),
    "application": ("applications", "name"),
    "country": ("countries", "name"),
    "continent": ("countries", "continent"),
    "ip_address": ("subnets", "cidr"),
}
"""Where what is known of the ends of flows stands: relation and column."""


class KnownValues:
    """prompting.Values of what `enrichment` knows; it is looked at once."""

    def __init__(self, enrichment: Enrichment) -> None:
        self._enrichment = enrichment
        self._tables: Mapping[str, pa.Table] = {}

    def __call__(self, of: Property | None) -> Sequence[str]:
        """Each once, in order; nothing where anything may be."""
        if of is None:
            return self._texts(*_OF_FLOWS["vm"])
        if of.kind is Kind.TAGS:
            return FLOW_TYPES
        if of.kind is Kind.PROTOCOL:
            return [name.upper() for name in PROTOCOL_NUMBERS]
        if of.entity != "flows":
            return self._texts(of.entity, of.column)
        attribute = of.column.removeprefix("source_").removeprefix("destination_")
        return self._texts(*_OF_FLOWS[attribute]) if attribute in _OF_FLOWS else ()

    def _texts(self, relation: str, column: str) -> Sequence[str]:
        if not self._tables:
            self._tables = relations(self._enrichment)
        table = self._tables[relation]
        if column not in table.column_names or table.schema.field(column).type != pa.string():
            return ()
        return sorted({text for text in table[column].to_pylist() if text}, key=str.lower)
