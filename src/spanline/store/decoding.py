"""Whether what is in segments can be read, by the engine of queries.

A checksum tells that a file is as it was written, and a footer what it says of itself. What a foreign hand has written
may be right in both, and its pages rubbish, or gigabytes of nothing packed into a few bytes.
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import pyarrow as pa

from spanline.relay import cores
from spanline.store.layout import SCHEMA

MEMORY = 512 << 20
"""Bytes that reading may take; some row groups of a segment take a tenth."""

# A dictionary may have each of them a million times.
_LONGEST = 1000
_LABELS = ", ".join(f"max(strlen({field.name}))" for field in SCHEMA if field.type == pa.string())
_ALL = f"SELECT greatest({_LABELS}), bit_xor(hash(COLUMNS(*))) FROM read_parquet(?)"


def undecodable(paths: Iterable[Path]) -> dict[Path, str]:
    """Of the files whose columns cannot all be read, why not; each is read as a whole, in bounded memory."""
    import duckdb

    left, found = list(dict.fromkeys(paths)), dict[Path, str]()
    while left:
        with duckdb.connect(":memory:") as engine:
            allowed = [str(path) for path in left]
            for name, value in {
                "memory_limit": f"{MEMORY}B",
                "max_temp_directory_size": "0B",
                "threads": cores(),
                "allowed_paths": allowed,
                "enable_external_access": False,
                "lock_configuration": True,
            }.items():
                engine.execute(f"SET {name} = ?", [value])
            while left:
                path = left.pop()
                try:
                    ((longest, *_),) = engine.execute(_ALL, [str(path)]).fetchall()
                except duckdb.Error as error:
                    found[path] = str(error).splitlines()[0].partition(": ")[2]
                    break  # of some errors an engine does not recover
                if longest is not None and longest > _LONGEST:
                    found[path] = f"a label of {longest:,} bytes"
    return found
