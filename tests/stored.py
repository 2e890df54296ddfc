"""Stores of made flows, for tests."""

from __future__ import annotations

import functools
from pathlib import Path

import pyarrow as pa
from store_flows import BEGIN, HOUR, Company, flows

from spanline.arrow import arrow_schema
from spanline.store import Store
from spanline.store.layout import STORED_FLOW


@functools.cache
def some_flows(count: int = 1000, hour: int = 0, seed: int = 0) -> pa.Table:
    """Flows that begin in an hour of BEGIN's day."""
    return flows(_company(), seed, BEGIN + hour * HOUR, count)


@functools.cache
def _company() -> Company:
    return Company(1)


def a_store(folder: Path, *hours: int, count: int = 1000) -> Store:
    """With a segment for each of `hours`."""
    store = Store(folder, create=True)
    for n, hour in enumerate(hours):
        store.append(some_flows(count, hour, n))
    return store


def in_order(stored: pa.Table) -> pa.Table:
    """In an order of its own, to be compared; without what is only in stores."""
    names = [one.name for one in STORED_FLOW if one.name != "flow_begin"]
    keys = ("first_seen", "source", "source_port", "source_bytes")
    return plain(stored.select(names)).sort_by([(key, "ascending") for key in keys]).combine_chunks()


def plain(stored: pa.Table) -> pa.Table:
    """With labels as texts, which are equal whatever their dictionaries are, and without what columns are about."""
    for n, field in enumerate(stored.schema):
        if pa.types.is_dictionary(field.type):
            stored = stored.set_column(n, field.name, stored.column(n).cast(pa.string()))
    return stored.replace_schema_metadata().cast(pa.schema([field.remove_metadata() for field in stored.schema]))


def empty() -> pa.Table:
    return arrow_schema(STORED_FLOW).empty_table()
