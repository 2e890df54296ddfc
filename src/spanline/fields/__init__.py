"""Display-filter fields as values: what tshark calls ip.src, for whole batches.

    find("tcp.port")                        the Field, or None
    occurrences(batch, find("tcp.port"))    row numbers and values of all its occurrences

A module of this package with FIELDS, a tuple of Fields, is found by itself.
"""

from __future__ import annotations

import pkgutil
from collections.abc import Iterable
from functools import cache
from importlib import import_module
from typing import TYPE_CHECKING

from spanline.fields.model import Field, Kind, Occurrences, Octets, Rows

if TYPE_CHECKING:
    from spanline.batch import Batch

__all__ = ["Field", "Kind", "Occurrences", "Octets", "every", "find", "names", "occurrences"]

_ALIASES = {"ssl": "tls", "bootp": "dhcp"}


@cache
def _registry() -> dict[str, Field]:
    modules = [import_module(f"{__name__}.{module.name}") for module in pkgutil.iter_modules(__path__)]
    fields = {field.name: field for module in modules for field in getattr(module, "FIELDS", ())}
    return fields


def find(name: str) -> Field | None:
    """The field of this name, or of the name that an old one has become (ssl: tls)."""
    return _registry().get(_ALIASES.get(name, name))


def names() -> list[str]:
    """The names of all fields, protocols among them, in order."""
    return sorted(_registry())


def every() -> Iterable[Field]:
    """All fields, in the order in which they stand in headers."""
    return _registry().values()


def occurrences(batch: Batch, field: Field, rows: Rows | None = None) -> Occurrences:
    """All occurrences of `field` in `batch`, or only those in the rows of a mask, bool[n]."""
    return field.extract(batch, rows)
