"""How flows stand in a segment: the columns of schema.FLOW, but for those that others tell better.

What is as in schema.FLOW, and what is not:

- Times and durations are plain int64, in ns (since the epoch, UTC). Rows are in order of first_seen.
- Addresses are UUIDs, 16 bytes in network order, IPv4 mapped: engines compare and group these as numbers of 128 bits,
  in the order of the addresses, so that a network is a BETWEEN.
- Labels are texts.
- community_id and handshake_rtt are not there: the one is computed of the addresses, ports and the protocol, the other
  is the sum of syn_synack_rtt and synack_ack_rtt, where that has a place in 64 bits.
- PREDICTED columns are there as what they differ by from a prediction, named …_difference: mostly zeros, which take no
  room. EXPRESSIONS says in SQL what they are.
- flow_begin is new. Of a flow that an active timeout cut, the records after the first have here when the first began
  (first_seen of that one); null in the first record and of all other flows. Records of one flow have the same
  addresses, ports, protocol, VLAN, VNI and coalesce(flow_begin, first_seen). A flow begins in a record where flow_begin
  is null: counting those counts flows once.

Nulls are where schema.FLOW has them.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from spanline.arrow import arrow_schema, column
from spanline.schema import FLOW, Column

VERSION = 1
"""Of the layout and of the store. A reader refuses stores of a later one."""

FLOW_BEGIN = Column(
    "flow_begin", "", "time", "Flow began", "ns", "first packet of the flow, in records that continue it; else null"
)
STORED_FLOW = (*(one for one in FLOW if one.name != "community_id"), FLOW_BEGIN)
"""What decoded() gives."""

# The least header of a TCP segment in an Ethernet frame, by which most bytes that are no payload are explained.
_HEADER_BYTES = 54
# Two times of centuries have no sum in 64 bits; only a false clock makes them.
_LATEST = np.iinfo(np.int64).max
_NOT_STORED = ("handshake_rtt", "community_id")
_SIDES = ("source", "destination")

Ints = npt.NDArray[np.int64]


class Values(NamedTuple):
    """A column of numbers, as int64 modulo 2^64, with 0 for null; where it is not null, or None when it never is."""

    numbers: Ints
    known: npt.NDArray[np.bool_] | None


class Prediction(NamedTuple):
    """The sum of columns, where null counts as 0, less the least headers of so many packets as a column says.

    is_later  the column is at most its prediction, which is what the difference is less by
    """

    sum_of: tuple[str, ...]
    headers_of: str = ""
    is_later: bool = False


def _predictions() -> dict[str, Prediction]:
    made = {"initial_rtt": Prediction(("syn_synack_rtt", "synack_ack_rtt"))}
    for side in _SIDES:
        answer = ("syn_synack_rtt",) if side == "destination" else ()
        made |= {
            f"{side}_first_seen": Prediction(("first_seen", *answer)),
            f"{side}_last_seen": Prediction(("last_seen",), is_later=True),
            f"{side}_payload_bytes": Prediction((f"{side}_bytes",), headers_of=f"{side}_packets"),
            f"{side}_ack_packets": Prediction((f"{side}_packets",)),
            f"{side}_ttl_max": Prediction((f"{side}_ttl_min",)),
        }
    return made


PREDICTED: Mapping[str, Prediction] = _predictions()
"""What columns are stored as differences, and from what."""


def _expression(name: str) -> str:
    if name == "handshake_rtt":
        return f"CASE WHEN syn_synack_rtt <= {_LATEST} - synack_ack_rtt THEN syn_synack_rtt + synack_ack_rtt END"
    if name not in PREDICTED:
        return name
    prediction = PREDICTED[name]
    # Some of the numbers are unsigned, and the difference may be below 0.
    made = " + ".join(f"coalesce({one}, 0)::BIGINT" for one in prediction.sum_of)
    if prediction.headers_of:
        made += f" - {_HEADER_BYTES} * {prediction.headers_of}::BIGINT"
    return f"{made} {'-' if prediction.is_later else '+'} {name}_difference"


EXPRESSIONS: Mapping[str, str] = {one.name: _expression(one.name) for one in FLOW if one.name != "community_id"}
"""What each column of schema.FLOW is, in SQL over the stored ones: times and durations as BIGINT in ns, addresses as
UUID."""


def _stored_type(one: Column) -> pa.DataType:
    kinds = {"address": pa.uuid(), "time": pa.int64(), "duration": pa.int64(), "label": pa.string()}
    return kinds.get(one.arrow) or pa.type_for_alias(one.arrow)


def _stored_fields() -> list[pa.Field]:
    fields = []
    for one in STORED_FLOW:
        if one.name in PREDICTED:
            fields.append(pa.field(f"{one.name}_difference", pa.int64()))
        elif one.name not in _NOT_STORED:
            fields.append(pa.field(one.name, _stored_type(one)))
    return fields


SCHEMA = pa.schema(_stored_fields())
"""Of the segments."""

# Chosen by measurement: what a dictionary does not shorten is split into its bytes, of which the high ones are alike.
# Sorted times are better told by their differences.
_SPLIT = (
    *("last_seen", "source_port", "syn_synack_rtt", "synack_ack_rtt"),
    *(f"{side}_{name}" for side in _SIDES for name in ("packets", "bytes", "psh_packets", "retransmissions")),
    *(f"{side}_{name}_difference" for side in _SIDES for name in ("first_seen", "last_seen")),
)
ENCODINGS: Mapping[str, str] = {"first_seen": "DELTA_BINARY_PACKED", **dict.fromkeys(_SPLIT, "BYTE_STREAM_SPLIT")}
"""Parquet encodings of the columns that have no dictionary."""
WITH_STATISTICS = (
    *("first_seen", "last_seen", "source", "destination", "source_port", "destination_port", "protocol", "vlan", "vni"),
    *(f"{side}_{name}" for side in _SIDES for name in ("packets", "bytes")),
)
"""Columns by whose least and largest values engines leave out row groups."""


def encoded(flows: pa.Table) -> pa.Table:
    """`flows` (STORED_FLOW, or schema.FLOW) as they are stored; labels are still dictionaries, which write faster.

    Raises KeyError for a column that is missing.
    """
    values = _Columns(flows)
    made = []
    for field in SCHEMA:
        name = field.name.removesuffix("_difference")
        if name in PREDICTED:
            numbers, known = values[name]
            differences = numbers - _predicted(name, values)
            made.append(_array(-differences if PREDICTED[name].is_later else differences, known, pa.int64()))
        elif name == FLOW_BEGIN.name and name not in flows.column_names:
            made.append(pa.nulls(len(flows), pa.int64()))
        elif pa.types.is_dictionary(flows.column(name).type):
            made.append(flows.column(name))
        else:
            made.append(_as_type(flows.column(name), field.type))
    return pa.Table.from_arrays(made, names=SCHEMA.names)


def decoded(stored: pa.Table) -> pa.Table:
    """The flows, STORED_FLOW, of what encoded() gave: exactly those that were stored."""
    values = _Columns(stored)
    made = []
    for field in arrow_schema(STORED_FLOW):
        name = field.name
        if name == "handshake_rtt":
            (one, one_known), (other, other_known) = values["syn_synack_rtt"], values["synack_ack_rtt"]
            sums = one + other
            known = _both(_both(one_known, other_known), None if sums.min(initial=0) >= 0 else sums >= 0)
            made.append(_array(sums, known, field.type))
        elif name in PREDICTED:
            differences, known = values[f"{name}_difference"]
            if PREDICTED[name].is_later:
                differences = -differences
            made.append(_array(_predicted(name, values) + differences, known, field.type))
        else:
            made.append(_as_type(stored.column(name), field.type))
    return pa.Table.from_arrays(made, schema=arrow_schema(STORED_FLOW))


def _predicted(name: str, values: _Columns) -> Ints:
    sum_of, headers_of, _ = PREDICTED[name]
    made = sum((values[one].numbers for one in sum_of[1:]), values[sum_of[0]].numbers)
    return made - _HEADER_BYTES * values[headers_of].numbers if headers_of else made


class _Columns:
    """Columns of a Table by name as Values, each taken out once."""

    def __init__(self, table: pa.Table) -> None:
        self._table = table
        self._taken: dict[str, Values] = {}

    def __getitem__(self, name: str) -> Values:
        if name not in self._taken:
            self._taken[name] = _values(_one_array(self._table.column(name)))
        return self._taken[name]


def _one_array(parts: pa.ChunkedArray) -> pa.Array:
    return parts.chunk(0) if parts.num_chunks == 1 else parts.combine_chunks()


def _values(array: pa.Array) -> Values:
    count = len(array)
    width = array.type.bit_width // 8
    dtype = np.dtype(f"i{width}") if pa.types.is_signed_integer(array.type) or width == 8 else np.dtype(f"u{width}")
    bits, data = array.buffers()
    if not count:
        return Values(np.empty(0, np.int64), None)
    numbers = np.frombuffer(data, dtype)[array.offset : array.offset + count].astype(np.int64, copy=False)
    if not array.null_count:
        return Values(numbers, None)
    octets = np.frombuffer(bits, np.uint8)
    known = np.unpackbits(octets, count=array.offset + count, bitorder="little")[array.offset :].view(np.bool_)
    return Values(numbers * known, known)


def _both(one: npt.NDArray[np.bool_] | None, other: npt.NDArray[np.bool_] | None) -> npt.NDArray[np.bool_] | None:
    if one is None or other is None:
        return one if other is None else other
    return one & other


def _array(numbers: Ints, known: npt.NDArray[np.bool_] | None, kind: pa.DataType) -> pa.Array:
    """The numbers as an array of `kind`, as many of their low bytes as it has."""
    dtype: npt.DTypeLike = np.dtype(f"u{kind.bit_width // 8}")
    return column(numbers.astype(dtype, copy=False), None if known is None else ~known).view(kind)


def _as_type(parts: pa.ChunkedArray, kind: pa.DataType) -> Any:
    """The same values; times as numbers and back, texts and labels, addresses and UUIDs."""
    if parts.type == kind:
        return parts
    if isinstance(kind, pa.UuidType):
        chunks = [pa.ExtensionArray.from_storage(kind, one) for one in parts.chunks]
    elif isinstance(parts.type, pa.UuidType):
        chunks = [one.storage for one in parts.chunks]
    elif pa.types.is_dictionary(kind):
        chunks = [one.dictionary_encode().cast(kind) for one in parts.chunks]
    else:
        chunks = [one.view(kind) for one in parts.chunks]
    return pa.chunked_array(chunks, kind)
