"""Whether a field occurs. Protocols are looked up once for each distinct stack, not for each packet."""

from __future__ import annotations

import numpy as np

from spanline import fields
from spanline.batch import PROTOCOLS, Batch
from spanline.fields import Kind
from spanline.filters import tree
from spanline.filters.values import Mask, in_layers, rows_with

_QUOTE = frozenset({"icmp", "icmpv6"})


def present(reference: tree.Reference, batch: Batch, rows: Mask | None) -> Mask:
    """The rows, all or those of a mask, in which the field occurs: bool[n]."""
    field = reference.field
    if field.kind is Kind.PROTOCOL and not reference.layers and field.name in PROTOCOLS:
        return _in_stack(field, batch, rows)
    found = fields.occurrences(batch, field, rows)
    packet = found.packet
    if reference.layers:
        packet = packet[in_layers(packet, found.layer, reference.layers)]
    return rows_with(packet, len(batch))


def _in_stack(field: fields.Field, batch: Batch, rows: Mask | None) -> Mask:
    path = batch.packets["path"]
    distinct = np.flatnonzero(np.bincount(path))
    stacks = [batch.paths[int(number)] for number in distinct]
    known = np.zeros(int(distinct[-1]) + 1 if len(distinct) else 1, np.bool_)
    known[distinct] = [field.name in stack for stack in stacks]
    found: Mask = known[path]
    if rows is not None:
        found &= rows
    # Headers that ICMP quotes are in no stack.
    quoting = np.zeros_like(known)
    quoting[distinct] = [bool(_QUOTE.intersection(stack)) and field.name not in stack for stack in stacks]
    if quoting.any():
        more = quoting[path] if rows is None else quoting[path] & rows
        if more.any():
            found[fields.occurrences(batch, field, more).packet] = True
    return found
