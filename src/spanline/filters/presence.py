"""Whether a field occurs. Protocols are looked up once for each distinct stack, not for each packet."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from spanline import fields
from spanline.batch import Batch, Stacks
from spanline.fields import Kind
from spanline.fields.headers import VERSIONS
from spanline.filters import tree
from spanline.filters.values import Mask, in_layers, rows_with

_QUOTING = ("icmp", "icmpv6")


def present(reference: tree.Reference, batch: Batch, rows: Mask | None) -> Mask:
    """The rows, all or those of a mask, in which the field occurs: bool[n]."""
    field = reference.field
    if field.kind is Kind.PROTOCOL and not reference.layers:
        return _in_stack(field, batch, rows)
    found = fields.occurrences(batch, field, rows)
    packet = found.packet
    if reference.layers:
        packet = packet[in_layers(packet, found.layer, reference.layers)]
    return rows_with(packet, len(batch))


def _in_stack(field: fields.Field, batch: Batch, rows: Mask | None) -> Mask:
    if field.name == "frame":
        return np.ones(len(batch), np.bool_) if rows is None else rows.copy()
    path, application = batch.packets["path"], batch.packets["application"]
    names = field.name, VERSIONS.get(field.name, field.name)
    found = _has(batch.paths, path, names) | _has(batch.applications, application, names)
    # Headers that ICMP quotes are in no stack.
    quoting = ~found & _has(batch.paths, path, _QUOTING)
    if rows is not None:
        found &= rows
        quoting &= rows
    if quoting.any():
        found[fields.occurrences(batch, field, quoting).packet] = True
    return found


def _has(stacks: Stacks, numbers: npt.NDArray[np.integer[Any]], names: tuple[str, ...]) -> Mask:
    """Whether the stack of each of `numbers` has one of `names`."""
    distinct = np.flatnonzero(np.bincount(numbers))
    known = np.zeros(int(distinct[-1]) + 1 if len(distinct) else 1, np.bool_)
    known[distinct] = [not set(names).isdisjoint(stacks[int(number)]) for number in distinct]
    found: Mask = known[numbers]
    return found
