"""Tables: from structured arrays to Arrow, and from Arrow to what other programs read."""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from spanline import _text
from spanline.schema import Column

ADDRESS = pa.binary(16)
_TYPES = {
    "address": ADDRESS,
    "mac": pa.binary(6),
    "time": pa.timestamp("ns", "UTC"),
    "duration": pa.duration("ns"),
    "label": pa.dictionary(pa.int8(), pa.string()),
    "string": pa.string(),
    "bool": pa.bool_(),
    "numbers": pa.list_(pa.uint64()),
}


def arrow_type(column: Column) -> pa.DataType:
    return _TYPES.get(column.arrow) or pa.type_for_alias(column.arrow)


def arrow_schema(columns: Sequence[Column]) -> pa.Schema:
    """The schema of a Table of `columns`, units and meanings as field metadata."""
    return pa.schema(
        [pa.field(c.name, arrow_type(c), metadata={"unit": c.unit, "description": c.description}) for c in columns]
    )


def column(values: npt.NDArray[Any], missing: npt.NDArray[np.bool_] | None = None) -> pa.Array:
    """A numpy array as an Arrow array of the same type, null where `missing`.

    pa.array() would do, but it imports pandas wherever that is installed, which takes longer than many a capture.
    """
    kind = pa.from_numpy_dtype(values.dtype)
    data = np.packbits(values, bitorder="little") if values.dtype == np.bool_ else np.ascontiguousarray(values)
    valid = None if missing is None else pa.py_buffer(np.packbits(~missing, bitorder="little"))
    return pa.Array.from_buffers(kind, len(values), [valid, pa.py_buffer(data)])


def text(offsets: npt.NDArray[np.int32], letters: npt.NDArray[np.uint8]) -> pa.Array:
    """Texts as an Arrow array: that of row n goes from offsets[n] to offsets[n + 1] of `letters`, ASCII."""
    return pa.StringArray.from_buffers(len(offsets) - 1, pa.py_buffer(offsets), pa.py_buffer(letters))


def strings(texts: Sequence[str | None]) -> pa.Array:
    """Texts as an Arrow array, null for None."""
    encoded = [(text or "").encode() for text in texts]
    offsets = np.cumsum([0, *map(len, encoded)], dtype=np.int32)
    known = np.array([text is not None for text in texts], np.bool_)
    valid = None if known.all() else pa.py_buffer(np.packbits(known, bitorder="little"))
    buffers = [valid, pa.py_buffer(offsets), pa.py_buffer(b"".join(encoded))]
    return pa.Array.from_buffers(pa.string(), len(encoded), buffers)


def chosen(texts: Sequence[str], numbers: npt.NDArray[np.integer[Any]]) -> pa.Array:
    """The text of each number, null for number 0: take() would import pyarrow.compute."""
    encoded = [text.encode() for text in texts]
    ends = np.cumsum([0, *map(len, encoded)])
    lengths = np.diff(ends)[numbers]
    offsets = np.concatenate([[0], np.cumsum(lengths)])
    at = np.arange(offsets[-1]) + np.repeat(ends[numbers] - offsets[:-1], lengths)
    letters = np.frombuffer(b"".join(encoded), np.uint8)[at]
    valid = pa.py_buffer(np.packbits(numbers != 0, bitorder="little"))
    buffers = [valid, pa.py_buffer(offsets.astype(np.int32)), pa.py_buffer(letters)]
    return pa.Array.from_buffers(pa.string(), len(numbers), buffers)


def fixed_binary(octets: npt.NDArray[np.uint8]) -> pa.Array:
    """uint8[n, width] as fixed-size binary."""
    octets = np.ascontiguousarray(octets)
    return pa.Array.from_buffers(pa.binary(octets.shape[1]), len(octets), [None, pa.py_buffer(octets)])


def numbers_of(numbers: pa.ChunkedArray) -> npt.NDArray[Any]:
    """The other way: a column of numbers without nulls; to_numpy() would import pandas too."""
    dtype = np.dtype(numbers.type.to_pandas_dtype())
    return _values_of(numbers, dtype.itemsize).view(dtype)


def octet_strings(values: Sequence[bytes | None], width: int) -> pa.Array:
    """Octets, `width` of each, as fixed-size binary, null for None."""
    octets = b"".join(bytes(width) if value is None else value for value in values)
    known = np.array([value is not None for value in values], np.bool_)
    valid = None if known.all() else pa.py_buffer(np.packbits(known, bitorder="little"))
    return pa.Array.from_buffers(pa.binary(width), len(values), [valid, pa.py_buffer(octets)])


def integers(values: Sequence[int | None], dtype: npt.DTypeLike) -> pa.Array:
    """Integers as an Arrow array, null for None."""
    missing = np.array([value is None for value in values], np.bool_)
    return column(np.array([0 if value is None else value for value in values], dtype), missing)


def octets_of(octets: pa.ChunkedArray) -> npt.NDArray[np.uint8]:
    """A column of fixed-size binary without nulls as uint8[n, width]."""
    width = octets.type.byte_width
    return _values_of(octets, width).reshape(-1, width)


def _values_of(values: pa.ChunkedArray, width: int) -> npt.NDArray[np.uint8]:
    parts = [
        np.frombuffer(chunk.buffers()[1], np.uint8)[chunk.offset * width : (chunk.offset + len(chunk)) * width]
        for chunk in values.chunks
        if len(chunk)
    ]
    if len(parts) == 1:
        return parts[0]
    return np.concatenate(parts) if parts else np.empty(0, np.uint8)


def labels(numbers: npt.NDArray[np.integer], names: Sequence[str]) -> pa.Array:
    """Indices into `names` as a column of texts."""
    return pa.DictionaryArray.from_arrays(column(numbers.astype(np.int8)), strings(names))


def address_text(address: bytes) -> str:
    """192.0.2.1 for an IPv4 mapped address, else RFC 5952 text."""
    return address_texts(np.frombuffer(address, np.uint8).reshape(1, -1))[0]


def address_texts(addresses: npt.NDArray[np.uint8]) -> list[str]:
    """The same of each row of uint8[n, 16]."""
    offsets, letters = _text.addresses(addresses)
    ends, written = offsets.tolist(), letters.tobytes().decode()
    return [written[start:end] for start, end in itertools.pairwise(ends)]


def _texts(octets: pa.ChunkedArray) -> pa.ChunkedArray:
    """16 bytes are an address, 6 a MAC."""
    width = octets.type.byte_width
    made = _text.addresses if width == 16 else _text.macs
    parts = []
    for chunk in octets.chunks:
        for at in range(0, len(chunk), _text.MOST_ROWS):
            part = chunk.slice(at, _text.MOST_ROWS)
            valid, data = part.buffers()
            rows = np.frombuffer(data, np.uint8).reshape(-1, width)[part.offset : part.offset + len(part)]
            offsets, letters = made(rows)
            buffers = [_valid(valid, part.offset, len(part)), pa.py_buffer(offsets), pa.py_buffer(letters)]
            parts.append(pa.Array.from_buffers(pa.string(), len(part), buffers))
    return pa.chunked_array(parts, pa.string())


def _lists_of_texts(lists: pa.ChunkedArray) -> pa.ChunkedArray:
    """The same of lists of addresses or MACs."""
    parts = []
    for chunk in lists.chunks:
        values = _texts(pa.chunked_array([chunk.values])).combine_chunks()
        valid = None if chunk.null_count == 0 else chunk.is_valid().buffers()[1]
        buffers = [valid, pa.py_buffer(chunk.offsets.to_numpy().tobytes())]
        parts.append(pa.Array.from_buffers(pa.list_(pa.string()), len(chunk), buffers, children=[values]))
    return pa.chunked_array(parts, pa.list_(pa.string()))


def _bits(bits: pa.Buffer, offset: int, count: int) -> npt.NDArray[np.bool_]:
    octets = np.frombuffer(bits, np.uint8)
    return np.unpackbits(octets, count=offset + count, bitorder="little")[offset:].view(np.bool_)


def _valid(bits: pa.Buffer | None, offset: int, count: int) -> pa.Buffer | None:
    """Which values are valid, without the first `offset` of them."""
    if bits is None or offset == 0:
        return bits
    return pa.py_buffer(np.packbits(_bits(bits, offset, count), bitorder="little"))


def _label_texts(labels: pa.ChunkedArray) -> pa.ChunkedArray:
    """Labels as plain strings: by pyarrow that would need its compute module, which takes long to import."""
    parts = []
    for chunk in labels.chunks:
        codes, names = chunk.indices, [name.encode() for name in chunk.dictionary.to_pylist()]
        valid, data = codes.buffers()
        rows = np.frombuffer(data, codes.type.to_pandas_dtype())[codes.offset : codes.offset + len(codes)]
        if codes.null_count:
            rows = np.where(_bits(valid, codes.offset, len(codes)), rows, 0)
        starts = np.cumsum([0, *map(len, names)], dtype=np.int32)
        offsets, letters = _text.labels(rows.astype(np.int32), starts, np.frombuffer(b"".join(names), np.uint8))
        buffers = [_valid(valid, codes.offset, len(codes)), pa.py_buffer(offsets), pa.py_buffer(letters)]
        parts.append(pa.Array.from_buffers(pa.string(), len(codes), buffers))
    return pa.chunked_array(parts, pa.string())


def _is_octets(kind: pa.DataType) -> bool:
    return pa.types.is_fixed_size_binary(kind) and kind.byte_width in (6, 16)


def readable(table: pa.Table) -> pa.Table:
    """`table` for other programs: addresses and MACs as text, also in lists, labels as plain strings."""
    for n, field in enumerate(table.schema):
        text = pa.field(field.name, pa.string(), metadata=field.metadata)
        if _is_octets(field.type):
            table = table.set_column(n, text, _texts(table.column(n)))
        elif pa.types.is_list(field.type) and _is_octets(field.type.value_type):
            lists = text.with_type(pa.list_(pa.string()))
            table = table.set_column(n, lists, _lists_of_texts(table.column(n)))
        elif pa.types.is_dictionary(field.type):
            table = table.set_column(n, text, _label_texts(table.column(n)))
    return table


def plain(table: pa.Table) -> pa.Table:
    """Times and durations as integers: cast() would import pyarrow.compute, and to_pylist() of times pandas."""
    for n, field in enumerate(table.schema):
        if pa.types.is_temporal(field.type):
            numbers = [part.view(pa.int64()) for part in table.column(n).chunks]
            table = table.set_column(n, field.name, pa.chunked_array(numbers, pa.int64()))
    return table


def textual(table: pa.Table) -> pa.Table:
    """readable(), and for formats without types: times in RFC 3339 with nanoseconds, durations as integer ns."""
    import pyarrow.compute as pc  # takes as long to import as many a capture to be read, and Parquet needs none of it

    table = readable(table)
    for n, field in enumerate(table.schema):
        if pa.types.is_timestamp(field.type):
            # Without its zone, which is UTC, a time becomes text 25 times as fast as by strftime.
            text = table.column(n).cast(pa.timestamp("ns")).cast(pa.string())
            text = pc.binary_join_element_wise(pc.binary_replace_slice(text, 10, 11, "T"), "Z", "")
            table = table.set_column(n, field.name, text)
        elif pa.types.is_duration(field.type):
            table = table.set_column(n, field.name, table.column(n).cast(pa.int64()))
    return table


def table_of(columns: Sequence[Column], arrays: Mapping[str, pa.Array]) -> pa.Table:
    """A Table with the types and order of `columns`; one that `arrays` lacks is null."""
    schema = arrow_schema(columns)
    count = len(next(iter(arrays.values())))
    filled = []
    for field in schema:
        array = arrays.get(field.name)
        filled.append(pa.nulls(count, field.type) if array is None else array.view(field.type))
    return pa.Table.from_arrays(filled, schema=schema)


def ipc_of(table: pa.Table) -> bytes:
    """A Table as bytes, exactly: Arrow's stream format."""
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, table.schema) as writer:
        writer.write_table(table)
    octets: bytes = sink.getvalue().to_pybytes()
    return octets


def table_of_ipc(octets: bytes) -> pa.Table:
    """What ipc_of() wrote."""
    return pa.ipc.open_stream(octets).read_all()
