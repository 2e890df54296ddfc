"""Functions of a display filter, each for a whole batch."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from spanline import _text
from spanline.fields import Kind, Octets
from spanline.filters import tree
from spanline.filters.relations import binary
from spanline.filters.sizes import size_of
from spanline.filters.values import NUMBERS, Data, Values, take

_LOWER, _UPPER = (np.frombuffer(getattr(bytes(range(256)), case)(), np.uint8) for case in ("lower", "upper"))
_MAPPED = np.array([0] * 10 + [0xFF] * 2, np.uint8)
_SECOND = 10**9


def _length(call: tree.Call, arguments: list[Values]) -> Values:
    (of,) = arguments
    reference = call.arguments[0]
    assert isinstance(reference, tree.Reference)
    if isinstance(of.data, Octets):
        lengths = np.diff(of.data.offsets)
    else:
        lengths = np.full(len(of), size_of(reference.field), np.int64)
    return Values(of.rows, of.packet, Kind.UNSIGNED, lengths)


def _count(call: tree.Call, arguments: list[Values]) -> Values:
    (of,) = arguments
    packet, count = np.unique(of.packet, return_counts=True)
    return Values(of.rows, packet, Kind.UNSIGNED, count.astype(np.int64))


def _lower(call: tree.Call, arguments: list[Values]) -> Values:
    return _changed(arguments[0], _LOWER)


def _upper(call: tree.Call, arguments: list[Values]) -> Values:
    return _changed(arguments[0], _UPPER)


def _changed(of: Values, letters: npt.NDArray[np.uint8]) -> Values:
    assert isinstance(of.data, Octets)
    return Values(of.rows, of.packet, of.kind, Octets(letters[of.data.data], of.data.offsets))


def _string(call: tree.Call, arguments: list[Values]) -> Values:
    """Numbers in decimal, addresses as they are usually written."""
    (of,) = arguments
    if of.kind in NUMBERS:
        texts = pa.array(of.numbers).cast(pa.large_string())
        _, offsets, letters = texts.buffers()
        ends = np.frombuffer(offsets, np.int64)[: len(of) + 1] if len(of) else np.zeros(1, np.int64)
        return Values(of.rows, of.packet, Kind.STRING, Octets(np.frombuffer(letters or b"", np.uint8), ends))
    return Values(of.rows, of.packet, Kind.STRING, _address_texts(of.fixed))


def _address_texts(addresses: npt.NDArray[np.uint8]) -> Octets:
    count, width = addresses.shape
    if width == 4:
        addresses = np.concatenate([np.broadcast_to(_MAPPED, (count, 12)), addresses], axis=1)
    made = _text.macs if width == 6 else _text.addresses
    parts = [made(np.ascontiguousarray(addresses[n : n + _text.MOST_ROWS])) for n in range(0, count, _text.MOST_ROWS)]
    lengths = [np.diff(offsets).astype(np.int64) for offsets, _ in parts]
    offsets = np.concatenate([np.zeros(1, np.int64), *lengths]).cumsum()
    letters = [texts[: ends[-1]] for ends, texts in parts]
    return Octets(np.concatenate([np.empty(0, np.uint8), *letters]), offsets)


def _maximum(call: tree.Call, arguments: list[Values]) -> Values:
    return _extreme(arguments, last=True)


def _minimum(call: tree.Call, arguments: list[Values]) -> Values:
    return _extreme(arguments, last=False)


def _extreme(arguments: list[Values], *, last: bool) -> Values:
    """The largest or smallest value of all arguments that a row has."""
    rows = arguments[0].rows
    for argument in arguments[1:]:
        rows = rows | argument.rows
    packet = np.concatenate([argument.packet for argument in arguments])
    data = _joined([argument.data for argument in arguments])
    order = np.lexsort((_ranks(data), packet))
    ordered = packet[order]
    new = np.ones(len(ordered), np.bool_)
    new[1:] = ordered[1:] != ordered[:-1]
    chosen = order[np.append(new[1:], True)[: len(new)] if last else new]
    return Values(rows, packet[chosen], arguments[0].kind, take(data, chosen))


def _joined(parts: list[Data]) -> Data:
    first = parts[0]
    if not isinstance(first, Octets):
        return np.concatenate([part for part in parts if isinstance(part, np.ndarray)])
    octets = [part for part in parts if isinstance(part, Octets)]
    lengths = [np.diff(part.offsets) for part in octets]
    offsets = np.concatenate([np.zeros(1, np.int64), *lengths]).cumsum()
    return Octets(np.concatenate([part.data[part.offsets[0] : part.offsets[-1]] for part in octets]), offsets)


def _ranks(data: Data) -> npt.NDArray[np.generic]:
    """Numbers in the order of the values."""
    if isinstance(data, Octets):
        order = binary(data).sort().dictionary_encode().dictionary
        ranks: npt.NDArray[np.generic] = binary(data).index_in(order).to_numpy()
        return ranks
    if data.ndim == 1:
        return data
    return np.ascontiguousarray(data).view(f"S{data.shape[1]}").reshape(len(data))


def _absolute(call: tree.Call, arguments: list[Values]) -> Values:
    """Of times tshark only turns those round that are a second or more below zero."""
    (of,) = arguments
    if of.kind is Kind.RELATIVE_TIME:
        data = np.where(of.numbers <= -_SECOND, -of.numbers, of.numbers)
    else:
        data = np.abs(of.numbers)
    return Values(of.rows, of.packet, of.kind, data)


FUNCTIONS: dict[str, Callable[[tree.Call, list[Values]], Values]] = {
    "len": _length,
    "count": _count,
    "lower": _lower,
    "upper": _upper,
    "string": _string,
    "max": _maximum,
    "min": _minimum,
    "abs": _absolute,
}
