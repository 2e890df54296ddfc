"""Which records go on with a flow that an active timeout cut, and when that flow began."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from spanline.arrow import column, numbers_of, octets_of, plain
from spanline.store.layout import FLOW_BEGIN

_KEY = ("source", "destination", "source_port", "destination_port", "protocol", "vlan", "vni")
_MIX = np.uint64(0x9E3779B97F4A7C15)  # 2^64 divided by the golden ratio, as Fibonacci hashing has it


class Continued:
    """Follows flows from one record to the next; feed it all records of one analysis, in the order in which it ends
    them. It remembers the flows that have been cut and live on, so it needs the less memory of what live flows take."""

    def __init__(self) -> None:
        self._begins: dict[bytes, int] = {}
        """By key, first_seen of the first record."""

    def add_begin(self, flows: pa.Table) -> pa.Table:
        """`flows` (schema.FLOW) with the column flow_begin, in the place of one that they may have."""
        if FLOW_BEGIN.name in flows.column_names:
            return flows
        found = self._found(flows)
        begins, known = np.zeros(len(flows), np.int64), np.zeros(len(flows), np.bool_)
        for row, begin in found.items():
            begins[row], known[row] = begin, True
        made = pa.nulls(len(flows), pa.int64()) if not found else column(begins, ~known)
        return flows.append_column(FLOW_BEGIN.name, made.view(pa.timestamp("ns", "UTC")))

    def _found(self, flows: pa.Table) -> dict[int, int]:
        """By row, when the flow began that it goes on with."""
        is_cut = _is_cut(flows)
        if not self._begins and not is_cut.any():
            return {}
        keys = _keys(flows)
        hashes = _hashes(keys)
        of_cut = [hashes[is_cut], _hashes(np.frombuffer(b"".join(self._begins), np.uint8).reshape(-1, keys.shape[1]))]
        rows = np.flatnonzero(np.isin(hashes, np.concatenate(of_cut)))
        first_seen = numbers_of(plain(flows.select(["first_seen"])).column(0))
        found = {}
        for row in rows[np.argsort(first_seen[rows], kind="stable")].tolist():
            key = keys[row].tobytes()
            begin = self._begins.pop(key, None)
            if begin is not None:
                found[row] = begin
            if is_cut[row]:
                self._begins[key] = int(first_seen[row]) if begin is None else begin
        return found


def _is_cut(flows: pa.Table) -> npt.NDArray[np.bool_]:
    """Where end_reason is "active"."""
    parts = [np.zeros(0, np.bool_)]
    for chunk in flows.column("end_reason").chunks:
        encoded = chunk if pa.types.is_dictionary(chunk.type) else chunk.dictionary_encode()
        names = encoded.dictionary.to_pylist()
        number = names.index("active") if "active" in names else -1
        parts.append(numbers_of(pa.chunked_array([encoded.indices])) == number)
    return np.concatenate(parts)


def _keys(flows: pa.Table) -> npt.NDArray[np.uint8]:
    """The key columns of each row, one after the other; a multiple of 8 bytes. A null is told from a 0."""
    parts: list[npt.NDArray[Any]] = []
    for name in _KEY:
        values = flows.column(name)
        if pa.types.is_fixed_size_binary(values.type):
            parts.append(octets_of(values))
        else:
            numbers = values.cast(pa.int64()).fill_null(-1) if values.null_count else values.cast(pa.int64())
            parts.append(numbers_of(numbers).reshape(-1, 1).view(np.uint8))
    return np.concatenate(parts, axis=1)


def _hashes(keys: npt.NDArray[np.uint8]) -> npt.NDArray[np.uint64]:
    """Of rows of a multiple of 8 bytes: equal for equal ones, and seldom else."""
    words = np.ascontiguousarray(keys).view(np.uint64)
    made = np.zeros(len(words), np.uint64)
    for n in range(words.shape[1]):
        made = (made ^ words[:, n]) * _MIX
        made ^= made >> np.uint64(29)
    return made
